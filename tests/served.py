"""Applications in this process start no worker before a request needs one, and leave those that are idle to the next.

Three processes for each application, most of which no test asks anything, would take more time than the tests.
"""

from collections import defaultdict

import pytest

from penlight.serve.pool import Pool

OWN = {name: getattr(Pool, name) for name in ("start", "close", "_new_worker")}
"""What the server does: tests/serve/test_pool.py tests it, and the tests of `penlight serve` as a process have it."""

HANDLERS = ("penlight.runs.answering:handle", "penlight.api.explaining:handle")
"""What workers run that are left to the next application; those of a test's own are of that test."""


@pytest.fixture(scope="session", autouse=True)
def workers_on_demand():
    kept = defaultdict(list)

    def kind(pool):
        return pool._handler, pool.bounds.memory

    def close_all_but_idle(pool):
        if pool._handler in HANDLERS:
            kept[kind(pool)] += pool._idle
            pool._idle.clear()
        OWN["close"](pool)

    def one_of_the_idle(pool):
        while kept[kind(pool)]:
            worker = kept[kind(pool)].pop()
            if worker._process.poll() is None:
                return worker
            worker.close()
        return OWN["_new_worker"](pool)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pool, "start", lambda pool: None)
        patch.setattr(Pool, "close", close_all_but_idle)
        patch.setattr(Pool, "_new_worker", one_of_the_idle)
        yield
    for workers in kept.values():
        for worker in workers:
            worker.close()


@pytest.fixture
def own_workers(monkeypatch):
    """Applications of this test start workers of their own, and end them."""
    for name, own in OWN.items():
        monkeypatch.setattr(Pool, name, own)
