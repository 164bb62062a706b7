"""`pytest --workers`: what becomes of tests is told as one process tells it, also where a process dies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = {
    "test_first.py": """
import os, pytest
def test_passes(capsys):
    print("a word")
    assert capsys.readouterr().out == "a word\\n"
def test_fails():
    print("what it printed")
    assert 1 + 1 == 3
@pytest.mark.skip(reason="why not")
def test_skipped(): pass
def test_dies(): os._exit(7)
def test_comes_after(): pass
""",
    "test_second.py": """
import pytest
@pytest.fixture(scope="session")
def made():
    yield 1
    raise ValueError("in the end")
@pytest.mark.parametrize("number", range(4))
def test_number(made, number): pass
""",
    "test_third.py": "def test_it(tmp_path): assert not list(tmp_path.iterdir())",
}


def forked(folder, *words):
    """Run `TESTS` in forks; gives what is written in the end."""
    for name, text in TESTS.items():
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "tests.forked", "--rootdir", str(folder), *words, str(folder)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))), "KERAS_BACKEND": "jax"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    return done.stdout


@pytest.mark.full
@pytest.mark.parametrize("workers", ["1", "3"])
def test_each_test_runs_once_and_a_process_that_dies_fails_its_own(tmp_path, workers):
    out = forked(tmp_path, "--workers", workers, "-rA")
    assert "2 failed, 7 passed, 1 skipped, 1 error" in out.splitlines()[-1]
    for said in ("assert (1 + 1) == 3", "what it printed", "ended with exit code 7.", "ValueError: in the end"):
        assert said in out
    assert "PASSED test_first.py::test_comes_after" in out


@pytest.mark.full
def test_it_stops_at_the_first_failure_where_that_is_asked(tmp_path):
    assert "= 1 failed, 1 passed in" in forked(tmp_path, "--workers", "1", "-x").splitlines()[-1]
