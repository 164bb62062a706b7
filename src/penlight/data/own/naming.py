"""What published datasets call things: the words of `names.toml`, and the one way in which names are compared."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from penlight.parsing import parse_toml

_FILE = Path(__file__).with_name("names.toml")
_WORDS = parse_toml(_FILE.read_bytes(), _FILE.name)

COLUMNS: Mapping[str, Sequence[str]] = _WORDS["columns"]
"""Names of columns by what they say, as `plain` gives them."""

PATIENTS: Mapping[str, re.Pattern[str]] = {name: re.compile(text) for name, text in _WORDS["patients"].items()}
"""What the paths of pictures look like, without ending, that show whose they are."""

_SPLITS: Mapping[str, Sequence[str]] = {key: _WORDS["splits"][key] for key in ("train", "val", "test")}
_SPLIT_OF = {word: split for split, words in _SPLITS.items() for word in words} | {"trainval": "train"}
_FILLER = frozenset(_WORDS["splits"]["filler"])
_FOLDERS: Mapping[str, Sequence[str]] = _WORDS["folders"]
_CELLS: Mapping[str, frozenset[str]] = {key: frozenset(words) for key, words in _WORDS["cells"].items()}


def plain(name: str) -> str:
    """Give a name of a column as names are compared: its letters and digits, in lower case."""
    return re.sub(r"[\W_]+", "", name.casefold())


def words(name: str) -> list[str]:
    """Give the words of a name, in lower case: "adjudicated_dr_grade", "Retinopathy grade" and "imageLabel" have two
    or three."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W_]+", apart.casefold()) if word]


@lru_cache(4096)
def split_in_name(name: str) -> str | None:
    """Give the split that the name of a folder, table or list says and says nothing else beside it, as "Train Set",
    "seg_train" and "a. Training Set" do; one of train and val together is train; None for any other."""
    found = words(name) if name.casefold() not in _SPLIT_OF else [name.casefold()]
    if len(found) > 1 and re.fullmatch(r"[a-z]|\d{1,2}", found[0]):
        found = found[1:]
    splits = {_SPLIT_OF[word] for word in found if word in _SPLIT_OF}
    if not splits or any(word not in _SPLIT_OF and word not in _FILLER for word in found):
        return None
    return splits.pop() if len(splits) == 1 else "train" if splits == {"train", "val"} else None


def without_split(name: str) -> str | None:
    """Give the name of a table without the one word that says its split; None if it has none, or several."""
    found = words(without_shard(name))
    splits = [word for word in found if word in _SPLIT_OF]
    # "a. ... Training Labels" and "b. ... Testing Labels" are two of a kind.
    rest = [word for word in found if word not in _SPLIT_OF and not re.fullmatch(r"[a-z]", word)]
    return " ".join(rest) if len(splits) == 1 else None


def without_shard(name: str) -> str:
    """Give the name of a file without the number that makes it one of several, as train-00000-of-00004.parquet and
    0001.parquet have it."""
    return _SHARD.sub("", name)


def shard_of(name: str) -> tuple[int, int] | None:
    """Give the number of a file that is one of several, and how many there are, 0 where its name does not say so."""
    found = _SHARD.search(name)
    return (int(found[1] or found[3]), int(found[2] or 0)) if found else None


# Those of earlier versions of `datasets` have a hash too.
_SHARD = re.compile(r"[-_.]?(\d{3,6})-of-(\d{3,6})(?:-[0-9a-f]{16})?(?=\.\w+$)|(?<![^/])(\d{4,6})(?=\.parquet$)")


def split_word(name: str) -> str | None:
    """Give the split of the one word in a name that says one; None if it has none, or several."""
    splits = {_SPLIT_OF[word] for word in words(name) if word in _SPLIT_OF}
    return splits.pop() if len(splits) == 1 else None


def beside_pictures(name: str) -> str | None:
    """Give what the name of a folder says beside that pictures are in it, as "" of "images_part_2" and "ill" of
    "ill_images"; None where it does not say so."""
    found = words(name)
    if not any(word in _FOLDERS["pictures"] for word in found):
        return None
    return " ".join(
        word for word in found if word not in (*_FOLDERS["pictures"], *_FILLER, "part") and word.isalpha()
    )


def is_no_label(name: str) -> bool:
    """Say whether the name of a folder is none of a label where others are beside it: "images", "pred", "figures"."""
    found = [word for word in words(name) if not word.isdecimal()]
    return bool(found) and all(word in (*_FOLDERS["pictures"], *_FOLDERS["no_labels"]) for word in found)


def is_patient_folder(name: str) -> bool:
    """Say whether the name of a folder is that of a patient or a study: "patient00001", "s50414267"."""
    return _PATIENT_FOLDER.fullmatch(name) is not None


_PATIENT_FOLDER = re.compile(r"(?:patient|subject|person|participant|pat|sub|study|exam|p|s)[ _-]?\d+", re.IGNORECASE)


def is_mask_folder(name: str) -> bool:
    """Say whether the name of a folder says that it holds masks."""
    found = [word.rstrip("0123456789") for word in words(name)]
    if len(found) > 1 and found[0] in ("with", "without", "no"):
        return False
    return any(name.casefold() == mask or name.casefold().endswith(f"_{mask}") for mask in _FOLDERS["masks"]) or any(
        word in _FOLDERS["mask_words"] or word in ("mask", "masks") for word in found
    )


def mask_stem(stem: str) -> str | None:
    """Give the name, without ending, of the picture that a file named `stem` is a mask of; None if it is of none."""
    found = _MASK.search(stem)
    return stem[: found.start()] if found else None


_MASK = re.compile(rf"(?:{'|'.join(map(re.escape, _FOLDERS['mask_endings']))})(?:[_-]\d{{1,3}})?$", re.IGNORECASE)


JUNK: Sequence[str] = _FOLDERS["junk"]
"""Names of folders that systems and tools put beside a user's files."""


def is_missing(cell: str) -> bool:
    """Say whether a cell says that nothing is known."""
    return cell.casefold() in _CELLS["missing"]


def is_none(label: str, *, beside_findings: bool = False) -> bool:
    """Say whether a label says that there is no finding, as "No Finding" does, and "normal" beside findings."""
    text = label.casefold()
    return text in _CELLS["none"] or (beside_findings and text in _CELLS["none_beside_findings"])


def yes_or_no(cell: str) -> bool | None:
    """Read a cell of a finding's column: present, absent, or None for what is neither."""
    text = cell.casefold()
    return True if text in _CELLS["yes"] else False if text in _CELLS["no"] else None


def is_uncertain(cell: str) -> bool:
    """Say whether a cell of a finding's column says that it is uncertain."""
    return cell.casefold() in _CELLS["uncertain"]
