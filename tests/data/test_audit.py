"""The audit: planted problems are found and placed, and a clean dataset has none."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import zoom

from penlight.data import Dataset, DatasetInfo, Split, open_dataset
from penlight.data.audit import CODES, Audit, audit, checks, kept_audit, near, shift
from penlight.data.audit.near import LIMIT, find_near
from penlight.data.audit.thumbs import make_thumbs
from penlight.errors import RunError
from penlight.reports.audit import write_page
from penlight.tasks import MultiLabel, Ordinal
from tests.conftest import LABELS, few_pairs, small_dataset


def pictures(n, size, channels, rng):
    """Smooth random pictures, no two alike."""
    coarse = rng.normal(0, 1, (n, 7, 7, 1)) + 0.3 * rng.normal(0, 1, (n, 7, 7, channels))
    fine = zoom(coarse, (1, size / 7, size / 7, 1), order=1)
    return np.clip(127 + 45 * fine, 0, 255).astype(np.uint8)


def drawn(size=28, channels=1, n=(60, 30, 40), task=None, seed=0):
    rng = np.random.default_rng(seed)
    task = task or Ordinal(LABELS, referable=2)
    splits = {
        name: Split(pictures(count, size, channels, rng), np.arange(count)[:, None] % len(task.labels))
        for name, count in zip(("train", "val", "test"), n, strict=True)
    }
    return Dataset(DatasetInfo("drawn", "Drawn", task, channels, None, "none", "the tests"), size, splits, "0" * 32)


SHUFFLES = shift._SHUFFLES


@pytest.fixture(autouse=True)
def all_shuffles(request, monkeypatch):
    if request.node.get_closest_marker("real") is not None:
        monkeypatch.setattr(shift, "_SHUFFLES", SHUFFLES)


@pytest.fixture
def clean():
    return small_dataset(MultiLabel(LABELS))


def seen(dataset):
    return [(problem.serious, problem.seen) for problem in audit(dataset).problems]


def codes(dataset):
    return [problem.code for problem in audit(dataset).problems]


def brighter(image):
    return np.clip(image * 0.9 + 12.0, 0, 255).astype(np.uint8)


def noisy(image):
    noise = np.random.default_rng(5).normal(0, 2.5, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def compressed(image):
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file)).reshape(image.shape)


def mirror(image):
    return image[:, ::-1]


def shifted(image):
    return np.roll(image, 1, axis=1)


def test_a_clean_dataset_has_no_problem(clean):
    assert seen(clean) == []
    assert seen(drawn()) == []
    assert audit(clean).pairs == ()


def test_a_planted_leak_is_serious_and_names_its_places(clean):
    clean.splits["test"].images[5] = clean.splits["train"].images[7]
    clean.splits["test"].labels[5] = clean.splits["train"].labels[7]
    found = audit(clean)
    (problem,) = found.problems
    assert problem.serious
    assert problem.code == "duplicates-across"
    assert "1 image stands, pixel by pixel, in more than one split" in problem.seen
    assert problem.places == (("train", 7), ("test", 5))
    assert problem.splits == ("train", "test")
    assert problem.numbers == {"images": 1}
    (pair,) = found.pairs
    assert (pair.kind, pair.across, pair.same_label, pair.correlation) == ("exact", True, True, 1.0)


def test_a_planted_duplicate_with_another_label_is_serious(clean):
    clean.splits["train"].images[3] = clean.splits["train"].images[7]
    clean.splits["train"].labels[3] = 1 - clean.splits["train"].labels[7]
    assert [serious for serious, _ in seen(clean)] == [True, False]
    assert "different labels" in seen(clean)[0][1]


@pytest.mark.parametrize(
    ("made", "split"),
    [
        *few_pairs(
            [
                (brighter, 28, 1),
                (brighter, 28, 3),
                (noisy, 28, 1),
                (noisy, 64, 3),
                (compressed, 28, 3),
                (compressed, 64, 1),
                (mirror, 28, 1),
                (mirror, 64, 3),
            ],
            ["train", "test"],
        ),
        *(pytest.param((shifted, 224, 1), split, marks=pytest.mark.full) for split in ("train", "test")),
    ],
)
def test_planted_near_duplicates_are_found_and_placed(made, split):
    change, size, channels = made
    dataset = drawn(size, channels, n=(24, 12, 12) if size == 224 else (60, 30, 40))
    dataset.splits[split].images[8] = change(dataset.splits["train"].images[4])
    found = audit(dataset)
    (pair,) = found.pairs
    assert (pair.one, pair.other) == (("train", 4), (split, 8))
    assert pair.kind == ("mirrored" if change is mirror else "near")
    assert pair.same_label
    assert LIMIT <= pair.correlation <= 1
    (problem,) = (p for p in found.problems if p.code.startswith("near"))
    assert problem.code == ("near-within" if split == "train" else "near-across")
    assert problem.serious == (split == "test")
    assert problem.numbers == {"pairs": 1, "mirrored": change is mirror}
    assert problem.places == (("train", 4), (split, 8))


def test_near_duplicates_with_other_labels_and_of_other_patients_are_said():
    dataset = drawn()
    splits = {
        name: replace(split, patients=np.arange(len(split)) + 1000 * i)
        for i, (name, split) in enumerate(dataset.splits.items())
    }
    dataset = replace(dataset, splits=splits)
    dataset.splits["val"].images[3] = noisy(dataset.splits["val"].images[6])
    found = {problem.code: problem for problem in audit(dataset).problems}
    assert set(found) == {"near-within", "near-conflict", "near-patients"}
    assert "(1 in val)" in found["near-within"].seen
    assert all(problem.places == (("val", 3), ("val", 6)) for problem in found.values())
    dataset.splits["val"].patients[3] = dataset.splits["val"].patients[6]
    dataset.splits["val"].labels[3] = dataset.splits["val"].labels[6]
    assert codes(dataset) == ["near-within"]


def test_copies_of_one_picture_are_a_group_of_their_own():
    dataset = drawn()
    images = dataset.splits["train"].images
    images[1], images[2] = brighter(images[0]), noisy(images[0])
    pairs = {(pair.one[1], pair.other[1]) for pair in audit(dataset).pairs}
    assert pairs == {(0, 1), (0, 2), (1, 2)}


def test_exact_copies_of_a_near_duplicate_count_once():
    dataset = drawn()
    images = dataset.splits["train"].images
    images[1] = images[2] = noisy(images[0])
    kinds = {(pair.one[1], pair.other[1]): pair.kind for pair in audit(dataset).pairs}
    assert kinds == {(1, 2): "exact", (0, 1): "near"}


def test_much_alike_images_are_no_duplicates():
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.normal(0, 4.0, (130, 28, 28, 1)), axis=0)
    frames = np.clip(127 + steps, 0, 255).astype(np.uint8)
    dataset = drawn()
    for split, part in zip(dataset.splits.values(), np.split(frames, [60, 90]), strict=True):
        split.images[:] = part
    thumbs = make_thumbs(dataset)
    rows = near._space(thumbs, np.arange(130)).vectors(np.arange(130))
    assert (np.triu(rows @ rows.T, 1) >= LIMIT).sum() >= 10
    assert audit(dataset).pairs == ()


@pytest.mark.parametrize("components", [2, 64])
def test_the_search_misses_no_pair(monkeypatch, components):
    rng = np.random.default_rng(3)
    originals = pictures(40, 28, 1, rng)
    spread = rng.uniform(0, 14, (80, 1, 1, 1))
    copies = np.clip(np.repeat(originals, 2, axis=0) + spread * rng.normal(0, 1, (80, 28, 28, 1)), 0, 255)
    dataset = drawn(n=(40, 40, 40))
    for split, part in zip(
        dataset.splits.values(), np.split(np.concatenate([originals, copies.astype(np.uint8)]), 3), strict=True
    ):
        split.images[:] = part
    thumbs, everything = make_thumbs(dataset), np.arange(120)
    monkeypatch.setattr(near, "RATIO", 1e9)
    monkeypatch.setattr(near, "_STRIPE", 32)
    monkeypatch.setattr(near, "_COMPONENTS", components)
    rows = near._space(thumbs, everything).vectors(everything)
    one, other = np.nonzero(np.triu(rows @ rows.T, 1) >= LIMIT)
    found = find_near(thumbs, everything)
    assert 10 < len(one) < 120
    assert {(pair.one, pair.other) for pair in found if not pair.mirrored} == set(zip(one, other, strict=True))


def test_shared_patients_blank_images_and_absent_or_rare_labels(clean):
    splits = {
        name: replace(split, patients=np.arange(len(split)) + 1000 * i)
        for i, (name, split) in enumerate(clean.splits.items())
    }
    assert seen(replace(clean, splits=splits)) == []
    splits["val"].patients[0] = 3
    splits["train"].images[0] = 9
    splits["test"].labels[:, 1] = 0
    splits["val"].labels[3:, 2] = 0
    splits["val"].labels[:3, 2] = 1
    said = seen(replace(clean, splits=splits))
    assert said[0][0]
    assert "1 patient is in both train and val, for example 3" in said[0][1]
    assert (False, "No image of test has the label b.") in said
    assert (False, "Fewer than 5 patients of val have the label c (3).") in said
    assert (False, "1 image of train has one value everywhere.") in said


def test_audits_survive_json(clean):
    clean.splits["test"].images[5] = clean.splits["train"].images[7]
    for found in (audit(clean), audit(drawn(n=(30, 6, 30)))):
        again = Audit.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
        assert again.to_dict() == found.to_dict()
        assert again.problems == found.problems
        assert {problem.code for problem in found.problems} <= set(CODES)
    with pytest.raises(RunError, match="schema"):
        Audit.from_dict({**found.to_dict(), "schema": 0})


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"labels": 3}', "gone", "other schema"])
def test_an_audit_is_kept_and_made_again_where_it_is_damaged(tiny, monkeypatch, tmp_path, damage):
    dataset = open_dataset(tiny())
    made = kept_audit(dataset)
    (file,) = (tmp_path / "cache" / "store").glob("*/audit.json")
    content = file.read_bytes()
    calls = []
    monkeypatch.setattr(checks, "audit", lambda d: calls.append(d) or made)
    assert kept_audit(open_dataset(tiny())).to_dict() == made.to_dict()
    assert calls == []
    if damage == "gone":
        file.unlink()
    elif damage == "other schema":
        file.write_text(content.decode().replace('"schema": 2', '"schema": 0'))
    else:
        file.write_text(damage)
    kept_audit(dataset)
    assert len(calls) == 1
    assert file.read_bytes() == content


def test_another_meaning_of_the_labels_is_another_audit(tiny, monkeypatch):
    made = kept_audit(open_dataset(tiny()))
    monkeypatch.setattr(checks, "audit", lambda dataset: replace(made, problems=()))
    dataset = open_dataset(tiny())
    renamed = replace(dataset, info=replace(dataset.info, task=Ordinal(("x", "y", "z"))))
    assert made.problems != ()
    assert kept_audit(renamed).problems == ()


def test_what_is_in_memory_alone_is_not_kept(tmp_path):
    assert kept_audit(drawn()).to_dict() == audit(drawn()).to_dict()
    assert not list(tmp_path.rglob("audit.json"))


def test_the_page_shows_pairs_with_their_labels(tmp_path):
    dataset = drawn(channels=3)
    dataset.splits["test"].images[9] = noisy(dataset.splits["train"].images[4])
    page = write_page(dataset, audit(dataset), tmp_path / "page").read_text()
    assert page.count("<img") == page.count(" alt=") == 2
    assert "train 4: a" in page
    assert "test 9: b" in page
    assert "labels differ" in page
    assert "near-across" in page
    assert "Not for clinical use" in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "None." in write_page(drawn(), audit(drawn()), tmp_path / "page").read_text()


@pytest.mark.real
@pytest.mark.full
def test_retinamnist_has_its_26_near_pairs(real_data):
    found = audit(open_dataset("retinamnist"))
    (near_within,) = (problem for problem in found.problems if problem.code == "near-within")
    assert near_within.numbers == {"pairs": 26, "mirrored": 0}
    assert "(17 in train, 6 in val, 3 in test)" in near_within.seen
    assert all(pair.same_label and not pair.across for pair in found.pairs)
    assert not any(problem.serious for problem in found.problems)


@pytest.mark.real
@pytest.mark.parametrize("size", [28, pytest.param(64, marks=pytest.mark.full)])
def test_films_that_look_alike_are_no_pairs(real_data, size):
    found = audit(open_dataset("nih1000", size))
    assert found.pairs == ()
    assert (False, "No image of val has the label hernia.") in [(p.serious, p.seen) for p in found.problems]
    assert not any(problem.serious for problem in found.problems)
