"""The README's own code runs as it stands."""

from __future__ import annotations

import re

from examples.demo.collector import ROOT
from program import environment

def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_drop_in_import_is_there(receiver, program):
    drop_in, _, _ = blocks()
    source = drop_in + (
        "\n@observe()\ndef work(text):\n    return text.upper()\n"
        "with propagate_attributes(user_id='user-7'):\n    work('hello')\n"
        "get_client().flush()\nassert isinstance(get_client(), Langfuse)\n"
    )
    ended = program(source).run(environment(receiver.url))
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert receiver.whole() == (1, 0, 0, 0)


def test_the_quick_start_traces(receiver, program):
    _, start, besides = blocks()
    assert "https://langfuse.example.com" in start
    source = start.replace("https://langfuse.example.com", receiver.url) + besides
    ended = program(source).run(environment(receiver.url))
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert receiver.whole() == (2, 1, 0, 0)


def test_every_setting_of_the_table_is_read_somewhere():
    named = set(re.findall(r"`((?:LANGFUSE|TRACESPOOL)_[A-Z_]+)`", (ROOT / "README.md").read_text()))
    folders = [ROOT / "core" / "src", ROOT / "bindings-python" / "src", ROOT / "bindings-python" / "python"]
    sources = "".join(path.read_text() for folder in folders for path in folder.rglob("*") if path.suffix in (".rs", ".py"))
    assert not {name for name in named if f'"{name}"' not in sources}
