"""Sentences of the comparison page, of learning curves, the data page, checks of evidence and the terminal: each is
compared with the numbers that it is about."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from penlight.cli.show.scores import print_score_tables
from penlight.cli.show.trained import print_trained
from penlight.data import accesses as reading
from penlight.data.accesses import accesses_text
from penlight.data.summary import Positions
from penlight.evaluation.checks import run_checks
from penlight.evaluation.comparison import Compared, Comparison, differences, paired_draws
from penlight.evaluation.novelty_rates import NoveltyRate, NoveltyRates
from penlight.evaluation.sample import Sample
from penlight.reports.comparison import _hidden
from penlight.reports.dataset import classes_text
from penlight.reports.displays import Presence
from penlight.reports.displays.learning import LearningCurves, SeedCurves
from penlight.reports.verdict import comparison_verdict
from penlight.runs.scores import Scores
from penlight.tasks import Binary, MultiClass, MultiLabel
from tests.reports.conftest import make_data
from tests.reports.test_sentences import planted

N = 120


# Comparisons.


def compared(
    strengths: dict[str, float], *, metric: str = "auc", every_pair: bool = False, seed: int = 0
) -> Comparison:
    """Models that know so much of the truth, by name; the first is what the others are compared with."""
    rng = np.random.default_rng(0)
    task = Binary(("well", "ill"))
    y = task.encode(np.arange(N) % 2)
    samples = {}
    for name, strength in strengths.items():
        p = 1 / (1 + np.exp(-(strength * (2.0 * y[:, 1] - 1) + rng.normal(0, 1, N))))
        prob = np.stack([1 - p, p], axis=1)
        samples[name] = [Sample(task, y, prob, task.decide(prob))]
    draws = paired_draws(samples, metric)
    names = list(strengths)
    wanted = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]] if every_pair else [
        (name, names[0]) for name in names[1:]
    ]  # fmt: skip
    models = tuple(Compared.from_draws(name, name, (0,), draws[name]) for name in names)
    return Comparison("tiny", "native", "test", N, metric, None if every_pair else names[0], models,
                      tuple(differences(draws, wanted)))  # fmt: skip


COMPARED = {
    "better": compared({"linear": 0.1, "cnn": 2.0}),
    "worse": compared({"linear": 2.0, "cnn": 0.1}),
    "tied": compared({"linear": 1.0, "cnn": 1.0}),
    "better by log loss": compared({"linear": 0.1, "cnn": 2.0}, metric="log_loss"),
    "worse by log loss": compared({"linear": 2.0, "cnn": 0.1}, metric="log_loss"),
    "three": compared({"linear": 0.8, "strong": 3.0, "weak": 0.0, "same": 0.8}),
    "none of three": compared({"linear": 1.0, "a": 1.0, "b": 1.0}),
    "every pair": compared({"a": 0.1, "b": 2.0, "c": 2.0}, every_pair=True),
    "no pair": compared({"a": 1.0, "b": 1.0, "c": 1.0}, every_pair=True),
}


@pytest.mark.parametrize("found", COMPARED.values(), ids=COMPARED)
def test_a_comparison_says_what_its_differences_are(found: Comparison) -> None:
    """Better and worse by the metric's own direction, and only where the corrected p is below 0.05."""
    said = comparison_verdict(found, "")
    sign = -1 if found.metric == "log_loss" else 1
    clear = {d.row: np.sign(sign * (found.model(d.row).mean - found.model(d.against).mean))
             for d in found.differences if d.p_holm < 0.05}  # fmt: skip
    assert said.startswith("On 120 test images ")
    if found.against is None:
        n = sum(d.p_holm < 0.05 for d in found.differences)
        assert f" {n or 'none'} of {len(found.differences)} pairs differ" in said
    elif len(found.differences) == 1:
        (d,) = found.differences
        scores = [found.model(name).mean for name in (d.row, d.against)]
        assert f"{scores[0]:.3f} against {scores[1]:.3f}" in said
        word = {1: "is better than", -1: "is worse than"}.get(
            clear.get(d.row, 0), "do not differ by more than chance"
        )
        assert word in said
        assert [float(x.replace("−", "-")) for x in re.findall(r"difference of ([+−]?[\d.]+)", said)] == [
            pytest.approx(scores[0] - scores[1], abs=0.0005)
        ]
    else:
        for which, own in (("better", 1), ("worse", -1)):
            names = [row for row, gain in clear.items() if gain == own]
            named = re.search(rf"(?:On 120 test images |, and )([^,]*?) (?:is|are) {which} than linear", said)
            assert (named is not None) == bool(names)
            assert not named or set(re.split(r", | and ", named[1])) == set(names)
        assert ("none of" in said) == (not clear)
    hidden = _hidden(found)
    unclear = [d for d in found.differences if d.p_holm >= 0.05]
    assert bool(hidden) == bool(unclear)
    if hidden:
        most = max(max(-d.low, d.high) for d in unclear)
        assert f"up to {most:.2f} could" in hidden


def test_every_kind_of_comparison_is_asked() -> None:
    said = " ".join(comparison_verdict(found, "") for found in COMPARED.values())
    for words in (
        "is better than",
        "is worse than",
        "do not differ",
        "none of 2 models",
        "none of 3 pairs",
        "of 3 pairs",
    ):
        assert words in said


# Learning curves.


def history(val_loss, val_auc) -> pd.DataFrame:
    return pd.DataFrame({"epoch": np.arange(1, len(val_loss) + 1), "val_loss": val_loss, "val_auc": val_auc})


@pytest.mark.parametrize(
    ("val_loss", "best", "ends"),
    [
        ([1.0, 0.5, 0.7], 2, "rises from 0.50 to 0.70"),
        ([1.0, 0.9, 0.7], 2, "falls from 0.90 to 0.70"),
        ([1.0, 0.501, 0.503], 2, "ends where it is at that epoch, at 0.50"),
        ([1.0, 0.5, np.nan], 2, ""),
        ([1.0, 0.9, 0.7], 3, ""),
        ([1.0], 1, ""),
    ],
)
def test_the_caption_of_learning_curves_says_what_the_loss_did(val_loss, best, ends) -> None:
    auc = np.linspace(0.6, 0.7, len(val_loss))
    caption = LearningCurves.from_history(history(val_loss, auc), "auc", best).caption
    assert caption.startswith(f"Epoch {best} of {len(val_loss)} was kept, with AUC {auc[best - 1]:.2f} on val")
    after = caption.partition("on val")[2]
    assert (ends in after) if ends else after == "."


@pytest.mark.parametrize(
    ("peaks", "said"),
    [
        ([0.7, 0.81, 0.75], "lies between 0.70 and 0.81 over 3 seeds"),
        ([0.7], "is 0.70 over 1 seed"),
        ([0.7, 0.7001], "is 0.70 over 2 seeds"),
        ([0.7, np.nan], "is 0.70 over 1 seed"),
        ([np.nan], "No headline metric"),
    ],
)
def test_the_caption_of_several_seeds_says_how_far_their_best_lie_apart(peaks, said) -> None:
    curves = {str(i): history([1.0, 0.9], [0.5 if peak == peak else np.nan, peak]) for i, peak in enumerate(peaks)}
    assert said in SeedCurves(curves, "auc").caption


# The data page.


def described(labels, counts):
    task = MultiClass(labels)
    y = task.encode(np.repeat(np.arange(len(labels)), counts))
    return make_data(task, y, np.zeros((len(y), 8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("counts", "most", "least"),
    [((5, 3, 1), "is a with", "is c with"), ((4, 4, 1), "are a, b, each with", "is c with"),
     ((5, 2, 2), "is a with", "are b, c, each with")],
)  # fmt: skip
def test_the_page_of_data_names_all_that_are_most_and_least_frequent(counts, most, least) -> None:
    said = classes_text(described(("a", "b", "c"), counts))
    n = sum(counts)
    assert said == (
        f"Most frequent in train {most} {percent(max(counts) / n)} of images, least frequent {least} "
        f"{percent(min(counts) / n)}."
    )


def test_the_page_of_data_says_that_all_are_equally_frequent_only_where_they_are() -> None:
    assert classes_text(described(("a", "b"), (4, 4))) == (
        "All labels are equally frequent in train, each with 50.0 % of images."
    )
    assert classes_text(described(("a", "b"), (2500, 2499))).startswith("Most frequent in train is a with 50.0")


@pytest.mark.parametrize("seed", range(3))
def test_what_is_said_of_findings_of_an_image_is_counted_here(seed) -> None:
    rng = np.random.default_rng(seed)
    y = (rng.random((200, 3)) < (0.5, 0.2, 0.15)).astype(np.uint8)
    data = make_data(MultiLabel(("a", "b", "c")), y, np.zeros((200, 8, 8, 3), np.uint8))
    per = y.sum(axis=1)
    none, one, several = (percent(share) for share in ((per == 0).mean(), (per == 1).mean(), (per > 1).mean()))
    assert data.findings.per_image_text() == (
        f"In train, {none} of images have no finding, {one} one and {several} several."
    )
    said = Presence(data).caption
    most = int(y.sum(axis=0).argmax())
    assert said.startswith(f"{(per > 0).sum()} of 200 training images have a finding")
    assert f"{'abc'[most]}, is absent from {percent(1 - y[:, most].mean())}." in said
    m = re.search(
        r"of the (\d+) training images with (\w), (\d+) \((\d+) %\) also have (\w)", data.findings.together_text()
    )
    row, column = "abc".index(m[2]), "abc".index(m[5])
    both = y.T.astype(int) @ y
    assert (int(m[1]), int(m[3])) == (both[row, row], both[row, column])
    rates = (both / np.diag(both)[:, None] - np.eye(3))[np.diag(both) >= 20]
    assert both[row, column] / both[row, row] == pytest.approx(rates.max())


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


@pytest.mark.parametrize("drifts", [False, True])
def test_what_is_said_of_shares_along_the_file_is_a_chi_squared_test(drifts) -> None:
    counts = np.array([[8, 2]] * 5 + [[2, 8]] * 5) * 4 if drifts else np.array([[5, 5]] * 10) * 4
    found = Positions(("a", "b"), {"train": counts}, {"train": counts.sum(axis=1)})
    p = chi2_contingency(counts).pvalue
    assert (p < 0.05 / 2) == drifts
    assert found.text().startswith(
        "Along the file some shares change" if drifts else "Along the file no share changes"
    )


def test_readings_are_counted() -> None:
    def tested(recipe, by="train"):
        time = datetime(2026, 11, 1, tzinfo=UTC).isoformat()
        fields = {"time": time, "split": "test", "view": "native", "recipe": recipe, "seed": 0, "by": by, "run": "r"}
        return reading.TestAccess(**{key: fields.get(key) for key in reading.TestAccess.__dataclass_fields__})

    assert "have not been read" in accesses_text([])
    assert "read once, for 1 recipe," in accesses_text([tested("a")])
    assert "read 3 times, for 2 recipes," in accesses_text([tested("a"), tested("b"), tested("a")])


# Checks whose evidence is not answers to test.


def reported(code: str, **evidence) -> str:
    found = [c for c in run_checks(replace(planted("better", "two").evidence, **evidence)) if c.code == code]
    return found[0].seen if found else ""


@pytest.mark.parametrize(
    ("alike", "told"), [(0.69, False), (0.7, True), (0.9996, True), (np.nan, False), (None, False)]
)
def test_maps_are_called_alike_by_their_correlation(alike, told) -> None:
    said = reported("PL019", maps_alike=alike)
    assert bool(said) == told
    assert not told or said.endswith(
        f"correlation is {alike:.4f}." if alike > 0.99 else f"correlation is {alike:.3f}."
    )


@pytest.mark.parametrize("before", [None, 0, 19, 20, 400])
def test_earlier_recipes_are_counted(before) -> None:
    said = reported("PL020", read_before=before)
    assert bool(said) == (before is not None and before >= 20)
    assert not said or f"by {before} other recipes " in said


@pytest.mark.parametrize(
    ("told", "own"), [((8, 10), (0, 100)), ((9, 10), (5, 100)), ((9, 10), (6, 100)), ((0, 1), (1, 1))]
)
def test_pictures_of_another_kind_are_told_or_not(told, own) -> None:
    rates = NoveltyRates(NoveltyRate(own[1], own[0]), {"chest-phantom": NoveltyRate(told[1], told[0])})
    said = reported("PL023", novelty=rates)
    missed, alarms = told[0] / told[1] < 0.9, own[0] / own[1] > 0.05
    assert bool(said) == (missed or alarms)
    images = "image" if told[1] == 1 else "images"
    assert (
        f"Of {told[1]} drawn {images} of another kind (chest-phantom), {told[0]} are recognised" in said
    ) == missed
    assert (f"{own[0]} of {own[1]} test image{'' if own[1] == 1 else 's'} are called unlike" in said) == alarms


# The terminal.


def printed(capsys, scores: Scores) -> str:
    print_score_tables(scores)
    return " ".join(capsys.readouterr().out.split())


def test_the_terminal_says_what_calibration_did_where_it_did_something(capsys) -> None:
    run = planted("better", "two")
    plain = Scores("test", run.rows, {}, checks=())
    said = printed(capsys, plain)
    assert "By calibration" not in said
    assert "No check reported a problem." in said
    now = {row.name: row.value for row in run.rows if row.label is None}
    said = printed(capsys, replace(plain, before={"ece": 0.3}, checks=run_checks(run.evidence)))
    assert f"By calibration: ece 0.300 to {now['ece']:.3f}." in said
    assert ("No check reported a problem." in said) == (not run_checks(run.evidence))
    assert "on val" not in said.partition("By calibration")[2].partition(".")[0]


@pytest.mark.parametrize(
    ("kept", "cut", "said"),
    [
        (["cnn"], [], None),
        (["linear"], [], "The linear baseline is the model that was kept: on val the cnn network was not better"),
        (["cnn", "linear", "cnn"], [], "kept in 1 of 3 seeds: on val the cnn network was not better"),
        (["linear"], ["Cut."], "A longer --budget may change that."),
    ],
)
def test_the_closing_lines_of_train_say_what_was_kept(capsys, monkeypatch, kept, cut, said) -> None:
    from penlight.api.results import Trained
    from penlight.cli.show import trained

    monkeypatch.setattr(trained, "print_scores", lambda scores, **how: None)
    for images, pictures in ((0, 0), (1, 1), (1200, 0)):
        holds = {"training_images": images, "pictures": pictures}
        result = Trained("f", "f/report.html", SimpleNamespace(), None, kept, holds, cut, "cnn")
        print_trained(result, full=True)
        out = " ".join(capsys.readouterr().out.split())
        assert (said in out) if said else "was kept" not in out
        assert ("The folder holds no image" in out) == (images == pictures == 0)
        if images:
            noun = "training image " if images == 1 else "training images "
            assert f"{images:,} {noun}in" in out
        assert ("longer --budget" in out) == bool(cut and "linear" in kept)
