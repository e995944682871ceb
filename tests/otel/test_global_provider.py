"""Spans of OpenTelemetry's global tracer provider: into one client, where that is asked for, and never anywhere else."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable

import pytest
from program import PUBLIC_KEY, Ended, Program, environment
from receiver import Receiver

# As it is written for Langfuse's SDK, which puts itself onto the global provider.
UNCHANGED = """
    from langfuse import get_client, propagate_attributes
    from opentelemetry import trace

    tracer = trace.get_tracer("openinference.instrumentation.test")  # before there is a provider, as instrumentation does
    web = trace.get_tracer("opentelemetry.instrumentation.requests")
    client = get_client()
    with propagate_attributes(user_id="u-1"), client.start_as_current_observation(name="question", as_type="agent"):
        with tracer.start_as_current_span("chain", attributes={"openinference.span.kind": "CHAIN"}):
            with web.start_as_current_span("POST"):
                with tracer.start_as_current_span("model", attributes={"gen_ai.request.model": "m", "input.value": "hi"}):
                    pass
    with tracer.start_as_current_span("alone"):
        pass
    print(type(trace.get_tracer_provider()).__name__)
    client.flush()
"""

# Clients by name, and spans as told: makes clients of the keys, one after the other, and a span after each.
CLIENTS = """
    import logging
    import sys

    logging.basicConfig(format="%(message)s")
    from tracespool.langfuse import Langfuse
    from opentelemetry import trace
    import tracespool

    tracer = trace.get_tracer("openinference.instrumentation.test")
    for key in sys.argv[1:]:
        client = Langfuse(public_key=key, secret_key="sk")
        with tracer.start_as_current_span(f"after {key}"):
            pass
    print(tracespool.flush_all(5.0)["complete"])
"""


def _run(program: Program, url: str, *options: str, arguments: tuple[str, ...] = (), **more: str) -> Ended:
    """Under the runner, with its options, unless they are `None`."""
    import subprocess

    command = [sys.executable, *options, str(program.path), *arguments]
    done = subprocess.run(command, env=environment(url, **more), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr, 0.0)


RUN = ("-m", "tracespool.langfuse", "run")


def _rows(receiver: Receiver, key: str = PUBLIC_KEY) -> set[tuple[str, str, str, str, bool]]:
    rows = receiver.all_observations(key)
    names = {row["span_id"]: row["name"] for row in rows}
    assert len(names) == len(rows), "each once"
    return {(row["name"], row["type"], names.get(row["parent"], ""), row["user"] or "", row["is_app_root"]) for row in rows}


def test_what_is_stored_is_what_the_langfuse_package_stores(
    receiver: Receiver, program: Callable[[str], Program], tmp_path_factory: pytest.TempPathFactory
) -> None:
    unchanged = program(UNCHANGED)
    assert _run(unchanged, receiver.url, *RUN, "--global-provider").out == "TracerProvider\n"
    ours = _rows(receiver)
    assert {row[0] for row in ours} == {"question", "chain", "model", "alone"}
    assert ("chain", "chain", "question", "u-1", False) in ours
    assert {row["sdk"]["name"] for row in receiver.all_observations(PUBLIC_KEY)} == {"tracespool"}
    other = Receiver(tmp_path_factory.mktemp("theirs"))
    try:
        assert _run(unchanged, other.url).out == "TracerProvider\n"
        theirs = _rows(other)
    finally:
        other.stop()
    assert ours == theirs


def test_nothing_unless_it_is_asked_for(receiver: Receiver, program: Callable[[str], Program]) -> None:
    unchanged = program(UNCHANGED)
    assert _run(unchanged, receiver.url, *RUN).out == "ProxyTracerProvider\n"
    assert _run(unchanged, receiver.url, *RUN, TRACESPOOL_GLOBAL_PROVIDER="0").out == "ProxyTracerProvider\n"
    assert {row[0] for row in _rows(receiver)} == {"question"}


@pytest.mark.parametrize("word", ["1", "true", PUBLIC_KEY])
def test_the_environment_asks_for_it(receiver: Receiver, program: Callable[[str], Program], word: str) -> None:
    """For programs that changed their import too."""
    changed = program(UNCHANGED.replace("from langfuse", "from tracespool.langfuse"))
    assert _run(changed, receiver.url, TRACESPOOL_GLOBAL_PROVIDER=word).out == "TracerProvider\n"
    assert {row[0] for row in _rows(receiver)} == {"question", "chain", "model", "alone"}


def test_the_last_word_counts(receiver: Receiver, program: Callable[[str], Program]) -> None:
    source = """
        import tracespool.langfuse

        tracespool.langfuse.install(global_provider=False)
        from langfuse import get_client
        from opentelemetry import trace

        client, tracer = get_client(), trace.get_tracer("openinference.instrumentation.test")
        print(type(trace.get_tracer_provider()).__name__)
        for name, choice in (("a", True), ("b", False), ("c", client.public_key), ("d", "pk-nobody"), ("e", None), ("f", True)):
            tracespool.langfuse.install(global_provider=choice)
            tracer.start_span(name).end()
        tracespool.langfuse.uninstall()
        tracer.start_span("g").end()
        client.flush()
    """
    ended = _run(program(source), receiver.url, TRACESPOOL_GLOBAL_PROVIDER="1")
    assert ended.out == "ProxyTracerProvider\n"
    assert {row[0] for row in _rows(receiver)} == {"a", "c", "f"}
    assert ended.err.count("there is no client of the public key 'pk-nobody'") == 1


def test_of_several_clients_one(receiver: Receiver, program: Callable[[str], Program]) -> None:
    """The environment's, or the one that is named; where nobody is, none at all once there are two."""
    clients = program(CLIENTS)
    for number, (settings, wanted) in enumerate(
        [
            ({"LANGFUSE_PUBLIC_KEY": "", "TRACESPOOL_GLOBAL_PROVIDER": "1"}, {"a": {"after a"}}),
            ({"TRACESPOOL_GLOBAL_PROVIDER": "1"}, {"env": {"after a", "after b", "after c"}}),
            ({"TRACESPOOL_GLOBAL_PROVIDER": "b"}, {"b": {"after b", "after c"}}),
        ]
    ):
        keys = [f"pk-{number}-{name}" for name in "abc"]
        if settings.get("LANGFUSE_PUBLIC_KEY") is None:
            settings = settings | {"LANGFUSE_PUBLIC_KEY": f"pk-{number}-env"}
        if settings["TRACESPOOL_GLOBAL_PROVIDER"] == "b":
            settings = settings | {"TRACESPOOL_GLOBAL_PROVIDER": keys[1]}
        ended = _run(clients, receiver.url, arguments=tuple(keys), **settings)
        assert ended.out == "True\n", ended.err
        for name in ("a", "b", "c", "env"):
            stored = {row["name"] for row in receiver.all_observations(f"pk-{number}-{name}")}
            assert stored == {f"after pk-{number}-{span[6:]}" for span in wanted.get(name, ())}, (number, name)
        assert ended.err.count("spans are not recorded") == (1 if number in (0, 2) else 0), ended.err


def test_an_application_with_a_provider_of_its_own(receiver: Receiver, program: Callable[[str], Program]) -> None:
    """It keeps it: its exporters go on, and a client that it has attached itself gets each span once."""
    source = """
        import sys

        from langfuse import Langfuse
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from tracespool.otel import TracespoolSpanProcessor

        provider, exporter = TracerProvider(), InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        how = sys.argv[1]
        client = Langfuse(tracer_provider=provider if how == "keyword" else None)
        assert trace.get_tracer_provider() is provider
        tracer = trace.get_tracer("openinference.instrumentation.test")
        with tracer.start_as_current_span("first"):
            pass
        if how == "processor":
            provider.add_span_processor(TracespoolSpanProcessor(client))
        with tracer.start_as_current_span("second"):
            pass
        print([span.name for span in exporter.get_finished_spans()])
        client.flush()
    """
    for how in ("nothing", "keyword", "processor"):
        key = f"pk-{how}"
        ended = _run(
            program(source), receiver.url, *RUN, "--global-provider", arguments=(how,), LANGFUSE_PUBLIC_KEY=key
        )
        assert ended.out == "['first', 'second']\n"
        stored = [row["name"] for row in receiver.all_observations(key)]
        assert sorted(stored) == ["first", "second"], how


def test_a_client_of_another_provider_is_left_alone(receiver: Receiver, program: Callable[[str], Program]) -> None:
    source = """
        from langfuse import Langfuse
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        own = TracerProvider()
        client = Langfuse(tracer_provider=own)
        print(type(trace.get_tracer_provider()).__name__)
        trace.set_tracer_provider(TracerProvider())
        again = Langfuse()
        trace.get_tracer("openinference.instrumentation.test").start_span("global").end()
        own.get_tracer("openinference.instrumentation.test").start_span("own").end()
        client.flush()
    """
    assert _run(program(source), receiver.url, *RUN, "--global-provider").out == "ProxyTracerProvider\n"
    assert [row["name"] for row in receiver.all_observations(PUBLIC_KEY)] == ["own"]


def test_a_mask_that_comes_later_holds_from_then_on(receiver: Receiver, program: Callable[[str], Program]) -> None:
    source = """
        from langfuse import Langfuse, get_client
        from opentelemetry import trace

        def no_content(*, params):
            raise ValueError("no content goes out")

        tracer = trace.get_tracer("openinference.instrumentation.test")
        get_client()
        tracer.start_span("before", attributes={"input.value": "open"}).end()
        client = Langfuse(mask_otel_spans=no_content)
        tracer.start_span("after", attributes={"input.value": "secret"}).end()
        print(client.flush()["complete"])
    """
    assert _run(program(source), receiver.url, *RUN, "--global-provider").out == "True\n"
    rows = {row["name"]: row for row in receiver.all_observations(PUBLIC_KEY)}
    assert rows["before"]["input"] == "open" and rows["after"]["input"] is None


def test_processes_that_are_spawned(receiver: Receiver, program: Callable[[str], Program]) -> None:
    source = """
        import multiprocessing

        from langfuse import get_client
        from opentelemetry import trace

        def work(number):
            get_client()
            trace.get_tracer("openinference.instrumentation.test").start_span(f"span {number}").end()

        if __name__ == "__main__":
            child = multiprocessing.get_context("spawn").Process(target=work, args=(1,))
            child.start()
            child.join()
            print(child.exitcode)
    """
    assert _run(program(source), receiver.url, *RUN, "--global-provider").out == "0\n"
    assert [row["name"] for row in receiver.all_observations(PUBLIC_KEY)] == ["span 1"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the tasks of /proc")
def test_no_thread_is_started(receiver: Receiver, program: Callable[[str], Program]) -> None:
    source = """
        import os
        import threading

        from langfuse import get_client
        import opentelemetry.sdk.trace

        started = []
        threading.Thread.start = lambda self: started.append(self.name)
        client = get_client()
        opentelemetry.trace.get_tracer("openinference.instrumentation.test").start_span("one").end()
        print(started, len(os.listdir("/proc/self/task")) <= 2, client.flush()["delivered"])
    """
    assert _run(program(source), receiver.url, *RUN, "--global-provider").out == "[] True 1\n"


def test_where_it_cannot_be(receiver: Receiver, program: Callable[[str], Program]) -> None:
    """A provider that takes no processors, or no SDK at all: one warning, and the program goes on."""
    foreign = """
        from langfuse import get_client
        from opentelemetry import trace

        class Provider(trace.NoOpTracerProvider):
            pass

        trace.set_tracer_provider(Provider())
        client = get_client()
        client.create_event(name="event")
        client.flush()
    """
    ended = _run(program(foreign), receiver.url, *RUN, "--global-provider")
    assert ended.err.count("takes no span processors") == 1
    missing = """
        import sys

        sys.modules["opentelemetry.sdk.trace"] = None
        from langfuse import get_client

        client = get_client()
        client.create_event(name="event")
        client.flush()
    """
    ended = _run(program(missing), receiver.url, *RUN, "--global-provider")
    assert ended.err.count("needs opentelemetry-sdk") == 1
    assert [row["name"] for row in receiver.all_observations(PUBLIC_KEY)] == ["event", "event"]


@pytest.mark.parametrize("arguments", [["--global-provider"], ["--global-provider=pk", "-m"], ["--else", "app.py"]])
def test_usage(arguments: list[str]) -> None:
    import subprocess

    done = subprocess.run([sys.executable, *RUN, *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "--global-provider[=PUBLIC_KEY]" in done.stderr


def test_the_program_s_own_options_stay_its_own(tmp_path, receiver: Receiver) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent("import sys; print(sys.argv[1:])"))
    done = _run(Program(tmp_path, "import sys; print(sys.argv[1:])"), receiver.url, *RUN, arguments=("--global-provider",))
    assert done.out == "['--global-provider']\n"
