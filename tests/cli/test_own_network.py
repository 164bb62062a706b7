"""A network of the user's own in the command: trained by the file that is named, predicted with, explained; and what
the command says of one that does not fit."""

import json

import numpy as np
import pytest
from PIL import Image

from penlight.runs import open_run
from tests.conftest import is_full
from tests.stubs import stub_fit
from tests.training.test_own_network import SOURCE

NOISY = SOURCE.replace("    image = keras", '    print("building")\n    image = keras')


@pytest.fixture
def nets(own_folders, few, undrawn, monkeypatch):
    """A working folder with the user's file, where training is a stub."""
    stub_fit(monkeypatch)
    (own_folders / "work" / "my_nets.py").write_text(NOISY)
    return own_folders / "work"


@pytest.mark.mapped
def test_the_file_that_is_named_is_trained_and_the_run_used(penlight, nets):
    words = ("--set", "model.backbone=my_nets.py:build", "--set", "train.epochs=1")
    code, out, err = penlight("train", "retina-phantom", *words, "--json")
    assert code == 0, err
    assert "building" in err
    made = json.loads(out)
    assert made["folder"] == "runs/retina-phantom-build-1"
    Image.fromarray(np.zeros((28, 28, 3), np.uint8)).save("eye.png")
    code, out, err = penlight("predict", made["folder"], "eye.png", "--json")
    assert code == 0, err
    assert penlight("explain", made["folder"], "eye.png")[0] == 0
    assert penlight("export", made["folder"], "--to", "keras")[0] == 0
    assert penlight("evaluate", made["folder"])[0] == 0
    code, out, err = penlight("train", f"{made['folder']}/recipe.toml")
    assert code == 1
    assert "Name it: --set model.backbone=FILE.py:NAME" in err
    # In Python, tests/training/test_own_network.py has several seeds.
    seeds, again = (("--seeds", 2), "runs/again/seed-1") if is_full() else (("--seed", 1), "runs/again")
    code, _, err = penlight("train", f"{made['folder']}/recipe.toml", *words, *seeds, "--out", "runs/again")
    assert code == 0, err
    assert open_run(nets / again).recipe.hash == open_run(nets / made["folder"]).recipe.hash


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "retina-phantom", "--set", "model.backbone=my_nets.py:buidl"], "has no buidl. It has build."),
        (["train", "retina-phantom", "--set", "model.backbone=gone.py:build"], "There is no file gone.py."),
        (
            ["tune", "retina-phantom", "--set", "model.backbone=my_nets.py:build"],
            "names a network of your own, which only `penlight train` takes.",
        ),
        (
            ["train", "retina-phantom", "--set", "model.backbone=my_nets.py:build", "--set", "model.dense=3"],
            "model.dense is no option of my_nets.py:build, which is your own. Leave it out.",
        ),
        (
            ["train", "retina-phantom", "--set", "model.backbone=my_nets.py:build", "--budget", "5m"],
            "A budget is for a plan, and a recipe was given.",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(penlight, nets, words, said):
    code, out, err = penlight(*words)
    assert (code, out) == (1, "")
    assert said in err
    assert not (nets / "runs").exists()
