"""What a model says of one picture, and of itself, as it is printed, sent and read back."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field

from penlight import errors
from penlight.records import Count, Finite, Flag, Name, Number, Record, Share, Text, Whole, json_key

LabelsOf = Annotated[tuple[Name, ...], Field(max_length=10_000)]

CSV_HEADS = (
    ("file", "run_on_test", "serious_checks", "answers"),
    ("possible", "coverage_on_test", "abstains", "why", "novelty", "warnings", "error"),
)
"""What stands before and after the probabilities of each label in a CSV file of answers."""

_LONGEST_ERROR = 4000
_ERRORS: Mapping[str, type[errors.PenlightError]] = {
    kind.__name__: kind
    for kind in (
        errors.DataError,
        errors.ExplainError,
        errors.LargePictureError,
        errors.MemoryShortError,
        errors.MissingExtraError,
        errors.NoEncoderError,
        errors.NoPictureError,
        errors.PictureError,
        errors.RunError,
    )
}


class Unlike(Record):
    """In what a picture is unlike those that the model was trained on: a `code` for programs, a sentence."""

    code: Literal["colour", "grey", "animated", "small", "aspect", "unlike-training"]
    text: Annotated[Text, Field(max_length=500)]


class Answer(Record, computed=("abstains",)):
    """What a model says of one image.

    `answers` are the labels decided on, none for an image without findings; `probabilities` are calibrated.
    `possible` are the labels that are possible; `undecided` those that are left open: all that are possible
    where an exclusive task has no single answer, the findings of a multi-label task that may be there or not. Both
    are None without sets. `novelty` is how unlike train the image is, None where that is not known, and `unusual`
    that it is beyond the threshold; `several` says that every question is left open: several labels are possible, or
    each finding may be there or not. Either way the model `abstains`: nothing should be read from the answer. `why`
    says, where the answer is not the most probable label, why it is not.
    """

    answers: LabelsOf = json_key(about="The labels decided on; none for an image without findings.")
    probabilities: Mapping[Name, Share] = json_key(about="Calibrated probability of each label.")
    possible: LabelsOf | None = json_key(about="The prediction set: labels that are possible; null without sets.")
    undecided: LabelsOf | None = json_key(about="Labels that are left open.")
    novelty: Finite | None = json_key(about="How unlike the training images it is; null where not known.")
    unusual: Flag = json_key(about="Whether `novelty` is beyond `model.novelty_threshold`.")
    several: Flag = json_key("several_possible", about="Whether several labels are possible, or every finding open.")
    why: Annotated[Text, Field(max_length=4000)] = json_key(
        default="", about="Why the answer is not the most probable label, where it is not."
    )

    @property
    def abstains(self) -> bool:
        """Whether nothing should be read from the answer, for either reason."""
        return self.unusual or self.several


class AnswerOfWorker(Record):
    """What a worker process says of a picture."""

    answer: Answer = json_key(inline=True)
    warnings: Annotated[tuple[Unlike, ...], Field(max_length=10)]


def read_answer(values: Mapping[str, Any], labels: Sequence[str]) -> AnswerOfWorker:
    """Read what a worker process says of a picture, of a model with these labels. RunError for anything that no such
    model answers."""
    found = AnswerOfWorker.from_dict(values)
    answer = found.answer
    named = {*answer.answers, *(answer.possible or ()), *(answer.undecided or ())}
    if list(answer.probabilities) != list(labels) or not named <= set(labels):
        raise errors.RunError("The labels of an answer are not those of the model.")
    return found


class SeriousCheck(Record):
    """A check that says that scores of the run may not be believed as they stand."""

    code: Name
    seen: Text


class MeasuredCoverage(Record):
    """How often the truth was in the prediction set on test, with its 95 % interval."""

    value: Number
    low: Number
    high: Number
    of: Text = json_key(about="What it is a share of: images, or pairs of image and finding.")
    images: Count
    labels: Mapping[Name, Number] = json_key(
        about="Of the images that have a label, how often it was in the set; null where no test image has it."
    )


class OnTest(Record):
    """What was measured of the model on test, to be read before its answers."""

    model: Name = json_key(about="The model that was kept: that of the recipe, or the linear baseline instead.")
    verdict: Text
    stands: Text = json_key(about="The verdict in a few words.")
    checks: Sequence[SeriousCheck] = json_key(about="The serious checks.")
    coverage: MeasuredCoverage | None


class AnsweringModel(Record):
    """Which model answered, and how it decides."""

    dataset: Name
    view: Name
    task: Name
    labels: LabelsOf
    thresholds: Mapping[Name, Number] | None
    cut_points: Sequence[Number] | None = json_key(about="Where the expected grade is cut; null where it is not.")
    coverage: Finite | None = json_key(about="How often the truth was wanted among `possible`.")
    novelty_threshold: Finite | None
    reading: Mapping[Name, Whole | Name] = json_key(
        about="How a picture becomes an image: size, channels, fit, bits."
    )
    backbone: Name = json_key(about="What answers: the model of the recipe, or the baseline that was kept instead.")
    recipe_hash: Name
    seed: Whole
    data_md5: Name
    licence: Text
    version: Name
    notice: Text
    on_test: OnTest | None


def answering_model(about: Mapping[str, Any] | None) -> AnsweringModel | None:
    """Read what a model said of itself; None of None."""
    return None if about is None else AnsweringModel.from_dict(about)


def _shortened(text: str) -> str:
    return text[:_LONGEST_ERROR]


ErrorText = Annotated[str, Field(strict=True), AfterValidator(_shortened)]


class ErrorOfWorker(Record):
    """An error in a message of a worker: its kind, and its texts without the name of a picture."""

    kind: Name
    problem: ErrorText
    remedy: ErrorText

    @classmethod
    def of(cls, error: errors.PenlightError) -> Self:
        """Put an error into a message."""
        problem = error.reason if isinstance(error, errors.PictureError) else error.problem
        return cls(type(error).__name__, problem, error.remedy)

    def named(self, name: str) -> errors.PenlightError:
        """Give the error, of the picture `name`."""
        kind = _ERRORS.get(self.kind, errors.PenlightError)
        if issubclass(kind, errors.PictureError):
            return kind(self.problem, self.remedy, name)
        return kind(self.problem, self.remedy)
