"""Load on a service: so many requests, so many of them at a time, each on a connection of its own."""

from __future__ import annotations

import asyncio
import json
import time

CONCURRENCY = 32
REQUEST_TIMEOUT = 30.0


def run(port: int, path: str, numbers: range, limit: float = 240.0) -> set[int]:
    """Asks for `path/N` for every number; returns the processes that answered. All have to be answered, with 200."""
    return asyncio.run(asyncio.wait_for(_run(port, path, numbers), limit))


def ready(port: int, path: str, limit: float = 30.0) -> None:
    """Waits until request 0 is answered: it is the first one of the load."""
    deadline = time.monotonic() + limit
    while True:
        try:
            run(port, path, range(1), limit=5.0)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


async def _run(port: int, path: str, numbers: range) -> set[int]:
    left, pids = iter(numbers), set()

    async def worker() -> None:
        for number in left:
            pids.add(await asyncio.wait_for(_ask(port, f"{path}/{number}"), REQUEST_TIMEOUT))

    await asyncio.gather(*(worker() for _ in range(min(CONCURRENCY, len(numbers)))))
    return pids


async def _ask(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise AssertionError(f"{path}: {answer[:300]!r}")
    # Chunked or not: the body is one small JSON object.
    return int(json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])["pid"])
