"""Encoders: ONNX files of networks trained elsewhere, that turn an image into features.

A file may be a stranger's. It is checked as a run's model.onnx is, then read by the package `onnx`; what it wants of
pixels is never guessed: its input says whether it takes 0 to 255 itself, and else its metadata, a file of the same
name ending in .toml beside it, or the user say it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from penlight import disk
from penlight.data import ViewedDataset
from penlight.errors import EncoderError, RunError, first_line
from penlight.escaping import named, printable
from penlight.models.graph import OPSETS
from penlight.parsing import LARGEST_TOML, parse_toml
from penlight.recipes.recipe import Encoded, Pretrained, Recipe, Section, invalid_value
from penlight.records import Digest, Name, Text
from penlight.runs.encoders import (
    LARGEST_CONTAINED,
    EncoderFile,
    NamedEncoder,
    Weights,
    encoder_files,
    find_weights,
    is_free,
    read_encoder,
    reference,
)
from penlight.runs.session import compute_once

if TYPE_CHECKING:
    import onnx

KERAS_FILES = (".keras", ".h5")
"""How names of Keras files end."""

USUAL_SIDE = 224
"""Pixels a side of images for an encoder that takes any size and says nothing of it."""

LARGEST_SIDE = 2048
"""Pixels a side of images that an encoder may want."""

_SMALL = 4096
"""Bytes of weights that a run holds itself, wherever the others lie."""

_FEWEST, _MOST = 2, 100_000
_NAMES_OF_FEATURES = ("feature", "embed", "pool", "hidden", "token", "representation")
_CLASSIFIER_ENDS = ("Softmax", "LogSoftmax", "Sigmoid")
_UINT8, _FLOAT = 2, 1
_ORDERS = {"NHWC": (0, 1, 2, 3), "NCHW": (0, 3, 1, 2)}

Three = tuple[float, float, float]


class Pixels(Section):
    """How an encoder wants pixels: those from 0 to 255 are multiplied by `scale`, `mean` is taken away, and the rest
    divided by `std`, channel by channel."""

    scale: float = 1.0
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)


PIXELS: Mapping[str, Pixels] = {
    "0..255": Pixels(),
    "0..1": Pixels(scale=1 / 255),
    "-1..1": Pixels(scale=2 / 255, mean=(1.0, 1.0, 1.0)),
    "imagenet": Pixels(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "clip": Pixels(scale=1 / 255, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)),
    "torchxrayvision": Pixels(scale=2048 / 255, mean=(1024.0, 1024.0, 1024.0)),
}
"""How known families of networks want pixels, by name: ImageNet's mean and spread as torchvision and timm have it,
OpenAI's CLIP, and torchxrayvision's -1024 to 1024."""


class Said(Section):
    """What a file beside an encoder, its metadata or the user say of it; None for what is not said.

    `pixels` is a name of `PIXELS`, or how they are scaled; `size` the side of its images, `order` that of its
    channels; `output` the name of what it gives, and `pooling` how a map of it becomes a vector; `sha256` that of
    the file that all this is said of.
    """

    pixels: Pixels | Literal["0..255", "0..1", "-1..1", "imagenet", "clip", "torchxrayvision"] | None = None
    size: Annotated[int, Field(ge=8, le=LARGEST_SIDE)] | None = None
    order: Literal["rgb", "bgr"] | None = None
    layout: Literal["NHWC", "NCHW"] | None = None
    output: str | None = None
    pooling: Literal["average", "first"] | None = None
    licence: Name | None = None
    source: Text | None = None
    sha256: Digest | None = None


@dataclass(frozen=True)
class Encoder:
    """An encoder as it is used: `bytes` and `sha256` of its file, with what lies beside it; `input` (N, H, W, C) or
    (N, C, H, W) by `layout`, of `dtype`; `side` and `channels` of the images it gets, `free` where it takes any size;
    `pixels` and `order` of them; `output`, of so many `axes`, from which `pooling` makes (N, `width`) features. A run
    `refers` to it where it may not contain it. `said` is all that was said of it, and `why` says where each of these
    is from. `model` is the network; `original` the SHA-256 of the file that a recipe names, which may be Keras';
    `data_md5` that of the dataset a run's model was trained on; `files` the state of all that was read."""

    path: Path
    bytes: int
    sha256: str
    input: str
    dtype: Literal["uint8", "float32"]
    layout: Literal["NHWC", "NCHW"]
    channels: int
    side: int
    free: bool
    pixels: Pixels
    order: Literal["rgb", "bgr"]
    output: str
    axes: int
    pooling: Literal["none", "average", "first"]
    width: int
    licence: str
    source: str
    refers: bool
    said: Said
    why: Mapping[str, str]
    model: "onnx.ModelProto" = field(repr=False)
    original: str
    data_md5: str | None
    files: Mapping[Path, tuple[int, ...]]

    @property
    def named(self) -> NamedEncoder:
        """What a run says of it."""
        return NamedEncoder(self.sha256, self.path.stem, self.licence, self.source, contained=not self.refers)

    def compute(self, outputs: Sequence[str], images: NDArray[Any]) -> list[NDArray[np.floating]]:
        """Compute values of the network by their names, of images as it wants them, in a worker process. RunError if
        they cannot be computed."""
        import onnx

        asked = onnx.ModelProto()
        asked.CopyFrom(self.model)
        asked.graph.ClearField("output")
        asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(outputs))
        refers = {self.sha256: self.path} if self.refers else {}
        return compute_once(asked.SerializeToString(), self.path.name, self.input, outputs, images, refers)


_last: dict[tuple[Path, str, str, str], Encoder] = {}
"""The encoder that was used last: one file is read once for all runs of a command."""


class PixelsError(EncoderError):
    """Nothing says how an encoder wants pixels."""


def open_encoder(path: Path, said: Mapping[str, Any] | None = None, network: str = "") -> Encoder:
    """Read an encoder, of a Keras file the ONNX file that is made of it, see `keras_encoder`; `said` is what the user
    says of it, which comes first.

    EncoderError for a file that is no ONNX network from images to numbers, that holds what it may not, or of which
    something has to be said; its remedy is how.
    """
    source, original = path, ""
    if path.suffix in KERAS_FILES:
        from penlight.models.keras_encoder import keras_as_onnx

        path, original = keras_as_onnx(path, network)
    read = read_encoder(path)
    told, where = _told(path, read.declared.properties, said or {})
    sha256 = read.sha256
    if told.sha256 not in (None, sha256):
        raise EncoderError(
            f"{path.name} was changed: its SHA-256 is {sha256[:12]}..., and {told.sha256[:12]}... was expected by "
            f"{where['sha256']}.",
            "Put the file back that was there, or add this one under a name of its own: penlight encoders add FILE",
        )
    refers = read.bytes > LARGEST_CONTAINED or bool(told.licence and not is_free(told.licence))
    model = _load(read, refer=refers)
    name, kind, shape = _input(model, path)
    layout, channels, fixed, why = _layout(shape, told, path)
    why |= {key: where[key] for key in Said.model_fields if key in where and key != "layout"}
    if told.pixels is None:
        if kind != "uint8":
            raise PixelsError(
                f"{path.name} takes {kind} images, and nothing says how it wants pixels.",
                "Say it with --set model.pixels=NAME, or once for all: penlight encoders add FILE --pixels NAME. "
                f"NAME is one of {', '.join(PIXELS)}.",
            )
        told, why["pixels"] = told.model_copy(update={"pixels": "0..255"}), "its input is uint8"
    side = told.size or fixed or USUAL_SIDE
    if fixed and side != fixed:
        raise EncoderError(f"{path.name} takes images of {fixed} px alone; {side} px came.", "Leave the size out.")
    why.setdefault("size", "the size of its input" if fixed else f"it takes any size; {USUAL_SIDE} is usual")
    why.setdefault("order", "usual")
    pixels = PIXELS[told.pixels] if isinstance(told.pixels, str) else told.pixels or Pixels()
    files = source, path, path.with_suffix(".toml"), *(path.parent / name for name in read.beside)
    made = Encoder(
        path, read.bytes, sha256, name, kind, layout, channels, side, not fixed, pixels,
        told.order or "rgb", "", 0, "none", 0, told.licence or "", told.source or "",
        refers, told, why, model, original or sha256, read.declared.properties.get("data_md5"),
        {file: disk.state_of(file) for file in files},
    )  # fmt: skip
    return _with_output(made, told)


def find_encoder(options: Encoded) -> Encoder:
    """Open the encoder of a recipe; the last one is kept, and given again as long as its files are as they were.
    DataError if its file is not there, EncoderError if it is another than the recipe says, or cannot be used."""
    path = find_weights(options.weights)
    key = path, options.network, options.pixels, options.output
    encoder = _last.get(key)
    if encoder is None or any(disk.state_of(file) != state for file, state in encoder.files.items()):
        said = {key: getattr(options, key) for key in ("pixels", "output") if getattr(options, key)}
        _last.clear()
        encoder = _last[key] = open_encoder(path, said, options.network)
    if options.sha256 not in ("", encoder.original):
        raise EncoderError(
            f"{path} is another encoder than the recipe's: its SHA-256 is {encoder.original[:12]}..., and "
            f"{options.sha256[:12]}... was expected.",
            "Put the file that was used there, or name another with --set model.weights=PATH.",
        )
    return encoder


def require_weights(model: object) -> None:
    """Raise DataError if a model is to begin with a file of weights that is not there; nothing is loaded."""
    if isinstance(model, Encoded | Pretrained) and model.weights not in ("imagenet", "random"):
        find_weights(model.weights)


def with_hashes(recipe: Recipe) -> Recipe:
    """Give a recipe that names its encoders by their hashes too, so that another file of a name is noticed. Errors as
    in `find_encoder`."""

    def hashed(model: Any) -> Any:
        named = not isinstance(model, Encoded) or model.sha256
        return model if named else model.model_copy(update={"sha256": find_encoder(model).original})

    return recipe.with_model(hashed)


def require_unseen(recipe: Recipe, view: ViewedDataset) -> None:
    """Raise EncoderError for a recipe with a run as its encoder that was trained on this dataset: features of images
    that it learned by heart say more than those of others. Other errors as in `find_encoder`."""

    def unseen(model: Any) -> Any:
        if isinstance(model, Encoded) and find_encoder(model).data_md5 == view.dataset.md5:
            raise EncoderError(
                f"{model.weights} was trained on the images of {view.dataset.info.name}, so features of these say "
                "more than features of others would.",
                "Use a run of another dataset.",
            )
        return model

    recipe.with_model(unseen)


def said_of(path: Path) -> Said:
    """Give what an encoder's metadata and the file beside it say. EncoderError for a file that is none."""
    return _told(path, read_encoder(path).declared.properties, {})[0]


def encoders_here() -> tuple[list[Encoder], dict[str, EncoderError]]:
    """Open the encoders in $PENLIGHT_DATA and in the folder of encoders that can be used without a question, and say
    by the names of the other files why they cannot; models of Penlight are left out, as they may have learned from
    images of the dataset at hand."""
    found: dict[str, Encoder] = {}
    unusable: dict[str, EncoderError] = {}
    for path in encoder_files():
        try:
            encoder = open_encoder(path)
        except EncoderError as error:
            unusable[path.name] = error
            continue
        if encoder.model.producer_name != "penlight":
            found.setdefault(encoder.sha256, encoder)
    return list(found.values()), unusable


def _load(read: EncoderFile, *, refer: bool) -> "onnx.ModelProto":
    """Check a file, and take in the weights that lie beside it; or `refer` to large ones, wherever they lie."""
    import onnx

    path = read.path
    try:
        model = onnx.load_from_string(read.parts[0])
        age = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
        if age > (newest := onnx.defs.onnx_opset_version()):
            raise EncoderError(
                f"{path.name} has operators of ONNX's version {age}; up to {newest} are known here.",
                f"Export it with opset {OPSETS['']}, or install a newer onnx and onnxruntime.",
            )
        for number, tensor in enumerate(model.graph.initializer):
            _place(tensor, read, read.weights(number), refer=refer)
        onnx.checker.check_model(_without_weights(model) if refer else model)
    except EncoderError:
        raise
    except Exception as error:  # onnx and protobuf raise many kinds
        raise EncoderError(f"{path.name} is no ONNX network: {first_line(error)}.", "Export it again.") from error
    if not refer:
        return model
    # The first one keeps the memory of all it ever held.
    light = onnx.ModelProto()
    light.CopyFrom(model)
    return light


def _place(tensor: "onnx.TensorProto", read: EncoderFile, weights: Weights, *, refer: bool) -> None:
    """Have an initializer hold its values, or with `refer` those that are large name their place."""
    if tensor.data_location == tensor.EXTERNAL:
        tensor.raw_data = read.parts[weights.part][weights.offset : weights.offset + weights.length]
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    if refer and weights.length > _SMALL:
        tensor.ClearField("raw_data")
        tensor.data_location = tensor.EXTERNAL
        where = {"location": reference(read.sha256, weights.part), "offset": weights.offset, "length": weights.length}
        for key, value in where.items():
            tensor.external_data.add(key=key, value=str(value))


def _without_weights(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Have a copy take as inputs what the model refers to, which the checker would look for on the disk."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.ClearField("initializer")
    for tensor in model.graph.initializer:
        if tensor.external_data:
            copy.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        else:
            copy.graph.initializer.append(tensor)
    return copy


def _told(path: Path, properties: Mapping[str, str], said: Mapping[str, Any]) -> tuple[Said, dict[str, str]]:
    """Put together what is said of an encoder, and where each thing is said: its metadata, a file beside it, the
    user."""
    known = {key: value for key, value in properties.items() if key in ("licence", "license", "source")}
    if "license" in known:
        known.setdefault("licence", known.pop("license"))
        known.pop("license", None)
    prefix = "encoder."
    known |= {key.removeprefix(prefix): value for key, value in properties.items() if key.startswith(prefix)}
    beside = path.with_suffix(".toml")
    from_file: Mapping[str, Any] = {}
    if beside.is_file():
        try:
            from_file = parse_toml(disk.read_named(beside, LARGEST_TOML), str(beside), error=EncoderError)
        except OSError as error:
            raise EncoderError(f"{beside} cannot be read: {error.strerror or error}.", "Check it.") from error
    told: dict[str, Any] = {}
    where: dict[str, str] = {}
    for values, source in ((known, "its metadata"), (from_file, beside.name), (said, "as given")):
        told |= _checked(values, source, path).model_dump(exclude_none=True)
        where |= dict.fromkeys(values, source)
    # What was dumped is plain again; it is read once more as a whole.
    return Said.model_validate(told, strict=False), where


def _checked(values: Mapping[str, Any], source: str, path: Path) -> Said:
    try:
        return TypeAdapter(Said).validate_python(dict(values), strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "it"
        raise EncoderError(
            f"What is said of {path.name} ({source}) cannot be used: {invalid_value(key, first)}.",
            f"Known are {', '.join(Said.model_fields)}.",
        ) from error


def _input(model: "onnx.ModelProto", path: Path) -> tuple[str, Literal["uint8", "float32"], list[int | None]]:
    import onnx

    constants = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in constants]
    images = [each for each in inputs if len(each.type.tensor_type.shape.dim) == 4]
    if len(inputs) != 1 or len(images) != 1:
        raise EncoderError(
            f"{path.name} has the inputs {named(printable(each.name) for each in inputs)}; an encoder has one, of "
            "images (four axes).",
            "Export the part that turns an image into features.",
        )
    tensor = images[0].type.tensor_type
    if tensor.elem_type not in (_UINT8, _FLOAT):
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise EncoderError(
            f"{path.name} takes images of the type {kind}; uint8 or float32 are expected.",
            "Export it with an input of one of these.",
        )
    shape = [dim.dim_value or None for dim in tensor.shape.dim]
    if shape[0] not in (None, 1):
        raise EncoderError(f"{path.name} takes {shape[0]} images at once.", "Export it with a free first axis.")
    if shape[0] == 1:
        raise EncoderError(f"{path.name} takes one image at a time.", "Export it with a free first axis.")
    return images[0].name, "uint8" if tensor.elem_type == _UINT8 else "float32", shape


def _layout(
    shape: list[int | None], told: Said, path: Path
) -> tuple[Literal["NHWC", "NCHW"], int, int, dict[str, str]]:
    """Say where the channels are, how many, and the side of images, 0 where it is free."""
    why = {"layout": "its shape"}
    fits: list[Literal["NHWC", "NCHW"]] = []
    if shape[1] in (1, 3) and shape[3] not in (1, 3):
        fits = ["NCHW"]
    elif shape[3] in (1, 3) and shape[1] not in (1, 3):
        fits = ["NHWC"]
    if told.layout is not None:
        fits, why["layout"] = [told.layout], "as said"
    if len(fits) != 1:
        raise EncoderError(
            f"The input of {path.name} has the shape {_shape_text(shape)}; 1 or 3 channels are expected at its "
            "second or its last place, and not at both.",
            'Where they are free, say layout = "NCHW" or "NHWC" in a .toml beside it; other channels cannot be used.',
        )
    channels = shape[1] if fits[0] == "NCHW" else shape[3]
    sides = shape[2:] if fits[0] == "NCHW" else shape[1:3]
    if channels not in (1, 3) and channels is not None:
        raise EncoderError(f"{path.name} takes images of {channels} channels; 1 or 3 are expected.", "Export it so.")
    fixed = [side for side in sides if side is not None]
    if any(side > LARGEST_SIDE for side in fixed):
        raise EncoderError(
            f"{path.name} takes images of {max(fixed):,} px; up to {LARGEST_SIDE:,} px are expected.", "Export it so."
        )
    if len(set(fixed)) > 1:
        raise EncoderError(
            f"{path.name} takes images of {_shape_text(shape)}, which are not square.", "Export it so."
        )
    return fits[0], channels or 3, next(iter(fixed), 0), why


def _shape_text(shape: list[int | None]) -> str:
    return "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"


def _with_output(made: Encoder, told: Said) -> Encoder:
    """Choose the output, and see by an image what it gives."""
    model = made.model
    outputs = [each.name for each in model.graph.output]
    name, why = told.output, dict(made.why)
    if name is None:
        name, why["output"] = _features_of(model, outputs, made.path)
    elif name not in {out for node in model.graph.node for out in node.output}:
        raise EncoderError(f"{made.path.name} has no output {printable(name)}; it has {named(outputs)}.", "Give one.")
    axes = _axes(made, name)
    pooling: Literal["none", "average", "first"] = "none"
    if len(axes) == 4:
        # Maps have their channels where images have them.
        pooling, width = "average", axes[1] if made.layout == "NCHW" else axes[3]
        why["pooling"] = "a map is averaged"
    elif len(axes) == 3:
        pooling, width = told.pooling or "average", axes[2]
        why.setdefault("pooling", 'tokens are averaged, unless pooling = "first" says that the first has all')
    elif len(axes) == 2:
        width = axes[1]
    else:
        width = 0
    if not _FEWEST <= width <= _MOST:
        raise EncoderError(
            f"{made.path.name} gives {printable(name)} of the shape {axes}; features are (N, F), maps (N, C, H, W) "
            "or tokens (N, T, F).",
            "Name another output, as output = NAME in a .toml beside it.",
        )
    return replace(made, output=name, axes=len(axes), pooling=pooling, width=width, why=why)


def _features_of(model: "onnx.ModelProto", outputs: list[str], path: Path) -> tuple[str, str]:
    """Choose what to take for features: an output that is called so, the only one, or what the last dense layer reads
    where it ends as a classifier does."""
    called = [name for name in outputs if any(word in name.casefold() for word in _NAMES_OF_FEATURES)]
    if len(called) == 1:
        return called[0], "its name"
    if not outputs:
        raise EncoderError(f"{path.name} has no output.", "Export it again, with the features as its output.")
    if len(outputs) != 1:
        raise EncoderError(
            f"{path.name} gives {named(map(printable, outputs))}; which are the features?",
            "Say it with --set model.output=NAME, or as output = NAME in a .toml beside it.",
        )
    made_by = {out: node for node in model.graph.node for out in node.output}
    constants = {each.name for each in model.graph.initializer}
    constants |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    last = made_by.get(outputs[0])
    while last is not None and last.op_type in (*_CLASSIFIER_ENDS, "Add", "Cast", "Identity") and last.input:
        free = [name for name in last.input if name not in constants]
        if len(free) != 1:
            break
        last = made_by.get(free[0])
    if last is not None and last.op_type in ("Gemm", "MatMul"):
        free = [name for name in last.input if name not in constants]
        if len(free) == 1:
            return free[0], "what the last dense layer reads: the file ends as a classifier does"
    return outputs[0], "its only output"


def _axes(made: Encoder, output: str) -> tuple[int, ...]:
    """Compute a grey, a black and again the grey image, and give the shape of an output; EncoderError where it cannot
    be computed, holds what is no number, or is another of the same image."""
    pixels, shape = made.pixels, (3, made.side, made.side, made.channels)
    images = np.full(shape, 128.0, np.float32)
    images[1] = 0
    if made.dtype == "float32":
        mean, std = (np.asarray(each[: made.channels], np.float32) for each in (pixels.mean, pixels.std))
        images = ((images * np.float32(pixels.scale)) - mean) / std
    images = np.ascontiguousarray(images.astype(made.dtype).transpose(_ORDERS[made.layout]))
    try:
        (given,) = made.compute([output], images)
    except RunError as error:
        raise EncoderError(
            error.problem,
            f"It was asked for {printable(output)} of images of {made.side} px. If it takes others, say size = N in "
            "a .toml beside it; else export it again, as plain ONNX.",
        ) from error
    if given.shape[:1] != (3,):
        raise EncoderError(
            f"{made.path.name} gives {printable(output)} of the shape {given.shape} for three images.",
            "Name another output, as output = NAME in a .toml beside it.",
        )
    if not np.isfinite(given).all():
        raise EncoderError(
            f"{made.path.name} gives features that are not numbers, of a grey image.",
            "Check how it wants pixels, or use another encoder.",
        )
    if not np.allclose(given[0], given[2], rtol=1e-3, atol=1e-5):
        raise EncoderError(
            f"{made.path.name} gives other features when it sees an image again, as networks in training do.",
            "Export it for inference: in PyTorch, after model.eval().",
        )
    return given.shape
