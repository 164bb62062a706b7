"""Evidence made to order: predictions that are right as often as they say, and what stands beside them in a run."""

from dataclasses import replace

import numpy as np

from penlight.data.record import DataRecord
from penlight.evaluation import Sample, score
from penlight.evaluation.checks import Curves, Evidence, SplitAnswers
from penlight.tasks import MultiClass, MultiLabel
from tests.conftest import LABELS

TASK = MultiClass(LABELS)
FINDINGS = MultiLabel(LABELS)


def calibrated(task, n, seed, *, spread=3.0, lean=0.0):
    """(truth, probabilities): the truth is drawn from the probabilities; `spread` is how much these know, `lean` is
    added to the logits of the first label."""
    rng = np.random.default_rng([seed, n])
    logits = rng.normal(0, spread, (n, task.n_logits)) + lean * (np.arange(task.n_logits) == 0)
    if hasattr(task, "head") and task.kind == "ordinal" and task.head == "cumulative":
        logits = np.sort(logits, axis=1)[:, ::-1]
    prob = task.probabilities(logits)
    if not task.exclusive:
        return (rng.random(prob.shape) < prob).astype(np.uint8), prob
    place = (rng.random((n, 1)) > np.cumsum(prob, axis=1)[:, :-1]).sum(axis=1)
    return task.encode(place), prob


def sample(task, y, prob):
    return Sample(task, y, prob, task.decide(prob))


def blurred(task, s, seed, amount=1.5):
    """The same images by a model that knows less."""
    logits = task.logits(s.prob)
    return sample(
        task, s.y, task.probabilities(logits + amount * np.random.default_rng(seed).normal(size=logits.shape))
    )


def counted(task, **splits):
    """A record of splits by their truths, a patient for each image."""
    counts = {name: tuple(int(n) for n in y.sum(axis=0)) for name, y in splits.items()}
    images = {name: len(y) for name, y in splits.items()}
    return DataRecord(task.labels, images, counts, patients=images)


def curves(*val, rate=1e-3):
    """Learning curves with this headline metric on val."""
    values = np.array(val, float)
    return Curves(1 - values, 1 - values, values, np.full(len(values), rate))


def clean(task=TASK, seed=0, n=(400, 400), **options):
    """The evidence of a run that nothing is wrong with; n val and test images."""
    val, test = (sample(task, *calibrated(task, k, 2 * seed + i, **options)) for i, k in enumerate(n))
    train = calibrated(task, 2 * sum(n), 1000 + seed, **options)[0]
    return Evidence(
        test=SplitAnswers(test),
        rows=score(task, test.y, test.prob, test.decided, resamples=100),
        val=SplitAnswers(val),
        baselines={"linear": blurred(task, test, seed)},
        curves=curves(0.6, 0.8, 0.9, 0.9),
        epochs_planned=4,
        data=counted(task, train=train, val=val.y, test=test.y),
        maps_alike=0.1,
        read_before=3,
    )


def with_test(evidence, s):
    """The same run, saying this of test."""
    return replace(
        evidence, test=SplitAnswers(s), rows=score(s.task, s.y, s.prob, s.decided, resamples=100), baselines={}
    )
