"""A dataset in numbers: its images and labels by split, which labels occur together, and how they lie along the file.

No image is read. C labels, S splits; `rows` are the C labels and, where an image need not have one, "no finding".
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from penlight.data.dataset import Dataset, DatasetInfo
from penlight.data.views import LeftOut, ViewedDataset, viewed
from penlight.escaping import listed, quoted
from penlight.numbers import percent_text
from penlight.records import Count, Labels, Name, Record, json_key
from penlight.tasks import Task
from penlight.tasks.base import NO_FINDING, absent

if TYPE_CHECKING:
    import pandas as pd

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

ANY_FINDING = "any finding"
PER_IMAGE = ("no finding", "1 finding", "2 findings", "3 findings", "4 or more")
PARTS = 10
"""A split is cut into so many consecutive parts to see whether its labels drift along the file."""

_FEWEST = 20
_ALPHA = 0.05
_UNKNOWN = "too few to tell"


def _whole_numbers(values: Any) -> Counts:
    try:
        return np.array(values, np.int64)
    except (TypeError, OverflowError) as error:
        raise ValueError("whole numbers were expected") from error


CountArray = Annotated[Any, BeforeValidator(_whole_numbers)]


class Findings(Record):
    """How findings share images: `per_image` maps a split to the (5,) counts of images that have 0, 1, 2, 3, and 4 or
    more of them; `together` (C, C) counts the training images that have the finding of the row and that of the
    column, on its diagonal those that have the finding. Where not all findings are known, `per_image` counts images
    of which all are, and `known` (C, C) counts the training images that have the finding of the row and of which that
    of the column is known; None where all are."""

    labels: Labels
    per_image: Mapping[Name, tuple[Count, ...]]
    together: CountArray
    known: CountArray | None = json_key(default=None, if_known=True)

    @property
    def shares_together(self) -> Floats:
        """(C, C) share of the training images with the row's finding that also have the column's, P(column | row).

        NaN on the diagonal, and in the row of a finding that train never has.
        """
        n = (
            np.broadcast_to(np.diag(self.together)[:, None], self.together.shape)
            if self.known is None
            else self.known
        )
        shares = np.full(self.together.shape, np.nan)
        np.divide(self.together, n, out=shares, where=n > 0)
        np.fill_diagonal(shares, np.nan)
        return shares

    def per_image_shares(self, split: str) -> tuple[float, ...]:
        """Give the part of a split's images that has each number of findings, 0 to 1."""
        counts = self.per_image[split]
        return tuple(count / max(1, sum(counts)) for count in counts)

    def per_image_text(self) -> str:
        """Say how many training images have none, one and several."""
        none, one, *several = self.per_image_shares("train")
        said = [percent_text(share) for share in (none, one, sum(several))]
        of = "images" if self.known is None else "images of which all findings are known"
        return f"In train, {said[0]} of {of} have no finding, {said[1]} one and {said[2]} several."

    def together_text(self) -> str:
        """Say which finding comes most often with another one, among those with enough training images."""
        enough = np.diag(self.together) >= _FEWEST
        shares = np.nan_to_num(np.where(enough[:, None], self.shares_together, 0))
        if not shares.any():
            return f"No finding with {_FEWEST} training images or more comes with another one."
        row, column = np.unravel_index(np.argmax(shares), shares.shape)
        both = int(self.together[row, column])
        n = int((self.together if self.known is None else self.known)[row, row if self.known is None else column])
        return (
            f"Most bound to another: of the {n:,} training images with {self.labels[row]}, {both:,} "
            f"({percent_text(shares[row, column], 0)}) also have {self.labels[column]}."
        )


class Positions(Record):
    """How often each of `rows` occurs along the file, a split's images being in their stored order.

    `counts` maps a split to the (P, R) images with each row in P consecutive parts, `images` to the (P,) images of
    each part; P is 10, or less in a split of fewer images. `known` maps a split to the (P, R) images of each part of
    which a row is known, None where all are.
    """

    rows: Labels
    counts: Mapping[Name, CountArray]
    images: Mapping[Name, CountArray]
    known: Mapping[Name, CountArray] | None = json_key(default=None, if_known=True)

    def _of(self, split: str) -> Floats:
        """Give the (P, R), or (P, 1), images that shares are of."""
        of = self.images[split][:, None] if self.known is None else np.maximum(self.known[split], 1)
        return np.asarray(of, np.float64)

    def shares(self, split: str) -> Floats:
        """Give the (P, R) shares of a part's images that have each row, 0 to 1."""
        out: Floats = self.counts[split] / self._of(split)
        return out

    def chance(self, split: str) -> tuple[Floats, Floats]:
        """Give the (P, R) bounds that hold 95 % of shares in a shuffled file (normal approximation), 0 to 1."""
        n = self._of(split)
        share = self.counts[split].sum(axis=0) / n.sum(axis=0)
        half = 1.96 * np.sqrt(share * (1 - share) / n)
        return np.clip(share - half, 0, 1), np.clip(share + half, 0, 1)

    def p_values(self, split: str) -> Floats:
        """Give the (R,) probability of shares at least this uneven in a shuffled split (chi-squared test).

        NaN for a row that fewer than 20 images have, or lack: the test does not hold there.
        """
        from scipy.special import chdtrc

        counts, n = self.counts[split].astype(float), self._of(split)
        n = np.broadcast_to(n, counts.shape)
        having, total = counts.sum(axis=0), n.sum(axis=0)
        lacking = total - having
        judged = np.minimum(having, lacking) >= _FEWEST
        p = np.full(len(having), np.nan)
        expected = (n * having / total)[:, judged]
        variance = expected * (lacking / total)[judged]
        uneven = ((counts[:, judged] - expected) ** 2 / variance).sum(axis=0)
        p[judged] = chdtrc(len(n) - 1, uneven)
        return p

    def drifting(self) -> Mapping[str, tuple[str, ...]]:
        """Name by split the rows that are more uneven than chance makes one in twenty of all (Bonferroni)."""
        p = {split: self.p_values(split) for split in self.counts}
        judged = sum(int(np.isfinite(values).sum()) for values in p.values())
        return {
            split: tuple(row for row, value in zip(self.rows, values, strict=True) if value * judged < _ALPHA)
            for split, values in p.items()
        }

    def words(self) -> tuple[str, ...]:
        """Say of each row where it drifts, that it is steady, or that too few images have it to tell."""
        drifting = self.drifting()
        judged = np.any([np.isfinite(self.p_values(split)) for split in self.counts], axis=0)
        where = [[split for split, rows in drifting.items() if row in rows] for row in self.rows]
        return tuple(
            f"drifts in {', '.join(splits)}" if splits else "steady" if known else _UNKNOWN
            for splits, known in zip(where, judged, strict=True)
        )

    def text(self) -> str:
        """Say which rows drift along which split."""
        drifting = {split: rows for split, rows in self.drifting().items() if rows}
        if set(self.words()) == {_UNKNOWN}:
            return "Too few images have, or lack, each label to tell whether shares change along the file."
        if not drifting:
            return "Along the file no share changes more than it would in a shuffled one."
        parts = "; ".join(
            f"in {split}, that of {listed(list(map(quoted, rows)), 4)}" for split, rows in drifting.items()
        )
        return (
            f"Along the file some shares change more than chance would make them: {parts}. Its images are not "
            "shuffled, or those of one patient lie together."
        )


def _about(info: DatasetInfo) -> dict[str, Any]:
    return {key: getattr(info, key) for key in ("name", "title", "modality", "channels", "licence", "source")}


def _findings_values(findings: Findings | None) -> dict[str, Any] | None:
    if findings is None:
        return None
    together = {"labels": findings.labels, "counts": findings.together, "shares": findings.shares_together}
    together |= {} if findings.known is None else {"known": findings.known}
    return {"per_image": findings.per_image, "together": together}


def _positions_values(positions: Positions) -> dict[str, Any]:
    return {
        "rows": positions.rows,
        "images": positions.images,
        "counts": positions.counts,
        "drifting": positions.drifting(),
        **({} if positions.known is None else {"known": positions.known}),
    }


class DataDescription(Record, computed=("labels",)):
    """What a dataset holds in a view: `images` counts by split, `counts` maps a split to one number for each of
    `rows`. `task` is that of the view; `left_out` is what the view leaves out of each split. `findings` is None where
    an image has exactly one label. `known` counts, as `counts`, the images of which each row is known, None where all
    are."""

    info: DatasetInfo = json_key(inline=True, written=_about)
    size: int
    md5: str
    view: str
    task: Task = json_key(written=attrgetter("kind"))
    rows: tuple[str, ...] = json_key(hidden=True)
    images: Mapping[str, int]
    counts: Mapping[str, tuple[int, ...]] = json_key(hidden=True)
    left_out: Mapping[str, LeftOut]
    positions: Positions = json_key(written=_positions_values)
    findings: Findings | None = json_key(written=_findings_values)
    known: Mapping[str, tuple[int, ...]] | None = json_key(default=None, hidden=True)

    @property
    def labels(self) -> list[dict[str, Any]]:
        """For each of `rows` its images in each split, and their share."""
        shares = {split: self.shares(split) for split in self.images}
        return [
            {"label": row, **{s: self._row(s, i) | {"share": shares[s][i]} for s in self.images}}
            for i, row in enumerate(self.rows)
        ]

    def _row(self, split: str, i: int) -> dict[str, Any]:
        unknown = {} if self.known is None else {"unknown": self.unknown(split)[i]}
        return {"count": self.counts[split][i], **unknown}

    def unknown(self, split: str) -> tuple[int, ...]:
        """Count the images of a split of which each of `rows` is not known."""
        if self.known is None:
            return (0,) * len(self.rows)
        return tuple(self.images[split] - n for n in self.known[split])

    def known_of(self, split: str) -> tuple[int, ...]:
        """Count the images of a split of which each of `rows` is known."""
        return tuple(self.images[split] - n for n in self.unknown(split))

    def shares(self, split: str) -> tuple[float, ...]:
        """Give the part of a split's images that carries each of `rows`, of those of which it is known, 0 to 1.
        Findings need not add up to 1."""
        return tuple(count / max(1, n) for count, n in zip(self.counts[split], self.known_of(split), strict=True))

    def split_table(self) -> "pd.DataFrame":
        """Give counts and shares by label: columns `train`, `train_share`, and so on, `train_unknown` where not all
        labels are known, and a last row `images`."""
        import pandas as pd

        columns: dict[str, list[float]] = {}
        for split, n in self.images.items():
            columns[split] = [*self.counts[split], n]
            columns[f"{split}_share"] = [*self.shares(split), 1.0]
            if self.known is not None:
                columns[f"{split}_unknown"] = [*self.unknown(split), 0]
        return pd.DataFrame(columns, index=pd.Index([*self.rows, "images"], name="label"))

    def view_text(self) -> str:
        """Say what the view is, and what it leaves out of which split."""
        lost = [
            f"{split} {left.images:,} of {left.images + self.images[split]:,} images and {left.positives:,} positive "
            f"labels"
            + (f", {left.undecided:,} of these images because of labels that are not known" if left.undecided else "")
            for split, left in self.left_out.items()
            if left.images or left.positives
        ]
        # A file of a run may name another view than its task has.
        known = self.info.task.views.get(self.view)
        words = f"View {self.view}." if known is None else f"View {self.view}: {known.words}."
        return f"{words} It leaves out of {'; of '.join(lost)}." if lost else words


def describe(data: Dataset | ViewedDataset) -> DataDescription:
    """Count a dataset's images and labels by split, in a view or as stored. No image is read."""
    seen = as_viewed(data)
    carried = {split: row_indicators(seen, split) for split in seen.splits}
    known = None
    if any(split.known is not None for split in seen.splits.values()):
        known = {split: rows_known(seen, split) for split in seen.splits}
    return DataDescription(
        info=seen.dataset.info,
        size=seen.dataset.size,
        md5=seen.dataset.md5,
        view=seen.view,
        task=seen.task,
        rows=row_names(seen.task),
        images={split: len(rows) for split, rows in carried.items()},
        counts={split: tuple(int(n) for n in rows.sum(axis=0)) for split, rows in carried.items()},
        left_out=seen.left_out,
        positions=_positions(seen.task, carried, known),
        findings=None if seen.task.exclusive or "train" not in seen.splits else _findings(seen),
        known=None if known is None else {s: tuple(int(n) for n in own.sum(axis=0)) for s, own in known.items()},
    )


def as_viewed(data: Dataset | ViewedDataset) -> ViewedDataset:
    """See a dataset as it is stored, whatever its flaws; what is seen through a view already stays so."""
    if isinstance(data, ViewedDataset):
        return data
    splits = {
        name: viewed(split, np.arange(len(split)), data.info.task.encode(split.labels), split.known)
        for name, split in data.splits.items()
    }
    return ViewedDataset(data, "native", data.info.task, splits)


def row_names(task: Task) -> tuple[str, ...]:
    """Name a task's labels and, where an image need not have one, "no finding"."""
    return task.labels if task.exclusive else (*task.labels, NO_FINDING)


def row_indicators(data: ViewedDataset, split: str) -> Counts:
    """Say which images that count carry which of `row_names`: (n, rows) zeros and ones."""
    y = data.splits[split].y_true.astype(np.int64)
    part = data.splits[split]
    return y if data.task.exclusive else np.column_stack([y, absent(part.y_true, part.known).all(axis=1)])


def rows_known(data: ViewedDataset, split: str) -> NDArray[np.bool_]:
    """Say of which images that count each of `row_names` of findings is known, (n, rows): whether there is none,
    where all are known. That one is there may be known of more, but of these alone a share would say too much."""
    part = data.splits[split]
    known = np.ones(part.y_true.shape, bool) if part.known is None else part.known
    return np.column_stack([known, known.all(axis=1)])


def _findings(data: ViewedDataset) -> Findings:
    most = len(PER_IMAGE) - 1
    complete = {name: split.y_true[rows_known(data, name)[:, -1]] for name, split in data.splits.items()}
    per_image = {
        name: np.bincount(np.minimum(y.sum(axis=1, dtype=np.int64), most), minlength=most + 1)
        for name, y in complete.items()
    }
    train, mask = data.splits["train"].y_true.astype(np.int64), data.splits["train"].known
    known = None if mask is None else train.T @ mask.astype(np.int64)
    counts = {split: tuple(map(int, n)) for split, n in per_image.items()}
    return Findings(data.task.labels, counts, train.T @ train, known)


def _positions(
    task: Task, carried: Mapping[str, Counts], known: Mapping[str, NDArray[np.bool_]] | None = None
) -> Positions:
    if task.exclusive:
        rows, columns = task.labels, dict(carried)
    else:
        rows = (ANY_FINDING, *task.labels)
        masks = {split: 1 if known is None else known[split][:, -1] for split in carried}
        columns = {split: np.column_stack([masks[split] - y[:, -1], y[:, :-1]]) for split, y in carried.items()}
    starts = {split: np.linspace(0, len(y), min(PARTS, len(y)) + 1).astype(int)[:-1] for split, y in columns.items()}
    counts = {split: np.add.reduceat(y, starts[split], axis=0) for split, y in columns.items()}
    images = {split: np.diff(np.r_[starts[split], len(y)]) for split, y in columns.items()}
    if known is None:
        return Positions(rows, counts, images)
    said = {split: np.column_stack([own[:, -1], own[:, :-1]]).astype(np.int64) for split, own in known.items()}
    of = {split: np.add.reduceat(own, starts[split], axis=0) for split, own in said.items()}
    return Positions(rows, counts, images, of)
