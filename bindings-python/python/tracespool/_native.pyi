"""The native module. `tracespool` exports what is meant for applications."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Literal, TypedDict, TypeVar, final
from uuid import UUID

from typing_extensions import NotRequired, Self, disjoint_base

__all__ = [
    "KNOWN_SCOPES",
    "Block",
    "Client",
    "Held",
    "Intake",
    "Observation",
    "Observer",
    "PromptTicket",
    "OpenRun",
    "OpenRuns",
    "Recorder",
    "Run",
    "Scope",
    "Ticket",
    "__version__",
    "admission",
    "after_fork_child",
    "after_fork_parent",
    "announce_goodbye",
    "before_fork",
    "begin_flush_all",
    "cleanup_all_clients",
    "cleanup_client",
    "clients",
    "continue_trace",
    "create_trace_id",
    "current",
    "current_observation",
    "default_client",
    "encode",
    "from_baggage",
    "get_client",
    "get_current_observation_id",
    "get_current_trace_id",
    "goodbye",
    "is_known_scope",
    "is_langfuse_scope",
    "on_drop",
    "on_client",
    "outgoing",
    "propagate_attributes",
    "register_client_class",
    "set_admission",
    "set_current",
    "shown_answer",
    "shown_message",
    "stats",
]

_F = TypeVar("_F", bound=Callable[..., Any])

_Level = Literal["DEBUG", "DEFAULT", "WARNING", "ERROR"]
_DataType = Literal["NUMERIC", "CATEGORICAL", "BOOLEAN", "TEXT", "CORRECTION"]
_Type = Literal[
    "span", "generation", "event", "embedding", "agent", "tool", "chain", "retriever", "evaluator", "guardrail"
]

class _TraceContext(TypedDict):
    trace_id: str
    parent_span_id: NotRequired[str]

__version__: Final[str]
KNOWN_SCOPES: Final[list[str]]

@final
class Observation:
    @property
    def trace_id(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def observation_type(self) -> _Type: ...
    @property
    def client(self) -> Client: ...
    @property
    def is_recording(self) -> bool: ...
    def set_attribute(self, key: str, value: Any, /) -> None: ...
    @property
    def held_bytes(self) -> int: ...
    def update(
        self,
        *,
        name: str | None = None,
        as_type: _Type | None = None,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
        completion_start_time: datetime | None = None,
        model: str | None = None,
        model_parameters: Mapping[str, Any] | None = None,
        usage_details: Mapping[str, int] | None = None,
        cost_details: Mapping[str, float] | None = None,
        prompt: Any = None,
        **unknown: Any,
    ) -> Self: ...
    def end(self, *, end_time: int | None = None) -> Self: ...
    def start_observation(
        self,
        *,
        name: str,
        as_type: _Type = "span",
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
        completion_start_time: datetime | None = None,
        model: str | None = None,
        model_parameters: Mapping[str, Any] | None = None,
        usage_details: Mapping[str, int] | None = None,
        cost_details: Mapping[str, float] | None = None,
        prompt: Any = None,
    ) -> Observation: ...
    def start_as_current_observation(
        self,
        *,
        name: str,
        as_type: _Type = "span",
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
        completion_start_time: datetime | None = None,
        model: str | None = None,
        model_parameters: Mapping[str, Any] | None = None,
        usage_details: Mapping[str, int] | None = None,
        cost_details: Mapping[str, float] | None = None,
        prompt: Any = None,
        end_on_exit: bool | None = None,
    ) -> Scope: ...
    def create_event(
        self,
        *,
        name: str,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
    ) -> Observation: ...
    def score(
        self,
        *,
        name: str,
        value: float | str,
        score_id: str | None = None,
        data_type: _DataType | None = None,
        comment: str | None = None,
        config_id: str | None = None,
        metadata: Any = None,
        timestamp: datetime | None = None,
    ) -> None: ...
    def score_trace(
        self,
        *,
        name: str,
        value: float | str,
        score_id: str | None = None,
        data_type: _DataType | None = None,
        comment: str | None = None,
        config_id: str | None = None,
        metadata: Any = None,
        timestamp: datetime | None = None,
    ) -> None: ...
    def set_trace_as_public(self) -> Self: ...
    def update_trace(
        self,
        *,
        name: str | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        version: str | None = None,
        input: Any = None,
        output: Any = None,
        metadata: Mapping[str, Any] | None = None,
        tags: list[str] | None = None,
        public: bool | None = None,
    ) -> Self: ...
    def start_span(
        self,
        name: str,
        *,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
    ) -> Observation: ...
    def start_generation(
        self,
        *,
        name: str,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
        completion_start_time: datetime | None = None,
        model: str | None = None,
        model_parameters: Mapping[str, Any] | None = None,
        usage_details: Mapping[str, int] | None = None,
        cost_details: Mapping[str, float] | None = None,
        prompt: Any = None,
    ) -> Observation: ...
    def start_as_current_span(
        self,
        *,
        name: str,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
    ) -> Scope: ...
    def start_as_current_generation(
        self,
        *,
        name: str,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
        completion_start_time: datetime | None = None,
        model: str | None = None,
        model_parameters: Mapping[str, Any] | None = None,
        usage_details: Mapping[str, int] | None = None,
        cost_details: Mapping[str, float] | None = None,
        prompt: Any = None,
    ) -> Scope: ...
    def set_trace_io(self, *, input: Any = None, output: Any = None) -> Self: ...
    def traceparent(self) -> str: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None, /
    ) -> Literal[False]: ...

@final
class Held:
    @property
    def waits(self) -> bool: ...
    def read(
        self,
    ) -> tuple[str, int, int, int, int, int, int, int, str, dict[str, Any]] | None: ...
    def patch(self, without: list[str], added: dict[str, Any], /) -> list[str]: ...
    def strip(self) -> None: ...
    def submit(self) -> None: ...
    def delivered(self) -> None: ...
    def discard(self) -> None: ...
    def rejected(self) -> None: ...

@final
class Intake:
    def __new__(cls, client: Client, /) -> Self: ...
    def started(self, span: Any, parent_context: Any = None, /) -> None: ...
    def ended(self, span: Any, /) -> None: ...

@final
class Scope:
    def __enter__(self) -> Observation: ...
    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None, /
    ) -> Literal[False]: ...
    async def __aenter__(self) -> Observation: ...
    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None, /
    ) -> None: ...
    def again(self) -> Scope: ...
    def __call__(self, function: _F, /) -> _F: ...

@final
class Block:
    def __enter__(self) -> None: ...
    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None, /
    ) -> Literal[False]: ...
    async def __aenter__(self) -> None: ...
    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None, /
    ) -> None: ...
    def again(self) -> Block: ...
    def __call__(self, function: _F, /) -> _F: ...

@final
class Ticket:
    def poll(self) -> dict[str, Any] | None: ...
    def report(self) -> dict[str, Any]: ...
    def wait(self, timeout: float | None = None) -> dict[str, Any]: ...

@final
class PromptTicket:
    def poll(self) -> dict[str, Any] | None: ...
    def wait(self) -> dict[str, Any]: ...

@final
class Observer:
    def __new__(
        cls,
        *,
        name: str,
        as_type: str | None = None,
        capture_input: bool = True,
        capture_output: bool = True,
        skip_first: bool = False,
        transform: Callable[[Any], str] | None = None,
        unknown: dict[str, Any] | None = None,
    ) -> Self: ...
    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> Run: ...

@final
class OpenRun:
    @property
    def observation(self) -> Observation: ...
    @property
    def parent(self) -> OpenRun | None: ...
    @property
    def interrupted(self) -> bool: ...
    @interrupted.setter
    def interrupted(self, value: bool, /) -> None: ...
    @property
    def thread(self) -> Any: ...

@final
class OpenRuns:
    def __new__(cls) -> Self: ...
    def __len__(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def max_runs(self) -> int: ...
    @max_runs.setter
    def max_runs(self, value: int, /) -> None: ...
    @property
    def max_bytes(self) -> int: ...
    @max_bytes.setter
    def max_bytes(self, value: int, /) -> None: ...
    def get(self, id: Any, /) -> OpenRun | None: ...
    def end(self, id: Any, output: Any, input: Any, /) -> OpenRun | None: ...
    def evict(self, runs: int, bytes: int, /) -> list[Observation]: ...

@disjoint_base
class Recorder:
    def __new__(cls, *_args: Any, **_options: Any) -> Self: ...
    def _open(self, public_key: Any, client: Any, placed: bool, /) -> None: ...
    @property
    def _runs(self) -> OpenRuns: ...
    @property
    def _interrupts(self) -> bool: ...
    @_interrupts.setter
    def _interrupts(self, value: bool, /) -> None: ...
    @property
    def last_trace_id(self) -> str | None: ...
    @last_trace_id.setter
    def last_trace_id(self, value: str | None, /) -> None: ...
    def _start(
        self,
        id: Any,
        parent: Any,
        name: Any,
        kind: str,
        input: Any,
        tags: Any,
        metadata: Any,
        more: dict[str, Any] | None = None,
        /,
    ) -> None: ...
    def on_chain_start(
        self,
        serialized: Any,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Any = None,
        metadata: Any = None,
        run_type: Any = None,
        name: Any = None,
        **kwargs: Any,
    ) -> None: ...
    def on_chain_end(self, outputs: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None: ...
    def on_chat_model_start(
        self,
        serialized: Any,
        messages: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Any = None,
        metadata: Any = None,
        invocation_params: Any = None,
        name: Any = None,
        **kwargs: Any,
    ) -> None: ...
    def on_llm_start(
        self,
        serialized: Any,
        prompts: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: Any = None,
        metadata: Any = None,
        invocation_params: Any = None,
        name: Any = None,
        **kwargs: Any,
    ) -> None: ...
    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None: ...
    def on_llm_end(self, response: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any) -> None: ...

@final
class Run:
    def finish(self, result: Any, /) -> bool: ...
    def fail(self, error: BaseException, /) -> None: ...
    def suspend(self) -> None: ...
    def resume(self) -> None: ...
    def collect(self, item: Any, /) -> None: ...
    def finish_stream(self) -> None: ...

@disjoint_base
class Client:
    def __init__(
        self,
        *,
        public_key: str | None = None,
        secret_key: str | None = None,
        base_url: str | None = None,
        host: str | None = None,
        timeout: float | None = None,
        httpx_client: Any = None,
        debug: bool = False,
        tracing_enabled: bool = True,
        flush_at: int | None = None,
        flush_interval: float | None = None,
        environment: str | None = None,
        release: str | None = None,
        media_upload_thread_count: int | None = None,
        sample_rate: float | None = None,
        mask: Callable[..., Any] | None = None,
        mask_otel_spans: Any = None,
        should_export_span: Any = None,
        additional_headers: dict[str, str] | None = None,
        tracer_provider: Any = None,
        id_generator: Any = None,
        span_exporter: Any = None,
        otel_compression: Literal["gzip", "none"] | None = None,
        otlp_endpoint: str | None = None,
        headers: dict[str, str] | None = None,
        dialect: Literal["langfuse", "openinference", "gen_ai"] | None = None,
        service_name: str | None = None,
        follow_parent_sampling: bool = False,
    ) -> None: ...
    @property
    def _stage(self) -> Any: ...
    @property
    def public_key(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def otlp_endpoint(self) -> str | None: ...
    @property
    def dialect(self) -> str: ...
    @property
    def environment(self) -> str | None: ...
    @property
    def release(self) -> str | None: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def _headers(self) -> list[tuple[str, str]]: ...
    @property
    def _timeout(self) -> float: ...
    def _start_at(
        self,
        name: str,
        start_time: int,
        *,
        as_type: _Type | None = None,
        trace_context: _TraceContext | Mapping[str, str] | str | None = None,
    ) -> Observation: ...
    def start_observation(
        self,
        *,
        name: str,
        as_type: _Type = "span",
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
        completion_start_time: datetime | None = None,
        model: str | None = None,
        model_parameters: Mapping[str, Any] | None = None,
        usage_details: Mapping[str, int] | None = None,
        cost_details: Mapping[str, float] | None = None,
        prompt: Any = None,
        trace_context: _TraceContext | Mapping[str, str] | str | None = None,
    ) -> Observation: ...
    def start_as_current_observation(
        self,
        *,
        name: str,
        as_type: _Type = "span",
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
        completion_start_time: datetime | None = None,
        model: str | None = None,
        model_parameters: Mapping[str, Any] | None = None,
        usage_details: Mapping[str, int] | None = None,
        cost_details: Mapping[str, float] | None = None,
        prompt: Any = None,
        trace_context: _TraceContext | Mapping[str, str] | str | None = None,
        end_on_exit: bool | None = None,
    ) -> Scope: ...
    def create_event(
        self,
        *,
        name: str,
        trace_context: _TraceContext | Mapping[str, str] | str | None = None,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
    ) -> Observation: ...
    def start_span(
        self,
        *,
        trace_context: _TraceContext | None = None,
        name: str,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
    ) -> Observation: ...
    def start_generation(
        self,
        *,
        trace_context: _TraceContext | None = None,
        name: str,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
        completion_start_time: datetime | None = None,
        model: str | None = None,
        model_parameters: Mapping[str, Any] | None = None,
        usage_details: Mapping[str, int] | None = None,
        cost_details: Mapping[str, float] | None = None,
        prompt: Any = None,
    ) -> Observation: ...
    def start_as_current_span(
        self,
        *,
        trace_context: _TraceContext | None = None,
        name: str,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
        end_on_exit: bool | None = None,
    ) -> Scope: ...
    def start_as_current_generation(
        self,
        *,
        trace_context: _TraceContext | None = None,
        name: str,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
        completion_start_time: datetime | None = None,
        model: str | None = None,
        model_parameters: Mapping[str, Any] | None = None,
        usage_details: Mapping[str, int] | None = None,
        cost_details: Mapping[str, float] | None = None,
        prompt: Any = None,
        end_on_exit: bool | None = None,
    ) -> Scope: ...
    def update_current_span(
        self,
        *,
        name: str | None = None,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
    ) -> None: ...
    def update_current_generation(
        self,
        *,
        name: str | None = None,
        input: Any = None,
        output: Any = None,
        metadata: Any = None,
        version: str | None = None,
        level: _Level | None = None,
        status_message: str | None = None,
        completion_start_time: datetime | None = None,
        model: str | None = None,
        model_parameters: Mapping[str, Any] | None = None,
        usage_details: Mapping[str, int] | None = None,
        cost_details: Mapping[str, float] | None = None,
        prompt: Any = None,
    ) -> None: ...
    def update_current_trace(
        self,
        *,
        name: str | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        version: str | None = None,
        input: Any = None,
        output: Any = None,
        metadata: Mapping[str, Any] | None = None,
        tags: list[str] | None = None,
        public: bool | None = None,
    ) -> None: ...
    def set_current_trace_as_public(self) -> None: ...
    def get_current_trace_id(self) -> str | None: ...
    def get_current_observation_id(self) -> str | None: ...
    @staticmethod
    def create_trace_id(*, seed: str | None = None) -> str: ...
    @staticmethod
    def create_observation_id(*, seed: str | None = None) -> str: ...
    def create_score(
        self,
        *,
        name: str,
        value: float | str,
        session_id: str | None = None,
        dataset_run_id: str | None = None,
        trace_id: str | None = None,
        observation_id: str | None = None,
        score_id: str | None = None,
        data_type: _DataType | None = None,
        comment: str | None = None,
        config_id: str | None = None,
        metadata: Any = None,
        timestamp: datetime | None = None,
        environment: str | None = None,
    ) -> None: ...
    def score_current_span(
        self,
        *,
        name: str,
        value: float | str,
        score_id: str | None = None,
        data_type: _DataType | None = None,
        comment: str | None = None,
        config_id: str | None = None,
        metadata: Any = None,
    ) -> None: ...
    def score_current_trace(
        self,
        *,
        name: str,
        value: float | str,
        score_id: str | None = None,
        data_type: _DataType | None = None,
        comment: str | None = None,
        config_id: str | None = None,
        metadata: Any = None,
    ) -> None: ...
    def use(self) -> Block: ...
    def flush(self, timeout: float = 5.0) -> dict[str, Any]: ...
    def begin_flush(self, timeout: float = 5.0) -> Ticket: ...
    def shutdown(self, timeout: float = 3.0) -> dict[str, Any]: ...
    def _fetch(self, place: str, timeout: float, /) -> tuple[int, bytes]: ...
    def auth_check(self) -> bool: ...
    def begin_get_prompt(
        self,
        name: str,
        *,
        chat: bool,
        version: int | None,
        label: str | None,
        ttl: float | None,
        fallback: bool,
        retries: int,
        timeout: float | None,
    ) -> PromptTicket: ...
    def begin_create_prompt(self, name: str, body: str) -> PromptTicket: ...
    def begin_update_prompt(self, name: str, version: int, body: str) -> PromptTicket: ...
    def clear_prompt_cache(self) -> None: ...

def from_baggage(entries: list[tuple[str, str]], /) -> dict[str, Any]: ...
def is_known_scope(name: str, /) -> bool: ...
def is_langfuse_scope(name: str, /) -> bool: ...
def outgoing() -> tuple[str, list[tuple[str, str]]] | None: ...
def encode(value: Any, /) -> str | None: ...
def create_trace_id(*, seed: str | None = None) -> str: ...
def current() -> object: ...
def current_observation() -> Observation | None: ...
def set_current(record: object, /) -> object: ...
def get_current_trace_id() -> str | None: ...
def get_current_observation_id() -> str | None: ...
def begin_flush_all(timeout: float = 5.0) -> Ticket: ...
def cleanup_client(
    public_key: str, *, base_url: str | None = None, secret_key: str | None = None, timeout: float = 5.0
) -> dict[str, Any]: ...
def cleanup_all_clients(timeout: float = 5.0) -> dict[str, Any]: ...
def clients() -> list[Client]: ...
def get_client(*, public_key: str | None = None) -> Client: ...
def default_client(public_key: str | None = None, /) -> Client | None: ...
def on_client(callback: Callable[[], object] | None, /) -> None: ...
def register_client_class(class_: type[Client], /) -> None: ...
def announce_goodbye(timeout: float, /) -> float: ...
def goodbye(timeout: float | None = None) -> None: ...
def before_fork() -> None: ...
def after_fork_parent() -> None: ...
def after_fork_child() -> None: ...
def stats() -> dict[str, Any]: ...
def set_admission(share: float, /) -> None: ...
def admission() -> float: ...
def on_drop(callback: _F, /) -> _F: ...
def continue_trace(traceparent: str, /) -> Block: ...
def propagate_attributes(
    *,
    user_id: str | None = None,
    session_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    version: str | None = None,
    tags: list[str] | None = None,
    trace_name: str | None = None,
    environment: str | None = None,
    prompt: Any = None,
    as_baggage: bool = False,
) -> Block: ...
def shown_answer(generation: Any, /) -> Any: ...
def shown_message(message: Any, /) -> Any: ...
