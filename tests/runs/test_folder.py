"""The run folder: whole or refused by name."""

import json

import numpy as np
import pytest

from penlight.errors import PredictionsError, RunError, StorageError
from penlight.evaluation import Decision
from penlight.recipes import Recipe, Train
from penlight.runs import Predictions, RunWriter, open_run, predictions_from_bytes, to_bytes
from penlight.tasks import Ordinal

TASK = Ordinal(("a", "b", "c"), referable=1)
HEADER = "epoch,loss,val_loss,headline,val_headline,learning_rate,seconds\n"


def predictions(n=12, **changes):
    rng = np.random.default_rng(0)
    logits = -np.sort(-rng.normal(size=(n, 2)), axis=1)
    values = {
        "index": np.arange(n),
        "y_true": np.eye(3, dtype=np.uint8)[np.arange(n) % 3],
        "prob": TASK.probabilities(logits),
        "logits": logits,
        "task": TASK,
        "dataset": "small",
        "view": "native",
        "split": "test",
    }
    return Predictions(**{**values, **changes})


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "run"
    with RunWriter(folder, Recipe(), seed=3) as writer:
        writer.write_predictions("predictions-test", predictions())
        writer.write_json("decision.json", Decision().to_dict())
        writer.write("history.csv", HEADER + "1,0.5,0.6,0.7,0.7,0.001,2\n")
        writer.finish()
    return folder


def test_a_run_reads_back_what_was_written(run_folder):
    run = open_run(run_folder)
    assert run.recipe == Recipe()
    assert run.seed == 3
    assert run.decision == Decision()
    assert run.history[["epoch", "loss"]].to_dict("records") == [{"epoch": 1, "loss": 0.5}]
    back = run.model_predictions("test")
    np.testing.assert_array_equal(back.prob, predictions().prob)
    assert back.task == TASK
    assert sorted(p.name for p in run_folder.iterdir()) == [
        "decision.json",
        "history.csv",
        "manifest.json",
        "predictions-test.npz",
        "recipe.toml",
    ]


def test_the_same_predictions_are_the_same_bytes_with_and_without_groups():
    assert to_bytes(predictions()) == to_bytes(predictions())
    grouped = predictions(groups=np.arange(12) // 2)
    np.testing.assert_array_equal(predictions_from_bytes(to_bytes(grouped), "x").groups, grouped.groups)


@pytest.mark.parametrize("name", ["recipe.toml", "decision.json", "predictions-test.npz", "history.csv"])
def test_a_missing_or_damaged_file_is_named(run_folder, name):
    def read_all():
        run = open_run(run_folder)
        return run.recipe, run.decision, run.model_predictions("test"), run.history

    path = run_folder / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match=f"{name}.*damaged"):
        read_all()
    path.unlink()
    with pytest.raises(RunError, match=f"{name} is missing"):
        read_all()


def test_no_run_an_incomplete_run_and_a_damaged_manifest_are_told_apart(run_folder, tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        open_run(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="not a run folder"):
        open_run(tmp_path / "empty")
    with RunWriter(tmp_path / "begun", Recipe(), seed=0):
        pass
    with pytest.raises(RunError, match="not complete"):
        open_run(tmp_path / "begun")
    (run_folder / "manifest.json").write_text("{")
    with pytest.raises(RunError, match=r"manifest\.json.*damaged"):
        open_run(run_folder)
    (run_folder / "manifest.json").write_text(json.dumps({"schema": 99, "seed": 0, "files": {}}))
    with pytest.raises(RunError, match="another version"):
        open_run(run_folder)


def test_one_writer_at_a_time(tmp_path):
    with (
        RunWriter(tmp_path / "run", Recipe(), seed=0),
        pytest.raises(RunError, match="Another process"),
        RunWriter(tmp_path / "run", Recipe(), seed=0),
    ):
        pass


def test_a_folder_of_something_else_is_left_alone(run_folder, tmp_path):
    with pytest.raises(RunError, match="complete run"), RunWriter(run_folder, Recipe(), seed=3):
        pass
    with RunWriter(tmp_path / "begun", Recipe(), seed=0):
        pass
    other = Recipe(train=Train(epochs=1))
    with pytest.raises(RunError, match="another recipe or seed"), RunWriter(tmp_path / "begun", other, seed=0):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").write_text("years")
    with pytest.raises(RunError, match="not empty"), RunWriter(tmp_path / "mine", Recipe(), seed=0):
        pass
    assert [p.name for p in (tmp_path / "mine").glob("[!.]*")] == ["thesis.doc"]


def test_a_killed_writer_leaves_nothing_behind_for_the_next(tmp_path):
    with RunWriter(tmp_path / "run", Recipe(), seed=0) as writer:
        (tmp_path / "run" / ".predictions-test.npz.abcdefgh.part").write_bytes(b"half")
        writer.write_json("decision.json", Decision().to_dict())
    with RunWriter(tmp_path / "run", Recipe(), seed=0) as writer:
        writer.finish()
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["decision.json", "manifest.json", "recipe.toml"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"), RunWriter(tmp_path / "file" / "run", Recipe(), seed=0):
        pass


def test_predictions_must_fit_together():
    with pytest.raises(PredictionsError, match="shape"):
        predictions(prob=np.zeros((12, 2)))
    prob = predictions().prob.copy()
    prob[4, 1] = np.nan
    with pytest.raises(PredictionsError, match="1 images"):
        predictions(prob=prob)
    with pytest.raises(PredictionsError, match="not what Penlight writes"):
        predictions_from_bytes(b"nonsense", "x.npz")


def test_replacing_a_report_keeps_the_run_whole(run_folder):
    open_run(run_folder).replace("history.csv", (HEADER + "1,0.25,0.6,0.7,0.7,0.001,2\n").encode())
    assert open_run(run_folder).history["loss"].tolist() == [0.25]


def test_metadata_comes_back_as_numbers_and_texts():
    known = {"age": np.linspace(1, 90, 12), "sex": np.array(["F", "", "M"] * 4, object)}
    again = predictions_from_bytes(to_bytes(predictions(metadata=known)), "here")
    assert set(again.metadata) == {"age", "sex"}
    np.testing.assert_array_equal(again.metadata["age"], known["age"])
    assert again.metadata["sex"].tolist() == known["sex"].tolist()
    assert dict(predictions_from_bytes(to_bytes(predictions()), "here").metadata) == {}
    with pytest.raises(PredictionsError, match="12 images as many values of age"):
        predictions(metadata={"age": np.zeros(11)})
