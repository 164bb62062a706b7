"""Words and numbers as a reader sees them: models and labels, and how numbers are written."""

import math
import re
from typing import Any

from penlight.escaping import listed as listed
from penlight.evaluation.metrics import metric_words as metric_words
from penlight.evaluation.rows import Score
from penlight.evaluation.standing import model_words as model_words
from penlight.numbers import decimal_text, signed_text
from penlight.tasks import Task

# Keys are the words of the catalog; the user's own data may be of another modality.
_IMAGES = {
    "fundus": "fundus photographs",
    "film": "films",
    "dermoscopy": "dermoscopic photographs",
    "histology": "histological images",
    "blood smear": "images of blood cells",
    "kidney cortex microscope": "microscope images",
    "ultrasound": "ultrasound images",
    "OCT": "OCT images",
    "abdominal CT": "CT slices",
}

_EN_DASH = "\N{EN DASH}"
NO_VALUE = _EN_DASH


def label_words(task: Task, count: int = 2) -> str:
    """Say what the labels of a task are: grades, findings or classes; `count` 1 gives the singular."""
    one, many = task.nouns
    return one if count == 1 else many


def image_words(modality: str) -> str:
    """Say what the images of a modality are."""
    return _IMAGES.get(modality, "images")


def counted_images(n: int, of: str, modality: str) -> str:
    """Count images of a modality: "400 test fundus photographs", "1 test image"; `of` names their split."""
    many = image_words(modality)
    one = re.sub(r"(image|photograph|film|slice|radiograph)s\b", r"\1", many, count=1)
    return f"{count(n)} {of} {one if n == 1 else many}"


def number(value: float | None, decimals: int = 3) -> str:
    """Write a number with equal decimals and a true minus sign; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NO_VALUE
    return decimal_text(value, decimals)


def signed(value: float, decimals: int = 3) -> str:
    """Write a difference with its sign."""
    return signed_text(value, decimals) if math.isfinite(value) else NO_VALUE


def p_value(value: float) -> str:
    """Write a p; small ones are said to be so."""
    return "< 0.001" if value < 0.001 else number(value)


def p_words(value: float) -> str:
    """Write a p for a sentence: "p = 0.012", "p < 0.001"."""
    return f"p {p_value(value)}" if value < 0.001 else f"p = {p_value(value)}"


def interval(low: float, high: float, decimals: int = 3) -> str:
    """Write an interval, "0.71–0.79"; empty where either end is undefined, and for one without a width, of resamples
    that are all alike and say nothing."""
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return ""
    joint = " to " if low < 0 else _EN_DASH
    return f"{number(low, decimals)}{joint}{number(high, decimals)}"


def with_interval(row: Score, decimals: int = 2) -> str:
    """Write a row's value with its interval, "0.75 (0.71–0.79)"."""
    bounds = interval(row.low, row.high, decimals)
    return f"{number(row.value, decimals)} ({bounds})" if bounds else number(row.value, decimals)


def count(value: int) -> str:
    """Write a whole number with thousands separated: 22,433."""
    return f"{value:,}"


def percent(share: float) -> str:
    """Write a share as a whole percentage; small but not zero is said so."""
    if not math.isfinite(share):
        return NO_VALUE
    if 0.995 <= share < 1:
        return "over 99 %"
    return "under 1 %" if 0 < share < 0.01 else f"{decimal_text(100 * share, 0)} %"


def probability(value: float) -> str:
    """Write a probability with two decimals; one that would read 0.00 or 1.00 is said to be near it."""
    if 0 < value < 0.005:
        return "< 0.01"
    return "> 0.99" if 0.995 <= value < 1 else number(value, 2)


def threshold(value: float) -> str:
    """Write a threshold; one that would read 0.000 is said to be near it."""
    return "< 0.001" if 0 < value < 0.0005 else number(value)


def unbroken(text: str) -> str:
    """Keep a number and its unit on one line."""
    return re.sub(r"(?<=\d) (?=(?:%|(?:s|ms|min|h)\b))", "\N{NO-BREAK SPACE}", text)


def duration(seconds: float) -> str:
    """Write a duration: 0.5 s, 7.7 s, 2 min 05 s, 1 h 12 min."""
    if seconds < 60:
        return f"{decimal_text(seconds, 1)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def plain(value: Any) -> str:
    """Write a setting's value as a person would: none, yes, no, lists without brackets."""
    if value is None or value in ("", (), []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(plain(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def sentence(text: str) -> str:
    """Make the first letter a capital, the others as they are."""
    return text[:1].upper() + text[1:]
