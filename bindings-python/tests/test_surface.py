"""What is exported, what importing costs, and what happens without the native module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tracespool
import tracespool.langfuse


def test_exports_exist_and_are_sorted() -> None:
    for module in (tracespool, tracespool.langfuse):
        assert module.__all__ == sorted(module.__all__)
        for name in module.__all__:
            assert hasattr(module, name), name
    assert tracespool.available
    assert issubclass(tracespool.langfuse.Langfuse, tracespool.Client)


def test_the_drop_in_face_is_enough_for_a_langfuse_program() -> None:
    from tracespool.langfuse import Langfuse, get_client, observe, propagate_attributes

    client = Langfuse(public_key="pk-face", secret_key="sk", host="http://127.0.0.1:9")

    @observe(as_type="generation")
    def answer(question: str) -> str:
        get_client().update_current_generation(model="m", usage_details={"input": 1})
        return question

    with client.use(), propagate_attributes(user_id="u"):
        assert answer("q") == "q"
    tracespool.cleanup_client("pk-face", timeout=0.0)


_COST = """
import sys, time
def rss():
    with open("/proc/self/statm") as statm: return int(statm.read().split()[1]) * 4096
before, began = rss(), time.perf_counter()
import tracespool
print((time.perf_counter() - began) * 1000, (rss() - before) / 2**20, *sorted({"asyncio", "inspect", "logging", "functools", "json"} & set(sys.modules)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_import_is_cheap() -> None:
    figures = [subprocess.run([sys.executable, "-c", _COST], capture_output=True, text=True, check=True).stdout.split() for _ in range(5)]
    assert min(float(figure[0]) for figure in figures) < 40
    assert min(float(figure[1]) for figure in figures) < 6
    assert not {"asyncio", "inspect", "logging"} & set(figures[0][2:])


_ABSENT = """
import asyncio, sys
sys.modules["tracespool._native"] = None
import tracespool
from tracespool.langfuse import Langfuse, observe, propagate_attributes
assert tracespool.available is False
client = Langfuse(public_key="pk", secret_key="sk", anything=1)
@observe
def work(x): return x
@observe(as_type="tool")
async def awork(x): return x
@observe
def parts(): yield 1
assert work(1, langfuse_trace_id="x") == 1 and asyncio.run(awork(2)) == 2 and list(parts()) == [1]
with client.start_as_current_observation(name="x") as span, propagate_attributes(user_id="u"), client.use():
    span.update(output=1).start_observation(name="y").end()
    span.score(name="s", value=1)
    client.update_current_span(output=1)
client.create_score(name="s", value=1)
assert client.flush(1.0)["complete"] and client.shutdown()["complete"]
assert asyncio.run(client.aflush())["complete"]
assert tracespool.flush_all()["complete"] and tracespool.cleanup_all_clients()["complete"]
assert len(client.create_trace_id(seed="s")) == 32
assert tracespool.stats()["observations"]["submitted"] == 0
assert tracespool.get_client().enabled is False
tracespool.in_context(work)(1)
assert client.get_prompt("p", fallback="a {{b}}").compile(b=1) == "a 1"
try:
    client.get_prompt("p")
except tracespool.errors.ApiError:
    client.clear_prompt_cache()
"""


def test_without_the_native_module_everything_is_a_no_op_with_one_warning() -> None:
    done = subprocess.run([sys.executable, "-c", _ABSENT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.strip().splitlines()) == 2 and done.stderr.count("native module") == 2, done.stderr


def test_the_stand_in_has_what_the_native_module_has() -> None:
    from tracespool import _absent, _native

    missing = {name for name in dir(_native) if not name.startswith("_")} - set(dir(_absent))
    assert not missing
    for cls in ("Client", "Observation", "Scope", "Block", "Ticket", "PromptTicket", "Run", "Observer"):
        wanted = {name for name in dir(getattr(_native, cls)) if not name.startswith("_")} - {"again"}
        assert not wanted - set(dir(getattr(_absent, cls))), cls


def test_stubs_say_what_the_module_is(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy.stubtest", "tracespool._native"]
    # mypy finds an installed package by itself and refuses to be told where it is.
    parents = [str(Path(path).parent) for path in tracespool.__path__ if "site-packages" not in path]
    env = {**os.environ, "MYPYPATH": os.pathsep.join(parents)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
