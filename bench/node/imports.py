"""What `import "tracespool"` costs over a bare Node: time and memory, in warm processes, beside the langfuse packages."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench import rounds
from bench.node import process

PROCESSES, WARM_UP = 20, 2
PROMISED_MS, PROMISED_MIB = 15, 5

# Nothing but the import runs between the two looks at the clock; memory is the whole process's.
PROGRAM = """
const began = performance.now();
{statement}
const took = performance.now() - began;
console.log(JSON.stringify({{ ms: took, mib: process.memoryUsage.rss() / 1048576 }}));
"""
CASES = {
    "bare": "",
    "tracespool": 'await import("tracespool");',
    "tracing": 'await import("@langfuse/tracing"); await import("@langfuse/otel"); await import("@opentelemetry/sdk-trace-node");',
}


def once(statement: str) -> dict[str, Any]:
    """One process."""
    ended = subprocess.run(
        [process.NODE, "--no-warnings", "--input-type=module", "--eval", PROGRAM.format(statement=statement)],
        cwd=process.FOLDER,
        env=process.environment("http://127.0.0.1:9"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(ended.stdout)


def main() -> int:
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CASES}
    for turn in range(WARM_UP + PROCESSES):
        for name, statement in CASES.items():
            figures = once(statement)
            if turn >= WARM_UP:
                runs[name].append(figures)
    rows, all_kept = [], True
    for label, name, form, promised in (
        ("time", "ms", "{:.1f} ms", PROMISED_MS),
        ("memory over a bare Node", "mib", "{:.1f} MiB", PROMISED_MIB),
    ):
        base = rounds.median(runs["bare"], name)
        ours, theirs = (rounds.median(runs[case], name) - base for case in ("tracespool", "tracing"))
        all_kept = all_kept and ours <= promised
        rows.append([label, form.format(ours), form.format(theirs), f"{form.format(promised)}: {rounds.verdict(ours <= promised)}"])
    text = rounds.table(["the import", "tracespool", "@langfuse/tracing, /otel and the OTel SDK", "promised"], rows)
    rounds.publish("node-import", text, f"Medians of {PROCESSES} warm, interleaved processes.", process.machine())
    return 0 if all_kept else 1


if __name__ == "__main__":
    sys.exit(main())
