"""What is said of images that a model has not seen: no image of their patients was learned from either.

270 patients with four images each, of which every image shows who it is and hardly what is wrong.
"""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from penlight.data import Dataset, DatasetInfo, Split, apply_view
from penlight.data.folds import assign_folds, image_groups
from penlight.evaluation.novelty import Novelty
from penlight.experiments.tuning.objective import folds
from penlight.recipes import Ensemble, Kernel, Member, Recipe
from penlight.tasks import Binary
from penlight.training.ensemble import fit_ensemble

PATIENTS, EACH = 270, 4


def patients_dataset(*, known=True, seed=0):
    """Every patient has a texture of their own, four times with a little noise; a third of it is the label's."""
    rng = np.random.default_rng(seed)
    splits = {}
    for number, (name, n) in enumerate((("train", PATIENTS), ("val", 60), ("test", 200))):
        sick = rng.integers(0, 2, n)
        own = rng.normal(0, 25, (n, 28, 28, 1))
        own[:, 8:20, 8:20] += 1.5 * (2 * sick - 1)[:, None, None, None]
        each = np.repeat(own, EACH, axis=0) + rng.normal(0, 3, (n * EACH, 28, 28, 1))
        images = np.clip(120 + each, 0, 255).astype(np.uint8)
        patient = np.repeat(np.arange(n) + 1000 * number, EACH)
        order = rng.permutation(n * EACH)
        splits[name] = Split(images[order], np.repeat(sick, EACH)[order, None], patient[order] if known else None)
    info = DatasetInfo("people", "People", Binary(("well", "sick")), 1, None, "none", "drawn in the tests")
    return Dataset(info, 28, splits, "0" * 32)


@pytest.fixture(scope="module")
def view():
    return apply_view(patients_dataset())


def test_folds_keep_patients_and_near_duplicates_together(view):
    train = view.splits["train"]
    for fold in (folds(view, 3, seed=0), assign_folds(train.y_true, image_groups(view, ("train",)), 5, 0)):
        for patient in np.unique(train.patients):
            assert len(set(fold[train.patients == patient].tolist())) == 1
        assert np.ptp(np.bincount(fold)) <= 3 * EACH
    # Where nobody names the patients, images that are nearly the same are still one group.
    unknown = image_groups(apply_view(patients_dataset(known=False)), ("train",))
    assert len(np.unique(unknown)) < len(unknown) / 2


def temperature(y, prob):
    """The temperature under which probabilities explain the truth best, by itself."""
    odds = np.log(prob[:, 1] / prob[:, 0])
    sign = 2.0 * y[:, 1] - 1
    return minimize_scalar(lambda t: np.logaddexp(0, -sign * odds / t).mean(), method="bounded", bounds=(0.1, 50)).x


def calibration_error(y, prob, t):
    """The mean difference between stated and observed, in ten bins of equal size."""
    stated = 1 / (1 + np.exp(-np.log(prob[:, 1] / prob[:, 0]) / t))
    order = np.argsort(stated)
    return np.mean([abs(stated[part].mean() - y[part, 1].mean()) for part in np.array_split(order, 10)])


# That answers out of fold keep groups together is seen above, and in tests/training/test_folds.py.
@pytest.mark.full
def test_out_of_fold_answers_are_as_sure_as_answers_to_new_patients(view, monkeypatch):
    def fitted():
        options = Ensemble(members=(Member(model=Kernel(patches=8)),))
        made = fit_ensemble(Recipe(model=options), options, view, view.task, seed=0)
        test = view.splits["test"]
        return made.out_of_fold, np.clip(made.model.predict(test.chosen), 1e-6, 1 - 1e-6), test.y_true

    y_train = view.splits["train"].y_true
    held_out, prob, y = fitted()
    t = temperature(y_train, held_out)
    assert t == pytest.approx(temperature(y, prob), rel=0.35)
    good = calibration_error(y, prob, t)
    assert good < 0.09
    # With patients in several folds, answers look surer than they are.
    monkeypatch.setattr("penlight.training.ensemble.image_groups", lambda view, names: np.arange(len(y_train)))
    held_out, prob, y = fitted()
    mistaken = temperature(y_train, held_out)
    assert calibration_error(y, prob, mistaken) > 2 * good


def test_new_patients_are_not_called_unusual(view):
    train, val, test = (view.splits[name] for name in ("train", "val", "test"))
    groups = image_groups(view, ("train",))
    by_patient = Novelty.fit(train.chosen, val.chosen, groups)
    by_image = Novelty.fit(train.chosen, val.chosen)
    shares = [novelty.unusual(test.chosen[:]).mean() for novelty in (by_patient, by_image)]
    assert shares[0] < 0.03
    assert shares[0] < shares[1]
