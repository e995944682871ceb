"""What `import tracespool` costs over a bare interpreter: time and memory, in warm processes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench import rounds
from examples.demo.collector import ROOT

PROCESSES, WARM_UP = 20, 2
PROMISED_MS, PROMISED_MIB = 40, 6

# Nothing but the import runs between the two looks at the clock; memory is the whole process's.
PROGRAM = """
import time
began = time.perf_counter()
{statement}
took = time.perf_counter() - began
import json, os
pages = int(open("/proc/self/statm").read().split()[1])
print(json.dumps({{"ms": took * 1000, "mib": pages * os.sysconf("SC_PAGE_SIZE") / 1048576}}))
"""
CASES = {"bare": "pass", "tracespool": "import tracespool", "langfuse 5.0.4": "import langfuse"}


def once(statement: str) -> dict[str, Any]:
    """One process."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(statement=statement)],
        cwd=ROOT,
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
    bare = rounds.median(runs["bare"], "mib")
    rows, all_kept = [], True
    for label, name, form, promised in (
        ("time", "ms", "{:.1f} ms", PROMISED_MS),
        ("memory over the bare interpreter", "mib", "{:.1f} MiB", PROMISED_MIB),
    ):
        base = bare if name == "mib" else 0.0
        ours, theirs = (rounds.median(runs[case], name) - base for case in ("tracespool", "langfuse 5.0.4"))
        all_kept = all_kept and ours <= promised
        rows.append([label, form.format(ours), form.format(theirs), f"{form.format(promised)}: {rounds.verdict(ours <= promised)}"])
    text = rounds.table(["the import", "tracespool", "langfuse 5.0.4", "promised"], rows)
    rounds.publish("import", text, f"Medians of {PROCESSES} warm, interleaved processes.")
    return 0 if all_kept else 1


if __name__ == "__main__":
    sys.exit(main())
