"""100,000 requests with 1,000 keys: memory stays where it was, and everything is stored."""

from __future__ import annotations

import contextlib
import sqlite3
import time

from examples.demo import load
from examples.demo.collector import DATABASE

REQUESTS, KEYS = 100_000, 1000
# Each key has been used twenty times by then, and V8 has compiled what is hot.
WARM = 20_000
STEP = 20_000
HEAP_KIB, RSS_KIB = 3 * 1024, 16 * 1024
# Data waits five seconds for company, and fifteen where it is crowded.
REST = 16.0


def test_memory_is_flat(service, receiver):
    app = service("express")
    people = load.users("soak", KEYS)
    looks, total = [], load.Outcome()
    began = 0
    for end in range(WARM, REQUESTS + 1, STEP):
        total.add(app.ask(people, range(began, end), limit=900.0))
        began = end
        time.sleep(REST)
        looks.append(app.look())
        print({name: looks[-1][name] for name in ("rss_kib", "heap_kib", "threads")})
    assert len(total.latencies) == REQUESTS and not total.failures
    first, later = looks[0], looks[1:]
    assert max(look["heap_kib"] for look in later) - first["heap_kib"] <= HEAP_KIB, looks
    assert max(look["rss_kib"] for look in later) - first["rss_kib"] <= RSS_KIB, looks
    assert all(look["threads"] == first["threads"] for look in later)
    assert app.stop() == 0, app.log.read_text()
    assert stored(receiver) == (total.observations.total(), total.scores.total())


def stored(receiver) -> tuple[int, int]:
    """Counted in the database itself: what the collector counts besides takes longer than a request may, at 400,000 rows."""
    with contextlib.closing(sqlite3.connect(f"file:{receiver.data / DATABASE}?mode=ro", uri=True)) as database:
        return tuple(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("observations", "scores"))
