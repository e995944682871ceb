"""Streamed answers, put together chunk by chunk. Text is kept up to a bound; chunks themselves are not kept."""

from __future__ import annotations

from tracespool.integrations import _openai_answer
from tracespool.integrations._openai_answer import part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Characters of one streamed answer that are kept: a model's longest answer is well below.
MAX_TEXT = 1024 * 1024
# Choices and tool calls of one answer that are told apart.
_MAX_PARTS = 128


class Text:
    """Pieces of text up to what its answer may still keep."""

    __slots__ = ("_room", "lost", "pieces", "told")

    def __init__(self, room: list[int]) -> None:
        self.pieces: list[str] = []
        self._room = room
        self.lost = 0
        self.told = False

    def add(self, piece: Any) -> None:
        if not isinstance(piece, str):
            return
        self.told = True
        room = self._room[0]
        if len(piece) > room:
            self.lost += len(piece) - room
            piece = piece[:room]
        if piece:
            self._room[0] = room - len(piece)
            self.pieces.append(piece)

    def __bool__(self) -> bool:
        return bool(self.pieces) or self.lost > 0

    def __str__(self) -> str:
        text = "".join(self.pieces)
        return f"{text}[truncated {self.lost} characters]" if self.lost else text


class _Call:
    """A function or tool call that arrives in pieces."""

    __slots__ = ("arguments", "id", "kind", "name")

    def __init__(self, room: list[int]) -> None:
        self.id: Any = None
        self.kind: Any = None
        self.name = Text(room)
        self.arguments = Text(room)

    def add(self, function: Any) -> None:
        if function is not None:
            if not self.name:
                self.name.add(part(function, "name"))
            self.arguments.add(part(function, "arguments"))

    def function(self) -> dict[str, str]:
        return {"name": str(self.name), "arguments": str(self.arguments)}

    def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"function": self.function()}
        if self.id is not None:
            shown["id"] = self.id
        if self.kind is not None:
            shown["type"] = self.kind
        return shown


class _Choice:
    __slots__ = ("calls", "content", "function", "refusal", "room")

    def __init__(self, room: list[int]) -> None:
        self.room = room
        self.content = Text(room)
        self.refusal = Text(room)
        self.calls: dict[int, _Call] = {}
        self.function: _Call | None = None

    def add(self, delta: Any) -> None:
        self.content.add(part(delta, "content"))
        self.refusal.add(part(delta, "refusal"))
        if (function := part(delta, "function_call")) is not None:
            if self.function is None:
                self.function = _Call(self.room)
            self.function.add(function)
        for piece in part(delta, "tool_calls") or ():
            at = part(piece, "index")
            if not isinstance(at, int):
                at = max(len(self.calls) - 1, 0)
            call = self.calls.get(at)
            if call is None:
                if len(self.calls) >= _MAX_PARTS:
                    continue
                call = self.calls[at] = _Call(self.room)
            call.id = part(piece, "id") or call.id
            call.kind = part(piece, "type") or call.kind
            call.add(part(piece, "function"))

    def shown(self) -> Any:
        more: dict[str, Any] = {}
        if self.calls:
            more["tool_calls"] = [self.calls[at].shown() for at in sorted(self.calls)]
        elif self.function is not None:
            more["function_call"] = self.function.function()
        if self.refusal:
            more["refusal"] = str(self.refusal)
        if not more:
            return str(self.content) if self.content else None
        if self.content.told:
            more["content"] = str(self.content)
        return {"role": "assistant", **more}


class Chunks:
    """A streamed answer of the chat or the completions API."""

    def __init__(self, kind: str) -> None:
        self._chat = kind == "chat"
        self._room = [MAX_TEXT]
        self._choices: dict[int, _Choice] = {}
        self._model: Any = None
        self._usage: Any = None
        self._tier: Any = None
        self._reason: Any = None

    def add(self, chunk: Any) -> None:
        self._model = self._model or part(chunk, "model")
        self._tier = self._tier or part(chunk, "service_tier")
        usage = part(chunk, "usage")
        if usage is not None:
            self._usage = usage
        for said in part(chunk, "choices") or ():
            at = part(said, "index")
            at = at if isinstance(at, int) else 0
            choice = self._choices.get(at)
            if choice is None:
                if len(self._choices) >= _MAX_PARTS:
                    continue
                choice = self._choices[at] = _Choice(self._room)
            if self._chat:
                self._reason = part(said, "finish_reason") or self._reason
                delta = part(said, "delta")
                if delta is not None:
                    choice.add(delta)
            else:
                choice.content.add(part(said, "text"))

    def fields(self, parameters: dict[str, Any]) -> dict[str, Any]:
        shown = [self._choices[at].shown() for at in sorted(self._choices)]
        said: dict[str, Any] = {"output": shown if len(shown) > 1 else shown[0] if shown else None}
        if self._reason is not None:
            said["metadata"] = {"finish_reason": self._reason}
        return {**said, **_openai_answer.about(self._model, self._usage, self._tier, parameters)}


class Events:
    """A streamed answer of the Responses API: the last event that carries the whole answer says it all."""

    def __init__(self) -> None:
        self._response: Any = None
        self._usage: Any = None
        self._text = Text([MAX_TEXT])

    def add(self, event: Any) -> None:
        response = part(event, "response")
        if response is not None:
            self._response = response
            self._usage = part(event, "usage") or part(response, "usage")
        elif part(event, "type") == "response.output_text.delta":
            self._text.add(part(event, "delta"))

    def fields(self, parameters: dict[str, Any]) -> dict[str, Any]:
        response = self._response
        if response is None:
            return {"output": str(self._text) if self._text else None}
        output = _openai_answer.items(part(response, "output"))
        if output is None and self._text:
            output = str(self._text)  # left before its end
        return {
            "output": output,
            "metadata": _openai_answer.response_metadata(response),
            **_openai_answer.about(part(response, "model"), self._usage, part(response, "service_tier"), parameters),
        }


def collector(kind: str) -> Chunks | Events:
    """What puts a streamed answer together."""
    return Events() if kind == "responses" else Chunks(kind)
