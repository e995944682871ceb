"""All programs under both libraries."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from compare import Difference, differences
from normal import Shown, form
from wire import Wire, decode

HERE = Path(__file__).resolve().parent
LIBRARIES = {"langfuse": "langfuse", "tracespool": "tracespool.langfuse"}
TIMEOUT = 150.0


def programs() -> list[str]:
    """`topic.function` of every public function in the folder `programs`, read without importing anything."""
    names = []
    for path in sorted((HERE / "programs").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                names.append(f"{path.stem}.{node.name}")
    return names


def run(names: list[str]) -> dict[str, list[Difference]]:
    """Runs the programs under both libraries at once; their differences, by program."""
    wire = Wire()
    try:
        with tempfile.TemporaryDirectory() as folder:
            started = {library: _start(library, wire.url, names, Path(folder)) for library in LIBRARIES}
            ended = {library: _finish(process) for library, process in started.items()}
            logs = {(path.parent.name, path.name): path.read_text() for path in Path(folder).glob("*/*")}
    finally:
        wire.stop()
    found = {}
    for name in names:
        theirs, ours = (
            Shown(decode(wire.requests[library, name]), ended[library][name], library == "langfuse") for library in LIBRARIES
        )
        found[name] = list(differences(name, form(theirs, ours), form(ours, theirs)))
        if os.environ.get("CONFORMANCE_VERBOSE"):
            for library in LIBRARIES:
                print(f"--- {library}: {name}\n{logs[library, name]}", file=sys.stderr)
    return found


def _certificate(folder: Path) -> str:
    """A file with one certificate. Every client of langfuse reads all of the system's, twice, and no program uses one."""
    import certifi

    text, end = Path(certifi.where()).read_text(), "-----END CERTIFICATE-----"
    file = folder / "one.pem"
    file.write_text(text[text.index("-----BEGIN") :].partition(end)[0] + end + "\n")
    return str(file)


def _start(library: str, url: str, names: list[str], folder: Path) -> subprocess.Popen[str]:
    logs = folder / library
    logs.mkdir()
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LANGFUSE_", "TRACESPOOL_", "OTEL_", "PYTEST_"))
        and name.lower() not in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    } | {
        "CONFORMANCE_LOGS": str(logs),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "SSL_CERT_FILE": _certificate(folder),
        "TZ": "Europe/Berlin",
    }
    return subprocess.Popen(
        [sys.executable, str(HERE / "nursery.py"), LIBRARIES[library], f"{url}/{library}", *names],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    if process.returncode:
        raise AssertionError(f"the programs did not run:\n{err}")
    return json.loads(out.splitlines()[-1])


if __name__ == "__main__":
    # python tests/conformance/runs.py [part of a program's name]...: every difference that has no reason.
    from compare import reasons

    wanted = [name for name in programs() if not sys.argv[1:] or any(part in name for part in sys.argv[1:])]
    known = reasons()
    for name, found in run(wanted).items():
        for difference in found:
            if not any(reason.explains(difference) for reason in known):
                print(difference)
