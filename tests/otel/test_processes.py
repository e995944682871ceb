"""Masks and exporters at exit and across forks, and what an import brings in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from program import PUBLIC_KEY, Program, environment
from receiver import TRACES, Receiver


def names(receiver: Receiver) -> list[str]:
    found = json.loads(receiver.get(f"/api/v1/observations?project={PUBLIC_KEY}&limit=100"))["data"]
    return sorted(row["name"] for row in found)


def test_exit_waits_for_masks(receiver: Receiver, program: Callable[[str], Program]) -> None:
    ended = program("""
        import time
        import tracespool
        from tracespool.masking import MaskOtelSpansResult, OtelSpanPatch

        def mask(*, params):
            time.sleep(0.1)
            patch = OtelSpanPatch(set_attributes={"langfuse.observation.input": "***"})
            return MaskOtelSpansResult({name: patch for name in params.spans})

        client = tracespool.Client(mask_otel_spans=mask)
        client.start_observation(name="last", input="secret").end()
    """).run(environment(receiver.url))
    assert ended.code == 0 and ended.seconds < 4, ended.err
    found = receiver.get(f"/api/v1/observations?project={PUBLIC_KEY}&limit=100")
    assert names(receiver) == ["last"] and "***" in found and "secret" not in found


def test_a_hanging_mask_does_not_hold_the_exit(receiver: Receiver, program: Callable[[str], Program]) -> None:
    ended = program("""
        import time
        import tracespool

        client = tracespool.Client(mask_otel_spans=lambda *, params: time.sleep(60))
        client.start_observation(name="never").end()
        print(tracespool.flush_all(0.2)["complete"])
    """).run(environment(receiver.url))
    assert ended.code == 0 and ended.seconds < 6, ended.err
    assert names(receiver) == []


def test_providers_at_exit_do_not_wait_one_after_the_other(receiver: Receiver, program: Callable[[str], Program]) -> None:
    receiver.fault("hang", path=TRACES)
    ended = program("""
        import os
        from opentelemetry.sdk.trace import TracerProvider
        from tracespool.langfuse import Langfuse

        for number in range(5):
            provider = TracerProvider()
            Langfuse(public_key=f"pk-{number}", secret_key="sk", tracer_provider=provider)
            provider.get_tracer("openinference").start_span("lost").end()
    """).run(environment(receiver.url))
    assert ended.code == 0 and ended.seconds < 6, ended.err


def test_a_provider_that_is_shut_down_has_sent(receiver: Receiver, program: Callable[[str], Program]) -> None:
    ended = program("""
        import os
        import tracespool
        from opentelemetry.sdk.trace import TracerProvider

        provider = TracerProvider()
        client = tracespool.Client(tracer_provider=provider)
        provider.get_tracer("openinference").start_span("sent").end()
        provider.shutdown()
        assert tracespool.stats()["observations"]["delivered"] == 1
        os._exit(0)
    """).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert names(receiver) == ["sent"]


def test_exporters_are_flushed_and_shut_down_at_exit(receiver: Receiver, program: Callable[[str], Program]) -> None:
    ended = program("""
        import tracespool
        from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

        class Printing(SpanExporter):
            def export(self, spans):
                print("export", [span.name for span in spans], flush=True)
                return SpanExportResult.SUCCESS

            def force_flush(self, timeout_millis=30000):
                print("flush", 0 < timeout_millis <= 3000, flush=True)
                return True

            def shutdown(self):
                print("shutdown", flush=True)

        client = tracespool.Client(span_exporter=Printing())
        client.start_observation(name="last").end()
    """).run(environment(receiver.url))
    assert ended.out.splitlines() == ["export ['last']", "flush True", "shutdown"], ended.err
    assert names(receiver) == []


def test_a_forked_child_has_a_stage_of_its_own(receiver: Receiver, program: Callable[[str], Program]) -> None:
    ended = program("""
        import os
        import sys
        import threading
        import time
        import tracespool

        hold = threading.Event()
        client = tracespool.Client(mask_otel_spans=lambda *, params: hold.wait(5) and None)
        client.start_observation(name="parent").end()
        time.sleep(0.5)
        child = os.fork()
        if child == 0:
            hold.set()
            client.start_observation(name="child").end()
            report = client.flush(3.0)
            os._exit(0 if report["complete"] and report["delivered"] == 1 else 1)
        hold.set()
        _, status = os.waitpid(child, 0)
        report = client.flush(5.0)
        print(os.waitstatus_to_exitcode(status), report["complete"], tracespool.stats()["observations"]["dropped"])
    """).run(environment(receiver.url))
    assert ended.code == 0 and ended.out.strip() == "0 True {}", (ended.out, ended.err)
    assert names(receiver) == ["child", "parent"]


def test_an_import_brings_nothing_of_opentelemetry(receiver: Receiver, program: Callable[[str], Program]) -> None:
    ended = program("""
        import sys
        import tracespool

        client = tracespool.Client()
        with client.start_as_current_observation(name="one"):
            tracespool.observe(lambda: None)()
        client.flush(5.0)
        import tracespool.span_filter
        import tracespool.headers
        tracespool.headers.inject({})
        print([name for name in sys.modules if name.startswith(("opentelemetry", "tracespool._stage", "tracespool._otel"))])
        import threading
        print(sorted(thread.name for thread in threading.enumerate()))
    """).run(environment(receiver.url))
    assert ended.out.splitlines() == ["[]", "['MainThread']"], ended.err


def test_the_documented_programs_run(receiver: Receiver, program: Callable[[str], Program]) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "opentelemetry.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        ended = program(block).run(environment(receiver.url))
        assert ended.code == 0 and not ended.err, ended.err
    assert names(receiver) == ["answer", "chat", "here", "there"]


def test_an_exporter_is_shut_down_where_no_thread_can_be_started(receiver: Receiver, program: Callable[[str], Program]) -> None:
    ended = program("""
        import threading
        import tracespool
        from tracespool import _stage

        class Printing:
            def export(self, spans):
                print("export", len(spans), flush=True)
                client.start_observation(name="export").end()

            def shutdown(self):
                print("shutdown", flush=True)

        def refused(self):
            raise RuntimeError("can't start new thread at interpreter shutdown")

        _stage.ALONE = 0.1
        threading.Thread.start = refused
        client = tracespool.Client(span_exporter=Printing())
        client.start_observation(name="last").end()
    """).run(environment(receiver.url))
    assert ended.code == 0 and ended.seconds < 5, ended.err
    assert ended.out.splitlines()[0] == "export 1" and "shutdown" in ended.out, (ended.out, ended.err)
