"""Cross-validation and subgroups through the API: on disk, again from disk, and the same bytes."""

import json
from dataclasses import replace

import numpy as np
import pytest

import penlight as pl
from penlight.api.training import cross_validate_recipe, train_recipe
from penlight.data import store
from penlight.errors import DataError, RunError
from penlight.evaluation import METRICS, Sample, find_row, headline_value
from penlight.recipes import Cnn, Data, Linear, Recipe, Train
from penlight.runs import open_run, predictions_from_bytes
from penlight.runs.classifier import open_classifier
from penlight.serve.gallery import gather
from penlight.serve.registry import open_registry
from penlight.tasks import MultiLabel, Ordinal
from tests.conftest import LABELS, is_full, sketch_figures, small_dataset
from tests.stubs import stub_fit

LINEAR = Recipe(data=Data(dataset="small"), model=Linear(components=4))
NETWORK = Recipe(data=Data(dataset="small"), model=Cnn(filters=(4,), dense=4), train=Train(epochs=1, batch_size=16))
KEPT = {"predictions-folds.npz", "summary.json", "folds.json"}


def named(md5="0" * 32):
    """A small dataset that names patients, age and sex."""
    dataset = small_dataset(Ordinal(LABELS, referable=2), channels=1, n=(60, 20, 96))
    splits, start = {}, 0
    for name, split in dataset.splits.items():
        n = len(split)
        split.labels[::3] = (split.labels[::3] + 1) % len(LABELS)
        known = {"age": np.linspace(20, 59, n), "sex": np.where(np.arange(n) % 3, "F", "M").astype(object)}
        splits[name] = replace(split, patients=np.arange(n) // 2 + start, metadata=known)
        start += n
    return replace(dataset, splits=splits, md5=md5)


@pytest.fixture
def small(monkeypatch):
    """Open such a dataset under any name."""

    def use(md5="0" * 32):
        dataset = named(md5)
        monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
        return dataset

    use()
    return use


@pytest.fixture(scope="module")
def validated(tmp_path_factory):
    """A cross-validation of the linear recipe in two folds."""
    with pytest.MonkeyPatch.context() as patch:
        sketch_figures(patch)
        patch.setattr(store, "open_dataset", lambda name, size: named())
        folder = tmp_path_factory.mktemp("validated") / "folds"
        return cross_validate_recipe(LINEAR, folds=2, test=False, out=folder)


def files(folder):
    return {name: (folder / name).read_bytes() for name in KEPT}


def test_a_cross_validation_is_on_disk_and_the_same_from_there(validated):
    result, folder = validated, validated.folder
    made = result.to_dict()
    assert json.loads(json.dumps(made, allow_nan=False))["folds"] == [1, 2]
    assert result.scores.to_dict() == pl.evaluate(folder).to_dict()
    assert json.loads((folder / "summary.json").read_text())["metrics"] == made["metrics"]
    joined = predictions_from_bytes((folder / "predictions-folds.npz").read_bytes(), "folds")
    assert joined.index.tolist() == list(range(80))
    assert (joined.split, joined.data_hash) == ("folds", "0" * 32)
    assert len(np.unique(joined.groups)) == 40
    assert set(joined.metadata) == {"age", "sex"}
    runs = [open_run(folder / f"fold-{number}") for number in (1, 2)]
    answers = [run.answers("test").predictions for run in runs]
    prob, y = np.concatenate([a.prob for a in answers]), np.concatenate([a.y_true for a in answers])
    row = result.scores.metrics[0]
    fold = np.repeat([0, 1], [len(a) for a in answers])
    sample = Sample(joined.task, y, prob, joined.task.decide(prob), fold=fold)
    assert row.value == pytest.approx(METRICS["auc"].compute(sample, np.ones((1, 80)))[0])
    own = [headline_value(a.task, a.y_true, a.prob) for a in answers]
    assert [r.value for r in result.scores.by_fold] == pytest.approx(own)
    assert row.sd == pytest.approx(np.std(own, ddof=1))
    assert row.low < row.value < row.high
    majority = find_row(result.scores.baselines["majority"], "auc")
    assert (majority.n, majority.value) == (80, 0.5)
    assert {group.column for group in result.scores.subgroups} == {"age", "sex"}
    assert runs[1].command.endswith("/fold-2/recipe.toml --seed 0 --folds 2")


def test_its_report_shows_every_fold_and_can_be_written_again(small, validated):
    folder = validated.folder
    page = (folder / "report.html").read_text()
    assert "80 out-of-fold images of 2 folds" in page
    for number in (1, 2):
        assert f'href="fold-{number}/report.html"' in page
        own = folder / f"fold-{number}" / "report.html"
        before = own.read_bytes()
        assert pl.report(own.parent) == own
        assert own.read_bytes() == before
    assert pl.report(folder) == folder / "report.html"
    assert (folder / "report.html").read_text() == page
    assert "the test split of the dataset was not read" in page
    assert {"folds", "subgroups", "roc"} <= set(pl.displays(folder))
    assert "the dataset's test was left alone" in (folder / "card.md").read_text()
    with pytest.raises(RunError, match="no answers to test"):
        pl.compare([folder, folder / "fold-1"])


def test_repeated_it_is_the_same_bytes_and_test_labels_change_nothing(small, validated, tmp_path, unreported):
    dataset = small()
    labels = dataset.splits["test"].labels
    labels[:] = np.random.default_rng(1).permutation(labels)
    cross_validate_recipe(LINEAR, folds=2, test=False, out=tmp_path / "other")
    assert files(validated.folder) == files(tmp_path / "other")
    if is_full():
        cross_validate_recipe(LINEAR, folds=2, seed=1, test=False, out=tmp_path / "seeded")
        assert files(validated.folder) != files(tmp_path / "seeded")


def test_stopped_it_goes_on_with_the_fold_that_was_not_done(small, validated, own_folders, unreported):
    class PulledPlugError(Exception):
        pass

    class Pull(pl.ProgressListener):
        def on_step(self, what):
            if what == "Fold 2 of 2":
                raise PulledPlugError

    with pytest.raises(PulledPlugError):
        cross_validate_recipe(LINEAR, folds=2, test=False, name="linear", listener=Pull())
    begun = own_folders / "work" / "runs" / "small-linear-1"
    with pytest.raises(RunError, match="lacks folds"):
        pl.evaluate(begun)
    first = (begun / "fold-1" / "manifest.json").read_bytes()
    result = cross_validate_recipe(LINEAR, folds=2, test=False, name="linear")
    assert str(result.folder) == "runs/small-linear-1"
    assert (begun / "fold-1" / "manifest.json").read_bytes() == first
    assert files(begun) == files(validated.folder)


def test_folders_of_something_else_and_other_datasets_are_refused(small, validated, tmp_path):
    folder = validated.folder
    with pytest.raises(RunError, match="number of folds"):
        cross_validate_recipe(LINEAR, folds=3, out=folder)
    with pytest.raises(RunError, match="not a cross-validation"):
        cross_validate_recipe(LINEAR, folds=3, out=folder / "fold-1")
    with pytest.raises(DataError, match="too few"):
        cross_validate_recipe(LINEAR, folds=60, out=tmp_path / "many")
    assert not (tmp_path / "many").exists()
    small(md5="1" * 32)
    with pytest.raises(RunError, match="another file of small"):
        pl.report(folder)
    assert pl.evaluate(folder).folds == [1, 2]


def test_what_needs_one_model_or_answers_to_test_refuses_it_and_the_gallery_shows_it(validated):
    folder = validated.folder
    with pytest.raises(RunError, match="a cross-validation, with one run for each fold"):
        open_classifier(folder)
    with pytest.raises(RunError, match="no answers to test"):
        pl.evaluate_corrupted(folder)
    registry = open_registry([folder])
    (group,) = registry.groups.values()
    assert (group.kind, len(group.runs)) == ("folds", 2)
    (own,) = [entry for part in gather(registry).groups for entry in part.entries if entry.kind == "folds"]
    assert own.score.row.value == validated.scores.metrics[0].value
    assert own.detail == "answers of 2 folds"


def test_findings_of_one_patient_alone_have_no_answer_and_it_is_said(tmp_path, monkeypatch):
    dataset = small_dataset(MultiLabel(LABELS), channels=1, n=(60, 20, 20))
    for split in dataset.splits.values():
        split.labels[:, 3] = 0
    dataset.splits["train"].labels[7, 3] = 1
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    result = cross_validate_recipe(LINEAR, folds=2, test=False, out=tmp_path / "folds")
    said, nameless = result.to_dict()["unavailable"]
    assert said.startswith("answers to 1 images, on which every fold is trained")
    assert nameless.startswith("scores by site, age, sex, view")
    assert find_row(result.scores.metrics, "auc", LABELS[3]).note
    page = result.report.read_text()
    assert said.split(":")[0] in page
    assert "79 out-of-fold images" in page


def test_networks_stop_by_the_val_inside_a_fold(small, tmp_path, monkeypatch):
    stub_fit(monkeypatch)
    result = cross_validate_recipe(NETWORK, folds=2, test=False, out=tmp_path / "folds")
    assert len(result.scores.by_fold) == 2
    assert "fold-curves" in pl.displays(tmp_path / "folds")
    assert "Learning curves of all folds" in (tmp_path / "folds" / "report.html").read_text()


def test_subgroups_are_scored_again_without_the_dataset(small, tmp_path, monkeypatch):
    result = train_recipe(LINEAR, out=tmp_path / "run")
    rows = result.to_dict()["subgroups"]
    assert [row["group"] for row in rows if row["column"] == "sex"] == ["F", "M"]
    run = open_run(tmp_path / "run")
    assert run.model_predictions("test").metadata["sex"].dtype.kind == "U"
    page, card = ((tmp_path / "run" / name).read_text() for name in ("report.html", "card.md"))
    assert "Score of each subgroup" in page
    assert "Unavailable: scores by site, view: the dataset does not name them." in page
    assert "No scores by site, view: the dataset does not name them." in card
    assert "By age and sex" in card
    assert "Fairness, subgroups, centres** (12d, 14, 23a, 23b): Scores by" in card
    monkeypatch.setattr(store, "open_dataset", None)
    assert pl.evaluate(tmp_path / "run").to_dict()["subgroups"] == rows


# From numbers alone that is in tests/evaluation/test_subgroups.py.
@pytest.mark.full
def test_over_seeds_a_subgroup_has_its_mean(small, tmp_path, monkeypatch):
    stub_fit(monkeypatch)
    result = train_recipe(NETWORK, out=tmp_path / "seeds", seeds=2)
    own = [pl.evaluate(tmp_path / "seeds" / f"seed-{seed}").subgroups for seed in (0, 1)]
    for mean, one, other in zip(result.scores.subgroups, *own, strict=True):
        assert mean.value == pytest.approx((one.value + other.value) / 2, nan_ok=True)
    assert "Score of each subgroup" in result.report.read_text()
