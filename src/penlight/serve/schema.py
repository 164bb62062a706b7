"""What the routes take and give, for the OpenAPI document alone: answers are made by the same `to_dict` as the
command's, and tests hold the two together."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from penlight.tasks import TASKS


class ErrorBody(BaseModel):
    """Why a request was not answered."""

    error: str = Field(description="What is wrong.", examples=["The content type 'text/plain' came."])
    expected: str = Field(description="What was expected.", examples=["multipart/form-data with one or more files."])
    do: str = Field(description="What to do.", examples=["Set the content type."])


class Warned(BaseModel):
    """In what a picture is unlike those that the model was trained on."""

    code: Literal["colour", "grey", "small", "aspect", "unlike-training"]
    text: str


class PictureFault(BaseModel):
    """Why a picture has no answer."""

    code: Literal["too-large", "no-picture", "unreadable"]
    error: str
    do: str


class Image(BaseModel):
    """The answer for one picture; one that could not be read has `file` and `error` alone."""

    file: str = Field(description="The name that the picture came with.", examples=["left-eye.png"])
    answers: list[str] = Field([], description="The labels decided on; none for an image without findings.")
    probabilities: dict[str, float] = Field({}, description="Calibrated probability of each label.")
    possible: list[str] | None = Field(
        None, description="The prediction set: labels that are possible; null without sets."
    )
    undecided: list[str] | None = Field(None, description="Labels that are left open.")
    novelty: float | None = Field(None, description="How unlike the training images it is; null where not known.")
    unusual: bool = Field(False, description="Whether `novelty` is beyond `model.novelty_threshold`.")
    several_possible: bool = Field(False, description="Whether several labels are possible, or every finding open.")
    abstains: bool = Field(False, description="Whether nothing should be read from the answer, for either reason.")
    why: str = Field("", description="Why the answer is not the most probable label, where it is not.")
    warnings: list[Warned] = []
    error: PictureFault | None = None


class SeriousCheck(BaseModel):
    """A check that says that scores of the run may not be believed as they stand."""

    code: str
    seen: str


class Coverage(BaseModel):
    """How often the truth was in the prediction set on test, with its 95 % interval."""

    value: float
    low: float | None
    high: float | None
    of: str = Field(description="What it is a share of: images, or pairs of image and finding.")
    images: int
    labels: dict[str, float | None] = Field(
        description="Of the images that have a label, how often it was in the set."
    )


class OnTest(BaseModel):
    """What was measured of the model on test, to be read before its answers."""

    model: str = Field(description="The model that was kept: that of the recipe, or the linear baseline instead.")
    verdict: str
    stands: str = Field(description="The verdict in a few words.")
    checks: list[SeriousCheck] = Field(description="The serious checks.")
    coverage: Coverage | None


class Model(BaseModel):
    """Which model answered, and how it decides."""

    dataset: str
    view: str
    task: str = Field(json_schema_extra=lambda schema: schema.update(enum=list(TASKS)))
    labels: list[str]
    thresholds: dict[str, float] | None
    cut_points: list[float] | None = Field(description="Where the expected grade is cut; null where it is not.")
    coverage: float | None = Field(description="How often the truth was wanted among `possible`.")
    novelty_threshold: float | None
    reading: dict[str, Any] = Field(description="How a picture becomes an image: size, channels, fit, bits.")
    backbone: str = Field(description="What answers: the model of the recipe, or the baseline that was kept instead.")
    recipe_hash: str
    seed: int
    data_md5: str
    licence: str
    version: str
    notice: str
    on_test: OnTest | None


class PredictAnswer(BaseModel):
    """What `penlight predict --json` prints for the same pictures."""

    model: Model
    images: list[Image]
    failed: int = Field(description="How many pictures could not be read.")


class Links(BaseModel):
    """Addresses on this server; null for what there is not."""

    self: str
    predict: str | None
    explain: str | None
    report: str | None


class RunAnswer(BaseModel):
    """A run in the list. `headline` is the first row of its scores on test."""

    id: str
    name: str
    group: str | None = Field(description="The id of the study, or of the folder of seeds, that it belongs to.")
    dataset: str
    view: str
    size: int
    backbone: str = Field(description="What answers: the model of the recipe, or the baseline that was kept instead.")
    in_place_of: str | None = Field(description="The recipe's own backbone, where a baseline was kept instead.")
    seed: int
    recipe_hash: str
    parameters: int | None
    images: dict[str, int]
    headline: dict[str, Any] | None
    serious_checks: int
    answers: bool = Field(description="Whether the run keeps a model that answers.")
    links: Links


class GroupAnswer(BaseModel):
    """A study, or the seeds or folds of one recipe, in the list."""

    id: str
    name: str
    kind: Literal["study", "seeds", "folds", "sweep", "tuning"]
    sealed: bool = Field(description="Whether its own files are known by hashes; those of Penlight 0.1.0 are not.")
    runs: list[str]
    links: dict[str, str | None]


class Runs(BaseModel):
    """What the server offers."""

    runs: list[RunAnswer]
    groups: list[GroupAnswer]


class RunDetail(RunAnswer):
    """A run: its scores as `penlight evaluate --json` gives them, and how it was made."""

    scores: dict[str, Any]
    provenance: dict[str, Any]
    recipe: dict[str, Any]
    model: Model | None


class GroupDetail(GroupAnswer):
    """A group: its summary.json, study.json, sweep.json or tune.json."""

    record: dict[str, Any]


class Health(BaseModel):
    """Whether the server lives, or is ready."""

    status: Literal["ok"]


EXAMPLE: dict[str, Any] = {
    "model": {
        "dataset": "retinamnist",
        "view": "native",
        "task": "ordinal",
        "labels": ["none", "mild", "moderate", "severe", "proliferative"],
        "thresholds": None,
        "cut_points": None,
        "coverage": 0.9,
        "novelty_threshold": 1.4213,
        "reading": {"size": 28, "channels": 3, "fit": "crop", "bits": 16},
        "backbone": "cnn",
        "recipe_hash": "5f2c9a1be07d4c33",
        "seed": 0,
        "data_md5": "bd4c0672f1bba3e3a89f0e4e876791e4",
        "licence": "CC BY 4.0",
        "version": "0.1.0",
        "notice": "Not for clinical use.",
        "on_test": {
            "model": "cnn",
            "verdict": "On 400 test images the cnn network ranks grades with AUC 0.71 (0.68\N{EN DASH}0.75), worse "
            "than the linear baseline at 0.74 and better than the majority answer at 0.50.",
            "stands": "worse than linear, better than majority on test",
            "checks": [{"code": "PL001", "seen": "On test its AUC is 0.713, that of the linear baseline 0.744."}],
            "coverage": {
                "value": 0.88,
                "low": 0.84,
                "high": 0.91,
                "of": "images",
                "images": 400,
                "labels": {"none": 1.0, "mild": 0.78, "moderate": 0.87, "severe": 0.93, "proliferative": 0.0},
            },
        },
    },
    "images": [
        {
            "file": "left-eye.png",
            "answers": ["moderate"],
            "probabilities": {
                "none": 0.061,
                "mild": 0.124,
                "moderate": 0.498,
                "severe": 0.262,
                "proliferative": 0.055,
            },
            "possible": ["mild", "moderate", "severe"],
            "undecided": ["mild", "moderate", "severe"],
            "novelty": 0.2134,
            "unusual": False,
            "several_possible": True,
            "abstains": True,
            "why": "",
            "warnings": [],
        }
    ],
    "failed": 0,
}
"""A whole answer of `predict`."""
