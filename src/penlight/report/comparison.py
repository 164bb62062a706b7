"""The page of a comparison: which models are better by more than chance, on the same images."""

import math
import shlex
from typing import Any

from penlight.evaluation.comparison import Compared, Comparison, Difference
from penlight.report.displays.alike import AlikeBars
from penlight.report.displays.study_differences import DifferenceBars
from penlight.report.page import Drawn, drawn, render
from penlight.report.tables import lines_of_differences
from penlight.report.words import (
    count,
    image_words,
    interval,
    listed,
    metric_words,
    number,
    p_value,
    sentence,
    signed,
)


def comparison_report(found: Comparison, modality: str, data_hash: str) -> str:
    """Write a comparison as one HTML page; `modality` says what the images are, `data_hash` of which file."""
    return render("comparison.html", (), **comparison_values(found, modality, data_hash))


def comparison_values(found: Comparison, modality: str, data_hash: str) -> dict[str, Any]:
    """Give what the page of a comparison shows."""
    words = metric_words(found.metric)
    return {
        "found": found,
        "verdict": comparison_verdict(found, modality),
        "title": f"{listed([model.name for model in found.models], 3)} by {words.short}",
        "facts": _facts(found),
        "metric": words,
        "heading": sentence(words.short),
        "scored": sentence(words.title),
        "figures": _figures(found),
        "models": [_line(model, found) for model in found.models],
        "differences": lines_of_differences(found.differences, {m.name: m.name for m in found.models}),
        "hidden": _hidden(found),
        "data_hash": data_hash,
        "command": _command(found),
    }


def comparison_verdict(found: Comparison, modality: str) -> str:
    """Say in one sentence which models differ by more than chance, and where none does, how much could be hidden."""
    words, images = metric_words(found.metric), f"{count(found.images)} {found.split} {image_words(modality)}"
    known = [d for d in found.differences if math.isfinite(d.p)]
    if not known:
        return f"On {images} the {words.short} is undefined, so nothing can be compared."
    if len(known) == 1:
        return f"On {images} {_of_two(found, known[0])}"
    if found.against is None:
        clear = sum(d.more_than_chance for d in known)
        return f"On {images} {clear or 'none'} of {len(known)} pairs differ by more than chance in {words.short}."
    better = [d.row for d in known if d.more_than_chance and _gain(found, d) > 0]
    worse = [d.row for d in known if d.more_than_chance and _gain(found, d) < 0]
    parts = [f"{listed(names)} {'is' if len(names) == 1 else 'are'} {which} than {found.against}"
             for names, which in ((better, "better"), (worse, "worse")) if names]  # fmt: skip
    if not parts:
        none = f"none of {len(known)} models differs from {found.against} by more than chance"
        return f"On {images} {none} in {words.short}."
    return f"On {images} {', and '.join(parts)} by more than chance in {words.short}."


def _of_two(found: Comparison, d: Difference) -> str:
    words = metric_words(found.metric)
    scores = f"{words.short} {number(found.model(d.row).mean)} against {number(found.model(d.against).mean)}"
    sure = f"a difference of {signed(d.value)} (95 % interval {interval(d.low, d.high)}), p {_p(d.p_holm)}"
    if d.more_than_chance:
        which = "better" if _gain(found, d) > 0 else "worse"
        return f"{d.row} is {which} than {d.against} by more than chance: {scores}, {sure}."
    return f"{d.row} and {d.against} do not differ by more than chance: {scores}, {sure}."


def _p(value: float) -> str:
    return p_value(value) if value < 0.001 else f"= {p_value(value)}"


def _gain(found: Comparison, d: Difference) -> float:
    return d.value if metric_words(found.metric).higher_is_better else -d.value


def _hidden(found: Comparison) -> str:
    """Say how large a difference may be where none was shown: the farthest end of the widest such interval."""
    ends = [max(abs(d.low), abs(d.high)) for d in found.differences if math.isfinite(d.p) and not d.more_than_chance]
    if not ends:
        return ""
    return f"No difference shown is not no difference: one of up to {number(max(ends), 2)} could have gone unseen."


def _facts(found: Comparison) -> list[tuple[str, str]]:
    return [
        ("dataset", found.dataset),
        ("view", found.view),
        ("split", found.split),
        ("images", count(found.images)),
        ("models", str(len(found.models))),
        ("compared", "each with each" if found.against is None else f"with {found.against}"),
    ]


def _figures(found: Comparison) -> list[Drawn]:
    if found.against is None:
        return [drawn(AlikeBars.from_comparison(found), "alike")]
    lanes = [(d.row, d) for d in found.differences if math.isfinite(d.value)]
    if not lanes:
        return []
    return [drawn(DifferenceBars.from_differences(found.metric, found.against, lanes), "against")]


def _line(model: Compared, found: Comparison) -> tuple[str, str, str, str, str, str, bool]:
    """Name, source, seeds, mean, deviation, interval, and whether the others are compared with it."""
    return (
        model.name,
        model.source,
        str(len(model.seeds)),
        number(model.mean),
        number(model.sd),
        interval(model.low, model.high),
        model.name == found.against,
    )


def _command(found: Comparison) -> str:
    names = [shlex.quote(model.source) for model in found.models]
    more = [f"--metric {found.metric}", f"--split {found.split}", *(["--all"] if found.against is None else [])]
    return " ".join(["penlight compare", *names, *more])
