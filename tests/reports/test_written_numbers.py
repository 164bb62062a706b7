"""No page, card or line of the terminal shows a number that is none, a zero with a minus, or "1 images"."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from penlight.api.comparing import ComparedRuns
from penlight.cli.show.compared import print_compared
from penlight.cli.show.datasets import print_description
from penlight.cli.show.scores import print_score_tables
from penlight.cli.show.studies import print_studied
from penlight.evaluation import Score, score, score_seeds
from penlight.evaluation.comparison import Compared, Comparison, Difference
from penlight.numbers import share_cell
from penlight.recipes import Recipe
from penlight.recipes.space import Range, Space, Trial
from penlight.reports import dataset, run_card, run_report, seeds_report
from penlight.reports.comparison import comparison_report
from penlight.reports.displays.scores import SeedDots
from penlight.reports.findings import findings as findings_of
from penlight.reports.run import run_displays
from penlight.reports.study import study_report
from penlight.reports.study_content import StudyContent
from penlight.reports.tuning import TuningContent, tuning_report
from penlight.runs.scores import Scores
from penlight.serve import gallery, pages
from penlight.tasks import Binary, MultiLabel, Ordinal
from tests.conftest import small_dataset
from tests.reports.conftest import history, make_content
from tests.reports.test_study_report import entry
from tests.reports.test_study_report import table as study_table

N = 60
WRONG = {
    "a number that is none": re.compile(r"[+−-]?\bnan\b|(?<![\w.])-?inf\b"),
    "a zero with a minus": re.compile(r"(?<![\d.\w])[−-]0\.0+(?![\d])"),
    "one of several": re.compile(
        r"(?<![\d.,/×–-])(?<! of )(?<!\d )\b1 (?:test |val |train |training |drawn |other |positive |complete )*"
        r"(?:images|labels|seeds|folds|epochs|classes|grades|findings|recipes|pictures|patients|runs|groups|parameters|pairs)\b"
    ),
}


def words_of(page: str) -> str:
    page = re.sub(r"<(style|script)\b.*?</\1>", " ", page, flags=re.S)
    # Attributes are read aloud.
    aloud = " ".join(re.findall(r'(?:alt|aria-label|title)="([^"]*)"', page))
    page = re.sub(r"</(?:dt|dd|td|th|li|p|summary|h\d)>", " ; ", page)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)) + " " + aloud


def wrong_in(text: str) -> list[str]:
    return [
        f"{what}: …{text[max(0, m.start() - 60) : m.end() + 20]}…"
        for what, own in WRONG.items()
        for m in own.finditer(text)
    ]


def planted(task, labels):
    """One image of a label, one epoch, scores just below 1, differences of nothing."""
    y = task.encode(labels)
    content = make_content(task, y)
    rng = np.random.default_rng(0)
    return replace(content, history=history(rng).iloc[:1], best_epoch=1,
                   provenance={**content.provenance, "parameters": 1})  # fmt: skip


def findings():
    y = np.random.default_rng(2).integers(0, 2, (N, 3))
    y[:, 2] = np.arange(N) == 0
    return y


PLANTED = {
    "grades": (Ordinal(("none", "mild", "severe"), referable=1), np.array([0] * 30 + [1] * 29 + [2])),
    "two": (Binary(("well", "ill"), finding="well"), np.array([0] * 59 + [1])),
    "findings": (MultiLabel(("a", "b", "c")), findings()),
    "one class": (Ordinal(("none", "mild", "severe")), np.zeros(N, int)),
}


LEADING = ("findings", "one class")
"""The others in the full tests."""


@pytest.fixture(params=[pytest.param(name, marks=() if name in LEADING else pytest.mark.full) for name in PLANTED])
def content(request):
    return planted(*PLANTED[request.param])


@pytest.mark.drawn
def test_a_report_and_a_card(content):
    assert wrong_in(words_of(run_report(content))) == []
    assert wrong_in(run_card(content)) == []


def test_captions_and_descriptions_of_figures(content):
    for display in run_displays(content).values():
        assert wrong_in(f"{display.caption} {display.description}") == []


def test_a_page_of_several_seeds_and_one(content):
    for n in (1, 3):
        contents = [replace(content, provenance={**content.provenance, "seed": seed}) for seed in range(n)]
        test = content.test
        rows = score_seeds(test.task, test.y_true, [test.prob] * n, [content.decided] * n)
        assert wrong_in(words_of(seeds_report("seeds", contents, rows, content.baselines))) == []


def test_the_terminal(content, capsys):
    test = content.test
    perfect = np.clip(test.y_true, 1e-6, 1 - 1e-6) if not test.task.exclusive else test.y_true.astype(float)
    for prob in (test.prob, perfect):
        rows = score(test.task, test.y_true, prob, test.task.decide(prob), resamples=20)
        print_score_tables(
            Scores("test", rows, {r.name: r.rows for r in content.baselines}, before={"ece": float("nan")})
        )
        assert wrong_in(capsys.readouterr().out) == []


def one_of_each(content):
    """A study of one recipe, and one of a baseline and a network that gives one answer, on one test image."""
    alone = replace(entry("linear", 0.9996), seeds=(0,))
    constant = entry("cnn", 0.5)
    constant = replace(constant, rows=[replace(constant.rows[0], low=np.nan, high=np.nan, note="no interval: alike"),
                                       *constant.rows[1:]])  # fmt: skip
    images = {"train": 1, "val": 1, "test": 1}
    for entries in ((alone,), (alone, constant), (alone, replace(constant, rows=[]))):
        own = replace(study_table(*entries), images=images)
        yield own, StudyContent("tiny", "Tiny study", "Which?", (own,), content, (), "penlight study tiny")


def test_a_study_on_its_page_and_in_the_terminal(content, capsys):
    for own, study in one_of_each(content):
        page = words_of(study_report(study))
        assert wrong_in(page) == []
        assert ("All 1 " in page) is False
        assert ("The one difference" in page) == (len(own.differences) == 1)
        record = {"tables": [own.record(findings_of(own)).to_dict()]}
        for full in (False, True):
            print_studied(SimpleNamespace(record=record, report="report.html", verdict=""), full)
        assert wrong_in(capsys.readouterr().out) == []


@pytest.mark.parametrize("metric", ["auc", "mae"])
@pytest.mark.parametrize("spread", [0.0, np.nan, 0.01])
def test_a_comparison_on_its_page_and_in_the_terminal(metric, spread, capsys):
    """Two models, one seed each, that differ by nothing, on one image; the last is undefined."""
    values = {"a": 0.9996, "b": 0.9996 - 1e-9, "none": np.nan}
    models = tuple(Compared(n, n, (0,), (v,), v, np.nan, v - spread, v + spread) for n, v in values.items())
    pairs = [("b", "a"), ("none", "a")]
    found = tuple(Difference(a, b, d := values[a] - values[b], d - spread, d + spread, np.nan if a == "none" else 1,
                             np.nan if a == "none" else 1) for a, b in pairs)  # fmt: skip
    for against, differences in (("a", found), ("a", found[:1]), (None, found[:1])):
        own = Comparison("tiny", "native", "test", 1, metric, against, models, differences)
        assert wrong_in(words_of(comparison_report(own, "fundus", "ab" * 16))) == []
        print_compared(ComparedRuns(own, "", None), full=True)
        assert wrong_in(capsys.readouterr().out) == []


KEY = "train.learning_rate"


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_tuning(n):
    trials = [
        Trial(1, "complete", 0.9996, (0.9996,), {KEY: 1e-3}, 1.0),
        Trial(2, "complete", 0.9996, (0.9996,), {KEY: 1e-2}, 0.0),
        Trial(3, "pruned", 0.65, (), {KEY: 1e-2}, 1.0),
        Trial(4, "diverged", np.nan, (), {KEY: 1e-4}, 1.0, "no number"),
    ][:n]
    space = Space((Range(KEY, 1e-4, 1.0, log=True),))
    for start in (None, trials[0], trials[-1] if n == 2 else trials[0]):
        for judged_on in ("val", "1 seed", "3 folds of train"):
            content = TuningContent("t", "Tiny", "auc", judged_on, "gp", space, trials, trials[0], start, {KEY: 1.0},
                                    Recipe(), Recipe(), "penlight train best.toml", [("seed", "0")])  # fmt: skip
            assert wrong_in(words_of(tuning_report(content))) == []


@pytest.mark.parametrize("value", [0.9996, 0.5, np.nan])
@pytest.mark.parametrize("folds", [False, True])
def test_the_gallery(value, folds, monkeypatch):
    known = Score("auc", None, value, value - 0.02, min(value + 0.02, 1), 1)
    for row in (
        known,
        replace(known, low=np.nan, high=np.nan, note="no interval: every resample gives the same value"),
    ):
        score_of = gallery.GalleryScore(row, known)
        run = gallery.GalleryEntry("r", "run", "r", "linear", "1 seed", score_of, 1, 0, opens=True, report=True)
        top = replace(run, id="s", kind="folds" if folds else "seeds", parts=(run,))
        study = replace(run, id="t", kind="study", rows=(replace(run, kind="row"),), parts=(run,))
        group = gallery.GalleryGroup("tiny", "Tiny", "native", 28, 1, "AUC", (study,), (top, run), folds)
        monkeypatch.setattr(gallery, "gather", lambda registry, g=group: gallery.Gallery((g,), {}))
        page = pages.index(SimpleNamespace(root="", groups={})).body.decode()
        assert wrong_in(words_of(page)) == []
        assert "interval no interval" not in page


def test_the_data_page_and_the_terminal(content, capsys, tmp_path, monkeypatch):
    about = content.data
    monkeypatch.setattr(dataset, "describe", lambda _: about)
    monkeypatch.setattr(dataset, "_figures", lambda _: {})
    page = words_of(dataset.write_show(small_dataset(about.task), tmp_path, per_class=1)[-1].read_text())
    assert wrong_in(page) == []
    print_description(SimpleNamespace(description=about, readings=[], files=["index.html"]))
    out = capsys.readouterr().out
    assert wrong_in(out) == []
    # A share has one text in both tables, and its unit stands in the head of its column in both.
    for split in about.images:
        assert f"{split}, %" in out
        assert f"{split}, %" in page
        for text in map(share_cell, about.shares(split)):
            assert f" {text} " in f"{out} "
            assert f" {text} " in page
    assert not re.search(r"\d %  ", out)


@pytest.mark.parametrize(("noun", "values", "said"), [
    ("seed", (0.644, 0.6441), "The seeds lie at 0.644;"), ("seed", (0.644,), "The seed lies at 0.644;"),
    ("fold", (0.644, 0.6441), "The folds lie at 0.644; the line"), ("seed", (0.6, 0.7), "between 0.600 and 0.700;"),
    ("fold", (0.6, 0.7), "The folds lie between 0.600 and 0.700, as their images"),
])  # fmt: skip
def test_what_lies_in_one_place_is_not_said_to_lie_between_two(noun, values, said):
    rows = [Score("auc", None, v, v - 0.1, v + 0.1, 60) for v in values]
    overall = Score("auc", None, float(np.mean(values)), 0.5, 0.7, 60, sd=0.0)
    assert said in SeedDots.from_rows([f"{noun}-{i}" for i in range(len(values))], rows, overall, [], noun).caption


def test_what_is_wrong_is_found():
    assert len(wrong_in("AUC nan, −0.000, and 1 images")) == 3
    assert (
        wrong_in("1 of 1 runs, 11 images, 0.1 images, 1,001 images, label 2-1 images, nanometre, 1 image, −0.001")
        == []
    )
