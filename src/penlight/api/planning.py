"""Make a plan for a dataset: a recipe from what is known of the data and of this machine, with its reasons."""

import contextlib
from pathlib import Path

from penlight.data import apply_view, store
from penlight.data.catalog import reference_of
from penlight.disk import is_inside
from penlight.errors import PenlightError, RunError
from penlight.parsing import parse_json_object
from penlight.recipes.plan import BUDGET, Plan, fingerprint_of_view, make_plan, plan_from_dict
from penlight.runs import machine, matrix_rate
from penlight.runs.files import read_file
from penlight.runs.folder import MANIFEST, PLAN, SUMMARY, is_untidy


def plan(dataset: str, *, view: str | None = None, size: int | None = None, budget: float | None = None) -> Plan:
    """Make the plan of a dataset seen through a view, for `budget` seconds of training (10 minutes unless given)."""
    viewed = apply_view(store.open_dataset(dataset, size or 28), view or "native")
    about = machine()
    known = {
        "cores": float(about["cores"]),
        "memory": float(about.get("memory_gib", 0)) * 2**30,
        "rate": matrix_rate(),
    }
    return make_plan(fingerprint_of_view(viewed, known, BUDGET if budget is None else budget), reference_of(dataset))


def unfinished_plan(made: Plan) -> Plan | None:
    """Find the plan of an unfinished run that was asked for alike, since a busier machine may plan otherwise."""
    stem = Path(made.recipe.data.dataset).stem
    for file in sorted(Path("runs").glob(f"{stem}-plan-*/**/{PLAN}")):
        if _is_finished(file.parent):
            continue
        with contextlib.suppress(PenlightError):
            found = plan_from_dict(parse_json_object(read_file(file.parent, PLAN), str(file), error=RunError))
            if found.asks_as(made):
                return found
    return None


def _is_finished(run: Path) -> bool:
    """Say whether a run is complete, and all that were asked for with it: its seeds or folds."""
    if run.name.startswith(("seed-", "fold-")):
        return is_inside(run.parent, SUMMARY) and not is_untidy(run.parent)
    return is_inside(run, MANIFEST) and not is_untidy(run)
