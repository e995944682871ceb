"""Runs programs under one library, each in a process of its own.

The library is imported once; every program runs in a fork of that process, which has no client and no thread yet. That
spares langfuse's import (0.3 s) for each of them. A program's process ends the way any program does, by its exit hooks.

    python nursery.py <library> <base url> <topic.function>...
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Any

AT_ONCE = 6
DEADLINE = 30.0


@dataclass
class Child:
    """A program under way."""

    name: str
    pid: int
    pipe: int
    began: float
    text: bytes = b""


def perform(name: str, base_url: str) -> None:
    """Runs one program; exceptions that it lets out are part of what it shows."""
    import library

    topic, function = name.split(".")
    program = getattr(importlib.import_module(f"programs.{topic}"), function)
    environ = {
        "LANGFUSE_PUBLIC_KEY": "pk-lf-conformance",
        "LANGFUSE_SECRET_KEY": "sk-lf-conformance",
        "LANGFUSE_BASE_URL": f"{base_url}/{name}",
    } | getattr(program, "environ", {})
    for variable, value in environ.items():
        os.environ.pop(variable, None)
        if value is not None:
            os.environ[variable] = value
    try:
        program()
    except Exception as error:
        library.say("the program raised", type(error).__name__)
        traceback.print_exc()


def child(name: str, base_url: str, pipe: int) -> None:
    """The life of a program's process, up to its exit hooks."""
    import library

    began = time.time_ns()
    log = os.open(os.path.join(os.environ["CONFORMANCE_LOGS"], name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    perform(name, base_url)
    answer = {"began": began, "ended": time.time_ns(), "said": library.said}
    with os.fdopen(pipe, "w") as file:
        json.dump(answer, file)


def warm_up(base_url: str) -> None:
    """Imports what the library imports with its first client: learnt from a fork that makes one."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.environ |= {"LANGFUSE_PUBLIC_KEY": "pk-lf-warm", "LANGFUSE_SECRET_KEY": "sk-lf-warm", "LANGFUSE_BASE_URL": f"{base_url}/warm-up"}
        import library

        known = set(sys.modules)
        client = library.langfuse.get_client()
        client.start_observation(name="warm-up").end()
        client.create_score(name="warm-up", value=1, trace_id="0" * 31 + "1")
        client.flush()
        os.write(write, json.dumps(sorted(set(sys.modules) - known)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        modules = json.load(file)
    os.waitpid(pid, 0)
    for module in modules:
        with contextlib.suppress(Exception):
            importlib.import_module(module)


def start(name: str, base_url: str) -> Child | None:
    """Forks; returns `None` in the child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        child(name, base_url, write)
        return None
    os.close(write)
    return Child(name, pid, read, time.monotonic())


def main() -> None:
    """Runs all programs, a few at a time, and prints what each of them said as one JSON object."""
    module, base_url, *names = sys.argv[1:]
    os.environ["CONFORMANCE_LIBRARY"] = module
    for topic in sorted({name.split(".")[0] for name in names}):
        importlib.import_module(f"programs.{topic}")
    warm_up(base_url)
    gc.freeze()
    waiting, running = names[::-1], []
    ended: dict[str, Any] = {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            born = start(waiting.pop(), base_url)
            if born is None:
                return
            running.append(born)
        for one in list(running):
            if select.select([one.pipe], [], [], 0)[0]:
                one.text += os.read(one.pipe, 1 << 16)
            late = time.monotonic() - one.began > DEADLINE
            if late:
                os.kill(one.pid, signal.SIGKILL)
            pid, status = os.waitpid(one.pid, 0 if late else os.WNOHANG)
            if pid:
                while rest := os.read(one.pipe, 1 << 16):
                    one.text += rest
                os.close(one.pipe)
                running.remove(one)
                code = os.waitstatus_to_exitcode(status)
                ended[one.name] = (json.loads(one.text) if one.text else {"said": []}) | {"code": code}
        time.sleep(0.005)
    print(json.dumps(ended))


if __name__ == "__main__":
    main()
