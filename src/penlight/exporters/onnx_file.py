"""The ONNX file of a model: uint8 images in, logits and probabilities out, and what a user must know as metadata."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from penlight import __version__
from penlight.errors import ExportError, PenlightError, first_line, is_out_of_memory
from penlight.evaluation import Calibration
from penlight.evaluation.calibration import UNCALIBRATED
from penlight.exporters.answers import answers
from penlight.exporters.estimator import estimator_nodes
from penlight.exporters.features import GraphFeatures
from penlight.models import LinearBaseline, MajorityBaseline
from penlight.models.averaged import AveragedModel
from penlight.models.baselines import LOG_PIXELS
from penlight.models.ensemble import EnsembleModel, FeatureModel, LinearMember, NetworkMember, Scorer
from penlight.models.estimator import EstimatorModel
from penlight.models.graph import IMAGE, Graph, Shape, Value
from penlight.models.layers import network_nodes
from penlight.runs import ModelFacts
from penlight.runs.encoders import named_encoders
from penlight.runs.modelfile import check_model
from penlight.runs.predictor import CLASS_MAPS, FEATURES

WIDEST = 4096
"""Features that a file gives at most: those of the linear baseline are all the pixels."""


def onnx_file(model: Any, facts: ModelFacts, calibration: Calibration) -> bytes:
    """Write a network, or a fitted baseline, as ONNX: `image` (N, H, W, C) uint8 to `logits` (N, K) and
    calibrated `probabilities` (N, C), float32; `features` (N, F), what the last dense layer reads, unless there is
    none or they are more than `WIDEST`; and of an encoder that averages maps `class_activation_maps` (N, h, w, C),
    what each place says for each label.

    The same model gives the same bytes. ExportError for a layer that has no ONNX form.
    """
    graph = Graph((facts.size, facts.size, facts.channels))
    of_baseline, task = _BASELINES.get(type(model)), facts.task
    if of_baseline is None:
        logits = _network(graph, model)
    else:
        logits = task.link.logits_in_graph(graph, of_baseline(graph, model), len(task.labels))
    features = graph.features
    # From here on 64 bits, as in NumPy: few numbers, and calibration may be steep.
    prob = answers(graph, facts.task, calibration, graph.double(logits))
    outputs = {"logits": logits, "probabilities": prob}
    if features is not None and features.shape[-1] <= WIDEST:
        outputs[FEATURES] = features
    if graph.class_maps is not None:
        outputs[CLASS_MAPS] = graph.class_maps
    made = graph.model(outputs, __version__, facts.to_properties())
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def _network(graph: Graph, model: Any) -> Value:
    try:
        return network_nodes(graph, model, graph.pixels())
    except Exception as error:
        # A network may be a user's, and use a layer in a way that no function here foresees.
        if isinstance(error, PenlightError) or is_out_of_memory(error):
            raise
        raise ExportError(f"The network has no ONNX form in Penlight: {first_line(error)}.") from error


def _linear(graph: Graph, model: LinearBaseline) -> Value:
    scores = graph.dense(graph.look_up(LOG_PIXELS.astype(np.float64)), model.weights, model.bias)
    return graph.softmax(scores) if model.exclusive else graph.sigmoid(scores)


def _ensemble(graph: Graph, model: EnsembleModel) -> Value:
    made = GraphFeatures(graph)
    total = None
    for member, weight in zip(model.members, model.weights.tolist(), strict=True):
        own = _member(graph, member, made) * weight
        total = own if total is None else total + own
    assert total is not None
    graph.features, graph.class_maps = made.features, made.class_maps(model)
    return made.to_prob(total, model.exclusive)


def _member(graph: Graph, member: Scorer, made: GraphFeatures) -> Value:
    """Give the scores (N, C) of a member, in 64 bits."""
    if isinstance(member, FeatureModel):
        return made.scores(member.features, member.classifier, member.exclusive)
    if isinstance(member, LinearMember):
        return made.to_scores(_linear(graph, member.model), member.model.exclusive)
    assert isinstance(member, NetworkMember)
    logits = graph.double(network_nodes(graph, member.network, graph.pixels()))
    prob = answers(graph, member.task, UNCALIBRATED, logits)
    return made.to_scores(prob, member.task.exclusive)


def _averaged(graph: Graph, model: AveragedModel) -> Value:
    """Average the logits of several files; what these share, such as an encoder, is there once. Features stand beside
    one another."""
    logits: list[Value] = []
    features: dict[str, Value] = {}
    for content, where in model.files():
        part = onnx.load_from_string(content)
        for encoder in named_encoders(check_model(content, where, beside=True), where):
            graph.properties |= encoder.to_property()
        widths = {output.name: output.type.tensor_type.shape.dim[1].dim_value for output in part.graph.output}
        wanted: dict[str, Shape] = {name: (widths[name],) for name in ("logits", FEATURES) if name in widths}
        said, *inner = graph.embed(part, IMAGE, IMAGE, wanted)
        logits.append(graph.double(said))
        features |= {own.name: own for own in inner}
    graph.features = graph.concatenate(list(features.values())) if features else None
    total = sum(logits[1:], start=logits[0])
    return answers(graph, model.task, UNCALIBRATED, total * (1 / len(logits)))  # type: ignore[no-any-return]


_BASELINES: dict[type, Callable[[Graph, Any], Value]] = {
    LinearBaseline: _linear,
    MajorityBaseline: lambda graph, model: graph.repeated(model.shares),
    EnsembleModel: _ensemble,
    EstimatorModel: estimator_nodes,
    AveragedModel: _averaged,
}
"""From images to probabilities (N, C), of the models that are no networks."""
