"""A run's model.onnx is a stranger's: what no model of Penlight holds is refused before ONNX Runtime sees it, and
what it answers is checked."""

import os
import shutil
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import penlight as pl
from penlight.errors import RunError
from penlight.runs import open_predictor, open_run
from penlight.runs.modelfile import check_model
from penlight.runs.remote import RemoteClassifier
from penlight.runs.sources import InputPicture
from penlight.workers import ANSWERING, Bounds, WorkerPool
from tests.test_predicting import images_of, png
from tests.trained import trained


def changed(change):
    """The model of a run, changed by a function of its protocol buffer."""
    model = onnx.load_model_from_string(open_run(trained("grades")).read("model.onnx"))
    change(model)
    return model.SerializeToString()


def refused(content, match, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(RunError, match=match):
        open_predictor(path)


def outside(tensor):
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "secret.bin"
    tensor.ClearField("raw_data")


def external_initializer(model):
    outside(model.graph.initializer[0])


def unnamed_encoder(model):
    external_initializer(model)
    model.graph.initializer[0].external_data[0].value = f"encoder-{'a' * 64}-0"


def missing_encoder(model):
    unnamed_encoder(model)
    model.metadata_props.add(key=f"encoder:{'a' * 64}", value='{"name": "e\\u001b"}')


def place_given_twice(model):
    external_initializer(model)
    model.graph.initializer[0].external_data.add(key="location", value="other.bin")


def external_attribute(model):
    tensor = numpy_helper.from_array(np.zeros(5, np.float32), "x")
    outside(tensor)
    model.graph.node.append(helper.make_node("Constant", [], ["secret"], value=tensor))


def body():
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [])
    return helper.make_graph([helper.make_node("Constant", [], ["y"], value_float=1.0)], "body", [], [value])


def branch(model):
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=body(), else_branch=body()))


def loop(model):
    model.graph.node.append(helper.make_node("Loop", ["", "c"], ["z"], body=body()))


def function(model):
    model.functions.append(
        helper.make_function("own", "f", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])],
                             [helper.make_opsetid("", 18)])
    )  # fmt: skip


def other_domain(model):
    model.graph.node.append(helper.make_node("Inverse", ["a"], ["b"], domain="com.microsoft"))


def other_of_ml(model):
    model.graph.node.append(helper.make_node("TfIdfVectorizer", ["a"], ["b"], domain="ai.onnx.ml"))


def support_vectors(model):
    model.graph.node.append(helper.make_node("SVMClassifier", ["a"], ["b", "c"], domain="ai.onnx.ml"))


def other_opset(model):
    model.opset_import.append(helper.make_opsetid("ai.onnx.preview.training", 1))


def sparse(model):
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    outside(values)
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64), "i"), [5])
    )


def another_input(model):
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N"]))


def another_shape(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4000


def another_type(model):
    model.graph.output[1].type.tensor_type.elem_type = TensorProto.DOUBLE


def no_labels(model):
    del model.metadata_props[:]


def many_nodes(model):
    model.graph.node.extend([model.graph.node[0]] * 20_000)


def long_texts(model):
    helper.set_model_props(model, {"notice": "x" * (5 << 20)})


def second_graph(content):
    """Parsers merge two graphs, so that what is in the second counts."""
    model = onnx.ModelProto()
    branch(model)
    return content + model.SerializeToString()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (external_initializer, "lie in another file"),
        (external_attribute, "lie in another file"),
        (unnamed_encoder, "lie in another file"),
        (missing_encoder, r"refers to the encoder e\\x1b \(SHA-256 a{12}\.\.\.\), which is not on this machine"),
        (place_given_twice, "does not say as ONNX does where its numbers lie"),
        (branch, "a graph of its own"),
        (loop, "a graph of its own"),
        (function, "functions of its own"),
        (other_domain, "com.microsoft"),
        (other_of_ml, "TfIdfVectorizer"),
        (support_vectors, "SVMClassifier"),
        (other_opset, "preview"),
        (sparse, "sparse"),
        (another_input, "should take image"),
        (another_shape, "should take image"),
        (another_type, "should take image"),
        (no_labels, "not written by this version"),
        (many_nodes, "more than 20,000 nodes"),
        (long_texts, "properties"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_no_model_of_penlight_holds_is_refused(change, match, tmp_path):
    refused(changed(change), match, tmp_path)


def test_what_is_no_onnx_file_is_refused(tmp_path):
    whole = changed(lambda model: None)
    refused(second_graph(whole), "a graph of its own", tmp_path)
    refused(whole[:4] + b"ORTM" + whole[8:], "own format", tmp_path)
    refused(b"", "no whole ONNX file", tmp_path)
    refused(whole[:-3], "no whole ONNX file", tmp_path)
    refused(b"\x0b" * 100, "no whole ONNX file", tmp_path)
    refused(b"\xff" * 100, "no whole ONNX file", tmp_path)


def test_a_secret_beside_the_process_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(os.urandom(1 << 20))
    refused(changed(external_initializer), "lie in another file", tmp_path)


@pytest.mark.parametrize("name", ["grades", "findings"])
def test_the_check_reads_what_the_package_onnx_reads(name):
    content = open_run(trained(name)).read("model.onnx")
    declared, model = check_model(content, "m"), onnx.load_model_from_string(content)
    assert declared.properties == {own.key: own.value for own in model.metadata_props}
    assert declared.nodes == len(model.graph.node)

    def shape(value):
        own = value.type.tensor_type
        return own.elem_type, tuple(d.dim_value if d.HasField("dim_value") else None for d in own.shape.dim)

    assert declared.inputs == {value.name: shape(value) for value in model.graph.input}
    assert declared.outputs == {value.name: shape(value) for value in model.graph.output}


def run_with(change, folder):
    """A run whose model was changed, and its manifest with it, as a stranger would."""
    from penlight.runs.folder import RunFolder

    shutil.copytree(trained("grades"), folder)
    run = open_run(folder)
    assert isinstance(run, RunFolder)
    run.replace("model.onnx", changed(change))
    return folder


def rewire(nodes, constants):
    """Let "probabilities" come from other nodes; what they end in is the value "evil"."""

    def change(model):
        graph = model.graph
        last = next(node for node in graph.node if "probabilities" in node.output)
        for name, array in constants.items():
            graph.initializer.append(numpy_helper.from_array(array, name))
        at = list(graph.node).index(last)
        before = list(graph.node)[:at]
        after = list(graph.node)[at + 1 :]
        evil = [helper.make_node(kind, inputs, [output], **more) for kind, inputs, output, more in nodes(last)]
        del graph.node[:]
        graph.node.extend([*before, *evil, *after])

    return change


def times(value):
    return rewire(
        lambda last: [("Cast", list(last.input), "p", {"to": 1}), ("Mul", ["p", "by"], "probabilities", {})],
        {"by": np.array(value, np.float32)},
    )


@pytest.mark.parametrize(
    ("value", "match"), [(9.0, "where a probability is expected"), (np.nan, "nan where"), (0.5, "add up to 0.5")]
)
def test_what_is_no_probability_is_an_error(value, match, tmp_path):
    run = run_with(times(value), tmp_path / "run")
    with pytest.raises(RunError, match=match):
        pl.predict(run, [images_of("grades", 1)])


def enormous(elements):
    """Add the sum of a constant of so many elements, each 0, to the probabilities."""
    return rewire(
        lambda last: [
            ("Shape", ["image"], "sizes", {}),
            ("ReduceMin", ["sizes"], "least", {"keepdims": 1}),
            ("Mul", ["least", "many"], "length", {}),
            ("ConstantOfShape", ["length"], "zeros", {}),
            ("ReduceSum", ["zeros"], "zero", {"keepdims": 0}),
            ("Cast", list(last.input), "p", {"to": 1}),
            ("Add", ["p", "zero"], "probabilities", {}),
        ],
        {"many": np.array(elements, np.int64)},
    )


def test_a_model_that_needs_too_much_memory_is_an_error_within_seconds(tmp_path):
    run = run_with(enormous(2 << 30), tmp_path / "run")
    begun = time.monotonic()
    with pytest.raises(RunError, match="run"):
        pl.predict(run, [images_of("grades", 1)])
    assert time.monotonic() - begun < 30
    # The workers go on for others.
    assert pl.predict(trained("grades"), [images_of("grades", 1)]).failed == 0


def endless(rounds=60, side=200):
    """Multiply matrices of 28 x `side` a side again and again, and add the corner, which is 0, to the probabilities:
    nothing but ONNX's own operators, and hours of them."""

    def nodes(last):
        products = [("MatMul", [f"m{i}", f"m{i}"], f"m{i + 1}", {}) for i in range(rounds)]
        return [
            ("Shape", ["image"], "whole", {"start": 1, "end": 3}),
            ("Mul", ["whole", "by"], "sides", {}),
            ("ConstantOfShape", ["sides"], "m0", {}),
            *products,
            ("ReduceMax", [f"m{rounds}"], "zero", {"keepdims": 0}),
            ("Cast", list(last.input), "p", {"to": 1}),
            ("Add", ["p", "zero"], "probabilities", {}),
        ]

    return rewire(nodes, {"by": np.array([side, side], np.int64)})


def test_a_model_that_takes_for_ever_is_an_error_within_its_time(tmp_path):
    run = run_with(endless(), tmp_path / "run")
    with WorkerPool(ANSWERING, processes=1, bounds=Bounds(0.6)) as pool:
        classifier = RemoteClassifier(run, pool)
        with pytest.raises(RunError, match=r"more than 0\.6 s of processor time"):
            classifier.answer([InputPicture("a.png", png(images_of("grades", 1)[0]))])
        others = RemoteClassifier(trained("grades"), pool)
        assert others.answer([InputPicture("a.png", png(images_of("grades", 1)[0]))])[0].answer is not None


@pytest.mark.parametrize(("made", "bounds", "reason"), [
    (lambda: endless(), Bounds(0.6), r"more than 0\.6 s of processor time"),
    (lambda: enormous(2 << 30), Bounds(20.0, 1 << 30), "needs more than 1,024 MB|cannot be computed"),
])  # fmt: skip
def test_explaining_and_scoring_are_not_harmed_by_a_model_either(tmp_path, monkeypatch, made, bounds, reason):
    """They compute it in a process of its own, and not in the one that was asked."""
    run = run_with(made(), tmp_path / "run")
    monkeypatch.setattr("penlight.runs.session.BOUNDS", bounds)
    with pytest.raises(RunError, match=reason):
        open_predictor(run).logits(images_of("grades", 1))
