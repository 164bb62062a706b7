"""Explaining a run: one answer for the command, the API and a server; pictures; errors."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.api import explaining
from penlight.api.training import train_recipe
from penlight.data import apply_view, store
from penlight.errors import DataError, ExplainError, PictureError, RunError, UnknownNameError
from penlight.explanation import explain_images
from penlight.recipes import Cnn, Data, Linear, Recipe, Train
from penlight.reports import run_report
from penlight.reports.content import content_of_run
from penlight.runs import open_run, predictor
from penlight.runs.cases import cases_from_bytes
from penlight.tasks import MultiLabel, Ordinal
from tests.cli.conftest import penlight  # noqa: F401 - a fixture
from tests.cli.test_cli import in_a_new_process
from tests.conftest import LABELS, small_dataset
from tests.remembered import leave_reports_out
from tests.stubs import stub_fit


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A network of grades and a linear baseline of findings, each with its dataset."""
    folder = tmp_path_factory.mktemp("runs")
    made = {
        "cnn": (Ordinal(LABELS, referable=2), Cnn(filters=(4,), dense=8)),
        "linear": (MultiLabel(LABELS), Linear(components=5)),
    }
    with pytest.MonkeyPatch.context() as patch:
        leave_reports_out(patch)
        stub_fit(patch)
        for name, (task, model) in made.items():
            dataset = small_dataset(task)
            patch.setattr(store, "open_dataset", lambda name, size, d=dataset: d)
            recipe = Recipe(data=Data(dataset="small"), model=model, train=Train(epochs=2, batch_size=16))
            train_recipe(recipe, out=folder / name)
    return folder


@pytest.fixture(autouse=True)
def model_in_this_process(monkeypatch):
    """The process of its own that computes a stranger's model is that of tests/attack/test_model_file.py."""
    monkeypatch.setattr(predictor, "RemoteSession", predictor.LocalSession)


@pytest.fixture
def dataset(monkeypatch):
    """The dataset of the network of grades."""
    made = small_dataset(Ordinal(LABELS, referable=2))
    monkeypatch.setattr(store, "open_dataset", lambda name, size: made)
    return made


def save(folder, images):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


def values_of(address):
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)))


def test_command_api_and_arrays_give_the_same_answer(runs, dataset, penlight, tmp_path):  # noqa: F811
    images = dataset.splits["test"].images[:3]
    paths = save(tmp_path / "in", images)
    code, out, err = penlight("explain", runs / "cnn", *paths, "--neighbours", 2, "--out", tmp_path / "out", "--json")
    assert (code, err) == (0, "")
    command = json.loads(out)
    again = pl.explain(runs / "cnn", paths, neighbours=2, out=tmp_path / "out")
    assert command == json.loads(json.dumps(again.to_dict()))
    sources = [explaining.ImageSource(str(path)) for path in paths]
    served = pl.open_explainer(runs / "cnn").explain(images, sources, neighbours=2).to_dict()
    assert served["explanations"] == command["explanations"]
    for own in command["explanations"]:
        values = values_of(own["map"])
        assert values.shape == (28, 28)
        assert values[own["peak"]["row"], own["peak"]["column"]] == 255
        assert values_of(own["overlay"]).shape == (28, 28, 4)
        assert own["label"] == own["answer"]
        assert [set(n) for n in own["neighbours"]] == [{"row", "labels", "similarity", "image"}] * 2
    assert [own["file"] for own in command["explanations"]] == [str(p) for p in paths]


def test_rows_of_the_runs_own_dataset_have_their_truth(runs, dataset, tmp_path):
    done = pl.explain(runs / "cnn", split="test", rows=[3, 17], label="c", out=tmp_path / "out")
    truths = [LABELS[dataset.splits["test"].labels[row, 0]] for row in (3, 17)]
    assert [e.source.truth for e in done.explanations] == truths
    assert [e.label for e in done.explanations] == ["c", "c"]
    prob = open_run(runs / "cnn").answers("test").predictions.prob[[3, 17], 2]
    np.testing.assert_allclose([e.probability for e in done.explanations], prob, atol=1e-5)
    assert sorted(p.name for p in done.files) == ["sheet.png", "test-17-c.png", "test-3-c.png"]
    assert all(p.exists() for p in done.files)


def test_every_finding_that_was_answered_has_a_map(runs):
    explainer = pl.open_explainer(runs / "linear")
    images = small_dataset(MultiLabel(LABELS)).splits["test"].images[:8]
    prob = explainer.predictor.probabilities(images)
    decided = explainer.predictor.decide(prob)
    found = explainer.explain(images, [explaining.ImageSource(str(i)) for i in range(8)]).explanations
    expected = [
        (str(i), name)
        for i in range(8)
        for c, name in enumerate(LABELS)
        if decided[i, c] or (not decided[i].any() and c == prob[i].argmax())
    ]
    assert [(e.source.name, e.label) for e in found] == expected


def test_train_keeps_maps_of_right_and_wrong_answers_and_reports_read_them(runs, dataset):
    run = open_run(runs / "cnn")
    cases = cases_from_bytes(run.read("explained.npz"))
    answers = run.answers("test")
    given = answers.decided[cases.rows, cases.columns]
    right = answers.predictions.y_true[cases.rows, cases.columns]
    assert given.all()
    assert 0 < len(right) <= 8
    explainer = pl.open_explainer(runs / "cnn", cases.method)
    images = dataset.splits["test"].images[answers.predictions.index[cases.rows]]
    np.testing.assert_allclose(
        explain_images(explainer.subject, images, cases.columns, cases.method), cases.maps, atol=0.02
    )
    page = run_report(content_of_run(run, apply_view(dataset)))
    assert page.count('class="heat"') == len(cases.rows)
    assert len(run.read("neighbours.npz")) < 2_000_000


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_methods_that_look_inside_read_the_keras_file(runs, dataset, method):
    images = dataset.splits["test"].images[:2]
    explained = pl.open_explainer(runs / "cnn", method).explain(images)
    assert [e.method for e in explained.explanations] == [method] * 2
    assert {e.map.shape for e in explained.explanations} == {(28, 28)}


def test_a_training_image_is_its_own_nearest_neighbour(runs, dataset):
    train = dataset.splits["train"].images
    for name in ("cnn", "linear"):
        made = small_dataset(Ordinal(LABELS, referable=2) if name == "cnn" else MultiLabel(LABELS))
        found = pl.open_explainer(runs / name).neighbours(made.splits["train"].images[4:9], 1)
        assert [own[0].row for own in found] == [4, 5, 6, 7, 8]
    assert len(train) == 48


def test_what_cannot_be_read_is_named_and_left_out(runs, penlight, tmp_path):  # noqa: F811
    save(tmp_path / "in", np.zeros((2, 40, 40, 3), np.uint8))
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    code, out, _ = penlight("explain", runs / "cnn", tmp_path / "in", "--out", tmp_path / "out")
    assert code == 1
    assert "bad.png was left out: it is no PNG" in " ".join(out.split())
    assert out.splitlines()[-1] == str(tmp_path / "out" / "sheet.png")
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_pictures_of_an_earlier_call_are_not_replaced(runs, dataset, tmp_path):
    save(tmp_path / "in", dataset.splits["test"].images[:7])

    def made(*rows):
        files = pl.explain(runs / "cnn", [tmp_path / "in" / f"{row}.png" for row in rows], out=tmp_path / "out").files
        return {file.name: file.read_bytes() for file in files}

    first, second, third = made(1, 2), made(3, 4), made(5, 6)
    assert ["sheet.png" in first, "sheet-2.png" in second, "sheet-3.png" in third] == [True] * 3
    everything = first | second | third
    # The same pictures again are the same files.
    assert made(3, 4) == second
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == everything


def test_rows_of_an_npz_are_explained_as_their_pictures_are(runs, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    save(tmp_path / "in", images)
    np.savez(tmp_path / "in.npz", images=images)
    files, rows = (pl.explain(runs / "cnn", [tmp_path / n], out=tmp_path / "out") for n in ("in", "in.npz"))
    assert [e.source.name for e in rows.explanations] == [f"{tmp_path}/in.npz:images[{i}]" for i in (0, 1)]
    for one, other in zip(files.explanations, rows.explanations, strict=True):
        np.testing.assert_array_equal(one.map, other.map)


def test_mistakes_are_named(runs, dataset, penlight, tmp_path):  # noqa: F811
    bad, worse, cnn = tmp_path / "bad.png", tmp_path / "worse.png", runs / "cnn"
    bad.write_bytes(b"no picture")
    worse.write_bytes(b"")
    small = np.zeros((1, 9, 9, 3), np.uint8)
    (tmp_path / "empty").mkdir()
    wrong = [
        (UnknownNameError, "no label named 'e'", lambda: pl.explain(cnn, split="test", rows=[1], label="e")),
        (UnknownNameError, "no split named", lambda: pl.explain(runs / "cnn", split="tests", rows=[1])),
        (UnknownNameError, "method of explanation", lambda: pl.open_explainer(runs / "cnn", "lime")),
        (ExplainError, "cam does not fit", lambda: pl.open_explainer(runs / "cnn", "cam")),
        (ExplainError, "gradcam does not fit", lambda: pl.open_explainer(runs / "linear", "gradcam")),
        (DataError, "Row 99 is not in test", lambda: pl.explain(runs / "cnn", split="test", rows=[3, 99])),
        (DataError, "No row was given", lambda: pl.explain(runs / "cnn", split="test")),
        (DataError, "No picture was given", lambda: pl.explain(runs / "cnn")),
        (DataError, "no file or folder", lambda: pl.explain(runs / "cnn", [tmp_path / "nothing"])),
        (DataError, "no picture in", lambda: pl.explain(runs / "cnn", [tmp_path / "empty"])),
        (PictureError, "bad.png cannot be used", lambda: pl.explain(runs / "cnn", [bad])),
        (DataError, "None of 2 pictures", lambda: pl.explain(runs / "cnn", [bad, worse])),
        (DataError, r"Images of shape \(N, 28", lambda: pl.open_explainer(cnn).explain(small)),
        (RunError, "no run folder", lambda: pl.explain(tmp_path / "no", [bad])),
    ]  # fmt: skip
    for kind, said, do in wrong:
        with pytest.raises(kind, match=said):
            do()
    assert penlight("explain", runs / "cnn", bad, "--split", "test")[0] == 2
    assert penlight("explain", runs / "cnn", "--split", "test", "--rows", "a")[0] == 2


def test_small_images_are_explained_without_keras(runs, dataset, tmp_path):
    path = save(tmp_path / "in", dataset.splits["test"].images[:1])[0]
    loaded = in_a_new_process(
        f"import sys; sys.argv = ['penlight', 'explain', {str(runs / 'cnn')!r}, {str(path)!r}, '--neighbours', '2']\n"
        "from penlight.cli import main\n"
        "try: main()\nexcept SystemExit as e: assert not e.code, e.code\n"
        "print('LOADED', sorted({'keras', 'tensorflow', 'jax', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    assert "LOADED []" in loaded
