"""Template rules, side by side with the langfuse package: whatever it does with a prompt, ours does too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import langfuse.model as theirs
import pytest

import tracespool.langfuse.model as face
from tracespool import prompt as ours

TEXTS = [
    "",
    "plain",
    "{{a}}",
    "{{ a }} and {{a}}{{b}}",
    "{{\n a\t}}",
    "{{}}",
    "{{ }}",
    "{{a",
    "a}}",
    "{{a}} {{b",
    "{{a}}}} {{",
    "{{{a}}}",
    "{{{{a}}}}",
    "{{ {{a}} }}",
    "{{a{{b}}c}}",
    "{ {a} }",
    "{a} {{a}}",
    "{{unknown}} {{a}}",
    "{{a b}} {{a.b}} {{a-b}} {{é}}",
    "{{a}} \\{{a}}",
    '{"k": "{{a}}"}',
    '{ "k": {"n": [1, {"m": \'{{ b }}\'}]}} {{a}} {x}',
    "{\n  'k': 1 } } {",
    "}{}{",
    "{{a}}" * 50,
    "{" * 9 + "a" + "}" * 9,
]
VALUES: list[dict[str, Any]] = [
    {},
    {"a": "x"},
    {"a": None},
    {"a": 0, "b": False},
    {"a": [1, {"k": "v"}], "b": 1.5},
    {"a": "{{b}}", "b": "{{a}}"},
    {"": "empty", "a b": "spaced"},
    {"b": "}}", "é": "accent", "a.b": "dot"},
    {"unknown": b"bytes", "{a": "brace", "{{a": "braces"},
]
MESSAGES: list[list[dict[str, Any]]] = [
    [],
    [{"role": "user", "content": "hi {{a}}"}],
    [{"role": "system", "content": ""}, {"type": "placeholder", "name": "history"}, {"role": "user", "content": "{{a}} {{ b }}"}],
    [{"type": "placeholder", "name": "history"}, {"type": "placeholder", "name": "other"}],
    [{"role": "user", "content": '{"k": "{{a}}"} {{history}}'}],
]
PLACEHOLDERS: list[dict[str, Any]] = [
    {},
    {"history": []},
    {"history": [{"role": "user", "content": "{{a}} there"}], "a": "x"},
    {"history": [{"role": "assistant", "content": "c", "tool_calls": [{"id": "1"}]}, {"content": "no role"}, {"role": "user"}]},
    {"history": [{"foo": "bar"}]},
    {"history": ["text", {"role": "user", "content": "c"}, 7]},
    {"history": "text"},
    {"history": None, "other": {"role": "user", "content": "c"}},
    {"history": ({"role": "user", "content": "c"},)},
    {"a": None, "b": 3, "other": []},
]


def both(**fields: Any) -> tuple[Any, Any]:
    """The same prompt as theirs and as ours."""
    base = {"name": "p", "version": 3, "config": {"k": 1}, "labels": ["l"], "tags": [], "commit_message": None, **fields}
    chat = isinstance(base["prompt"], list)
    if chat:
        model: Any = theirs.Prompt_Chat(**base)
        return theirs.ChatPromptClient(model), ours.ChatPromptClient(SimpleNamespace(**base))
    model = theirs.Prompt_Text(**base)
    return theirs.TextPromptClient(model), ours.TextPromptClient(SimpleNamespace(**base))


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("text", TEXTS)
def test_texts(text: str, values: dict[str, Any]) -> None:
    reference, prompt = both(prompt=text)
    assert prompt.compile(**values) == reference.compile(**values)
    assert prompt.variables == reference.variables
    assert prompt.get_langchain_prompt(**values) == reference.get_langchain_prompt(**values)
    assert ours.TemplateParser.compile_template(text) == theirs.TemplateParser.compile_template(text)
    assert ours.TemplateParser.find_variable_names(text) == theirs.TemplateParser.find_variable_names(text)


@pytest.mark.parametrize("values", PLACEHOLDERS)
@pytest.mark.parametrize("messages", MESSAGES)
def test_chats(messages: list[dict[str, Any]], values: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    reference, prompt = both(prompt=messages)
    assert prompt.prompt == reference.prompt
    assert prompt.variables == reference.variables
    expected = reference.compile(**values)
    told = [record.message for record in caplog.records]
    caplog.clear()
    assert prompt.compile(**values) == expected
    assert [record.message for record in caplog.records] == told
    assert all(record.name == "tracespool" for record in caplog.records)


def test_chats_for_langchain() -> None:
    reference, prompt = both(prompt=MESSAGES[2])
    values = {"history": [{"role": "ai", "content": '{"k": {{a}}}'}], "b": "x"}
    assert prompt.get_langchain_prompt(**values) == reference.get_langchain_prompt(**values)
    try:
        from langchain_core.prompts.chat import MessagesPlaceholder
    except ImportError:
        with pytest.raises(ImportError, match="langchain_core"):
            prompt.get_langchain_prompt()
    else:
        assert prompt.get_langchain_prompt()[1] == MessagesPlaceholder(variable_name="history")


def test_messages_without_text_keep_what_they_have() -> None:
    # Theirs raises on these: calls of tools come without text, images as parts.
    _, prompt = both(prompt=MESSAGES[3])
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    parts = {"role": "user", "content": [{"type": "text", "text": "{{a}}"}]}
    assert prompt.compile(history=[call], other=[parts], a="x") == [call, parts]
    assert prompt.get_langchain_prompt(history=[call], other=[]) == [("assistant", None)]


def test_prompts_are_equal_when_they_say_the_same() -> None:
    for fields in ({"prompt": "x"}, {"prompt": MESSAGES[2]}):
        reference, prompt = both(**fields)
        same_reference, same = both(**fields, labels=["other"], tags=["other"], commit_message="other")
        assert (prompt == same) is (reference == same_reference) is True
        for other in ({"name": "q"}, {"version": 4}, {"config": {}}, {"prompt": fields["prompt"] * 2}):
            other_reference, different = both(**{**fields, **other})
            assert (prompt == different) is (reference == other_reference) is False
        assert (prompt == "p") is (reference == "p") is False
        for client in (reference, prompt):
            with pytest.raises(TypeError):
                hash(client)


def test_every_public_attribute_is_there() -> None:
    for fields in ({"prompt": "x"}, {"prompt": MESSAGES[2]}):
        reference, prompt = both(**fields)
        for name in dir(reference):
            if not name.startswith("_"):
                assert hasattr(prompt, name), name
        assert vars(prompt) == vars(reference)


def test_their_models_make_our_clients() -> None:
    chat = theirs.Prompt_Chat(name="p", version=1, prompt=MESSAGES[2], config={}, labels=[], tags=[])
    assert ours.ChatPromptClient(chat, is_fallback=True).prompt == theirs.ChatPromptClient(chat).prompt
    assert ours.ChatPromptClient(prompt=chat).is_fallback is False


def test_the_face_has_the_names_of_langfuses_module() -> None:
    own = {
        name
        for name in dir(theirs)
        if not name.startswith("_") and name not in ("ABC", "abstractmethod", "langfuse_logger", "re") and not hasattr(__import__("typing"), name)
    }
    missing = {name for name in own if not hasattr(face, name)}
    assert not missing, missing
    assert face.TextPromptClient is ours.TextPromptClient
    for name in ("ChatMessageDict", "ChatMessageWithPlaceholdersDict_Message", "ChatMessageWithPlaceholdersDict_Placeholder"):
        assert getattr(face, name).__annotations__.keys() == getattr(theirs, name).__annotations__.keys()
    with pytest.raises(AttributeError):
        face.nothing_of_this_name  # noqa: B018
