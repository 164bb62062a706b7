"""What a model.onnx may hold, checked before ONNX Runtime sees it.

A model may be a stranger's. ONNX can name files that lie beside the process, operators of other libraries, functions,
loops that never end; none of it is in what Penlight writes. The file is walked as the protocol buffer that it is
(onnx.proto, IR version 13): what is not known to be harmless is refused. The package `onnx` would take longer to load
than an answer takes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from penlight.errors import RunError

LARGEST_MODEL = 256 << 20
"""Bytes of a model."""

_MOST_NODES = 20_000
_MOST_TENSORS = 50_000
_LARGEST_TEXTS = 4 << 20
_REMEDY = "It is damaged, or was made to harm: use a run that you trust, or export the run again."

# Operators of Penlight's models are ONNX's own, and those of ONNX's own extension that forests and estimators have:
# all are of numbers. Those of support vectors, which are images of the training split, are not among them.
_ML = {
    *("TreeEnsembleRegressor", "TreeEnsembleClassifier", "LinearClassifier"),
    *("Scaler", "Normalizer", "Binarizer", "ArrayFeatureExtractor"),
}
_DOMAINS = {"": None, "ai.onnx": None, "ai.onnx.ml": _ML}

# Fields of each message that are neither looked into nor refused: names, texts, numbers.
_MODEL_PLAIN = {1, 2, 3, 4, 5, 6}
_MODEL_REFUSED = {
    20: "it can be trained further",
    25: "it has functions of its own",
    26: "it is of several devices",
}
_GRAPH_PLAIN = {2, 10, 13, 14, 16}
_NODE_PLAIN = {1, 2, 3, 6, 9}
_ATTRIBUTE_PLAIN = {1, 2, 3, 4, 7, 8, 9, 13, 20}
_TENSOR_PLAIN = {1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16}

# Long lists in attributes, which forests have, are single fields: integers, floats, the modes of a tree's nodes.
_RUN_OF_VALUES = re.compile(
    rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])++|(?:\x3d.{4})++|(?:\x4a\x04LEAF|\x4a\x0aBRANCH_LEQ)++", re.DOTALL
)


class _RefusedError(Exception):
    """A model holds what it may not."""


@dataclass(frozen=True)
class Weight:
    """Where the bytes of an initializer lie: in the file itself, or in another one, `location`; `length` is None
    where that is all that follows, and 0 where they are written in another way."""

    location: str = ""
    offset: int = 0
    length: int | None = 0


@dataclass
class Declared:
    """What a model says of itself: `inputs` and `outputs` by name, each the ONNX element type and the shape, None for
    a dimension that is not fixed; its `properties`, and where its initializers lie."""

    inputs: dict[str, tuple[int, tuple[int | None, ...]]] = field(default_factory=dict)
    outputs: dict[str, tuple[int, tuple[int | None, ...]]] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    weights: list[Weight] = field(default_factory=list)
    nodes: int = 0
    tensors: int = 0
    texts: int = 0


def check_model(content: bytes, where: str, *, largest: int = LARGEST_MODEL, beside: bool = False) -> Declared:
    """Check the bytes of a model and give what it declares; its initializers may lie in files `beside` it, which the
    caller must check. RunError, naming `where`, for what it may not hold."""
    if len(content) > largest:
        raise RunError(f"{where} has {len(content):,} bytes, more than {largest:,}.", _REMEDY)
    declared = Declared()
    try:
        # ONNX Runtime takes a file with these letters here for one of its own format.
        if content[4:8] == b"ORTM":
            raise _RefusedError("it is in ONNX Runtime's own format")
        _model(content, declared)
        if not beside and any(weight.location for weight in declared.weights):
            raise _RefusedError("its numbers lie in another file")
    except (IndexError, ValueError) as error:
        raise RunError(f"{where} cannot be read: it is no whole ONNX file.", _REMEDY) from error
    except _RefusedError as error:
        raise RunError(f"{where} cannot be used: {error}.", _REMEDY) from error
    return declared


def _model(content: bytes, declared: Declared) -> None:
    graphs = 0
    for number, start, end in _fields(content, 0, len(content)):
        if number == 7:
            graphs += 1
            _graph(content, start, end, declared)
        elif number == 8:
            _require_domain(_text(content, start, end, 1), None)
        elif number == 14:
            name, value = _text(content, start, end, 1), _text(content, start, end, 2)
            declared.texts += len(name) + len(value)
            if name in declared.properties or declared.texts > _LARGEST_TEXTS:
                raise _RefusedError("its properties are too many, or one has two values")
            declared.properties[name] = value
        elif number not in _MODEL_PLAIN:
            if number not in _MODEL_REFUSED:
                raise ValueError("a field that no model has")
            raise _RefusedError(_MODEL_REFUSED[number])
    if graphs != 1:
        raise ValueError("a model has one graph")


def _graph(content: bytes, start: int, end: int, declared: Declared) -> None:
    for number, first, last in _fields(content, start, end):
        if number == 1:
            declared.nodes += 1
            if declared.nodes > _MOST_NODES:
                raise _RefusedError(f"it has more than {_MOST_NODES:,} nodes")
            _node(content, first, last, declared)
        elif number == 5:
            declared.weights.append(_tensor(content, first, last, declared, beside=True))
        elif number in (11, 12):
            into = declared.inputs if number == 11 else declared.outputs
            name = _text(content, first, last, 1)
            if name in into:
                raise _RefusedError(f"it declares {name} twice")
            into[name] = _tensor_type(content, first, last)
        elif number not in _GRAPH_PLAIN:
            raise _RefusedError({15: "it has sparse tensors"}.get(number, f"its graph has the field {number}"))


def _node(content: bytes, start: int, end: int, declared: Declared) -> None:
    kind, domain = _text(content, start, end, 4), _text(content, start, end, 7)
    _require_domain(domain, kind)
    for number, first, last in _fields(content, start, end):
        if number == 5:
            _attribute(content, first, last, kind, declared)
        elif number not in (4, 7) and number not in _NODE_PLAIN:
            raise _RefusedError(f"the operator {kind} has the field {number}")


def _attribute(content: bytes, start: int, end: int, kind: str, declared: Declared) -> None:
    for number, first, last in _fields(content, start, end, runs=True):
        if number == 5:
            _tensor(content, first, last, declared)
        elif number in (6, 11):
            raise _RefusedError(f"the operator {kind} has a graph of its own, as loops have")
        elif number not in _ATTRIBUTE_PLAIN:
            raise _RefusedError(f"the operator {kind} has an attribute of a kind that is not used here")


def _tensor(content: bytes, start: int, end: int, declared: Declared, *, beside: bool = False) -> Weight:
    declared.tensors += 1
    if declared.tensors > _MOST_TENSORS:
        raise _RefusedError(f"it has more than {_MOST_TENSORS:,} tensors")
    weight, said = Weight(), dict[str, str]()
    for number, first, last in _fields(content, start, end):
        if number in (13, 14) and not beside:
            raise _RefusedError("its numbers lie in another file")
        if number == 9:
            weight = Weight("", first, last - first)
        elif number == 13:
            key = _text(content, first, last, 1)
            if key in said or key not in ("location", "offset", "length", "checksum"):
                raise _RefusedError("it does not say as ONNX does where its numbers lie")
            said[key] = _text(content, first, last, 2)
        elif number not in _TENSOR_PLAIN and number != 14:
            raise _RefusedError(f"a tensor has the field {number}")
    if said:
        places = [said.get(key, default) for key, default in (("offset", "0"), ("length", ""))]
        if not said.get("location") or any(place and not re.fullmatch("[0-9]{1,18}", place) for place in places):
            raise _RefusedError("it does not say as ONNX does where its numbers lie")
        weight = Weight(said["location"], int(places[0] or 0), int(places[1]) if places[1] else None)
    return weight


def _tensor_type(content: bytes, start: int, end: int) -> tuple[int, tuple[int | None, ...]]:
    """Read TypeProto.Tensor from a ValueInfoProto: the element type, and the dimensions; 0 and none of what is no
    tensor, or has no shape."""
    for step in (2, 1):
        if step not in _numbers(content, start, end):
            return 0, ()
        start, end = _only(content, start, end, step)
    kinds = [_varint(content, first)[0] for number, first, _ in _fields(content, start, end) if number == 1]
    if not kinds or 2 not in _numbers(content, start, end):
        return (kinds or [0])[-1], ()
    start, end = _only(content, start, end, 2)
    dims: list[int | None] = []
    for number, first, last in _fields(content, start, end):
        if number != 1:
            raise ValueError("a shape has dimensions only")
        values = [_varint(content, at)[0] for own, at, _ in _fields(content, first, last) if own == 1]
        dims.append(values[-1] if values else None)
    return kinds[-1], tuple(dims)


def _require_domain(domain: str, kind: str | None) -> None:
    allowed = _DOMAINS.get(domain, set())
    if domain not in _DOMAINS or (kind is not None and allowed is not None and kind not in allowed):
        raise _RefusedError(f"it uses {kind or 'operators'} of the domain '{domain[:80]}', and not ONNX's own")


def _numbers(content: bytes, start: int, end: int) -> set[int]:
    return {number for number, _, _ in _fields(content, start, end)}


def _only(content: bytes, start: int, end: int, wanted: int) -> tuple[int, int]:
    """Give where the one field of a number lies. ValueError if there is none, or several, which would be merged."""
    found = [(first, last) for number, first, last in _fields(content, start, end) if number == wanted]
    if len(found) != 1:
        raise ValueError("a field is missing, or there twice")
    return found[0]


def _text(content: bytes, start: int, end: int, wanted: int) -> str:
    """Read a text; of several that which parsers take, the last."""
    found = [(first, last) for number, first, last in _fields(content, start, end) if number == wanted]
    return content[slice(*found[-1])].decode() if found else ""


def _fields(content: bytes, start: int, end: int, *, runs: bool = False) -> Iterator[tuple[int, int, int]]:
    """Give number, start and end of each field of a message; with `runs`, those of long lists are passed over.

    ValueError for what is no such message, and for groups, which nothing here has.
    """
    while start < end:
        if runs and (run := _RUN_OF_VALUES.match(content, start, end)) is not None:
            start = run.end()
            continue
        tag, start = _varint(content, start)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            _, last = _varint(content, start)
        elif wire == 1:
            last = start + 8
        elif wire == 5:
            last = start + 4
        elif wire == 2:
            n_bytes, start = _varint(content, start)
            last = start + n_bytes
        else:
            raise ValueError("a field of a kind that is not used")
        if last > end or not 0 < number < 1 << 29:
            raise ValueError("a field that is cut off")
        yield number, start, last
        start = last


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of too many bytes")


_UINT8, _FLOAT = 2, 1


def require_interface(
    declared: Declared, image: tuple[int, ...], outputs: Mapping[str, int], optional: Mapping[str, int], where: str
) -> None:
    """Raise RunError unless a model takes "image", (N, *image) uint8, and gives `outputs`, each (N, width) float32,
    and, if it likes, those of the names `optional`, of so many axes."""
    expected = {name: (_FLOAT, (None, width)) for name, width in outputs.items()}
    given = {name: own for name, own in declared.outputs.items() if name not in optional}
    extra = [(own, optional[name]) for name, own in declared.outputs.items() if name in optional]
    if (
        declared.inputs != {"image": (_UINT8, (None, *image))}
        or given != expected
        or any(kind != _FLOAT or len(shape) != axes or shape[0] is not None for (kind, shape), axes in extra)
    ):
        raise RunError(
            f"{where} should take image {image} uint8 and give {dict(outputs)}; it takes {declared.inputs} and gives "
            f"{declared.outputs}."[:1000],
            _REMEDY,
        )
