"""Every file of a run may be a stranger's: whatever it holds, the run opens, or a named error says what is wrong."""

import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import penlight as pl
from penlight.errors import DataError, PenlightError, PredictionsError, RunError
from penlight.evaluation.novelty import novelty_from_bytes
from penlight.explanation.neighbours import neighbours_from_bytes
from penlight.records import json_text
from penlight.runs import open_run
from penlight.runs.cases import cases_from_bytes
from penlight.runs.evidence import checks_kept, evidence_of_run, headline_kept
from penlight.runs.history import COLUMNS, read_history
from penlight.runs.predictions import predictions_from_bytes
from penlight.serve.gallery import gather
from penlight.serve.registry import open_registry
from tests.attack import run_folders as attack
from tests.conftest import few_pairs
from tests.trained import trained

FULL = bool(os.environ.get("PENLIGHT_ATTACK"))
MOST = 10_000 if FULL else 3
JSON = (
    *("manifest.json", "metrics.json", "decision.json", "provenance.json", "data.json", "export.json"),
    "baseline-majority-decision.json",
)
NPZ = {
    "predictions-test.npz": lambda content: predictions_from_bytes(content, "here"),
    "novelty.npz": lambda content: novelty_from_bytes(content, "here"),
    "neighbours.npz": lambda content: neighbours_from_bytes(content, "here"),
    "explained.npz": lambda content: cases_from_bytes(content, "here"),
}
HEADER = f"{','.join(COLUMNS)}\n".encode()


def use(folder: Path) -> None:
    """Read all that commands, pages and reports read of a run; errors that have a name are what is wanted."""
    one = open_run(folder)
    readers = [
        lambda: one.recipe,
        lambda: evidence_of_run(one, [], ()),
        lambda: one.answers("val"),
        lambda: (checks_kept(one), headline_kept(one)),
        lambda: (one.provenance, one.exports, one.reasons, one.history, one.robustness, one.reading),
        lambda: [(one.baseline_answers(name, "test"), one.baseline_decision(name)) for name in one.baselines],
        lambda: one.metrics.to_dict(),
    ]
    for read in readers:
        try:
            read()
        except PenlightError as error:
            said = str(error)
            assert said.isprintable(), said
            assert len(said) < 2_000


def score(folder: Path) -> None:
    """Give what `evaluate` and `compare` print."""
    json.dumps(pl.evaluate(folder, "test").to_dict(), allow_nan=False)
    pl.compare([folder, f"{folder}:majority"])


def offer(folder: Path) -> None:
    """Offer a run, and show it in the gallery; it may be left out."""
    try:
        registry = open_registry([folder])
    except RunError:
        return
    gather(registry)
    for own in registry.runs.values():
        json_text(own.listed).encode()
        json_text([own.run.metrics, own.run.provenance]).encode()


def attempt(folder: Path, what: str, *more) -> None:
    """Use a run in all ways; another error than a named one fails."""
    for way in (use, offer, *more):
        try:
            way(folder)
        except PenlightError:
            continue
        except Exception as error:
            raise AssertionError(f"{what}: {way.__name__}: {type(error).__name__}: {error!s:.300}") from error


MORE = (score,) if FULL else ()


@pytest.mark.parametrize("share", [4, pytest.param(1, marks=pytest.mark.full)], ids=["a quarter", "all"])
@pytest.mark.parametrize(("task", "name"), [*(("grades", name) for name in JSON), ("findings", "decision.json")])
def test_changed_json_of_a_run_is_named_or_works(tmp_path, task, name, share):
    """Of each file every fourth change is tried, beginning with another; in the full tests, all of them."""
    run = trained(task)
    content = (run / name).read_bytes()
    folder = attack.copy_of(run, tmp_path / "run")
    changes = islice(attack.mutations(content, np.random.default_rng(0), MOST), JSON.index(name) % share, None, share)
    for what, changed in changes:
        attack.put(folder, name, changed)
        attempt(folder, f"{name} {what}", *MORE)
        attack.put(folder, name, content)


@pytest.mark.parametrize(
    ("task", "name"), [*(("grades", name) for name in NPZ), ("findings", "predictions-test.npz")]
)
def test_changed_arrays_of_a_run_are_named_or_work(tmp_path, task, name):
    run = trained(task)
    content = (run / name).read_bytes()
    for number, (what, changed) in enumerate(attack.npz_mutations(content)):
        try:
            NPZ[name](changed)
        except PenlightError:
            pass
        except Exception as error:
            raise AssertionError(f"{name} {what}: {type(error).__name__}: {error!s:.300}") from error
        if FULL or number < 3:
            folder = attack.copy_of(run, tmp_path / "run")
            attack.put(folder, name, changed)
            attempt(folder, f"{name} {what}", *MORE)
    NPZ[name](content)


@pytest.mark.parametrize("name", NPZ)
def test_arrays_that_unpack_to_more_than_they_may_are_refused(name):
    with pytest.raises(PenlightError, match="unpack"):
        NPZ[name](attack.bomb((1_300_000, 14)))


@pytest.mark.parametrize(
    ("array", "change", "said"),
    [
        ("y_true", 7, "0 or 1"),
        ("index", -1, "row of its own"),
        ("prob", 0.9, "sum to 1"),
        ("logits", 1j, "complex"),
        ("prob", 1j, "complex"),
        ("logits", np.inf, "finite"),
    ],
)
def test_predictions_that_no_model_gives_are_named(array, change, said):
    arrays = attack.arrays_of((trained("grades") / "predictions-test.npz").read_bytes())
    changed = arrays[array].astype(np.complex128 if isinstance(change, complex) else arrays[array].dtype)
    changed.flat[0] = change
    with pytest.raises(PredictionsError, match=said):
        predictions_from_bytes(attack.npz({**arrays, array: changed}), "here")


@pytest.mark.parametrize(
    "content",
    [b"", b"5", b"\xff", b"a,b\n", ("x," * 1_000_000).encode(), b"9" * 10_000_000, HEADER + b"1,2\n",
     HEADER + b"x,1,1,1,1,1,1\n", HEADER + b"2,1,1,1,1,1,1\n", HEADER + b"1," + b"9" * 900 + b"\n",
     HEADER + b'1,"1\n', HEADER * 200_000, HEADER + b"1e999,1,1,1,1,1,1\n"],
    ids=range(13),
)  # fmt: skip
def test_a_history_that_is_none_is_named(content):
    with pytest.raises(RunError, match="here"):
        read_history(content, "here")


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b"a." * 100_000 + b"b = 1", b"\xff\xfe", b"", b"x = 1", b'[data]\ndataset = 5', b"\x00",
     b"[train]\nepochs = " + b"9" * 5_000, b"#" * (2 << 20)],
    ids=range(9),
)  # fmt: skip
def test_a_recipe_that_is_none_is_named(tmp_path, content):
    folder = attack.copy_of(trained("grades"), tmp_path / "run")
    attack.put(folder, "recipe.toml", content)
    attempt(folder, "recipe.toml", score)


def test_what_a_manifest_names_lies_in_the_folder(tmp_path):
    for name in ("../secret.txt", "/etc/passwd", "a/../../secret.txt", "..", "", "a\\..\\b", "C:x"):
        folder = attack.copy_of(trained("grades"), tmp_path / "run")
        values = json.loads((folder / "manifest.json").read_text())
        values["files"][name] = {"bytes": 6, "sha256": "0" * 64}
        attack.put(folder, "manifest.json", json.dumps(values).encode())
        with pytest.raises(RunError, match="damaged"):
            open_run(folder)


SPECIAL = {
    "link": lambda path, target: path.symlink_to(target),
    "link to nothing": lambda path, target: path.symlink_to("nowhere"),
    "link to zeros": lambda path, target: path.symlink_to("/dev/zero"),
    "pipe": lambda path, target: os.mkfifo(path),
    "folder": lambda path, target: path.mkdir(),
    "sparse": lambda path, target: (path.touch(), os.truncate(path, 100 << 30)),
}


@pytest.mark.parametrize(
    ("kind", "name"), few_pairs(SPECIAL, ["manifest.json", "metrics.json", "predictions-test.npz", "recipe.toml"])
)
def test_what_is_no_file_of_the_run_is_named_at_once(tmp_path, kind, name):
    folder = attack.copy_of(trained("grades"), tmp_path / "run")
    (folder / name).rename(tmp_path / "elsewhere")
    SPECIAL[kind](folder / name, tmp_path / "elsewhere")
    with pytest.raises(RunError, match=f"{name}"):
        open_run(folder).read(name)
    attempt(folder, f"{name} {kind}", score)


@pytest.mark.parametrize("place", ["absolute", "above", "link"])
def test_a_dataset_elsewhere_that_a_run_names_is_not_opened(tmp_path, monkeypatch, place):
    opened = []
    monkeypatch.setattr("penlight.data.store.open_dataset", lambda *asked: opened.append(asked))
    secret = tmp_path / "secret.toml"
    name = {"absolute": str(secret), "above": "../../../secret.toml", "link": "//etc/x.toml"}[place]
    folder = attack.copy_of(trained("grades"), tmp_path / "run")
    recipe = (folder / "recipe.toml").read_text().replace('"small"', json.dumps(name))
    attack.put(folder, "recipe.toml", recipe.encode())
    for ask in (
        lambda: pl.report(folder),
        lambda: pl.export(folder),
        lambda: pl.explain(folder, split="test", rows=[1]),
        lambda: pl.evaluate_corrupted(folder),
    ):
        with pytest.raises(DataError, match="not below the working folder, and no command on this machine"):
            ask()
    gather(open_registry([folder]))
    assert opened == []
