"""Explaining a model that was just fitted to an encoder's features: by its file."""

from dataclasses import replace

import numpy as np

from penlight.evaluation import Calibration
from penlight.exporters.onnx_file import onnx_file
from penlight.models.ensemble import EnsembleModel, FeatureModel
from penlight.models.probe import Probe
from penlight.runs import Predictor
from penlight.runs.predictor import MODEL


def with_random_probes(predictor: Predictor, model: EnsembleModel, seed: int = 0) -> Predictor:
    """Give the file of a model of probes alone, with the weights of each in a random order."""
    rng, members = np.random.default_rng(seed), []
    for member in model.members:
        assert isinstance(member, FeatureModel)
        assert isinstance(member.classifier, Probe)
        weights = member.classifier.weights
        shuffled = rng.permutation(weights.ravel()).reshape(weights.shape)
        members.append(replace(member, classifier=replace(member.classifier, weights=shuffled)))
    return Predictor(onnx_file(replace(model, members=members), predictor.facts, Calibration()), MODEL)
