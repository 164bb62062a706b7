"""For every check, evidence that something is wrong: code -> (evidence, whether it is serious, words it must say)."""

from dataclasses import replace

import numpy as np

from penlight.data import apply_view
from penlight.data.record import record_of
from penlight.evaluation import Calibration, Score, find_decision
from penlight.evaluation.calibration import MAX_TEMPERATURE
from penlight.evaluation.checks import SplitAnswers
from penlight.evaluation.novelty_rates import NoveltyRate, NoveltyRates
from penlight.evaluation.subgroups import score_subgroups
from tests.conftest import small_dataset
from tests.evaluation.checks.evidence import (
    FINDINGS,
    TASK,
    blurred,
    calibrated,
    clean,
    counted,
    curves,
    sample,
    with_test,
)


def beaten_by_linear():
    e = clean()
    weak = blurred(TASK, e.test.sample, 1)
    return replace(with_test(e, weak), baselines={"linear": e.test.sample})


def barely_before_linear():
    e = clean()
    own = e.test.sample
    rival = blurred(TASK, own, 1, amount=0.2)
    one = replace(e, baselines={"linear": rival})
    if one.against("linear").value > 0:
        return one
    return replace(with_test(e, rival), baselines={"linear": own})


def flattering_val():
    return replace(clean(spread=1.2), val=SplitAnswers(sample(TASK, *calibrated(TASK, 400, 5, spread=4.0))))


def one_label_never_answered():
    e = clean()
    prob = e.test.sample.prob * [1, 1, 1, 1e-9]
    return with_test(e, sample(TASK, e.test.sample.y, prob / prob.sum(axis=1, keepdims=True)))


def mostly_one_class():
    return clean(lean=6.0, spread=1.0)


def too_sure():
    e = clean(spread=1.0)
    sharp = e.test.sample.prob**4
    return with_test(e, sample(TASK, e.test.sample.y, sharp / sharp.sum(axis=1, keepdims=True)))


def untuned_thresholds():
    e = clean(FINDINGS)
    y = e.val.sample.y.copy()
    y[:, 2] = 0
    decision = find_decision(FINDINGS, y, e.val.sample.prob, y.mean(axis=0) + 0.01, rule="f1")
    return replace(e, decision_notes=decision.notes)


def audited(change):
    """Clean evidence, but for what the audit of a small dataset finds after `change`."""
    dataset = small_dataset(TASK)
    change(dataset.splits)
    problems = record_of(apply_view(dataset)).problems
    e = clean()
    return replace(e, data=replace(e.data, problems=problems))


def leaked(splits):
    splits["test"].images[5], splits["test"].labels[5] = splits["train"].images[7], splits["train"].labels[7]


def read_twice(splits):
    splits["train"].images[3] = splits["train"].images[7]
    splits["train"].labels[3] = (splits["train"].labels[7] + 1) % 4


def blank(splits):
    splits["train"].images[0] = 9


def last_epoch_is_best():
    return replace(clean(), curves=curves(0.6, 0.7, 0.75, 0.81))


def other_shares_in_test():
    e = clean()
    counts = {**e.data.counts, "train": (700, 300, 300, 300)}
    return replace(e, data=replace(e.data, counts=counts, images={**e.data.images, "train": 1600}))


def learned_nothing():
    e = clean()
    prob = np.random.default_rng(1).permutation(e.test.sample.prob)
    return replace(with_test(e, sample(TASK, e.test.sample.y, prob)), val=None)


def few():
    return clean(n=(400, 30))


def no_hernia():
    e = clean()
    y = e.val.sample.y * np.array([1, 1, 1, 0], np.uint8)
    truly = e.test.sample.y
    train = np.concatenate([truly[truly[:, 3] == 0], truly[truly[:, 3] == 1][:3]])
    return replace(e, data=counted(TASK, train=train, val=y, test=train))


def no_patients():
    e = clean()
    return replace(e, data=replace(e.data, patients=None))


def one_sex_missed():
    e = clean()
    s, female = e.test.sample, np.random.default_rng(0).random(len(e.test.sample.y)) < 0.4
    prob = np.where(female[:, None], blurred(TASK, s, 1, amount=4.0).prob, s.prob)
    groups = score_subgroups([sample(TASK, s.y, prob)], {"sex": np.where(female, "F", "M")}, resamples=100)
    return replace(e, subgroups=groups)


def seeds_far_apart():
    return [Score("auc", None, value, value - 0.02, value + 0.02, 400) for value in (0.71, 0.75, 0.78)]


def maps_of_anything():
    return replace(clean(), maps_alike=0.82)


def read_by_many():
    return replace(clean(), read_before=1234)


def hottest():
    return replace(clean(), calibration=Calibration("temperature", (MAX_TEMPERATURE,)))


def sets_too_small():
    e = clean()
    row = Score("coverage", None, 0.82, 0.78, 0.86, 400)
    return replace(e, rows=[row if r.name == "coverage" and r.label is None else r for r in e.rows], coverage=0.9)


def strangers_missed():
    return replace(clean(), novelty=NoveltyRates(NoveltyRate(400, 24), {"chest-phantom": NoveltyRate(60, 53)}))


CASES = {
    "PL001": (beaten_by_linear, True, ("AUC is 0.", "linear baseline 0.", "difference −0.")),
    "PL002": (barely_before_linear, False, ("difference 0.0", "interval −0.0")),
    "PL003": (flattering_val, True, ("on val", "on test", "99 % interval 0.")),
    "PL004": (one_label_never_answered, True, ("answered with d (", " have it)")),
    "PL005": (mostly_one_class, True, ("Accuracy on test is 0.9", "gives 0.9")),
    "PL006": (too_sure, True, ("too high", "off by 0.", "comes true")),
    "PL007": (untuned_thresholds, False, ("c: 0 positive in val",)),
    "PL008": (lambda: audited(leaked), True, ("more than one split",)),
    "PL009": (last_epoch_is_best, False, ("last of 4 epochs", "0.810", "0.750")),
    "PL010": (seeds_far_apart, True, ("3 seeds", "0.710 to 0.780", "0.070 apart", "0.040 wide")),
    "PL011": (other_shares_in_test, False, ("other shares in train and test", "a 43.8 %")),
    "PL012": (learned_nothing, True, ("majority-class baseline 0.500", "loss on train")),
    "PL013": (lambda: audited(read_twice), True, ("different labels",)),
    "PL014": (few, False, ("few images",)),
    "PL015": (no_hernia, False, ("No image of val has d.", "Few images of train have d (3).")),
    "PL016": (no_patients, False, ("does not say which patient", "test 400")),
    "PL017": (lambda: audited(blank), False, ("one value everywhere",)),
    "PL018": (one_sex_missed, True, ("test differs by group", "for sex F and 0.", "difference −0.")),
    "PL019": (maps_of_anything, False, ("random weights", "0.820")),
    "PL020": (read_by_many, False, ("read by 1,234 other recipes",)),
    "PL021": (hottest, False, ("highest temperature there is, 8",)),
    "PL023": (strangers_missed, False, ("Of 60 drawn images", "53 are recognised", "24 of 400 test images")),
    "PL022": (sets_too_small, True, ("0.820 of test", "0.780 to 0.860", "0.90 was wanted")),
}
