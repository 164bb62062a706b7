"""Where patients are known, it is patients of whom there must be enough, and not their many images."""

from dataclasses import replace

import numpy as np
import pytest

from penlight.data.audit import audit
from penlight.data.record import DataRecord
from penlight.evaluation import fit_conformal
from penlight.evaluation.calibration import find_calibration, too_few
from penlight.evaluation.checks import Evidence, SplitAnswers, run_checks
from penlight.evaluation.decision import find_decision
from penlight.evaluation.intervals import UnknownPatients
from penlight.evaluation.operating import operating_points
from penlight.evaluation.sample import Sample
from penlight.evaluation.subgroups import score_subgroups
from penlight.tasks import Binary, MultiClass, MultiLabel
from tests.conftest import small_dataset

TWO = Binary(("well", "ill"), finding="ill")
FINDINGS = MultiLabel(("a", "b"))


def of_patients(positive: int, negative: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) labels of so many patients with `each` images of one label, and the patients."""
    labels = np.repeat([1] * positive + [0] * negative, each)
    return labels, np.repeat(np.arange(positive + negative), each)


def known(y: np.ndarray) -> np.ndarray:
    """Probabilities (N, C) that know something of the truth (N, C)."""
    raw = np.random.default_rng(0).uniform(0.1, 0.9, y.shape) + 0.6 * y
    return raw / (raw + 1)


@pytest.mark.parametrize(
    ("positive", "negative", "few"), [(4, 40, True), (5, 40, False), (40, 4, True), (40, 5, False)]
)
def test_positives_and_negatives_are_counted_by_patient(positive, negative, few) -> None:
    labels, patients = of_patients(positive, negative, 6)
    assert not too_few(labels)
    assert too_few(labels, patients) is few
    # Of patients who are not known by name there may be as few.
    assert too_few(labels, UnknownPatients(6)) is few


@pytest.mark.parametrize("positive", [1, 4, 5])
def test_val_calibrates_and_tunes_by_patients(positive) -> None:
    labels, patients = of_patients(positive, 30, 8)
    y = np.stack([labels, np.random.default_rng(1).integers(0, 2, len(labels))], axis=1).astype(np.uint8)
    said = "1 patient with a positive case in val is too few" if positive == 1 else (
        f"{positive} patients with a positive case in val are too few"
    )  # fmt: skip
    decision = find_decision(FINDINGS, y, known(y), np.full(2, 0.3), rule="f1", groups=patients)
    notes = find_calibration(FINDINGS, y, known(y), groups=patients).notes
    assert any(said in note for note in notes) == (positive < 5)
    assert any(f"a: {said} to tune" in note for note in decision.notes) == (positive < 5)
    assert not any(
        "too few" in note for note in find_decision(FINDINGS, y, known(y), np.full(2, 0.3), rule="f1").notes
    )


def test_images_of_val_and_train_are_no_patients_where_none_are_known() -> None:
    y = np.stack([of_patients(2, 30, 1)[0]] * 2, axis=1).astype(np.uint8)
    found = find_decision(FINDINGS, y[1:], known(y)[1:], np.full(2, 0.3), rule="f1", out_of_fold=(y, known(y)))
    assert all("3 positive in val and train is too few" in note for note in found.notes)
    assert len(found.notes) == 2
    assert found.calibration.notes[0].startswith("a: 3 positive in val and train is too few to calibrate")


@pytest.mark.parametrize(
    ("n", "coverage", "enough"), [(8, 0.9, False), (9, 0.9, True), (3, 0.8, False), (4, 0.8, True)]
)
def test_a_set_excludes_nothing_that_too_few_patients_speak_against(n, coverage, enough) -> None:
    """n patients bound a share of at most n / (n + 1), however many images each has."""
    task = MultiClass(("a", "b", "c"))
    patients = np.repeat(np.arange(n), 20)
    y = task.encode(np.arange(n * 20) % 3)
    prob = known(y) / known(y).sum(axis=1, keepdims=True)
    found = fit_conformal(task, y, prob, coverage, groups=patients)
    assert np.isfinite(found.cuts[0][0]) == enough
    assert found.notes == () if enough else found.notes == (
        f"{n} patients in val are too few for coverage {coverage:g}; every class is always possible",
    )  # fmt: skip
    assert not fit_conformal(task, y, prob, coverage).notes
    if enough:
        assert found == fit_conformal(task, y, prob, coverage)


def test_sets_of_a_finding_count_the_patients_who_have_it() -> None:
    labels, patients = of_patients(6, 30, 10)
    y = np.stack([labels, labels], axis=1).astype(np.uint8)
    (note, _) = fit_conformal(FINDINGS, y, known(y), 0.9, groups=patients).notes
    assert note == (
        "a: 6 patients of val with an image in which it is present are too few for coverage 0.9; present is always "
        "possible"
    )
    labels, patients = of_patients(4, 30, 10)
    y = np.stack([labels, labels], axis=1).astype(np.uint8)
    (note, _) = fit_conformal(FINDINGS, y, known(y), 0.8, groups=patients).notes
    assert note == "a: 4 patients of val with it and 30 without are too few for a set; it may always be either"


def test_other_operating_points_need_patients() -> None:
    labels, patients = of_patients(4, 40, 5)
    y = TWO.encode(labels)
    prob = known(y) / known(y).sum(axis=1, keepdims=True)
    points = operating_points(TWO, y, prob, TWO.decide(prob), val=(y, prob), val_groups=patients)
    assert [point.note for point in points[1:]] == [
        "4 patients with a positive case in val are too few to choose by"
    ] * 2
    assert not any(p.note for p in operating_points(TWO, y, prob, TWO.decide(prob), val=(y, prob)))


def checks_of(labels: np.ndarray, patients: np.ndarray | None) -> dict[str, tuple[bool, str]]:
    y = TWO.encode(labels)
    prob = np.tile([0.8, 0.2], (len(y), 1))
    sample = Sample(TWO, y, prob, TWO.decide(prob))
    return {c.code: (c.serious, c.seen) for c in run_checks(Evidence(SplitAnswers(sample, patients)))}


def test_checks_count_patients_and_say_so() -> None:
    labels, patients = of_patients(4, 40, 5)
    by_patient, by_image = checks_of(labels, patients), checks_of(labels, None)
    assert by_patient["PL004"] == (False, "No image of test is answered with ill (20 of 4 patients have it).")
    assert by_image["PL004"] == (True, "No image of test is answered with ill (20 have it).")
    assert "rest on few patients with or without a label: well (4), ill (4)" in by_patient["PL014"][1]
    assert "rest on few" not in by_image.get("PL014", (False, ""))[1]


def test_a_label_of_few_patients_in_a_split_is_told() -> None:
    record = DataRecord(("a", "b"), {"train": 60, "test": 60}, {"train": (40, 20), "test": (40, 20)},
                        {"train": 12, "test": 12}, patients_with={"train": (8, 4), "test": (8, 4)})  # fmt: skip
    assert DataRecord.from_dict(record.to_dict()) == record
    labels, patients = of_patients(20, 20, 3)
    y = TWO.encode(labels)
    sample = Sample(TWO, y, known(y), TWO.decide(known(y)))
    for data, said in ((record, "Few patients of train have b (4)."), (replace(record, patients_with=None), "")):
        found = [c.seen for c in run_checks(Evidence(SplitAnswers(sample, patients), data=data)) if c.code == "PL015"]
        assert found == ([said] if said else [])


def test_the_audit_counts_patients_of_a_rare_label() -> None:
    dataset = small_dataset(MultiClass(("a", "b", "c")))
    split = dataset.splits["val"]
    labels = split.labels.copy()
    labels[:] = 0
    labels[:7], labels[7:14] = 1, 2
    patients = np.arange(len(split))
    patients[:7] = 0
    for known_by, said in ((patients, ["Fewer than 5 patients of val have the label b (1)."]), (None, [])):
        val = replace(split, labels=labels, patients=known_by)
        found = audit(replace(dataset, splits={**dataset.splits, "val": val})).problems
        assert [p.seen for p in found if p.code == "few-of-label"] == said


def test_a_mean_over_labels_leaves_out_those_of_few_patients_in_a_group() -> None:
    """Of twelve patients on each side, two have b, with many images."""
    patients = np.repeat(np.arange(24), 6)
    side = np.where(patients % 2, "left", "right")
    y = np.stack([patients % 4 < 2, patients < 4], axis=1).astype(np.uint8)
    sample = Sample(FINDINGS, y, known(y), FINDINGS.decide(known(y)))
    assert {g.left_out for g in score_subgroups([sample], {"site": side}, groups=patients)} == {("b",)}
    assert {g.left_out for g in score_subgroups([sample], {"site": side})} == {()}
