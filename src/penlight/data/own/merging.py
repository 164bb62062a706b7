"""Rows of one picture made one, and what every row must have."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from penlight.data.own.listing import PictureRow
from penlight.data.own.questions import ask
from penlight.errors import DataError
from penlight.escaping import named


def merge_rows(rows: Sequence[PictureRow], path: Path, keep: str) -> list[PictureRow]:
    """Make one row of several of one picture: where they agree, or as `keep` says."""
    counts = Counter(row.path for row in rows)
    if len(counts) == len(rows):
        return list(rows)
    by_path: dict[str, list[PictureRow]] = {}
    for row in rows:
        by_path.setdefault(row.path, []).append(row)
    several = {file: found for file, found in by_path.items() if len(found) > 1}
    for what, differ in (("patients", "patient"), ("splits", "split")):
        if bad := [file for file, found in several.items() if len({getattr(row, differ) for row in found}) > 1]:
            raise ask(
                f"--{differ}-column",
                f"{path}: pictures that stand in several rows: {named(bad)}. Their {what} differ.",
                (f"the table's {what} do not count", f"--{differ}-column none"),
            )
    said = {file: {(frozenset(row.values), frozenset(row.unknown)) for row in own} for file, own in several.items()}
    differing = [file for file, own in said.items() if len(own) > 1]
    if differing and not keep:
        raise ask(
            "--keep-rows",
            f"{path}: pictures that stand in several rows: {named(differing)}. Their labels differ.",
            ("the labels of more than half of the rows", "--keep-rows majority"),
            ("every label of any row", "--keep-rows any"),
            ("the first row", "--keep-rows first"),
        )
    chosen = {file: _chosen(several[file], keep) for file in differing}
    if tied := [file for file, values in chosen.items() if values is None]:
        raise ask(
            "--keep-rows",
            f"{path}: no label has more than half of the rows of {named(tied)}.",
            ("every label of any row", "--keep-rows any"),
            ("the first row", "--keep-rows first"),
        )
    merged = []
    for file, found in by_path.items():
        values = chosen.get(file) or found[0].values if file not in chosen else chosen[file]
        first = found[0]
        unknown = _still_unknown(found, keep, values or ()) if file in chosen else first.unknown
        merged.append(PictureRow(file, values or (), first.patient, first.split, first.metadata, unknown))
    return merged


def _still_unknown(rows: Sequence[PictureRow], keep: str, values: Sequence[str]) -> tuple[str, ...]:
    """Give the labels that stay unknown when the rows of one picture become one with `values`: of the first row; of
    any row, where no other says that it is there; else those that no row knows."""
    if keep == "first":
        return rows[0].unknown
    of_rows = Counter(label for row in rows for label in row.unknown)
    fewest = 1 if keep == "any" else len(rows)
    return tuple(label for label, n in of_rows.items() if n >= fewest and label not in values)


def require_sound(rows: Sequence[PictureRow], path: Path) -> None:
    """Raise DataError for a picture that stands in several rows, and for an empty patient."""
    counts = Counter(row.path for row in rows)
    if twice := [file for file, count in counts.items() if count > 1]:
        raise DataError(f"{path}: pictures that stand in several rows: {named(twice)}.", "Keep one row for each.")
    require_patients(rows, path)


def require_patients(rows: Sequence[PictureRow], path: Path) -> None:
    """Raise the question whose a picture is whose patient's cell is empty."""
    if nameless := [row.path for row in rows if row.patient == ""]:
        raise ask(
            "--unnamed-patients",
            f"{path}: no patient in the rows of {named(nameless)}.",
            ("each of these pictures is of another patient", "--unnamed-patients own"),
            ("leave them out", "--unnamed-patients drop"),
            ("patients are not known", "--patient-column none"),
        )


def _chosen(rows: Sequence[PictureRow], keep: str) -> tuple[str, ...] | None:
    """Give the labels of the rows of one picture; None where none has the majority."""
    if keep == "first":
        return rows[0].values
    votes = Counter(value for row in rows for value in row.values)
    if keep == "any":
        return tuple(votes)
    if all(len(row.values) == 1 for row in rows):
        (first, n), *others = votes.most_common()
        return (first,) if not others or n > others[0][1] else None
    silent = Counter(label for row in rows for label in row.unknown)
    return tuple(value for value, n in votes.items() if 2 * n > len(rows) - silent[value])
