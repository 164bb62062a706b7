"""The datasets of an experiment, each opened and divided once, with what is fitted once for it."""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from penlight.data import Dataset, ViewedDataset, apply_view, store
from penlight.data.accesses import TestAccessLog
from penlight.experiments.baselines import Baselines
from penlight.experiments.progress import ProgressListener
from penlight.recipes import Data, Recipe
from penlight.training.folds import Folds, make_folds

if TYPE_CHECKING:
    from penlight.experiments.run import RunSpec

T = TypeVar("T")


class OpenedData:
    """What the work of an experiment shares in a process."""

    def __init__(self, listener: ProgressListener) -> None:
        self.listener = listener
        self._known: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Give what was made under a key, or make it."""
        if key not in self._known:
            self._known[key] = make()
        return cast("T", self._known[key])

    def dataset(self, name: str, size: int) -> Dataset:
        """Open a dataset, which may be that of a stranger's run; errors as in `store.open_referenced`."""
        return self.once((name, size), lambda: store.open_referenced(name, size))

    def view(self, data: Data) -> ViewedDataset:
        """Open the dataset of a recipe in its view."""
        key = data.dataset, data.size, data.view
        return self.once(key, lambda: apply_view(self.dataset(data.dataset, data.size), data.view))

    def folds(self, recipe: Recipe, count: int, seed: int) -> Folds:
        """Divide the dataset of a recipe for a cross-validation."""
        data = recipe.data
        key = data.dataset, data.size, data.view, count, seed
        return self.once(key, lambda: make_folds(self.view(data), count, seed))

    def baselines(self, spec: "RunSpec") -> Baselines:
        """Give the view that a run is trained on, with its baselines."""
        data = spec.recipe.data
        view = self.view(data)
        if spec.fold is None:
            key, log = (data.dataset, data.size, data.view, spec.by), TestAccessLog(view.dataset, spec.by)
            return self.once(key, lambda: Baselines(view, self.listener, log))
        number, count = spec.fold
        part = self.folds(spec.recipe, count, spec.seed).fold(number)
        # A fold is asked for once, and its images are copies.
        return Baselines(part, self.listener, TestAccessLog(view.dataset, "folds", f"fold {number + 1} of {count}"))
