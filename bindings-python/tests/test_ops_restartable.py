"""A resource that is replaced while others use it: task groups, deadlines, threads, memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import threading
import time
import weakref
from typing import Any

import anyio
import pytest

from tracespool.ops import Restartable, Unavailable

BACKENDS = [pytest.param("asyncio", id="asyncio"), pytest.param("trio", id="trio")]


class Session:
    """What an MCP session is: a task group with a task in it, and memory."""

    living: weakref.WeakSet[Session] = weakref.WeakSet()
    most = 0

    def __init__(self, number: int) -> None:
        self.number = number
        self.memory = bytearray(1_000_000)
        self.closed = False
        Session.living.add(self)
        Session.most = max(Session.most, sum(not session.closed for session in Session.living))


class Sessions:
    """Opens and closes sessions by entering and leaving anyio task groups by hand."""

    def __init__(self) -> None:
        self.opened = 0
        self.owners: list[tuple[Any, Any]] = []
        Session.living.clear()
        Session.most = 0

    async def open(self) -> tuple[Session, Any]:
        self.opened += 1
        session = Session(self.opened)
        group = anyio.create_task_group()
        await group.__aenter__()
        group.start_soon(anyio.sleep_forever)
        self.owners.append((anyio.get_current_task().id, None))
        return session, group

    async def close(self, resource: tuple[Session, Any]) -> None:
        session, group = resource
        self.owners[-1] = (self.owners[-1][0], anyio.get_current_task().id)
        group.cancel_scope.cancel()
        await group.__aexit__(None, None, None)
        session.closed = True


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_resource_is_opened_and_closed_by_one_task_that_is_not_the_asker(backend: str) -> None:
    sessions = Sessions()

    async def main() -> None:
        async with Restartable(sessions.open, sessions.close, name="session") as it:
            for _ in range(5):
                await it.restart()
            async with anyio.create_task_group() as group:
                group.start_soon(it.restart)
                group.start_soon(it.restart)  # shares the other's
            async with it.borrow() as (session, _):
                assert session.number == 7 and not session.closed
            assert it.restarts == 6 and it.close_failures == 0
            mine = anyio.get_current_task().id
            assert all(mine not in pair for pair in sessions.owners)
        assert it.state == "closed"

    anyio.run(main, backend=backend)
    assert len(sessions.owners) == 7
    assert all(opened == closed for opened, closed in sessions.owners)
    assert Session.most == 1, "the old one is gone before the new one is made"


@pytest.mark.parametrize("backend", BACKENDS)
def test_borrowers_finish_first_and_new_ones_get_the_new(backend: str) -> None:
    sessions, seen = Sessions(), []

    async def main() -> None:
        it = Restartable(sessions.open, sessions.close, name="session")

        async def use(hold: float) -> None:
            async with it.borrow() as (session, _):
                await anyio.sleep(hold)
                seen.append((session.number, session.closed))

        async with anyio.create_task_group() as group:
            group.start_soon(use, 0.3)
            await anyio.sleep(0.1)
            group.start_soon(it.restart)
            await anyio.sleep(0.05)
            assert it.state == "draining"
            group.start_soon(use, 0.0)
        await it.aclose()
        assert it.overstayed == 0

    anyio.run(main, backend=backend)
    assert seen == [(1, False), (2, False)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_borrower_that_stays_is_not_waited_for_longer_than_the_deadline(backend: str) -> None:
    sessions = Sessions()

    async def main() -> None:
        async with Restartable(sessions.open, sessions.close, name="session", borrow_deadline=0.1) as it:
            async with it.borrow() as (session, _):
                began = time.monotonic()
                await it.restart()
                assert time.monotonic() - began < 2
                assert session.closed and it.overstayed == 1 and it.borrowers == 0
            assert it.borrowers == 0, "what ended late belongs to the old one"

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["raises", "hangs", "hangs before its group is left", "swallows"])
def test_a_bad_close_is_survived(backend: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    sessions = Sessions()

    async def close(resource: Any) -> None:
        if kind == "raises":
            await sessions.close(resource)
            raise ValueError("broken pipe")
        if kind == "hangs":
            await sessions.close(resource)
            await anyio.sleep_forever()
        if kind == "hangs before its group is left":
            await anyio.sleep_forever()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            with anyio.CancelScope(shield=True):
                try:
                    await anyio.sleep(0.05)
                except asyncio.CancelledError:
                    pass

    async def main() -> None:
        it = Restartable(sessions.open, close, name="session", close_deadline=0.2)
        for number in (1, 2):
            async with it.borrow() as (session, _):
                assert session.number == number
            await it.restart()
        assert it.restarts == 2 and it.close_failures == 2
        assert it.abandoned == (2 if kind == "swallows" else 0)
        async with it.borrow() as (session, _):
            assert session.number == 3
        await it.aclose()

    with caplog.at_level(logging.WARNING, "tracespool.ops"):
        began = time.monotonic()
        anyio.run(main, backend=backend)
    assert time.monotonic() - began < 15
    assert any("session" in record.message for record in caplog.records)


def test_an_open_that_fails_is_told_and_tried_again() -> None:
    attempts = []

    def opens() -> str:
        attempts.append(time.monotonic())
        if len(attempts) == 1:
            raise ConnectionRefusedError("no server")
        return "resource"

    async def main() -> None:
        it = Restartable(opens, lambda _: None, name="link")
        for _ in range(2):  # the second is told of the first's failure
            with pytest.raises(Unavailable, match="no server") as caught:
                async with it.borrow():
                    pass
            assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        assert len(attempts) == 1
        await asyncio.sleep(1.05)
        async with it.borrow() as resource:
            assert resource == "resource"
        await it.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_open_that_hangs_is_given_up(backend: str) -> None:
    async def main() -> None:
        it = Restartable(anyio.sleep_forever, lambda _: None, name="link", open_deadline=0.1)
        with pytest.raises(Unavailable, match="longer than"):
            await it.start()
        await it.aclose()

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_borrow_and_restart(backend: str) -> None:
    sessions, seen = Sessions(), []

    async def main() -> None:
        async with Restartable(sessions.open, sessions.close, name="session") as it:

            def work() -> None:
                with it.borrow() as (session, _):
                    seen.append(session.number)
                it.restart_sync(10.0)
                with it.borrow() as (session, _):
                    seen.append(session.number)

            await anyio.to_thread.run_sync(work)
            with pytest.raises(RuntimeError, match="await restart"):
                it.restart_sync()

            def other_loop() -> None:
                asyncio.run(it.restart())

            await anyio.to_thread.run_sync(other_loop)
            assert it.restarts == 2

    anyio.run(main, backend=backend)
    assert seen == [1, 2]


def test_a_resource_whose_task_group_fails_is_closed_and_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    opened = []

    @contextlib.asynccontextmanager
    async def session() -> Any:
        async def dies() -> None:
            await anyio.sleep(0.05)
            raise EOFError("the server hung up")

        async with anyio.create_task_group() as group:
            opened.append(len(opened))
            if len(opened) == 1:
                group.start_soon(dies)
            yield len(opened)
            group.cancel_scope.cancel()

    async def main() -> None:
        it = Restartable(session, name="session")
        async with it.borrow() as number:
            assert number == 1
            await anyio.sleep(0.2)
        assert it.state == "closed"
        async with it.borrow() as number:
            assert number == 2
        await it.aclose()

    with caplog.at_level(logging.INFO, "tracespool.ops"):
        asyncio.run(main())
    assert "ended by itself" in caplog.text


def test_the_end_of_the_loop_closes_it_and_another_loop_opens_it_again() -> None:
    sessions = Sessions()
    it = Restartable(sessions.open, sessions.close, name="session")

    async def once() -> int:
        async with it.borrow() as (session, _):
            return session.number

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(once, backend=backend)
    assert sessions.opened == 3
    gc.collect()
    assert not Session.living


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_opens_its_own() -> None:
    async def main() -> None:
        pids = []
        it = Restartable(lambda: pids.append(os.getpid()) or os.getpid(), lambda _: None, name="it")
        await it.start()
        it._lock.acquire()  # a thread of the parent is in it
        child = os.fork()
        if child == 0:
            ok = False
            try:
                asyncio._set_running_loop(None)  # the loop of the parent; a worker is forked outside of one

                async def inside() -> int:
                    async with it.borrow() as pid:
                        return int(pid)

                ok = asyncio.run(inside()) == os.getpid() and len(pids) == 2
            finally:
                os._exit(0 if ok else 1)
        it._lock.release()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        async with it.borrow() as pid:
            assert pid == os.getpid()
        await it.aclose()

    asyncio.run(main())


def test_an_ended_loop_is_told_to_threads() -> None:
    it = Restartable(lambda: 1, lambda _: None, name="it")
    with pytest.raises(RuntimeError, match="no event loop"):
        it.restart_sync(1.0)
    asyncio.run(it.start())
    it.request_restart()  # nothing happens
    with pytest.raises((Unavailable, RuntimeError)):
        it.restart_sync(1.0)
    with pytest.raises((Unavailable, RuntimeError)), it.borrow():
        pass


def test_nothing_of_the_first_borrower_is_kept() -> None:
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen = []

    async def main() -> None:
        variable.set("of the request")
        it = Restartable(lambda: seen.append(variable.get()), lambda _: None, name="it")
        await it.start()
        await it.aclose()

    asyncio.run(main())
    assert seen == ["none"]


def test_restarts_after_so_many_borrows_and_says_what_it_gave_back(caplog: pytest.LogCaptureFixture) -> None:
    sessions = Sessions()

    async def main() -> None:
        it = Restartable(sessions.open, sessions.close, name="session", restart_after=10)
        with caplog.at_level(logging.INFO, "tracespool.ops"):
            for _ in range(35):
                async with it.borrow():
                    await asyncio.sleep(0)
                await asyncio.sleep(0.005)
            await it.aclose()
        assert it.restarts == 3
        assert it.last_restart is not None and {"rss_before_mb", "rss_after_mb", "delta_mb"} <= it.last_restart.keys()

    asyncio.run(main())
    assert "rss before" in caplog.text and "after" in caplog.text and "delta" in caplog.text


def test_many_askers_from_everywhere_at_once() -> None:
    sessions = Sessions()

    async def main() -> None:
        async with Restartable(sessions.open, sessions.close, name="session") as it:
            stop = threading.Event()
            failures: list[BaseException] = []

            def worker() -> None:
                try:
                    while not stop.is_set():
                        with it.borrow() as (session, _):
                            assert not session.closed
                        it.restart_sync(10)
                except BaseException as error:
                    failures.append(error)

            async def task() -> None:
                while not stop.is_set():
                    async with it.borrow() as (session, _):
                        await asyncio.sleep(0.001)
                        assert not session.closed

            threads = [threading.Thread(target=worker) for _ in range(4)]
            for thread in threads:
                thread.start()
            tasks = [asyncio.create_task(task()) for _ in range(4)]
            deadline = time.monotonic() + 60
            while it.restarts <= 10 and not failures and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            stop.set()
            await asyncio.gather(*tasks)
            for thread in threads:
                await asyncio.to_thread(thread.join)
            assert not failures and it.restarts > 10 and it.overstayed == 0

    asyncio.run(main())
    assert Session.most == 1
