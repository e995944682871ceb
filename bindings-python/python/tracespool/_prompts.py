"""Asking for prompts: arguments in, objects or errors out. Fetching, caching and waiting are the core's; see docs/prompts.md."""

from __future__ import annotations

import json
import logging
import time
from types import SimpleNamespace

from tracespool import _waiting, errors
from tracespool.prompt import ChatPromptClient, TextPromptClient

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from typing import Any

    from tracespool._native import Client, PromptTicket

    PromptClient = TextPromptClient | ChatPromptClient

_log = logging.getLogger("tracespool")

_RETRIES, _MOST_RETRIES = 2, 4
_TELL_AGAIN = 60.0
_told: dict[tuple[str, str], float] = {}


class Wanted:
    """What a caller of `get_prompt` asks for."""

    def __init__(
        self,
        name: str,
        version: int | None,
        label: str | None,
        type: str,
        cache_ttl_seconds: float | None,
        fallback: Any,
        max_retries: int | None,
        fetch_timeout_seconds: float | None,
    ) -> None:
        if version is not None and label is not None:
            raise ValueError("Cannot specify both version and label at the same time.")
        if not name:
            raise ValueError("Prompt name cannot be empty.")
        self.name, self.version, self.label, self.type = name, version, label, type
        self.fallback = fallback or None
        self.ttl = _number("cache_ttl_seconds", cache_ttl_seconds, 0)
        self.timeout = _number("fetch_timeout_seconds", fetch_timeout_seconds, None)
        retries = _number("max_retries", max_retries, 0)
        self.retries = _RETRIES if retries is None else min(int(retries), _MOST_RETRIES)

    def begin(self, client: Client) -> PromptTicket:
        """Returns at once."""
        return client.begin_get_prompt(
            self.name,
            chat=self.type == "chat",
            version=self.version,
            label=self.label or None,
            ttl=self.ttl,
            fallback=self.fallback is not None,
            retries=self.retries,
            timeout=self.timeout,
        )

    def made(self, answer: dict[str, Any]) -> PromptClient:
        """The prompt; the fallback where there is none."""
        if "error" not in answer or self.fallback is None:
            return made(answer)
        self._tell(error(answer))
        given = SimpleNamespace(
            name=self.name,
            version=self.version or 0,
            prompt=self.fallback,
            config={},
            labels=[self.label] if self.label else [],
            tags=[],
            commit_message=None,
        )
        if self.type == "chat":
            if not isinstance(self.fallback, list):
                raise ValueError("fallback of a chat prompt must be a list of messages")
            return ChatPromptClient(given, is_fallback=True)
        if not isinstance(self.fallback, str):
            raise ValueError("fallback of a text prompt must be a str; pass type='chat' for a list of messages")
        return TextPromptClient(given, is_fallback=True)

    def _tell(self, reason: Exception) -> None:
        """Once a minute for each prompt: a service asks at every request."""
        which = (self.name, str(self.version or self.label or ""))
        now = time.monotonic()
        if now - _told.get(which, -_TELL_AGAIN) < _TELL_AGAIN:
            return
        if len(_told) >= 1000:
            _told.clear()
        _told[which] = now
        _log.warning("prompt %r cannot be fetched, the fallback is used: %s", self.name, reason)


def _number(argument: str, value: Any, least: float | None) -> float | None:
    """A number; `least` for what is below it. What is none, or not above zero without a `least`, counts as not given."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or (least is None and value <= 0):
        _log.warning("%s=%r is no usable number; the default is used", argument, value)
        return None
    return float(value if least is None else max(value, least))


def made(answer: dict[str, Any]) -> PromptClient:
    """The prompt that an answer brings; raises the error that it is."""
    if "error" in answer:
        raise error(answer)
    config = answer["config"]
    answer["config"] = {} if config == "{}" else json.loads(config)
    if answer["type"] == "text":
        return TextPromptClient(SimpleNamespace(**answer))
    answer["prompt"] = json.loads(answer["prompt"])
    return ChatPromptClient(SimpleNamespace(**answer))


def error(answer: dict[str, Any]) -> errors.ApiError:
    """The error that an answer is."""
    if answer["error"] == "refused":
        return errors.of_status(answer["status"], answer["detail"])
    return errors.not_answered(answer["detail"], answer["error"] == "timeout")


def begin_create(
    client: Client,
    name: str,
    prompt: Any,
    labels: list[str],
    tags: list[str] | None,
    type: str | None,
    config: Any,
    commit_message: str | None,
) -> PromptTicket:
    """Checks the arguments and returns at once."""
    if type == "chat":
        if not isinstance(prompt, list):
            raise ValueError("For 'chat' type, 'prompt' must be a list of chat messages with role and content attributes.")
        prompt = [_sent(message) for message in prompt]
    elif not isinstance(prompt, str):
        raise ValueError("For 'text' type, 'prompt' must be a string.")
    body = {
        "name": name,
        "type": "chat" if type == "chat" else "text",
        "prompt": prompt,
        "labels": labels,
        "config": config or {},
        **({} if tags is None else {"tags": tags}),
        **({} if commit_message is None else {"commitMessage": commit_message}),
    }
    return client.begin_create_prompt(name, json.dumps(body, default=_plain))


def begin_update(client: Client, name: str, version: int, new_labels: list[str]) -> PromptTicket:
    """Returns at once."""
    return client.begin_update_prompt(name, version, json.dumps({"newLabels": new_labels}))


async def arrival(ticket: PromptTicket) -> dict[str, Any]:
    """Waits for an answer without blocking the event loop."""
    return await _waiting.arrival(ticket.poll)


def _sent(message: Any) -> Any:
    """A message as the server takes it: `ChatPromptClient.prompt` marks messages, the server only placeholders."""
    if isinstance(message, dict) and message.get("type") == "message":
        return {key: value for key, value in message.items() if key != "type"}
    return message


def _plain(value: Any) -> Any:
    """What JSON has no form for: models and dataclasses as objects, sets and tuples as lists, the rest as text."""
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, (set, frozenset)):
        return list(value)
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    return str(value)
