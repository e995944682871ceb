"""gevent: whoever waits in tracespool for a server that hangs lets the other greenlets run."""

from __future__ import annotations

import json

import pytest
from installed import INSTALLED
from program import environment

PROGRAM = """
    from gevent import monkey
    monkey.patch_all()
    import json, os, time
    import gevent
    import tracespool

    client = tracespool.Client(timeout=1)
    elsewhere = os.environ['LANGFUSE_BASE_URL'] + '/api/public/otel/v1/traces'
    with client.start_as_current_observation(name="pending"):
        pass
    pauses, before = [], time.monotonic()

    def tick():
        global before
        while True:
            gevent.sleep(0.005)
            now = time.monotonic()
            pauses.append(now - before)
            before = now

    ticking = gevent.spawn(tick)
    gevent.sleep(0.05)
    del pauses[:]
    began = before = time.monotonic()
    {wait}
    took = time.monotonic() - began
    ticking.kill()
    print(json.dumps([took, len(pauses), max(pauses, default=took)]))
"""

WAITS = {
    "flush": "client.flush(timeout=1.0)",
    "shutdown": "client.shutdown(timeout=1.0)",
    "cleanup_client": "tracespool.cleanup_client('pk-lf-blackbox', timeout=1.0)",
    "cleanup_all_clients": "tracespool.cleanup_all_clients(timeout=1.0)",
    "flush of all": "from tracespool.integrations import _bounded; _bounded.flush(None, 1.0)",
    "auth_check": "assert not client.auth_check()",
    "auth_check elsewhere": "assert not tracespool.Client(otlp_endpoint=elsewhere, timeout=1).auth_check()",
    "get_prompt": "client.get_prompt('x', fallback='f', fetch_timeout_seconds=1, max_retries=0)",
    "flush in a greenlet": "gevent.joinall([gevent.spawn(client.flush, timeout=1.0) for _ in range(3)])",
}


@pytest.mark.parametrize("wait", WAITS)
def test_other_greenlets_run_while_one_waits(receiver, program, wait):
    receiver.fault("hang")
    env = environment(receiver.url, TRACESPOOL_ATEXIT="0", PYTHONPATH=str(INSTALLED))
    ended = program(PROGRAM.format(wait=WAITS[wait])).run(env)
    assert ended.code == 0, ended.err
    took, ticks, longest = json.loads(ended.lines()[-1])
    assert 0.9 < took < 1.5, "the server hangs: all of the time was waited for"
    assert ticks > 50 and longest < 0.3, f"{ticks} turns of the other greenlet, {longest:.3f} s between two"
