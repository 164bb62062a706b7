"""The runs and studies that a server offers, found once when it starts. A request names one by its id, which is
looked up here; no path is ever made from a request."""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from penlight.errors import PenlightError, RunError
from penlight.runs.folder import FOLDS, MANIFEST, SUMMARY, Run, open_run
from penlight.runs.predictor import MODEL

log = logging.getLogger("penlight.serve")

STUDY = "study.json"
REPORT = "report.html"

_DEPTH = 4


@dataclass(frozen=True)
class Shelved:
    """A run on the shelf: its `id`, the `group` of the folder that it is a seed or a row of (None for a run by
    itself), and what the list says of it."""

    id: str
    group: str | None
    run: Run

    @cached_property
    def listed(self) -> dict[str, Any]:
        """What the list of runs says of it, for JSON; `headline` is the first row of its scores on test."""
        made, recipe = self.run.provenance, self.run.recipe
        rows = self.run.metrics["metrics"]
        return {
            "id": self.id,
            "name": self.run.name,
            "group": self.group,
            "dataset": made["dataset"],
            "view": made["view"],
            "size": made["size"],
            "backbone": recipe.model.backbone,
            "seed": self.run.seed,
            "recipe_hash": recipe.hash,
            "parameters": made["parameters"],
            "images": made["images"],
            "headline": next((row for row in rows if row["label"] is None), None),
            "serious_checks": sum(bool(check["serious"]) for check in self.run.metrics.get("checks", ())),
            "answers": self.run.has(MODEL),
            "links": self.links,
        }

    @property
    def links(self) -> dict[str, str | None]:
        """Addresses of what there is of it."""
        own = f"/api/v1/runs/{self.id}"
        asked = self.run.has(MODEL)
        return {
            "self": own,
            "predict": f"{own}/predict" if asked else None,
            "explain": f"{own}/explain" if asked else None,
            "report": f"/runs/{self.id}/report" if self.run.has(REPORT) else None,
        }


@dataclass(frozen=True)
class ShelvedGroup:
    """A folder of several runs: a study, or the seeds or folds of one recipe."""

    id: str
    name: str
    kind: str
    folder: Path
    runs: tuple[str, ...]

    @cached_property
    def listed(self) -> dict[str, Any]:
        """What the list of groups says of it, for JSON."""
        report = f"/groups/{self.id}/report" if (self.folder / REPORT).is_file() else None
        links = {"self": f"/api/v1/groups/{self.id}", "report": report}
        return {"id": self.id, "name": self.name, "kind": self.kind, "runs": self.runs, "links": links}

    @cached_property
    def record(self) -> dict[str, Any]:
        """The summary of the seeds or folds, or the record of the study, as it is on disk."""
        name = STUDY if self.kind == "study" else SUMMARY
        values: dict[str, Any] = json.loads((self.folder / name).read_bytes())
        return values

    @cached_property
    def report(self) -> bytes:
        """The page of the group."""
        return (self.folder / REPORT).read_bytes()


class Shelf:
    """Runs and groups by id."""

    def __init__(self, runs: Sequence[Shelved], groups: Sequence[ShelvedGroup]) -> None:
        self.runs: Mapping[str, Shelved] = {own.id: own for own in runs}
        self.groups: Mapping[str, ShelvedGroup] = {own.id: own for own in groups}


def open_shelf(paths: Sequence[Path]) -> Shelf:
    """Find the runs in folders, themselves run folders or folders that hold runs and studies.

    A run that is damaged is left out, with a line in the log; RunError if none is left.
    """
    runs: list[Shelved] = []
    groups: list[ShelvedGroup] = []
    names: set[str] = set()
    for root in paths:
        if not root.is_dir():
            raise RunError(f"There is no folder {root}.", "Give run folders, or folders that hold runs.")
        # Runs of a study that is given by itself keep its name.
        whole = (root / STUDY).is_file() or (root / SUMMARY).is_file()
        _collect(root, root.resolve().parent if whole else root.resolve(), None, names, runs, groups, _DEPTH)
    if not runs:
        raise RunError(f"There is no run in {', '.join(map(str, paths))}.", "Train one: penlight demo")
    return Shelf(runs, groups)


def _collect(
    folder: Path,
    root: Path,
    group: str | None,
    names: set[str],
    runs: list[Shelved],
    groups: list[ShelvedGroup],
    depth: int,
) -> None:
    if (folder / MANIFEST).is_file():
        runs.extend(_shelved(folder, root, group, names))
        return
    kind = _kind_of_group(folder)
    own = None if kind is None else _id(folder, root, names)
    before = len(runs)
    if depth:
        for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
            _collect(inner, root, group or own, names, runs, groups, depth - 1)
    if kind is not None and own is not None:
        groups.append(ShelvedGroup(own, folder.resolve().name, kind, folder, tuple(run.id for run in runs[before:])))


def _kind_of_group(folder: Path) -> str | None:
    if (folder / STUDY).is_file():
        return "study"
    if not (folder / SUMMARY).is_file():
        return None
    return "folds" if (folder / FOLDS).is_file() else "seeds"


def _shelved(folder: Path, root: Path, group: str | None, names: set[str]) -> Iterator[Shelved]:
    try:
        own = Shelved(_id(folder, root, names), group, open_run(folder))
        _ = own.listed
    except (PenlightError, KeyError, ValueError) as error:
        log.warning("left out: %s", error)
        return
    yield own


def _id(folder: Path, root: Path, names: set[str]) -> str:
    """Make an id from the folder's place below the root: letters, digits, dots, dashes; no two are alike."""
    place = folder.resolve()
    parts = (place.name,) if place == root else place.relative_to(root).parts
    stem = ".".join(re.sub(r"[^A-Za-z0-9_-]+", "-", part).strip("-") or "run" for part in parts)
    name, number = stem, 1
    while name in names:
        number += 1
        name = f"{stem}-{number}"
    names.add(name)
    return name
