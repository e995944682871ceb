"""`Langfuse`: our client with the names that Langfuse's SDK has beyond, and `get_client`."""

from __future__ import annotations

from tracespool import _native
from tracespool._client import Client
from tracespool.langfuse import _fallthrough

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from tracespool.langfuse._client.resource_manager import LangfuseResourceManager
    from tracespool.langfuse._client.otel_span import OtelTracer


class Langfuse(Client):
    """A client under the name and with the keywords of Langfuse's SDK; see `tracespool.Client`.

    Wrong values are logged and never raised. `api`, `async_api`, datasets, experiments and batched evaluation come from
    the langfuse package, where it is installed, and run on this client.
    """

    _asked: dict[str, Any] | None = None
    _httpx_client: Any = None
    _project: str | None = None
    _rest: Any = None
    _async_rest: Any = None

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
        tracing_enabled: bool | None = True,
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
        blocked_instrumentation_scopes: list[str] | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(tracer_provider=tracer_provider)  # the native class has read the other arguments already
        if httpx_client is not None:
            self._httpx_client = httpx_client
        if not self.enabled:
            # Switched off is the tracing; the REST client and prompts still have their keys.
            self._asked = {
                "public_key": public_key,
                "secret_key": secret_key,
                "base_url": base_url,
                "host": host,
                "additional_headers": additional_headers,
            }

    def set_current_trace_io(self, *, input: Any = None, output: Any = None) -> None:
        """The trace's input and output, as Langfuse 4.x set them: those of the current observation."""
        self.update_current_trace(input=input, output=output)

    # The REST client.

    @property
    def api(self) -> Any:
        """The REST client of the installed langfuse package, with this client's keys and address."""
        if self._rest is None:
            from tracespool.langfuse import _rest

            self._rest = _rest.client(self)
        return self._rest

    @api.setter
    def api(self, value: Any) -> None:
        self._rest = value

    @property
    def async_api(self) -> Any:
        """The same for asyncio."""
        if self._async_rest is None:
            from tracespool.langfuse import _rest

            self._async_rest = _rest.async_client(self)
        return self._async_rest

    @async_api.setter
    def async_api(self, value: Any) -> None:
        self._async_rest = value

    def _get_project_id(self) -> str | None:
        if self._project is None:
            projects = self.api.projects.get().data
            self._project = projects[0].id if projects else None
        return self._project

    # What else programs look at.

    @property
    def _resources(self) -> LangfuseResourceManager | None:
        from tracespool.langfuse._client.resource_manager import of

        return of(self) if self.enabled or self._asked is not None else None

    @property
    def _otel_tracer(self) -> OtelTracer:
        from tracespool.langfuse._client.otel_span import OtelTracer

        return OtelTracer(self)

    @property
    def _base_url(self) -> str:
        from tracespool.langfuse import _rest

        return self.base_url or _rest.destination(self)[0]

    @property
    def _environment(self) -> str | None:
        return self.environment

    @property
    def _release(self) -> str | None:
        return self.release

    @property
    def _tracing_enabled(self) -> bool:
        return self.enabled

    def _create_observation_id(self, *, seed: str | None = None) -> str:
        return self.create_observation_id(seed=seed)


class _Installed:
    """A method of the installed package's client, bound to ours."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.__doc__ = f"`{name}` of the installed langfuse package, on this client."

    def __get__(self, client: Langfuse | None, owner: type[Langfuse]) -> Any:
        if client is None and not _fallthrough.available():
            return self
        function = _method(self.__name__)
        return function if client is None else function.__get__(client, owner)

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise _fallthrough.LangfuseNotInstalled(f"Langfuse.{self.__name__}()")


def _method(name: str) -> Any:
    """A method of the installed client. The private ones that it calls become ours where we have none of that name."""
    if not _fallthrough.available():
        raise _fallthrough.LangfuseNotInstalled(f"Langfuse.{name}()")
    installed = _fallthrough.load("_client.client")._installed_Langfuse
    for other, value in vars(installed).items():
        if other.startswith("_") and not other.startswith("__") and not hasattr(Langfuse, other):
            setattr(Langfuse, other, value)
    try:
        return getattr(installed, name)
    except AttributeError:
        from tracespool.langfuse._version import __version__

        raise AttributeError(f"the installed langfuse {__version__} has no Langfuse.{name}()") from None


for _name in (
    "create_dataset",
    "create_dataset_item",
    "delete_dataset_run",
    "get_dataset",
    "get_dataset_run",
    "get_dataset_runs",
    "resolve_media_references",
    "run_batched_evaluation",
    "run_experiment",
):
    if not hasattr(Client, _name):
        setattr(Langfuse, _name, _Installed(_name))

_native.register_client_class(Langfuse)


def get_client(*, public_key: str | None = None) -> Langfuse:
    """See `tracespool.get_client`; the client is a `Langfuse`."""
    return langfuse(_native.get_client(public_key=public_key))


def langfuse(client: Client | _native.Client) -> Langfuse:
    """A client as a `Langfuse`: itself where it is one, else another handle on the same destination."""
    return client if isinstance(client, Langfuse) else Langfuse(_handle=client)


__getattr__ = _fallthrough.names("_client.client")
