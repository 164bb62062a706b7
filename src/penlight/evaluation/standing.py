"""How a score stands to those of simpler models on the same images: the one rule, and the words for it.

Reports, cards, pages, `predict` and the HTTP answers all say a run's verdict by these functions.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from penlight.evaluation.rows import Score, find_row
from penlight.numbers import counted, decimal_text
from penlight.records import Name, Number, Record
from penlight.tasks import Task

BETTER, UNCLEAR, NO_BETTER, WORSE = "better than", "not clearly better than", "no better than", "worse than"

_MODELS = {
    "majority": "the majority-class baseline",
    "linear": "the linear baseline",
    "encoder": "the probe on an encoder's features",
    "kernel": "the kernel ridge regression",
    "trees": "the extra trees",
    "perceptron": "the small perceptron",
    "ensemble": "the ensemble",
    "own": "the custom network",
    "estimator": "the scikit-learn estimator",
}

_EN_DASH = "\N{EN DASH}"

Named = tuple[str, Score]
"""A model's name and its row of a metric."""


class Ahead(Record):
    """How far a model's headline score is above that of another on the same images, with the 95 % interval of the
    paired difference; NaN where that is undefined."""

    value: Number
    low: Number
    high: Number


AheadOf = Annotated[Mapping[Name, Ahead], Field(max_length=100)]
"""By the names of the models that a model is ahead of."""


def model_words(name: str) -> str:
    """Say a model in a sentence: "the linear baseline", "the cnn network"."""
    return _MODELS.get(name, f"the {name} network")


def final_words(final: str | None, parts: int) -> str:
    """Say how the `parts` that are folds or seeds became the model, after its name: ", averaged over 5 trainings,";
    empty for others."""
    if final == "refit":
        return ", trained once more on all of train and val,"
    return f", averaged over {parts} trainings," if final else ""


def compare(row: Score, rival: Score, *, higher_is_better: bool = True, ahead: Ahead | None = None) -> str:
    """Say how a score stands against a rival's, cautiously.

    "better than" or "worse than" only if the 95 % interval of the paired difference `ahead` holds no zero; where that
    is not known, only if the two 95 % intervals do not touch, which errs towards modesty. Else "not clearly better
    than" with the better value, "no better than" without. A rival without an interval counts as exactly its value.
    """
    if ahead is not None and math.isfinite(ahead.high - ahead.low):
        if ahead.low > 0 or ahead.high < 0:
            return BETTER if ahead.low > 0 else WORSE
        return UNCLEAR if row.value > rival.value else NO_BETTER
    sign = 1 if higher_is_better else -1
    (low, high), (rival_low, rival_high) = (sorted(sign * end for end in own.ends) for own in (row, rival))
    if low > rival_high:
        return BETTER
    if rival_low > high:
        return WORSE
    return UNCLEAR if sign * (row.value - rival.value) > 0 else NO_BETTER


def strongest_first(
    model: str, rivals: Iterable[tuple[str, Sequence[Score]]], metric: str, *, higher_is_better: bool = True
) -> list[Named]:
    """Give the rows of a metric of the models other than `model` that have one, the best first."""
    rows = [(name, find_row(own, metric)) for name, own in rivals if name != model]
    known = [(name, row) for name, row in rows if row is not None and math.isfinite(row.value)]
    return sorted(known, key=lambda named: named[1].value, reverse=higher_is_better)


def against(
    row: Score,
    rivals: Iterable[Named],
    decimals: int = 2,
    *,
    higher_is_better: bool = True,
    ahead: Mapping[str, Ahead] = MappingProxyType({}),
) -> str:
    """Say how a row stands against each rival, in their order: ", better than the linear baseline at 0.74"; `ahead`
    as in `compare`, by the names of rivals."""
    parts = [
        f"{compare(row, own, higher_is_better=higher_is_better, ahead=ahead.get(name))} {model_words(name)} at "
        f"{decimal_text(own.value, decimals)}"
        for name, own in rivals
    ]
    return "".join(f", {part}" if i == 0 else f" and {part}" for i, part in enumerate(parts))


def does(metric: str, noun: str) -> str:
    """Say what a score is of; `noun` is what labels are, "grades", empty where that is not known."""
    return f"ranks {noun} with" if noun and metric.startswith("auc") else "reaches"


@dataclass(frozen=True)
class Measured:
    """What was measured of a model on test: its `rows`, those of `baselines`, and how far it is `ahead` of each of
    them by its headline score, where that was kept; `words` say the model in a sentence, where its name does not."""

    task: Task
    model: str
    rows: Sequence[Score]
    baselines: Mapping[str, Sequence[Score]]
    ahead: Mapping[str, Ahead]
    words: str = ""

    @property
    def headline(self) -> Score | None:
        """The headline row; None where it was not scored."""
        return find_row(self.rows, self.task.headline)

    @property
    def verdict(self) -> str:
        """Say in a sentence what the model is worth, by its headline score and those of simpler models."""
        row, name = self.headline, "AUC" if self.task.headline == "auc" else self.task.headline.replace("_", " ")
        if row is None or not math.isfinite(row.value):
            reason = "was not scored" if row is None else f"is undefined: {row.note or 'no reason was kept'}"
            return f"On test the {name} of {self._words} {reason}."
        known = math.isfinite(row.high - row.low)
        sure = f" ({decimal_text(row.low, 2)}{_EN_DASH}{decimal_text(row.high, 2)})" if known else ""
        score = f"{does(self.task.headline, self.task.nouns[1])} {name} {decimal_text(row.value, 2)}{sure}"
        others = against(row, self._rivals, ahead=self.ahead)
        return f"On {counted(row.n, 'test image')} {self._words} {score}{others}."

    @property
    def stands(self) -> str:
        """Say the same in a few words, for a cell of a table: "not clearly better than majority on test"."""
        row = self.headline
        if row is None or not math.isfinite(row.value):
            return f"{self.task.headline} undefined on test"
        stands = [f"{compare(row, own, ahead=self.ahead.get(name))} {name}" for name, own in self._rivals]
        return f"{', '.join(stands) or 'compared with no other model'} on test"

    @property
    def _words(self) -> str:
        return self.words or model_words(self.model)

    @property
    def _rivals(self) -> list[Named]:
        return strongest_first(self.model, self.baselines.items(), self.task.headline)
