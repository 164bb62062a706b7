"""The runs and studies that a server offers, found once when it starts. A request names one by its id, which is
looked up here; no path is ever made from a request."""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from penlight.disk import inner_folders, is_inside, links_in
from penlight.errors import PenlightError, RunError
from penlight.runs.folder import MANIFEST, SUMMARY, Run, open_run
from penlight.runs.groups import REPORT, Group, kind_of, open_group
from penlight.runs.predictor import MODEL

log = logging.getLogger("penlight.serve")

_KINDS = ("study", "folds", "seeds")

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
    own: Group
    runs: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What it holds: "study", "seeds" or "folds"."""
        return self.own.kind

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.own.path

    @property
    def sealed(self) -> bool:
        """Whether its own files are known by their hashes; those that Penlight 0.1.0 wrote are not."""
        return self.own.is_sealed

    @cached_property
    def listed(self) -> dict[str, Any]:
        """What the list of groups says of it, for JSON."""
        report = f"/groups/{self.id}/report" if self.own.has(REPORT) else None
        links = {"self": f"/api/v1/groups/{self.id}", "report": report}
        about = {"id": self.id, "name": self.name, "kind": self.kind, "sealed": self.sealed}
        return {**about, "runs": self.runs, "links": links}

    @property
    def record(self) -> dict[str, Any]:
        """The summary of the seeds or folds, or the record of the study. RunError if it is damaged."""
        return self.own.record

    @property
    def report(self) -> bytes:
        """The page of the group. RunError if it is not what was written."""
        return self.own.read(REPORT)


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
        whole = not os.path.lexists(root / MANIFEST) and _group_of(root) is not None
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
    if os.path.lexists(folder / MANIFEST):
        runs.extend(_shelved(folder, root, group, names))
        return
    made = _group_of(folder)
    own = None if made is None else _id(folder, root, names)
    before = len(runs)
    if depth:
        for name in _folders_in(folder):
            _collect(folder / name, root, group or own, names, runs, groups, depth - 1)
    if made is not None and own is not None:
        groups.append(ShelvedGroup(own, folder.resolve().name, made, tuple(run.id for run in runs[before:])))


def _folders_in(folder: Path) -> list[str]:
    """Name the folders in a folder that may hold runs. Links are not followed: what they lead to was not given."""
    for name in links_in(folder):
        log.warning("left out: %s is a link, and links are not followed", folder / name)
    return [name for name in inner_folders(folder) if not name.startswith(".")]


def _group_of(folder: Path) -> Group | None:
    """Open a folder of several runs; None for another, and for one that is damaged, with a line in the log."""
    try:
        kind = kind_of(folder)
        # A cross-validation that is not complete has nothing to show.
        if kind not in _KINDS or (kind == "folds" and not is_inside(folder, SUMMARY)):
            return None
        found = open_group(folder)
        _ = found.record
    except PenlightError as error:
        log.warning("left out: %s", error)
        return None
    return found


def _shelved(folder: Path, root: Path, group: str | None, names: set[str]) -> Iterator[Shelved]:
    try:
        own = Shelved(_id(folder, root, names), group, open_run(folder))
        _ = own.listed
    except PenlightError as error:
        log.warning("left out: %s", error)
        return
    except Exception as error:  # whatever is wrong with one run, the others are offered
        log.warning("left out: %s cannot be read (%s)", folder, type(error).__name__)
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
