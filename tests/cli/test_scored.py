"""Runs of predictions that other software made: full folders, by a dataset or by a labels file, and bad input."""

import contextlib
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import penlight as pl
from penlight.data import store
from penlight.data.accesses import accesses_of
from penlight.errors import DataError, PenlightError, PredictionsError, RecipeError, RunError
from penlight.evaluation import find_row
from penlight.runs import folder
from tests.attack.run_folders import mutations, put
from tests.cli.test_users_size import films
from tests.conftest import sketch_figures

GRADES = ["none", "mild", "moderate", "severe", "proliferative"]


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def guesses(truth, n_labels, seed=0):
    """Probabilities that know something of the truth, (N,) class numbers."""
    logits = np.random.default_rng(seed).normal(size=(len(truth), n_labels))
    logits[np.arange(len(truth)), truth] += 1.5
    return softmax(logits)


def write_official(name, prob):
    np.savetxt(name, np.column_stack([np.arange(len(prob)), prob]), delimiter=",")


@pytest.fixture
def retina(few):
    """Probabilities for val and test of the phantom."""
    dataset = store.open_dataset("retina-phantom")
    return {s: guesses(dataset.splits[s].labels[:, 0].astype(int), 5) for s in ("val", "test")}


@pytest.fixture
def skin():
    """A labels file of 240 images with patients and sexes, and predictions of all, of which 80 are val."""
    rng = np.random.default_rng(0)
    names = ["keratosis", "melanoma", "nevus"]
    truth = rng.permutation(np.arange(240) % 3)
    ids = [f"img_{i:03}.png" for i in range(240)]
    rows = {"image": ids, "diagnosis": [names[i] for i in truth], "patient": [f"P{i // 2}" for i in range(240)]}
    pd.DataFrame(rows | {"sex": rng.choice(["F", "M"], 240)}).to_csv("skin.csv", index=False)
    table = pd.DataFrame(guesses(truth, 3), columns=names)
    table.insert(0, "file", ids)
    val, test = table[:80], table[80:].sample(frac=1, random_state=0)[["file", "nevus", "melanoma", "keratosis"]]
    val.to_csv("net_val.csv", index=False)
    test.to_csv("net_test.csv", index=False)
    return val, test


# The promise.


@pytest.mark.drawn
def test_predictions_of_a_dataset_make_a_full_run_beside_penlight_s_own(penlight, retina, monkeypatch):
    write_official("resnet18_test.csv", retina["test"])
    write_official("resnet18_val.csv", retina["val"])
    command = ["score", "resnet18_test.csv", "--dataset", "retina-phantom", "--val", "resnet18_val.csv"]
    code, out, err = penlight(*command, "--out", "theirs")
    assert (code, out.splitlines()[-1]) == (0, "theirs/report.html"), err
    run = pl.open_run("theirs")
    assert (run.kept_model, set(run.baselines), run.splits) == ("resnet18", {"majority", "linear"}, ["val", "test"])
    assert not {"model.onnx", "model.keras", "neighbours.npz", "explained.npz"} & {
        file.name for file in Path("theirs").iterdir()
    }
    page, card = Path("theirs/report.html").read_text(), Path("theirs/card.md").read_text()
    assert "resnet18 ranks grades with AUC" in page
    assert "Confusion matrix" in page
    assert "Other software made the predictions of resnet18" in page
    assert "made elsewhere" in card
    assert "resnet18 ranks grades" in run._repr_html_()
    assert "training time" not in page
    # One report with its figures is enough.
    sketch_figures(monkeypatch)
    # The scores are those that are printed without --out, and stay the same when the folder is asked again.
    printed = json.loads(penlight(*command, "--json")[1])
    assert printed["metrics"] == json.loads(Path("theirs/metrics.json").read_text())["metrics"]
    assert pl.evaluate(run.path).to_dict() == run.metrics.to_dict()
    # Reading test once more with the same predictions is no other recipe.
    accesses = [own for own in accesses_of(store.open_dataset("retina-phantom")) if own.by == "score"]
    assert len({own.recipe for own in accesses}) == 1
    # It is compared with Penlight's runs, on the same images, and the same command has nothing more to do.
    assert penlight("train", "retina-phantom", "--recipe", "linear", "--out", "ours")[0] == 0
    found = json.loads(penlight("compare", "theirs", "ours", "theirs:linear", "--json")[1])
    assert [own["name"] for own in found["models"]] == ["theirs", "ours", "theirs:linear"]
    assert found["images"] == 100
    manifest = Path("theirs/manifest.json").read_bytes()
    assert penlight(*command, "--out", "theirs")[0] == 0
    assert Path("theirs/manifest.json").read_bytes() == manifest
    assert penlight("report", "theirs") == (0, "theirs/report.html\n", "")


def test_without_images_the_folder_holds_none(penlight, retina):
    write_official("p_test.csv", retina["test"])
    assert penlight("score", "p_test.csv", "--dataset", "retina-phantom", "--out", "bare", "--no-images")[0] == 0
    held = json.loads(json.dumps(pl.open_run("bare").to_dict()))["holds"]
    assert held == {"training_images": 0, "maps": 0, "pictures": 0}
    again = penlight("score", "p_test.csv", "--dataset", "retina-phantom", "--out", "kept")
    assert again[0] == 0
    code, _, err = penlight("score", "p_test.csv", "--dataset", "retina-phantom", "--out", "kept", "--no-images")
    assert (code, "keeps images" in err) == (1, True)


@pytest.mark.parametrize("how", ["sketched", pytest.param("drawn", marks=[pytest.mark.drawn, pytest.mark.full])])
def test_a_labels_file_makes_a_full_run_without_images(penlight, skin, monkeypatch, how):
    command = ["score", "net_test.csv", "--truth", "skin.csv", "--val", "net_val.csv", "--out", "theirs"]
    code, out, err = penlight(*command, "--full")
    assert (code, out.splitlines()[-1]) == (0, "theirs/report.html"), err
    assert "Unavailable: the linear baseline: the images are not at hand." in out
    run = pl.open_run("theirs")
    assert run.baselines == ["majority"]
    assert run.data.images == {"val": 80, "test": 160}
    assert run.data.patients == {"val": 40, "test": 80}
    assert {group.column for group in run.scores.subgroups} == {"sex"}
    # Rows are matched by their names: the file has them in another order, and the columns too.
    truth = pd.read_csv("skin.csv").set_index("image").diagnosis
    given = skin[1].set_index("file")
    right = (given.idxmax(axis=1) == truth[given.index]).mean()
    assert find_row(run.scores.metrics, "acc").value == pytest.approx(right)
    page = Path("theirs/report.html").read_text()
    assert "The images are not at hand" in page
    assert "<img" not in page
    sketch_figures(monkeypatch)
    for other in (["report", "theirs"], ["evaluate", "theirs"], ["export", "theirs", "--no-images"]):
        assert penlight(*other)[0] == 0, other
    assert penlight("export", "theirs", "--for-sharing")[0] == 0
    for copy in ("theirs-shared", "theirs-no-images"):
        assert penlight("report", copy)[0] == 0
        assert "resnet" not in Path(copy, "card.md").read_text()
    assert not any(b"img_0" in file.read_bytes() or b"P11" in file.read_bytes() for file in Path("theirs").iterdir())
    assert "The model itself" not in Path("theirs-shared/SHARING.md").read_text()
    code, _, err = penlight("report", "theirs", "--with-images")
    assert (code, "images of skin are not at hand" in err) == (1, True)
    assert "was scored by a labels file" in penlight("compare", "theirs", "net_test.csv")[2]
    # Two models by the same labels are compared.
    skin[1].assign(nevus=1 / 3, melanoma=1 / 3, keratosis=1 / 3).to_csv("coin_test.csv", index=False)
    assert penlight("score", "coin_test.csv", *command[2:-1], "coin")[0] == 0
    assert "by more than chance" in penlight("compare", "theirs", "coin")[1]


def test_findings_and_splits_of_a_labels_file(penlight, undrawn):
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, (200, 3))
    table = pd.DataFrame(y, columns=["effusion", "mass", "nodule"])
    table.insert(0, "id", [f"film {i}" for i in range(200)])
    table["subset"] = ["train"] * 60 + ["valid"] * 60 + ["test"] * 80
    table.to_csv("films.csv", index=False)
    prob = 1 / (1 + np.exp(-rng.normal(size=y.shape) - 2 * y + 1))
    write_official("net_test.csv", prob[120:])
    write_official("net_val.csv", prob[60:120])
    thresholds = ["--set", "decide.thresholds=f1"]
    given = ["net_test.csv", "--truth", "films.csv"]
    assert penlight("score", *given, "--val", "net_val.csv", *thresholds, "--out", "run")[0] == 0
    run = pl.open_run("run")
    assert run.model_predictions("test").task.kind == "multi-label"
    np.testing.assert_array_equal(run.model_predictions("test").y_true, y[120:])
    np.testing.assert_array_equal(run.model_predictions("test").prob, prob[120:])
    assert run.data.images == {"train": 60, "val": 60, "test": 80}
    # Without predictions of val there is no calibration, but a run all the same.
    code, out, _ = penlight("score", *given, "--out", "test-alone", "--full")
    assert code == 0
    assert "Unavailable: calibration: no predictions of val were given." in out
    alone = pl.open_run("test-alone")
    assert alone.splits == ["test"]
    assert pl.evaluate(alone.path).to_dict() == alone.metrics.to_dict()
    for words in (["report", "test-alone"], ["export", "test-alone", "--for-sharing"]):
        assert penlight(*words)[0] == 0
    code, _, err = penlight("evaluate", "test-alone", "--split", "val")
    assert (code, "val" in err and "test" in err) == (1, True)


def test_arrays_and_frames_are_scored_as_files_are(retina, undrawn, tmp_path):
    frame = pd.DataFrame(retina["test"], columns=GRADES)[GRADES[::-1]].sample(frac=1, random_state=1)
    frame.index.name = "index"
    write_official(tmp_path / "p.csv", retina["test"])
    forms = [retina["test"], retina["test"].tolist(), frame, frame.reset_index(), tmp_path / "p.csv"]
    scores = [pl.score(own, "retina-phantom", val=retina["val"], decide={"thresholds": "fixed"}) for own in forms]
    assert isinstance(scores[0], pl.Scores)
    for other in scores[1:]:
        assert other.metrics == scores[0].metrics
    run = pl.score(retina["test"].astype(np.float32), "retina-phantom", val=retina["val"], out=str(tmp_path / "run"))
    assert isinstance(run, pl.Run)
    assert run.kept_model == "predictions"
    assert run.to_dict()["report"] == str(tmp_path / "run" / "report.html")
    with pytest.raises(RecipeError, match=r"'decide\.wish' is not a known key"):
        pl.score(retina["test"], "retina-phantom", decide={"wish": 1})


def test_a_labels_frame_of_two_classes_takes_one_probability(undrawn, tmp_path):
    rng = np.random.default_rng(2)
    sick = rng.integers(0, 2, 90)
    p = 1 / (1 + np.exp(-rng.normal(size=90) - 2 * sick + 1))
    truth = pd.DataFrame({"name": [f"i{i}" for i in range(90)], "pneumonia": sick})
    scores = pl.score(p, truth=truth)
    assert find_row(scores.metrics, "auc").value > 0.8
    words = truth.assign(label=np.where(sick, "malignant", "benign")).drop(columns="pneumonia")
    for given in (pd.DataFrame({"malignant": p}), pd.DataFrame({"benign": 1 - p}), p):
        assert find_row(pl.score(given, truth=words).metrics, "auc").value == find_row(scores.metrics, "auc").value
    # The finding is the last of two labels; where names are sorted otherwise, only names say which column is which.
    turned = words.assign(label=np.where(sick, "abscess", "normal"))
    with pytest.raises(DataError, match="abscess, normal in the predictions is not known"):
        pl.score(np.column_stack([1 - p, p]), truth=turned)
    assert find_row(pl.score(pd.DataFrame({"abscess": p}), truth=turned).metrics, "auc").value > 0.8
    grades = words.assign(label=[f"grade {i % 3}" for i in range(90)])
    with pytest.raises(DataError, match=r"may be grades in their order or not"):
        pl.score(np.full((90, 3), 1 / 3), truth=grades)
    assert pl.score(np.full((90, 3), 1 / 3), truth=grades, task="ordinal").metrics[2].name == "qwk"


def test_what_penlight_predicts_is_scored_by_a_labels_file(penlight, few, undrawn):
    from PIL import Image

    assert penlight("train", "retina-phantom", "--recipe", "linear", "--out", "run")[0] == 0
    split = store.open_dataset("retina-phantom").splits["test"]
    Path("films").mkdir()
    for row in range(40):
        Image.fromarray(split.images[row]).save(f"films/{row}.png")
    rows = [[f"films/{row}.png", GRADES[int(split.labels[row, 0])]] for row in range(40)]
    pd.DataFrame(rows, columns=["file", "label"]).to_csv("truth.csv", index=False)
    assert penlight("predict", "run", "films", "--csv", "said.csv")[0] == 0
    code, out, err = penlight("score", "said.csv", "--truth", "truth.csv", "--task", "ordinal", "--full")
    assert (code, err) == (0, "")
    assert out.startswith("On 40 test images")


def test_what_needs_a_model_says_that_there_is_none(penlight, retina, undrawn, tmp_path):
    pl.score(retina["test"], "retina-phantom", out="run", name="forest")
    (tmp_path / "a.png").write_bytes(b"")
    asked = (
        ["predict", "run", tmp_path / "a.png"],
        ["explain", "run", "--split", "test", "--rows", "1"],
        ["export", "run"],
        ["export", "run", "--to", "keras"],
        ["evaluate", "run", "--corruptions"],
    )
    for words in asked:
        code, _, err = penlight(*words)
        assert code == 1
        assert "has no model: it was scored from predictions of forest, which other software made" in err, words
        assert err.count("Error") == 1
    for words in (["train", "run/recipe.toml", "--out", "new"], ["tune", "run/recipe.toml", "--out", "new"]):
        code, _, err = penlight(*words)
        assert code == 1
        assert "predictions that other software made, of forest; nothing can be trained" in err, words
        assert not Path("new").exists()


# Bad input.


def test_a_command_that_was_killed_at_any_file_is_given_again(few, undrawn, monkeypatch):
    truth = pd.DataFrame({"id": [f"i{i}" for i in range(60)], "label": [GRADES[i % 3] for i in range(60)]})
    prob = guesses(np.arange(60) % 3, 3)
    how = {"truth": truth.assign(split=["val"] * 20 + ["test"] * 40), "val": prob[:20], "task": "multi-class"}
    whole = pl.score(prob[20:], out="whole", **how)
    written, write = [], folder.write_bytes

    def until(last):
        def dying(path, content):
            if len(written) == last:
                raise SystemExit("killed")
            written.append(path.name)
            write(path, content)

        return dying

    last = 0
    while not Path("run", "manifest.json").exists():
        written.clear()
        with monkeypatch.context() as patch, contextlib.suppress(SystemExit):
            patch.setattr(folder, "write_bytes", until(last))
            pl.score(prob[20:], out="run", **how)
        if last == 3:
            with pytest.raises(RunError, match=r"not complete\. Finish it: repeat the command that began it"):
                pl.open_run("run")
            with pytest.raises(RunError, match="holds an unfinished run of another recipe or seed"):
                pl.score(prob[20:][::-1], out="run", **how)
        last += 1
    assert last > 8
    assert pl.open_run("run").metrics == whole.metrics
    assert {own.name for own in Path("run").iterdir()} == {own.name for own in Path("whole").iterdir()}


def test_a_folder_that_holds_something_else_is_left(penlight, retina, undrawn):
    write_official("p_test.csv", retina["test"])
    write_official("q_test.csv", retina["test"][:, ::-1])
    Path("taken").mkdir()
    Path("taken/note.txt").write_text("mine")
    code, _, err = penlight("score", "p_test.csv", "--dataset", "retina-phantom", "--out", "taken")
    assert (code, "taken is not empty, and not a run" in err) == (1, True)
    assert [file.name for file in Path("taken").iterdir()] == ["note.txt"]
    assert penlight("score", "p_test.csv", "--dataset", "retina-phantom", "--out", "run")[0] == 0
    code, _, err = penlight("score", "q_test.csv", "--dataset", "retina-phantom", "--out", "run")
    assert (code, "run already holds a complete run" in err) == (1, True)


def changed(prob, how):
    prob = prob.copy()
    if how == "logits":
        return np.log(prob)
    if how == "nan":
        prob[3, 1] = np.nan
    if how == "sums":
        prob[7] *= 1.5
    return prob


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("logits", r"numbers from 0 to 1; those of 100 images of The array of test are not, the first that of row 0"),
        ("nan", r"those of 1 image of The array of test are not, the first that of row 3: nan"),
        ("sums", r"must sum to 1; those of 1 row of The array of test do not, the worst that of row 7"),
    ],
)
def test_what_is_no_probability_is_refused(retina, how, said):
    with pytest.raises(PredictionsError, match=said) as caught:
        pl.score(changed(retina["test"], how), "retina-phantom", out="run")
    assert how != "logits" or "give their softmax" in caught.value.remedy
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((100, 4)), r"has 4 probabilities a row; retina-phantom has 5: none, mild"),
        (np.zeros(100), r"has 1 probability a row"),
        (np.full((99, 5), 0.2), r"has 99 rows; test of retina-phantom has 100 images in this view"),
        (np.zeros((100, 5, 1)), r"has the shape \(100, 5, 1\); \(N, C\) was expected"),
        (np.array([["a"] * 5] * 100), r"has the type <U1; numbers were expected"),
        ([[1, 2], [3]], r"which NumPy does not read"),
        (None, r"has the type object"),
        (np.zeros((0, 5)), r"has the shape \(0, 5\)"),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(few, array, said):
    with pytest.raises(PredictionsError, match=said):
        pl.score(array, "retina-phantom")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v, t: (v, t[:150]), "skin.csv has 10 rows without a prediction: img_"),
        (lambda v, t: (v, t.replace("img_100.png", "IMG.png")), "skin.csv has 1 row without a prediction: img_100"),
        (
            lambda v, t: (v, pd.concat([t, t[:2].assign(file=["x", "y"])])),
            "net_test.csv has 2 rows of no image of test of skin: x, y",
        ),
        (lambda v, t: (v, pd.concat([t, t[:1]])), "net_test.csv has several rows of img_"),
        (lambda v, t: (v, t.rename(columns={"nevus": "naevus"})), "no column for nevus"),
        (lambda v, t: (v, t.drop(columns="nevus")), "no column for nevus"),
        (lambda v, t: (v.drop(columns="file"), t), "skin.csv does not say which of its rows are of val"),
        (lambda v, t: (t, t), "skin.csv has 80 rows without a prediction"),
        (lambda v, t: (v, t.assign(nevus="high")), "net_test.csv has 'high' in the column nevus"),
        (lambda v, t: (v, t.assign(nevus="")), "those of 160 images of net_test.csv are not"),
        (lambda v, t: (v, t[["file"]]), "net_test.csv has no probabilities; its columns are file"),
    ],
)
def test_predictions_that_do_not_fit_a_labels_file_are_named(penlight, skin, change, said):
    val, test = change(*skin)
    val.to_csv("net_val.csv", index=False)
    test.to_csv("net_test.csv", index=False)
    words = ["score", "net_test.csv", "--truth", "skin.csv", "--val", "net_val.csv", "--out", "run"]
    code, out, err = penlight(*words)
    assert (code, out) == (1, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="diagnosis"), "has no labels"),
        (lambda t: t[["diagnosis"]], "has no column that names the images"),
        (lambda t: t.assign(diagnosis=["", *t.diagnosis[1:]]), "1 row without a label, of img_000"),
        (lambda t: pd.concat([t, t[:1]]), "stand in several rows: img_000"),
        (lambda t: t.assign(split="somewhere"), "the split of img_000.png is 'somewhere'"),
        (lambda t: t.assign(split="test"), "has no row of val in its column of splits"),
        (lambda t: t.assign(patient="P1"), "1 patients of skin are in both val and test"),
        (lambda t: t[:0], "has no rows"),
        (lambda t: t.assign(diagnosis="\x1b[31mred"), "control character"),
    ],
)
def test_a_labels_file_that_is_none_is_refused(penlight, skin, change, said):
    change(pd.read_csv("skin.csv")).to_csv("skin.csv", index=False)
    words = ["score", "net_test.csv", "--truth", "skin.csv", "--val", "net_val.csv", "--out", "run"]
    code, out, err = penlight(*words)
    assert (code, out) == (1, "")
    assert said in err
    assert not Path("run").exists()


def test_what_is_asked_for_at_once_but_does_not_go_together_is_said(skin, retina):
    test = retina["test"]
    wrong = [
        ({"dataset": None}, "a dataset or a labels file; give one of them"),
        ({"dataset": "retina-phantom", "truth": "skin.csv"}, "a dataset or a labels file; give one of them"),
        ({"dataset": "retina-phantom", "task": "ordinal"}, "The dataset says what its labels mean"),
        ({"dataset": None, "truth": "skin.csv", "view": "native"}, "A labels file has no views and no images"),
        ({"dataset": "retina-phantom", "out": "run", "split": "val"}, "A run is of predictions of test"),
        ({"dataset": "retina-phantom", "out": "run", "name": "linear"}, "linear is the name of a baseline"),
        ({"dataset": "retina-phantom", "out": "run", "name": "../x y"}, "'../x y' cannot name a model"),
        ({"dataset": None, "truth": "none.csv"}, "none.csv cannot be read"),
    ]
    for how, said in wrong:
        with pytest.raises(PenlightError) as caught:
            pl.score(test, **how)
        assert said in str(caught.value)
        assert not Path("run").exists()


def test_pictures_of_one_s_own_are_named_by_their_paths(penlight, undrawn, tmp_path):
    table = films(tmp_path, findings=0, patients=True)
    penlight("data", "new", table, "--name", "casp", "--out", "own")
    splits = pd.read_csv("own/casp-splits.csv")
    paths = splits.path[splits.split == "test"]
    label = pd.read_csv(table).set_index("path").label
    _, finding = store.open_dataset("own/casp.toml").info.task.labels
    sure = pd.DataFrame({"path": paths, finding: np.where(label[paths] == finding, 0.9, 0.1)})
    sure.sample(frac=1, random_state=0).to_csv("net_test.csv", index=False)
    code, out, err = penlight("score", "net_test.csv", "--dataset", "own/casp.toml", "--json")
    assert (code, err) == (0, "")
    assert find_row(pl.Scores.from_dict(json.loads(out)).metrics, "acc").value == 1
    sure.assign(path="else/" + paths).to_csv("net_test.csv", index=False)
    code, out, err = penlight("score", "net_test.csv", "--dataset", "own/casp.toml")
    assert (code, out) == (1, "")
    assert f"net_test.csv lacks {len(paths)} images of test of casp" in err
    assert "of no image of test of casp: else/" in err


def test_what_a_stranger_says_of_a_run_by_a_labels_file_is_named_or_works(skin, undrawn, tmp_path):
    run = pl.score("net_test.csv", truth="skin.csv", val="net_val.csv", out=tmp_path / "run").path
    described, recipe = (run / "dataset.json").read_bytes(), (run / "recipe.toml").read_bytes()
    names = [
        recipe.replace(b'"net"', new) for new in (b'"\\u001b[31m"', b"7", b'"linear"', b'"' + b"a" * 10_000 + b'"')
    ]
    changes = [("recipe.toml", own) for own in (*names, recipe.replace(b"size = 0", b"size = 28"), b"[model", b"")]
    changes += [
        ("dataset.json", own) for _, own in islice(mutations(described, np.random.default_rng(0), 4), 0, None, 5)
    ]
    for name, content in changes:
        put(run, name, content)
        for use in (pl.report, pl.evaluate, pl.export, lambda path: pl.compare([path, f"{path}:majority"])):
            said = ""
            try:
                use(run)
            except PenlightError as error:
                said = str(error)
            assert len(said) < 2_000, (name, content[:100])
        assert len(pl.open_run(run).command) < 1_000
        put(run, "recipe.toml", recipe)
        put(run, "dataset.json", described)
