"""An estimator of scikit-learn as nodes of an ONNX graph: forests as Penlight's own, all others by skl2onnx."""

import warnings
from typing import Any

import numpy as np

from penlight.errors import ExportError, RunError, first_line, is_out_of_memory
from penlight.models.estimator import EstimatorModel
from penlight.models.feature_classifiers import forest_of
from penlight.models.graph import OPSETS, Graph, Value
from penlight.runs.modelfile import check_model

COMPLETE = (
    "Its predictions, scores, report and maps are complete; for a model file train another estimator, such as a "
    "random forest, or a network."
)
"""What to do about an estimator that has no file."""


def estimator_nodes(graph: Graph, model: EstimatorModel) -> Value:
    """Give the probabilities (N, C) of an estimator, in 64 bits. ExportError if it has no form in ONNX, or one that
    a run may not hold, such as a loop."""
    # Every run comes by here, and few need scikit-learn, which takes a second to import.
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    from sklearn.multioutput import MultiOutputClassifier
    from sklearn.tree import DecisionTreeClassifier

    width, fitted = int(np.prod(graph.shape)), model.fitted
    pixels = graph.reshape(graph.pixels(), (width,)) / 255.0
    if isinstance(fitted, RandomForestClassifier | ExtraTreesClassifier | DecisionTreeClassifier):
        return graph.double(graph.trees(pixels, forest_of(fitted, model.n_labels, model.exclusive)))
    if model.exclusive:
        return _placed(graph, _probabilities(graph, model.name, fitted, pixels), fitted.classes_, model.n_labels)
    if isinstance(fitted, MultiOutputClassifier):
        each = [_probabilities(graph, model.name, own, pixels) for own in fitted.estimators_]
    else:
        made = _probabilities(graph, model.name, fitted, pixels)
        if len(made.shape) == 1:  # (N, C), of each finding that it is present
            return graph.double(made)
        places = [graph.constant(finding, np.int64) for finding in range(model.n_labels)]
        each = [graph.node("Gather", [made.name, place], made.shape[-1:], axis=0) for place in places]
    seen = zip(each, fitted.classes_, strict=True)
    return graph.concatenate([_placed(graph, own, classes, 2)[:, 1:2] for own, classes in seen])


def _placed(graph: Graph, prob: Value, classes: Any, n: int) -> Value:
    """Put the columns of the classes that train has among those of all `n`."""
    return graph.matmul(graph.double(prob), np.eye(n)[np.asarray(classes, int)])


def _probabilities(graph: Graph, name: str, fitted: Any, pixels: Value) -> Value:
    """Add what skl2onnx makes of a fitted estimator: (N, classes of train), (findings, N, 2) or (N, findings)."""
    made = _converted(fitted, pixels.shape[0], name)
    output = made.graph.output[-1]
    shape = tuple(dim.dim_value for dim in output.type.tensor_type.shape.dim)
    if len(shape) not in (2, 3):
        raise ExportError(f"{name} has no model file: it gives no table of probabilities in ONNX.", COMPLETE)
    of_image = shape[1:] if len(shape) == 2 else (shape[0], shape[2])
    return graph.embed(made, made.graph.input[0].name, pixels.name, {output.name: of_image})[0]


def _converted(fitted: Any, width: int, name: str) -> Any:
    """Convert an estimator fitted to rows of `width` pixels, and check that runs may hold what comes of it."""
    try:
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType
    except ImportError as error:
        raise ExportError(
            f"{name} has no model file: skl2onnx, which writes it, is not installed.",
            "Install it: pip install 'penlight[sklearn-onnx]', and train again.",
        ) from error
    kinds = [("pixels", FloatTensorType([None, width]))]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = to_onnx(fitted, initial_types=kinds, options={"zipmap": False}, target_opset=OPSETS)
        content = made.SerializeToString()
    except Exception as error:  # of every kind: estimators are anybody's
        if is_out_of_memory(error):
            raise
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        why = f"skl2onnx cannot write it: {first_line(cause)}"
        raise ExportError(f"{name} has no model file: {why}.", COMPLETE) from error
    if any(node.op_type.startswith("SVM") for node in made.graph.node):
        why = "it would hold support vectors, which are images of the training split"
        raise ExportError(f"{name} has no model file: {why}.", COMPLETE)
    try:
        check_model(content, "Its form in ONNX")
    except RunError as error:
        raise ExportError(f"{name} has no model file. {error.problem}", COMPLETE) from error
    return made
