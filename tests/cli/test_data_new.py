"""`penlight data new`: from a folder to a trained model in the words that it prints."""

import json
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from penlight.runs import open_run


@pytest.fixture
def films(own_folders):
    """Sixty pictures of two classes that differ in brightness, in a folder with a space in its name."""
    random = np.random.default_rng(0)
    folder = own_folders / "work" / "my films"
    for name, light in (("healthy", 60), ("ill", 120)):
        (folder / name).mkdir(parents=True)
        for i in range(30):
            pixels = random.integers(0, 90, (40, 50), np.uint8) + light
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


def test_a_folder_becomes_a_run_by_the_printed_command(penlight, undrawn, films):
    code, out, err = penlight("data", "new", films.name)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "binary: each picture has one of two labels"
    assert any(line.split()[:2] == ["ill", "21"] for line in lines)
    assert lines[-3:] == ["my-films.toml", "my-films-splits.csv", "Next: penlight train my-films.toml"]
    words = shlex.split(lines[-1].removeprefix("Next: penlight "))
    code, out, _ = penlight(*words, "--recipe", "linear")
    assert code == 0
    assert out.splitlines()[-1] == "runs/my-films-linear-1/report.html"
    for command in ("audit", "show", "fetch"):
        assert penlight("data", command, "my-films.toml")[0] == 0


def test_sensitivity_is_that_of_the_finding_that_the_description_names(penlight, undrawn, films):
    """The finding is proposed from the names; where it is listed first, its own rows stand beside the official."""
    films.rename(films.with_name("two"))
    assert penlight("data", "new", "two", "--labels", "ill,healthy")[0] == 0
    assert tomllib.loads(Path("two.toml").read_text(encoding="utf-8"))["positive"] == "ill"
    assert penlight("train", "two.toml", "--recipe", "linear", "--out", "run")[0] == 0
    _, out, _ = penlight("evaluate", "run", "--full")
    ill = next(line for line in out.splitlines() if "sensitivity (ill)" in line)
    test = open_run(Path("run")).model_predictions("test")
    ill_images = test.y_true[:, 0] == 1
    assert f"{(test.prob[ill_images, 0] > 0.5).mean():.3f}" in ill
    assert "The finding is ill." in Path("run/card.md").read_text(encoding="utf-8")


def test_json_and_mistakes(penlight, films, own_folders):
    (films / "ill" / "cut.png").write_bytes(b"no")
    code, out, err = penlight("data", "new", films.name, "--json")
    assert (code, out) == (1, "")
    assert "ill/cut.png" in err
    code, out, _ = penlight("data", "new", films.name, "--skip-unreadable", "--labels", "ill, healthy", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["labels"] == ["ill", "healthy"]
    assert answer["images"] == {"train": 42, "val": 6, "test": 12}
    assert list(answer["left_out"]) == ["ill/cut.png"]
    assert penlight("data", "new", "nowhere")[0] == 1
    assert penlight("data", "new")[0] == 2
