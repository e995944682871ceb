"""What a `propagate_attributes` block and an `@observe` call cost the thread that runs them, beside the langfuse SDK.

The promise is for a block as applications have it, around an observation. A block around nothing is shown without one: of what it
costs, a part is Python's: that of making the arguments and of the `with` statement is shown beside it.

The thread's CPU time is measured: waiting for the interpreter's lock, which langfuse's own threads hold now and then, is not.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from bench import rounds
from bench.client import LIBRARIES, client_type, flush
from bench.sink import Sink
from bench.words import Sum, Writer

ROUNDS = 5
# Below langfuse's queue of 2,048 spans, above which it would drop; flushed after each block, outside of the measured time.
CALLS, BLOCKS, WARM_UP = 500, 4, 100
PROMISED = 30
# Without a promise: see above.
BARE = ("scope", "scope_inside", "python")
LABELS = {
    "scope_around": "`propagate_attributes` around an observation, with it: user, session, two tags, two of metadata",
    "scope": "the same around nothing",
    "scope_inside": "the same around nothing, inside an observation",
    "python": "Python alone: `dict` of the same arguments, and `with` of a lock",
    "observe": "`@observe`, `def`",
    "observe_async": "`@observe`, `async def`",
}


def surface(library: str) -> Any:
    """The module that programs import."""
    if library == "tracespool":
        import tracespool

        return tracespool
    import langfuse

    return langfuse


def work(library: str, public_key: str) -> dict[str, Any]:
    """One process: blocks of calls of each kind. What a block costs is its median over the blocks."""
    client = client_type(library)(public_key=public_key, secret_key="sk-lf-bench")
    module, writer, sent = surface(library), Writer(7), Sum()
    seconds: dict[str, list[float]] = {name: [] for name in LABELS}

    @module.observe
    def answer(question: str, *, user: int) -> dict[str, Any]:
        return {"answer": answers[user]}

    @module.observe
    async def answer_later(question: str, *, user: int) -> dict[str, Any]:
        return {"answer": answers[user]}

    propagate = module.propagate_attributes

    def scopes() -> None:
        for user in range(count):
            with propagate(user_id=users[user], session_id="s-1", tags=["bench", "scope"], metadata={"region": "eu", "n": user}):
                pass

    def python() -> None:
        for user in range(count):
            dict(user_id=users[user], session_id="s-1", tags=["bench", "scope"], metadata={"region": "eu", "n": user})
            with lock:
                pass

    def scopes_inside() -> None:
        with client.start_as_current_observation(name="outer", input=["in"], output=["out"]):
            scopes()

    def scopes_around() -> None:
        for user in range(count):
            with propagate(user_id=users[user], session_id="s-1", tags=["bench", "scope"], metadata={"region": "eu", "n": user}):
                with client.start_as_current_observation(name="inner", input=["in"], output=["out"]):
                    pass

    def calls() -> None:
        for user in range(count):
            answer(questions[user], user=user)

    def calls_later() -> None:
        async def run() -> float:
            began = time.thread_time()
            for user in range(count):
                await answer_later(questions[user], user=user)
            return time.thread_time() - began

        inside.append(asyncio.run(run()))

    inside: list[float] = []
    lock = threading.Lock()
    kinds: dict[str, Callable[[], None]] = {
        "scope": scopes,
        "scope_inside": scopes_inside,
        "scope_around": scopes_around,
        "python": python,
        "observe": calls,
        "observe_async": calls_later,
    }
    for block in range(-1, BLOCKS):
        for name, run in kinds.items():
            count = WARM_UP if block < 0 else CALLS
            users, questions = [f"user-{n}" for n in range(count)], [writer.text(60) for _ in range(count)]
            answers = [writer.text(120) for _ in range(count)]
            gc.collect()
            began = time.thread_time()
            run()
            # Starting and closing an event loop is the program's, not the tracer's.
            took = inside.pop() if inside else time.thread_time() - began
            flush(library, client)
            if block >= 0:
                seconds[name].append(took / count)
            for _ in range({"scope_inside": 1, "scope_around": count}.get(name, 0)):
                sent.add(["in"], ["out"])
            if name.startswith("observe"):
                for user in range(count):
                    sent.add({"args": [questions[user]], "kwargs": {"user": user}}, {"answer": answers[user]})
    micros = {name: statistics.median(values) * 1e6 for name, values in seconds.items()}
    return micros | {"count": sent.count, "hash": str(sent)}


def main() -> int:
    sink = Sink()
    runs: dict[str, list[dict[str, Any]]] = {library: [] for library in LIBRARIES}
    try:
        for turn in range(ROUNDS):
            for library in LIBRARIES:
                key = f"pk-lf-{library}-{turn}"
                figures = rounds.worker("bench.scopes", library, key, base_url=sink.url, LANGFUSE_OTEL_COMPRESSION="none")
                sink.expect(key, figures)
                runs[library].append(figures)
            print(f"round {turn + 1} of {ROUNDS}", file=sys.stderr)
    finally:
        sink.stop()
    return report(runs)


def report(runs: dict[str, list[dict[str, Any]]]) -> int:
    """The table; 1 when a promise is missed."""
    lines, kept = [], True
    for name, label in LABELS.items():
        ours, theirs = (rounds.median(runs[library], name) for library in LIBRARIES)
        promised = name not in BARE
        kept = kept and (not promised or theirs / ours >= PROMISED)
        stands = f"{PROMISED} x: {rounds.verdict(theirs / ours >= PROMISED)}" if promised else ""
        if name == "python":
            lines.append([label, f"{ours:.2f} us", f"{theirs:.2f} us", "", ""])
            continue
        lines.append([label, f"{ours:.2f} us", f"{theirs:.1f} us", f"{theirs / ours:.1f} x", stands])
    text = rounds.table(["CPU time of one block or call", "tracespool", "langfuse 5.0.4", "less", "promised"], lines)
    note = (
        f"Medians of {ROUNDS} interleaved processes, each the median of {BLOCKS} blocks of {CALLS}; the body of a block is empty, "
        "a call takes 60 characters and returns 120, its own time included; flushed outside of the measured time; "
        "contents compared by hash at the receiver, which answers at once."
    )
    rounds.publish("scopes", text, note)
    return 0 if kept else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        print(json.dumps(work(sys.argv[2], sys.argv[3])))
    else:
        sys.exit(main())
