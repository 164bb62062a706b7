"""Asking a run about pictures: every way in gives the same answer, and what cannot be read stops nothing."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.data.pictures import DecodeOptions, PictureHeader
from penlight.errors import RunError
from penlight.escaping import label_list
from penlight.runs import open_predictor, open_run
from penlight.runs.classifier import open_classifier, unlike, why_not_most_probable
from penlight.runs.remote import RemoteClassifier, predict_each
from penlight.runs.sources import count_pictures, pictures
from penlight.tasks import Binary, MultiLabel, Ordinal
from penlight.workers import ANSWERING, WorkerPool
from tests.cli.conftest import penlight  # noqa: F401
from tests.conftest import small_dataset
from tests.trained import TASKS, trained


@pytest.fixture(params=sorted(TASKS))
def name(request):
    return request.param


@pytest.fixture
def run(name):
    return trained(name)


def images_of(name, n=6):
    task, channels = TASKS[name]
    return np.asarray(small_dataset(task, channels=channels, n=(60, 60, 30)).splits["test"].images[:n])


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def write_pngs(folder, images):
    folder.mkdir(parents=True, exist_ok=True)
    for i, pixels in enumerate(images):
        (folder / f"{i}.png").write_bytes(png(pixels))
    return folder


def answers_of(result):
    return [{**image, "file": ""} for image in result.to_dict()["images"]]


def test_files_folders_uploads_arrays_and_npz_get_the_same_answer(run, name, tmp_path):
    images = images_of(name)
    folder = write_pngs(tmp_path / "pictures", images)
    np.savez_compressed(tmp_path / "all.npz", test_images=images, test_labels=np.zeros(len(images)))
    asked = {
        "files": sorted(folder.iterdir()),
        "folder": [folder],
        "uploads": [(f"{i}.png", png(pixels)) for i, pixels in enumerate(images)],
        "array": [images],
        "npz": [tmp_path / "all.npz"],
    }
    results = {way: answers_of(pl.predict(run, sources)) for way, sources in asked.items()}
    assert all(result == results["files"] for result in results.values())


def test_probabilities_and_answers_are_those_of_the_model(run, name):
    images = images_of(name)
    predictor = open_predictor(open_run(run))
    prob = predictor.probabilities(images)
    decided = predictor.decide(prob)
    sets = open_run(run).decision.sets(predictor.task, prob)
    possible = sets[:, 0] if predictor.task.exclusive else sets[:, :, 1]
    for i, image in enumerate(pl.predict(run, [images]).to_dict()["images"]):
        np.testing.assert_allclose(list(image["probabilities"].values()), prob[i], atol=1e-6)
        assert list(image["probabilities"]) == list(predictor.labels)
        assert list(image["answers"]) == list(np.array(predictor.labels)[decided[i] == 1])
        assert list(image["possible"]) == [
            label for label, on in zip(predictor.labels, possible[i], strict=True) if on
        ]


def test_an_exclusive_task_abstains_unless_its_set_is_the_answer_alone():
    for image in pl.predict(trained("grades"), [images_of("grades", 30)]).to_dict()["images"]:
        alone = image["possible"] == image["answers"]
        assert image["several_possible"] == (not alone)
        assert image["abstains"] == (not alone or image["unusual"])
        assert image["undecided"] == ([] if alone else image["possible"])


def test_the_answer_to_one_picture_does_not_depend_on_the_others(run, name):
    images = images_of(name, 7)
    together = answers_of(pl.predict(run, [images]))
    assert together == [answers_of(pl.predict(run, [pixels]))[0] for pixels in images]


def test_what_cannot_be_read_is_named_and_stops_nothing(tmp_path):
    good = png(images_of("grades")[0])
    sources = [("good.png", good), ("half.png", good[: len(good) // 2]), ("no.png", b"text"), tmp_path / "gone.png"]
    result = pl.predict(trained("grades"), [*sources, ("again.png", good)])
    first, half, no, gone, again = result.to_dict()["images"]
    assert result.failed == 3
    assert {**first, "file": ""} == {**again, "file": ""}
    assert (half["error"]["code"], no["error"]["code"]) == ("unreadable", "no-picture")
    assert "half.png" in half["error"]["error"]
    assert "gone.png" in gone["error"]["error"]


def test_pictures_unlike_the_training_images_are_said_to_be(tmp_path):
    grey = Image.fromarray(np.full((20, 40), 90, np.uint8))
    grey.save(tmp_path / "grey.png")
    image = pl.predict(trained("grades"), [tmp_path / "grey.png"]).to_dict()["images"][0]
    assert [w["code"] for w in image["warnings"]] == ["grey", "small", "aspect", "unlike-training"]
    assert image["unusual"]
    assert image["abstains"]
    assert image["novelty"] > open_run(trained("grades")).novelty.threshold


@pytest.mark.parametrize(
    ("look", "reading", "codes"),
    [
        (PictureHeader(28, 28, True, 8), DecodeOptions(28, 3), []),
        (PictureHeader(28, 28, True, 8), DecodeOptions(28, 1), ["colour"]),
        (PictureHeader(56, 46, False, 8), DecodeOptions(28, 1), []),
        (PictureHeader(56, 40, False, 8), DecodeOptions(28, 1), ["aspect"]),
        (PictureHeader(56, 40, False, 8), DecodeOptions(28, 1, "pad"), []),
        (PictureHeader(56, 40, False, 8), DecodeOptions(28, 1, "stretch"), ["aspect"]),
        (PictureHeader(28, 27, False, 16), DecodeOptions(28, 1), ["small"]),
    ],
)
def test_warnings_by_the_look_of_a_picture(look, reading, codes):
    assert [w.code for w in unlike(look, reading)] == codes


def test_train_keeps_how_a_picture_becomes_an_image(tmp_path):
    from penlight.data.record import DataRecord
    from penlight.records import read_record

    record = DataRecord(("a",), {}, {}, reading=DecodeOptions(28, 1, "pad", 12))
    assert read_record(DataRecord, json.dumps(record.to_dict()), "data.json") == record
    assert open_classifier(trained("findings")).reading == DecodeOptions(28, 1)


def test_a_folder_is_read_in_order_without_what_is_no_picture(tmp_path):
    folder = write_pngs(tmp_path / "b", images_of("grades", 2))
    write_pngs(tmp_path / "a", images_of("grades", 1))
    (tmp_path / "notes.txt").write_text("no")
    (tmp_path / ".hidden.png").write_text("no")
    names = [str(Path(p.name).relative_to(tmp_path)) for p in pictures([tmp_path])]
    assert names == ["a/0.png", "b/0.png", "b/1.png"]
    assert count_pictures([tmp_path, folder, tmp_path / "gone.png"]) == 6
    # A picture of a kind that is not read is named, with its error.
    (tmp_path / "a" / "scan.jp2").write_bytes(b"x")
    assert [Path(p.name).name for p in pictures([tmp_path / "a"])] == ["0.png", "scan.jp2"]


def test_thousands_are_answered_in_order_with_few_in_memory():
    """No more pictures are taken from the source than threads and chunks ahead need."""
    taken = 0
    pixels = images_of("grades", 1)[0]

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield from pictures([(f"{taken}.png", png(pixels))])

    pool = WorkerPool(ANSWERING, processes=2)
    classifier = RemoteClassifier(trained("grades"), pool)
    answered = predict_each(classifier, endless())
    first = [next(answered).file for _ in range(300)]
    answered.close()
    pool.close()
    assert first == [f"{i}.png" for i in range(1, 301)]
    assert taken <= 300 + 32 * 5


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": np.zeros((2, 28, 28, 3), np.float32)},
        {"a": np.zeros((2, 28, 28), np.uint8), "b": np.zeros((2, 28, 28), np.uint8)},
        {"images": np.zeros((2, 28, 28, 2), np.uint8)},
        {"images": np.zeros((2, 0, 28), np.uint8)},
    ],
)
def test_an_npz_that_holds_no_images_is_an_error_that_says_what_it_holds(arrays, tmp_path):
    np.savez(tmp_path / "x.npz", **arrays)
    (image,) = pl.predict(trained("grades"), [tmp_path / "x.npz"]).to_dict()["images"]
    assert next(iter(arrays)) in image["error"]["error"]


def test_a_folder_of_seeds_is_refused_by_name(tmp_path):
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(RunError, match="seed-0"):
        pl.predict(tmp_path, [])


def test_the_command_prints_json_and_csv_and_exits_by_what_failed(penlight, tmp_path, name, run):  # noqa: F811
    folder = write_pngs(tmp_path / "p", images_of(name, 3))
    code, out, _ = penlight("predict", run, folder, "--json")
    assert code == 0
    assert json.loads(out) == json.loads(json.dumps(pl.predict(run, [folder]).to_dict()))
    (folder / "broken.png").write_bytes(b"x")
    code, out, err = penlight("predict", run, folder, "--csv", tmp_path / "out.csv")
    assert code == 1
    assert "broken.png" in err
    assert "1 of 4" in err
    assert out.splitlines()[-1] == str(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_file = {image["file"]: image for image in pl.predict(run, [folder]).to_dict()["images"]}
    for row in rows:
        image = by_file[row["file"]]
        assert bool(row["error"]) == ("error" in image)
        if "error" not in image:
            assert {label: float(row[label]) for label in image["probabilities"]} == image["probabilities"]
            assert row["possible"] == "; ".join(image["possible"])
    assert not list(tmp_path.glob(".*.part"))


def test_many_are_summed_up(penlight, tmp_path):  # noqa: F811
    images = images_of("findings", 30)
    np.savez(tmp_path / "x.npz", images=images)
    code, out, _ = penlight("predict", trained("findings"), tmp_path / "x.npz")
    said = [image["answers"] for image in pl.predict(trained("findings"), [images]).to_dict()["images"]]
    counted = {line.split()[0]: int(line.split()[1]) for line in out.split("answer  ")[1].splitlines()[1:5]}
    assert code == 0
    assert counted == {label: sum(label in own for own in said) for label in ("a", "b", "c", "d")}


def rows_of(run):
    return json.loads((run / "metrics.json").read_text())


def test_what_the_run_is_worth_on_test_is_said_with_its_answers(penlight, tmp_path, name, run):  # noqa: F811
    kept, about = rows_of(run), pl.predict(run, []).model["on_test"]
    coverage = {row["label"]: row["value"] for row in kept["metrics"] if row["name"] == "coverage"}
    assert about["coverage"]["value"] == coverage.pop(None)
    assert about["coverage"]["labels"] == coverage
    auc = next(row["value"] for row in kept["metrics"] if row["name"] == "auc" and row["label"] is None)
    assert f"AUC {auc:.2f}" in about["verdict"]
    low = kept["ahead"]["majority"]["low"]
    stands = "better than" if low > 0 else "not clearly better than"
    assert f"{stands} the majority-class baseline at 0.50" in about["verdict"]
    assert about["stands"] == f"{stands} majority on test"
    assert [check["code"] for check in about["checks"]] == [c["code"] for c in kept["checks"] if c["serious"]]

    folder = write_pngs(tmp_path / "p", images_of(name, 2))
    _, out, _ = penlight("predict", run, folder, "--csv", tmp_path / "out.csv")
    said, _, answers = out.partition("file ")
    assert about["verdict"] in said
    of = {"grades": "images", "findings": "pairs of image and finding"}[name]
    assert f"{about['coverage']['value']:.2f} of {of} on test (30 images), where 0.90 was wanted" in said
    images = pl.predict(run, [folder]).to_dict()["images"]
    reasons = {"several_possible": "several labels are possible", "unusual": "unlike the training images"}
    assert [answers.count(words) for words in reasons.values()] == [
        sum(image[key] for image in images) for key in reasons
    ]
    with (tmp_path / "out.csv").open() as file:
        for row in csv.DictReader(file):
            assert row["run_on_test"] == about["stands"]
            assert float(row["coverage_on_test"]) == about["coverage"]["value"]


def test_a_warning_of_many_pictures_is_printed_once(penlight, tmp_path):  # noqa: F811
    folder = tmp_path / "p"
    folder.mkdir()
    for i in range(10):
        Image.fromarray(np.full((28, 28), 20 * i, np.uint8)).save(folder / f"{i}.png")
    _, out, _ = penlight("predict", trained("grades"), folder)
    assert [line for line in out.splitlines() if "A grey picture" in line] == [
        "10 of 10 pictures: A grey picture came to a model of colour images."
    ]


@pytest.mark.parametrize(
    ("task", "prob", "cuts", "said"),
    [
        (Ordinal(("none", "mild", "severe"), rule="kappa"), (0.5, 0.1, 0.4), (0.4, 1.4), "expected grade, 0.90"),
        (Ordinal(("none", "mild", "severe"), rule="expected"), (0.5, 0.1, 0.4), None, "expected grade, 0.90"),
        (Binary(("ill", "well")), (0.7, 0.3), (0.5, 0.24), "well is answered above 0.240, and 0.300 is above it"),
        (Binary(("ill", "well")), (0.3, 0.7), (0.5, 0.8), "well is answered above 0.800, and 0.700 is not above it"),
        (Binary(("ill", "well")), (0.3, 0.7), None, ""),
        (Ordinal(("none", "mild", "severe")), (0.5, 0.1, 0.4), None, ""),
        (MultiLabel(("a", "b")), (0.9, 0.2), (0.95, 0.1), ""),
    ],
)
def test_an_answer_that_is_not_the_most_probable_label_says_why(task, prob, cuts, said):
    prob = np.array([prob])
    decided = task.decide(prob, None if cuts is None else np.array(cuts))
    (why,) = why_not_most_probable(task, prob, decided, cuts)
    assert (said in why) if said else why == ""
    if said:
        assert why.startswith(f"{task.labels[prob[0].argmax()]} is more probable ({prob.max():.3f})")


def test_labels_with_commas_are_quoted_in_lists():
    assert label_list(("malignant", "normal, benign")) == 'malignant, "normal, benign"'
