"""The report of a sweep: one plan for each of several sets, each score beside a published one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penlight.data.published import Published
from penlight.evaluation.rows import Score, find_row
from penlight.records import Record, json_key
from penlight.reports.displays.published import BesidePublished, Lane
from penlight.reports.page import drawn, render
from penlight.reports.published import OFFICIAL
from penlight.reports.words import duration, listed


def _tenths(seconds: float) -> float:
    return round(seconds, 1)


def _in_short(published: Published) -> dict[str, object]:
    return {"model": published.model, "auc": published.auc, "acc": published.acc}


class SweepRow(Record, computed=("stands",)):
    """One set: `kept` is the backbone of the model that the plan ended with; `seconds` of the whole run; `address` of
    its own report, from the sweep's folder."""

    name: str
    title: str = json_key(hidden=True)
    images: Mapping[str, int]
    kept: str
    parameters: int | None
    seconds: float = json_key(written=_tenths)
    rows: Sequence[Score] = json_key("metrics")
    linear: Sequence[Score] = json_key(hidden=True)
    published: Published = json_key(written=_in_short)
    address: str = json_key(hidden=True)

    @property
    def stands(self) -> dict[str, str]:
        """Where the set stands to what is published, by official metric."""
        return {metric: self.lane(metric).stands for metric in OFFICIAL}

    def lane(self, metric: str) -> Lane:
        """Give the set's lane of an official metric."""
        linear = find_row(self.linear, metric)
        own = find_row(self.rows, metric) or Score(metric, None, math.nan, math.nan, math.nan, 0, "not scored")
        return Lane(self.name, own, math.nan if linear is None else linear.value, getattr(self.published, metric))


@dataclass(frozen=True)
class SweepContent:
    """What the page of a sweep shows; `absent` are the sets that are not on disk."""

    name: str
    title: str
    size: int
    rows: Sequence[SweepRow]
    absent: Sequence[str]
    command: str
    provenance: Sequence[tuple[str, str]]


def sweep_verdict(content: SweepContent) -> str:
    """Say on how many sets the plan is above, level with and below the published AUC."""
    lanes = [row.lane("auc") for row in content.rows]
    model = content.rows[0].published.model
    parts = []
    for word, said in (("above", "above"), ("level", "level with"), ("below", "below")):
        names = [lane.name for lane in lanes if lane.stands == word]
        parts += [f"{said} it on {listed(names, 12)}"] if names else []
    sets = "one set" if len(lanes) == 1 else f"{len(lanes)} sets"
    return f"On {sets}, each with a plan of its own, the AUC beside {model} as published: {'; '.join(parts)}."


def sweep_report(content: SweepContent) -> str:
    """Write the page of a sweep."""
    model = content.rows[0].published.model
    lanes = {metric: [row.lane(metric) for row in content.rows] for metric in OFFICIAL}
    return render(
        "sweep.html",
        (),
        content=content,
        verdict=sweep_verdict(content),
        facts=[
            ("sets", str(len(content.rows))),
            ("image size", f"{content.size} × {content.size} px"),
            ("time in all", duration(sum(row.seconds for row in content.rows))),
        ],
        figures=[drawn(BesidePublished(tuple(own), m, model), f"beside-{m}") for m, own in lanes.items()],
        model=model,
        official=OFFICIAL,
    )
