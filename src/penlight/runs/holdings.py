"""What a run folder holds of the data it was made from, so that a person knows before passing it on."""

from collections.abc import Mapping

from penlight.data.npz import read_headers
from penlight.evaluation.subgroups import Metadata, unavailable_subgroups
from penlight.numbers import counted
from penlight.records import Record, json_key
from penlight.runs.cases import EXPLAINED
from penlight.runs.folder import RunFolder

NEIGHBOURS = "neighbours.npz"

KEEPS_IMAGES = "keeps_images"
"""The key of provenance.json that is false for a run that keeps no image; runs without it keep some."""

MAPS_ALIKE = "maps_alike"
"""The key of provenance.json with what checks need of explained.npz, for a run without it."""

NOVELTY_RATES = "novelty"
"""The key of provenance.json that says how well images unlike those in train are told."""

SHARED = "shared"
"""The key of provenance.json of a copy that was made to be shared: how, and what was left out."""


_LICENCE = "a licence that forbids passing on images forbids passing on this folder."


class Holdings(Record):
    """What a run folder, or a folder of several, holds of its data.

    `training_images` are those of neighbours.npz, of at most 64 px; `maps` those of explained.npz over test images;
    `answers` counts by split the images whose labels and probabilities are kept by row number, `metadata` names what
    is kept of each of them, and `patients` says whether its patient is, as a number.
    """

    training_images: int
    maps: int
    answers: Mapping[str, int]
    metadata: tuple[str, ...] = ()
    patients: bool = False
    keeps_images: bool = json_key(default=True, hidden=True)
    shared: bool = json_key(default=False, hidden=True)

    def sentences(self) -> list[str]:
        """Say it, for a card."""
        return [*self._images(), *self._values()]

    def _images(self) -> list[str]:
        if not self.keeps_images:
            return ["No image: no image of the dataset, nor a map of one, is in this folder or in its report."]
        found = []
        if self.training_images:
            found.append(
                f"{counted(self.training_images, 'training image')} in {NEIGHBOURS}, each pixel as it "
                "is (images above 64 px "
                f"shrunk to that), and pictures of train and test in report.html: {_LICENCE}"
            )
        else:
            found.append(f"Pictures of train and test in report.html: {_LICENCE}")
        if self.maps:
            found.append(f"{self.maps:,} maps over test images in {EXPLAINED}.")
        return found

    def _values(self) -> list[str]:
        answers = " and ".join(f"{counted(n, 'image')} of {split}" for split, n in self.answers.items())
        known = ["labels", "probabilities", *self.metadata, *(["number of the patient"] if self.patients else [])]
        found = [f"Of each of {answers}, by row number: {', '.join(known)}."]
        if self.patients:
            patients = "numbered at random" if self.shared else "numbered; their names stay in the dataset"
            found.append(f"Patients are {patients}.")
        if self.shared:
            return [*found, "This is a copy to be shared; SHARING.md says what was left out, and what remains."]
        return [*found, "A copy without images, metadata and paths: penlight export RUN --for-sharing."]


def holdings_of(run: RunFolder) -> Holdings:
    """Look what a run holds of its data."""
    predictions = {split: run.model_predictions(split) for split in run.splits}
    columns = dict.fromkeys(column for own in predictions.values() for column in own.metadata)
    return Holdings(
        _rows(run, NEIGHBOURS, "rows"),
        _rows(run, EXPLAINED, "rows"),
        {split: len(own) for split, own in predictions.items()},
        tuple(columns),
        any(own.groups is not None for own in predictions.values()),
        keeps_images(run),
        is_shared(run),
    )


def _rows(run: RunFolder, name: str, array: str) -> int:
    if not run.has(name):
        return 0
    header = read_headers(run.read(name), name).get(array)
    return header.shape[0] if header is not None and header.shape else 0


def keeps_images(run: RunFolder) -> bool:
    """Say whether images of the dataset are in the run; in what was made before that was asked, they are."""
    return bool(run.provenance.get(KEEPS_IMAGES, True))


def is_shared(run: RunFolder) -> bool:
    """Say whether the run is a copy that was made to be shared."""
    return SHARED in run.provenance


def groups_unavailable(run: RunFolder, metadata: Metadata) -> list[str]:
    """Say by which columns there are no scores of groups, and why."""
    if not is_shared(run):
        return unavailable_subgroups(metadata)
    taken = run.provenance[SHARED].get("metadata", [])
    if not taken:
        return unavailable_subgroups(metadata)
    return [f"scores by {', '.join(taken)} cannot be computed again: the values of single images were left out"]
