"""Applications in this process start no worker before a request needs one.

Three processes for each application, most of which no test asks anything, would take more time than the tests.
"""

import pytest

from penlight.serve.pool import Pool

START = Pool.start
"""What the server does: tests/serve/test_pool.py tests it, and the tests of `penlight serve` as a process have it."""


@pytest.fixture(scope="session", autouse=True)
def workers_on_demand():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pool, "start", lambda pool: None)
        yield
