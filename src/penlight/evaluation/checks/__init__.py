"""Checks that speak up: what would make a run's scores less than they seem, each with its number.

Add a check by writing a function of the evidence and listing it in `CHECKS`; docs/checks.md is made from there.
"""

from penlight.evaluation.checks.check import Check, Rule, Seen, check_from_dict, serious_first
from penlight.evaluation.checks.evidence import Answered, Curves, Evidence
from penlight.evaluation.checks.table import (
    CHECKS,
    SEEDS_CHECKS,
    check_folds,
    check_seeds,
    describe_checks,
    run_checks,
)

__all__ = [
    "CHECKS",
    "SEEDS_CHECKS",
    "Answered",
    "Check",
    "Curves",
    "Evidence",
    "Rule",
    "Seen",
    "check_folds",
    "check_from_dict",
    "check_seeds",
    "describe_checks",
    "run_checks",
    "serious_first",
]
