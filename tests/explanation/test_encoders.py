"""Explaining models on an encoder: exact shares of places where it averages maps, few windows where it does not."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from penlight.errors import ExplainError
from penlight.evaluation import Calibration
from penlight.explanation import choose, explain_images
from penlight.explanation.encoders import with_random_probes
from penlight.explanation.maps import enlarged, relative
from penlight.explanation.of_run import subject_of
from penlight.exporters.onnx_file import onnx_file
from penlight.models.encoder import EncoderFeatures
from penlight.models.encoder_file import open_encoder
from penlight.models.ensemble import EnsembleModel, FeatureModel
from penlight.models.probe import Probe
from penlight.recipes import Encoded
from penlight.runs import ModelFacts, Predictor
from penlight.runs.predictor import MODEL
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal
from tests.conftest import LABELS
from tests.explanation.conftest import noise
from tests.models.encoders import draw_encoder


def probed(path, task, side=28, sides=(28,), **said):
    """A model with probes of weights from a seed on an encoder, and its file."""
    features = EncoderFeatures(open_encoder(path, said), sides)
    rng = np.random.default_rng(5)
    width, labels = features.encoder.width * len(sides), len(task.labels)
    probes = [
        Probe(
            Encoded(),
            task.exclusive,
            weights=rng.normal(0, 0.3, (width, labels)),
            bias=rng.normal(0, 0.3, labels),
        )
        for _ in range(2)
    ]
    members = [FeatureModel(features, probe, task.exclusive) for probe in probes]
    model = EnsembleModel(members, np.array([0.75, 0.25]), ["encoder", "encoder"], task.exclusive)
    facts = ModelFacts(task, side, 3, "drawn", "native", "none", None, "encoder", "", 0, "")
    return model, Predictor(onnx_file(model, facts, Calibration()), MODEL)


@pytest.mark.parametrize(
    ("task", "how"),
    [
        (MultiClass(LABELS), {"ends": "pool"}),
        (MultiLabel(LABELS), {"ends": "map", "layout": "NCHW"}),
        (Ordinal(LABELS, referable=2), {"ends": "classes"}),
        (Binary(("no", "yes")), {"ends": "pool", "layout": "NCHW"}),
    ],
)
def test_a_map_of_places_adds_up_to_what_is_said_for_the_label(tmp_path, task, how):
    """At 224 px and half of it: two grids, of which the coarser is spread over the finer."""
    _, file = probed(draw_encoder(tmp_path / "e.onnx", **how), task, 224, (96, 224))
    images = noise(2, 224)
    maps, prob = file.class_maps(images), file.probabilities(images)
    assert maps.shape == (2, 56, 56, len(task.labels))
    said = np.log(prob) - (0 if task.exclusive else np.log(1 - prob))
    apart = (lambda rows: rows - rows.mean(axis=1, keepdims=True)) if task.exclusive else (lambda rows: rows)
    rest = apart(said) - apart(maps.mean(axis=(1, 2)))
    # What is left is the bias, the same for every image.
    np.testing.assert_allclose(rest[0], rest[1], atol=2e-4)
    subject = subject_of(file, slow=True)
    assert choose(subject, 224) == "cam"
    shown = explain_images(subject, images, np.array([0, 1]))
    own = apart(maps.reshape(-1, len(task.labels))).reshape(maps.shape)[:1, ..., 0]
    np.testing.assert_allclose(shown[:1], relative(enlarged(own, 224, 224)), atol=1e-5)


def test_an_encoder_that_averages_no_maps_is_covered_window_by_window(tmp_path):
    _, file = probed(draw_encoder(tmp_path / "e.onnx", ends="tokens"), MultiClass(LABELS), 224, (224,))
    assert file.class_map_side == 0
    subject, asked = subject_of(file, slow=True), []
    answers = subject.logits
    subject = replace(subject, logits=lambda images: asked.append(len(images)) or answers(images))
    assert choose(subject, 28) == choose(subject, 224) == "occlusion"
    assert explain_images(subject, noise(1, 224), np.array([2])).shape == (1, 224, 224)
    assert asked == [1 + 7 * 7]
    with pytest.raises(ExplainError, match="cam does not fit this model"):
        choose(subject, 224, "cam")


def test_what_is_averaged_is_computed_and_not_believed(tmp_path):
    """The last operator is an average of places, but not of all of them."""
    path = draw_encoder(tmp_path / "e.onnx", layout="NCHW", side=28)
    model = onnx.load(path)
    pool = next(node for node in model.graph.node if node.op_type == "GlobalAveragePool")
    pool.op_type = "AveragePool"
    pool.attribute.append(onnx.helper.make_attribute("kernel_shape", [7, 7]))
    onnx.save(model, path)
    assert probed(path, MultiClass(LABELS))[1].class_map_side == 0


def test_coarse_maps_are_given_if_they_are_asked_for(tmp_path):
    """A film's small finding lies between the places of a coarse map."""
    _, file = probed(draw_encoder(tmp_path / "e.onnx"), MultiLabel(LABELS), 28, (24,))
    subject = subject_of(file, slow=True)
    assert (subject.map_side, choose(subject, 28), choose(subject, 28, "cam")) == (6, "occlusion", "cam")


def test_random_probes_have_other_maps(tmp_path):
    model, file = probed(draw_encoder(tmp_path / "e.onnx"), MultiLabel(LABELS))
    random = with_random_probes(file, model)
    assert random.class_maps(noise()).shape == file.class_maps(noise()).shape
    assert np.abs(random.class_maps(noise()) - file.class_maps(noise())).max() > 0.1
