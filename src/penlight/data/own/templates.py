"""Templates of paths, in which "*" stands for any text of one part, and {label}, {split}, {patient}, {name} or
{number} for what is read.

They may come from a stranger's description, so they are matched in a time that grows with the length of a path, not
by a regular expression made of them.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from penlight.data.own.keys import check_text
from penlight.errors import DataError
from penlight.escaping import shown

_FIELD = re.compile(r"\{(label|split|patient|name|number)\}|\*")
_MOST = 50
_LONGEST = 200


@dataclass(frozen=True)
class PathTemplate:
    """A template such as "{split}/{label}" of the folders of a path, from the root on or, with `from_end`, of its
    last parts, the file's name without ending being one."""

    text: str
    from_end: bool = False

    def read(self, path: str) -> dict[str, str] | None:
        """Give what the fields stand for in a path; None if it does not match."""
        given = PurePosixPath(path)
        parts = (*given.parts[:-1], without_ending(given.name)) if self.from_end else given.parts[:-1]
        wanted = self.text.split("/")
        if len(parts) < len(wanted):
            return None
        chosen = parts[len(parts) - len(wanted) :] if self.from_end else parts[: len(wanted)]
        found: dict[str, str] = {}
        for template, part in zip(wanted, chosen, strict=True):
            if not _match(template, part, found):
                return None
        return found


def template_of(text: str, fields: Sequence[str], key: str, *, from_end: bool = False) -> PathTemplate:
    """Check a template, which must hold the first of `fields` and may hold the others, each once."""
    check_text(text, key)
    used = [found[1] for found in _FIELD.finditer(text) if found[1]]
    bare = _FIELD.sub("", text)
    wrong = fields[0] not in used or len(set(used)) < len(used) or set(used) - set(fields)
    if wrong or re.search(r"[{}\\]", bare) or "" in text.split("/") or ".." in text.split("/"):
        others = f", and may have {', '.join(f'{{{field}}}' for field in fields[1:])}" if fields[1:] else ""
        raise DataError(
            f"{key} must have {{{fields[0]}}} once{others}, with / between folders and * for any text; "
            f"{shown(text)} came.",
            f'As in "{"*/" if not from_end else ""}{{{fields[0]}}}{"_*" if from_end else ""}".',
        )
    return PathTemplate(text, from_end)


def _match(template: str, part: str, found: dict[str, str]) -> bool:
    """Match one part of a path, each "*" and field with the shortest text that lets the rest follow."""
    literals = _FIELD.split(template)[::2]
    fields = [match[1] for match in _FIELD.finditer(template)]
    if not part.startswith(literals[0]):
        return False
    at = len(literals[0])
    for number, field in enumerate(fields):
        literal = literals[number + 1]
        last = number == len(fields) - 1
        end = len(part) - len(literal) if last else part.find(literal, at + (1 if field else 0))
        if end < at + (1 if field else 0) or not part.startswith(literal, end):
            return False
        if field:
            found[field] = part[at:end]
        at = end + len(literal)
    return at == len(part)


_ENDINGS = re.compile(
    r"\.(?:png|jpe?g|jfif|tiff?|dcm|dicom|bmp|gif|webp|p[gpn]m|jp2|heic|avif|npy|npz|nii(?:\.gz)?|mha|svs|ndpi)$",
    re.I,
)


def without_ending(name: str) -> str:
    """Give the name of a file without the ending of a picture; numbers of identifiers are none."""
    return _ENDINGS.sub("", name)


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Give what says whether a path, or its last part, matches one of some patterns such as "*_mask.png", without
    case. DataError for very many or very long ones."""
    texts = list(globs)
    if len(texts) > _MOST or any(not text or len(text) > _LONGEST for text in texts):
        raise DataError(f"ignore may have {_MOST} patterns of {_LONGEST} characters.", 'As in ["*/masks/*"].')
    if not texts:
        return lambda path: False
    # A pattern without a folder is one of names. Python matches each with bounded steps back.
    whole = re.compile("|".join(fnmatch.translate(text.casefold()) for text in texts))
    return lambda path: bool(whole.match(path.casefold()) or whole.match(path.casefold().rpartition("/")[2]))
