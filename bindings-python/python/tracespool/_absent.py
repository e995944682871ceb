"""What stands in for the native module where it cannot be loaded: every call works and records nothing."""

from typing import Any

__version__ = "0.0.0"

_REPORT = {"complete": True, "delivered": 0, "dropped": 0, "pending": 0, "unconfirmed": 0, "destinations": ()}
_LANE = {"submitted": 0, "delivered": 0, "pending": 0, "unconfirmed": 0, "dropped": {}, "mask_failed": 0}


def warn(error: ImportError) -> None:
    """Says once why nothing is traced."""
    import logging

    logging.getLogger("tracespool").warning(
        "the native module cannot be loaded, nothing is traced: %s. Install a wheel for this platform, or build one with Rust.",
        error,
    )


def _report() -> dict[str, Any]:
    return {**_REPORT, "destinations": []}


class Ticket:
    """A flush that is over."""

    def poll(self) -> dict[str, Any]:
        return _report()

    def report(self) -> dict[str, Any]:
        return _report()

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        return _report()


class PromptTicket:
    """The answer of a client that can ask nobody."""

    def poll(self) -> dict[str, Any]:
        return {"error": "refused", "status": 400, "detail": "the native module cannot be loaded: there are no prompts"}

    wait = poll


class Block:
    """A block that changes nothing."""

    def __enter__(self) -> Any:
        return None

    def __exit__(self, *_: Any) -> None:
        return None

    async def __aenter__(self) -> Any:
        return self.__enter__()

    async def __aexit__(self, *_: Any) -> None:
        return None

    def __call__(self, function: Any) -> Any:
        return function


class Observation:
    """An observation that is not recorded."""

    trace_id = "0" * 32
    id = "0" * 16
    is_recording = False
    observation_type = "span"

    @property
    def client(self) -> Any:
        return get_client()
    held_bytes = 0

    def _same(self, *_: Any, **__: Any) -> "Observation":
        return self

    update = end = start_observation = create_event = set_trace_as_public = update_trace = _same
    start_span = start_generation = set_trace_io = _same

    def start_as_current_observation(self, *_: Any, **__: Any) -> "Scope":
        return Scope()

    start_as_current_span = start_as_current_generation = start_as_current_observation

    def score(self, *_: Any, **__: Any) -> None:
        return None

    score_trace = set_attribute = score

    def traceparent(self) -> str:
        return ""

    def __enter__(self) -> "Observation":
        return self

    def __exit__(self, *_: Any) -> None:
        return None


class Scope(Block):
    """A block around an observation that is not recorded."""

    def __enter__(self) -> Observation:
        return Observation()


class Client:
    """A client that records nothing."""

    public_key = ""
    base_url = ""
    otlp_endpoint: str | None = None
    dialect = "langfuse"
    environment: str | None = None
    release: str | None = None
    enabled = False
    _headers: list[tuple[str, str]] = []
    _timeout = 5.0

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def start_observation(self, *_: Any, **__: Any) -> Observation:
        return Observation()

    create_event = start_span = start_generation = start_observation

    def start_as_current_observation(self, *_: Any, **__: Any) -> Scope:
        return Scope()

    start_as_current_span = start_as_current_generation = start_as_current_observation

    def _nothing(self, *_: Any, **__: Any) -> None:
        return None

    update_current_span = update_current_generation = update_current_trace = _nothing
    set_current_trace_as_public = get_current_trace_id = get_current_observation_id = _nothing
    create_score = score_current_span = score_current_trace = _nothing

    @staticmethod
    def create_trace_id(*, seed: Any = None) -> str:
        return create_trace_id(seed=seed)

    @staticmethod
    def create_observation_id(*, seed: Any = None) -> str:
        return create_trace_id(seed=seed)[:16]

    def use(self) -> Block:
        return Block()

    def flush(self, timeout: float = 5.0) -> dict[str, Any]:
        return _report()

    shutdown = flush

    def begin_flush(self, timeout: float = 5.0) -> Ticket:
        return Ticket()

    def _fetch(self, *_: Any) -> tuple[int, bytes]:
        return 0, b"the native module cannot be loaded"

    def auth_check(self) -> bool:
        return False

    _stage = None
    def begin_get_prompt(self, *_: Any, **__: Any) -> PromptTicket:
        return PromptTicket()

    begin_create_prompt = begin_update_prompt = begin_get_prompt
    clear_prompt_cache = _nothing


class Run:
    """A call that is not recorded."""

    def finish(self, result: Any) -> bool:
        return True

    def fail(self, error: BaseException) -> None:
        return None

    suspend = resume = finish_stream = lambda self: None
    collect = fail


class OpenRun:
    """A run that is not recorded; there is never one."""


class OpenRuns:
    """Runs that are not recorded."""

    bytes = max_runs = max_bytes = 0

    def __len__(self) -> int:
        return 0

    def _none(self, *_: Any) -> None:
        return None

    get = end = _none

    def evict(self, runs: int, bytes: int) -> list[Any]:
        return []


class Recorder:
    """A handler that records nothing."""

    last_trace_id: str | None = None
    _interrupts = False

    @property
    def _runs(self) -> OpenRuns:
        return OpenRuns()

    def _open(self, *_: Any, **__: Any) -> None:
        return None

    _start = on_chain_start = on_chain_end = on_chat_model_start = on_llm_start = on_llm_new_token = on_llm_end = _open


def shown_message(message: Any) -> Any:
    return message


shown_answer = shown_message


_RUN = Run()
_RESERVED = ("langfuse_public_key", "langfuse_trace_id", "langfuse_parent_observation_id")


class Observer:
    """A decorated function whose calls are not recorded."""

    def __init__(self, **_: Any) -> None:
        pass

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        for name in _RESERVED:
            kwargs.pop(name, None)
        return _RUN


_CLIENT: list[Any] = [Client]


def register_client_class(client: Any) -> None:
    _CLIENT[0] = client


def clients() -> list[Any]:
    return []


def default_client(public_key: str | None = None) -> Any:
    return None


def on_client(callback: Any) -> None:
    return None


def get_client(*, public_key: str | None = None) -> Any:
    return _CLIENT[0]()


def create_trace_id(*, seed: Any = None) -> str:
    import hashlib
    import os

    data = os.urandom(16) if seed is None else str(seed).encode()
    return hashlib.sha256(data).hexdigest()[:32]


def continue_trace(traceparent: str) -> Block:
    return Block()


def propagate_attributes(**_: Any) -> Block:
    return Block()


KNOWN_SCOPES: tuple[str, ...] = ()


def is_known_scope(name: str) -> bool:
    return False


is_langfuse_scope = is_known_scope


def outgoing() -> None:
    return None


def from_baggage(entries: Any) -> dict[str, Any]:
    return {}


class Held:
    """A finished span that was never recorded."""

    def read(self) -> None:
        return None


class Intake:
    """Takes spans of other instrumentation nowhere."""

    def __init__(self, client: Any) -> None:
        pass

    def started(self, span: Any, parent_context: Any = None) -> None:
        return None

    ended = started


def encode(value: Any) -> None:
    return None


def current() -> None:
    return None


def set_current(record: Any) -> None:
    return None



def get_current_trace_id() -> str | None:
    return None


get_current_observation_id = current_observation = get_current_trace_id


def begin_flush_all(timeout: float = 5.0) -> Ticket:
    return Ticket()


def cleanup_client(public_key: str, **_: Any) -> dict[str, Any]:
    return _report()


def cleanup_all_clients(timeout: float = 5.0) -> dict[str, Any]:
    return _report()


def stats() -> dict[str, Any]:
    return {
        "observations": {**_LANE, "dropped": {}},
        "scores": {**_LANE, "dropped": {}},
        "media": {**_LANE, "dropped": {}},
        "bytes": 0,
        "bytes_limit": 0,
        "admission": 1.0,
        "clients": 0,
        "requests": 0,
        "retries": 0,
        "panics": 0,
        "largest_lag": 0.0,
        "delivery_p50": None,
        "delivery_p99": None,
        "destinations": [],
    }


def set_admission(share: Any) -> None:
    return None


def admission() -> float:
    return 1.0


def on_drop(callback: Any) -> Any:
    return callback


def announce_goodbye(timeout: float) -> float:
    return timeout


def goodbye(timeout: float | None = None) -> None:
    return None


def before_fork() -> None:
    return None


after_fork_parent = after_fork_child = before_fork
