"""No page, card or line of the terminal shows a number that is none, a zero with a minus, or "1 images"."""

import re
from dataclasses import replace

import numpy as np
import pytest

from penlight.cli.show.scores import print_score_tables
from penlight.evaluation import score, score_seeds
from penlight.reports import run_card, run_report, seeds_report
from penlight.reports.run import run_displays
from penlight.runs.scores import Scores
from penlight.tasks import Binary, MultiLabel, Ordinal
from tests.reports.conftest import history, make_content

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


@pytest.fixture(params=PLANTED)
def content(request):
    return planted(*PLANTED[request.param])


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


def test_what_is_wrong_is_found():
    assert len(wrong_in("AUC nan, −0.000, and 1 images")) == 3
    assert (
        wrong_in("1 of 1 runs, 11 images, 0.1 images, 1,001 images, label 2-1 images, nanometre, 1 image, −0.001")
        == []
    )
