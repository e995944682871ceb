"""Media in values: pictures, sound, documents.

Base64 in a message is found by itself; `LangfuseMedia` wraps what is not base64, or stands at an unusual place. What goes
into the trace is a reference; the content is uploaded apart from it, once for each client.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, TypedDict, TypeVar

    from tracespool._client import Client

    T = TypeVar("T")

    class ParsedMediaReference(TypedDict):
        """What a reference says."""

        media_id: str
        source: str
        content_type: str


__all__ = ["LangfuseMedia", "LangfuseMediaReference", "MediaError"]

_log = logging.getLogger("tracespool")
_BEGIN = "@@@langfuseMedia:"
_END = "@@@"


class MediaError(OSError):
    """A content could not be fetched."""


@dataclass(frozen=True)
class LangfuseMediaReference:
    """A content that is stored on the server, and a signed address of it."""

    media_id: str
    content_type: str
    url: str
    url_expiry: str | None = None
    content_length: int | None = None
    reference_string: str | None = None

    def is_url_expired(self) -> bool:
        """Whether the address is no longer good; False where that is not known."""
        from datetime import datetime, timezone

        if self.url_expiry is None:
            return False
        try:
            expiry = datetime.fromisoformat(self.url_expiry.replace("Z", "+00:00"))
        except ValueError:
            return False
        if expiry.tzinfo is None:
            expiry = expiry.replace(tzinfo=timezone.utc)
        return expiry <= datetime.now(timezone.utc)

    def fetch_bytes(self, *, timeout: float = 30.0, client: Any = None) -> bytes:
        """The content. `timeout` (seconds) covers all of it; `client` is an `httpx.Client` to fetch it with.

        Raises `MediaError` where no content comes (with `client`, what that raises).
        """
        if client is not None:
            response = client.get(self.url, timeout=timeout)
            response.raise_for_status()
            return response.content
        from tracespool import get_client

        return _content(get_client(), self.url, timeout)

    def fetch_base64(self, *, timeout: float = 30.0, client: Any = None) -> str:
        """The content as base64; see `fetch_bytes`."""
        import base64

        return base64.b64encode(self.fetch_bytes(timeout=timeout, client=client)).decode()

    def fetch_data_uri(self, *, timeout: float = 30.0, client: Any = None) -> str:
        """The content as a data URI; see `fetch_bytes`."""
        return f"data:{self.content_type};base64,{self.fetch_base64(timeout=timeout, client=client)}"


class LangfuseMedia:
    """A content to be uploaded: a base64 data URI, bytes with their type, or a file with its type.

    Never raises: of what cannot be used it holds nothing, with one warning, and the trace says so in its place. `obj` is kept
    and not looked at.
    """

    obj: object
    _content_bytes: bytes | None
    _content_type: str | None
    _source: str | None
    _media_id: str | None

    def __init__(
        self,
        *,
        obj: object = None,
        base64_data_uri: str | None = None,
        content_type: str | None = None,
        content_bytes: bytes | None = None,
        file_path: str | os.PathLike[str] | None = None,
    ) -> None:
        self.obj = obj
        self._content_bytes = self._content_type = self._source = self._media_id = self._sha256 = None
        if base64_data_uri is not None:
            self._take_data_uri(base64_data_uri)
        elif content_bytes is not None and content_type is not None:
            self._take_bytes(content_bytes, content_type)
        elif file_path is not None and content_type is not None:
            self._take_file(file_path, content_type)
        else:
            _log.warning(
                "LangfuseMedia needs base64_data_uri, or content_bytes and content_type, or file_path and content_type; "
                "it is empty"
            )

    def _take_data_uri(self, uri: str) -> None:
        self._source = "base64_data_uri"
        problem = "is no str"
        if isinstance(uri, str):
            head, comma, data = uri.partition(",")
            parameters = head[5:].split(";")
            problem = "is no `data:<type>;base64,<content>`"
            if head.startswith("data:") and comma and data and parameters[0] and "base64" in parameters:
                import base64
                import binascii

                try:
                    content = base64.b64decode(data.translate({45: 43, 95: 47}))
                except (ValueError, binascii.Error) as error:
                    problem = f"holds no base64 ({error})"
                else:
                    self._keep(content, parameters[0])
                    return
        _log.warning("LangfuseMedia: base64_data_uri %s; it is empty", problem)

    def _take_bytes(self, content: bytes, content_type: str) -> None:
        if isinstance(content, (bytes, bytearray, memoryview)) and isinstance(content_type, str):
            self._source = "bytes"
            self._keep(bytes(content), content_type)
        else:
            _log.warning("LangfuseMedia: content_bytes is no bytes, or content_type no str; it is empty")

    def _take_file(self, path: str | os.PathLike[str], content_type: str) -> None:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except (OSError, TypeError, ValueError) as error:
            _log.warning("LangfuseMedia: file_path %r cannot be read (%s); it is empty", str(path)[:200], error)
            return
        if content:
            self._source = "file"
            self._keep(content, content_type)
        else:
            _log.warning("LangfuseMedia: file_path %r is an empty file", str(path)[:200])

    def _keep(self, content: bytes, content_type: str) -> None:
        import base64
        import hashlib

        self._content_bytes, self._content_type = content, content_type
        self._sha256 = base64.b64encode(hashlib.sha256(content).digest()).decode()
        self._media_id = self._sha256.translate({43: "-", 47: "_"})[:22]

    @property
    def _content_length(self) -> int | None:
        return len(self._content_bytes) if self._content_bytes else None

    @property
    def _content_sha256_hash(self) -> str | None:
        return self._sha256

    @property
    def _reference_string(self) -> str | None:
        if self._content_type is None or self._source is None or self._media_id is None:
            return None
        return f"{_BEGIN}type={self._content_type}|id={self._media_id}|source={self._source}{_END}"

    def __repr__(self) -> str:
        return f"<LangfuseMedia {self._content_type} {self._media_id}, {self._content_length or 0} bytes>"

    @staticmethod
    def parse_reference_string(reference_string: str) -> ParsedMediaReference:
        """What a reference says. Raises `ValueError` where it is none."""
        if not reference_string:
            raise ValueError("Reference string is empty")
        if not isinstance(reference_string, str):
            raise ValueError("Reference string is not a string")
        if not reference_string.startswith(f"{_BEGIN}type="):
            raise ValueError(f"Reference string does not start with '{_BEGIN}type='")
        if not reference_string.endswith(_END):
            raise ValueError(f"Reference string does not end with '{_END}'")
        said = {}
        for pair in reference_string[len(_BEGIN) :].rstrip("@").split("|"):
            name, equals, value = pair.partition("=")
            if not equals:
                raise ValueError(f"Reference string holds {pair[:60]!r}, which is no name=value")
            said[name] = value
        if not {"type", "id", "source"} <= said.keys():
            raise ValueError("Missing required fields in reference string")
        return {"media_id": said["id"], "source": said["source"], "content_type": said["type"]}

    @staticmethod
    def resolve_media_references(
        *,
        obj: T,
        langfuse_client: Client,
        resolve_with: Literal["base64_data_uri"] = "base64_data_uri",
        max_depth: int = 10,
        content_fetch_timeout_seconds: float = 10,
    ) -> T:
        """A copy of `obj` with the contents, as data URIs, in the place of references to them.

        Looks into text, lists and dicts, and makes dicts of other objects with attributes, `max_depth` levels deep. A content
        that cannot be fetched in time leaves its reference, with one warning. Waits for the server.
        """
        if resolve_with != "base64_data_uri":
            _log.warning("resolve_with %r is not known; base64_data_uri is used", str(resolve_with)[:60])
        return _Resolver(langfuse_client, max_depth, content_fetch_timeout_seconds).value(obj, 0)


class _Resolver:
    """Fetches each content once."""

    def __init__(self, client: Client, max_depth: int, timeout: float) -> None:
        import re

        self._client = client
        self._max_depth = max_depth
        self._timeout = timeout
        self._references = re.compile(f"{_BEGIN}.+?{_END}")
        self._known: dict[str, str] = {}

    def value(self, value: Any, depth: int) -> Any:
        if depth > self._max_depth:
            return value
        if isinstance(value, str):
            return self._references.sub(lambda found: self._resolved(found[0]), value) if _BEGIN in value else value
        if isinstance(value, list):
            return [self.value(item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {key: self.value(item, depth + 1) for key, item in value.items()}
        if hasattr(value, "__dict__"):
            return {key: self.value(item, depth + 1) for key, item in value.__dict__.items()}
        return value

    def _resolved(self, reference: str) -> str:
        if reference not in self._known:
            self._known[reference] = self._fetched(reference)
        return self._known[reference]

    def _fetched(self, reference: str) -> str:
        import base64
        import json
        from urllib.parse import quote

        try:
            media_id = LangfuseMedia.parse_reference_string(reference)["media_id"]
            stored = json.loads(_content(self._client, f"/api/public/media/{quote(media_id, safe='')}", self._timeout))
            content = _content(self._client, stored["url"], self._timeout)
            return f"data:{stored['contentType']};base64,{base64.b64encode(content).decode()}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("the media of %s cannot be fetched, the reference stays: %s", reference[:200], error)
            return reference


def _content(client: Client, place: str, timeout: float) -> bytes:
    """What a path below the client's base URL, or an absolute address (without our credentials), answers."""
    status, content = client._fetch(place, timeout)
    if status != 200:
        raise MediaError(f"the server answered {status}" if status else content.decode(errors="replace"))
    return content
