"""The runs and studies that a server offers, found when it starts and again when the folders have changed. A request
names one by its id, which is looked up here; no path is ever made from a request."""

import itertools
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from penlight.disk import inner_folders, is_inside, links_in, state_of
from penlight.errors import PenlightError, RunError
from penlight.runs.folder import MANIFEST, SUMMARY, RunFolder, open_run
from penlight.runs.groups import REPORT, RunGroup, kind_of, not_one_run, open_group
from penlight.runs.predictor import MODEL
from penlight.serve.schema import GroupLinks, ListedGroup, ListedRun, RunLinks

log = logging.getLogger("penlight.serve")

_KINDS = ("study", "folds", "seeds", "sweep", "tuning")
_PAGES = {"sweep": "Sweep over datasets", "tuning": "Search of a recipe"}
"""Groups that are a report alone: the runs of a sweep are of different images and stand by themselves."""

_DEPTH = 4


@dataclass(frozen=True)
class RegisteredRun:
    """A run in the registry: its `id`, the `group` of the folder that it is a seed or a row of (None for a run by
    itself), and what the list says of it.

    `title` tells it apart from every other run, as "seeds/seed-0"; `state` is that of its manifest when it was
    opened, and `opening` a number that no other opening of a run has. `root` is the prefix of addresses."""

    id: str
    group: str | None
    run: RunFolder
    title: str
    state: tuple[int, ...]
    opening: int
    root: str

    @cached_property
    def listed(self) -> ListedRun:
        """What the list of runs says of it; `headline` is the first row of its scores on test."""
        made, recipe, scores = self.run.provenance, self.run.recipe, self.run.metrics
        return ListedRun(
            id=self.id,
            name=self.run.name,
            group=self.group,
            dataset=made["dataset"],
            view=made["view"],
            size=made["size"],
            backbone=(kept := self.run.kept_model),
            in_place_of=None if kept == recipe.model_name else recipe.model_name,
            seed=self.run.seed,
            recipe_hash=recipe.hash,
            parameters=made["parameters"],
            images=made["images"],
            headline=next((row for row in scores.metrics if row.label is None), None),
            serious_checks=sum(check.serious for check in scores.checks),
            answers=self.run.has(MODEL),
            links=self.links,
        )

    @property
    def links(self) -> RunLinks:
        """Addresses of what there is of it."""
        own = f"{self.root}/api/v1/runs/{self.id}"
        asked = self.run.has(MODEL)
        return RunLinks(
            own,
            predict=f"{own}/predict" if asked else None,
            explain=f"{own}/explain" if asked else None,
            report=f"{self.root}/runs/{self.id}/report" if self.run.has(REPORT) else None,
        )

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.run.path

    @property
    def report(self) -> bytes:
        """The page of the run. RunError if it is not what was written."""
        return self.run.read(REPORT)

    @property
    def is_current(self) -> bool:
        """Say whether the run is still there as it was opened."""
        return state_of(self.run.path / MANIFEST) == self.state


@dataclass(frozen=True)
class RegisteredGroup:
    """A folder of several runs: a study, the seeds or folds of one recipe, a sweep, or a tuning. `title` is its place
    among the folders, as "study/row"."""

    id: str
    title: str
    own: RunGroup
    runs: tuple[str, ...]
    root: str = ""

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.own.path.resolve().name

    @property
    def kind(self) -> str:
        """What it holds: "study", "seeds", "folds", "sweep" or "tuning"."""
        return self.own.kind

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.own.path

    @property
    def sealed(self) -> bool:
        """Whether its own files are known by their hashes; those that Penlight 0.1.0 wrote are not."""
        return self.own.is_sealed

    @property
    def is_page(self) -> bool:
        """Say whether there is nothing to show of it but its report."""
        return self.kind in _PAGES

    @property
    def what(self) -> str:
        """Say in a few words what a group that is a report alone is."""
        return _PAGES[self.kind]

    @cached_property
    def listed(self) -> ListedGroup:
        """What the list of groups says of it."""
        report = f"{self.root}/groups/{self.id}/report" if self.own.has(REPORT) else None
        links = GroupLinks(f"{self.root}/api/v1/groups/{self.id}", report)
        return ListedGroup(self.id, self.name, self.own.kind, self.sealed, self.runs, links)

    @property
    def record(self) -> dict[str, Any]:
        """The summary of the seeds or folds, or the record of the study, sweep or tuning. RunError if it is damaged.
        Where a sweep lies among the server's files is left out."""
        return {key: value for key, value in self.own.values.items() if key not in ("folder", "report")}

    @property
    def report(self) -> bytes:
        """The page of the group. RunError if it is not what was written."""
        return self.own.read(REPORT)


class RunRegistry:
    """Runs and groups by id, as they were when the folders were read."""

    def __init__(
        self, runs: Sequence[RegisteredRun], groups: Sequence[RegisteredGroup], finder: "_FolderScan"
    ) -> None:
        self.runs: Mapping[str, RegisteredRun] = {own.id: own for own in runs}
        self.groups: Mapping[str, RegisteredGroup] = {own.id: own for own in groups}
        self._finder = finder

    @property
    def root(self) -> str:
        """The prefix of every address, "" or "/prefix"."""
        return self._finder.root

    def inner_report(self, group: RegisteredGroup, inner: str) -> str | None:
        """Give the address of the report of what is at a place inside a group, as "seed-0"; None for none."""
        tops: list[RegisteredRun | RegisteredGroup] = [*self.runs.values(), *self.groups.values()]
        places = {own.folder: own.listed.links.report for own in tops}
        return next((link for place, link in places.items() if place.is_relative_to(group.folder)
                     and place.relative_to(group.folder).as_posix() == inner), None)  # fmt: skip

    def again(self) -> "RunRegistry":
        """Read the folders again. What is still there keeps its id, and is opened only if it changed."""
        return self._finder.find()


def open_registry(paths: Sequence[Path], root: str = "") -> RunRegistry:
    """Find the runs in folders, themselves run folders or folders that hold runs and studies; `root` is the prefix of
    addresses.

    A run that is damaged is left out, with a line in the log; RunError if none is left.
    """
    for path in paths:
        if not path.is_dir():
            raise RunError(f"There is no folder {path}.", "Give run folders, or folders that hold runs.")
    registry = _FolderScan(paths, root).find()
    if not registry.runs:
        for path in paths:
            if (kind := kind_of(path)) == "tuning":
                raise not_one_run(path, kind)
        raise RunError(f"There is no run in {', '.join(map(str, paths))}.", "Train one: penlight demo")
    return registry


@dataclass
class _FolderScan:
    """Reads folders again and again, and remembers what each folder is called and what was opened.

    An id stays that of its folder also when the folder is gone: an address never comes to mean another run.
    """

    paths: Sequence[Path]
    root: str
    ids: dict[Path, str] = field(default_factory=dict)
    opened: dict[Path, tuple[tuple[int, ...], int, RunFolder]] = field(default_factory=dict)
    titles: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    openings: int = 0

    def find(self) -> RunRegistry:
        """Read the folders."""
        runs: list[RegisteredRun] = []
        groups: list[RegisteredGroup] = []
        self.titles.clear()
        for path in self.paths:
            # Runs of a study that is given by itself keep its name.
            whole = not os.path.lexists(path / MANIFEST) and self._group_of(path) is not None
            base = path.resolve()
            self._collect(path, base.parent if whole else base, None, runs, groups, _DEPTH)
        here = {own.run.path for own in runs}
        self.opened = {path: own for path, own in self.opened.items() if path in here}
        return RunRegistry(runs, groups, self)

    def _collect(
        self,
        folder: Path,
        base: Path,
        group: str | None,
        runs: list[RegisteredRun],
        groups: list[RegisteredGroup],
        depth: int,
    ) -> None:
        if os.path.lexists(folder / MANIFEST):
            if own := self._shelved(folder, base, group):
                runs.append(own)
            return
        made = self._group_of(folder)
        own_id = None if made is None else self._id(folder, base)
        over = None if made is None or made.kind in _PAGES else own_id
        before = len(runs)
        if depth:
            for name in self._folders_in(folder):
                self._collect(folder / name, base, group or over, runs, groups, depth - 1)
        if made is not None and own_id is not None:
            inside = tuple(run.id for run in runs[before:])
            groups.append(RegisteredGroup(own_id, self._title(folder, base, own_id), made, inside, self.root))

    def _shelved(self, folder: Path, base: Path, group: str | None) -> RegisteredRun | None:
        try:
            state, opening, run = self._open(folder)
            own_id = self._id(folder, base)
            own = RegisteredRun(own_id, group, run, self._title(folder, base, own_id), state, opening, self.root)
            _ = own.listed
        except PenlightError as error:
            self._warn(f"left out: {error.text}")
            return None
        except Exception as error:  # whatever is wrong with one run, the others are offered
            self._warn(f"left out: {folder} cannot be read ({type(error).__name__})")
            return None
        return own

    def _open(self, folder: Path) -> tuple[tuple[int, ...], int, RunFolder]:
        state = state_of(folder / MANIFEST)
        known = self.opened.get(folder)
        if known is not None and known[0] == state:
            return known
        self.openings += 1
        self.opened[folder] = (state, self.openings, open_run(folder))
        return self.opened[folder]

    def _group_of(self, folder: Path) -> RunGroup | None:
        """Open a folder of several runs; None for another, and for one that is damaged, with a line in the log."""
        try:
            kind = kind_of(folder)
            # A cross-validation that is not complete has nothing to show.
            if kind not in _KINDS or (kind == "folds" and not is_inside(folder, SUMMARY)):
                return None
            found = open_group(folder)
            _ = found.record
        except PenlightError as error:
            self._warn(f"left out: {error.text}")
            return None
        return found

    def _folders_in(self, folder: Path) -> list[str]:
        """Name the folders in a folder that may hold runs. Links are left out: what they lead to was not given."""
        for name in links_in(folder):
            self._warn(f"left out: {folder / name} is a link, and links are not followed")
        return [name for name in inner_folders(folder) if not name.startswith(".")]

    def _id(self, folder: Path, base: Path) -> str:
        """Give an id from the folder's place below the base: letters, digits, dots, dashes; no two are alike."""
        place = folder.resolve()
        if place not in self.ids:
            stem = ".".join(re.sub(r"[^A-Za-z0-9_-]+", "-", part).strip("-") or "run" for part in _parts(place, base))
            taken = set(self.ids.values())
            numbered = (f"{stem}-{number}" for number in itertools.count(2))
            self.ids[place] = next(name for name in itertools.chain((stem,), numbered) if name not in taken)
        return self.ids[place]

    def _title(self, folder: Path, base: Path, own_id: str) -> str:
        """Name a folder by its place below the base, and by its id where another one has that name."""
        title = "/".join(_parts(folder, base))
        title = f"{title} ({own_id})" if title in self.titles else title
        self.titles.add(title)
        return title

    def _warn(self, text: str) -> None:
        """Log what is left out, once."""
        if text not in self.told:
            self.told.add(text)
            log.warning("%s", text)


def _parts(folder: Path, base: Path) -> tuple[str, ...]:
    place = folder.resolve()
    return (place.name,) if place == base else place.relative_to(base).parts
