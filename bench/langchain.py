"""What the LangChain handler costs the thread that runs a chain, beside langfuse's.

One process runs both, interleaved. The handler's own cost is measured with the events of a real chain, recorded once and told
again with fresh ids; the whole chain is measured too, less the same chain with a handler that does nothing.
"""

from __future__ import annotations

import gc
import json
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
    handlers: dict[str, Any] = {"none": nothing(), "theirs": Theirs(), "ours": Ours(client=our_client)}
    flushes = {"none": lambda: None, "theirs": their_client.flush, "ours": our_client.flush}

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

    def invoke(which: str) -> tuple[float, float]:
        config: Any = {"callbacks": [handlers[which]], "metadata": metadata}
        wall, cpu = time.perf_counter(), time.thread_time()
        for _ in range(CHAINS):
            chain.invoke(question, config)
        return time.perf_counter() - wall, time.thread_time() - cpu

    found: dict[str, list[tuple[float, float]]] = {}
    for turn in range(-2, ROUNDS):
        for label, measure in (("told", tell), ("whole", invoke)):
            for which in handlers:
                gc.collect()
                gc.disable()
                figures = measure(which)
                gc.enable()
                flushes[which]()
                if turn >= 0:
                    found.setdefault(f"{label} {which}", []).append(figures)
    result = {}
    for label in ("told", "whole"):
        for at, kind in enumerate(("wall", "cpu")):
            none, theirs, ours = (
                statistics.median(pair[at] for pair in found[f"{label} {which}"]) for which in ("none", "theirs", "ours")
            )
            result[f"{label} {kind} theirs"] = (theirs - none) / CHAINS * 1e6
            result[f"{label} {kind} ours"] = (ours - none) / CHAINS * 1e6
    return result


def main() -> int:
    sink = Sink()
    keys = {"LANGFUSE_PUBLIC_KEY": "pk-lf-langchain", "LANGFUSE_SECRET_KEY": "sk-lf-bench"}
    try:
        runs = [rounds.worker("bench.langchain", base_url=sink.url, **keys) for _ in range(PROCESSES)]
    finally:
        sink.stop()
    lines, kept = [], True
    for label, name, promised in (
        ("the handler's own events, thread's CPU", "told cpu", True),
        ("the handler's own events, wall", "told wall", False),
        ("in a whole chain, less the chain, thread's CPU", "whole cpu", False),
        ("in a whole chain, less the chain, wall", "whole wall", False),
    ):
        ours, theirs = (rounds.median(runs, f"{name} {whose}") / RUNS_PER_CHAIN for whose in ("ours", "theirs"))
        times = theirs / ours
        kept = kept and (not promised or times >= PROMISED)
        verdict = f"{PROMISED} x: {rounds.verdict(times >= PROMISED)}" if promised else ""
        lines.append([label, f"{ours:.2f} us", f"{theirs:.1f} us", f"{times:.1f} x", verdict])
    text = rounds.table(["per LangChain run", "tracespool", "langfuse 5.0.4", "less", "promised"], lines)
    note = (
        f"A chain of prompt, fake chat model and parser: {RUNS_PER_CHAIN} runs. Medians of {PROCESSES} processes of {ROUNDS} "
        f"rounds of {CHAINS} chains, both libraries in each, interleaved and flushed after each block, outside the time."
    )
    rounds.publish("langchain", text, note)
    return 0 if kept else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        print(json.dumps(work()))
    else:
        sys.exit(main())
