"""What a registry of runs and studies holds, as the gallery shows it: gathered here, drawn in the templates.

Scores are those that were written when a run was made. What stands together was measured on the same images: a group
is one file of a dataset through one view.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from penlight.data.catalog import info_of_reference
from penlight.errors import PenlightError
from penlight.evaluation.rows import Score, find_row
from penlight.numbers import counted, pixels_text
from penlight.recipes import Elsewhere
from penlight.reports.words import interval, metric_words, number, sentence
from penlight.runs import RunFolder
from penlight.runs.evidence import checks_kept, headline_kept
from penlight.runs.folder import MANIFEST
from penlight.runs.groups import FINAL, REPORT, UNSEALED
from penlight.runs.predictor import MODEL
from penlight.runs.scores import Scores
from penlight.runs.studies import StudyEntry
from penlight.serve.registry import RegisteredGroup, RegisteredRun, RunRegistry

_BASELINE = "linear"


@dataclass(frozen=True)
class GalleryScore:
    """A headline score with its interval, and that of the linear baseline on the same images where it is another."""

    row: Score
    linear: Score | None = None
    decimals: int = 2

    @property
    def value(self) -> str:
        """The number."""
        return number(self.row.value, self.decimals)

    @property
    def sure(self) -> str:
        """The interval, or why there is no number."""
        return interval(self.row.low, self.row.high, self.decimals) or self.row.note

    @property
    def beside(self) -> str:
        """The linear baseline's number; empty where it is not known or is the model itself."""
        return number(self.linear.value, self.decimals) if self.linear and math.isfinite(self.linear.value) else ""

    @property
    def spoken(self) -> str:
        """What the bar shows, in words."""
        words = metric_words(self.row.name).short
        bounds = interval(self.row.low, self.row.high, self.decimals)
        own = f"{words} {self.value}" + (
            f", 95 % interval {bounds}" if bounds else f", {self.sure}" * bool(self.sure)
        )
        return own + (f"; linear baseline {self.beside}" if self.beside else "")


@dataclass(frozen=True)
class GalleryEntry:
    """A run, or what holds several: a folder of seeds or folds, a study.

    `id` is what addresses use; `kind` is "run", "seeds", "folds", "study" or "row" (a recipe of a study). `recipe`
    says what was trained in a few words, `detail` what else tells it apart. `serious` and `remarks` count the checks
    that reported a problem, None where none was run. `opens` says whether pictures can be asked about, `report`
    whether there is one. `parts` are the runs inside, the rows of a study before them. `root` is the prefix of
    addresses.
    """

    id: str
    kind: str
    name: str
    recipe: str
    detail: str
    score: GalleryScore
    serious: int | None = None
    remarks: int | None = None
    opens: bool = False
    report: bool = False
    rows: tuple["GalleryEntry", ...] = ()
    parts: tuple["GalleryEntry", ...] = ()
    root: str = ""

    @property
    def address(self) -> str:
        """The address of its page; empty for a run that cannot be asked, and a row."""
        if self.kind == "run":
            return f"{self.root}/runs/{self.id}" if self.opens else ""
        return "" if self.kind == "row" else f"{self.root}/groups/{self.id}"

    @property
    def to_report(self) -> str:
        """The address of the report."""
        return f"{self.root}/{'runs' if self.kind == 'run' else 'groups'}/{self.id}/report"

    @property
    def checks(self) -> str:
        """Say how many checks reported a problem."""
        if self.serious is None or self.remarks is None:
            return ""
        reported = self.serious + self.remarks
        return f"{reported} {'check' if reported == 1 else 'checks'}" if reported else "no check reported a problem"


@dataclass(frozen=True)
class GalleryGroup:
    """What was measured on the same images, studies first, then by score."""

    dataset: str
    title: str
    view: str
    size: int
    images: int
    metric: str
    studies: tuple[GalleryEntry, ...]
    entries: tuple[GalleryEntry, ...]
    folds: bool = False

    @property
    def about(self) -> str:
        """Say what the images are."""
        images = counted(self.images, "image" if self.folds else "test image")
        which = " of train and val, answered out of fold" if self.folds else ""
        side = f"{pixels_text(self.size)}, " if self.size else ""
        return f"{self.view} view, {side}{images}{which}"

    @property
    def short(self) -> str:
        """Name the group in a few words."""
        view = [] if self.view == "native" else [self.view]
        return ", ".join([self.dataset, *view, *(["out of fold"] if self.folds else [])])


@dataclass(frozen=True)
class Gallery:
    """The groups of a folder, and by name what in it could not be read and why."""

    groups: tuple[GalleryGroup, ...]
    problems: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """A short name of each group."""
        return _told_apart(self.groups)

    @property
    def n_runs(self) -> int:
        """How many models there are, those in folders of seeds and studies included."""
        tops = [e for g in self.groups for e in (*g.studies, *g.entries)]
        return sum(len(e.parts) if e.parts else 1 for e in tops)


def _told_apart(groups: Sequence[GalleryGroup]) -> tuple[str, ...]:
    """Name groups, those of one name by their number of images too."""
    names = [group.short for group in groups]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({group.images:,})"
        for name, group in zip(names, groups, strict=True)
    )


@dataclass(frozen=True)
class _Place:
    """What groups are made by; `data` is the MD5 of the images, `folds` says that those of train and val are answered
    out of fold, and not those of test."""

    dataset: str
    view: str
    size: int
    data: str
    folds: bool = False


_Found = tuple[_Place, int, GalleryEntry]


def gather(registry: RunRegistry) -> Gallery:
    """Read the scores of what a registry holds. What cannot be read is said, and stops nothing."""
    found: list[_Found] = []
    problems: dict[str, str] = {}
    alone = [own for own in registry.runs.values() if own.group is None]
    inside = {own.group for own in registry.runs.values()}
    whole = [group for group in registry.groups.values() if group.id in inside]
    readers: list[tuple[str, Callable[[], list[_Found]]]] = [
        *((own.id, functools.partial(_of_run, own)) for own in alone),
        *((group.id, functools.partial(_of_group, group, registry)) for group in whole),
    ]
    for name, read in readers:
        try:
            found += read()
        except PenlightError as error:
            problems[name] = error.text
        except (KeyError, ValueError, TypeError, IndexError, OSError):
            problems[name] = f"{name} is damaged, or not as this version of Penlight writes it."
    places = dict.fromkeys(place for place, _, _ in found)
    groups = [_group(place, [(n, e) for p, n, e in found if p == place]) for place in places]
    return Gallery(tuple(sorted(groups, key=lambda g: (g.title, g.view, g.size))), problems)


def gather_group(group: RegisteredGroup, registry: RunRegistry) -> list[tuple[GalleryGroup, GalleryEntry]]:
    """Give one study, or the seeds or folds of a recipe, as the gallery shows it: in each view that it has scores in,
    the images and the entry. RunError if what it holds cannot be read."""
    return [(_group(place, [(images, entry)]), entry) for place, images, entry in _of_group(group, registry)]


def find_entry(registered: RegisteredRun) -> tuple[GalleryGroup, GalleryEntry]:
    """Give one run as the gallery shows it, and the group it belongs to."""
    ((place, images, entry),) = _of_run(registered)
    return _group(place, [(images, entry)]), entry


def _of_run(registered: RegisteredRun) -> list[_Found]:
    place, images, entry = _run(registered.run, (registered.run.path / MANIFEST).stat().st_mtime_ns)
    return [(place, images, replace(entry, id=registered.id, name=registered.title, root=registered.root))]


@functools.lru_cache(4096)
def _run(run: RunFolder, changed: int) -> _Found:
    """Read a run once for each time that it is changed."""
    del changed
    recipe, made, row = run.recipe, run.provenance, headline_kept(run)
    checks = checks_kept(run)
    serious = sum(check.serious for check in checks)
    kept, name = run.kept_model, run.kept_name
    detail = ["made elsewhere" if isinstance(recipe.model, Elsewhere) else f"seed {run.seed}"]
    if made.get("final"):
        detail = [
            f"average of {counted(len(made['members']), 'model')}" if made["final"] == "ensemble" else "refitted"
        ]
    if made.get("parameters"):
        detail.append(f"{counted(made['parameters'], 'parameter')}")
    entry = GalleryEntry(
        id=run.name,
        kind="run",
        name=run.name,
        recipe=name if name == recipe.called else f"{name}, kept in place of {recipe.called}",
        detail=", ".join(detail),
        score=GalleryScore(row, None if kept == _BASELINE else _baseline(run.metrics, row.name)),
        serious=serious,
        remarks=len(checks) - serious,
        opens=run.has(MODEL),
        report=run.has(REPORT),
    )
    place = _Place(str(made["dataset"]), str(made["view"]), int(made["size"]), str(made["data_md5"]))
    return place, row.n, entry


def _baseline(metrics: Scores, name: str) -> Score | None:
    return find_row(metrics.baselines.get(_BASELINE, ()), name)


def _of_group(group: RegisteredGroup, registry: RunRegistry) -> list[_Found]:
    inside = [registry.runs[name] for name in group.runs]
    runs = [found for run in inside if run.folder.name != FINAL for found in _of_run(run)]
    if group.kind == "study":
        return _of_study(group, runs)
    return [_of_seeds(group, runs, [found for run in inside if run.folder.name == FINAL for found in _of_run(run)])]


def _of_seeds(group: RegisteredGroup, runs: Sequence[_Found], final: Sequence[_Found]) -> _Found:
    place, images, first = runs[0]
    row = find_row(group.own.summary.metrics, first.score.row.name)
    entry = GalleryEntry(
        id=group.id,
        kind=group.kind,
        name=group.title,
        recipe=" and ".join(dict.fromkeys(entry.recipe for _, _, entry in runs)),
        detail=f"{'answers' if group.kind == 'folds' else 'mean'} of {len(runs)} {group.kind}{_unsealed(group)}",
        score=replace(first.score, row=row or first.score.row),
        report=group.listed.links.report is not None,
        parts=tuple(run for _, _, run in (*final, *runs)),
        root=group.root,
    )
    if group.kind == "folds":
        return replace(place, folds=True), sum(n for _, n, _ in runs), entry
    return place, images, entry


def _unsealed(group: RegisteredGroup) -> str:
    return "" if group.sealed else f", {UNSEALED}"


def _of_study(group: RegisteredGroup, runs: Sequence[_Found]) -> list[_Found]:
    """Read a study: an entry in each view that it has a table of."""
    record = group.own.study
    study = record.study
    found = []
    for table in record.tables:
        place = _Place(record.dataset, table.view, study.size, record.data_md5)
        rows = [_of_row(row, table.headline) for row in table.rows]
        linear = next((row.score.row for row in rows if row.recipe == _BASELINE), None)
        rows = [replace(r, score=replace(r.score, linear=None if r.recipe == _BASELINE else linear)) for r in rows]
        n_seeds = sum(len(row.seeds) for row in table.rows)
        entry = GalleryEntry(
            id=group.id,
            kind="study",
            name=study.title,
            recipe=study.question,
            detail=f"{group.title}: {counted(len(rows), 'recipe')}, {counted(n_seeds, 'run')}{_unsealed(group)}",
            score=max(rows, key=lambda row: _worth(row.score.row)).score,
            report=group.listed.links.report is not None,
            rows=tuple(sorted(rows, key=lambda row: -_worth(row.score.row))),
            # Runs of the same images at other sizes belong to it too.
            parts=tuple(run for own, _, run in runs if (own.dataset, own.view) == (place.dataset, place.view)),
            root=group.root,
        )
        found.append((place, table.images["test"], entry))
    return found


def _of_row(row: StudyEntry, headline: str) -> GalleryEntry:
    score = find_row(row.rows, headline)
    missing = Score(headline, None, math.nan, math.nan, math.nan, 0, "not scored")
    seeds = len(row.seeds)
    return GalleryEntry(row.id, "row", row.title, row.recipe, counted(seeds, "seed"),
                 GalleryScore(score or missing, decimals=3))  # fmt: skip


def _group(place: _Place, found: list[tuple[int, GalleryEntry]]) -> GalleryGroup:
    entries = [entry for _, entry in found]
    row = entries[0].score.row
    return GalleryGroup(
        dataset=place.dataset,
        title=_title(place.dataset),
        view=place.view,
        size=place.size,
        images=found[0][0],
        folds=place.folds,
        metric=sentence(metric_words(row.name).short),
        studies=tuple(e for e in entries if e.kind == "study"),
        entries=tuple(sorted((e for e in entries if e.kind != "study"), key=lambda e: -_worth(e.score.row))),
    )


def _worth(row: Score) -> float:
    if not math.isfinite(row.value):
        return -math.inf
    return row.value if metric_words(row.name).higher_is_better else -row.value


def _title(dataset: str) -> str:
    """The title of a dataset; its name where its description is not at hand."""
    try:
        return info_of_reference(dataset).title
    except PenlightError:
        return Path(dataset).stem
