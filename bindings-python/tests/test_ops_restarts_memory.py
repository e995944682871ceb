"""Restarts give memory back: a process with anyio task groups, 20 to 30 MB each, and traced messages."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

BACKENDS = [pytest.param("asyncio", id="asyncio"), pytest.param("trio", id="trio")]

_LOAD = """
import asyncio, random, sys
import anyio
import tracespool
from tracespool.ops import Restartable, rss_bytes

restarts, messages = int(sys.argv[1]), int(sys.argv[2])
client = tracespool.Client(public_key="pk-load", secret_key="sk", base_url="http://127.0.0.1:9", tracing_enabled=True)

class Browser:
    '''20 to 30 MB in pieces of every size, and cycles that only the collector breaks.'''
    def __init__(self):
        left, self.pages = random.randint(20, 30) * 1_000_000, []
        while left > 0:
            size = random.choice((600, 4_000, 60_000, 900_000))
            self.pages.append(bytearray(b'x' * size))
            left -= size
        self.me = self
        self.seen = []

async def open_browser():
    browser = Browser()
    browser.group = anyio.create_task_group()
    await browser.group.__aenter__()
    browser.send, browser.receive = anyio.create_memory_object_stream(10)
    for _ in range(3):
        browser.group.start_soon(pump, browser)
    return browser

async def pump(browser):
    async for event, message in browser.receive.clone():
        browser.seen.append(message[:1000])
        event.set()

async def close_browser(browser):
    browser.group.cancel_scope.cancel()
    await browser.group.__aexit__(None, None, None)

async def main():
    peak = 0
    it = Restartable(open_browser, close_browser, name="browser")
    each = max(1, messages // restarts)
    for turn in range(restarts):
        async def message(number):
            async with it.borrow() as browser:
                with client.start_as_current_observation(name="message", input={"number": number}):
                    event = anyio.Event()
                    await browser.send.send((event, f"message {number} " * 50))
                    await event.wait()
        for first in range(0, each, 20):
            async with anyio.create_task_group() as group:
                for number in range(first, min(each, first + 20)):
                    group.start_soon(message, number)
        peak = max(peak, rss_bytes())
        await it.restart()
    await it.aclose()
    assert it.restarts == restarts, it.stats()
    assert not it.close_failures and not it.overstayed, it.stats()
    client.shutdown(0)
    print(rss_bytes() / 1048576, peak / 1048576)

anyio.run(main, backend=sys.argv[3])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="getrusage elsewhere knows only the peak")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("restarts", "messages", "limit"), [(20, 400, 100), (50, 7000, 200)])
def test_memory_stays(backend: str, restarts: int, messages: int, limit: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_LOAD), str(restarts), str(messages), backend],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    after, peak = map(float, done.stdout.split())
    print(f"{backend}: {restarts} restarts, {messages} messages: {after:.0f} MB after, {peak:.0f} MB at most")
    assert after < limit and peak < limit
