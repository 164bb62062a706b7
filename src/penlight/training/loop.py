"""The training loop of a network: epochs, the exact headline metric on val, early stopping, checkpoints."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from penlight.data import ViewedDataset, ViewedSplit
from penlight.data.reads import Readable, at_once
from penlight.errors import TrainingError
from penlight.evaluation import headline_value
from penlight.models import load_keras
from penlight.models.backbones import build_network
from penlight.models.heads import UNKNOWN_TARGET, make_loss, of_known_labels
from penlight.recipes import Recipe, Scratch, Train
from penlight.tasks import KnownLabels, Task
from penlight.tasks.base import select_known
from penlight.training.augment import augment, is_active
from penlight.training.batches import EpochOrder, draw_epoch, epoch_blocks, image_weights
from penlight.training.checkpoints import Arrays, Checkpoints
from penlight.training.engine import Steps, make_forward, make_steps

_PREDICT_BATCH = 512
# Of large images a batch has so many pixels at most: the maps of a network are some hundred bytes for each of them.
_PREDICT_PIXELS = 2**20


@dataclass(frozen=True)
class Epoch:
    """A row of the learning curves; `headline` is of the images as training saw them, augmented and with dropout."""

    epoch: int
    loss: float
    val_loss: float
    headline: float
    val_headline: float
    learning_rate: float
    seconds: float


Progress = Callable[[Epoch, int], None]
"""Called after each epoch with its row and the number of epochs planned."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network with the weights that were kept, its curves, and the epoch those weights are of; `before` are
    the seconds spent ahead of the first epoch, as on the features of a frozen base; `timed_out` says that the clock
    ended it before its last epoch. `unchosen` are the logits of val, (N_val, K), by the weights of the last epoch,
    whichever val chose; None where it had no choice."""

    network: Any
    history: list[Epoch]
    best_epoch: int
    before: float = 0.0
    timed_out: bool = False
    unchosen: NDArray[np.float32] | None = None


class Trainer:
    """One run's training state; it goes from epoch to epoch, and from disk to memory and back."""

    def __init__(
        self,
        recipe: Recipe,
        view: ViewedDataset,
        task: Task,
        seed: int,
        network: Any = None,
        *,
        from_here: bool = False,
        optimizer: Any = None,
        loss: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        """Begin with a new network of the recipe, or with the one given; `from_here` counts its weights as the best
        so far, as epoch 0. An `optimizer` and a `loss` (see `make_loss`) take the place of the recipe's."""
        keras = load_keras()
        self.train, self.task, self.seed = recipe.train, task, seed
        self.images, self.val = view.splits["train"], view.splits["val"]
        size, channels = view.dataset.size, view.dataset.info.channels
        self.network = network or build_network(
            cast(Scratch, recipe.model), task, (size, size, channels), seed, self.train.precision
        )
        steps_per_epoch = -(-len(draw_epoch(self.images, self.train, seed, 0)) // self.train.batch_size)
        self.optimizer = optimizer or make_optimizer(self.train, steps_per_epoch)
        self.noise = keras.random.SeedGenerator(seed)
        self.loss = loss or make_loss(task.head, self.train.loss, self.images.y_true, self.images.known)
        if self.images.known is not None or self.val.known is not None:
            self.loss = of_known_labels(self.loss)
        self.stopped = False
        self.rate_of = "--set train.learning_rate=..." if optimizer is None else "that of the optimizer given"
        self.steps: Steps = make_steps(self.network, self.optimizer, self.loss, self._change, self._seeds)
        self.weights = image_weights(self.images.y_true, self.train.balance)
        self.targets = smoothed(self.images.y_true, self.train.loss.smoothing, task.exclusive, self.images.known)
        if self.images.known is not None:
            # As large as the loss would be of labels that are all known.
            self.weights = self.weights / np.float32(self.images.known.mean())
        self.history: list[Epoch] = []
        self.best_epoch = 0
        self.best: list[NDArray[Any]] = self._values(self.network.variables) if from_here else []
        self.start = self._headline_now() if from_here else -np.inf

    @property
    def _seeds(self) -> list[Any]:
        return [self.noise.state] if is_active(self.train.augment) else []

    def _change(self, images: Any, strength: Any) -> Any:
        options = self.train.augment
        return augment(images, strength, options, self.noise) if is_active(options) else images

    @property
    def finished(self) -> bool:
        """Say whether all epochs are done, val has not improved for `patience` epochs, or it was `stopped`."""
        done = len(self.history)
        return (
            self.stopped
            or done >= min(self.train.epochs, self.train.stopped_after or self.train.epochs)
            or (self.train.patience is not None and done - self.best_epoch >= self.train.patience and done > 0)
        )

    def epoch(self) -> Epoch:
        """Train one epoch, look at val, and keep the weights if they are the best so far."""
        begun = time.perf_counter()
        number = len(self.history) + 1
        drawn = draw_epoch(self.images, self.train, self.seed, number)
        loss, logits = self.train_on(drawn)
        if not np.isfinite(loss):
            raise TrainingError(
                f"The loss was no longer a number in epoch {number}.",
                f"Lower the learning rate ({self.rate_of}), or check the images.",
            )
        rate = float(load_keras().ops.convert_to_numpy(self.optimizer.learning_rate))
        val_logits = predict_logits(self.network, self.val)
        row = Epoch(
            number,
            loss,
            self._loss(self.val, val_logits),
            headline_value(
                self.task,
                self.images.y_true[drawn.rows],
                self.task.probabilities(logits),
                select_known(self.images.known, drawn.rows),
            ),
            headline_value(self.task, self.val.y_true, self.task.probabilities(val_logits), self.val.known),
            rate,
            time.perf_counter() - begun,
        )
        if self._is_best(row):
            self.best_epoch, self.best = number, self._values(self.network.variables)
        self.history.append(row)
        return row

    def _is_best(self, row: Epoch) -> bool:
        """Compare the headline metric on val; where val cannot give it, the loss."""
        if self.train.keep == "last":
            return True
        if self.best_epoch == 0:
            return not row.val_headline <= self.start
        best = self.history[self.best_epoch - 1]
        if np.isnan(row.val_headline):
            return row.val_loss < best.val_loss
        return row.val_headline > best.val_headline

    def _headline_now(self) -> float:
        prob = self.task.probabilities(predict_logits(self.network, self.val))
        return headline_value(self.task, self.val.y_true, prob, self.val.known)

    def train_on(self, drawn: EpochOrder) -> tuple[float, NDArray[np.float32]]:
        """Train on the images of an epoch; give the mean loss, and the logits of the images as they were seen."""
        total, logits, only_copies = 0.0, [], self.train.augment.only_copies
        for block in epoch_blocks(
            self.images, drawn, self.targets, self.weights, self.train.batch_size, only_copies=only_copies
        ):
            values, seen = self.steps(block)
            total += float(values.sum(dtype=np.float64)) * block.weight.shape[1]
            logits.append(seen.reshape(block.weight.size, -1))
        return total / len(drawn), np.concatenate(logits)

    def _loss(self, split: ViewedSplit, logits: NDArray[np.float32]) -> float:
        keras = load_keras()
        target = smoothed(split.y_true, self.train.loss.smoothing, self.task.exclusive, split.known)
        values = self.loss(*(keras.ops.convert_to_tensor(a) for a in (target, logits)))
        mean = float(np.mean(keras.ops.convert_to_numpy(values)))
        share = 1.0 if split.known is None else float(split.known.mean())
        return mean / share if share else math.nan

    @staticmethod
    def _values(variables: list[Any]) -> list[NDArray[Any]]:
        keras = load_keras()
        return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]

    def _state(self) -> list[Any]:
        return [*self.network.variables, *self.optimizer.variables, self.noise.state]

    def save(self, checkpoints: Checkpoints) -> None:
        """Write all that the next epoch needs, whole or not at all."""
        rows = np.array([list(asdict(row).values()) for row in self.history])
        arrays: dict[str, Any] = {"history": rows, "best_epoch": np.array(self.best_epoch)}
        arrays |= {f"now-{i}": a for i, a in enumerate(self._values(self._state()))}
        arrays |= {f"best-{i}": a for i, a in enumerate(self.best)}
        checkpoints.write(len(self.history), arrays)

    def load(self, checkpoints: Checkpoints) -> bool:
        """Go on from what `save` wrote last; False, with nothing changed, where there is none that can be used."""
        return checkpoints.read(self._take) > 0

    def _take(self, saved: Arrays) -> bool:
        """Take a state over; False, with nothing changed, if it is not that of such a network."""
        state, best = self._state(), self.network.variables
        names = {f"now-{i}": v for i, v in enumerate(state)} | {f"best-{i}": v for i, v in enumerate(best)}
        if any(key not in saved or saved[key].shape != tuple(v.shape) for key, v in names.items()):
            return False
        _assign(state, [saved[f"now-{i}"] for i in range(len(state))])
        self.best = [saved[f"best-{i}"] for i in range(len(best))]
        self.best_epoch = int(saved["best_epoch"])
        self.history = [Epoch(int(row[0]), *(float(v) for v in row[1:])) for row in saved["history"]]
        return True

    def keep_best(self) -> TrainedNetwork:
        """Give the network the weights of the chosen epoch."""
        chose = self.train.keep == "best" and len(self.history) > 1
        unchosen = predict_logits(self.network, self.val) if chose else None
        _assign(self.network.variables, self.best)
        return TrainedNetwork(self.network, self.history, self.best_epoch, unchosen=unchosen)


def train_network(
    recipe: Recipe,
    view: ViewedDataset,
    task: Task,
    seed: int,
    *,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    longest: float = np.inf,
) -> TrainedNetwork:
    """Train the recipe's network; with `checkpoints`, go on from the last that is there, and write one each epoch.

    A continued training gives the same weights as an undisturbed one. No epoch begins after `longest` seconds of
    epochs by the clock.
    """
    return run_epochs(Trainer(recipe, view, task, seed), recipe.train.epochs, progress, checkpoints, longest)


def run_epochs(
    trainer: Trainer,
    planned: int,
    progress: Progress | None,
    checkpoints: Checkpoints | None,
    longest: float = np.inf,
) -> TrainedNetwork:
    """Train until the trainer is finished; see `train_network`."""
    if checkpoints is not None and trainer.load(checkpoints) and progress:
        for row in trainer.history:
            progress(row, planned)
    while not trainer.finished and (not trainer.history or sum(row.seconds for row in trainer.history) <= longest):
        row = trainer.epoch()
        if checkpoints is not None:
            trainer.save(checkpoints)
        if progress:
            progress(row, planned)
    return replace(trainer.keep_best(), timed_out=not trainer.finished)


def predict_logits(network: Any, split: ViewedSplit) -> NDArray[np.float32]:
    """Give (N, K) logits of the images of a split that count, batch by batch."""
    return predict_images(network, split.chosen)


def predict_images(network: Any, images: Readable) -> NDArray[np.float32]:
    """Give (N, K) logits of images (N, H, W, C), or of features (N, F), batch by batch."""
    forward, n = make_forward(network), len(images)
    batch = at_once(images.shape, _PREDICT_BATCH, _PREDICT_PIXELS)
    parts = [slice(start, min(start + batch, n)) for start in range(0, n, batch)]
    return np.concatenate([forward(np.asarray(images[part])) for part in parts])


def smoothed(y: NDArray[np.uint8], amount: float, exclusive: bool, known: KnownLabels = None) -> NDArray[np.float32]:
    """Move indicators (N, C) towards the uniform answer: 1/C of exclusive labels, 1/2 else; what is not `known` is
    UNKNOWN_TARGET."""
    uniform = 1 / y.shape[1] if exclusive else 0.5
    targets = (y * (1 - amount) + amount * uniform).astype(np.float32)
    return targets if known is None else np.where(known, targets, np.float32(UNKNOWN_TARGET))


def _assign(variables: list[Any], values: list[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def learning_rate(train: Train, steps_per_epoch: int) -> Any:
    """Give a Keras schedule: a linear rise over the warm-up, then constant or half a cosine down to zero."""
    keras = load_keras()
    ops = keras.ops
    warmup = float(train.warmup_epochs * steps_per_epoch)
    steps = float(train.epochs * steps_per_epoch)

    class WarmUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc, name-defined]
        def __call__(self, step: Any) -> Any:
            done = ops.cast(step, "float32")
            rise = ops.minimum(1.0, (done + 1.0) / max(warmup, 1.0))
            if train.schedule == "constant":
                return train.learning_rate * rise
            share = ops.clip((done - warmup) / max(steps - warmup, 1.0), 0.0, 1.0)
            return train.learning_rate * rise * 0.5 * (1.0 + ops.cos(math.pi * share))

    return WarmUp()


def make_optimizer(train: Train, steps_per_epoch: int, rate: float | None = None) -> Any:
    """Give the Keras optimiser of the recipe, its schedule inside, or a fixed `rate`."""
    optimizers = load_keras().optimizers
    rate = rate or learning_rate(train, steps_per_epoch)
    if train.optimizer == "adam":
        return optimizers.Adam(rate, weight_decay=train.weight_decay or None)
    if train.optimizer == "adamw":
        return optimizers.AdamW(rate, weight_decay=train.weight_decay)
    return optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=train.weight_decay or None)
