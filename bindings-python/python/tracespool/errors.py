"""What requests to the server raise: the classes of Langfuse's SDK by name and attributes.

A program that imports Langfuse's own classes (or httpx's, which that SDK lets through) and catches them catches ours too:
where those modules are loaded, what is raised is of both classes. Nothing is imported for that.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any


class ApiError(Exception):
    """The server refused a request: its status and the body of its answer, as JSON where it is that."""

    def __init__(
        self, *, headers: dict[str, str] | None = None, status_code: int | None = None, body: Any = None
    ) -> None:
        # Not `super().__init__`: where this is of their class too, that would be theirs.
        self.args = (status_code, body)
        self.headers = headers
        self.status_code = status_code
        self.body = body

    def __reduce__(self) -> Any:
        return _again, (type(self).__name__, self.status_code, self.body)

    def __str__(self) -> str:
        return f"status_code: {self.status_code}, body: {self.body}"


class Error(ApiError):
    """The request is not acceptable (400), or the client has no usable keys."""


class UnauthorizedError(ApiError):
    """The server does not know the keys (401)."""


class AccessDeniedError(ApiError):
    """The keys may not do this (403)."""


class NotFoundError(ApiError):
    """There is no such thing (404)."""


class MethodNotAllowedError(ApiError):
    """The server does not do this (405)."""


class NoAnswerError(ApiError, ConnectionError):
    """No answer came from the server, or none that could be read. It has no status."""


class RequestTimeoutError(NoAnswerError, TimeoutError):
    """No answer came in time."""


_BY_STATUS = {
    400: Error,
    401: UnauthorizedError,
    403: AccessDeniedError,
    404: NotFoundError,
    405: MethodNotAllowedError,
}
_MODULES = {
    Error: "error",
    UnauthorizedError: "unauthorized_error",
    AccessDeniedError: "access_denied_error",
    NotFoundError: "not_found_error",
    MethodNotAllowedError: "method_not_allowed_error",
}
# Langfuse's own package, and its copy below ours.
_HOMES = ("langfuse.api", "tracespool.langfuse._installed.api")


def _again(name: str, status_code: int | None, body: Any) -> ApiError:
    """An error that comes from another process."""
    return _with_theirs(globals()[name])(status_code=status_code, body=body)


def of_status(status: int, detail: str) -> ApiError:
    """The error that an answer is."""
    import json

    try:
        body: Any = json.loads(detail)
    except ValueError:
        body = detail
    return _with_theirs(_BY_STATUS.get(status, ApiError))(status_code=status, body=body)


def not_answered(detail: str, timed_out: bool) -> NoAnswerError:
    """The error that a missing answer is."""
    return _with_theirs(RequestTimeoutError if timed_out else NoAnswerError)(body=detail)


def _with_theirs(ours: type[Any]) -> type[Any]:
    """A class that is theirs too, as far as a program could have got hold of theirs."""
    theirs: list[type] = []
    if issubclass(ours, NoAnswerError):
        httpx = sys.modules.get("httpx")
        name = "ReadTimeout" if issubclass(ours, RequestTimeoutError) else "ConnectError"
        theirs.append(getattr(httpx, name, None))  # type: ignore[arg-type]
    else:
        for home in _HOMES:
            named = sys.modules.get(f"{home}.commons.errors.{_MODULES.get(ours, '')}")
            base = sys.modules.get(f"{home}.core.api_error")
            theirs.append(getattr(named, ours.__name__, None) or getattr(base, "ApiError", None))
    bases = (ours, *(cls for cls in theirs if isinstance(cls, type)))
    if len(bases) == 1:
        return ours
    # Their `__init__` is not run, so that what it wants need not be known.
    return type(ours.__name__, bases, {"__module__": ours.__module__, "__doc__": ours.__doc__})
