"""Every check by its number. A number stays with its check, so that a report of today can be looked up later."""

from collections.abc import Mapping, Sequence
from typing import Any

from penlight.evaluation.checks import certainty, skill, splits
from penlight.evaluation.checks.check import Check, CheckRule, serious_first
from penlight.evaluation.checks.evidence import Evidence
from penlight.evaluation.rows import Score

CHECKS: tuple[CheckRule[Evidence], ...] = (
    skill.no_better_than_linear,
    skill.not_clearly_better_than_linear,
    splits.val_and_test_apart,
    skill.never_answered,
    skill.accuracy_of_the_majority,
    certainty.not_calibrated,
    certainty.too_few_to_tune,
    splits.duplicates_across_splits,
    skill.still_improving,
    splits.shifted,
    skill.learned_nothing,
    splits.conflicting_labels,
    certainty.few_images,
    splits.absent_in_a_split,
    splits.patients_unknown,
    splits.other_problems,
    skill.a_group_differs,
    certainty.maps_without_learning,
    splits.read_often,
    certainty.temperature_at_bound,
    certainty.sets_break_their_promise,
    certainty.strangers_missed,
)

SEEDS_CHECKS: tuple[CheckRule[Sequence[Score]], ...] = (skill.seeds_disagree,)

OF_OWN_TRAINING = ("PL008",)
"""Checks that say something of a model that was trained on the train split of the dataset."""

_OF_EACH_FOLD = ("PL007", "PL008", "PL009", "PL013", "PL016", "PL017")


def run_checks(evidence: Evidence) -> list[Check]:
    """Put every check to the evidence of a run; give those that report a problem, the serious ones first."""
    # What stands in train and test matters for a model of this train, which another's need not be.
    asked = (rule for rule in CHECKS if not (evidence.made_elsewhere and rule.code in OF_OWN_TRAINING))
    return serious_first([check for rule in asked if (check := rule(evidence)) is not None])


def check_seeds(by_seed: Mapping[Any, Sequence[Check]], headlines: Sequence[Score]) -> list[Check]:
    """Give what checks reported over several seeds: each check of a run once, and those of the seeds together.

    `by_seed` has the checks of each seed, `headlines` are the seeds' rows of the headline metric.
    """
    together = [check for rule in SEEDS_CHECKS if (check := rule(headlines)) is not None]
    return serious_first([*_merged(by_seed, "seed"), *together])


def check_folds(by_fold: Mapping[str, Sequence[Check]]) -> list[Check]:
    """Give what checks reported of any fold's training and data; of scores, all folds together say more. `by_fold`
    has the checks of each fold by its name."""
    asked = {name: [check for check in own if check.code in _OF_EACH_FOLD] for name, own in by_fold.items()}
    return serious_first(_merged(asked, "fold"))


def _merged(by_seed: Mapping[Any, Sequence[Check]], noun: str) -> list[Check]:
    """Say of each check which seeds it is of, and what it saw in the first of them, a serious one if there is any."""
    merged = []
    for code in dict.fromkeys(check.code for own in by_seed.values() for check in own):
        found = {seed: check for seed, own in by_seed.items() for check in own if check.code == code}
        seed, first = next(((s, c) for s, c in found.items() if c.serious), next(iter(found.items())))
        if len(found) == len(by_seed) and len({check.seen for check in found.values()}) == 1:
            merged.append(first)
            continue
        where = f"every {noun}" if len(found) == len(by_seed) else f"{len(found)} of {len(by_seed)} {noun}s"
        one = str(seed).removeprefix(f"{noun}-")
        said = f"In {where}; in {noun} {one}: {first.seen}"
        merged.append(Check(code, first.serious, said, first.why, first.do))
    return merged


def describe_checks() -> str:
    """Describe every check as the Markdown of docs/checks.md."""
    rules: list[CheckRule[Any]] = [*CHECKS, *SEEDS_CHECKS]
    described = {
        rule.code: f"## {rule.code} {rule.title}\n\n**When.** {rule.when}\n\n**Why it matters.** {rule.why}\n\n"
        f"**What to do.** {rule.do}\n"
        for rule in rules
    }
    return "\n".join([_HEAD, *(described[code] for code in sorted(described))])


_HEAD = """# Checks

Penlight examines every run for problems that make its scores less reliable than they appear, and reports them after
`penlight train` and `penlight evaluate`, in the report, in the card, and under `checks` in JSON. A serious check says
that a score may not be believed as it stands; the others are notes. A check without its evidence reports nothing:
predictions from other software have no learning curves, and of `penlight score` without `--out` no baselines. An
empty list therefore proves little.

Checks that compare splits, and the one on calibration, report only at 99 % or beyond, so that a sound run is seldom
reported; those that compare models use the 95 % interval that is given with the scores.

This page is generated from the rules: `python -m penlight.evaluation.checks > docs/checks.md`.
"""
