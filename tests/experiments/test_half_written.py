"""A run folder that a machine left half-written when it died: the run goes on, or is done again, and is the same."""

import random
import shutil

import pytest

from penlight.data import record, store
from penlight.errors import RunError
from penlight.experiments.opened import OpenedData
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import RunSpec
from penlight.recipes import Cnn, Data, Linear, Recipe, Train
from penlight.runs import open_run
from penlight.runs.folder import MANIFEST
from penlight.tasks import Ordinal
from tests.conftest import LABELS, small_dataset
from tests.remembered import leave_reports_out
from tests.stubs import stub_fit

NETWORK = Recipe(data=Data(dataset="small"), model=Cnn(), train=Train(epochs=2))
LINEAR = Recipe(data=Data(dataset="small"), model=Linear(components=3))
QUIET = ProgressListener()
DAMAGES = ("empty", "cut", "gone", "not renamed", "noise")


class Died(BaseException):
    """The machine is no more."""


class Dying(ProgressListener):
    def __init__(self, step):
        self.step = step

    def on_step(self, what):
        if what == self.step:
            raise Died


@pytest.fixture
def small(monkeypatch):
    dataset = small_dataset(Ordinal(LABELS, referable=2), channels=1, n=(24, 12, 12))
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    monkeypatch.setattr(record, "problems_of", lambda view: ())
    leave_reports_out(monkeypatch)
    stub_fit(monkeypatch)


def damage(path, how, rng):
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "not renamed":
        path.rename(path.with_name(f".{path.name}.0a1b2c3d.part"))
    elif how == "noise":
        at = rng.randrange(len(content))
        path.write_bytes(content[:at] + bytes(len(content) - at))
    else:
        path.write_bytes(content[: 0 if how == "empty" else rng.randrange(len(content))])


def files_of(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("recipe", "tries", "state"),
    [
        (LINEAR, 4, {"claim.json"}),
        pytest.param(LINEAR, 300, {"claim.json"}, marks=pytest.mark.full),
        pytest.param(
            NETWORK, 60, {"claim.json", "checkpoint-2.npz"}, marks=[pytest.mark.full, pytest.mark.tensorflow]
        ),
    ],
)
def test_a_run_that_a_dead_machine_left_ends_as_if_it_had_not_died(small, tmp_path, recipe, tries, state):
    data, rng = OpenedData(QUIET), random.Random(tries)
    whole = RunSpec(recipe, 0, tmp_path / "whole").do(data, QUIET).run
    left = []
    for step in ("Computing saliency maps", "Checking"):
        left.append(tmp_path / f"left-{len(left)}")
        with pytest.raises(Died):
            RunSpec(recipe, 0, left[-1]).do(data, Dying(step))
        assert state <= {path.name for path in files_of(left[-1])}
    for number in range(tries):
        folder = tmp_path / f"again-{number}"
        shutil.copytree(left[number % 2], folder)
        for path in rng.sample(files_of(folder), rng.choice((1, 1, 2, 4))):
            damage(folder / path, rng.choice(DAMAGES), rng)
        run = RunSpec(recipe, 0, folder).do(data, QUIET).run
        for name in ("predictions-test.npz", "predictions-val.npz", "decision.json"):
            assert run.read(name) == whole.read(name)
        assert files_of(folder) == files_of(whole.path)
        shutil.rmtree(folder)


@pytest.mark.parametrize("how", DAMAGES[:2])
def test_a_damaged_manifest_beside_the_state_of_the_run_is_none(small, tmp_path, how):
    data, folder = OpenedData(QUIET), tmp_path / "run"
    with pytest.raises(Died):
        RunSpec(LINEAR, 0, folder).do(data, Dying("Checking"))
    (folder / MANIFEST).write_bytes(b'{"schema": 1, "recipe_ha'[: 0 if how == "empty" else None])
    RunSpec(LINEAR, 0, folder).do(data, QUIET)
    assert open_run(folder).seed == 0
    # Without that state nothing says whose run it is.
    (folder / MANIFEST).write_bytes(b"")
    with pytest.raises(RunError, match=r"manifest\.json in the run .* is damaged"):
        RunSpec(LINEAR, 0, folder).do(data, QUIET)
