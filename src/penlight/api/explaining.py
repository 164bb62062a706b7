"""What a run's answers rest on: maps over images, as pictures and numbers, and the training images like them."""

import contextlib
import functools
import html
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.answers import ErrorOfWorker
from penlight.api.arguments import checked
from penlight.api.paths import PathLike, listed, path_of, path_or_none
from penlight.data.decoding import in_chunks, load_files
from penlight.data.pictures import DecodeOptions, fit_pixels, load_with_header
from penlight.errors import DataError, MissingExtraError, PenlightError, PictureError, RunError, UnknownNameError
from penlight.escaping import label_list
from penlight.explanation import AUTO, METHODS, Subject, candidates, choose, explain_images, peaks
from penlight.explanation.neighbours import Neighbour, Neighbours, labelled, neighbours_from_bytes
from penlight.explanation.of_run import is_slow, logits_of, model_side, subject_of
from penlight.explanation.pictures import Piece, draw_piece, draw_sheet, grey, png_address, shade
from penlight.formats import SUFFIXES
from penlight.numbers import counted, decimal_text
from penlight.records import Record, json_key, picture_html, table_html
from penlight.runs import RunFolder, open_predictor, open_run, write_bytes
from penlight.runs.classifier import reading_of
from penlight.runs.dataset import view_of
from penlight.runs.holdings import NEIGHBOURS, keeps_images
from penlight.runs.predictor import MODEL, require_images
from penlight.runs.sources import InputPicture, pictures
from penlight.tasks import Task, label_of
from penlight.workers import Item, begin

Images = NDArray[np.uint8]
Floats = NDArray[np.float64]

NETWORK = "model.keras"
SHEET = "sheet.png"


class ImageSource(Record, computed=("file",)):
    """Where an image came from: a file's name or a row of a split; `truth` is what its labels say, where known."""

    name: str = json_key(hidden=True)
    split: str | None = None
    row: int | None = None
    truth: str | None = None

    @property
    def file(self) -> str | None:
        """The file's name; None for a row of a split."""
        return self.name if self.row is None else None


def _address_of_map(values: NDArray[np.float32]) -> str:
    return png_address(grey(values))


def _place_of(peak: tuple[int, int] | None) -> dict[str, int] | None:
    return None if peak is None else {"row": peak[0], "column": peak[1]}


class Explanation(Record, computed=("overlay",)):
    """What one answer rests on: `label` is what the map is about, `probability` (calibrated) how probable it seemed.

    `map` (H, W) is 0 where nothing speaks for the label and 1 where most does; `peak` is row and column of that
    place, None for a map that is 0 everywhere; in JSON the map is a grey PNG at the image's size, of which 255 is 1,
    as a data address. `alike` are the training images most like it, where they were asked.
    """

    source: ImageSource = json_key(inline=True)
    image: Images = json_key(hidden=True)
    label: str
    answer: str
    probability: float
    method: str
    map: NDArray[np.float32] = json_key(written=_address_of_map)
    peak: tuple[int, int] | None = json_key(written=_place_of)
    alike: Sequence[Mapping[str, Any]] | None = json_key("neighbours", default=None, if_known=True)

    @property
    def overlay(self) -> str:
        """The map in colours with transparency, to be laid over the image: a data address."""
        return png_address(shade(self.map))


class Explained(Record, table="lines"):
    """What `explain` made: an explanation for each image and label, the files written, and what could not be read."""

    run: str
    method: str
    meaning: str
    explanations: Sequence[Explanation]
    files: Sequence[Path] = ()
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What is said of each image and label, without the maps themselves."""
        pictures = ("map", "overlay", "neighbours")
        return [{k: v for k, v in own.to_dict().items() if k not in pictures} for own in self.explanations]

    def _repr_html_(self) -> str:
        """Show in a notebook the picture, or the sheet of several, and what is said of each."""
        shown = self.files[-1:]
        pictures = "".join(picture_html(file, f"saliency maps, {self.method}") for file in shown if file.is_file())
        return f"<p>{html.escape(self.meaning)}</p>{pictures}{table_html(self.frame())}"


class Explainer:
    """Explains images for one run; it holds the model, so that many requests open it once.

    With "auto" small images are explained through model.onnx, and Keras is not loaded; model.onnx is `isolated` as in
    `Predictor`. RunError for a run without a model, ExplainError for a method that does not fit, UnknownNameError for
    one that is not there.
    """

    def __init__(self, run: RunFolder, method: str = AUTO, *, isolated: bool = True) -> None:
        self.run = run
        has_file = run.has(MODEL) or not run.has(NETWORK)
        self.predictor = open_predictor(run, isolated=isolated) if has_file else None
        self.subject = self._subject(method)
        self.method = choose(self.subject, model_side(run.kept_recipe, self.size), method)

    @functools.cached_property
    def task(self) -> Task:
        """What the labels mean."""
        return self.predictor.task if self.predictor else self.run.model_predictions("test").task

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return self.predictor.size if self.predictor else int(self.subject.network.input_shape[1])

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.predictor.channels if self.predictor else int(self.subject.network.input_shape[-1])

    @property
    def reading(self) -> DecodeOptions:
        """How a picture becomes an image of this run."""
        return reading_of(self.run, self.size, self.channels)

    def explain(
        self,
        images: Images,
        sources: Sequence[ImageSource] | None = None,
        *,
        label: str | None = None,
        neighbours: int = 0,
    ) -> Explained:
        """Explain uint8 images (N, H, W, C): the label asked for, or else what was answered of each.

        Of several findings that were answered each has a map; where none was, the most probable one has. With
        `neighbours`, each explanation has so many training images that are most like the image. DataError for images
        of another shape, UnknownNameError for a label that is not there.
        """
        require_images(images, self.size, self.channels)
        named = sources or [ImageSource(f"image {i + 1}") for i in range(len(images))]
        prob, decided = self._answers(images)
        rows, columns = self._asked(prob, decided, label)
        maps = explain_images(self.subject, images[rows], columns, self.method)
        alike = self.neighbours(images, neighbours) if neighbours else None
        explanations = [
            Explanation(
                named[row],
                images[row],
                self.task.labels[column],
                label_of(self.task, decided[row]),
                float(prob[row, column]),
                self.method,
                own,
                peak,
                None if alike is None else [_neighbour_dict(n, self.task) for n in alike[row]],
            )
            for row, column, own, peak in zip(rows, columns, maps, peaks(maps), strict=True)
        ]
        return Explained(str(self.run.path), self.method, METHODS[self.method].meaning, explanations)

    def neighbours(self, images: Images, most: int = 5) -> list[list[Neighbour]]:
        """Find the training images most like each image; RunError for a run that keeps none."""
        return self._kept.nearest(self.predictor, images, most)

    @functools.cached_property
    def _kept(self) -> Neighbours:
        if not self.run.has(NEIGHBOURS) and not keeps_images(self.run):
            raise RunError(
                f"The run {self.run.name} keeps no training images, so it cannot show similar ones.",
                "Ask for no neighbours, or train it without --no-images where the dataset is at hand.",
            )
        return neighbours_from_bytes(self.run.read(NEIGHBOURS), str(self.run.path / NEIGHBOURS))

    def _subject(self, method: str) -> Subject:
        """The model as the method wants it; Keras is loaded only for a method that looks inside."""
        if self.predictor is None:
            network = _network_of(self.run)
            return Subject(self.task, functools.partial(logits_of, network), network)
        wanted = METHODS[candidates(model_side(self.run.kept_recipe, self.size), method)[0]].inside and self.run.has(
            NETWORK
        )
        subject = subject_of(self.predictor, slow=is_slow(self.run.kept_recipe))
        # Without Keras "auto" goes on to what does without; a method that was asked for by name must have it.
        with contextlib.suppress(*([MissingExtraError] if method == AUTO else [])):
            return replace(subject, network=_network_of(self.run) if wanted else None)
        return subject

    def _answers(self, images: Images) -> tuple[Floats, NDArray[np.uint8]]:
        if self.predictor is not None:
            prob = self.predictor.probabilities(images)
            return prob, self.predictor.decide(prob)
        return self.run.decision.answer(self.task, self.task.probabilities(self.subject.logits(images)))

    def _asked(
        self, prob: Floats, decided: NDArray[np.uint8], label: str | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        labels = self.task.labels
        if label is not None:
            if label not in labels:
                raise UnknownNameError("label", label, labels)
            return np.arange(len(prob)), np.full(len(prob), labels.index(label))
        asked = decided.astype(bool)
        silent = ~asked.any(axis=1)
        asked[silent, prob[silent].argmax(axis=1)] = True
        rows, columns = np.nonzero(asked)
        return rows, columns


def _network_of(run: RunFolder) -> Any:
    from penlight.models.keras_files import network_of

    return network_of(run)


def _neighbour_dict(neighbour: Neighbour, task: Task) -> dict[str, Any]:
    shown = neighbour.image[..., 0] if neighbour.image.shape[-1] == 1 else neighbour.image
    return {
        "row": neighbour.row,
        "labels": labelled(task.labels, neighbour.labels),
        "similarity": neighbour.similarity,
        "image": png_address(shown),
    }


@checked
def open_explainer(run: PathLike, method: str = AUTO, *, isolated: bool = True) -> Explainer:
    """Open a run to explain its predictions; see `Explainer`.

    Examples
    --------
    >>> explainer = pl.open_explainer("runs/retina")
    >>> explainer.method
    'occlusion'
    """
    return Explainer(open_run(path_of(run, "run folder")), method, isolated=isolated)


@checked
def explain(
    run: PathLike,
    paths: PathLike | Sequence[PathLike] = (),
    *,
    split: str | None = None,
    rows: Sequence[int] = (),
    method: str = AUTO,
    label: str | None = None,
    neighbours: int = 0,
    out: PathLike | None = None,
) -> Explained:
    """Explain pictures, files and folders as `predict` takes them, or rows of a split of the run's own dataset.

    `rows` are those of `split` as stored, from 0; `method` is "auto", "occlusion", "cam", "gradcam" or "hirescam";
    `label` is the one to explain, by default the predicted one; `neighbours` is how many of the most similar training
    images are given. Files that cannot be read are in `problems`; DataError if none can. The pictures go to `out`, by
    default runs/explained-<run>: one for each image and label, and a sheet where there are several. What other calls
    wrote there stays: a picture whose name is taken gets a number.

    Examples
    --------
    >>> explained = pl.explain("runs/retina", split="test", rows=[3])
    >>> explained.frame()[["split", "row"]].to_dict("records")
    [{'split': 'test', 'row': 3}]
    """
    folder, files_out = path_of(run, "run folder"), path_or_none(out, "folder for out")
    explainer = open_explainer(folder, method)
    images, sources, problems = (
        _from_split(explainer, split, rows)
        if split
        else _from_files(explainer, [path_of(path) for path in listed(paths)])
    )
    done = explainer.explain(images, sources, label=label, neighbours=neighbours)
    files = _write_pictures(files_out or Path("runs") / f"explained-{folder.name}", done.explanations)
    return replace(done, files=files, problems=problems)


def _from_files(explainer: Explainer, paths: Sequence[Path]) -> tuple[Images, list[ImageSource], dict[str, str]]:
    if not paths:
        raise DataError("No picture was given.", "Give files or folders, or --split test --rows 3,17.")
    images, sources, problems = [], [], {}
    asked = [picture for path in paths for picture in _pictures(path)]
    for picture, image in zip(asked, in_chunks(functools.partial(_load, explainer.reading), asked, 16), strict=True):
        if not isinstance(image, DataError):
            images.append(image)
            sources.append(ImageSource(picture.name))
        elif len(paths) == 1 and picture.name == str(paths[0]):
            raise image
        else:
            problems[picture.name] = image.reason if isinstance(image, PictureError) else image.problem
    if not images:
        first, reason = next(iter(problems.items()))
        raise DataError(
            f"None of {counted(len(problems), 'picture')} can be used; {first}: {reason}.", "Look at the files."
        )
    return np.stack(images), sources, problems


def _load(reading: DecodeOptions, asked: Sequence[InputPicture]) -> list[Images | DataError]:
    """Load pictures in a worker; those of arrays are pixels already."""
    files = [(picture.name, picture.source) for picture in asked if isinstance(picture.source, Path | bytes)]
    loaded = iter(load_files([source for _, source in files], reading, [name for name, _ in files]))
    images: list[Images | DataError] = []
    for picture in asked:
        if isinstance(picture.source, Path | bytes):
            images.append(next(loaded))
        elif isinstance(picture.source, np.ndarray):
            images.append(fit_pixels(picture.source, reading))
        else:
            assert isinstance(picture.source, DataError)
            images.append(picture.source)
    return images


def _pictures(path: Path) -> list[InputPicture]:
    """List the pictures of a file or folder; DataError if there is none."""
    if not path.exists():
        raise DataError(f"There is no file or folder {path}.", "Check the path.")
    found = list(pictures([path]))
    if not found:
        raise DataError(f"There is no picture in {path}.", f"Pictures end in {', '.join(sorted(SUFFIXES))}.")
    return found


def _from_split(
    explainer: Explainer, split: str, rows: Sequence[int]
) -> tuple[Images, list[ImageSource], dict[str, str]]:
    view = view_of(explainer.run.recipe)
    if split not in view.splits:
        raise UnknownNameError("split", split, view.splits)
    part = view.splits[split]
    places = {int(row): place for place, row in enumerate(part.index)}
    bad = [row for row in rows if row not in places]
    if bad or not rows:
        what = f"Row {bad[0]} is not" if bad else "No row was given"
        raise DataError(f"{what} in {split} of {view.dataset.info.name} as the run sees it.", "Give --rows 3,17.")
    sources = [
        ImageSource(f"{split} {row}", split, row, label_of(explainer.task, *part.truth_of(places[row])))
        for row in rows
    ]
    return np.asarray(part.images[list(rows)]), sources, {}


def _write_pictures(folder: Path, explanations: Sequence[Explanation]) -> list[Path]:
    """Write a picture for each image and label, named after them, and a sheet of several."""
    stems = ["-".join(_plain(text) for text in (Path(own.source.name).stem, own.label)) for own in explanations]
    # Where two images have one name, their numbers tell them apart.
    names = [stem if stems.count(stem) == 1 else f"{i:04d}-{stem}" for i, stem in enumerate(stems, start=1)]
    pieces = [_piece(explanation) for explanation in explanations]
    drawn = [(f"{name}.png", draw_piece(piece)) for name, piece in zip(names, pieces, strict=True)]
    drawn += [(SHEET, draw_sheet(pieces))] if len(pieces) > 1 else []
    return [_write_beside(folder / name, content) for name, content in drawn]


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._" else "-" for c in text)


def _write_beside(file: Path, content: bytes) -> Path:
    """Write a picture, and give its path; where another one has the name, under the next number that is free."""
    place = file
    for number in itertools.count(2):
        if not place.exists():
            write_bytes(place, content)
            break
        if place.is_file() and place.stat().st_size == len(content) and place.read_bytes() == content:
            break
        place = file.with_stem(f"{file.stem}-{number}")
    return place


def _piece(explanation: Explanation) -> Piece:
    own = explanation.source
    label = label_list([explanation.label])
    # The number stands first: a long label is cut at its end.
    told = f"p {decimal_text(explanation.probability, 2)} {label}"
    said = "" if explanation.answer == label else f", answered {explanation.answer}"
    truth = "" if own.truth is None else f", truly {own.truth}"
    method = METHODS[explanation.method].title
    return Piece(explanation.image, explanation.map, (told + said + truth, f"{Path(own.name).name}, {method}"))


def handle(common: Mapping[str, Any], items: Sequence[Item]) -> list[Item]:
    """Explain pictures in a worker process, for the server. `common` names the folder of the `run`, the number of its
    `opening` and how many `pixels` a picture may have; `label`, `method` and `neighbours` are those of `explain`."""

    def explained(values: Mapping[str, Any], content: bytes) -> dict[str, Any]:
        try:
            explainer = _opened(Path(common["run"]), common["method"], common["opening"])
            begin(0)
            image, _ = load_with_header(content, explainer.reading, largest=common["pixels"])
            begin(None)
            how = {"label": common["label"], "neighbours": common["neighbours"]}
            done = explainer.explain(image[np.newaxis], [ImageSource(values["name"])], **how)
        except PenlightError as error:
            return {"failed": ErrorOfWorker.of(error).to_dict()}
        # Paths are the server's own business.
        return {key: value for key, value in done.to_dict().items() if key not in ("run", "files", "problems")}

    begin(None)
    return [(explained(*item), b"") for item in items]


@functools.lru_cache(4)
def _opened(run: Path, method: str, opening: int) -> Explainer:
    del opening  # a run that was made anew is opened anew
    # This is a worker process itself.
    return open_explainer(run, method, isolated=False)
