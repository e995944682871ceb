"""How long `flush({timeout: 1000})` and the end of a Node process take when the server is broken, and whether the report is true."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import rounds
from bench.node import process
from examples.demo.collector import Collector

FAULTS = ("hang", "drip", "reset", "refuse", "500")
TRIALS, AT_ONCE = 10, 2
PROMISED_S, PROMISED_EXIT_S, PROMISED_MS = 1.05, 0.3, 20


def trial(collector: Collector, library: str, key: str, **settings: str) -> dict[str, Any]:
    """One process from outside: what it printed, how long it took to leave after that, and what was stored of it."""
    started = subprocess.Popen(
        [process.NODE, "--no-warnings", str(process.FOLDER / "flush.mjs"), library, key],
        cwd=process.FOLDER,
        env=process.environment(collector.url, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = started.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        started.kill()
        raise
    left = time.time()
    if started.returncode or not out:
        raise SystemExit(f"the worker failed:\n{err}")
    figures = json.loads(out.splitlines()[0])
    return figures | {"exit": left - figures["leaving"] / 1000, "stored": collector.stored(key).observations}


def main() -> int:
    collector = Collector(rounds.scratch("node-flush"))
    rows, all_kept = [], True
    try:
        for fault in FAULTS:
            row, kept = measure(collector, fault)
            rows.append(row)
            all_kept = all_kept and kept
            print(f"{fault} done", file=sys.stderr)
        quiet = {library: besides(collector, library) for library in process.LIBRARIES}
    finally:
        collector.stop()
    head = ["fault", "flush, worst", "exit after it, worst", "report = stored", f"{process.LANGFUSE}: flush", "exit", "promised"]
    ours = quiet["tracespool"]
    quiet_kept = max(ours["readFile"], ours["lookup"]) < PROMISED_MS
    note = (
        f"`flush({{ timeout: 1000 }})` with 50 observations pending, {TRIALS} processes for each fault; langfuse with `timeout: 1`, 2 processes. Promised: "
        f"{PROMISED_S} s, exit {PROMISED_EXIT_S} s after it, and a report whose `delivered` is what the collector stored. 50 flushes to a server "
        f"that never answers: `fs.readFile` took {ours['readFile']:.1f} ms at most and `dns.lookup` {ours['lookup']:.1f} ms "
        f"(before them {ours['before']['readFile']:.1f} and {ours['before']['lookup']:.1f} ms; promised {PROMISED_MS} ms: {rounds.verdict(quiet_kept)})."
    )
    rounds.publish("node-flush", rounds.table(head, rows), note, process.machine())
    return 0 if all_kept and quiet_kept else 1


def measure(collector: Collector, fault: str) -> tuple[list[str], bool]:
    """The trials of one fault."""
    collector.faults([{"fault": fault}])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda n: trial(collector, "tracespool", f"pk-lf-{fault}-{n}"), range(TRIALS)))
        theirs = list(pool.map(lambda n: trial(collector, "langfuse", f"pk-lf-langfuse-{fault}-{n}"), range(2)))
    collector.faults([])
    worst, leaving = max(run["took"] for run in results) / 1000, max(run["exit"] for run in results)
    true = sum(told_the_truth(run) for run in results)
    kept = worst <= PROMISED_S and leaving <= PROMISED_EXIT_S and true == len(results)
    row = [fault, f"{worst:.3f} s", f"{leaving:.2f} s", f"{true} of {len(results)}"]
    row += [f"{max(run['took'] for run in theirs) / 1000:.3f} s", f"{max(run['exit'] for run in theirs):.2f} s", rounds.verdict(kept)]
    return row, kept


def told_the_truth(run: dict[str, Any]) -> bool:
    """Whether what the report calls delivered is stored, and all that was made is accounted for."""
    report = run["said"]
    dropped = report["dropped"] if isinstance(report["dropped"], int) else sum(report["dropped"].values())
    whole = report["delivered"] + dropped + report["pending"] + report["unconfirmed"]
    return report["delivered"] == run["stored"] and whole == run["made"]


def besides(collector: Collector, library: str) -> dict[str, Any]:
    """What else the process does while fifty flushes wait."""
    collector.faults([{"fault": "hang"}])
    try:
        return process.run("quiet.mjs", library, f"pk-lf-quiet-{library}", base_url=collector.url)
    finally:
        collector.faults([])


if __name__ == "__main__":
    sys.exit(main())
