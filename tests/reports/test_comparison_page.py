"""The verdict of a comparison, its display, and its page."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from penlight.evaluation.comparison import Compared, Comparison, Difference, differences, paired_draws
from penlight.evaluation.sample import Sample
from penlight.reports.comparison import comparison_report
from penlight.reports.displays.comparison import SimilarImages
from penlight.reports.figure import draw_svg
from penlight.reports.verdict import comparison_verdict
from penlight.tasks import Binary

MEANS = {"linear": 0.74, "cnn": 0.72, "wide & deep": 0.75, "majority": 0.5}
CLEAR = {frozenset((name, "majority")) for name in MEANS}


def compared(names, against, clear=CLEAR, metric="auc", half=0.03):
    models = tuple(Compared(n, f"runs/{n}", (0, 1), (MEANS[n],) * 2, MEANS[n], 0.01, MEANS[n] - 0.02, MEANS[n] + 0.02)
                   for n in names)  # fmt: skip
    others = [(a, against) for a in names if a != against] if against else [
        (a, b) for i, a in enumerate(names) for b in names[i + 1 :]
    ]  # fmt: skip
    found = []
    for a, b in others:
        p = 0.004 if frozenset((a, b)) in clear and a != b else 0.5
        d = MEANS[a] - MEANS[b]
        found.append(Difference(a, b, d, d - half, d + half, p, p))
    return Comparison("retinamnist", "native", "test", 400, metric, against, models, tuple(found))


def test_the_verdict_names_what_differs():
    assert comparison_verdict(compared(list(MEANS), "linear"), "fundus") == (
        "On 400 test fundus photographs majority is worse than linear by more than chance in AUC."
    )
    assert comparison_verdict(compared(["linear", "cnn", "wide & deep"], "linear"), "") == (
        "On 400 test images none of 2 models differs from linear by more than chance in AUC."
    )
    assert comparison_verdict(compared(["linear", "cnn"], "linear"), "") == (
        "On 400 test images cnn and linear do not differ by more than chance: AUC 0.720 against 0.740, a difference "
        "of −0.020 (95 % interval −0.050 to 0.010), p = 0.500."
    )
    assert comparison_verdict(compared(list(MEANS), None), "") == (
        "On 400 test images 3 of 6 pairs differ by more than chance in AUC."
    )


def test_a_lower_error_is_better():
    found = compared(["majority", "cnn", "linear"], "majority", metric="mae")
    assert "cnn and linear are worse than majority by more than chance in mean error" in comparison_verdict(found, "")
    two = comparison_verdict(compared(["cnn", "majority"], "cnn", metric="mae"), "")
    assert "majority is better than cnn by more than chance" in two


def test_an_undefined_score_is_compared_with_nothing():
    found = compared(["linear", "cnn"], "linear")
    nothing = tuple(replace(d, value=np.nan, low=np.nan, high=np.nan, p=np.nan, p_holm=np.nan)
                    for d in found.differences)  # fmt: skip
    models = tuple(replace(m, mean=np.nan, low=np.nan, high=np.nan) for m in found.models)
    undefined = replace(found, differences=nothing, models=models)
    assert "is undefined, so nothing can be compared" in comparison_verdict(undefined, "")
    assert ">nan<" not in comparison_report(undefined, "", "ab" * 16).lower()


def test_models_that_every_resample_scores_alike_have_no_interval_without_a_width():
    rng = np.random.default_rng(0)
    task = Binary(("well", "ill"))
    y = task.encode(np.arange(60) % 2)
    p = np.clip(y + rng.uniform(-0.3, 0.3, y.shape), 0.01, 0.99)
    # Both rank without an error, and answer otherwise.
    samples = {
        name: [Sample(task, y, own / own.sum(axis=1, keepdims=True), y)] for name, own in (("a", p), ("b", p**2))
    }
    draws = paired_draws(samples, "auc")
    (d,) = differences(draws, [("a", "b")])
    assert (d.value, d.low, d.high, d.p) == (0, 0, 0, 1)
    models = tuple(Compared.from_draws(name, name, (0,), draws[name]) for name in samples)
    found = Comparison("tiny", "native", "test", 60, "auc", "b", models, (d,))
    assert comparison_verdict(found, "") == (
        "On 60 test images a and b do not differ by more than chance: AUC 1.000 against 1.000, a difference of 0.000 "
        "on every resample of the images."
    )
    page = comparison_report(found, "", "ab" * 16)
    assert "0.000–0.000" not in page
    assert "0.00 could have gone unseen" not in page


def test_groups_are_the_largest_of_which_no_pair_is_apart():
    far = CLEAR | {frozenset(("wide & deep", "cnn"))}
    display = SimilarImages.from_comparison(compared(list(MEANS), None, far))
    assert [m.name for m in display.models] == ["wide & deep", "linear", "cnn", "majority"]
    assert display.groups == ((0, 1), (1, 2))
    assert display.frame()["groups"].tolist() == [(0,), (0, 1), (1,), ()]
    assert display.caption.startswith("linear cannot be told from wide & deep, the best;")
    all_alike = SimilarImages.from_comparison(compared(list(MEANS), None, set()))
    assert all_alike.groups == ((0, 1, 2, 3),)
    odd = SimilarImages.from_comparison(compared(list(MEANS), None, {frozenset(("wide & deep", "linear"))}))
    assert odd.groups == ((0, 2, 3), (1, 2, 3))
    assert odd.caption.startswith("cnn and majority cannot be told from wide & deep")
    every = {frozenset((a, b)) for a in MEANS for b in MEANS}
    alone = SimilarImages.from_comparison(compared(list(MEANS), None, every))
    assert alone.groups == ()
    assert alone.caption.startswith("wide & deep stands alone")
    assert SimilarImages.from_comparison(compared(list(MEANS), None, metric="mae")).models[0].name == "majority"


def test_the_display_says_what_it_draws():
    display = SimilarImages.from_comparison(compared(list(MEANS), None))
    svg = draw_svg(display, "alike")
    assert '<title id="alike-title">Models that do not differ by more than chance' in svg
    assert display.description.endswith(".")
    assert "alike are wide &amp; deep, linear and cnn" in svg
    assert isinstance(display.frame(), pd.DataFrame)


@pytest.mark.parametrize("against", ["linear", None])
def test_the_page_is_whole(against):
    found = compared(list(MEANS), against)
    page = comparison_report(found, "fundus", "ab" * 16)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert all(target in ids for target in re.findall(r'href="#([^"]+)"', page))
    assert comparison_verdict(found, "fundus") in page
    assert page.count("<svg") == 1
    assert "wide &amp; deep" in page
    assert "ab" * 16 in page
    assert "one of up to 0.05 could have gone unseen" in page if against else "could have gone unseen" in page
    assert "penlight compare runs/linear" in page
    assert ("--all" in page) == (against is None)
    assert "Not for clinical use" in page
