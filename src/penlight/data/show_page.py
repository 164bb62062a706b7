"""The page that shows a dataset: facts, split table and both pictures in one file."""

from collections.abc import Mapping
from pathlib import Path

from penlight.data.summary import DataDescription

_TEMPLATE = Path(__file__).with_name("show.html")


def page(description: DataDescription, classes_by_day: str, classes_by_night: str, samples: str) -> str:
    """Give the page as HTML; pictures come as data addresses."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        d=description,
        facts=facts(description),
        shares={split: description.shares(split) for split in description.images},
        classes_by_day=classes_by_day,
        classes_by_night=classes_by_night,
        samples=samples,
        classes_text=classes_text(description),
    )


def facts(description: DataDescription) -> Mapping[str, str]:
    """Give what is known of the dataset, in words, for the list at the top of the page."""
    info = description.info
    return {
        "Images": f"{sum(description.images.values()):,}, {description.size} x {description.size} pixels, "
        f"{'grey' if info.channels == 1 else 'colour'}",
        "Modality": info.modality or "not said",
        "Task": f"{info.task.kind}, {len(info.task.labels)} labels",
        "Licence": info.licence,
        "Source": info.source,
        "MD5": description.md5,
    }


def classes_text(description: DataDescription) -> str:
    """Say in one sentence what the bar chart shows: the most and the least frequent label."""
    shares = dict(zip(description.rows, description.shares("train"), strict=True))
    most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
    return (
        f"Most frequent in train is {most} with {shares[most]:.1%} of images, least frequent is {least} with "
        f"{shares[least]:.1%}."
    )
