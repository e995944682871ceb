"""Programs that import langfuse run on tracespool without a change."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from program import PUBLIC_KEY, Ended, environment

# A framework of its own, as they are written: it pins a version, looks for submodules and privates, and checks classes.
FRAMEWORK = {
    "agents/__init__.py": "",
    "agents/tracing.py": """
        import importlib.metadata
        import importlib.util

        import langfuse
        import langfuse.types
        from langfuse import Langfuse, LangfuseGeneration, get_client, observe, propagate_attributes
        from langfuse._client.attributes import LangfuseOtelSpanAttributes
        from langfuse._client.span import LangfuseSpan
        from langfuse.types import TraceContext

        if int(importlib.metadata.version("langfuse").partition(".")[0]) < 3:
            raise ImportError("langfuse 3 or later is needed")
        if importlib.util.find_spec("langfuse.langchain") is None:
            raise ImportError("langfuse with langchain is needed")


        class Tracer:
            def __init__(self) -> None:
                self.client: Langfuse = get_client()

            def close(self, span, text: str) -> None:
                if isinstance(span, LangfuseGeneration):
                    span.update(output=text, usage_details={"input": 1})
                elif isinstance(span, LangfuseSpan):
                    span.update(output=text)
                    span._otel_span.set_attribute(LangfuseOtelSpanAttributes.TRACE_NAME, "agents")
                span.end()

            @observe(as_type="agent", name="agent")
            def run(self, question: str) -> str:
                with propagate_attributes(user_id="u-1"):
                    self.close(self.client.start_observation(name="plan"), "planned")
                    self.close(self.client.start_observation(name="write", as_type="generation"), "written")
                context: TraceContext = {"trace_id": langfuse.Langfuse.create_trace_id(seed=question)}
                self.client.create_event(name="elsewhere", trace_context=context)
                return question.upper()
    """,
    "agents/__main__.py": """
        import sys

        import langfuse
        from agents.tracing import Tracer

        print(Tracer().run(sys.argv[1]), langfuse.__name__, langfuse.__version__)
        sys.exit(7)
    """,
    # Of the time of langfuse 3: a client for each request, and its caches cleaned by hand.
    "chats/__init__.py": "",
    "chats/service.py": """
        from langfuse import Langfuse
        from langfuse._client.get_client import get_client
        from langfuse._client.resource_manager import LangfuseResourceManager
        from langfuse._utils import _get_timestamp
        from langfuse._utils.serializer import EventSerializer
        from langfuse.version import __version__


        def request(public_key: str, base_url: str) -> int:
            client = Langfuse(public_key=public_key, secret_key="sk-x", host=base_url, blocked_instrumentation_scopes=["x"])
            with client.start_as_current_span(name="chat", input=EventSerializer().encode({"at": _get_timestamp()})) as span:
                span.update_trace(user_id="u", session_id="s", tags=["chat"])
                with span.start_as_current_generation(name="answer", model="m") as generation:
                    generation.update(output="hi")
            get_client(public_key=public_key).flush()
            instance = LangfuseResourceManager._instances.pop(public_key)
            instance.shutdown()
            return len(LangfuseResourceManager._instances)
    """,
}


@pytest.fixture
def frameworks(tmp_path: Path) -> Path:
    """A folder to put on the path."""
    for name, source in FRAMEWORK.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
    return tmp_path / "site"


def run(*arguments: str, env: dict[str, str], timeout: float = 60) -> Ended:
    """Runs python with arguments."""
    done = subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, timeout=timeout)
    return Ended(done.returncode, done.stdout, done.stderr, 0.0)


def test_a_module_runs_under_the_runner(receiver, frameworks):
    env = environment(receiver.url, PYTHONPATH=str(frameworks))
    ended = run("-m", "tracespool.langfuse", "run", "-m", "agents", "where", env=env)
    assert (ended.code, ended.err) == (7, ""), ended.err
    text, name, version = ended.out.split()
    assert (text, name) == ("WHERE", "tracespool.langfuse") and int(version.partition(".")[0]) >= 3
    rows = receiver.observations(PUBLIC_KEY)
    assert {row["name"]: row["type"] for row in rows.values()} == {
        "agent": "agent",
        "plan": "span",
        "write": "generation",
        "elsewhere": "event",
    }
    assert rows["write"]["usage"]["input"] == 1 and rows["plan"]["user"] == "u-1" and rows["plan"]["trace_name"] == "agents"
    assert rows["plan"]["sdk"]["name"] == "tracespool" and "tracespool" in rows["plan"]["scope"]["name"]


def test_a_script_runs_under_the_runner(receiver, tmp_path, frameworks):
    (tmp_path / "site" / "beside.py").write_text("WORD = 'beside'\n")
    script = tmp_path / "site" / "script.py"
    script.write_text(
        "import sys, beside, langfuse\nassert __name__ == '__main__' and sys.argv[1:] == ['-x', 'y']\n"
        "langfuse.get_client().start_observation(name=beside.WORD).end()\n"
    )
    ended = run("-m", "tracespool.langfuse", "run", str(script), "-x", "y", env=environment(receiver.url))
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert list(receiver.observations(PUBLIC_KEY)) == ["beside"]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawned_processes_of_the_runner_too(receiver, tmp_path, method):
    script = tmp_path / "pool.py"
    script.write_text(
        textwrap.dedent(f"""
        import multiprocessing
        import langfuse


        def work(number):
            langfuse.get_client().start_observation(name=f"child {{number}}").end()
            return langfuse.__name__


        if __name__ == "__main__":
            with multiprocessing.get_context({method!r}).Pool(2) as pool:
                assert set(pool.map(work, range(4))) == {{"tracespool.langfuse"}}
                pool.close()
                pool.join()
        """)
    )
    ended = run("-m", "tracespool.langfuse", "run", str(script), env=environment(receiver.url))
    assert (ended.code, ended.err) == (0, ""), ended.err
    assert sorted(receiver.observations(PUBLIC_KEY)) == [f"child {number}" for number in range(4)]


@pytest.mark.parametrize("arguments", [[], ["run"], ["run", "-m"], ["walk", "x.py"]])
def test_the_runner_says_how_it_is_used(arguments):
    ended = run("-m", "tracespool.langfuse", *arguments, env=dict(os.environ))
    assert ended.code == 2 and ended.err.startswith("usage: ") and ended.out == ""


def test_a_framework_of_the_time_of_langfuse_3(receiver, program, frameworks):
    source = f"""
        import logging, os, threading
        import tracespool.langfuse
        tracespool.langfuse.install()
        tracespool.langfuse.install()
        from chats.service import request
        left = [request(f"pk-user-{{n}}", {receiver.url!r}) for n in range(20)]
        assert left == [0] * 20, left
        assert threading.active_count() == 1
        assert len(os.listdir("/proc/self/task")) <= 2, os.listdir("/proc/self/task")
    """
    ended = program(source).run(environment(receiver.url, PYTHONPATH=str(frameworks), OPENBLAS_NUM_THREADS="1"))
    assert ended.code == 0, ended.err
    assert "blocked_instrumentation_scopes has no effect" in ended.err
    assert receiver.whole() == (40, 0, 0, 0)
    row = receiver.observations("pk-user-3")["chat"]
    assert (row["user"], row["session"], row["tags"]) == ("u", "s", ["chat"])


def test_langfuse_was_imported_before(receiver, program):
    source = """
        import logging, sys, types
        logging.basicConfig(format="%(message)s")
        import langfuse
        from langfuse import Langfuse, observe, propagate_attributes
        from langfuse._client import span as spans
        app = types.ModuleType("app")
        sys.modules["app"] = app
        app.get_client, app.Mine = langfuse.get_client, type("Mine", (Langfuse,), {})
        original = langfuse
        early = langfuse.Langfuse(public_key="pk-early", secret_key="sk")
        import tracespool.langfuse as ours
        ours.install()
        assert langfuse is ours and Langfuse is ours.Langfuse and app.get_client is ours.get_client, langfuse
        assert observe is ours.observe and spans.LangfuseSpan is ours.LangfuseSpan
        import langfuse as again
        assert again is ours
        @observe
        def work(): pass
        work()
        ours.uninstall()
        assert langfuse is original and observe is not ours.observe and sys.modules["langfuse"] is original
        ours.uninstall()
        ours.install()
        ours.get_client().flush()
        early.shutdown()
    """
    ended = program(source).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    told = next(line for line in ended.err.splitlines() if "langfuse was imported before" in line)
    for part in ("7 names now mean tracespool", "__main__.Langfuse", "app.Mine", "__main__.early", "pk-early", "install() first"):
        assert part in told, told
    assert list(receiver.observations(PUBLIC_KEY)) == ["work"]


WITHOUT = """
    import importlib.util, sys
    assert importlib.util.find_spec("langfuse") is None
    import tracespool.langfuse as ours
    ours.install()
    import langfuse
    from langfuse import Evaluation, Langfuse, LangfuseGeneration, get_client, observe, propagate_attributes
    from langfuse._client.resource_manager import LangfuseResourceManager
    from langfuse.types import TraceContext
    from langfuse.version import __version__
    client = get_client()
    with client.start_as_current_generation(name="g") as generation:
        assert isinstance(generation, LangfuseGeneration)
    def fails(call, *words):
        try:
            call()
        except ImportError as error:
            assert "pip install langfuse" in str(error) and all(word in str(error) for word in words), error
        else:
            raise AssertionError(words)
    def api(): from langfuse.api import Dataset
    def core(): import langfuse.api.core
    def runner_context(): from langfuse import RunnerContext
    def task(): from langfuse.experiment import TaskFunction
    fails(lambda: client.run_experiment(name="x", data=[], task=print), "run_experiment")
    fails(lambda: client.get_dataset("d"), "get_dataset")
    fails(lambda: client.api, "langfuse.api")
    fails(api, "langfuse.api.Dataset")
    fails(core, "langfuse.api.core")
    fails(lambda: langfuse.api.LangfuseAPI, "langfuse.api.LangfuseAPI")
    fails(runner_context, "RunnerContext")
    fails(task, "TaskFunction")
    assert importlib.util.find_spec("langfuse.nonsense") is None
    assert not hasattr(langfuse, "nonsense") and not hasattr(langfuse.experiment, "nonsense")
    assert Evaluation(name="e", value=1).name == "e" and __version__[0].isdigit()
    assert client.flush()["complete"]
"""


def test_without_the_langfuse_package(receiver, program, tmp_path):
    import tracespool

    lonely = tmp_path / "lonely"
    lonely.mkdir()
    (lonely / "tracespool").symlink_to(Path(tracespool.__path__[0]))
    ended = program(WITHOUT).run(environment(receiver.url, PYTHONPATH=str(lonely)), "-S")
    assert (ended.code, ended.err) == (0, ""), ended.err
    assert list(receiver.observations(PUBLIC_KEY)) == ["g"]
