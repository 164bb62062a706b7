"""A run's model as it is used: a picture comes in; an answer, and all that belongs to it, goes out.

The command, the server and a notebook ask through here, each image by itself, so that the same bytes get the same
answer everywhere, whatever came with them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.answers import Answer, AnsweringModel, Unlike
from penlight.data.pictures import (
    LARGEST_PIXELS,
    DecodeOptions,
    OriginalPictures,
    PictureHeader,
    Pixels,
    fit_with_header,
    load_with_header,
)
from penlight.evaluation.conformal import Conformal, candidate_labels
from penlight.evaluation.novelty import Novelty
from penlight.evaluation.selective import is_singleton
from penlight.numbers import decimal_text, percent_text
from penlight.runs.facts import NOTICE, ModelFacts
from penlight.runs.folder import RunFolder, open_run
from penlight.runs.predictor import Predictor, open_predictor
from penlight.runs.standing import standing_of
from penlight.tasks import Task

Floats = NDArray[np.float64]

_DIGITS = 6
"""Decimals of a probability; 32 bits have no more."""

_CUT_OFF = 0.2
_STRETCHED = 1.25


class Classifier:
    """Answers for pictures by a run; several threads may share one."""

    def __init__(
        self,
        predictor: Predictor,
        conformal: Conformal | None,
        novelty: Novelty | None,
        reading: DecodeOptions,
        run: RunFolder | None = None,
        originals: OriginalPictures | None = None,
    ) -> None:
        self._predictor = predictor
        self._run = run
        self._conformal = conformal
        self._novelty = novelty
        self.reading = reading
        self._originals = originals

    @property
    def facts(self) -> ModelFacts:
        """What is known of the model."""
        return self._predictor.facts

    def about(self) -> dict[str, Any]:
        """Say, for JSON, which model answers, how it decides, and under `on_test` what was measured of it: see
        `standing.standing_of`."""
        facts = self.facts
        on_test = None if self._run is None else standing_of(self._run, facts.task)
        labels, cuts, of_labels = facts.task.labels, facts.thresholds, facts.task.uses_thresholds
        return AnsweringModel(
            dataset=facts.dataset,
            view=facts.view,
            task=facts.task.kind,
            labels=labels,
            thresholds=dict(zip(labels, cuts, strict=True)) if cuts is not None and of_labels else None,
            cut_points=None if of_labels else cuts,
            coverage=None if self._conformal is None else self._conformal.coverage,
            novelty_threshold=None if self._novelty is None else round(self._novelty.threshold, 4),
            reading=self.reading.to_dict(),
            backbone=facts.backbone if on_test is None else on_test.model,
            recipe_hash=facts.recipe_hash,
            seed=facts.seed,
            data_md5=facts.data_hash,
            licence=facts.licence,
            version=facts.version,
            notice=NOTICE,
            on_test=on_test,
        ).to_dict()

    def load(
        self, source: Path | bytes | Pixels, name: str = "", *, largest: int = LARGEST_PIXELS
    ) -> tuple[Pixels, tuple[Unlike, ...]]:
        """Turn a file, its bytes, or pixels (H, W) or (H, W, C) into an image, and say in what it is unlike train.

        Errors as in `pictures.load_with_header`.
        """
        if isinstance(source, np.ndarray):
            image, look = fit_with_header(source, self.reading)
        else:
            image, look = load_with_header(source, self.reading, name, largest=largest)
        return image, unlike(look, self.reading, self._originals)

    def answer(self, images: NDArray[np.uint8]) -> list[Answer]:
        """Answer for images (N, H, W, C) as `load` gives them; what an image gets does not depend on the others."""
        if not len(images):
            return []
        prob = self._predictor.probabilities(images)
        decided = self._predictor.decide(prob)
        possible, undecided, open_ = self._sets(prob, decided)
        why = why_not_most_probable(self.facts.task, prob, decided, self.facts.thresholds)
        novelty = None if self._novelty is None else self._novelty.score(images)
        unusual = np.zeros(len(images), bool) if novelty is None else novelty > self._novelty_threshold
        labels = self.facts.task.labels
        return [
            Answer(
                _named(labels, decided[i]),
                dict(zip(labels, row, strict=True)),
                None if possible is None else _named(labels, possible[i]),
                None if undecided is None else _named(labels, undecided[i]),
                None if novelty is None else round(float(novelty[i]), 4),
                bool(unusual[i]),
                bool(open_[i]),
                why[i],
            )
            for i, row in enumerate(prob.round(_DIGITS).tolist())
        ]

    @property
    def _novelty_threshold(self) -> float:
        return np.inf if self._novelty is None else self._novelty.threshold

    def _sets(self, prob: Floats, decided: NDArray[np.uint8]) -> tuple[Any, Any, NDArray[np.bool_]]:
        """Give which labels are possible and which undecided, (N, C) each, and whether all is left open, (N,)."""
        task = self.facts.task
        if self._conformal is None:
            return None, None, np.zeros(len(prob), bool)
        sets = self._conformal.sets_with(task, prob, decided)
        given = is_singleton(sets, candidate_labels(task, decided))
        possible = sets[:, 0] if task.exclusive else sets[:, :, 1]
        undecided = possible * ~given if task.exclusive else ~given
        return possible, undecided, np.logical_not(given.any(axis=1))


def _named(labels: Sequence[str], row: NDArray[Any]) -> tuple[str, ...]:
    return tuple(name for name, on in zip(labels, row.tolist(), strict=True) if on)


def why_not_most_probable(
    task: Task, prob: Floats, decided: NDArray[np.uint8], thresholds: Sequence[float] | None
) -> list[str]:
    """Say of each image of an exclusive task why its answer is not the most probable label; empty where it is.

    `prob` (N, C) is calibrated, `decided` (N, C) are the answers; `thresholds` are as `ModelFacts` has them.
    """
    if not task.exclusive:
        return [""] * len(prob)
    given, most = decided.argmax(axis=1), prob.argmax(axis=1)
    return [
        ""
        if row[g] >= row[m]
        else f"{task.labels[m]} is more probable ({decimal_text(row[m])}), but {task.why_decided(row, thresholds)}"
        for row, g, m in zip(prob, given, most, strict=True)
    ]


def unlike(
    look: PictureHeader, reading: DecodeOptions, originals: OriginalPictures | None = None
) -> tuple[Unlike, ...]:
    """Say in what a picture of this look is unlike what a model reads, but for what is so in pictures of its dataset
    too; where those are not known, they are taken for what the images are."""
    if originals is None:
        in_colour = reading.channels == 3
        originals = OriginalPictures(not in_colour, in_colour, False, reading.size, 1.0)
    found = []
    if look.colour and not originals.colour:
        dropped = "; its colours were dropped" if reading.channels == 1 else ""
        found.append(Unlike("colour", f"A colour picture came to a model of grey images{dropped}."))
    if not look.colour and not originals.grey:
        found.append(Unlike("grey", "A grey picture came to a model of colour images."))
    if look.animated and not originals.animated:
        found.append(Unlike("animated", "It is animated; its first frame was read."))
    if min(look.width, look.height) < min(reading.size, originals.shortest):
        has = f"It has {look.width} x {look.height} pixels"
        found.append(Unlike("small", f"{has}, fewer than the {reading.size} that the model reads; it was enlarged."))
    shorter, longer = sorted((look.width, look.height))
    lost, aspect = 1 - shorter / longer, longer / shorter
    if reading.fit == "crop" and lost > _CUT_OFF and aspect > originals.aspect:
        found.append(Unlike("aspect", f"It is not square: {percent_text(lost, 0)} of it, at its ends, was cut off."))
    if reading.fit == "stretch" and aspect > max(_STRETCHED, originals.aspect):
        found.append(Unlike("aspect", f"It is not square: {look.width} x {look.height} pixels were made square."))
    return tuple(found)


def open_classifier(path: Path) -> Classifier:
    """Open a run to answer for pictures. RunError for no run, one without model.onnx, or a folder of several seeds.

    Seeds are not averaged: the mean has no thresholds and sets of its own, which are found on val for one model.
    """
    run = open_run(path)
    # One core for each image, and each by itself: where many ask, they share the cores.
    predictor = open_predictor(run, threads=1, spinning=False, alone=True, isolated=False)
    reading = reading_of(run, predictor.size, predictor.channels)
    return Classifier(predictor, run.decision.conformal, run.novelty, reading, run, run.originals)


def reading_of(run: RunFolder, size: int, channels: int) -> DecodeOptions:
    """Say how a picture becomes an image of a run: as its dataset was read, where the run kept that."""
    kept = run.reading
    return DecodeOptions(size, channels) if kept is None else kept
