"""What a person says of the layout of a dataset, checked: the options of `penlight data new`."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from penlight import disk
from penlight.data.own.finder import pattern_field
from penlight.data.own.listing import MOST_LABELS, AskedLayout
from penlight.data.own.table_rules import KEEP_ROWS, UNCERTAIN, require_known
from penlight.data.own.tables import check_encoding, read_lines, read_table, suffix_of
from penlight.data.own.templates import matcher, template_of
from penlight.data.pictures import FRAMES
from penlight.errors import DataError, UnknownNameError
from penlight.parsing import parse_json_object

_LARGEST_MAP = 1 << 20


def asked_layout(*, label_map: Path | Mapping[str, str] | None = None, **options: Any) -> AskedLayout:
    """Check the options and give them as one record. DataError for a value that is none of an option's, and
    UnknownNameError for another option."""
    known = {each.name for each in fields(AskedLayout)} - {"several", "order", "label_map"}
    if unknown := sorted(options.keys() - known):
        raise UnknownNameError("option of a new dataset", unknown[0], known)
    given = {name: value for name, value in options.items() if value is not None}
    require_known(given.get("uncertain"), UNCERTAIN, "--uncertain")
    require_known(given.get("blank"), UNCERTAIN[1:], "--blank")
    require_known(given.get("keep_rows"), KEEP_ROWS, "--keep-rows")
    require_known(given.get("unnamed_patients"), ("own", "drop"), "--unnamed-patients")
    if given.get("frame") == "all":
        raise DataError(
            "--frame all would make several images of one file, and the next frame of a volume is nearly the same.",
            "Give --frame first or middle, or save frames as files, and name their patients in a table.",
        )
    require_known(given.get("frame"), FRAMES[1:], "--frame")
    if given.get("separator") == "":
        raise DataError("--separator is empty.", "Give what stands between several labels, or none.")
    if given.get("encoding"):
        given["encoding"] = check_encoding(given["encoding"])
    if given.get("file_names"):
        template_of(given["file_names"], [pattern_field(given["file_names"])], "--file-names", from_end=True)
    matcher(given.get("ignore", ()))
    given["join"] = [Path(each) for each in given.get("join", ())]
    names = (
        label_map if isinstance(label_map, Mapping) else {} if label_map is None else read_label_map(Path(label_map))
    )
    return AskedLayout(**given, label_map=dict(names))


def read_label_map(path: Path) -> dict[str, str]:
    """Read labels for what is written: a JSON object, a table of two columns, or a list whose lines are the labels of
    0, 1 and so on. DataError for anything else."""
    if not path.is_file():
        raise DataError(f"There is no file {path}.", "Check the path that --label-map gives.")
    if path.suffix.lower() == ".json":
        content = disk.read_named(path, _LARGEST_MAP)
        names = {key: str(value) for key, value in parse_json_object(content, str(path)).items()}
    elif suffix_of(path.name):
        columns = list(read_table(path.parent, path.name, head=False).values())
        if len(columns) != 2:
            raise DataError(f"{path} has {len(columns)} columns.", "Give two: what is written, and the label.")
        names = dict(zip(*columns, strict=True))
    else:
        names = {f"{number}": line for number, line in enumerate(read_lines(path.parent, path.name))}
    if not names or len(names) > MOST_LABELS + 1:
        raise DataError(f"{path} has {len(names):,} labels; 1 to {MOST_LABELS:,} can be.", "Check the file.")
    return names
