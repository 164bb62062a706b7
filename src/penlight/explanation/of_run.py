"""What a run keeps of its explanations: maps of a few answers, and the training images most like an image.

Whether maps depend on what was learned is measured as Adebayo et al., Sanity Checks for Saliency Maps (2018).
"""

import contextlib
import functools
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penlight.data import ViewedDataset
from penlight.data.reads import at_once
from penlight.explanation import METHODS, Subject, choose, explain_images
from penlight.explanation.maps import Floats
from penlight.explanation.neighbours import Featured, Neighbours
from penlight.models import LinearBaseline, load_keras
from penlight.models.ensemble import EnsembleModel
from penlight.recipes import Pretrained, Recipe
from penlight.runs import Answers, Predictor, RunWriter, open_predictor
from penlight.runs.cases import EXPLAINED, ExplainedCases, cases_to_bytes, surest, surest_of_each
from penlight.runs.holdings import NEIGHBOURS
from penlight.runs.predictor import MODEL
from penlight.tasks import Task
from penlight.training import Fitted

_CASES = 4

# Of large images a network is asked about so many pixels at once.
_PIXELS = 2**20


def model_side(recipe: Recipe, size: int) -> int:
    """Give the side in pixels that the model computes with; a pre-trained network resizes images first."""
    return recipe.model.side_of(size) if isinstance(recipe.model, Pretrained) else size


def is_slow(recipe: Recipe) -> bool:
    """Say whether a model's answers take long: those by an encoder."""
    return recipe.has_encoder


def logits_of(network: Any, images: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Compute the logits (N, K) of images (N, H, W, C), as many at once as fit memory."""
    batch = at_once(images.shape, len(images), _PIXELS)
    parts = [network.predict_on_batch(images[s : s + batch]) for s in range(0, len(images), batch)]
    return np.concatenate([np.asarray(part) for part in parts])


def write_explained(
    writer: RunWriter, fitted: Fitted, view: ViewedDataset, test: Answers, *, keep: bool = True
) -> float | None:
    """Write explained.npz into a run that is being made: maps of a few right and wrong answers on test, and how much
    they are like those of random weights. Give that, on average; None where it is not known. Not to `keep` the maps
    writes nothing."""
    task = test.predictions.task
    predictor = _file_of_ensemble(writer, fitted.model)
    slow = is_slow(writer.recipe)
    subject = subject_of(predictor, slow=slow) if predictor else _fitted_subject(task, fitted.model, fitted.network)
    rows, columns = _telling(test)
    if not len(rows):
        return None
    images = np.asarray(view.splits["test"].images[test.predictions.index[rows]])
    size = view.dataset.size
    method = choose(subject, size if fitted.network is None else model_side(writer.recipe, size))
    maps = explain_images(subject, images, columns, method)
    alike = np.full(len(rows), np.nan)
    random = _with_random_probes(predictor, fitted.model, method) if predictor else _randomised(task, fitted)
    if random is not None:
        alike = correlations(maps, explain_images(random, images, columns, method))
    cases = ExplainedCases(rows, columns, maps, method, METHODS[method].meaning, alike)
    if keep:
        writer.write(EXPLAINED, cases_to_bytes(cases))
    return cases.mean_alike if np.isfinite(cases.mean_alike) else None


def write_neighbours(writer: RunWriter, view: ViewedDataset, model: Any) -> None:
    """Write neighbours.npz into a run that is being made, whose model.onnx is there if it has one."""
    featured: Featured | None = None
    if (writer.path / MODEL).exists():
        featured = open_predictor(writer.draft(), isolated=False)
        if featured.has_features and isinstance(model, EnsembleModel) and model.features_are_kept:
            featured = model
    train = view.splits["train"]
    writer.write(NEIGHBOURS, Neighbours.fit(featured, train.images, train.index, train.y_true).to_bytes())


def subject_of(predictor: Predictor, *, slow: bool) -> Subject:
    """Give the model of a file as what is explained."""
    side = predictor.class_map_side
    maps = predictor.class_maps if side else None
    return Subject(predictor.task, predictor.logits, class_maps=maps, map_side=side, slow=slow)


def _file_of_ensemble(writer: RunWriter, model: Any) -> Predictor | None:
    """Open the file of an ensemble, of a run that is being made: it answers many times faster than the members do,
    and features of images that are partly covered are not to be kept."""
    there = isinstance(model, EnsembleModel) and (writer.path / MODEL).exists()
    return open_predictor(writer.draft(), isolated=False) if there else None


def _fitted_subject(task: Task, model: Any, network: Any) -> Subject:
    if network is not None:
        return Subject(task, functools.partial(logits_of, network), network)
    return Subject(task, lambda images: task.logits(model.predict(images)))


def _with_random_probes(predictor: Predictor, model: Any, method: str) -> Subject | None:
    """The same model with random probes; None where occlusion, which is slow, would have to compare them."""
    if method != "cam":
        return None
    from penlight.explanation.encoders import with_random_probes

    return subject_of(with_random_probes(predictor, model), slow=True)


def _randomised(task: Task, fitted: Fitted) -> Subject | None:
    """The same model with random weights; None for one that has none."""
    if fitted.network is not None:
        # A user's network may have layers that Keras cannot copy.
        with contextlib.suppress(TypeError, ValueError, NotImplementedError):
            return _fitted_subject(task, None, untrained(fitted.network))
        return None
    if isinstance(fitted.model, LinearBaseline):
        return _fitted_subject(task, untrained_linear(fitted.model), None)
    return None


def _telling(test: Answers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose a few of the surest wrong answers, and of the surest right ones of each label: rows and columns."""
    p = test.predictions
    given = test.decided == 1 if p.known is None else (test.decided == 1) & p.known
    wrong = surest(given & (p.y_true == 0), p.prob, _CASES)
    right = surest_of_each(given & (p.y_true == 1), p.prob, _CASES)
    cells = np.array([*wrong, *right], np.int64).reshape(-1, 2)
    return cells[:, 0], cells[:, 1]


def correlations(one: NDArray[np.floating], other: NDArray[np.floating]) -> Floats:
    """Give Spearman's rank correlation of each pair of maps (N, H, W), (N,); NaN where a map is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (one, other)]
    a, b = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    spread = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    out: Floats = np.divide((a * b).sum(axis=1), spread, out=np.full(len(one), np.nan), where=spread > 0)
    return out


def untrained(network: Any, seed: int = 0) -> Any:
    """Copy a Keras network with weights as they are before any training, drawn anew with `seed`."""
    keras = load_keras()
    # Far from the seeds that networks are trained with, or the copy might be what training began with.
    keras.utils.set_random_seed(2**20 + seed)
    return keras.models.clone_model(network)


def untrained_linear(model: LinearBaseline, seed: int = 0) -> LinearBaseline:
    """Copy a linear baseline with the weights of its pixels in a random order."""
    return replace(model, weights=_shuffled(model.weights, np.random.default_rng(seed)))


def _shuffled(weights: Floats, rng: np.random.Generator) -> Floats:
    return rng.permutation(weights.ravel()).reshape(weights.shape)
