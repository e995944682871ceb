"""What the LangChain handler costs the thread that runs a chain, beside langfuse's.

One process runs both, interleaved. The handler's own cost is measured with the events of a real chain, recorded once and told
again with fresh ids. The whole chain is measured too: without any handler, with one that does nothing, and with each library's.
LangChain itself works as soon as there is any handler, so the cost of tracing is the chain less that with the idle one.
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

from bench import rounds
from bench.sink import Sink

ROUNDS, PROCESSES, CHAINS = 11, 3, 40
RUNS_PER_CHAIN = 4
QUICK = 0.1
PROMISED = 30


def work() -> dict[str, float]:
    """One process: medians over the rounds, in microseconds for one chain of four runs."""
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate

    import langfuse
    import tracespool
    from langfuse.langchain import CallbackHandler as Theirs
    from tracespool.langfuse.langchain import CallbackHandler as Ours

    events: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    names = ("on_chain_start", "on_chain_end", "on_chat_model_start", "on_llm_end")

    def recorder(name: str) -> Callable[..., None]:
        return lambda self, *args, **kwargs: events.append((name, args, kwargs))

    recording = type("Recording", (BaseCallbackHandler,), {name: recorder(name) for name in names})
    nothing = type("Nothing", (BaseCallbackHandler,), {name: lambda self, *_, **__: None for name in names})
    usage = {"input_tokens": 110, "output_tokens": 45, "total_tokens": 155}
    answer = AIMessage("The answer is forty-two. " * 8, usage_metadata=usage, response_metadata={"model_name": "m"})

    def answers() -> Iterator[AIMessage]:
        while True:
            yield answer

    prompt = ChatPromptTemplate.from_messages([("system", "Be nice and helpful. " * 10), ("human", "{question}")])
    chain = prompt | GenericFakeChatModel(messages=answers()) | StrOutputParser()
    question = {"question": "What is the answer to everything? " * 5}
    metadata = {"langfuse_session_id": "session", "ls_model_name": "fake"}
    chain.invoke(question, {"callbacks": [recording()], "metadata": metadata})

    their_client, our_client = langfuse.Langfuse(), tracespool.Client()
    handlers: dict[str, Any] = {"idle": nothing(), "theirs": Theirs(), "ours": Ours(client=our_client)}
    flushes = {"theirs": their_client.flush, "ours": our_client.flush}

    def told(handler: Any) -> list[tuple[Any, Any, Any]]:
        calls = []
        for _ in range(CHAINS):
            ids: dict[UUID, UUID] = {}
            for name, args, kwargs in events:
                fresh = {
                    key: ids.setdefault(value, uuid4()) if isinstance(value, UUID) else value for key, value in kwargs.items()
                }
                calls.append((getattr(handler, name), args, fresh))
        return calls

    def tell(which: str) -> tuple[float, float]:
        calls = told(handlers[which])
        wall, cpu = time.perf_counter(), time.thread_time()
        for method, args, kwargs in calls:
            method(*args, **kwargs)
        return time.perf_counter() - wall, time.thread_time() - cpu

    configs: dict[str, Any] = {which: {"callbacks": [handler], "metadata": metadata} for which, handler in handlers.items()}
    configs["untraced"] = {"metadata": metadata}

    def invoke(which: str) -> tuple[float, float]:
        config = configs[which]
        wall, cpu = time.perf_counter(), time.thread_time()
        chain.invoke(question, config)
        return time.perf_counter() - wall, time.thread_time() - cpu

    found: dict[str, list[tuple[float, float]]] = {}
    for turn in range(-2, ROUNDS):
        for which in handlers:
            gc.collect()
            gc.disable()
            wall, cpu = tell(which)
            gc.enable()
            flushes.get(which, lambda: None)()
            if turn >= 0:
                found.setdefault(f"told {which}", []).append((wall / CHAINS, cpu / CHAINS))
        # Each of its chains is timed, and the quick ones count: others on the machine have not held those up.
        for which in random.sample([*configs], len(configs)):
            gc.collect()
            gc.disable()
            walls, cpus = zip(*(invoke(which) for _ in range(CHAINS)))
            gc.enable()
            flushes.get(which, lambda: None)()
            if turn >= 0:
                found.setdefault(f"whole {which}", []).append((rounds.quantile([*walls], QUICK), rounds.quantile([*cpus], QUICK)))
    result = {}
    for label, base in (("told", "idle"), ("whole", "idle"), ("whole", "untraced")):
        for which in handlers:
            pairs = [*zip(found[f"{label} {which}"], found[f"{label} {base}"])]
            for at, kind in enumerate(("wall", "cpu")):
                more = statistics.median(one[at] - other[at] for one, other in pairs)
                result[f"{kind} {label} {which} less {base}"] = more * 1e6
    return result


def main() -> int:
    sink = Sink()
    keys = {"LANGFUSE_PUBLIC_KEY": "pk-lf-langchain", "LANGFUSE_SECRET_KEY": "sk-lf-bench"}
    try:
        runs = [rounds.worker("bench.langchain", base_url=sink.url, **keys) for _ in range(PROCESSES)]
    finally:
        sink.stop()
    lines, kept = [], True
    for label, name, less, promised in (
        ("the handler's own events, thread's CPU", "cpu told", "idle", True),
        ("the handler's own events, wall", "wall told", "idle", False),
        ("a whole chain less that with an idle handler, thread's CPU", "cpu whole", "idle", True),
        ("a whole chain less that with an idle handler, wall", "wall whole", "idle", False),
        ("a whole chain less the untraced one, thread's CPU", "cpu whole", "untraced", False),
    ):
        ours, theirs = (
            rounds.median(runs, f"{name} {whose} less {less}") / RUNS_PER_CHAIN for whose in ("ours", "theirs")
        )
        times = theirs / ours
        kept = kept and (not promised or times >= PROMISED)
        verdict = f"{PROMISED} x: {rounds.verdict(times >= PROMISED)}" if promised else ""
        lines.append([label, f"{ours:.2f} us", f"{theirs:.1f} us", f"{times:.1f} x", verdict])
    idle = rounds.median(runs, "cpu whole idle less untraced") / RUNS_PER_CHAIN
    lines.append(["LangChain's own work for any handler, thread's CPU", f"{idle:.2f} us", f"{idle:.1f} us", "", ""])
    text = rounds.table(["per LangChain run", "tracespool", "langfuse 5.0.4", "less", "promised"], lines)
    note = (
        f"A chain of prompt, fake chat model and parser: {RUNS_PER_CHAIN} runs. Medians of {PROCESSES} processes of {ROUNDS} "
        f"rounds of interleaved blocks of {CHAINS} chains, subtracted within the round, flushed outside of the time; of a block of "
        "whole chains the one that a tenth of them are quicker than. The idle handler overrides the same four events and does "
        "nothing in them: LangChain works as soon as there is any handler."
    )
    rounds.publish("langchain", text, note)
    return 0 if kept else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        print(json.dumps(work()))
    else:
        sys.exit(main())
