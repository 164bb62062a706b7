"""The audit: planted problems are found, and a clean dataset has none."""

from dataclasses import replace

import numpy as np
import pytest

from penlight.data import open_dataset
from penlight.data.audit import audit
from penlight.tasks import MultiLabel
from tests.conftest import LABELS, small_dataset


@pytest.fixture
def clean():
    return small_dataset(MultiLabel(LABELS))


def seen(dataset):
    return [(problem.serious, problem.seen) for problem in audit(dataset)]


def test_a_clean_dataset_has_no_problem(clean):
    assert seen(clean) == []


def test_a_planted_leak_is_serious_and_names_its_places(clean):
    clean.splits["test"].images[5] = clean.splits["train"].images[7]
    clean.splits["test"].labels[5] = clean.splits["train"].labels[7]
    (problem,) = audit(clean)
    assert problem.serious
    assert "1 images stand, pixel by pixel, in more than one split" in problem.seen
    assert problem.places == (("train", 7), ("test", 5))


def test_a_planted_duplicate_with_another_label_is_serious(clean):
    clean.splits["train"].images[3] = clean.splits["train"].images[7]
    clean.splits["train"].labels[3] = 1 - clean.splits["train"].labels[7]
    assert [serious for serious, _ in seen(clean)] == [True, False]
    assert "different labels" in seen(clean)[0][1]


def test_shared_patients_blank_images_and_absent_labels(clean):
    splits = {
        name: replace(split, patients=np.arange(len(split)) + 1000 * i)
        for i, (name, split) in enumerate(clean.splits.items())
    }
    assert seen(replace(clean, splits=splits)) == []
    splits["val"].patients[0] = 3
    splits["train"].images[0] = 9
    splits["test"].labels[:, 1] = 0
    said = seen(replace(clean, splits=splits))
    assert said[0][0]
    assert "1 patients are in both train and val, for example 3" in said[0][1]
    assert (False, "No image of test has the label b.") in said
    assert (False, "1 images of train have one value everywhere.") in said


@pytest.mark.real
def test_the_real_sets_have_what_is_known_of_them(real_data):
    assert audit(open_dataset("retinamnist")) == []
    said = seen(open_dataset("nih1000"))
    assert (False, "No image of val has the label hernia.") in said
    assert not any(serious for serious, _ in said)
