"""A leak through the whole: training, its record, scoring again, the card and a copy to be shared."""

import json
from pathlib import Path

import numpy as np

import penlight as pl
from penlight.api.training import train_recipe
from penlight.recipes import Data, Linear, Recipe
from penlight.runs import open_run
from tests.data.tiny_dataset import write_tiny


def test_scores_without_duplicates_stand_wherever_the_leak_is_said(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path)
    with np.load("tiny.npz") as stored:
        arrays = dict(stored)
    arrays["test_images"][:4] = arrays["train_images"][:4]
    arrays["test_labels"][:4] = arrays["train_labels"][:4]
    np.savez("tiny.npz", **arrays)
    recipe = Recipe(data=Data(dataset="tiny.toml"), model=Linear(components=5))
    run = train_recipe(recipe, out=tmp_path / "run").folder
    kept = json.loads((run / "metrics.json").read_text())["duplicates"]
    assert (kept["duplicates"], kept["images"]) == (4, 15)
    assert json.loads((run / "data.json").read_text())["duplicates"]["test"] == [0, 1, 2, 3]
    again = pl.evaluate(run)
    assert again.to_dict()["duplicates"] == kept
    said = next(check.seen for check in again.checks if check.code == "PL008")
    assert "4 of 15 test images have a duplicate in another split. Without them, " in said
    assert "Without them, " in (run / "card.md").read_text()
    assert open_run(run).data.duplicates["val"] == ()
