"""A dataset with labels that are not known, by the command: described, trained on, reported, asked, compared."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

import penlight as pl
from penlight.cli.app import app
from penlight.evaluation import find_row
from penlight.evaluation.scores import ALL_UNKNOWN

FINDINGS = ("Cardiomegaly", "Edema", "Fracture")
CELLS = {1: "1.0", 0: "0.0", -1: "-1.0", None: ""}


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CheXpert as it is published, drawn: two films of each patient; Fracture is never known in the test split."""
    monkeypatch.chdir(tmp_path)
    rng, lines = np.random.default_rng(5), []
    for i in range(180):
        split = ("train", "val", "test")[0 if i < 100 else 1 if i < 140 else 2]
        truth = rng.random(3) < 0.4
        image = rng.integers(0, 90, (28, 28), np.uint8)
        for row in np.flatnonzero(truth):
            image[3 + 8 * row : 9 + 8 * row, 4:24] += 120
        path = Path(f"CheXpert-v1.0-small/{split}/patient{i // 2:05d}/study1/view{i}_frontal.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        said = [(-1 if rng.random() < 0.5 else None) if rng.random() < 0.3 else int(own) for own in truth]
        said[2] = -1 if split == "test" else said[2]
        if said == [None, None, None]:
            said[0] = int(truth[0])
        lines.append([path.as_posix(), f"patient{i // 2:05d}", split, *(CELLS[own] for own in said)])
    with Path("CheXpert-v1.0-small/train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["Path", "patient_id", "split", *FINDINGS], *lines])
    return tmp_path


def penlight(*words: str) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.output


def test_uncertain_films_go_from_the_table_to_a_report_and_a_comparison(films: Path) -> None:
    table = "CheXpert-v1.0-small/train.csv"
    said = penlight(
        "data", "new", table, "--name", "films", "--task", "multi-label", "--uncertain", "unknown", "--yes"
    )
    assert "unknown" in said
    for name in ("linear", "majority"):
        penlight("train", "films.toml", "--recipe", name, "--out", f"runs/{name}")
    run = pl.open_run("runs/linear")
    test = run.predictions("test")
    assert test.known is not None
    assert not test.known[:, 2].any()
    assert all("unknown: " in truth for truth in test.frame()["truth"])
    rows = json.loads(penlight("evaluate", "runs/linear", "--json"))["metrics"]
    fracture = [row for row in rows if row["label"] == "Fracture"]
    assert {(row["value"], row["note"]) for row in fracture} == {(None, ALL_UNKNOWN)}
    auc = find_row(run.scores.metrics, "auc")
    assert auc.value > 0.7
    assert auc.note.startswith("without Fracture: ")
    page = Path("runs/linear/report.html").read_text()
    assert "in brackets those of which it is not known" in page
    kept = json.loads(Path("runs/linear/data.json").read_text())
    assert kept["known"]["test"][2] == 0
    assert kept["known"]["train"][0] < kept["images"]["train"]
    compared = json.loads(penlight("compare", "runs/linear", "runs/majority", "--json"))
    assert compared["differences"][0]["value"] is not None
    film = next(Path("CheXpert-v1.0-small/test").rglob("*.jpg"))
    answered = json.loads(penlight("predict", "runs/linear", str(film), "--json"))
    assert answered["images"]
    shown = json.loads(penlight("data", "show", "films.toml", "--json"))
    label = next(row for row in shown["labels"] if row["label"] == "Fracture")
    assert label["test"]["unknown"] == len(test)


def test_a_labels_file_says_which_labels_are_unknown(films: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((60, 3)) < [0.5, 0.3, 0.4]
    prob = np.clip(0.4 * truth + 0.6 * rng.random((60, 3)), 0, 1)
    known = rng.random((60, 3)) < 0.7
    known[0] = False
    cells = np.where(known, truth.astype(int).astype(str), np.where(rng.random((60, 3)) < 0.5, "-1", ""))
    for name, values in (("truth.csv", cells), ("said.csv", prob)):
        with Path(name).open("w", newline="") as file:
            csv.writer(file).writerows([["image", *FINDINGS], *([f"{i}.png", *row] for i, row in enumerate(values))])
    done = CliRunner().invoke(app, ["score", "said.csv", "--truth", "truth.csv", "--task", "multi-label"])
    assert done.exit_code == 1
    assert 'uncertain="unknown"' in str(done.exception)
    assert "drop" not in str(done.exception)
    scored = json.loads(penlight("score", "said.csv", "--truth", "truth.csv", "--uncertain", "unknown", "--json"))
    rows = {(row["name"], row["label"]): row for row in scored["metrics"]}
    for c, label in enumerate(FINDINGS):
        auc = roc_auc_score(truth[known[:, c], c], prob[known[:, c], c])
        assert rows["auc", label]["value"] == pytest.approx(auc)
    penlight("score", "said.csv", "--truth", "truth.csv", "--uncertain", "unknown", "--out", "runs/said")
    test = pl.open_run("runs/said").predictions("test")
    np.testing.assert_array_equal(test.known, known[[int(i) for i in test.index]])
    for words, problem in (
        (["--uncertain", "drop"], "uncertain= must be one of positive, negative, unknown"),
        (["--uncertain", "perhaps"], "uncertain= must be one of positive, negative, unknown"),
        (["--blank", "positive"], "blank= must be one of negative, unknown"),
    ):
        done = CliRunner().invoke(app, ["score", "said.csv", "--truth", "truth.csv", *words])
        assert done.exit_code == 1
        assert problem in str(done.exception)
    done = CliRunner().invoke(app, ["score", "said.csv", "--dataset", "films.toml", "--uncertain", "unknown"])
    assert "it is for truth=" in str(done.exception)
