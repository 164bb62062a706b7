"""Every sentence that makes a claim is compared with the numbers that it is about, on planted runs.

`CLAIMS` has a pattern of each sentence that reports, cards, checks, studies, pages and the terminal may say, with a
condition that is computed here from truth and probabilities; `SAID_OF_ALL` are sentences without a claim about a run.
A sentence that is in neither fails, so that none is added without its condition.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from penlight.evaluation import find_row, fit_conformal, score, score_seeds
from penlight.evaluation.calibration import MAX_TEMPERATURE, Calibration
from penlight.evaluation.checks import Check, Curves, Evidence, SplitAnswers, run_checks
from penlight.evaluation.checks.skill import seeds_disagree
from penlight.evaluation.sample import Sample
from penlight.evaluation.standing import Measured
from penlight.reports import ComparedBaseline, card
from penlight.reports import findings as study
from penlight.reports.content import RunContent
from penlight.reports.run import run_displays
from penlight.reports.verdict import decided_words, finding_words, run_verdict, scores_verdict, seeds_verdict
from penlight.runs.scores import Scores, SeedsScores
from penlight.tasks import Binary, MultiLabel, Ordinal, Task
from tests.conftest import few_pairs
from tests.reports.conftest import make_content
from tests.reports.test_study_report import LINEAR, MAJORITY, entry, seen_on_val, table

N = 60
WANTED = 0.8


@dataclass(frozen=True)
class Planted:
    """A run whose numbers are known: truth, probabilities of the run and of the linear baseline, answers."""

    name: str
    task: Task
    y: np.ndarray
    prob: np.ndarray
    linear: np.ndarray
    checks: tuple[Check, ...] = ()
    calibration: Calibration | None = None
    curves: Curves | None = None

    @cached_property
    def decided(self) -> np.ndarray:
        return self.task.decide(self.prob)

    @cached_property
    def sets(self) -> np.ndarray:
        rng = np.random.default_rng(5)
        val = informed(self.task, self.y[rng.permutation(len(self.y))], 0.9, 3)
        return fit_conformal(self.task, self.y, val, WANTED).sets_with(self.task, self.prob, self.decided)

    @cached_property
    def rows(self):
        return score(self.task, self.y, self.prob, self.decided, self.sets, resamples=200)

    @cached_property
    def evidence(self) -> Evidence:
        sample = Sample(self.task, self.y, self.prob, self.decided, self.sets)
        linear = Sample(self.task, self.y, self.linear, self.task.decide(self.linear))
        return Evidence(SplitAnswers(sample), self.rows, val=SplitAnswers(sample), baselines={"linear": linear},
                        coverage=WANTED, calibration=self.calibration, curves=self.curves)  # fmt: skip

    @cached_property
    def content(self) -> RunContent:
        content = make_content(self.task, self.y)
        prior = np.tile(self.y.mean(axis=0), (len(self.y), 1))
        baselines = [
            ComparedBaseline(name, score(self.task, self.y, p, self.task.decide(p), resamples=20))
            for name, p in (("linear", self.linear), ("majority", prior))
        ]
        return replace(
            content,
            dataset=replace(content.dataset, task=self.task),
            test=replace(content.test, prob=self.prob, y_true=self.y),
            decided=self.decided,
            rows=self.rows,
            baselines=baselines,
            ahead=self.evidence.ahead,
            checks=(*run_checks(self.evidence), *self.checks),
        )

    # What conditions are computed from.

    @property
    def columns(self) -> list[int]:
        """Those that the official AUC is a mean over: of two classes the last, else all that have one."""
        every = [self.y.shape[1] - 1] if self.task.kind == "binary" else range(self.y.shape[1])
        return [c for c in every if 0 < self.y[:, c].sum() < len(self.y)]

    def auc(self, prob: np.ndarray | None = None) -> float:
        """The official AUC by scikit-learn."""
        p = self.prob if prob is None else prob
        return (
            float(np.mean([roc_auc_score(self.y[:, c], p[:, c]) for c in self.columns])) if self.columns else np.nan
        )

    @cached_property
    def gain(self) -> dict[str, np.ndarray]:
        """By an ordinary bootstrap, the middle 90 and 99 % of how far the AUC is above the baselines'."""
        counts = np.random.default_rng(9).multinomial(len(self.y), np.full(len(self.y), 1 / len(self.y)), 400)

        def resampled(prob: np.ndarray) -> np.ndarray:
            areas = []
            for c in self.columns:
                yes = self.y[:, c] == 1
                right = np.sign(prob[yes, c][:, None] - prob[~yes, c]) / 2 + 0.5
                pairs = counts[:, yes].sum(axis=1) * counts[:, ~yes].sum(axis=1)
                areas.append(
                    ((counts[:, yes] @ right) * counts[:, ~yes]).sum(axis=1) / np.where(pairs, pairs, np.nan)
                )
            return np.mean(areas, axis=0)

        own = resampled(self.prob)
        gains = {"linear": own - resampled(self.linear), "majority": own - 0.5}
        return {name: np.nanpercentile(values, [0.5, 5, 95, 99.5]) for name, values in gains.items()}

    def stands(self, words: str, baseline: str) -> bool:
        """Whether the words are borne out, with some room for another way of resampling."""
        outer_low, low, high, outer_high = self.gain[baseline]
        value = self.auc() - (self.auc(self.linear) if baseline == "linear" else 0.5)
        return {
            "better than": value > 0 and low > 0,
            "worse than": value < 0 and high < 0,
            "not clearly better than": value > 0 and outer_low <= 0,
            "no better than": value <= 0 and outer_high >= 0,
        }[words]

    def column(self, label: str) -> int:
        return self.task.labels.index(label)


def informed(task: Task, y: np.ndarray, strength: float, seed: int) -> np.ndarray:
    """Probabilities (N, C) that know the truth more or less, 0 to 1."""
    rng = np.random.default_rng(seed)
    raw = np.clip(strength * y + (1 - strength) * rng.uniform(0.05, 0.95, y.shape), 0.01, 0.99)
    return raw / raw.sum(axis=1, keepdims=True) if task.exclusive else raw


TASKS: dict[str, Task] = {
    "grades": Ordinal(("none", "mild", "severe"), referable=1),
    "two": Binary(("malignant", "normal, benign"), finding="malignant"),
    "findings": MultiLabel(("a", "b", "c")),
}
STRENGTH = {"better": (0.6, 0.05), "worse": (0.02, 0.6), "tied": (0.2, 0.2), "perfect": (0.95, 0.95)}
LEAK = Check("PL008", True, "3 images stand in train and test.", "Why.", "Do.")


@cache
def planted(kind: str, of: str) -> Planted:
    task = TASKS[of]
    labels = np.arange(N) % len(task.labels) if task.exclusive else np.random.default_rng(1).integers(0, 2, (N, 3))
    if kind == "one class":
        labels = labels * 0 + (1 if task.exclusive else 0)
    y = task.encode(labels)
    if kind == "undefined":
        # Nobody in test has the last finding, or the last grade.
        y = task.encode(labels % 2) if task.kind == "ordinal" else y * (np.arange(y.shape[1]) < y.shape[1] - 1)
        y = y if task.kind != "binary" else task.encode(labels * 0)
    own, linear = STRENGTH.get(kind, (0.3, 0.2))
    run = Planted(f"{kind}, {of}", task, y.astype(np.uint8), informed(task, y, own, 1), informed(task, y, linear, 2))
    if kind == "rare":
        # Five of sixty have the last label.
        rare = np.repeat(
            np.arange(len(task.labels)), [25, 30, 5] if of == "grades" else [55, 5, 0][: len(task.labels)]
        )
        y = task.encode(rare) if task.exclusive else y & np.array([1, 1, 0], np.uint8) | (np.arange(N) < 5)[:, None]
        return replace(run, y=y.astype(np.uint8), prob=informed(task, y, 0.4, 1), linear=informed(task, y, 0.2, 2))
    if kind == "guessing":
        # One answer for all, and a score that knows nothing.
        prior = np.linspace(0.2, 0.1, len(task.labels)) if not task.exclusive else np.arange(1, len(task.labels) + 1)
        prob = prior / prior.sum() if task.exclusive else prior
        prob = prob + np.random.default_rng(6).uniform(-0.02, 0.02, (N, 1)) * np.linspace(-1, 1, len(task.labels))
        prob = prob / prob.sum(axis=1, keepdims=True) if task.exclusive else prob
        curves = Curves(np.array([0.7, 0.69]), np.array([0.7, 0.7]), np.array([0.5, 0.5]), np.full(2, 1e-3))
        return replace(run, prob=prob, calibration=Calibration(), curves=curves)
    if kind == "one answer for all":
        return replace(run, prob=np.tile(y.mean(axis=0), (N, 1)).astype(float))
    if kind == "leaking":
        return replace(run, checks=(LEAK,))
    if kind == "weighted":
        # Positives were weighed in training: every probability of a finding is far too high.
        high = run.prob.copy()
        high[:, -1] = 0.5 + high[:, -1] / 2
        high = high / high.sum(axis=1, keepdims=True) if task.exclusive else high
        n = 1 if task.exclusive else len(task.labels)
        falling = np.linspace(1, 0.5, 3)
        curves = Curves(falling, falling, np.array([0.5, 0.6, 0.7]), np.full(3, 1e-3))
        return replace(run, prob=high, calibration=Calibration("temperature", (MAX_TEMPERATURE,) * n), curves=curves)
    return run


KINDS = (*STRENGTH, "one class", "undefined", "rare", "guessing", "one answer for all", "leaking", "weighted")
RUNS = [(kind, of) for kind in KINDS for of in TASKS]

Condition = Callable[[Planted, re.Match[str]], bool]
NUMBER, STANDS = r"(−?\d+\.\d+|–)", r"(better than|not clearly better than|no better than|worse than)"
NOUN = r"(?:classes|grades|findings)"
CLAIMS: list[tuple[str, Condition]] = []


def claim(pattern: str) -> Callable[[Condition], Condition]:
    """Put a sentence's pattern and its condition into the table."""

    def put(condition: Condition) -> Condition:
        CLAIMS.append((pattern, condition))
        return condition

    return put


def near(said: str, value: float, decimals: int | None = None) -> bool:
    """Whether a written number is a value, rounded as it is written."""
    said = said.replace("−", "-").replace(",", "")
    places = len(said.partition(".")[2]) if decimals is None else decimals
    return abs(float(said) - value) <= 0.5 * 10.0**-places + 1e-9


@claim(
    rf"On (\d+) test (?:fundus photographs|images) the cnn network ranks {NOUN} with AUC "
    rf"{NUMBER}(?: \((.*?)–(.*?)\))?"
    rf"((?:,| and) {STANDS} the (linear baseline|majority-class baseline) at {NUMBER}){{1,2}}\."
)
def _verdict(run: Planted, m: re.Match[str]) -> bool:
    parts = re.findall(rf"{STANDS} the (linear|majority) \w+ at {NUMBER}", m[0])
    values = {"linear": run.auc(run.linear), "majority": 0.5}
    order = [values[baseline] for _, baseline, _ in parts]
    return (
        int(m[1]) == len(run.y)
        and near(m[2], run.auc())
        and order == sorted(order, reverse=True)
        and all(run.stands(words, baseline) and near(value, values[baseline]) for words, baseline, value in parts)
    )


@claim(
    r"On (?:\d+ )?test(?: fundus photographs)? the AUC of the cnn network is undefined: no "
    r"positive or no negative case\."
)
def _undefined(run: Planted, m: re.Match[str]) -> bool:
    return bool(np.isnan(run.auc()))


@claim(r"On test its AUC is (\S+), that of (the majority-class baseline|the linear baseline) (\S+) "
       r"\(difference (\S+), 95 % interval (\S+) to (\S+), on the same images\)\.")  # fmt: skip
def _skill(run: Planted, m: re.Match[str]) -> bool:
    baseline = run.auc(run.linear) if "linear" in m[2] else 0.5
    low, high = (float(m[k].replace("−", "-")) for k in (5, 6))
    return near(m[1], run.auc()) and near(m[3], baseline) and near(m[4], run.auc() - baseline) and low <= float(
        m[4].replace("−", "-")) <= high  # fmt: skip


@claim(r"On test its AUC is (\S+), that of (the majority-class baseline|the linear baseline) (\S+) "
       r"\(difference (\S+) however the images are drawn, on the same images\)\.")  # fmt: skip
def _alike(run: Planted, m: re.Match[str]) -> bool:
    """Both give one answer for all, or both are never wrong: no resample has another difference."""
    rival = run.linear if "linear" in m[2] else np.tile(run.y.mean(axis=0), (len(run.y), 1))
    constant = all(len(np.unique(p[:, c])) == 1 for p in (run.prob, rival) for c in run.columns)
    return (
        near(m[1], run.auc()) and near(m[3], run.auc(rival)) and float(m[4]) == 0
        and (constant or run.auc() == run.auc(rival) == 1)
    )  # fmt: skip


@claim(r"The loss on train went from (\S+) to (\S+)\.")
def _loss(run: Planted, m: re.Match[str]) -> bool:
    return run.curves is not None and near(m[1], run.curves.loss[0]) and near(m[2], run.curves.loss[-1])


@claim(r"Accuracy on test is (\S+); answering what is most usual for every image gives (\S+) "
       r"\(difference (\S+), 95 % "
       r"interval (\S+) to (\S+)\)\.")  # fmt: skip
def _accuracy(run: Planted, m: re.Match[str]) -> bool:
    if run.task.exclusive:
        own = (run.prob.argmax(axis=1) == run.y.argmax(axis=1)).mean()
        usual = run.y.mean(axis=0).max()
    else:
        own = ((run.prob > 0.5) == run.y).mean()
        usual = np.maximum(run.y.mean(axis=0), 1 - run.y.mean(axis=0)).mean()
    return near(m[1], own) and near(m[2], usual) and float(m[4].replace("−", "-")) <= 0


@claim(r"Accuracy on test is (\S+); answering what is most usual for every image gives (\S+) "
       r"\(difference (\S+) however the images are drawn\)\.")  # fmt: skip
def _same_accuracy(run: Planted, m: re.Match[str]) -> bool:
    return m[1] == m[2] and float(m[3]) == 0 and (run.decided == run.decided[0]).all()


@claim(r"No image of test is answered with (.*)\.")
def _never_answered(run: Planted, m: re.Match[str]) -> bool:
    never = (run.y.sum(axis=0) > 0) & (run.decided.sum(axis=0) == 0)
    return [label in m[1] for label in run.task.labels] == never.tolist()


@claim(r"Probabilities on test are off by (\S+) on average \(expected calibration error, 10 "
       r"equal bins\), on the whole "
       r"too (high|low): (\S+) is stated, (\S+) comes true\.")  # fmt: skip
def _calibration(run: Planted, m: re.Match[str]) -> bool:
    stated, true = stated_and_true(run)
    return (
        near(m[1], ece(run)) and near(m[3], stated.mean()) and near(m[4], true.mean())
        and m[2] == ("high" if stated.mean() > true.mean() else "low")
    )  # fmt: skip


def stated_and_true(run: Planted) -> tuple[np.ndarray, np.ndarray]:
    """What answers state and whether it is so: of the most probable class, else of every finding."""
    if not run.task.exclusive:
        return run.prob.ravel(), run.y.ravel()
    return run.prob.max(axis=1), (run.prob.argmax(axis=1) == run.y.argmax(axis=1)).astype(float)


def ece(run: Planted) -> float:
    """Expected calibration error of ten equal bins, of answers or of all pairs of image and finding."""
    stated, true = stated_and_true(run)
    own = np.minimum((stated * 10).astype(int), 9)
    return float(sum(abs((stated - true)[own == k].sum()) for k in range(10)) / len(stated))


@claim(r"Calibrated ones would be off by less than (\S+) in 99 of 100 such tests\.")
def _by_chance(run: Planted, m: re.Match[str]) -> bool:
    return float(m[1]) < ece(run)


@claim(r"Probabilities are off by (\S+) on average \(expected calibration error on test\)\.")
def _calibration_of_card(run: Planted, m: re.Match[str]) -> bool:
    return near(m[1], ece(run))


@claim(r"Probabilities are (too high|too low|about right on average): (\S+) is stated, (\S+) comes true; expected "
       r"calibration error (\S+) over 10 equal bins, Brier score (\S+)\.")  # fmt: skip
def _reliability(run: Planted, m: re.Match[str]) -> bool:
    stated, true = stated_and_true(run)
    gap = stated.mean() - true.mean()
    lean = "about right on average" if abs(gap) < 0.02 else "too high" if gap > 0 else "too low"
    squares = (run.prob - run.y) ** 2
    # Of two classes it is of the second alone, which both are as far off as.
    brier = squares.sum(axis=1).mean() if run.task.kind == "ordinal" else squares.mean()
    return m[1] == lean and near(m[2], stated.mean()) and near(m[3], true.mean()) and near(m[5], brier)


@claim(r"Calibration took the highest temperature there is, 8(?: for a, b, c)?\.")
def _hottest(run: Planted, m: re.Match[str]) -> bool:
    return run.calibration is not None and max(run.calibration.temperatures) >= MAX_TEMPERATURE * 0.999


@claim(r"They were not calibrated on val \(--set decide.calibration=temperature\)\.")
def _not_calibrated(run: Planted, m: re.Match[str]) -> bool:
    return run.calibration is not None and run.calibration.kind == "none"


@claim(r"Prediction sets hold the truth for (\S+) of test \(95 % interval (\S+) to (\S+)\), where (\S+) was wanted\.")
def _sets(run: Planted, m: re.Match[str]) -> bool:
    return near(m[1], covered(run)) and float(m[3]) < WANTED == float(m[4])


def covered(run: Planted) -> float:
    if run.task.exclusive:
        return float(run.sets[np.arange(len(run.y)), 0, run.y.argmax(axis=1)].mean())
    return float(np.where(run.y == 1, run.sets[:, :, 1], run.sets[:, :, 0]).mean())


@claim(r"Scores on test rest on few images with or without a label: (.*)\.")
def _few(run: Planted, m: re.Match[str]) -> bool:
    rarer = np.minimum(run.y.sum(axis=0), len(run.y) - run.y.sum(axis=0))
    return [label in m[1] for label in run.task.labels] == ((rarer > 0) & (rarer < 10)).tolist()


@claim(r"AUC has no interval: (.*)\.")
def _no_interval(run: Planted, m: re.Match[str]) -> bool:
    return bool(np.isnan(run.auc())) or not np.isfinite(find_row(run.rows, "auc").low)


@claim(r"The 95 % interval of AUC is wide: (\S+) to (\S+)\.")
def _wide(run: Planted, m: re.Match[str]) -> bool:
    low, high = float(m[1]), float(m[2])
    return high - low > 0.2 - 1e-3 and low <= run.auc() <= high


@claim(r"3 images stand in train and test\.")
def _leak(run: Planted, m: re.Match[str]) -> bool:
    return LEAK in run.checks


@claim(r"Duplicates and leaks between splits: none was found by the audit of the data\.")
def _no_leak(run: Planted, m: re.Match[str]) -> bool:
    return LEAK not in run.checks


@claim(r"Duplicates and leaks between splits: 3 images stand in train and test\.")
def _a_leak(run: Planted, m: re.Match[str]) -> bool:
    return LEAK in run.checks


@claim(r"(Serious, )?(PL\d{3}):")
def _check(run: Planted, m: re.Match[str]) -> bool:
    return any(check.code == m[2] and check.serious == bool(m[1]) for check in run.content.checks)


@claim(r"Measured on (\d+) test images of the same collection it was trained on; other devices, hospitals and "
       r"populations were not tested\.")  # fmt: skip
def _measured(run: Planted, m: re.Match[str]) -> bool:
    return int(m[1]) == len(run.y)


@claim(r"With (\d+) images the intervals are wide; read them before the values\.")
def _few_images(run: Planted, m: re.Match[str]) -> bool:
    return int(m[1]) == len(run.y) < 1000


@claim(r"Few test images, so uncertain scores, for (.*)\.")
def _rare(run: Planted, m: re.Match[str]) -> bool:
    n = run.y.sum(axis=0)
    return all((f"{label} ({k})" in m[1].replace('"', "")) == (k < 30)
               for label, k in zip(run.task.labels, n, strict=True))  # fmt: skip


@claim(r"The finding is malignant\. The official positive class is the other one, \"normal, "
       r"benign\", and the official "
       r"AUC is of that\. For the finding, malignant, sensitivity is (\S+?)(?: \(.*?\))? and specificity "
       r"(\S+?)(?: \(.*?\))?, as decided\.")  # fmt: skip
def _finding(run: Planted, m: re.Match[str]) -> bool:
    shares = [run.decided[run.y[:, c] == 1, c] for c in (0, 1)]
    return all(
        near(said, share.mean()) if len(share) else said == "–"
        for said, share in zip(m.groups(), shares, strict=True)
    )


@claim(r"(\d+) of (\d+) are right; no (?:class|grade) is taken for another\.")
def _all_right(run: Planted, m: re.Match[str]) -> bool:
    return int(m[1]) == int(m[2]) == (run.decided.argmax(1) == run.y.argmax(1)).sum()


@claim(r"(\d+) of (\d+) are right; most often mistaken: (.*), answered (.*) in (\d+) of (\d+)\.")
def _mistaken(run: Planted, m: re.Match[str]) -> bool:
    counts = run.y.astype(int).T @ run.decided
    i, j, wrong = run.column(m[3]), run.column(m[4]), counts * (1 - np.eye(len(counts), dtype=int))
    return (int(m[1]), int(m[2])) == (np.trace(counts), len(run.y)) and counts[i, j] == int(m[5]) and counts[
        i].sum() == int(m[6]) and (wrong[i, j] == wrong.max() or wrong[i, j] / counts[i].sum() >= (
            wrong / np.maximum(counts.sum(1, keepdims=True), 1)).max() - 1e-9)  # fmt: skip


@claim(r"(\d+) of (\d+) findings are found, with (\d+) false alarms(?:; never found: (.*))?\.")
def _found(run: Planted, m: re.Match[str]) -> bool:
    right = run.y & run.decided
    never = ((right.sum(0) == 0) & (run.y.sum(0) > 0)).any()
    return [int(m[k]) for k in (1, 2, 3)] == [right.sum(), run.y.sum(), (run.decided & (1 - run.y)).sum()] and bool(
        m[4]) == never  # fmt: skip


@claim(r"Most often missed: (.*), found in (\d+) of (\d+); bars are 95 % intervals \(Wilson\)\.")
def _missed(run: Planted, m: re.Match[str]) -> bool:
    found, n = (run.y & run.decided).sum(0), run.y.sum(0)
    worst = np.nanmin(np.where(n > 0, found / np.maximum(n, 1), np.nan))
    c = run.column(m[1])
    return (int(m[2]), int(m[3])) == (found[c], n[c]) and found[c] / n[c] == worst < 1


@claim(r"No label has a false negative; bars are 95 % intervals \(Wilson\)\.")
def _none_missed(run: Planted, m: re.Match[str]) -> bool:
    return bool(((run.y == 1) <= (run.decided == 1)).all())


@claim(r"Ranked best: (.*) \(AUC (\S+)\); worst: (.*) \((\S+)\)\.")
def _ranked(run: Planted, m: re.Match[str]) -> bool:
    areas = label_aucs(run)
    return near(m[2], np.nanmax(areas)) and near(m[4], np.nanmin(areas)) and near(m[2], areas[run.column(m[1])])


def label_aucs(run: Planted) -> np.ndarray:
    n = run.y.sum(axis=0)
    return np.array([roc_auc_score(run.y[:, c], run.prob[:, c]) if 0 < n[c] < len(run.y) else np.nan
                     for c in range(len(n))])  # fmt: skip


@claim(r"(.*): AUC (\S+)\.")
def _area(run: Planted, m: re.Match[str]) -> bool:
    return near(m[2], label_aucs(run)[run.column(m[1])])


@claim(r"No label has (?:both positive and negative cases, so there is no curve|an AUC with an interval)\.")
def _no_curve(run: Planted, m: re.Match[str]) -> bool:
    return bool(np.isnan(label_aucs(run)).all())


@claim(r"No label has a positive case, so there is no curve\.")
def _no_positive(run: Planted, m: re.Match[str]) -> bool:
    return not run.y[:, -1 if run.task.kind == "binary" else slice(None)].any()


@claim(r"No label has a positive case, so sensitivity is undefined\.")
def _no_sensitivity(run: Planted, m: re.Match[str]) -> bool:
    return not run.y.any()


@claim(r"Most is gained by (.*?) \(average precision (\S+) against (\S+) by guessing\)(?:, least by (.*?) \(average "
       r"precision (\S+) against (\S+) by guessing\))?; the thin line is guessing, the sign "
       r"the decisions\.")  # fmt: skip
def _gained(run: Planted, m: re.Match[str]) -> bool:
    share = run.y.mean(axis=0)
    columns = [c for c in range(run.y.shape[1]) if share[c] > 0 and (run.task.kind != "binary" or c == 1)]
    gains = {c: average_precision_score(run.y[:, c], run.prob[:, c]) - share[c] for c in columns}
    best = run.column(m[1])
    good = near(m[2], gains[best] + share[best]) and near(m[3], share[best]) and gains[best] == max(gains.values())
    return good and (m[4] is None or gains[run.column(m[4])] == min(gains.values()))


@claim(r"(On (?:all (\d+)|none of (\d+)|(\d+) of (\d+)) metrics the interval clears every "
       r"baseline; each dot a score, "
       r"each bar its 95 % interval\.)")  # fmt: skip
def _clears(run: Planted, m: re.Match[str]) -> bool:
    names = ("auc", "acc", "balanced_accuracy", "f1_macro", "qwk", "average_precision")
    baselines = [baseline.rows for baseline in run.content.baselines]

    def clear(row) -> bool:
        """The rule of the figure: intervals do not touch; a rival without one counts as its value."""
        others = [find_row(rows, row.name) for rows in baselines]
        return all(row.low > (other.high if np.isfinite(other.high) else other.value) for other in others)

    shown = [row for row in run.rows if row.label is None and row.name in names][:4]
    n = sum(map(clear, shown))
    said = int(m[2]) if m[2] else 0 if m[3] else int(m[4])
    return said == n and int(m[2] or m[3] or m[5]) == len(shown)


@claim(r"Of all (?:images|pairs of image and finding), (.*?) are answered wrongly; of the surest (.*?), (.*?)\.")
def _risk(run: Planted, m: re.Match[str]) -> bool:
    if run.task.exclusive:
        wrong, sure = run.decided.argmax(1) != run.y.argmax(1), (run.prob * run.decided).sum(1)
    else:
        wrong = (run.decided != run.y).ravel()
        sure = np.where(run.decided == 1, run.prob, 1 - run.prob).ravel()
    cut = np.sort(sure)[::-1][int(np.ceil(len(sure) / 2)) - 1]
    kept = sure >= cut
    return percent(m[1], wrong.mean()) and percent(m[2], kept.mean()) and percent(m[3], wrong[kept].mean())


def percent(said: str, share: float) -> bool:
    if said == "under 1 %":
        return 0 < share < 0.01
    return 0.995 <= share < 1 if said == "over 99 %" else near(said.removesuffix(" %"), 100 * share)


@claim(r"Where the set has a single label \((.*?)\), (.*?) are \(diamond\)\.")
def _alone(run: Planted, m: re.Match[str]) -> bool:
    given, wrong = answered_alone(run)
    return given.any() and percent(m[1], given.mean()) and percent(m[2], wrong[given].mean())


@claim(r"No set has a single label\.")
def _none_alone(run: Planted, m: re.Match[str]) -> bool:
    return not answered_alone(run)[0].any()


def answered_alone(run: Planted) -> tuple[np.ndarray, np.ndarray]:
    """Where the set of the report holds one option, and whether the answer is wrong."""
    sets = run.content.conformal.sets_with(run.task, run.prob, run.decided)
    alone = sets.sum(axis=2) == 1
    wrong = (run.decided != run.y).any(axis=1, keepdims=True) if run.task.exclusive else run.decided != run.y
    return alone, wrong


@claim(r"One answer is left in (.*?) of the sets\.")
def _left(run: Planted, m: re.Match[str]) -> bool:
    return percent(m[1], answered_alone(run)[0].mean())


@claim(r"The truth is in the set \(dots\) clearly less often than wanted for (.*)\.")
def _short(run: Planted, m: re.Match[str]) -> bool:
    sets = run.content.conformal.sets_with(run.task, run.prob, run.decided)
    for name in re.split(r", | and ", m[1].replace('"normal, benign"', "normal; benign")):
        c = None if name == "all images" else run.column(name.replace(";", ",").strip('"'))
        rows = slice(None) if c is None else run.y[:, c] == 1
        held = sets[np.arange(N), 0, run.y.argmax(1)][rows] if run.task.exclusive else sets[rows, c, 1]
        if not held.mean() < 0.8:
            return False
    return True


@claim(r"Always possible, one answer or any, as val has too few: (.*)\.")
def _always(run: Planted, m: re.Match[str]) -> bool:
    return bool(run.content.conformal.notes)


@claim(r"80 % are wanted (over all images together|of the images with a finding, and without)\.")
def _wanted(run: Planted, m: re.Match[str]) -> bool:
    return run.content.conformal.coverage == 0.8 and ("together" in m[1]) == run.task.exclusive


@claim(r"(Not clear of guessing: .*?|Worse than guessing: .*?|Every interval is above guessing)"
       r"(?:; widest: (.*), with (\d+) positive images)?\.")  # fmt: skip
def _guessing(run: Planted, m: re.Match[str]) -> bool:
    # The intervals are DeLong's or Newcombe's; what is said of them is compared with theirs. An area without one, of
    # one answer for all, is guessing itself.
    rows = [row for row in run.rows if row.name == "auc" and row.label and np.isfinite(row.value)]
    width = {row.label: row.high - row.low for row in rows if np.isfinite(row.low)}
    unclear = {row.label for row in rows if (row.low <= 0.5 <= row.high or row.value == 0.5) and row.n >= 10}
    named = {row.label for row in rows if "Not clear" in m[1] and row.label in re.split(r"[:;,] | and ", m[1])}
    if unclear != named or (m[2] is None) != (not width):
        return False
    return not width or (int(m[3]) == run.y[:, run.column(m[2])].sum() and width[m[2]] == max(width.values()))


@claim(r"Open dots rest on fewer than 10 positive images\.")
def _open_dots(run: Planted, m: re.Match[str]) -> bool:
    return bool(((run.y.sum(axis=0) < 10) & (run.y.sum(axis=0) > 0)).any())


@claim(r"Clearly worth more than treating all or none: (.*)\.")
def _worth(run: Planted, m: re.Match[str]) -> bool:
    """Where a net benefit is said to be higher, it is, in the middle of the range."""
    for part in m[1].split("; "):
        name = next(q for q in ("referable", *run.task.labels) if part.startswith(q))
        columns = slice(1, None) if name == "referable" else [run.column(name)]
        y, p = run.y[:, columns].sum(axis=1), run.prob[:, columns].sum(axis=1)
        for low, high in re.findall(r"between (\S+) and (\S+)", part):
            for t in np.linspace(float(low), float(high), 7)[1:-1]:
                own = (y[p > t].sum() - (1 - y[p > t]).sum() * t / (1 - t)) / len(y)
                if not own > max(0, y.mean() - (1 - y.mean()) * t / (1 - t)):
                    return False
    return True


@claim(r"The (\d) commonest of (\d) are drawn\.")
def _commonest(run: Planted, m: re.Match[str]) -> bool:
    shown = sum(0 < q.of(run.y).mean() < 1 for q in run.task.questions)
    return (int(m[1]), int(m[2])) == (shown, len(run.task.questions))


@claim(r"The last of 3 epochs is the best on val: AUC (\S+), before it at best (\S+)\.")
def _improving(run: Planted, m: re.Match[str]) -> bool:
    return run.curves is not None and (float(m[1]), float(m[2])) == (0.7, 0.6)


@claim(r"No question has both positive and negative cases, so there is no net benefit\.")
def _no_benefit(run: Planted, m: re.Match[str]) -> bool:
    return all(q.of(run.y).mean() in (0, 1) for q in run.task.questions)


@claim(r"In train, (?:(.*) is (\S+) times as frequent as (.*)|every label has (\d+) images|(.*) is the most frequent "
       r"label, (.*) never occurs); a label's share differs by at most 0.0 points between splits\.")  # fmt: skip
def _frequent(run: Planted, m: re.Match[str]) -> bool:
    counts = dict(zip(run.task.labels, run.y.sum(axis=0).tolist(), strict=True))
    if not run.task.exclusive:
        counts["no finding"] = int((run.y.sum(axis=1) == 0).sum())
    if m[4]:
        return set(counts.values()) == {int(m[4])}
    if m[5]:
        return counts[m[5]] == max(counts.values()) and counts[m[6]] == 0
    top, bottom = max(counts.values()), min(counts.values())
    return (counts[m[1]], counts[m[3]]) == (top, bottom) and top > bottom and near(m[2], top / bottom)


@claim(r"Most often: (.*), in (\d+) of (\d+) images with (.*)\.")
def _false(run: Planted, m: re.Match[str]) -> bool:
    wrong = (run.decided[:, run.column(m[1])] == 1) & (run.y[:, run.column(m[1])] == 0)
    has = run.y[:, run.column(m[4])] == 1
    return (int(m[2]), int(m[3])) == ((wrong & has).sum(), has.sum())


@claim(r"No other finding is answered in a row of (\d+) images or more\.")
def _no_false(run: Planted, m: re.Match[str]) -> bool:
    big = run.y.sum(axis=0) >= int(m[1])
    return not ((run.decided & (1 - run.y)).T @ run.y[:, big].astype(int)).any()


SAID_OF_ALL = (
    r"Images are 8 × 8 px; signs smaller than a pixel at that size cannot be seen\.",
    r"No results by device: the data used here do not name it\.",
    r"No scores by site, age, sex, view: the dataset does not name them\.",
    r"Signs mark where the decisions stand; the diagonal is guessing\.",
    r"Net benefit is true positives less false positives, these weighed by the odds of the "
    r"threshold, per image; bands "
    r"are 95 % intervals\.",
    r"Of the images that truly have the finding of a row .* \(sensitivity\)\.",
)
"""What is said of every run: how to read a figure, and what was not done."""

OF_TRAINING = ("learning", "folds", "fold-curves", "presence", "per-image", "together", "along", "published")
"""Figures of learning curves and of the data, whose sentences `test_sentences_elsewhere` compares, and of published
scores, of which `test_published` does."""


def advice(run: Planted) -> set[str]:
    """What checks say to do, which is no claim: `docs/checks.md` has it whole."""
    return {check.do for check in run.content.checks}


def sentences_of(run: Planted) -> list[str]:
    content = run.content
    baselines = {baseline.name: baseline.rows for baseline in content.baselines}
    measured = Measured(run.task, "cnn", run.rows, baselines, content.ahead)
    figures = {name: display for name, display in run_displays(content).items() if name not in OF_TRAINING}
    checks = card._checks(content)
    for what in sorted(advice(run), key=len, reverse=True):
        checks = [line.replace(f" {what}", "") for line in checks]
    texts = [
        run_verdict(content), measured.verdict, content.leaks, card._calibration(content), *checks,
        *card.limits(content), *finding_words(content), *decided_words(content),
        *(display.caption for display in figures.values()),
    ]  # fmt: skip
    return [part for text in texts for part in split(text)]


def split(text: str) -> list[str]:
    """Cut a text into its sentences; a finding's three belong together."""
    if text.startswith("The finding is "):
        return [text]
    marked = re.sub(r"((?:Serious, )?PL\d{3}:) ", r"\1\n", text)
    marked = re.sub(r'(?<=[a-z0-9)%–"]\.) (?=[A-Z]|80 %)', "\n", marked)
    return [part for part in marked.split("\n") if part]


@pytest.mark.parametrize(("kind", "of"), few_pairs(KINDS, TASKS))
def test_every_sentence_of_a_run_is_borne_out_by_its_numbers(kind, of):
    run = planted(kind, of)
    for sentence in sentences_of(run):
        if any(re.fullmatch(pattern, sentence) for pattern in SAID_OF_ALL):
            continue
        found = [(re.fullmatch(pattern, sentence), condition) for pattern, condition in CLAIMS]
        matched = [(m, condition) for m, condition in found if m]
        assert matched, f"no condition is known for: {sentence}"
        assert any(condition(run, m) for m, condition in matched), sentence


@pytest.mark.full
def test_every_condition_is_asked_by_some_run():
    said = [s for kind, of in RUNS for s in sentences_of(planted(kind, of))]
    unasked = [pattern for pattern, _ in CLAIMS if not any(re.fullmatch(pattern, s) for s in said)]
    assert unasked == []


def test_a_false_sentence_would_fail():
    """The conditions can fail: what is true of one run is false of another."""
    said = {kind: run_verdict(planted(kind, "findings").content) for kind in ("better", "worse", "tied")}
    match = {kind: next(m for p, _ in CLAIMS if (m := re.fullmatch(p, text))) for kind, text in said.items()}
    for kind in said:
        assert [_verdict(planted(other, "findings"), match[kind]) for other in said] == [kind == o for o in said]


# Several seeds, and studies.


@pytest.mark.parametrize("kind", ["better", "worse", "tied"])
def test_the_verdict_of_several_seeds_is_of_their_mean(kind):
    one = planted(kind, "findings")
    two = replace(one, prob=informed(one.task, one.y, STRENGTH[kind][0], 11))
    runs = [one, two]
    rows = score_seeds(one.task, one.y, [r.prob for r in runs], [r.decided for r in runs], resamples=100)
    content = replace(one.content, rows=rows)
    said = seeds_verdict(content, 2)
    baselines = {own.name: own.rows for own in content.baselines}
    of_scores = SeedsScores("test", [0, 1], rows, baselines)
    about = {"modality": content.dataset.modality, "noun": content.task.nouns[1]}
    assert scores_verdict(of_scores, "cnn", **about) == said
    one_run = Scores("test", one.content.rows, baselines, ahead=one.content.ahead)
    assert scores_verdict(one_run, "cnn", **about) == run_verdict(one.content)
    areas = [run.auc() for run in runs]
    found = re.search(r"with AUC (\S+) ± (\S+) over 2 seeds \(95 % interval (\S+)–(\S+)\)", said)
    assert near(found[1], np.mean(areas))
    assert near(found[2], np.std(areas, ddof=1))
    assert float(found[3]) < np.mean(areas) <= float(found[4])
    for words, baseline, value in re.findall(rf"{STANDS} the (linear|majority) \w+ at (\d\.\d+)", said):
        other = find_row(next(r.rows for r in one.content.baselines if r.name == baseline), "auc")
        low, high = (float(found[k]) for k in (3, 4))
        assert near(value, other.value)
        touch = low <= (other.high if np.isfinite(other.high) else other.value) and high >= (
            other.low if np.isfinite(other.low) else other.value
        )
        assert words == (
            ("not clearly better than" if np.mean(areas) > other.value else "no better than") if touch
            else "better than" if np.mean(areas) > other.value else "worse than"
        )  # fmt: skip


def test_seeds_that_disagree_are_told_with_their_numbers():
    from penlight.evaluation import Score

    rows = [Score("auc", None, value, value - 0.02, value + 0.02, 60) for value in (0.6, 0.7)]
    assert seeds_disagree.find(rows).text == (
        "AUC of 2 seeds runs from 0.600 to 0.700, 0.100 apart; the 95 % interval of one seed is 0.040 wide on "
        "average."
    )
    assert seeds_disagree.find(rows[:1] * 2) is None


P = {("cnn", "linear"): 0.01}
STUDIES = {
    "better": table(MAJORITY, LINEAR, entry("cnn", 0.82), entry("frozen", 0.75), p=P),
    "worse": table(MAJORITY, LINEAR, entry("cnn", 0.62), entry("frozen", 0.70), p=P),
    "tied": table(MAJORITY, LINEAR, entry("cnn", 0.75), entry("cnn-augmented", 0.74, compare_with="cnn")),
    "guessing": table(MAJORITY, entry("linear", 0.515), entry("cnn", 0.52)),
    "by val": seen_on_val(table(LINEAR, entry("cnn", 0.72), entry("frozen", 0.78)), p=P, cnn=0.82, frozen=0.75),
    "no network": table(MAJORITY, LINEAR),
}
OF_STUDIES = (
    (r"Take (none of them|the .*?)(?:[,:]| \(on test).*", lambda t, m: _took(t, m)),
    (r"That was chosen by the scores on (test|30 val images), among (\d) recipes.*",
     lambda t, m: (m[1] == "test") == (t.on_val is None) and int(m[2]) == len(t.entries)),
    (r"(No network beats|.* beats?) the linear baseline by more than chance\.(.*)", lambda t, m: _beats(t, m)),
    (r"Between the best custom network \(CNN\) and the best pre-trained one \(Frozen "
     r"MobileNet\) no difference beyond "
     r"chance was found: (\S+) against (\S+), .*", lambda t, m: _custom(t, m, False)),
    (r"The best (?:custom|pre-trained).* beats the best .* by more than chance: (\S+) against (\S+), .*",
     lambda t, m: _custom(t, m, True)),
    (r"The CNN with augmentation in place of the CNN changes the AUC no more than chance does .*",
     lambda t, m: not t.difference(t.entry("cnn-augmented"), t.entry("cnn")).more_than_chance),
    (r"(.*) (?:is|are) not clearly better than guessing: the interval holds 0\.5\.",
     lambda t, m: [e.title in m[1] for e in t.entries if e.id != "majority"]
     == [e.row("auc").low <= 0.5 for e in t.entries if e.id != "majority"]),
    (r"With 30 test images, differences under about (\S+) cannot be told from chance\.",
     lambda t, m: near(m[1], np.median([(d.high - d.low) / 2 for d in t.differences]))),
)  # fmt: skip


def _took(t, m) -> bool:
    """The linear baseline unless some network beats it where it was chosen; none where the best may be guessing."""
    by = t.on_val or t
    guessing = by.best.row("auc").low <= 0.5
    beaten = any(d.more_than_chance and d.value > 0 for e in by.networks if (d := by.difference(e, by.linear)))
    linear_first = not beaten and by.linear is not None and by.linear.row("auc").low > 0.5
    return (m[1] == "none of them") if guessing else (m[1] == study.in_text(t.linear)) == linear_first


def _beats(t, m) -> bool:
    ahead = [e.title for e in t.networks if (d := t.difference(e, t.linear)) and d.more_than_chance and d.value > 0]
    return (m[1] == "No network beats") == (not ahead) and all(name.lower() in m[1].lower() for name in ahead)


def _custom(t, m, clear: bool) -> bool:
    custom, frozen = (max(t.score(e) for e in t.entries if e.kind == kind) for kind in ("custom", "pre-trained"))
    return near(m[1], custom) and near(m[2], frozen) and t.difference(
        t.entry("cnn"), t.entry("frozen")).more_than_chance == clear  # fmt: skip


@pytest.mark.parametrize("name", STUDIES)
def test_every_sentence_of_a_study_is_borne_out_by_its_table(name):
    for said in study.findings(STUDIES[name]):
        found = [(re.fullmatch(pattern, said), condition) for pattern, condition in OF_STUDIES]
        matched = [(m, condition) for m, condition in found if m]
        assert matched, f"no condition is known for: {said}"
        assert all(condition(STUDIES[name], m) for m, condition in matched), said
