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
    code, _, err = penlight("data", "new", "two", "--labels", "ill,healthy")
    assert (code, err) == (0, "--labels is now --order; the old name is read for one more release.\n")
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


@pytest.fixture
def grades(own_folders):
    """A table with two columns that may be the labels."""
    work = own_folders / "work"
    random = np.random.default_rng(0)
    for i in range(40):
        (work / "im").mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (28, 28), np.uint8)).save(work / "im" / f"{i:02d}.png")
    rows = [f"{i:02d},{'ab'[i % 2]},{'xyz'[i % 3]}" for i in range(40)]
    (work / "t.csv").write_text("\n".join(["image,left_grade,right_grade", *rows]))


@pytest.fixture
def at_terminal(monkeypatch):
    """Somebody at the terminal, who says these answers."""

    def say(*answers):
        given = iter(answers)
        for stream in ("stdin", "stderr"):
            monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", lambda prompt: next(given))

    return say


def test_on_a_terminal_a_question_is_asked(penlight, grades, at_terminal):
    at_terminal("2")
    code, out, err = penlight("data", "new", "t.csv")
    assert (code, out.splitlines()[0]) == (
        0,
        "multi-class: each picture has one of 3 labels, and their names show no order",
    )
    assert "  2  x, y, z (--label-column right_grade)" in err
    assert not list(Path().glob("*.draft.toml"))


@pytest.mark.parametrize("words", [("--yes",), ("--json",)])
def test_nothing_is_asked_and_nothing_decided(penlight, grades, at_terminal, words):
    at_terminal("1")
    code, out, err = penlight("data", "new", "t.csv", *words)
    assert (code, out) == (1, "")
    for option in ("--label-column left_grade", "--label-column right_grade", "t.draft.toml"):
        assert option in " ".join(err.split())
    at_terminal("")
    assert penlight("data", "new", "t.csv")[0] == 1
    assert not Path("t.toml").exists()
