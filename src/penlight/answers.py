"""What a model says of one picture, as it is printed, sent and read back. Importing this loads no library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penlight import errors

_LONGEST_TEXT = 500
_LONGEST_ERROR = 4000
_LONGEST_WHY = 4000
_ERRORS: Mapping[str, type[errors.PenlightError]] = {
    kind.__name__: kind
    for kind in (
        errors.DataError,
        errors.ExplainError,
        errors.LargePictureError,
        errors.MemoryShortError,
        errors.MissingExtraError,
        errors.NoPictureError,
        errors.PictureError,
        errors.RunError,
    )
}


@dataclass(frozen=True)
class Unlike:
    """In what a picture is unlike those that the model was trained on: a `code` for programs, a sentence."""

    code: str
    text: str

    def to_dict(self) -> dict[str, str]:
        """Give it for JSON."""
        return {"code": self.code, "text": self.text}


@dataclass(frozen=True)
class Answer:
    """What a model says of one image.

    `answers` are the labels decided on, none for an image without findings; `probabilities` are calibrated.
    `possible` are the labels that are possible; `undecided` those that are left open: all that are possible
    where an exclusive task has no single answer, the findings of a multi-label task that may be there or not. Both
    are None without sets. `novelty` is how unlike train the image is, None where that is not known, and `unusual`
    that it is beyond the threshold; `several` says that every question is left open: several labels are possible, or
    each finding may be there or not. Either way the model `abstains`: nothing should be read from the answer. `why`
    says, where the answer is not the most probable label, why it is not.
    """

    answers: tuple[str, ...]
    probabilities: Mapping[str, float]
    possible: tuple[str, ...] | None
    undecided: tuple[str, ...] | None
    novelty: float | None
    unusual: bool
    several: bool
    why: str = ""

    @property
    def abstains(self) -> bool:
        """Whether nothing should be read from the answer, for either reason."""
        return self.unusual or self.several

    def to_dict(self) -> dict[str, Any]:
        """Give the answer for JSON."""
        return {
            "answers": self.answers,
            "probabilities": self.probabilities,
            "possible": self.possible,
            "undecided": self.undecided,
            "novelty": self.novelty,
            "unusual": self.unusual,
            "several_possible": self.several,
            "abstains": self.abstains,
            "why": self.why,
        }


def answer_from_dict(values: Mapping[str, Any], labels: Sequence[str]) -> Answer:
    """Read what `Answer.to_dict` gave, of a model with these labels. ValueError, KeyError or TypeError for anything
    that no such model answers."""
    prob = values["probabilities"]
    if list(prob) != list(labels) or not all(type(p) is float and 0 <= p <= 1 for p in prob.values()):
        raise ValueError("these are no probabilities of the labels")
    novelty, unusual, several = values["novelty"], values["unusual"], values["several_possible"]
    why = values["why"]
    if not (novelty is None or type(novelty) is float) or type(unusual) is not bool or type(several) is not bool:
        raise ValueError("this is no answer")
    if type(why) is not str or len(why) > _LONGEST_WHY:
        raise ValueError("this is no reason")
    answers, possible, undecided = (
        None if own is None else _named(own, prob)
        for own in (values["answers"], values["possible"], values["undecided"])
    )
    return Answer(answers or (), prob, possible, undecided, novelty, unusual, several, why)


def unlike_from_list(values: Sequence[Any]) -> tuple[Unlike, ...]:
    """Read pairs of code and text. ValueError or TypeError for anything else."""
    if len(values) > 10 or not all(type(text) is str and len(text) < _LONGEST_TEXT for own in values for text in own):
        raise ValueError("these are no warnings")
    return tuple(Unlike(code, text) for code, text in values)


def _named(names: Any, prob: Mapping[str, float]) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(name in prob for name in names):
        raise ValueError("these are no labels of the model")
    return tuple(names)


def error_to_dict(error: errors.PenlightError) -> dict[str, str]:
    """Give an error for a message of a worker: its kind, and its texts without the name of a picture."""
    problem = error.reason if isinstance(error, errors.PictureError) else error.problem
    return {"kind": type(error).__name__, "problem": problem, "remedy": error.remedy}


def error_from_dict(values: Mapping[str, Any], name: str) -> errors.PenlightError:
    """Read what `error_to_dict` gave, of the picture `name`. ValueError or KeyError for anything else."""
    kind = _ERRORS.get(values["kind"], errors.PenlightError)
    problem, remedy = values["problem"], values["remedy"]
    if type(problem) is not str or type(remedy) is not str:
        raise ValueError("this is no error")
    problem, remedy = problem[:_LONGEST_ERROR], remedy[:_LONGEST_ERROR]
    return kind(problem, remedy, name) if issubclass(kind, errors.PictureError) else kind(problem, remedy)
