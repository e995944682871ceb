"""What becomes of the fields of an observation: metadata, usage and cost, model parameters, prompts, times."""

from __future__ import annotations

import collections
import datetime
import types

from library import attempt, langfuse
from programs.values import UTC, Colour, Point, Word


def metadata_that_is_no_dict():
    client = langfuse.get_client()
    for name, value in {"text": "t", "number": 5, "float": 1.5, "bool": True, "list": [1, {"a": 2}], "none": None, "point": Point(1, 2), "empty": ""}.items():
        client.start_observation(name=name, metadata=value).end()


def metadata_keys():
    client = langfuse.get_client()
    client.start_observation(
        name="one",
        metadata={"a.b": 1, "a b": 2, "ü": 3, "": 4, 5: 5, "a": {"b": 6}, "long" * 50: 7, "attributes": 8, "scope": {"name": 1}, True: 9, None: 10},
    ).end()


def metadata_that_is_a_mapping():
    client = langfuse.get_client()
    for name, value in {
        "ordered": collections.OrderedDict(a=1),
        "proxy": types.MappingProxyType({"a": 1}),
        "default": collections.defaultdict(int, a=1),
        "empty": {},
    }.items():
        client.start_observation(name=name, metadata=value).end()


def many_metadata_keys():
    client = langfuse.get_client()
    client.start_observation(name="hundred", metadata={f"key{at}": at for at in range(100)}).end()
    client.start_observation(name="two hundred", metadata={f"key{at}": at for at in range(200)}, output="kept").end()


def outputs():
    client = langfuse.get_client()
    for name, value in {"zero": 0, "false": False, "empty": "", "none": None, "list": [], "nested": {"a": [Point(1)]}}.items():
        with client.start_as_current_observation(name=name) as one:
            one.update(output=value)


def model_parameters():
    client = langfuse.get_client()
    for name, value in {
        "all": {"t": 0.5, "n": 1, "b": True, "s": "x", "l": ["a"], "none": None, "inf": float("inf"), "big": 2**60},
        "empty": {},
        "nested": {"tools": [{"name": "t"}], "format": {"type": "json"}},
        "objects": {"colour": Colour.RED, "at": datetime.date(2026, 1, 1)},
    }.items():
        client.start_observation(name=name, as_type="generation", model="m", model_parameters=value).end()


def usage_and_cost():
    client = langfuse.get_client()
    for name, usage, cost in (
        ("ints", {"input": 1, "output": 2, "total": 3}, {"input": 0.1, "total": 0.3}),
        ("more", {"input_cached": 5, "audio": 1}, {"total": 1}),
        ("floats", {"input": 1.0, "output": 2.5}, {"total": 0.0}),
        ("none", {"input": None, "output": 1}, {"total": None}),
        ("nested", {"input": 1, "details": {"cached": 2}}, {"input": {"a": 1}}),
        ("empty", {}, {}),
        ("large", {"input": 2**60}, {"total": 1e-12}),
        ("nan", {"input": 1}, {"total": float("nan")}),
    ):
        client.start_observation(name=name, as_type="generation", usage_details=usage, cost_details=cost).end()


def usage_of_libraries():
    class Usage:
        def __init__(self):
            self.prompt_tokens = 1
            self.completion_tokens = 2

    client = langfuse.get_client()
    attempt("object", lambda: client.start_observation(name="object", as_type="generation", usage_details=Usage()).end())
    attempt("counter", lambda: client.start_observation(name="counter", as_type="generation", usage_details=collections.Counter(input=2)).end())


def models_and_versions_of_other_types():
    client = langfuse.get_client()
    for name, value in {"number": 5, "enum": Word.A, "colour": Colour.RED, "empty": "", "float": 1.5}.items():
        attempt(name, lambda: client.start_observation(name=name, as_type="generation", model=value, version=value, status_message=value).end())


def completion_start_times():
    client = langfuse.get_client()
    for name, value in {
        "utc": datetime.datetime(2026, 1, 1, 12, tzinfo=UTC),
        "naive": datetime.datetime(2026, 1, 1, 12),
        "offset": datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=-3))),
        "text": "2026-01-01T12:00:00Z",
    }.items():
        attempt(name, lambda: client.start_observation(name=name, as_type="generation", completion_start_time=value).end())


def prompts_linked():
    client = langfuse.get_client()
    for kind in ("generation", "span", "agent", "embedding"):
        attempt(kind, lambda: client.start_observation(name=f"a {kind}", as_type=kind, prompt=_Prompt("greet", 3)).end())
    one = client.start_observation(name="updated", as_type="generation")
    attempt("update", one.update, prompt=_Prompt("later", 4))
    one.end()
    attempt("fallback", lambda: client.start_observation(name="fallback", as_type="generation", prompt=_Prompt("f", 0, True)).end())


class _Prompt:
    def __init__(self, name, version, is_fallback=False):
        self.name, self.version, self.is_fallback = name, version, is_fallback


def prompts_of_langfuse():
    from langfuse.api import Prompt_Text
    from langfuse.model import TextPromptClient

    prompt = Prompt_Text(name="greet", version=7, prompt="hi", config={}, labels=[], tags=[], commit_message=None, type="text")
    client = langfuse.get_client()
    client.start_observation(name="one", as_type="generation", prompt=TextPromptClient(prompt)).end()
    client.start_observation(name="two", as_type="generation", prompt=TextPromptClient(prompt, is_fallback=True)).end()
    with langfuse.propagate_attributes(prompt=TextPromptClient(prompt)):
        client.start_observation(name="three", as_type="generation").end()


def large_values():
    client = langfuse.get_client()
    client.start_observation(name="text", input="x" * 500_000).end()
    client.start_observation(name="list", input=[{"n": n, "text": "word " * 20} for n in range(2_000)]).end()


def conversations():
    client = langfuse.get_client()
    client.start_observation(
        name="chat",
        as_type="generation",
        input=[
            {"role": "system", "content": "Be ünïque."},
            {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}]},
        ],
        output={"role": "assistant", "content": "<b>yo</b>\n"},
    ).end()
