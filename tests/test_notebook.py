"""What a person sees of `penlight` in IPython and Jupyter: names, help, examples, and what results show."""

import doctest
import inspect
import io
import json
import os
import pydoc
import re
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.data import Split, record, store
from penlight.errors import ArgumentError, RunError, UnknownNameError
from penlight.records import LONGEST_REPR
from tests.conftest import leave_maps_out, leave_reports_out, sketch_figures
from tests.models.encoders import draw_encoder
from tests.stubs import stub_fit

NAMES = sorted(name for name in pl.__all__)
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(pl, name))]
SHOWN = [name for name in NAMES if ">>>" in (getattr(pl, name).__doc__ or "")]

STUDY = """
name = "study"
title = "A study"
question = "Which?"
dataset = "retina-phantom"
seeds = 1
[[rows]]
id = "majority"
recipe = "majority"
title = "Majority"
[[rows]]
id = "linear"
recipe = "linear"
title = "Linear"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working folder with a run, a study, films, a picture and probabilities; small phantoms, short fits."""
    work = tmp_path_factory.mktemp("examples")
    (work / "data").mkdir()
    draw, drawn = store._draw, {}

    def part(info, size):
        if info.name not in drawn:
            whole = draw(info, size)
            n = 80 if info.task.exclusive else 600
            splits = {name: Split(split.images[:n], split.labels[:n]) for name, split in whole.splits.items()}
            drawn[info.name] = replace(whole, splits=splits)
        return drawn[info.name]

    with pytest.MonkeyPatch.context() as patch:
        for name in ("PENLIGHT_CACHE", "HOME", "PENLIGHT_DATA"):
            patch.setenv(name, str(work / "data"))
        patch.chdir(work)
        patch.setattr(store, "_draw", part)
        patch.setattr(record, "problems_of", lambda view: ())
        sketch_figures(patch)
        leave_maps_out(patch)
        leave_reports_out(patch)
        stub_fit(patch)
        run = pl.train("retina-phantom", "linear", out="runs/retina")
        for split in ("val", "test"):
            found = run.predictions(split)
            np.savetxt(f"{split}.csv", np.column_stack([found.index, found.prob]), delimiter=",")
        Image.fromarray(pl.load("retina-phantom").images[0]).save("eye.png")
        draw_encoder(work / "encoder.onnx", properties={"licence": "Apache-2.0"})
        pixels = np.random.default_rng(0).integers(0, 255, (2, 12, 28, 28), np.uint8)
        for label, images in zip(("effusion", "normal"), pixels, strict=True):
            (work / "films" / label).mkdir(parents=True)
            for number, image in enumerate(images):
                Image.fromarray(image).save(work / "films" / label / f"{number}.png")
        (work / "study.toml").write_text(STUDY)
        (work / "data" / "retinamnist.npz").write_bytes(b"")
        yield work


@pytest.fixture(autouse=True)
def own_folders(place):
    """All examples share a folder, as the cells of a notebook do."""
    return place


LONG = ("demo", "evaluate_corrupted", "plan", "study", "tune")
EXAMPLES = [pytest.param(name, marks=[pytest.mark.full] if name in LONG else []) for name in SHOWN]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_each_docstring_runs(place, name, monkeypatch):
    monkeypatch.setattr("penlight.serve.running.Server.run", lambda *_: None)
    of = getattr(pl, name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(of), {"pl": pl}, name, None, 0)
    said = io.StringIO()
    runner.run(test, out=said.write)
    if "MissingExtraError" in said.getvalue():
        pytest.skip("what the example needs is not installed")
    assert not runner.failures, said.getvalue()


def test_each_function_has_an_example_and_named_parameters():
    assert set(FUNCTIONS) - set(SHOWN) == set()
    for name in FUNCTIONS:
        signature = inspect.signature(getattr(pl, name))
        assert all(own.annotation is not own.empty for own in signature.parameters.values()), name
        assert signature.return_annotation is not inspect.Signature.empty, name


def test_every_command_is_a_function():
    from penlight.cli.app import app, data

    called = {"serve": "serve_runs", "recipes": "list_recipes", "list": "list_datasets", "new": "new_dataset"}
    commands = [own.name or own.callback.__name__ for own in (*app.registered_commands, *data.registered_commands)]
    # A script for a shell is of use there alone.
    assert {called.get(name, name) for name in commands} - {"completion"} <= set(FUNCTIONS)


def test_help_of_train_fits_a_screen():
    lines = pydoc.plain(pydoc.render_doc(pl.train)).splitlines()
    assert sum(-(-max(1, len(line)) // 120) for line in lines) <= 40


RESULTS = {
    "run": lambda: pl.open_run("runs/retina"),
    "runs": lambda: pl.open_run(seeds_of_two()),
    "folds": lambda: pl.train("retina-phantom", "majority", folds=2),
    "scores": lambda: pl.open_run("runs/retina").scores,
    "over seeds": lambda: pl.evaluate(seeds_of_two()),
    "predictions": lambda: pl.open_run("runs/retina").predictions("val"),
    "predicted": lambda: pl.predict("runs/retina", "eye.png"),
    "explained": lambda: pl.explain("runs/retina", "eye.png", out="explained"),
    "compared": lambda: pl.compare("runs/retina", "runs/retina:majority"),
    "exported": lambda: pl.export("runs/retina", out="other.onnx"),
    "copied": lambda: pl.export_without_images("runs/retina", out="copied"),
    "planned": lambda: pl.plan_study("study.toml"),
    "audited": lambda: pl.audit("retina-phantom"),
    "shown": lambda: pl.show("retina-phantom"),
    "described": lambda: pl.new_dataset("films", out="films-again"),
    "datasets": pl.list_datasets,
    "recipes": pl.list_recipes,
    "loaded": lambda: pl.load("retina-phantom"),
    "figures": lambda: pl.displays("runs/retina"),
    "swept": lambda: pl.sweep(dry_run=True),
    "reported": lambda: pl.report("runs/retina", "again.html"),
    "fetched": lambda: pl.fetch("retinamnist"),
}


def seeds_of_two():
    return pl.train("retina-phantom", "majority", seeds=2, out="runs/seeds").path


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_short_as_text_a_table_and_json(place, name):
    result = RESULTS[name]()
    assert len(repr(result)) < 400
    assert "\n" not in repr(result)
    assert "<table" in result._repr_html_() or "<img" in result._repr_html_()
    assert len(result.frame().columns) > 0
    assert json.dumps(result.to_dict())
    assert len(repr(result)) < LONGEST_REPR + 20


def test_a_file_that_was_written_is_a_path(place):
    page = pl.report("runs/retina", "page.html")
    assert isinstance(page, Path)
    assert page == Path("page.html")
    assert os.fspath(page) == "page.html"
    assert page.read_text() == Path("runs/retina/report.html").read_text()
    assert page.resolve().parent == place.resolve()
    assert re.fullmatch(r"ResultPath\('page.html', [0-9,]+ bytes\)", repr(page))
    assert '<a href="page.html">' in page._repr_html_()
    assert page.frame().loc[0, "bytes"] == page.stat().st_size
    assert page.to_dict() == {"path": "page.html"}
    folder = pl.fetch(pl.new_dataset("films", out="fetched").description)
    assert next(folder.iterdir()).exists()
    assert repr(folder).startswith("ResultPath('/")


def test_a_network_in_the_place_of_a_recipe_is_told_its_keyword():
    with pytest.raises(ArgumentError, match=r"A recipe was expected.*function came.*is given as model="):
        pl.train("retina-phantom", lambda input_shape, n_outputs: None)


def test_what_pictures_say_is_in_the_line_of_a_prediction(place):
    said = repr(pl.predict("runs/retina", ["eye.png", "eye.png"]))
    assert re.fullmatch(r"Predicted\(2 images; eye.png: [a-z]+; eye.png: [a-z]+\)", said)


def test_maps_are_seen_in_a_notebook(place):
    explained = pl.explain("runs/retina", split="test", rows=[0, 1], out="maps")
    assert explained._repr_html_().count('<img alt="saliency maps, occlusion"') == 1


def test_the_confusion_of_findings_is_a_matrix_for_each(place, monkeypatch):
    figure = types.SimpleNamespace(plot=lambda ax: "a matrix for each")
    monkeypatch.setattr("penlight.api.run.displays", lambda run: {"confusion_labels": figure, "confusions": None})
    assert pl.open_run("runs/retina").plot("confusion") == "a matrix for each"


def test_a_comparison_begins_with_its_verdict(place):
    compared = pl.compare("runs/retina", "runs/retina:majority")
    assert re.match(r"ComparedRuns\(On \d+ test fundus photographs .*AUC", repr(compared))
    shown = compared._repr_html_()
    assert shown.startswith("<p><strong>On ")
    assert shown.count("<table") == 2


def test_a_hostile_text_is_escaped_in_a_notebook():
    shown = pl.Copied("<script>", True, ["<img src=x onerror=alert(1)>"], [])._repr_html_()
    assert not re.search("<script|<img", shown)


def test_tables_of_predictions_are_tidy(place):
    run = pl.open_run("runs/retina")
    found = run.predictions("test")
    table = found.frame()
    labels = list(found.task.labels)
    assert list(table) == ["row", "truth", *labels, "answer"]
    assert len(table) == len(found) == 80
    np.testing.assert_allclose(table[labels].sum(axis=1), 1)
    assert (table["truth"] == table["answer"]).mean() == pytest.approx(run.scores.frame().loc["acc", "value"])
    with pytest.raises(UnknownNameError, match="split with predictions named 'train'"):
        run.predictions("train")


def test_files_and_patients_stand_beside_predictions_where_they_are_known(place):
    made = pl.new_dataset("films", out="known")
    run = pl.train(made.description, "majority", out="runs/known")
    table = run.predictions("test").frame()
    assert set(table["file"]) <= {f"{label}/{n}.png" for label in ("effusion", "normal") for n in range(12)}
    assert [file.split("/")[0] for file in table["file"]] == list(table["truth"])
    loaded = pl.load(made.description, "test").frame()
    assert list(loaded["file"]) == list(table["file"])
    assert list(loaded["label"]) == list(table["truth"])
    (place / "films" / "normal" / "0.png").touch()
    assert "file" not in run.predictions("test").frame()


def test_figures_are_drawn_by_name(place):
    from matplotlib.figure import Figure

    run = pl.open_run("runs/retina")
    ax = Figure().add_subplot()
    assert run.plot("confusion", ax) is ax
    assert ax.texts or ax.images or ax.collections
    assert pl.open_run(seeds_of_two()).plot("bars", ax=Figure().add_subplot()).has_data()
    with pytest.raises(UnknownNameError, match=r"no figure named 'confusoin'. Did you mean confusion"):
        run.plot("confusoin")


def test_a_run_without_a_network_has_no_keras_model(place):
    with pytest.raises(RunError, match="keeps the linear baseline, which is no Keras network"):
        pl.open_run("runs/retina").keras_model()


def test_arrays_and_tables_of_a_dataset(place):
    X, y = loaded = pl.load("retina-phantom", "val")
    assert (X.dtype, X.shape, y.shape) == (np.uint8, (80, 28, 28, 3), (80,))
    assert list(loaded.frame()["label"]) == [loaded.label_names[k] for k in y]
    findings = pl.load("chest-phantom", "test")
    assert findings.labels.shape == (600, len(findings.label_names))
    assert set(findings.label_names) < set(findings.frame())
    with pytest.raises(UnknownNameError, match="no split named 'tset'"):
        pl.load("retina-phantom", "tset")


def test_a_torch_view_of_a_dataset(place):
    torch = pytest.importorskip("torch")
    images = pl.load("retina-phantom", "val").torch()
    image, label = images[3]
    assert (image.shape, image.dtype, label.dtype) == ((3, 28, 28), torch.float32, torch.long)
    assert next(iter(torch.utils.data.DataLoader(images, 8)))[0].shape == (8, 3, 28, 28)
