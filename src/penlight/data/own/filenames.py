"""What the names of pictures say of their labels and their patients, where nothing else says it: offered to a person,
never taken without being asked for."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penlight.data.own import naming
from penlight.data.own.templates import template_of, without_ending
from penlight.errors import DataError

_MARKS = re.compile(r"[_ -]+")
_MOST_WORDS = 8
_MOST_LABELS = 20
_MOST_OF_A_PATIENT = 50
_FEWEST_PATIENTS = 5
_SAMPLE = 300


def labels_in_names(paths: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Give the templates by which names of pictures may say the labels, each with these: those that all have one
    number of words, of which one has few values, each of several pictures."""
    marks, columns = _words(paths)
    found = []
    for place, column in enumerate(columns):
        counts = Counter(column)
        few = 1 < len(counts) <= _MOST_LABELS and 4 * len(counts) <= len(paths) and min(counts.values()) > 1
        if few and not all(map(naming.split_word, counts)):
            found.append((_template(marks, place, "{label}"), sorted(counts)))
    return found


def patient_of(how: str) -> Callable[[str], str | None]:
    """Give what names the patient of a picture after its path: `how` is a name of `naming.PATIENTS`, or a template of
    its end with {patient}. DataError for any other text."""
    if how in naming.PATIENTS:
        pattern = naming.PATIENTS[how]

        def patient_by_pattern(path: str) -> str | None:
            match = pattern.search(without_ending(path))
            return match[1] if match else None

        return patient_by_pattern
    if "{" not in how:
        known = f"{how} is no name of {', '.join(naming.PATIENTS)}"
        raise DataError(f"patient_in_name: {known}.", 'Give one of them, or a template such as "{patient}_*".')
    template = template_of(how, ["patient"], "patient_in_name", from_end=True)
    return lambda path: (template.read(path) or {}).get("patient")


@dataclass(frozen=True)
class PatientsInNames:
    """Patients that names of pictures seem to show: `how` reads them, see `patient_of`; `patients` are those of the
    pictures, None where a name shows none."""

    how: str
    patients: Sequence[str | None]

    @property
    def n_pictures(self) -> int:
        """How many names show a patient."""
        return sum(patient is not None for patient in self.patients)

    @property
    def names(self) -> list[str]:
        """Name each of the patients, in order."""
        return sorted({patient for patient in self.patients if patient is not None})


def patients_in_names(paths: Sequence[str]) -> PatientsInNames | None:
    """Find the patients that most names of pictures seem to show, of which some have several; None if they show
    none."""
    some = paths[:: max(1, len(paths) // _SAMPLE)]
    for how in (*naming.PATIENTS, *_numbered(paths)):
        name_of = patient_of(how)
        if 3 * sum(name_of(path) is not None for path in some) < len(some):
            continue
        found = PatientsInNames(how, list(map(name_of, paths)))
        if 2 * found.n_pictures > len(paths) and len(found.names) < found.n_pictures:
            return found
    return None


def _numbered(paths: Sequence[str]) -> list[str]:
    """Give the template of names whose last word but one is a number that several pictures have, and few have often,
    as in "00000013_004" and "bus_0013-l"."""
    marks, columns = _words(paths)
    if len(columns) < 2:
        return []
    counts = Counter(columns[-2])
    if not all(any(map(str.isdigit, word)) for word in counts) or len(counts) < _FEWEST_PATIENTS:
        return []
    shared = 5 * len(counts) <= 4 * len(paths) and max(counts.values()) <= _MOST_OF_A_PATIENT
    return [_template(marks, len(columns) - 2, "{patient}")] if shared else []


def _words(paths: Sequence[str]) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Give the marks between the words of names of pictures, and the first word of each, the second and so on; none
    where names differ in their marks."""
    stems = [without_ending(path.rpartition("/")[2]) for path in paths]
    marks = {tuple(_MARKS.findall(stem)) for stem in stems}
    if len(marks) != 1 or not 0 < len(next(iter(marks))) < _MOST_WORDS:
        return (), []
    return marks.pop(), list(zip(*map(_MARKS.split, stems), strict=True))


def _template(marks: Sequence[str], place: int, field: str) -> str:
    words = [field if i == place else "*" for i in range(len(marks) + 1)]
    return "".join(f"{word}{mark}" for word, mark in zip(words, (*marks, ""), strict=True))
