"""The methods: one contract for all, and each against what it must be exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penlight.errors import ExplainError, UnknownNameError
from penlight.explanation import METHODS, Subject, candidates, choose, explain_images, peaks
from penlight.explanation.maps import enlarged, relative
from penlight.explanation.networks import cam, gradcam, hirescam, linear_end
from penlight.explanation.occlusion import occlusion
from penlight.models import MajorityBaseline
from penlight.recipes import Majority, Residual
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal
from tests.conftest import LABELS, TASK_EXAMPLES, examples
from tests.explanation.conftest import AVERAGED, FLAT, new_subject, noise


@pytest.mark.parametrize("method", METHODS)
def test_contract(method, task):
    subject = new_subject(task)
    images = noise(4)
    columns = np.arange(4) % len(task.labels)
    if not METHODS[method].fits(subject):
        assert (method, task.head) == ("cam", "cumulative")
        with pytest.raises(ExplainError, match=r"cam does not fit this model\. It needs a network"):
            explain_images(subject, images, columns, method)
        return
    maps = explain_images(subject, images, columns, method)
    assert maps.shape == (4, 28, 28)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert set(maps.max(axis=(1, 2))) <= {0.0, 1.0}
    assert explain_images(subject, images, columns, method).tobytes() == maps.tobytes()
    alone = explain_images(subject, images[2:3], columns[2:3], method)
    np.testing.assert_allclose(alone[0], maps[2], atol=2e-3)
    assert explain_images(subject, images[:0], columns[:0], method).shape == (0, 28, 28)


@pytest.mark.parametrize("method", METHODS)
def test_grey_images_and_other_sizes(method):
    task = MultiClass(LABELS)
    subject = new_subject(task, AVERAGED, (33, 33, 1))
    assert explain_images(subject, noise(2, 33, 1), np.array([0, 3]), method).shape == (2, 33, 33)


@pytest.mark.parametrize("task", TASK_EXAMPLES, ids=lambda t: f"{t.kind}-{t.head}")
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(20), deadline=None)
def test_slopes_are_the_derivative_of_the_evidence(task, seed):
    rng = np.random.default_rng(seed)
    logits = -np.sort(-rng.normal(0, 3, (5, task.n_logits)), axis=1)
    columns = rng.integers(0, len(task.labels), 5)
    step = 1e-6 * np.eye(task.n_logits)
    numeric = [
        (task.link.evidence(logits + s, columns) - task.link.evidence(logits - s, columns)) / 2e-6 for s in step
    ]
    expected = np.stack(numeric, axis=1)
    smooth = task.head != "cumulative" or np.abs(np.diff(logits)).min(initial=1) > 1e-3
    if smooth:
        np.testing.assert_allclose(task.link.slopes(logits, columns), expected, rtol=2e-3, atol=2e-4)


def test_evidence_is_the_log_odds(task):
    rng = np.random.default_rng(0)
    logits = -np.sort(-rng.normal(0, 2, (20, task.n_logits)), axis=1)
    columns = rng.integers(0, len(task.labels), 20)
    p = task.probabilities(logits)[np.arange(20), columns]
    np.testing.assert_allclose(task.link.evidence(logits, columns), np.log(p / (1 - p)), rtol=1e-9)


@pytest.mark.parametrize("task", [MultiClass(LABELS), Binary(("no", "yes")), MultiLabel(LABELS)])
def test_evidence_keeps_apart_what_a_probability_of_1_does_not(task):
    sure, surer = np.zeros((1, task.n_logits)), np.zeros((1, task.n_logits))
    sure[0, -1], surer[0, -1] = 50, 60
    column = np.array([len(task.labels) - 1])
    assert task.link.evidence(surer, column) - task.link.evidence(sure, column) == pytest.approx(10)


@pytest.mark.parametrize("options", [AVERAGED, Residual(widths=(4, 6), dropout=0.0)])
@pytest.mark.parametrize("task", [MultiClass(LABELS), Binary(("no", "yes")), MultiLabel(LABELS)])
def test_class_activation_maps_add_up_to_the_logits(options, task):
    subject, images = new_subject(task, options), noise(5)
    columns = np.arange(5) % len(task.labels)
    weights = task.link.contrasts(columns, task.n_logits)
    end = linear_end(subject.network)
    total = cam(subject, images, columns).mean(axis=(1, 2)) + weights @ end.bias
    np.testing.assert_allclose(total, (subject.logits(images) * weights).sum(axis=1), rtol=1e-4, atol=1e-5)


def test_where_maps_are_averaged_gradients_are_the_weights_of_the_dense_layer():
    """The paper's own proof that Grad-CAM generalises CAM (section 3.1); HiResCAM does too."""
    task = MultiLabel(LABELS)
    subject, images, columns = new_subject(task, Residual(widths=(4, 6), dropout=0.0)), noise(4), np.arange(4)
    exact = relative(cam(subject, images, columns))
    for method in (gradcam, hirescam):
        np.testing.assert_allclose(relative(method(subject, images, columns)), exact, atol=1e-5)


def test_gradients_are_of_the_maps_before_pooling():
    subject = new_subject(Ordinal(LABELS), FLAT)
    assert gradcam(subject, noise(2), np.array([0, 2])).shape == (2, 14, 14)


def only_here(images):
    """One logit: the mean of a patch, nothing else."""
    return images[:, 5:9, 17:21].astype(float).mean(axis=(1, 2, 3))[:, None]


def test_occlusion_of_a_model_that_looks_at_one_place_marks_that_place():
    images = np.full((1, 28, 28, 1), 20, np.uint8)
    images[:, 6:8, 18:20] = 250
    images[:, 20, 3] = 250
    subject = Subject(Binary(("no", "yes")), only_here)
    yes, no = (explain_images(subject, images, np.array([c]), "occlusion")[0] for c in (1, 0))
    row, column = peaks(yes[None])[0]
    assert 5 <= row < 9
    assert 17 <= column < 21
    assert (yes[:3] == 0).all()
    assert (yes[12:] == 0).all()
    assert not np.array_equal(yes, no)


def test_occlusion_is_the_mean_of_what_each_window_costs():
    """A model linear in the pixels: covering all of a bright square by its mean costs nothing where it is even."""
    images = np.full((2, 28, 28, 3), 128, np.uint8)
    subject = Subject(Binary(("no", "yes")), lambda images: images.astype(float).sum(axis=(1, 2, 3))[:, None])
    assert (occlusion(subject, images, np.array([0, 1])) == 0).all()


def test_an_answer_that_never_looks_has_empty_maps():
    task = MultiClass(LABELS)
    model = MajorityBaseline(Majority()).fit(noise(8), np.eye(4, dtype=np.uint8).repeat(2, 0), task, mirrors=False)
    subject = Subject(task, lambda images: task.logits(model.predict(images)))
    maps = explain_images(subject, noise(3), np.array([0, 1, 2]))
    assert (maps == 0).all()
    assert peaks(maps) == [None, None, None]


def test_auto_needs_no_keras_for_small_images_and_looks_inside_for_large_ones():
    task = MultiClass(LABELS)
    anything = Subject(task, only_here)
    averaged, flat = new_subject(task, AVERAGED), new_subject(task, FLAT)
    assert [choose(s, 28) for s in (anything, averaged, flat)] == ["occlusion"] * 3
    assert [choose(s, 224) for s in (anything, averaged, flat)] == ["occlusion", "cam", "hirescam"]
    assert not METHODS[candidates(64)[0]].inside
    with pytest.raises(UnknownNameError, match="gradcam"):
        choose(anything, 28, "grad-cam")
    with pytest.raises(ExplainError, match="needs the Keras file"):
        choose(anything, 28, "gradcam")


@given(h=st.integers(1, 9), w=st.integers(1, 9), up=st.integers(1, 4), level=st.floats(-3, 3))
@settings(max_examples=examples(30), deadline=None)
def test_enlarging_keeps_levels_means_and_symmetry(h, w, up, level):
    np.testing.assert_allclose(enlarged(np.full((1, h, w), level), h * up, w * up), level, atol=1e-12)
    maps = np.random.default_rng(0).random((1, h, w))
    large = enlarged(maps, h * up, w * up)
    np.testing.assert_allclose(large[:, ::-1, ::-1], enlarged(maps[:, ::-1, ::-1], h * up, w * up), atol=1e-12)
    assert maps.min() - 1e-12 <= large.min() <= large.max() <= maps.max() + 1e-12
    np.testing.assert_array_equal(enlarged(maps, h, w), maps)


def test_maps_are_relative_to_their_own_highest_place():
    raw = np.array([[[-1.0, 0.5], [2.0, 1.0]], [[-1.0, -2.0], [0.0, -3.0]]])
    np.testing.assert_array_equal(relative(raw), [[[0, 0.25], [1, 0.5]], [[0, 0], [0, 0]]])
    assert peaks(relative(raw)) == [(1, 0), None]
