"""Which columns of a table are the labels, and how their cells are read."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from penlight.data.own import naming
from penlight.data.own.cells import LIST, are_whole_numbers, comma_lists, is_list, parts_of, whole_number
from penlight.data.own.known_columns import NONE, called, column_named, is_flag, is_known, speaks_of_label
from penlight.data.own.listing import AskedLayout
from penlight.data.own.questions import ask
from penlight.data.own.table_rules import UNKNOWN, TableRules
from penlight.data.own.tables import Table
from penlight.data.own.undecided import undecided_cells, unlabelled
from penlight.errors import DataError
from penlight.escaping import named
from penlight.numbers import counted

_SEPARATORS = ("|", ";")
_UNKNOWN = ("unk", "unknown")
_MOST_NUMBERS = 40
_FEW = 30


@dataclass(frozen=True)
class RowsThere:
    """The rows of a table whose files are there, or all where none is: what labels are read from. `path` is the
    column of the files."""

    table: Table
    numbers: Sequence[int]
    path: str

    def cells(self, column: str) -> list[str]:
        """Give the cells of a column in these rows."""
        cells = self.table[column]
        return cells if len(self.numbers) == len(cells) else [cells[i] for i in self.numbers]


@dataclass(frozen=True)
class LabelColumns:
    """The columns of the labels and how their cells are read; `words` say it."""

    label: str | None = None
    labels: tuple[str, ...] = ()
    separator: str | None = None
    none: tuple[str, ...] = ()
    rules: TableRules = field(default_factory=TableRules)
    words: str = ""
    unused: Mapping[str, str] = field(default_factory=dict)


def find_labels(path: Path, rows: RowsThere, taken: set[str], asked: AskedLayout, rules: TableRules) -> LabelColumns:
    """Find the columns of the labels among those that are not `taken`: as a person says, or by their names and cells.
    UndecidedError for several readings, of columns or of cells; DataError where no column can be a label."""
    rules = replace(
        rules,
        uncertain=asked.uncertain or "",
        blank=asked.blank or _blank_of(asked.uncertain),
        rows=asked.keep_rows or "",
        drop_unlabelled=asked.drop_unlabelled,
        map=dict(asked.label_map),
    )
    if asked.label_columns:
        columns = [column_named(rows.table, name, "--label-column", path) for name in asked.label_columns]
        if len(columns) == 1:
            return _of_column(path, rows, columns[0], asked, rules)
        return _of_findings(path, rows, columns, asked, rules)
    free = [column for column in rows.table if column not in taken]
    sure = [column for column in free if called(column, "surely_label")]
    if len(sure) == 1:
        return _of_column(path, rows, sure[0], asked, rules)
    found = _candidates(rows, free)
    if len(found.columns) + bool(found.findings) != 1:
        raise _undecided(path, rows, free, found)
    if found.columns:
        return _of_column(path, rows, found.columns[0], asked, rules)
    why = dict.fromkeys(found.flags, "no finding unless named")
    return _of_findings(path, rows, found.findings, asked, rules, why)


@dataclass(frozen=True)
class _Candidates:
    """Columns that may each be the labels; columns of 0 and 1, which may be findings; and those that are none unless
    they are named."""

    columns: Sequence[str]
    findings: Sequence[str]
    flags: Sequence[str]


def _candidates(rows: RowsThere, free: Sequence[str]) -> _Candidates:
    cells = {column: set(rows.cells(column)) - {""} for column in free}
    free = [column for column in free if cells[column]]
    yes_or_no = [column for column in free if not called(column, "no_labels") and _is_finding(rows.cells(column))]
    flags = [column for column in yes_or_no if is_flag(column)]
    several = [column for column in free if len(cells[column]) > 1]
    exact = [column for column in several if called(column, "label")]
    findings = [column for column in yes_or_no if column not in (*flags, *exact)]
    if not any(naming.yes_or_no(cell) for column in findings for cell in cells[column]):
        findings = []  # no picture has any
    spoken = [column for column in several if speaks_of_label(column) and not naming.is_none(column)]
    columns = [*exact, *(column for column in spoken if column not in (*exact, *findings))]
    if not columns and len(findings) == 1:
        columns, findings = findings, []
    columns = _of_one_partition(columns, rows)
    if findings and not columns:
        # Words beside columns of yes and no may be the label, and those columns what is known of a patient.
        columns = [column for column in free if column not in findings and _is_category(column, rows)]
    if len(free) == 1 and free[0].startswith("column ") and not findings:
        columns = free
    if not columns and not findings:
        # One of a known name that says the same of every picture is still the labels; what it says is refused later.
        columns = [column for column in free if called(column, "label")][:1]
    return _Candidates(columns, findings, flags)


def _undecided(path: Path, rows: RowsThere, free: Sequence[str], found: _Candidates) -> DataError:
    """Give the error for several columns that may be the labels, or none of a known name."""
    readings = [_reading(rows, column) for column in found.columns]
    if found.findings:
        readings.append((counted(len(found.findings), "finding"), f"--label-column {_quoted(found.findings)}"))
    if readings:
        return ask("--label-column", f"{path} has several columns that may be the labels.", *readings)
    few = [column for column in free if 1 < len(set(rows.cells(column)) - {""}) <= _FEW]
    if few := list(dict.fromkeys([*found.flags, *few])):
        readings = [_reading(rows, column) for column in few]
        return ask("--label-column", f"{path} has no labels that are known by their name.", *readings)
    return DataError(
        f"{path} has no labels: neither a column 'label' nor columns of 0 and 1; it has {named(rows.table)}.",
        "Add a column 'label'.",
    )


def _reading(rows: RowsThere, column: str) -> tuple[str, str]:
    some = sorted(set(rows.cells(column)) - {""})
    words = f"{', '.join(some[:4])}{', ...' if len(some) > 4 else ''}"[:80]
    return words, f"--label-column {_quoted([column])}"


def _is_category(column: str, rows: RowsThere) -> bool:
    """Say whether a column of another name has a few words, each in several rows."""
    if is_known(column):
        return False
    counts = Counter(cell for cell in rows.cells(column) if not naming.is_missing(cell))
    words = [cell for cell in counts if not any(map(str.isdigit, cell))]
    return 1 < len(counts) <= _FEW and len(words) == len(counts) and 3 * len(counts) <= sum(counts.values())


def _blank_of(uncertain: str | None) -> str:
    """What is not mentioned is taken as what is uncertain, but never as present."""
    return uncertain if uncertain in ("negative", "drop", UNKNOWN) else ""


def _quoted(columns: Sequence[str]) -> str:
    text = ",".join(f'"{column}"' if "," in column else column for column in columns)
    # In capitals it would be a word that stands for something, such as FILE.
    plain = text.replace(",", "").replace("_", "").isalnum() and not text.isupper()
    return text if plain else f"'{text}'"


def _of_one_partition(columns: list[str], rows: RowsThere) -> list[str]:
    """Leave out columns that say the same as another in other words, such as numbers of classes beside their
    names."""
    kept: list[str] = []
    for column in columns:
        cells = rows.cells(column)
        for i, other in enumerate(kept):
            pairs = set(zip(cells, rows.cells(other), strict=True))
            if len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}):
                if all(cell.isdecimal() for _, cell in pairs) and not all(cell.isdecimal() for cell, _ in pairs):
                    kept[i] = column
                break
        else:
            kept.append(column)
    return kept


def _is_finding(cells: Collection[str]) -> bool:
    """Say whether cells are those of a finding: 1 and 0, and perhaps -1 or nothing."""
    answers = {cell: naming.yes_or_no(cell) for cell in set(cells)}
    said = [answer for answer in answers.values() if answer is not None]
    rest = [cell for cell, answer in answers.items() if answer is None]
    said = said if {cell.casefold() for cell in answers} != {"x"} else []  # a mark where it is present
    return bool(said) and all(naming.is_missing(cell) or naming.is_uncertain(cell) for cell in rest)


def _of_findings(
    path: Path,
    rows: RowsThere,
    columns: Sequence[str],
    asked: AskedLayout,
    rules: TableRules,
    unused: Mapping[str, str] | None = None,
) -> LabelColumns:
    """Read a column for each finding, or for each class where every picture has one."""
    why = dict(unused or {})
    cells = {column: rows.cells(column) for column in columns}
    found = {column: set(texts) for column, texts in cells.items()}
    if wrong := {column: texts for column, texts in found.items() if not _is_finding(texts)}:
        raise undecided_cells(path, {column: sorted(texts) for column, texts in wrong.items()})
    for column in columns:
        if all(naming.yes_or_no(cell) is False for cell in found[column]) and not asked.label_columns:
            why[column] = "no picture has it"
    columns = [column for column in columns if column not in why]
    if len(columns) == 1 and not asked.label_columns:
        return replace(_of_column(path, rows, columns[0], asked, rules), unused=why)
    present = [[naming.yes_or_no(cell) is True for cell in cells[column]] for column in columns]
    exclusive = bool(columns) and all(sum(row) == 1 for row in zip(*present, strict=True))
    nothing = [column for column in columns if naming.is_none(column, beside_findings=True)]
    nothing = [column for column in nothing if column not in asked.order]
    unknown = [column for column in nothing if column.casefold() in _UNKNOWN]
    if exclusive and not asked.several and unknown and not asked.label_columns:
        n = sum(naming.yes_or_no(cell) is True for cell in cells[unknown[0]])
        if not asked.drop_unlabelled:
            raise ask("--drop-unlabelled", f"{path}: {counted(n, 'picture')} of {unknown[0]} have no other label.",
                      ("leave them out", "--drop-unlabelled"),
                      ("a class of its own", f"--label-column {_quoted(columns)}"))  # fmt: skip
        rules = replace(rules, drop_unlabelled=True)
        columns = [column for column in columns if column not in unknown]
        why |= dict.fromkeys(unknown, "left out")
        return LabelColumns(None, tuple(columns), None, (), replace(rules, one_each=True), named(columns), why)
    if (not exclusive or asked.several) and len(nothing) < len(columns):
        columns = [column for column in columns if column not in nothing]
        why |= dict.fromkeys(nothing, "says that there is none")
    words = f"a column of 0 and 1 for each: {named(columns)}"
    for name, told in (("uncertain", rules.uncertain), ("blank", rules.blank)):
        words += f"; {name} cells are {told}" if told and asked.uncertain else ""
    return LabelColumns(None, tuple(columns), None, (), rules, words, why)


def _of_column(path: Path, rows: RowsThere, column: str, asked: AskedLayout, rules: TableRules) -> LabelColumns:
    """Read a column whose cells are labels."""
    counts: dict[str, int] = {}
    for cell in rows.cells(column):
        counts[cell] = counts.get(cell, 0) + 1
    separator = _separator(path, column, list(counts), asked)
    parts = {part for cell in counts for part in parts_of(cell, separator)}
    several = (asked.several and len(counts) > 2) or asked.keep_rows == "any"
    missing = [part for part in parts if naming.is_missing(part) and not _is_word(part, parts, separator or several)]
    if parts and parts <= {"0", "1", "0.0", "1.0"} and separator == LIST:
        raise DataError(
            f"{path}: {column} holds rows of numbers, not labels.", "Give a column of labels, or one for each."
        )
    labels = parts - set(missing)
    rules = replace(rules, missing=tuple(sorted(missing)), whole_numbers=are_whole_numbers(labels))
    labels = {whole_number(label) for label in labels} if rules.whole_numbers else labels
    empty = {cell for cell in counts if set(parts_of(cell, separator)) <= set(missing) and not is_list(cell)}
    may_be_none = separator is not None or _is_finding(set(counts))
    if empty and not asked.drop_unlabelled and not (may_be_none and rules.blank == "negative"):
        files = [file for file, cell in zip(rows.cells(rows.path), rows.cells(column), strict=True) if cell in empty]
        raise unlabelled(path, files, sorted(empty - {""}), findings=may_be_none)
    if not (rules.uncertain or rules.map):
        _require_no_minus_one(path, column, labels, counts)
    if len(labels) > _MOST_NUMBERS and not (rules.map or asked.order) and all(map(_is_quantity, labels)):
        raise ask(
            "--label-map",
            f"{path}: {column} has {len(labels):,} numbers, as a measurement has, and Penlight learns classes.",
            ("names of the classes that they are, or fewer classes", "--label-map FILE"),
            ("other labels", "--label-column NAME"),
        )
    if rules.map and (absent := sorted(label for label in labels if label not in rules.map)):
        raise DataError(f"--label-map has no name for {named(absent)}.", "Add them.")
    none: tuple[str, ...] = ()
    if several or (separator and any(len(parts_of(cell, separator)) > 1 for cell in counts)):
        none = tuple(sorted(label for label in labels if naming.is_none(label, beside_findings=True)))
        none = tuple(label for label in none if label not in asked.order)
    how = {None: "", LIST: ", lists in brackets"}.get(separator, f", '{separator}' between several")
    words = f"{column}{how}"
    words += f"; {named(none)} is none" if none else ""
    words += f"; {named(rules.missing)} is no label" if rules.missing else ""
    return LabelColumns(column, (), separator, none, rules, words)


def _is_quantity(label: str) -> bool:
    return label.replace(".", "", 1).lstrip("-").isdecimal()


def _require_no_minus_one(path: Path, column: str, labels: set[str], counts: Mapping[str, int]) -> None:
    if "-1" in labels and len(labels) > 2 and all(label.lstrip("-").isdecimal() for label in labels):
        n = counts.get("-1", 0) + counts.get("-1.0", 0)
        raise ask(
            "--uncertain",
            f"{path}: {column} is -1 in {counted(n, 'row')}, which may be a class, or uncertain.",
            ("leave them out", "--uncertain drop"),
            ("as 1", "--uncertain positive"),
            ("as 0", "--uncertain negative"),
            ("a class of its own", "--label-map FILE"),
        )


def _is_word(part: str, parts: set[str], several: object) -> bool:
    """Say whether "none" and its like are a label: a grade beside others, or no finding beside findings."""
    text = part.casefold()
    if text not in ("none", "unknown"):
        return False
    grades = {"mild", "moderate", "severe", "minimal", "proliferative"}
    return text == "none" and (bool(several) or any(set(naming.words(other)) & grades for other in parts))


def _separator(path: Path, column: str, cells: Sequence[str], asked: AskedLayout) -> str | None:
    """Find what stands between several labels in a cell."""
    if asked.separator is not None:
        return None if asked.separator.casefold() == NONE else asked.separator
    if any(map(is_list, cells)):
        return LIST
    marks = [mark for mark in _SEPARATORS if any(mark in cell for cell in cells)]
    if len(marks) > 1:
        raise ask(
            "--separator",
            f"{path}: labels hold both '|' and ';'.",
            *((f"{mark} between labels", f"--separator '{mark}'") for mark in marks),
            ("each cell is one label", f"--separator {NONE}"),
        )
    if marks:
        return marks[0]
    lists = comma_lists([cell for cell in cells if cell]) if any("," in cell for cell in cells) else False
    if lists is None:
        example = next(cell for cell in cells if "," in cell)
        raise ask(
            "--separator",
            f"{path}: {column} has commas, as in '{example}', and only some of the parts are labels elsewhere.",
            ("several labels", "--separator ,"),
            ("one label", f"--separator {NONE}"),
        )
    return "," if lists else None
