"""Mutated pictures of every kind that is read: each is answered, or refused by name, in bounded time and memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import penlight as pl
from tests.attack import sizes
from tests.attack.pictures import mutated, seeds
from tests.trained import trained

SLICES = 10
SECONDS = 300
"""For a batch of 50 on a machine that is busy with other things; alone it takes less than one."""

MEGABYTES = 2500
"""The most that a process may hold: what the largest picture that is decoded needs, and ONNX Runtime."""


def ask(first, n, count):
    asked = [str(trained("grades")), str(first), str(n)]
    words = [sys.executable, "-W", "ignore", "-m", "tests.attack.predicting", *asked]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    last = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, f"seed {last}: {done.returncode} {done.stderr[-2000:]}"
    found = json.loads(last[0])
    outcomes = found["outcomes"]
    assert sum(outcomes.values()) == n
    assert found["slowest"] < SECONDS
    assert found["memory"] < MEGABYTES
    # Neither all nothing: else the changes would be too weak, or too strong, to try anything.
    assert 0.02 * n < outcomes["answered"] < 0.9 * n
    for what, number in outcomes.items():
        count(f"mutated pictures: {what}", number)


def test_every_kind_is_answered_before_it_is_changed():
    """But for one that Penlight does not read, which is refused before it is unpacked."""
    predicted = pl.predict(trained("grades"), list(seeds().items())).predictions
    assert len(predicted) > 20
    assert {p.file for p in predicted if p.error is not None} == {"tiff pages"}


def test_mutations_are_the_same_each_time_and_of_every_kind():
    made = [mutated(number) for number in range(400)]
    assert made == [mutated(number) for number in range(400)]
    assert {name for name, _ in made} == set(seeds())
    assert sum(content == seeds()[name] for name, content in made) < 20


# In every test, tests/serve/test_routes.py sends damaged pictures, and tests/attack/test_pictures.py hostile ones.
@pytest.mark.full
def test_a_few_mutated_pictures(count):
    ask(0, sizes.FEW, count)


def test_a_decoder_that_quotes_all_it_was_given_is_cut_short():
    (predicted,) = pl.predict(trained("grades"), [mutated(1_001_466)]).predictions
    assert "even multiple of bytes" in str(predicted.error)
    assert len(str(predicted.error)) < 400


@pytest.mark.attack
@pytest.mark.parametrize("part", range(SLICES))
def test_many_mutated_pictures(part, count):
    n = sizes.PICTURES // SLICES
    ask((sizes.SEED + 1) * 1_000_000 + part * n, n, count)
