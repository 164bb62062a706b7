"""The page of a comparison: which models are better by more than chance, on the same images."""

import math
import shlex
from pathlib import Path
from typing import Any

from penlight.disk import short_path
from penlight.evaluation.comparison import Comparison
from penlight.reports.displays.comparison import DifferenceBars, SimilarImages
from penlight.reports.page import PageFigure, drawn, render
from penlight.reports.verdict import comparison_verdict
from penlight.reports.words import count, listed, metric_words, number


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
        "facts": [
            ("dataset", found.dataset),
            ("view", found.view),
            ("split", found.split),
            ("images", count(found.images)),
            ("models", str(len(found.models))),
            ("compared", "each with each" if found.against is None else f"with {found.against}"),
        ],
        "metric": words,
        "figures": _figures(found),
        "sources": {model.name: short_path(Path(model.source)) for model in found.models},
        "hidden": _hidden(found),
        "data_hash": data_hash,
        "command": _command(found),
    }


def _hidden(found: Comparison) -> str:
    """Say how large a difference may be where none was shown: the farthest end of the widest such interval."""
    ends = [max(abs(d.low), abs(d.high)) for d in found.differences if math.isfinite(d.p) and not d.more_than_chance]
    if not ends:
        return ""
    if max(ends) == 0:
        return (
            "No difference shown is not no difference: on these images the models score alike however they are drawn."
        )
    return f"No difference shown does not mean equality: one of up to {number(max(ends), 2)} could have gone unseen."


def _figures(found: Comparison) -> list[PageFigure]:
    if found.against is None:
        return [drawn(SimilarImages.from_comparison(found), "alike")]
    lanes = [(d.row, d) for d in found.differences if math.isfinite(d.value)]
    return [drawn(DifferenceBars.from_differences(found.metric, found.against, lanes), "against")] if lanes else []


def _command(found: Comparison) -> str:
    names = [shlex.quote(short_path(Path(model.source))) for model in found.models]
    more = [f"--metric {found.metric}", f"--split {found.split}", *(["--all"] if found.against is None else [])]
    return " ".join(["penlight compare", *names, *more])
