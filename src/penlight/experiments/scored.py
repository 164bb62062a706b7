"""A run folder of predictions that other software made: the steps of a training, but for those of the model."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from penlight.data import ViewedDataset
from penlight.data.accesses import READ_BEFORE, TEST, TestAccessLog
from penlight.data.kept import KeptDescription
from penlight.data.summary import describe
from penlight.disk import is_inside
from penlight.evaluation import Decision
from penlight.experiments.baselines import Baselines
from penlight.experiments.progress import ProgressListener
from penlight.experiments.run import TrainedRun, complete, provenance_of, require_no_images
from penlight.recipes import Data, Decide, Elsewhere, Recipe
from penlight.runs import Predictions, RunWriter, answer, open_run
from penlight.runs.dataset import DESCRIPTION
from penlight.runs.folder import MANIFEST, clear_away, is_run_of
from penlight.runs.given import short_hash, with_exact_sums
from penlight.runs.holdings import KEEPS_IMAGES, MAPS_ALIKE, NOVELTY_RATES
from penlight.runs.scoring import decide_on

_SEED = 0


@dataclass(frozen=True)
class ScoredSpec:
    """What a run of predictions made elsewhere is asked for: those of test and, where there are any, of val, the view
    that they are of, what the recipe calls its dataset, the model's `name`, how to decide, and the folder."""

    dataset: str
    view: ViewedDataset
    name: str
    test: Predictions
    val: Predictions | None
    decide: Decide
    folder: Path
    images: bool = True

    @property
    def recipe(self) -> Recipe:
        """What the folder is known by: the data, the name, a hash of all predictions, and how they are decided."""
        digest = hashlib.sha256(self.view.dataset.md5.encode())
        for own in (self.test, *([] if self.val is None else [self.val])):
            digest.update(own.prob.tobytes())
        return Recipe(
            data=Data(dataset=self.dataset, size=self.view.dataset.size, view=self.view.view),
            model=Elsewhere(name=self.name, predictions=digest.hexdigest()[:16]),
            decide=self.decide,
        )


def score_run(spec: ScoredSpec, listener: ProgressListener) -> TrainedRun:
    """Write the run of predictions made elsewhere; a folder that already holds this very run is left as it is."""
    recipe, view = spec.recipe, spec.view
    if is_inside(spec.folder, MANIFEST) and is_run_of(spec.folder, recipe.hash, _SEED):
        done = open_run(spec.folder)
        if not spec.images:
            require_no_images(done)
        clear_away(spec.folder)
        return TrainedRun(done, None)
    log = TestAccessLog(view.dataset, "score")
    baselines = Baselines(view, listener, log)
    with RunWriter(spec.folder, recipe, _SEED) as writer:
        listener.on_step("Choosing on val")
        val = None if spec.val is None else with_exact_sums(spec.val)
        decision = Decision(found_on="none") if val is None else decide_on(val, view, spec.decide)
        if val is not None:
            writer.write_predictions("predictions-val", val)
        writer.write_json("decision.json", decision)
        before = log.add(view.view, short_hash(spec.test)) if spec.test.split == TEST else None
        test = with_exact_sums(spec.test)
        writer.write_predictions("predictions-test", test)
        keeps = spec.images and view.dataset.has_images
        if not view.dataset.has_images:
            writer.write_json(DESCRIPTION, KeptDescription.of(describe(view)))
        known = {
            "parameters": None,
            "best_epoch": None,
            "model": spec.name,
            READ_BEFORE: before,
            KEEPS_IMAGES: keeps,
            # How well strange images are told matters where a model answers for them.
            NOVELTY_RATES: None,
            **({} if keeps else {MAPS_ALIKE: None}),
        }
        scores = complete(
            writer,
            baselines,
            listener,
            recipe,
            spec.name,
            None if val is None else answer(val, decision),
            answer(test, decision),
            lambda: provenance_of(recipe, baselines, _SEED, known),
        )
    return TrainedRun(open_run(spec.folder), scores)
