"""Whether the score of the whole holds for its groups."""

from penlight.evaluation.checks.check import Finding
from penlight.evaluation.checks.evidence import Evidence
from penlight.evaluation.checks.words import interval, listed, number

FAR_BELOW = 0.05


def a_group_differs(e: Evidence) -> Finding | None:
    """Speak where a group's headline score differs from that of all other images by more than chance."""
    found = [group for group in e.subgroups if group.more_than_chance]
    if not found:
        return None
    said = [
        f"{number(group.value)} for {group.column} {group.group} and {number(group.others)} for all others "
        f"(difference {number(group.difference)}, 95 % interval "
        f"{interval(group.difference_low, group.difference_high)})"
        for group in sorted(found, key=lambda group: group.difference)
    ]
    far = any(group.difference < -FAR_BELOW for group in found)
    return Finding(f"{e.headline_short} on {e.split} differs by group: {listed(said)}.", serious=far)
