"""The code of the README and of docs/node.md runs as it stands."""

from __future__ import annotations

import re

import pytest
from program import environment

from examples.demo.collector import ROOT

# How many observations, what it prints (a report counts scores too), and their names.
PAGES = {"README.md": (2, "", ["answer", "write"]), "docs/node.md": (3, "a short answer 4\n", ["answer", "search", "write"])}


@pytest.mark.parametrize("page", PAGES)
def test_the_example_runs_as_it_stands(receiver, script, page):
    count, printed, names = PAGES[page]
    (source,) = re.findall(r"```js\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert "https://langfuse.example.com" in source
    ended = script(source.replace("https://langfuse.example.com", receiver.url)).run(environment(receiver.url))
    assert (ended.code, ended.out, ended.err) == (0, printed, "")
    rows = receiver.observations("pk-lf-...")
    assert receiver.whole()[0] == count and sorted(rows) == names
    assert all(row["parent"] for name, row in rows.items() if name != "answer")


def test_every_setting_that_is_named_is_read():
    named = set(re.findall(r"`((?:LANGFUSE|TRACESPOOL)_[A-Z_]+)(?:=[^`]*)?`", (ROOT / "docs" / "node.md").read_text()))
    folders = [ROOT / "core" / "src", ROOT / "bindings-node" / "ts"]
    sources = "".join(path.read_text() for folder in folders for path in folder.rglob("*") if path.suffix in (".rs", ".ts"))
    assert not {name for name in named if f'"{name}"' not in sources}
