"""`langfuse.model`: prompts and the types of their parts."""

from typing import Any, Literal, TypedDict, Union

from tracespool.prompt import BasePromptClient, ChatPromptClient, TemplateParser, TextPromptClient

PromptClient = Union[TextPromptClient, ChatPromptClient]


class ChatMessageDict(TypedDict):
    """A compiled message."""

    role: str
    content: str


class ChatMessagePlaceholderDict(TypedDict):
    """A message in a placeholder's place."""

    role: str
    content: str


class ChatMessageWithPlaceholdersDict_Message(TypedDict):  # noqa: N801 - Langfuse's name
    """A message of a prompt."""

    type: Literal["message"]
    role: str
    content: str


class ChatMessageWithPlaceholdersDict_Placeholder(TypedDict):  # noqa: N801 - Langfuse's name
    """A placeholder of a prompt."""

    type: Literal["placeholder"]
    name: str


ChatMessageWithPlaceholdersDict = Union[
    ChatMessageWithPlaceholdersDict_Message, ChatMessageWithPlaceholdersDict_Placeholder
]

# Models of the REST interface, which Langfuse's package has.
_OF_THE_API = frozenset(
    {
        "CreateDatasetItemRequest",
        "CreateDatasetRequest",
        "Dataset",
        "DatasetItem",
        "DatasetStatus",
        "MapValue",
        "Prompt",
        "Prompt_Chat",
        "Prompt_Text",
    }
)


def __getattr__(name: str) -> Any:
    if name not in _OF_THE_API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        api = import_module("tracespool.langfuse.api")
    except ModuleNotFoundError:
        api = import_module("langfuse.api")
    return getattr(api, name)


__all__ = [
    "BasePromptClient",
    "ChatMessageDict",
    "ChatMessagePlaceholderDict",
    "ChatMessageWithPlaceholdersDict",
    "ChatMessageWithPlaceholdersDict_Message",
    "ChatMessageWithPlaceholdersDict_Placeholder",
    "ChatPromptClient",
    "PromptClient",
    "TemplateParser",
    "TextPromptClient",
]
