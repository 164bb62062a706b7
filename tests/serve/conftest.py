"""The application in this process, over runs that are trained once."""

from contextlib import contextmanager

import pytest
from starlette.testclient import TestClient

from penlight.serve import RequestLimits, make_app, open_registry
from tests.served import workers_on_demand  # noqa: F401
from tests.trained import trained

NAMES = {"testserver"}


@contextmanager
def serving(limits=None, **options):
    """A client of the application over both runs."""
    registry = open_registry([trained("grades"), trained("findings")])
    app = make_app(registry, limits=limits or RequestLimits(), **{"names": NAMES, **options})
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="package")
def client():
    with serving() as made:
        yield made
