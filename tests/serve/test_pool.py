"""The server's workers: which request gets one, which gives way, and when all are taken."""

import asyncio
import contextlib

import pytest
from starlette.testclient import TestClient

from penlight.serve import make_app, open_registry
from penlight.serve import pool as pools
from penlight.serve.limits import RequestLimits
from penlight.serve.pool import Pool
from penlight.workers import Bounds
from tests.served import OWN, own_workers  # noqa: F401
from tests.trained import trained

HANDLER = "tests.attack.misbehaving:handle"
QUICK, ENDLESS = ({"do": "echo", "value": 1}, b""), ({"do": "loop"}, b"")


@contextlib.asynccontextmanager
async def pool(threads, spare, **limits):
    made = Pool(HANDLER, threads, RequestLimits(**limits), Bounds(60.0, 256 << 20), spare=spare)
    OWN["start"](made)
    going = []

    def ask(run, item):
        going.append(asyncio.ensure_future(made.ask({"run": run}, [item])))
        return going[-1]

    try:
        yield made, ask
    finally:
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        made.close()


class Started:
    """A worker that is no process."""

    def __init__(self, handler, memory):
        self.state = "started"

    def kill(self):
        self.state = "ended"

    close = kill


def test_workers_start_with_the_server_and_end_with_it(own_workers, monkeypatch):  # noqa: F811
    made = []
    monkeypatch.setattr(pools, "Worker", lambda *how: made.append(Started(*how)) or made[-1])
    with TestClient(make_app(open_registry([trained("grades")]), names={"testserver"}, threads=3)):
        # One to spare.
        assert [worker.state for worker in made] == ["started"] * 4
    assert [worker.state for worker in made] == ["ended"] * 4


async def until(met, seconds=30):
    async with asyncio.timeout(seconds):
        while not met():
            await asyncio.sleep(0.02)


def slow(made):
    return sum(message.slow for message in made._busy.values())


def test_it_is_stuck_when_every_worker_is_at_one_item_for_long():
    async def run():
        async with pool(1, 1) as (made, ask):
            assert not made.stuck
            ask("a", ENDLESS)
            await until(lambda: slow(made) == 1)
            assert not made.stuck
            ask("b", ENDLESS)
            await until(lambda: slow(made) == 2)
            assert made.stuck

    asyncio.run(run())


def test_a_run_that_holds_workers_leaves_the_last_to_others():
    async def run():
        async with pool(1, 2) as (made, ask):
            first = [ask("endless", ENDLESS) for _ in range(2)]
            await until(lambda: slow(made) == 2)
            third = ask("endless", ENDLESS)
            ((answer, _),) = await ask("other", QUICK)
            assert answer["got"] == 1
            # The run's own oldest gives way to its third.
            await until(lambda: any(task.done() for task in first))
            assert not third.done()
            with pytest.raises(Exception, match=r"answering others|too long"):
                await next(task for task in first if task.done())

    asyncio.run(run())


def test_a_slow_message_is_not_ended_while_there_is_room():
    async def run():
        async with pool(1, 1, seconds=20) as (_, ask):
            both = [ask("a", ({"do": "sleep", "seconds": 1.5}, b"")) for _ in range(2)]
            answers = await asyncio.gather(*both)
            assert [values for ((values, _),) in answers] == [{}, {}]

    asyncio.run(run())
