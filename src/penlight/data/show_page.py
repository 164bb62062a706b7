"""The page that shows a dataset: facts, split table and both pictures in one file; and how such pages are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penlight.data.summary import DataDescription
from penlight.escaping import label_list
from penlight.numbers import counted, percent_text

_NAMED = 4


@dataclass(frozen=True)
class Picture:
    """A figure of the page: its title, a sentence that says what to see, data addresses by day and by night, and the
    `width` in CSS pixels below which its letters are too small."""

    title: str
    text: str
    day: str
    night: str
    width: int


def page(description: DataDescription, pictures: Sequence[Picture], samples: str, samples_width: int) -> str:
    """Give the page as HTML; `samples` is a data address, `samples_width` as in `Picture`."""
    return render(
        "show.html",
        info=description.info,
        d=description,
        facts=facts(description),
        shares={
            s: [percent_text(share).removesuffix(" %") for share in description.shares(s)] for s in description.images
        },
        pictures=pictures,
        samples=samples,
        samples_width=samples_width,
    )


def render(template: str, **values: Any) -> str:
    """Fill a template of this folder; all of them extend base.html, which needs `info`, and share its styles."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(**values)


def facts(description: DataDescription) -> Mapping[str, str]:
    """Give what is known of the dataset, in words, for the list at the top of the page."""
    info = description.info
    return {
        "Images": f"{sum(description.images.values()):,}, {description.size} x {description.size} pixels, "
        f"{'grey' if info.channels == 1 else 'colour'}",
        "Modality": info.modality or "not said",
        "View": description.view_text().removeprefix("View "),
        "Task": f"{description.task.kind}, {counted(len(description.task.labels), 'label')}",
        "Licence": info.licence,
        "Source": info.source,
        "MD5": description.md5,
    }


def classes_text(description: DataDescription) -> str:
    """Say in one sentence what the bar chart shows: the most and the least frequent label."""
    shares = dict(zip(description.rows, description.shares("train"), strict=True))
    highest, lowest = max(shares.values()), min(shares.values())
    if highest == lowest:
        return f"All labels are equally frequent in train, each with {percent_text(highest)} of images."
    most, least = ([label for label, share in shares.items() if share == end] for end in (highest, lowest))
    return (
        f"Most frequent in train {_are(most)} with {percent_text(highest)} of images, least frequent {_are(least)} "
        f"with {percent_text(lowest)}."
    )


def _are(labels: Sequence[str]) -> str:
    named = label_list(labels[:_NAMED]) + (f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else "")
    return f"is {named}" if len(labels) == 1 else f"are {named}, each"


def presence_text(description: DataDescription) -> str:
    """Say in one sentence how many training images have any finding, and how rare the commonest one is."""
    n, counts = description.images["train"], description.counts["train"]
    most = max(range(len(counts) - 1), key=counts.__getitem__)
    return (
        f"{n - counts[-1]:,} of {n:,} training images have a finding; even the most frequent one, "
        f"{description.rows[most]}, is absent from {percent_text(1 - counts[most] / n)}."
    )
