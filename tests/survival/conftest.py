"""A server of processes for all tests of a file, and a place for each test."""

import pytest

from tests.survival.place import Ended, Place, Server, Words


@pytest.fixture(scope="session")
def server(request):
    """Import what commands need once, Keras where networks are asked for; only in the full form do they train."""
    marks = {mark.name for item in request.session.items for mark in item.iter_markers()}
    server = Server(stub="survival" not in marks, networks=not marks.isdisjoint({"survival", "full"}))
    yield server
    server.end()


@pytest.fixture
def place(tmp_path, server) -> Place:
    """A place of this test's own."""
    return Place(tmp_path / "place", server)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, server):
    """Give the place that commands make which nobody disturbs, and how each ended: run once for all tests."""
    known = {}

    def run(*commands: Words) -> tuple[Place, list[Ended]]:
        if commands not in known:
            made = Place(tmp_path_factory.mktemp("undisturbed") / "place", server)
            ended = [made.run(*words) for words in commands]
            assert [end.code for end in ended] == [0] * len(commands), ended[-1].err
            known[commands] = made, ended
        return known[commands]

    return run
