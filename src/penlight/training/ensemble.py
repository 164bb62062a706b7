"""Fitting an ensemble: each member on train, then their weights on val; and classifiers of features by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penlight.data import ViewedDataset
from penlight.data.folds import image_groups
from penlight.models.baselines import LinearBaseline
from penlight.models.encoder import EncoderFeatures, encoder_features
from penlight.models.encoder_file import find_encoder
from penlight.models.ensemble import (
    EnsembleModel,
    FeatureModel,
    LinearMember,
    NetworkMember,
    Scorer,
    few_of,
    scores_of_members,
    weigh,
)
from penlight.models.feature_classifiers import FeatureTable, Floats, KernelClassifier, prob_of
from penlight.models.handcrafted_features import HandcraftedFeatures, PatchFeatures
from penlight.models.nearest import NearestProbe
from penlight.models.probe import Probe
from penlight.recipes import Encoded, Ensemble, Kernel, Linear, Member, Planned, Recipe
from penlight.recipes.plan import fingerprint_of_view, make_plan
from penlight.tasks import Task
from penlight.tasks.base import select_known
from penlight.training.checkpoints import Checkpoints
from penlight.training.loop import Progress, predict_images, train_network

_MOSTLY = 0.8

_BETWEEN_STARTS = 10_007

_RATE = 2.0**36
"""Operations a second of each core of the machine that a planned member is planned for, whatever this one has."""


@dataclass(frozen=True)
class FittedEnsemble:
    """An ensemble; the answers (N, C) to the images of train by models that did not see them, None where the set is
    large; and the number of trained parameters of its networks."""

    model: EnsembleModel
    out_of_fold: Floats | None
    parameters: int | None


def fit_ensemble(
    recipe: Recipe,
    options: Ensemble,
    view: ViewedDataset,
    task: Task,
    seed: int,
    *,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
) -> FittedEnsemble:
    """Fit the members one after another, then weigh them on val; a network has checkpoints of its own beside
    `checkpoints`."""
    return EnsembleFitter(view, task, seed, recipe, progress, checkpoints).fit(
        options.members, options.worth if options.weigh == "val" else None
    )


class EnsembleFitter:
    """What the members of one ensemble share while they are fitted."""

    def __init__(
        self,
        view: ViewedDataset,
        task: Task,
        seed: int,
        recipe: Recipe | None = None,
        progress: Progress | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.view, self.task, self.seed, self.recipe = view, task, seed, recipe
        self.progress, self.checkpoints = progress, checkpoints
        self.train, self.val = view.splits["train"], view.splits["val"]
        self._tables: dict[int, tuple[HandcraftedFeatures, FeatureTable]] = {}
        self._rows = few_of(len(self.train), seed)

    def fit(self, members: Sequence[Member], worth: float | None = None) -> FittedEnsemble:
        """Fit every member and weigh them."""
        fitted = [self.fit_member(number, own, members[:number].count(own)) for number, own in enumerate(members)]
        given = np.array([member.weight for member in members])
        weights = given if len(members) == 1 or worth is None else self._weights(fitted, given, worth)
        names = [member.model.backbone for member in members]
        model = EnsembleModel(fitted, weights, names, self.task.exclusive)
        networks = [m.network.count_params() for m in fitted if isinstance(m, NetworkMember)]
        held_out = self._out_of_fold(fitted, weights)
        return FittedEnsemble(model.drop_negligible_members(), held_out, int(sum(networks)) if networks else None)

    def _weights(self, fitted: Sequence[Scorer], given: Floats, worth: float) -> Floats:
        scores = scores_of_members(fitted, self.val.chosen)
        return weigh(scores, self.val.y_true, given, worth, exclusive=self.task.exclusive, known=self.val.known)

    def fit_member(self, number: int, member: Member, start: int = 0) -> Scorer:
        """Fit a member on train; of networks that are alike each `start` has random weights of its own."""
        options = member.model
        if isinstance(options, Kernel):
            handcrafted, table = self._table(options)
            return FeatureModel(handcrafted, KernelClassifier(options).fit(table), self.task.exclusive)
        if isinstance(options, Encoded):
            features, table = self._encoded(options)
            probe = NearestProbe(options) if options.probe == "knn" else Probe(options, ordered=self.task.ordered)
            return FeatureModel(features, probe.fit(table), self.task.exclusive)
        if isinstance(options, Linear):
            mirrors = not self.view.dataset.info.position_matters
            return LinearMember(
                LinearBaseline(options).fit(
                    self.train.chosen, self.train.y_true, self.task, mirrors=mirrors, known=self.train.known
                )
            )
        return self._network(number, member, self.seed + _BETWEEN_STARTS * start)

    def _encoded(self, options: Encoded) -> tuple[EncoderFeatures, FeatureTable]:
        """Compute the features of all images of train by an encoder."""
        features = encoder_features(find_encoder(options), options.sizes, self.view.dataset.size)
        groups, known = image_groups(self.view, ("train",)), self.train.known
        z = features.of(self.train.chosen)
        return features, FeatureTable(z, self.train.y_true, self.task.exclusive, self.seed, groups, known)

    def _network(self, number: int, member: Member, seed: int) -> NetworkMember:
        assert self.recipe is not None
        recipe = self.recipe.model_copy(update={"model": member.model, "train": member.train})
        if isinstance(member.model, Planned):
            planned = self._planned(member.model.budget)
            # An epoch chosen on val would look better there than it is, and get too much weight.
            train = planned.train.model_copy(update={"keep": "last"})
            recipe = self.recipe.model_copy(update={"model": planned.model, "train": train})
        place = self.checkpoints and self.checkpoints.beside(f"member-{number}")
        trained = train_network(recipe, self.view, self.task, seed, progress=self.progress, checkpoints=place)
        network = trained.network
        return NetworkMember(network, self.task, lambda images: predict_images(network, images))

    def _planned(self, budget: float) -> Recipe:
        """Choose a network by the data alone."""
        return make_plan(fingerprint_of_view(self.view, {"cores": 2, "memory": 0, "rate": _RATE}, budget)).recipe

    def _table(self, options: Kernel) -> tuple[HandcraftedFeatures, FeatureTable]:
        """Learn features from train, once for all members that have as many patches."""
        if options.patches not in self._tables:
            images, patients = self.train.chosen[self._rows], image_groups(self.view, ("train",))
            features = HandcraftedFeatures(PatchFeatures(options.patches)).fit(np.asarray(images), self.seed)
            self._tables[options.patches] = (
                features,
                FeatureTable(
                    features.of(images),
                    self.train.y_true[self._rows],
                    self.task.exclusive,
                    self.seed,
                    # Near duplicates count as of one patient.
                    patients[self._rows],
                    select_known(self.train.known, self._rows),
                    features.groups,
                ),
            )
        return self._tables[options.patches]

    def _out_of_fold(self, fitted: Sequence[Scorer], weights: Floats) -> Floats | None:
        """Answer the images of train by members that did not see them, where models of features carry the ensemble:
        networks and the linear model are left out of these answers."""
        own = [m for m, one in enumerate(fitted) if isinstance(one, FeatureModel) and weights[m] > 0]
        if weights[own].sum() < _MOSTLY * weights.sum():
            return None
        total: Floats = np.zeros(self.train.y_true.shape)
        for m in own:
            model = fitted[m]
            assert isinstance(model, FeatureModel)
            if model.classifier.held_out is None:
                return None
            total += weights[m] * model.classifier.held_out
        return prob_of(total * weights.sum() / weights[own].sum(), exclusive=self.task.exclusive)
