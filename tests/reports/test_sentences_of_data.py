"""Sentences about the data and the study are compared with the numbers that they are about."""

from dataclasses import replace

import pytest

from penlight.data import CATALOG
from penlight.data.published import published_rows
from penlight.data.record import DataRecord
from penlight.evaluation.checks import Check
from penlight.evaluation.checks.splits import patients_unknown
from penlight.experiments.studies import _kind
from penlight.recipes import Cnn, Ensemble, Kernel, Linear, Majority, Pretrained, Recipe, Residual, Trees
from penlight.reports.content import RunContent
from penlight.reports.displays.learning import StudyCurves, VariantCurve


def check(code: str, seen: str) -> Check:
    return Check(code, False, seen, "why", "do")


def test_what_is_said_of_leaks_is_what_the_audit_found(content: RunContent) -> None:
    def leaks(checks):
        return replace(content, checks=checks).leaks

    assert "not searched for" in leaks(None)
    assert leaks(()) == "Duplicates and leaks between splits: none was found by the audit of the data."
    assert "3 images stand twice." in leaks((check("PL008", "3 images stand twice."),))
    assert "none was found" not in leaks((check("PL008", "3 images stand twice."),))
    assert "Patients are not named" in leaks((check("PL016", "Unknown."),))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (Majority(), "baseline"),
        (Linear(), "baseline"),
        (Cnn(), "custom"),
        (Residual(), "custom"),
        (Pretrained(backbone="mobilenet", weights="random"), "custom"),
        (Pretrained(backbone="mobilenet"), "pre-trained"),
        (Pretrained(backbone="resnet50", weights="own.weights.h5"), "pre-trained"),
        (Kernel(), "features"),
        (Trees(), "features"),
        (Ensemble(), "features"),
    ],
)
def test_only_a_network_with_weights_of_other_images_is_called_pre_trained(model, kind) -> None:
    assert _kind(Recipe(model=model)) == kind


def curve(title: str, peak: float) -> VariantCurve:
    nothing = {"loss": (0.5, 0.4), "headline": (peak - 0.1, peak), "epoch": (1, 2)}
    return VariantCurve(title=title, colour="#000000", dashed=False, **nothing)


@pytest.mark.parametrize("variants", [(), (("A", "B"),)], ids=["no variants", "variants"])
def test_the_highest_on_val_is_the_highest(variants) -> None:
    curves = (curve("A", 0.71), curve("B", 0.72), curve("Best", 0.9))
    caption = StudyCurves("auc", curves, variants).caption
    assert caption.startswith("The highest AUC on val is that of Best, 0.90.")
    assert ("A 0.71, B 0.72" in caption) == bool(variants)


def test_several_images_of_a_patient_are_told_where_they_are_known() -> None:
    assert {name: info.images_per_patient for name, info in CATALOG.items() if info.images_per_patient > 1} == {
        "retinamnist": 4
    }
    record = DataRecord(("a", "b"), {"train": 10, "test": 4}, {}, images_per_patient=4)
    assert DataRecord.from_dict(record.to_dict()) == record

    class Evidence:
        data = record

    said = patients_unknown.find(Evidence).text  # type: ignore[arg-type]
    assert "4 images of each patient" in said
    # Kish: the root of 1 + (4 - 1) x 0.47.
    assert "1.6 times as wide" in said
    Evidence.data = replace(record, images_per_patient=1)
    assert "of each patient" not in patients_unknown.find(Evidence).text  # type: ignore[arg-type]
    for name in ("retinamnist", "dermamnist"):
        assert CATALOG[name].cautions


def test_a_published_row_is_one_model_with_a_source() -> None:
    for name in CATALOG:
        rows = published_rows(name, 28)
        assert len({(row.model, row.source) for row in rows}) == len(rows)
        assert all(row.source and (row.auc == row.auc or row.acc == row.acc) for row in rows)
    of_study = [row for row in published_rows("retinamnist", 28) if "MedMNIST+" in row.source]
    assert [(row.model, row.auc, row.acc) for row in of_study if row.auc == row.auc] == [
        ("VGG16, end to end", 0.7535, pytest.approx(float("nan"), nan_ok=True))
    ]
