"""Predictions of more pictures than one command should do at once: in parts, each written whole or not at all.

A folder of predictions has `predictions.json`, which says of which run and of which pictures they are, and for each
part its Parquet file and a JSON file with the hash of that file and counts of its answers; when all parts are there,
`predictions-summary.json` is written. `part-00001.todo` lists the pictures of a part until it is done: whoever does
it, in this process or on another machine, needs no list of all. No file depends on where or in which order parts are
done.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field

from penlight import __version__
from penlight.answers import AnsweringModel
from penlight.disk import is_inside, locked, regular_files, remove_inside, remove_orphans, writing_to
from penlight.errors import ArgumentError, DataError, MissingExtraError, RunError
from penlight.escaping import printable
from penlight.parsing import parse_json
from penlight.records import Count, Digest, Name, Record, Text, json_key, json_text, read_record
from penlight.records.run import FilePrint
from penlight.runs.files import fingerprint, read_if_there, read_printed, write_bytes
from penlight.runs.folder import open_run
from penlight.runs.remote import AnswerCounts, Prediction, RemoteClassifier, fault_of, predict_each, unicode_text
from penlight.runs.sources import ListedPictures, NpzRowReader, list_pictures, pictures_of
from penlight.workers import ANSWERING, shared_pool

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from penlight.experiments.opened import OpenedData
    from penlight.experiments.progress import ProgressListener

PART = 4096
"""Pictures of a part: a second to a few minutes of work, and a few megabytes of memory."""

MANIFEST = "predictions.json"
SUMMARY = "predictions-summary.json"
SCHEMA = 1

_MOST_JOBS = 64
_AGAIN = "The same command goes on from there."
_OTHER = "Choose another folder with --out."


class PartsManifest(Record):
    """predictions.json: which run predicts which pictures, and how these are divided into parts."""

    schema: Count
    version: Name
    run: Digest
    sources: Annotated[tuple[Text, ...], Field(max_length=100_000)]
    images: Count
    images_per_part: Annotated[int, Field(strict=True, ge=1)]
    parts: Annotated[tuple[Digest, ...], Field(max_length=1_000_000)] = json_key(
        about="Of each part, the SHA-256 of the list of its pictures."
    )


class PartRecord(Record):
    """part-00001.json: what a part is of, a print of its Parquet file, and counts of its answers."""

    run: Digest
    pictures: Digest
    file: FilePrint
    counts: AnswerCounts


class PartsSummary(Record):
    """predictions-summary.json: which model answered, and counts of all answers."""

    schema: Count
    version: Name
    run: Digest
    parts: Count
    counts: AnswerCounts = json_key(inline=True)
    model: AnsweringModel


@dataclass(frozen=True)
class Shard:
    """The parts of one of several commands: each `count`-th, from the `number`-th on."""

    number: int = 1
    count: int = 1

    @classmethod
    def of(cls, text: str | None) -> "Shard":
        """Read a shard as 3/16; None is all parts. ArgumentError for anything else."""
        if text is None:
            return cls()
        number, _, count = text.partition("/")
        if all(own.isdecimal() and len(own) < 7 for own in (number, count)) and 1 <= int(number) <= int(count):
            return cls(int(number), int(count))
        raise ArgumentError(
            f"A shard was expected, as 3/16, the third of sixteen; '{text}' came.", "Give one, as --shard 1/16."
        )

    def numbers(self, parts: int) -> range:
        """Give the numbers of its parts, of so many."""
        return range(self.number, parts + 1, self.count)


@dataclass(frozen=True)
class PartsWork:
    """Some parts of a folder of predictions, as work of an executor: `run` is that of `run_hash`, relative names of
    pictures begin in `base`, and `workers` answer at a time, 0 for one on each core."""

    folder: Path
    run: Path
    run_hash: str
    numbers: tuple[int, ...]
    base: Path
    workers: int = 0

    repeated = ""

    @property
    def name(self) -> str:
        """See `executors.Work`."""
        first, last = self.numbers[0], self.numbers[-1]
        return _stem(first) if first == last else f"{_stem(first)}-to-{last:05}"

    def do(self, data: "OpenedData", listener: "ProgressListener") -> None:
        """Do what is missing of the parts, and write them."""
        classifier = open_remote(data, self.run, self.run_hash, self.workers)
        rows = data.once(("rows", self.folder), NpzRowReader)
        for number in self.numbers:
            _do_part(self, number, classifier, rows)

    def done(self) -> bool:
        """See `executors.Work`."""
        return not any(is_inside(self.folder, _todo(number)) for number in self.numbers)

    def read(self, listener: "ProgressListener") -> None:
        """Give nothing: what there is of the parts is read when all are done."""

    def to_job(self) -> Mapping[str, Any]:
        """See `executors.Work`."""
        return {
            "task": "predict",
            "folder": os.path.abspath(self.folder),  # noqa: PTH100
            "run": os.path.abspath(self.run),  # noqa: PTH100
            "run_hash": self.run_hash,
            "numbers": self.numbers,
            "base": str(self.base),
            "workers": self.workers,
        }

    @classmethod
    def of_job(cls, job: Mapping[str, Any]) -> "PartsWork":
        """Read what `to_job` gave; of workers there are, unless it says so, as many as the place gives threads."""
        folder, run, base = (Path(job[key]) for key in ("folder", "run", "base"))
        threads = os.environ.get("OMP_NUM_THREADS", "")
        workers = job["workers"] or (int(threads) if threads.isdecimal() else 0)
        return cls(folder, run, job["run_hash"], tuple(job["numbers"]), base, workers)


def open_remote(data: "OpenedData", run: Path, run_hash: str, workers: int) -> RemoteClassifier:
    """Open a run to answer for pictures, once in a process. RunError if it is not the run of this hash."""

    def opened() -> RemoteClassifier:
        if open_run(run).measured != run_hash:
            raise RunError(f"{run} is not the run that these predictions were begun with.", _OTHER)
        return RemoteClassifier(run, shared_pool(ANSWERING, processes=workers))

    return data.once(("classifier", run, run_hash, workers), opened)


def require_pyarrow() -> None:
    """Raise MissingExtraError without the library that writes Parquet files; it is not imported."""
    if find_spec("pyarrow") is None:
        raise MissingExtraError(
            "Predictions in parts are Parquet files, whose library is not installed.",
            "Install it with: pip install 'penlight[parquet]', or write one file with --csv.",
        )


def plan_parts(folder: Path, run_hash: str, sources: Sequence[Path], shard: Shard) -> tuple[PartsManifest, set[int]]:
    """List the pictures of a folder of predictions, write what is needed to do the parts of a shard, and give the
    numbers of those that are missing.

    A list of a part is in memory at a time. DataError if there are no pictures; RunError if the folder is not empty
    and holds other predictions, or if the pictures are no longer those that it was begun with.
    """
    begun = read_manifest(folder)
    names = tuple(printable(path) for path in sources)
    if begun is None:
        _require_empty(folder)
    else:
        _require_same(folder, begun, run_hash, names)
    size = PART if begun is None else begun.images_per_part
    parts: list[str] = []
    missing: set[int] = set()
    images = 0
    for number, pictures in enumerate(_divided(list_pictures(sources), size), 1):
        content = json.dumps([own.compact() for own in pictures]).encode()
        parts.append(hashlib.sha256(content).hexdigest())
        images += sum(own.count for own in pictures)
        if begun is not None and begun.parts[number - 1 : number] != (parts[-1],):
            raise _changed(folder, begun, number)
        if number in shard.numbers(number) and read_part(folder, number, run_hash, parts[-1]) is None:
            write_bytes(folder / _todo(number), content)
            missing.add(number)
    if begun is not None and len(parts) < len(begun.parts):
        raise _changed(folder, begun, len(parts) + 1)
    if not images:
        raise DataError(
            f"There are no pictures in {', '.join(names)}.", "Give files, folders or npz files of images."
        )
    manifest = PartsManifest(SCHEMA, __version__, run_hash, names, images, size, tuple(parts))
    # Another shard may have begun in the meantime.
    if (begun := begun or read_manifest(folder)) is None:
        write_bytes(folder / MANIFEST, json_text(manifest).encode())
    elif begun != manifest:
        raise _changed(folder, begun, 1)
    return manifest, missing


def _require_empty(folder: Path) -> None:
    """Raise RunError for a folder that holds anything but what a command leaves that was killed while it planned."""
    if other := [own.name for own in folder.glob("*") if not own.name.startswith(".") and own.suffix != ".todo"]:
        raise RunError(f"{folder} holds no predictions in parts, and is not empty: it has {other[0]}.", _OTHER)


def _divided(listed: Iterable[ListedPictures], size: int) -> Iterator[list[ListedPictures]]:
    """Divide pictures into parts of one size; the last has what is left."""
    part: list[ListedPictures] = []
    room = size
    for own in listed:
        rest = own
        while rest.count >= room:
            first, rest = rest.divided(room)
            yield [*part, first]
            part, room = [], size
        if rest.count:
            part.append(rest)
            room -= rest.count
    if part:
        yield part


def _require_same(folder: Path, begun: PartsManifest, run_hash: str, names: tuple[str, ...]) -> None:
    if begun.run != run_hash:
        raise RunError(f"{folder} holds predictions of another run.", _OTHER)
    if begun.version != __version__:
        raise RunError(f"{folder} was begun by Penlight {begun.version}; this is {__version__}.", _OTHER)
    if begun.sources != names:
        raise RunError(f"{folder} holds predictions of other pictures: {', '.join(begun.sources)[:200]}.", _OTHER)


def _changed(folder: Path, begun: PartsManifest, number: int) -> RunError:
    return RunError(
        f"The pictures are not those that {folder} was begun with, {begun.images:,} of them: those of part {number} "
        "were changed, added or removed.",
        "Bring them back, or choose another folder with --out.",
    )


def read_manifest(folder: Path) -> PartsManifest | None:
    """Read what a folder of predictions is of; None if there is none. RunError if it is damaged."""
    content = read_if_there(folder, MANIFEST)
    what = f"{MANIFEST} in {folder}"
    return None if content is None else read_record(PartsManifest, content, what, _OTHER)


def read_part(folder: Path, number: int, run_hash: str, pictures: str) -> PartRecord | None:
    """Read what is said of a part. None if it is not there, not whole, or of another run or other pictures."""
    with suppress(RunError):
        content = read_if_there(folder, _about(number))
        if content is not None:
            part = read_record(PartRecord, content, _about(number))
            read_printed(folder, part_file(number), [part.file], str(folder), "")
            return part if (part.run, part.pictures) == (run_hash, pictures) else None
    return None


def finish_parts(folder: Path, manifest: PartsManifest, about: Mapping[str, Any]) -> tuple[AnswerCounts, int]:
    """Count the answers of all parts that are there, and give how many are missing; write the summary if none is."""
    found = [read_part(folder, number, manifest.run, own) for number, own in enumerate(manifest.parts, 1)]
    done = [part for part in found if part is not None]
    counts = AnswerCounts.of_parts(part.counts for part in done)
    if len(done) == len(found):
        model = AnsweringModel.from_dict(about)
        summary = PartsSummary(SCHEMA, manifest.version, manifest.run, len(done), counts, model)
        write_bytes(folder / SUMMARY, json_text(summary).encode())
        _remove_leftovers(folder)
    return counts, len(found) - len(done)


def _remove_leftovers(folder: Path) -> None:
    """Remove what commands left that were killed; nobody needs it where all parts are there."""
    with writing_to(folder, _AGAIN):
        remove_orphans(folder)
        for name in regular_files(folder):
            if name.endswith((".todo", ".lock")):
                remove_inside(folder, name)


def read_parts(folder: Path) -> "pd.DataFrame":
    """Read all parts that are there as one table."""
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [name for name in regular_files(folder) if name.startswith("part-") and name.endswith(".parquet")]
    table = pa.concat_tables([pq.read_table(folder / name) for name in names])
    return cast("pd.DataFrame", table.to_pandas())


def divide_work(numbers: Sequence[int], *, few: bool) -> list[tuple[int, ...]]:
    """Give the parts that are done together: one at a time or, for jobs that a scheduler starts one by one, so many
    that there are `few` jobs, at most 64. Which these are does not depend on what is done, so that jobs are known."""
    each = max(1, -(-len(numbers) // _MOST_JOBS)) if few else 1
    return [tuple(numbers[start : start + each]) for start in range(0, len(numbers), each)]


def part_file(number: int) -> str:
    """Name the Parquet file of a part."""
    return f"{_stem(number)}.parquet"


def _stem(number: int) -> str:
    return f"part-{number:05}"


def _about(number: int) -> str:
    return f"{_stem(number)}.json"


def _todo(number: int) -> str:
    return f"{_stem(number)}.todo"


def _do_part(work: PartsWork, number: int, classifier: RemoteClassifier, rows: NpzRowReader) -> None:
    """Answer for the pictures of a part and write it, unless another process has done so in the meantime."""
    folder = work.folder
    with writing_to(folder, _AGAIN), locked(folder / f".{_stem(number)}.lock"):
        content = read_if_there(folder, _todo(number))
        if content is None:
            return
        pictures = hashlib.sha256(content).hexdigest()
        if read_part(folder, number, work.run_hash, pictures) is None:
            listed = [ListedPictures.of_compact(own) for own in parse_json(content, _todo(number))]
            predictions = list(predict_each(classifier, pictures_of(listed, work.base, rows)))
            file = _parquet(predictions, classifier.labels, work.run_hash)
            write_bytes(folder / part_file(number), file)
            part = PartRecord(work.run_hash, pictures, fingerprint(file), AnswerCounts.of(predictions))
            write_bytes(folder / _about(number), json_text(part).encode())
        remove_inside(folder, _todo(number))


def _parquet(predictions: Sequence[Prediction], labels: Sequence[str], run_hash: str) -> bytes:
    """Write predictions as a Parquet file, with the columns of `Predicted.frame` and warnings by their codes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {"penlight": __version__, "run": run_hash}
    table = pa.table(_columns(predictions, labels), schema=_schema(labels, about))
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _columns(predictions: Sequence[Prediction], labels: Sequence[str]) -> dict[str, list[Any]]:
    answers = [prediction.answer for prediction in predictions]
    faults = [None if own.error is None else fault_of(own.error) for own in predictions]
    columns: dict[str, list[Any]] = {"file": [unicode_text(own.file) for own in predictions]}
    columns["answers"] = [own and own.answers for own in answers]
    for label in labels:
        columns[f"probabilities.{label}"] = [own and own.probabilities[label] for own in answers]
    for name, attribute in _OF_ANSWERS.items():
        columns[name] = [own and getattr(own, attribute) for own in answers]
    columns["warnings"] = [
        None if own.answer is None else [warning.code for warning in own.unlike] for own in predictions
    ]
    for name in ("code", "error", "do"):
        columns[f"error.{name}"] = [own and unicode_text(getattr(own, name)) for own in faults]
    return columns


_OF_ANSWERS = {
    **{name: name for name in ("possible", "undecided", "novelty", "unusual")},
    **{"several_possible": "several", "why": "why", "abstains": "abstains"},
}


def _schema(labels: Sequence[str], about: Mapping[str, str]) -> "pa.Schema":
    import pyarrow as pa

    names = pa.list_(pa.string())
    kinds = {"file": pa.string(), "answers": names, **{f"probabilities.{label}": pa.float64() for label in labels}}
    kinds |= {"possible": names, "undecided": names, "novelty": pa.float64(), "unusual": pa.bool_()}
    kinds |= {"several_possible": pa.bool_(), "why": pa.string(), "abstains": pa.bool_(), "warnings": names}
    kinds |= {f"error.{name}": pa.string() for name in ("code", "error", "do")}
    return pa.schema(list(kinds.items()), metadata=about)
