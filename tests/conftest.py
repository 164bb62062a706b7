"""Fixtures that every room uses: a small drawn dataset, an empty home, the real files where they are."""

import gc
import itertools
import os
from collections.abc import Iterable, Iterator
from html import escape
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from penlight.data import Dataset, DatasetInfo, Split, apply_view
from penlight.data.audit import shift
from penlight.evaluation import intervals
from penlight.experiments import run as training
from penlight.explanation import of_run
from penlight.models import load_keras
from penlight.models.backend import BACKENDS, chosen_backend
from penlight.runs import session
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal, Task
from penlight.workers import Worker
from tests.forked import pytest_addoption, pytest_collection, pytest_runtestloop  # noqa: F401
from tests.once import shared_folder
from tests.remembered import audit_once, fit_once, leave_reports_out, workers_kept
from tests.schedule import longest_first

LABELS = ("a", "b", "c", "d")

# How long an example takes depends on what else the machine does; it says nothing of the code.
_EXAMPLES = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("penlight", max_examples=10, **_EXAMPLES)
settings.register_profile("full", max_examples=50, **_EXAMPLES)
settings.load_profile("penlight")


def is_full() -> bool:
    """Whether the tests marked `full` run too."""
    return settings.get_current_profile_name() == "full"


def examples(most: int) -> int:
    """So many examples in the full tests, and a third of them elsewhere: for tests whose examples take long."""
    return most if is_full() else max(5, most // 3)


def pytest_configure(config: pytest.Config) -> None:
    """Keep Keras' and TensorFlow's own warnings at import from being errors of ours, and files from being waited for:
    what tests write need not outlive a power cut, and a training waits forty times. The garbage collector would look
    four hundred times through what is being imported, which stays."""
    gc.disable()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.fsync = lambda handle: None  # type: ignore[assignment]
    if "not full" not in config.getoption("markexpr", ""):
        settings.load_profile("full")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what has been imported, which it would look through some thousand times."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes longest, and leave tests that are about the code for one backend to that backend; this is
    the one place that does."""
    longest_first(items)
    used = chosen_backend()
    for item in items:
        for other in BACKENDS.keys() - {used}:
            if item.get_closest_marker(other):
                item.add_marker(pytest.mark.skip(reason=f"is about the code for {other}; the backend is {used}"))


_NUMBERS = itertools.count()


def new_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """Make a folder among those of this process; pytest itself looks through all of them for its next number."""
    folder = tmp_path_factory.getbasetemp() / f"{name}-{next(_NUMBERS)}"
    folder.mkdir()
    return folder


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an empty folder."""
    return new_folder(tmp_path_factory, "test")


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home, a cache and a working folder of its own."""
    home = new_folder(tmp_path_factory, "home")
    work = home / "work"
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PENLIGHT_CACHE", str(home / "cache"))
    monkeypatch.chdir(work)
    return home


@pytest.fixture(autouse=True)
def left_out(request: pytest.FixtureRequest, few_draws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what a test is not about; one fixture, as each takes longer than what it does here.

    Baselines of the same images are fitted once for all tests, and these audited once, but in the full tests and in
    those marked `fitted`. Figures, half the time of a small training, are left out of pages, but for tests marked
    `drawn`; maps of answers and the nearest training images, a third of that time, out of runs, but in the full tests
    and in those marked `mapped`. The tests of the evaluation itself draw all that intervals rest on."""
    asked = {mark.name for mark in request.node.iter_markers()}
    if not is_full():
        if "fitted" not in asked:
            fit_once(monkeypatch)
            audit_once(monkeypatch)
        if "mapped" not in asked:
            leave_maps_out(monkeypatch)
    if "drawn" not in asked:
        sketch_figures(monkeypatch)
    if request.node.nodeid.startswith("tests/attack/"):
        monkeypatch.setattr(session, "Worker", Worker)
    if request.node.nodeid.startswith("tests/evaluation/"):
        monkeypatch.setattr(intervals, "_draw", _DRAW)


_DRAW, _SHUFFLES = intervals._draw, shift._SHUFFLES


@pytest.fixture(scope="session", autouse=True)
def few_draws() -> Iterator[None]:
    """Draw a fifth of what intervals rest on, and a tenth of what the audit shuffles, but in the full tests: for all
    runs of a session alike, as what was computed once is compared with what is computed again. What a module makes
    for its tests is kept in the session's cache; the user's may hold what was drawn otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        draw_few(patch)
        patch.setenv("PENLIGHT_CACHE", str(shared_folder() / "cache"))
        yield


def draw_few(patch: pytest.MonkeyPatch) -> None:
    """Draw and shuffle as the session does, whatever the test that asks draws."""
    if not is_full():
        patch.setattr(intervals, "_draw", _few_drawn)
        patch.setattr(shift, "_SHUFFLES", 99)


@pytest.fixture(scope="session", autouse=True)
def kept_workers() -> Iterator[None]:
    """Start a process for a model only where none is left of another model, but in the tests of attacks."""
    with pytest.MonkeyPatch.context() as patch, workers_kept(patch):
        yield


_DRAWN: dict[object, list[np.ndarray]] = {}


def _few_drawn(n: int, resamples: int, seed: int, groups: intervals.Groups) -> Iterator[np.ndarray]:
    """Draw so few once for all tests: the same numbers of images and seeds are asked thousands of times."""
    key = n, min(resamples, 200), seed, _known_by(groups)
    if key not in _DRAWN:
        if len(_DRAWN) > 200:
            _DRAWN.clear()
        _DRAWN[key] = list(_DRAW(n, min(resamples, 200), seed, groups))
        for chunk in _DRAWN[key]:
            chunk.setflags(write=False)
    return iter(_DRAWN[key])


def _known_by(groups: intervals.Groups) -> object:
    if isinstance(groups, intervals.UnknownPatients):
        return groups.images_each, _known_by(groups.image_of)
    return None if groups is None else tuple(groups.tolist())


@pytest.fixture
def as_in_other_processes(few_draws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw and shuffle as often as a process does that is not of the tests, for what is compared with one."""
    monkeypatch.setattr(intervals, "_draw", _DRAW)
    monkeypatch.setattr(shift, "_SHUFFLES", _SHUFFLES)


@pytest.fixture
def unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write no pages of runs and groups, for tests that look at none."""
    leave_reports_out(monkeypatch)


@pytest.fixture
def real_data() -> Path:
    """The folder with the real files; without it the test is skipped."""
    folder = os.environ.get("PENLIGHT_DATA")
    if not folder or not (Path(folder) / "retinamnist.npz").exists():
        pytest.skip("PENLIGHT_DATA does not point at the real files")
    return Path(folder).resolve()


def sketch_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a figure's title in the place of the figure."""
    monkeypatch.setattr(
        "penlight.reports.page.draw_svg", lambda display, *_: f"<svg><title>{escape(display.title)}</title></svg>"
    )


def leave_maps_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write no explained.npz and no neighbours.npz into runs."""
    monkeypatch.setattr(training, "write_explained", lambda *_, **__: None)
    monkeypatch.setattr(training, "write_neighbours", lambda *_: None)


def keep_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write both, whatever the test is marked that asks for the run first: for runs that many tests share."""
    for own in (of_run.write_explained, of_run.write_neighbours):
        monkeypatch.setattr(training, own.__name__, own)


def labels_for(task: Task, n: int, rng: np.random.Generator) -> np.ndarray:
    """Labels as stored, every class or finding present."""
    if not task.exclusive:
        return rng.integers(0, 2, (n, len(task.labels)))
    return rng.permutation(np.arange(n) % len(task.labels))[:, None]


def logits_of_network(network, images: np.ndarray) -> np.ndarray:
    """Logits of a network without compiling it, which takes far longer than a few images do."""
    keras = load_keras()
    return np.asarray(keras.ops.convert_to_numpy(network(images.astype(np.float32), training=False)))


def small_dataset(
    task: Task, *, channels: int = 3, size: int = 28, seed: int = 0, n: tuple[int, int, int] = (48, 24, 32)
) -> Dataset:
    """Noise with a bright patch whose place says the (first) label, so that something can be learned."""
    rng = np.random.default_rng(seed)
    splits = {}
    for name, count in zip(("train", "val", "test"), n, strict=True):
        labels = labels_for(task, count, rng)
        images = rng.integers(0, 90, (count, size, size, channels), dtype=np.uint8)
        for image, label in zip(images, labels[:, 0], strict=True):
            image[2 + 5 * label : 7 + 5 * label, 4:24] += 120
        splits[name] = Split(images, labels)
    info = DatasetInfo("small", "Small", task, channels, None, "none", "drawn in the tests")
    return Dataset(info, size, splits, md5=f"{seed:032x}")


TASK_EXAMPLES = [
    MultiClass(LABELS),
    Ordinal(LABELS, referable=2),
    Ordinal(LABELS, head="softmax", rule="expected"),
    Ordinal(LABELS, rule="kappa"),
    Binary(("no", "yes")),
    MultiLabel(LABELS),
]


_ALWAYS = [task for task in TASK_EXAMPLES if task.kind in ("multi-class", "multi-label") or task.cut_points]
FEW_TASKS = [*_ALWAYS, *(pytest.param(task, marks=pytest.mark.full) for task in TASK_EXAMPLES if task not in _ALWAYS)]
"""One task of each kind of answer, and the others in the full tests: for tests that build something for each."""


def few_pairs(*axes: Iterable[object]) -> list[object]:
    """Give every combination of what stands on the axes: each member of each axis in one that always runs, of tasks
    one of each kind of answer; the others in the full tests."""
    members = [list(axis) for axis in axes]
    first = [[m for m in own if m in _ALWAYS or not isinstance(m, Task)] for own in members]
    always = [tuple(own[i % len(own)] for own in first) for i in range(max(map(len, first)))]
    return [pytest.param(*pair, marks=() if pair in always else pytest.mark.full) for pair in product(*members)]


def task_id(task: Task) -> str:
    """Name a task in the name of a test."""
    return f"{task.kind}-{task.head}{'-kappa' if task.cut_points else ''}"


@pytest.fixture(params=FEW_TASKS, ids=task_id)
def task(request: pytest.FixtureRequest) -> Task:
    """One task of each kind of answer, in turn; in the full tests every task."""
    return request.param


@pytest.fixture
def ordinal_view():
    """A small ordinal dataset in its native view."""
    return apply_view(small_dataset(Ordinal(LABELS, referable=2)))
