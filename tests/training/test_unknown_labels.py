"""Labels that are not known teach nothing: no model changes with what stands where a label is unknown."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from penlight.data import apply_view
from penlight.models import BASELINES, load_keras
from penlight.models.ensemble import weigh
from penlight.models.estimator import EstimatorModel
from penlight.models.feature_classifiers import FeatureTable, KernelClassifier
from penlight.models.heads import UNKNOWN_TARGET, make_loss, of_known_labels, positive_weights
from penlight.recipes import Cnn, Data, Kernel, Linear, Loss, Majority, Recipe, Train
from penlight.tasks import MultiLabel
from penlight.training import fit
from penlight.training.loop import Trainer, smoothed
from penlight.training.own import _loss_of
from tests.conftest import small_dataset

TASK = MultiLabel(("a", "b", "c"))
RANDOM = np.random.default_rng(1)


def drawn(n=80):
    y = (RANDOM.random((n, 3)) < [0.5, 0.4, 0.2]).astype(np.uint8)
    return y, RANDOM.random((n, 3)) < 0.7


def films(y_unknown=0, *, all_known=False):
    """A small dataset of which two thirds of the labels are known; where they are not, `y_unknown` stands."""
    rng = np.random.default_rng(4)
    base = small_dataset(TASK, channels=1)
    splits = {}
    for name, split in base.splits.items():
        known = np.ones(split.labels.shape, bool) if all_known else rng.random(split.labels.shape) < 0.67
        splits[name] = replace(split, labels=np.where(known, split.labels, y_unknown).astype(np.uint8), known=known)
    return replace(base, splits=splits)


@pytest.mark.parametrize("loss", [Loss(kind="cross-entropy"), Loss(kind="focal"), Loss(kind="asymmetric")])
def test_a_loss_is_of_the_known_labels_alone_and_has_no_slope_elsewhere(loss):
    keras = load_keras()
    y, known = drawn()
    logits = RANDOM.normal(size=y.shape).astype(np.float32)
    masked = of_known_labels(make_loss("sigmoids", loss, y, known))
    targets = smoothed(y, 0, False, known)
    assert (targets[~known] == UNKNOWN_TARGET).all()
    values = np.asarray(keras.ops.convert_to_numpy(masked(*map(keras.ops.convert_to_tensor, (targets, logits)))))
    # Each label by itself has the mean over one logit.
    weight = positive_weights(y * known, loss.positive_weight, exclusive=False, known=known)
    plain = make_loss("sigmoids", loss, y, known)
    each = np.stack([
        np.asarray(keras.ops.convert_to_numpy(plain(*(keras.ops.convert_to_tensor(np.repeat(a[:, c : c + 1], 3, 1))
                                                      for a in (y.astype(np.float32), logits)))))
        for c in range(3)
    ], axis=1)  # fmt: skip
    assert weight.shape == (3,)
    np.testing.assert_allclose(values, (each * known).sum(axis=1) / 3, atol=1e-6)
    moved = np.where(known, logits, logits + 5).astype(np.float32)
    again = np.asarray(keras.ops.convert_to_numpy(masked(*map(keras.ops.convert_to_tensor, (targets, moved)))))
    np.testing.assert_array_equal(values, again)


def test_positive_weights_are_counted_on_what_is_known():
    y = np.array([[1, 0], [0, 0], [0, 1], [0, 1]], np.float32)
    known = np.array([[True, True], [True, False], [False, True], [False, True]])
    assert positive_weights(y, "balanced", exclusive=False).tolist() == [3, 1]
    assert positive_weights(y, "balanced", exclusive=False, known=known).tolist() == [1, 0.5]


def test_a_users_loss_is_masked_too():
    keras = load_keras()
    y, known = drawn(8)
    logits = RANDOM.normal(size=y.shape).astype(np.float32)
    loss = of_known_labels(_loss_of(keras.losses.BinaryCrossentropy(), "sigmoid", TASK))
    targets = smoothed(y, 0, False, known)
    values = np.asarray(keras.ops.convert_to_numpy(loss(*map(keras.ops.convert_to_tensor, (targets, logits)))))
    own = np.logaddexp(0, np.where(y == 1, -logits, logits)) * known
    np.testing.assert_allclose(values, own.mean(axis=1), atol=1e-5)


def test_training_sees_nothing_of_what_is_unknown_and_a_full_mask_is_none():
    recipe = Recipe(
        data=Data(dataset="small"),
        model=Cnn(filters=(4,), dense=4),
        train=Train(epochs=1, batch_size=16, learning_rate=0.01, balance="weights"),
    )

    views = apply_view(films(0)), apply_view(films(1))
    one, other = (Trainer(recipe, view, view.task, 0).epoch() for view in views)
    assert replace(one, seconds=0) == replace(other, seconds=0)
    assert np.isfinite([one.loss, one.val_loss, one.headline, one.val_headline]).all()
    # About the size that it has where all is known: log 2 for each label.
    assert one.loss == pytest.approx(np.log(2), abs=0.2)
    whole = apply_view(films(all_known=True)).splits
    assert {name: split.known for name, split in whole.items()} == {"train": None, "val": None, "test": None}


@pytest.mark.parametrize("name", ["majority", "linear"])
def test_baselines_learn_each_label_from_the_images_of_which_it_is_known(name):
    fitted = []
    for view in (apply_view(films(0)), apply_view(films(1))):
        train = view.splits["train"]
        model = BASELINES[name]({"majority": Majority(), "linear": Linear()}[name])
        model.fit(train.chosen, train.y_true, view.task, mirrors=False, known=train.known)
        fitted.append(model.predict(view.splits["val"].chosen))
    np.testing.assert_array_equal(*fitted)
    if name == "majority":
        np.testing.assert_allclose(
            fitted[0][0], [y[k].mean() for y, k in zip(train.y_true.T, train.known.T, strict=True)]
        )


@pytest.mark.parametrize("estimator", [LogisticRegression(max_iter=50), KNeighborsClassifier(3)])
def test_an_estimator_is_fitted_to_each_label_on_the_images_of_which_it_is_known(estimator):
    said = []
    for dataset in (films(0), films(1)):
        view = apply_view(dataset)
        train = view.splits["train"]
        model = EstimatorModel(estimator, 0)
        model.fit(train.chosen, train.y_true, view.task, mirrors=False, known=train.known)
        said.append(model.predict(view.splits["val"].chosen))
    np.testing.assert_array_equal(*said)
    pixels = train.images.reshape(len(train.images), -1)[train.index] / np.float32(255)
    rows = train.known[:, 1]
    alone = type(estimator)(**estimator.get_params()).fit(pixels[rows], train.y_true[rows, 1])
    val = view.splits["val"]
    expected = alone.predict_proba(val.images[val.index].reshape(len(val), -1) / np.float32(255))[:, 1]
    np.testing.assert_allclose(said[0][:, 1], expected, atol=1e-6)


def test_a_kernel_of_findings_does_not_look_at_what_is_not_known():
    y, known = drawn()
    z = RANDOM.normal(size=(80, 12)) + y @ RANDOM.normal(size=(3, 12))
    table = FeatureTable(z, y * known, False, 0, np.arange(80) // 2, known, {"all": slice(0, 12)})
    strange = replace(table, y=np.where(known, y, 1 - y).astype(np.uint8))
    one, other = (KernelClassifier(Kernel(landmarks=50)).fit(own) for own in (table, strange))
    np.testing.assert_array_equal(one.scores(z), other.scores(z))
    assert one.held_out.shape == y.shape


def test_members_are_weighed_on_what_is_known():
    y, known = drawn(200)
    scores = np.stack([RANDOM.normal(size=y.shape) + 2 * y - 1, RANDOM.normal(size=y.shape)])
    given = np.array([0.5, 0.5])
    found = weigh(scores, y * known, given, 5.0, exclusive=False, known=known)
    strange = weigh(scores, np.where(known, y, 1 - y), given, 5.0, exclusive=False, known=known)
    np.testing.assert_array_equal(found, strange)
    assert found[0] > found[1]
    whole = weigh(scores, y, given, 5.0, exclusive=False, known=np.ones_like(known))
    np.testing.assert_allclose(whole, weigh(scores, y, given, 5.0, exclusive=False), atol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("model", [Linear(), Cnn(filters=(8, 16), dense=32)], ids=["linear", "cnn"])
def test_a_run_with_a_third_of_its_labels_unknown_has_the_auc_of_the_whole_one(model):
    """Each within the interval of the other."""
    from penlight.data import open_dataset
    from penlight.evaluation import find_row, score

    base = open_dataset("chest-phantom")
    rng, rows = np.random.default_rng(0), {}
    for share in (0.0, 0.3):
        splits = {}
        for name, split in base.splits.items():
            known = rng.random(split.labels.shape) >= share
            splits[name] = replace(split, labels=split.labels * known, known=known)
        view = apply_view(replace(base, splits=splits, md5=f"{share:032}"))
        recipe = Recipe(data=Data(dataset="chest-phantom"), model=model, train=Train(epochs=6, batch_size=64))
        fitted = fit(recipe, view, view.task, seed=0)
        test = view.splits["test"]
        prob = view.task.probabilities(fitted.logits(test))
        scored = score(view.task, test.y_true, prob, view.task.decide(prob), known=test.known)
        rows[share] = find_row(scored, "auc")
    assert rows[0.0].low <= rows[0.3].value <= rows[0.0].high
    assert rows[0.3].low <= rows[0.0].value <= rows[0.3].high
