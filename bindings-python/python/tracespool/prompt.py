"""Prompts as applications see them, with the attributes, methods and template rules of Langfuse's SDK.

`{{ name }}` stands for a variable: white space around the name does not count, a variable that is not passed stays as it
is, `None` becomes nothing, anything else becomes `str(value)`. Nothing is parsed inside a value.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` for annotations costs a megabyte
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


class TemplateParser:
    """The template rules, on text."""

    OPENING = "{{"
    CLOSING = "}}"

    @staticmethod
    def find_variable_names(content: str) -> list[str]:
        """The names in the order in which they stand, as often as they stand."""
        return [name for name, _, _ in _variables(content)]

    @staticmethod
    def compile_template(content: str, data: Mapping[str, Any] | None = None) -> str:
        """`content` with the variables of `data` in their places."""
        if data is None:
            return content
        pieces: list[str] = []
        at = 0
        for name, start, end in _variables(content):
            if name in data:
                value = data[name]
                pieces += content[at:start], "" if value is None else str(value)
                at = end
        return "".join(pieces) + content[at:]


def _variables(content: str) -> Iterator[tuple[str, int, int]]:
    """Name, start and end of each `{{ name }}`, from left to right."""
    end = 0
    while True:
        start = content.find("{{", end)
        close = content.find("}}", start) if start >= 0 else -1
        if close < 0:
            return
        end = close + 2
        yield content[start + 2 : close].strip(), start, end


class BasePromptClient:
    """What text and chat prompts have in common."""

    name: str
    version: int
    config: Any
    labels: list[str]
    tags: list[str]
    commit_message: str | None
    is_fallback: bool
    prompt: Any

    def __init__(self, prompt: Any, is_fallback: bool = False) -> None:
        self.name = prompt.name
        self.version = prompt.version
        self.config = prompt.config
        self.labels = prompt.labels
        self.tags = prompt.tags
        self.commit_message = prompt.commit_message
        self.is_fallback = is_fallback

    def __repr__(self) -> str:
        kind = "fallback of " if self.is_fallback else ""
        return f"<{type(self).__name__} {kind}{self.name!r} version {self.version}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return False
        ours = (self.name, self.version, self.prompt, self.config)
        return ours == (other.name, other.version, other.prompt, other.config)

    __hash__ = None  # type: ignore[assignment]

    @property
    def variables(self) -> list[str]:
        """The variables of the template, in the order in which they stand."""
        raise NotImplementedError

    def compile(self, **kwargs: Any) -> Any:
        """The prompt with variables filled in."""
        raise NotImplementedError

    def get_langchain_prompt(self, **kwargs: Any) -> Any:
        """The prompt as LangChain's templates want it."""
        raise NotImplementedError

    @staticmethod
    def _get_langchain_prompt_string(content: str) -> str:
        import re

        return re.sub(r"{{\s*(\w+)\s*}}", r"{\g<1>}", BasePromptClient._escape_json_for_langchain(content))

    @staticmethod
    def _escape_json_for_langchain(text: str) -> str:
        """Doubles single braces that belong to JSON: those that a quote follows, and the ones that close them."""
        import re

        quote_follows = re.compile(r"\s*['\"]").match
        out: list[str] = []
        doubled: list[bool] = []
        at = 0
        while at < len(text):
            char = text[at]
            if char not in "{}":
                out.append(char)
            elif text.startswith(char, at + 1):
                out.append(char + char)
                at += 1
            else:
                if char == "{":
                    is_json = quote_follows(text, at + 1) is not None
                    doubled.append(is_json)
                else:
                    is_json = doubled.pop() if doubled else False
                out.append(char + char if is_json else char)
            at += 1
        return "".join(out)


class TextPromptClient(BasePromptClient):
    """A prompt that is one text."""

    prompt: str

    def __init__(self, prompt: Any, is_fallback: bool = False) -> None:
        super().__init__(prompt, is_fallback)
        self.prompt = prompt.prompt

    def compile(self, **kwargs: Any) -> str:
        """The text with variables filled in."""
        return TemplateParser.compile_template(self.prompt, kwargs)

    @property
    def variables(self) -> list[str]:
        """The variables of the text, in the order in which they stand."""
        return TemplateParser.find_variable_names(self.prompt)

    def get_langchain_prompt(self, **kwargs: Any) -> str:
        """The text for LangChain's `PromptTemplate`: `{variable}` instead of `{{variable}}`, braces of JSON doubled."""
        text = self.compile(**kwargs) if kwargs else self.prompt
        return self._get_langchain_prompt_string(text)


class ChatPromptClient(BasePromptClient):
    """A prompt that is a list of messages and placeholders for messages."""

    prompt: list[dict[str, Any]]

    def __init__(self, prompt: Any, is_fallback: bool = False) -> None:
        super().__init__(prompt, is_fallback)
        self.prompt = [message for message in map(_message, prompt.prompt) if message is not None]

    def compile(self, **kwargs: Any) -> list[dict[str, Any]]:
        """The messages with variables filled in and placeholders replaced by the messages passed for them.

        A placeholder for which nothing is passed stays, with a warning; what is no message becomes one as text.
        """
        compiled: list[dict[str, Any]] = []
        unresolved: list[str] = []
        for message in self.prompt:
            if message["type"] == "message":
                content = TemplateParser.compile_template(message["content"], kwargs)
                compiled.append({"role": message["role"], "content": content})
            elif message["name"] in kwargs:
                compiled += _filled(message["name"], kwargs)
            else:
                compiled.append(message)
                unresolved.append(message["name"])
        if unresolved:
            _warn(
                "Placeholders %s have not been resolved. Pass them as keyword arguments to compile().", unresolved
            )
        return compiled

    @property
    def variables(self) -> list[str]:
        """The variables of all messages, in the order in which they stand."""
        texts = (message["content"] for message in self.prompt if message["type"] == "message")
        return [name for text in texts for name in TemplateParser.find_variable_names(text)]

    def get_langchain_prompt(self, **kwargs: Any) -> list[Any]:
        """`(role, content)` pairs for LangChain's `ChatPromptTemplate`; placeholders that stay are `MessagesPlaceholder`s."""
        messages: list[Any] = []
        for message in self.compile(**kwargs):
            if message.get("type") == "placeholder":
                messages.append(_langchain_placeholder(message["name"]))
                continue
            content = message["content"]
            messages.append(
                (message["role"], self._get_langchain_prompt_string(content) if isinstance(content, str) else content)
            )
        return messages


def _message(item: Any) -> dict[str, Any] | None:
    """A message or placeholder of a prompt, from a dict or an object with such attributes."""
    if not isinstance(item, dict):
        names = ("type", "name", "role", "content")
        item = {name: getattr(item, name) for name in names if hasattr(item, name)}
    if item.get("type") == "placeholder" and "name" in item:
        return {"type": "placeholder", "name": item["name"]}
    if "role" in item and "content" in item:
        return {"type": "message", "role": item["role"], "content": item["content"]}
    return None


def _filled(name: str, kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages that are passed for a placeholder."""
    value = kwargs[name]
    if not isinstance(value, list):
        _warn("Placeholder '%s' must contain a list of chat messages, got %s", name, type(value))
        return [{"role": "NOT_GIVEN", "content": str(value)}]
    filled: list[dict[str, Any]] = []
    for message in value:
        if isinstance(message, dict):
            content = message.get("content", "")
            if isinstance(content, str):  # calls of tools come without text, images as parts
                content = TemplateParser.compile_template(content, kwargs)
            # Whatever else it has stays: tool calls.
            filled.append({**message, "role": message.get("role", "NOT_GIVEN"), "content": content})
        else:
            filled.append({"role": "NOT_GIVEN", "content": str(value)})
            _warn(
                "Placeholder '%s' should contain a list of chat messages with 'role' and 'content' fields."
                " Appended as string.",
                name,
            )
    return filled


def _langchain_placeholder(name: str) -> Any:
    try:
        from langchain_core.prompts.chat import MessagesPlaceholder
    except ImportError as error:
        raise ImportError(
            "langchain_core is required to use get_langchain_prompt() with unresolved placeholders."
        ) from error
    return MessagesPlaceholder(variable_name=name)


def _warn(message: str, *args: Any) -> None:
    import logging

    logging.getLogger("tracespool").warning(message, *args)
