"""How long `flush(1.0)` and the end of a process take when the server is broken, and whether the report is true."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import rounds
from examples.demo.collector import ROOT, Collector

FAULTS = ("hang", "drip", "reset", "refuse", "500", "301")
TRIALS, AT_ONCE = 20, 2
OBSERVATIONS, SCORES = 50, 45
TRACES = "/api/public/otel/v1/traces"
PROMISED_P95, PROMISED_WORST, PROMISED_EXIT = 1.05, 1.2, 3.3


def work(timeout: str) -> None:
    """One process: everything pending, one flush, and then its end."""
    from tracespool import Client

    # Batches so large that nothing leaves before the flush: all of it is pending, and the report speaks of all of it.
    client = Client(secret_key="sk-lf-bench", flush_at=512)
    for number in range(OBSERVATIONS):
        with client.start_as_current_observation(name=f"step-{number}", input={"text": "word " * 100}) as step:
            if number < SCORES:
                step.score(name="worth", value=1.0)
    began = time.perf_counter()
    report = client.flush(timeout=float(timeout))
    took = time.perf_counter() - began
    told = {name: report[name] for name in ("delivered", "dropped", "pending", "unconfirmed")}
    print(json.dumps(told | {"flush": took, "leaving": time.time()}), flush=True)


def trial(collector: Collector, key: str, **settings: str) -> dict[str, Any]:
    """One process from outside: what it printed, how long it took to leave, and what was stored of it."""
    environ = {n: v for n, v in os.environ.items() if not n.startswith(("LANGFUSE_", "TRACESPOOL_", "OTEL_"))}
    environ |= {"LANGFUSE_BASE_URL": collector.url, "LANGFUSE_PUBLIC_KEY": key} | settings
    ended = subprocess.run(
        [sys.executable, "-m", "bench.flush", "worker", "1.0"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    left = time.time()
    if ended.returncode:
        raise SystemExit(f"the worker failed:\n{ended.stderr}")
    figures = json.loads(ended.stdout)
    stored = collector.stored(key)
    return figures | {"exit": left - figures["leaving"], "stored": stored.observations + stored.scores}


def main() -> int:
    collector = Collector(rounds.scratch("flush"))
    rows, all_kept = [], True
    try:
        untraced = statistics.median(
            trial(collector, "pk-lf-off", LANGFUSE_TRACING_ENABLED="false")["exit"] for _ in range(5)
        )
        for fault in FAULTS:
            row, kept = measure(collector, fault, untraced)
            rows.append(row)
            all_kept = all_kept and kept
            print(f"{fault} done", file=sys.stderr)
    finally:
        collector.stop()
    text = rounds.table(
        ["fault", "flush p95", "flush worst", "exit beyond untraced, worst", "report = stored", "promised"], rows
    )
    note = (
        f"`flush(1.0)` with {OBSERVATIONS} observations and {SCORES} scores pending, {TRIALS} processes for each fault: in half of them "
        f"everything is broken, in the others only the path of the traces. Promised: p95 {PROMISED_P95} s, worst {PROMISED_WORST} s, "
        f"exit {PROMISED_EXIT} s, and a report whose `delivered` is what the collector stored."
    )
    rounds.publish("flush", text, note)
    return 0 if all_kept else 1


def measure(collector: Collector, fault: str, untraced: float) -> tuple[list[str], bool]:
    """The trials of one fault: broken for all paths in the first half, for the traces alone in the second."""
    results: list[dict[str, Any]] = []
    for half in range(2):
        collector.faults([{"fault": fault} | ({"path": TRACES} if half else {})])
        keys = [f"pk-lf-{fault}-{half}-{number}" for number in range(TRIALS // 2)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            results += pool.map(lambda key: trial(collector, key), keys)
    collector.faults([])
    flushes = [figures["flush"] for figures in results]
    p95, worst = rounds.quantile(flushes, 0.95), max(flushes)
    leaving = max(figures["exit"] for figures in results) - untraced
    true = sum(figures["delivered"] == figures["stored"] for figures in results)
    kept = p95 <= PROMISED_P95 and worst <= PROMISED_WORST and leaving <= PROMISED_EXIT and true == len(results)
    row = [fault, f"{p95:.3f} s", f"{worst:.3f} s", f"{leaving:.2f} s", f"{true} of {len(results)}", rounds.verdict(kept)]
    return row, kept


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        work(sys.argv[2])
    else:
        sys.exit(main())
