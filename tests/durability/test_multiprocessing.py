"""Children of multiprocessing say goodbye too, though they skip the interpreter's exit hooks."""

from __future__ import annotations

import pytest
from program import environment

CHILDREN, EACH = 4, 3

WORKING = """
    import multiprocessing, os, sys
    from tracespool import Client

    def work(number):
        client = Client()
        for turn in range(3):
            with client.start_as_current_observation(name=f"child-{number}-{turn}") as observation:
                observation.score(name="worth", value=1.0)

    if __name__ == "__main__":
        context = multiprocessing.get_context(os.environ["METHOD"])
        client = Client()
        with client.start_as_current_observation(name="parent-before"):
            pass
        if os.environ["POOL"] == "1":
            with context.Pool(4) as pool:
                pool.map(work, range(4), chunksize=1)
                pool.close()
                pool.join()
        else:
            children = [context.Process(target=work, args=(number,)) for number in range(4)]
            for child in children:
                child.start()
            for child in children:
                child.join(20)
            assert all(child.exitcode == 0 for child in children), [child.exitcode for child in children]
        with client.start_as_current_observation(name="parent-after"):
            pass
"""


@pytest.mark.parametrize("pool", ["0", "1"], ids=["process", "pool"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_deliver_everything_once(receiver, program, method, pool):
    ended = program(WORKING).run(environment(receiver.url, METHOD=method, POOL=pool), timeout=60)
    assert ended.code == 0, ended.err
    assert receiver.whole() == (2 + CHILDREN * EACH, CHILDREN * EACH, 0, 0)
