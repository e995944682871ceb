"""The load generator: a fixed number of keep-alive connections, each sending its next request when the last is answered.

It speaks just enough HTTP/1.1 over asyncio streams to cost little beside the service that it measures.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from examples.agent.knowledge import question

REQUEST_TIMEOUT = 60.0


@dataclass(frozen=True)
class User:
    """A user of the service, with keys of a project of his own."""

    name: str
    public_key: str
    secret_key: str


def users(service: str, count: int) -> list[User]:
    """The users of one service: no two services share a project, so that what arrives can be told apart."""
    return [
        User(f"user-{n:03d}", f"pk-lf-{service}-{n:03d}", f"sk-lf-{service}-{n:03d}") for n in range(count)
    ]


@dataclass
class Outcome:
    """What a run of requests came to."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    observations: Counter[str] = field(default_factory=Counter)
    scores: Counter[str] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        """The latency in milliseconds that `share` of the requests stayed within."""
        if not self.latencies:
            return float("nan")
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    def add(self, later: Outcome) -> None:
        """Takes in a run that came after this one."""
        self.seconds += later.seconds
        self.latencies += later.latencies
        self.failures += later.failures
        self.observations += later.observations
        self.scores += later.scores


async def run(
    port: int, people: list[User], numbers: range, concurrency: int, limit: float, progress: Callable[[int], None]
) -> Outcome:
    """Sends the requests `numbers` with `concurrency` of them under way at any time, for at most `limit` seconds."""
    outcome = Outcome()
    started = time.perf_counter()
    left = _until(started + limit, numbers)
    await asyncio.gather(*(_worker(port, people, left, outcome, progress) for _ in range(concurrency)))
    outcome.seconds = time.perf_counter() - started
    return outcome


def _until(deadline: float, numbers: range) -> Iterator[int]:
    return itertools.takewhile(lambda _number: time.perf_counter() < deadline, numbers)


async def _worker(
    port: int, people: list[User], left: Iterator[int], outcome: Outcome, progress: Callable[[int], None]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for number in left:
            # In turn: each service gets the same users in the same order.
            user = people[number % len(people)]
            begun = time.perf_counter()
            writer.write(_request(port, user, number))
            status, body = await asyncio.wait_for(_response(reader), REQUEST_TIMEOUT)
            outcome.latencies.append(time.perf_counter() - begun)
            if status == 200:
                answer = json.loads(body)
                outcome.observations[user.public_key] += answer["observations"]
                outcome.scores[user.public_key] += answer["scores"]
            else:
                outcome.failures[f"HTTP {status}"] += 1
            progress(len(outcome.latencies))
    finally:
        writer.close()


def _request(port: int, user: User, number: int) -> bytes:
    body = json.dumps({"text": question(number)}).encode()
    head = (
        f"POST /ask HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-public-key: {user.public_key}\r\nx-secret-key: {user.secret_key}\r\n"
        f"x-user: {user.name}\r\n\r\n"
    )
    return head.encode() + body


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    status = int(lines[0].split()[1])
    if "content-length" in fields:
        return status, await reader.readexactly(int(fields["content-length"]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return status, body
