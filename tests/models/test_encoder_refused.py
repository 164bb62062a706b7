"""Files that are no encoders, and those made to harm: each is a named error that says what to do, and none ends the
process, has its way with the disk, or takes the memory of the machine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from penlight.errors import EncoderError
from penlight.models.encoder import EncoderFeatures
from penlight.models.encoder_file import open_encoder
from tests.models.encoders import WIDTH, draw_encoder

Harm = Callable[[onnx.ModelProto], "bytes | None"]


def refused(tmp_path: Path, harm: Harm, said: str, **drawn: object) -> None:
    path = draw_encoder(tmp_path / "e.onnx", **{"side": 28, **drawn})  # type: ignore[arg-type]
    model = onnx.load(path)
    path.write_bytes(harm(model) or model.SerializeToString())
    with pytest.raises(EncoderError, match=said) as caught:
        open_encoder(path)
    assert caught.value.remedy


def constant(model: onnx.ModelProto, name: str, values: object, dtype: type = np.int64) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, dtype), name))
    return name


def ends(kind: str, *inputs: str, shape: object = ("N", WIDTH), dtype: int = 1, **options: object) -> Harm:
    """Have a network end in another operator on what it gives."""

    def harm(model: onnx.ModelProto) -> None:
        given = [
            constant(model, f"own{i}", each) if isinstance(each, list) else each for i, each in enumerate(inputs)
        ]
        model.graph.node.append(helper.make_node(kind, given, ["end"], **options))
        model.graph.ClearField("output")
        model.graph.output.append(helper.make_tensor_value_info("end", dtype, shape))

    return harm


def changed(change: Callable[[onnx.ModelProto], object]) -> Harm:
    def harm(model: onnx.ModelProto) -> None:
        change(model)

    return harm


def dimension(place: int, size: int) -> Harm:
    return changed(lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[place], "dim_value", size))


def _set_nan(model: onnx.ModelProto) -> None:
    tensor = next(each for each in model.graph.initializer if each.name == "half")
    tensor.raw_data = np.float32(np.nan).tobytes()


def _two_outputs(model: onnx.ModelProto) -> None:
    model.graph.ClearField("output")
    for name in ("c1", "r1"):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 16, "h", "w"]))


def _loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph([helper.make_node("Identity", ["c"], ["d"])], "body", [], [])
    model.graph.node.append(helper.make_node("If", ["pool"], ["x"], then_branch=body, else_branch=body))


def _bomb(model: onnx.ModelProto) -> None:
    constant(model, "sides", [2**20, 2**18])
    model.graph.node.append(helper.make_node("ConstantOfShape", ["sides"], ["zeros"]))
    model.graph.node.append(helper.make_node("ReduceMax", ["zeros"], ["most"], keepdims=0))
    ends("Add", "pool", "most")(model)


def _text_input(model: onnx.ModelProto) -> bytes:
    given = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", 77])]
    out = [helper.make_tensor_value_info("f", TensorProto.FLOAT, ["N", 77])]
    graph = helper.make_graph([helper.make_node("Cast", ["ids"], ["f"], to=1)], "text", given, out)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda model: model.SerializeToString()[:5000], "no whole ONNX file"),
        (lambda model: b"\x89HDF\r\n\x1a\n" + bytes(1000), "no whole ONNX file"),
        (lambda model: b"0000ORTM" + bytes(1000), "ONNX Runtime's own format"),
        (changed(lambda model: setattr(model.graph.node[4], "op_type", "Perhaps")), "No Op registered for Perhaps"),
        (changed(lambda model: setattr(model.graph.node[3], "domain", "com.example")), "of the domain 'com.example'"),
        (changed(lambda model: setattr(model.opset_import[0], "version", 99)), "of ONNX's version 99; up to"),
        (changed(lambda model: setattr(model, "ir_version", 99)), "ir_version 99 is higher"),
        (changed(lambda model: model.functions.append(onnx.FunctionProto(name="f"))), "functions of its own"),
        (changed(lambda model: model.training_info.add()), "can be trained further"),
        (_loop, "a graph of its own, as loops have"),
        (changed(lambda model: model.graph.initializer[0].dims.extend([2**20] * 2)), "too small for"),
        (changed(lambda model: model.graph.initializer.append(model.graph.initializer[0])), "name is not unique"),
        (changed(lambda model: model.graph.node[4].output.__setitem__(0, "c1")), "output names multiple times"),
        (_bomb, "Failed to allocate memory"),
        (changed(lambda model: model.graph.input.append(helper.make_tensor_value_info("b", 1, [1, 3, 8, 8]))),
         "has the inputs picture, b; an encoder has one"),
        (_text_input, "has the inputs ids; an encoder has one"),
        (dimension(0, 1), "takes one image at a time"),
        (dimension(0, 8), "takes 8 images at once"),
        (dimension(1, 32), "not square"),
        (dimension(1, 2**20), "up to 2,048 px are expected"),
        (changed(lambda model: model.graph.ClearField("output")), "has no output"),
        (_two_outputs, "gives c1, r1; which are the features"),
        (ends("ReduceMax", "pool", keepdims=0, shape=()), r"of the shape \(\) for three images"),
        (ends("Reshape", "pool", [0, 2, 3, 4, 1], shape=["N", 2, 3, 4, 1]), r"features are \(N, F\)"),
        (ends("ReduceMax", "pool", axes=[1], shape=["N", 1]), r"features are \(N, F\)"),
        (ends("ArgMax", "pool", axis=1, shape=["N", 1], dtype=TensorProto.INT64), "an output of type <i8"),
        (ends("Cast", "pool", to=TensorProto.FLOAT16, dtype=TensorProto.FLOAT16), "an output of type <f2"),
        (ends("Cast", "pool", to=TensorProto.STRING, dtype=TensorProto.STRING), "an output of type"),
        (ends("RandomNormalLike", "pool"), "gives other features when it sees an image again"),
        (ends("Reshape", "pool", [0, 1000], shape=["N", 1000]), "was asked for end of images of 28 px"),
        (_set_nan, "not numbers"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_encoder_is_a_named_error(tmp_path: Path, harm: Harm, said: str) -> None:
    refused(tmp_path, harm, said)


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        ({"channels": 4}, "1 or 3 channels are expected"),
        ({"channels": 2, "layout": "NCHW"}, "1 or 3 channels are expected"),
        ({"dtype": TensorProto.FLOAT16}, "takes images of the type float16; uint8 or float32"),
        ({"dtype": TensorProto.INT8}, "takes images of the type int8"),
    ],
)
def test_other_images_than_an_encoder_may_take(tmp_path: Path, drawn: dict[str, object], said: str) -> None:
    refused(tmp_path, lambda model: None, said, **drawn)


@pytest.mark.full
def test_a_model_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penlight import workers
    from penlight.runs import session

    def endless(model: onnx.ModelProto) -> None:
        constant(model, "square", np.zeros((1500, 1500)), np.float32)
        model.graph.node.append(helper.make_node("MatMul", ["square", "square"], ["s0"]))
        for i in range(2000):
            model.graph.node.append(helper.make_node("MatMul", [f"s{i}", "square"], [f"s{i + 1}"]))
        model.graph.node.append(helper.make_node("ReduceMax", ["s2000"], ["most"], keepdims=0))
        ends("Add", "pool", "most")(model)

    bounds = workers.Bounds(2.0, session.BOUNDS.memory)
    with workers.WorkerPool(session.HANDLER, bounds=bounds) as pool:
        monkeypatch.setattr(session, "BOUNDS", bounds)
        monkeypatch.setattr(session, "shared_pool", lambda *_: pool)
        refused(tmp_path, endless, "more than 2 s of processor time")


def test_other_bad_files_and_options(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(EncoderError, match=r"text\.onnx"):
        open_encoder(tmp_path / "text.onnx")
    path = draw_encoder(tmp_path / "e.onnx")
    with pytest.raises(EncoderError, match="has no output nothing"):
        open_encoder(path, {"output": "nothing"})
    with pytest.raises(EncoderError, match="'pixels'"):
        open_encoder(path, {"pixels": "perhaps"})
    with pytest.raises(EncoderError, match="takes images of 28 px alone"):
        open_encoder(draw_encoder(tmp_path / "s.onnx", side=28), {"size": 56})


def test_features_of_a_size_that_cannot_be_computed_name_the_size(tmp_path: Path) -> None:
    path = draw_encoder(tmp_path / "e.onnx")
    model = onnx.load(path)
    ends("Reshape", "map", [0, WIDTH * 56 * 56], shape=["N", "F"])(model)
    path.write_bytes(model.SerializeToString())
    encoder = open_encoder(path)
    with pytest.raises(EncoderError, match=r"features of images of 56 px. Give sizes"):
        EncoderFeatures(encoder, (56,)).of(np.zeros((2, 28, 28, 3), np.uint8))
