"""What only HTTP answers: lists, addresses, details. All else are the records of the API, of which OpenAPI has the
schemas too."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from penlight.answers import answering_model
from penlight.evaluation.rows import Score
from penlight.records import Record, json_key
from penlight.runs.scores import Scores


class RunLinks(Record):
    """Addresses on this server; null for what there is not."""

    own: str = json_key("self")
    predict: str | None
    explain: str | None
    report: str | None


class GroupLinks(Record):
    """Addresses on this server; null for what there is not."""

    own: str = json_key("self")
    report: str | None


class ListedRun(Record):
    """A run in the list. `headline` is the first row of its scores on test."""

    id: str
    name: str
    group: str | None = json_key(about="The id of the study, or of the folder of seeds, that it belongs to.")
    dataset: str
    view: str
    size: int
    backbone: str = json_key(about="What answers: the model of the recipe, or the baseline that was kept instead.")
    in_place_of: str | None = json_key(about="The recipe's own backbone, where a baseline was kept instead.")
    seed: int
    recipe_hash: str
    parameters: int | None
    images: Mapping[str, int]
    headline: Score | None
    serious_checks: int
    answers: bool = json_key(about="Whether the run keeps a model that answers.")
    links: RunLinks


class ListedGroup(Record):
    """A study, or the seeds or folds of one recipe, in the list."""

    id: str
    name: str
    kind: Literal["study", "seeds", "folds", "sweep", "tuning"]
    sealed: bool = json_key(about="Whether its own files are known by hashes; those of Penlight 0.1.0 are not.")
    runs: Sequence[str]
    links: GroupLinks


class ServedRuns(Record):
    """What the server offers."""

    runs: Sequence[ListedRun]
    groups: Sequence[ListedGroup]


class RunDetail(Record):
    """A run: its scores as `penlight evaluate --json` gives them, and how it was made."""

    listed: ListedRun = json_key(inline=True)
    scores: Scores
    provenance: Mapping[str, Any]
    recipe: Mapping[str, Any]
    model: Mapping[str, Any] | None = json_key(written=answering_model)


class GroupDetail(Record):
    """A group: its summary.json, study.json, sweep.json or tune.json."""

    listed: ListedGroup = json_key(inline=True)
    record: Mapping[str, Any]


class Health(Record):
    """Whether the server lives, or is ready."""

    status: Literal["ok"] = "ok"


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
        "reading": {"size": 28, "channels": 3, "fit": "crop", "bits": 16, "frame": ""},
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
            "than the linear baseline at 0.74 and better than the majority-class baseline at 0.50.",
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
