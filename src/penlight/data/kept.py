"""The description of a dataset as JSON that can be read again, so that a report can be written without the dataset.

It counts images and labels; nothing in it is of a single image.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from penlight.data.dataset import DatasetInfo
from penlight.data.summary import DataDescription, Findings, Positions
from penlight.data.views import LeftOut
from penlight.tasks import task_from_dict, task_to_dict

SCHEMA = 1


def description_to_dict(described: DataDescription) -> dict[str, Any]:
    """Give a description for JSON; of the dataset's hashes by size, none is kept."""
    info, findings, positions = described.info, described.findings, described.positions
    about = {name: getattr(info, name) for name in _TEXTS}
    return {
        "schema": SCHEMA,
        "about": {
            **about,
            "task": task_to_dict(info.task),
            "channels": info.channels,
            "samples": None if info.samples is None else dict(info.samples),
            "position_matters": info.position_matters,
            "cautions": list(info.cautions),
        },
        "size": described.size,
        "md5": described.md5,
        "view": described.view,
        "task": task_to_dict(described.task),
        "rows": list(described.rows),
        "images": dict(described.images),
        "counts": {split: list(counts) for split, counts in described.counts.items()},
        "left_out": {split: asdict(left) for split, left in described.left_out.items()},
        "positions": {
            "rows": list(positions.rows),
            "counts": {split: counts.tolist() for split, counts in positions.counts.items()},
            "images": {split: images.tolist() for split, images in positions.images.items()},
        },
        "findings": None
        if findings is None
        else {
            "labels": list(findings.labels),
            "per_image": {split: list(counts) for split, counts in findings.per_image.items()},
            "together": findings.together.tolist(),
        },
    }


_TEXTS = ("name", "title", "licence", "source", "modality")


def description_from_dict(values: Mapping[str, Any]) -> DataDescription:
    """Read what `description_to_dict` gave. KeyError, TypeError or ValueError if it gave no such thing."""
    if values["schema"] != SCHEMA:
        raise ValueError(f"A description of schema {SCHEMA} was expected, {values['schema']} came.")
    about, positions, findings = values["about"], values["positions"], values["findings"]
    samples = about["samples"]
    info = DatasetInfo(
        task=task_from_dict(about["task"]),
        channels=int(about["channels"]),
        samples=None if samples is None else {str(split): int(n) for split, n in samples.items()},
        position_matters=bool(about["position_matters"]),
        cautions=tuple(map(str, about["cautions"])),
        name=str(about["name"]),
        title=str(about["title"]),
        licence=str(about["licence"]),
        source=str(about["source"]),
        modality=str(about["modality"]),
    )
    return DataDescription(
        info=info,
        size=int(values["size"]),
        md5=str(values["md5"]),
        view=str(values["view"]),
        task=task_from_dict(values["task"]),
        rows=tuple(map(str, values["rows"])),
        images={str(split): int(n) for split, n in values["images"].items()},
        counts={str(split): _integers(counts) for split, counts in values["counts"].items()},
        left_out={
            str(split): LeftOut(int(left["images"]), int(left["positives"]))
            for split, left in values["left_out"].items()
        },
        positions=Positions(
            tuple(map(str, positions["rows"])),
            {str(split): np.array(counts, np.int64) for split, counts in positions["counts"].items()},
            {str(split): np.array(images, np.int64) for split, images in positions["images"].items()},
        ),
        findings=None
        if findings is None
        else Findings(
            tuple(map(str, findings["labels"])),
            {str(split): _integers(counts) for split, counts in findings["per_image"].items()},
            np.array(findings["together"], np.int64),
        ),
    )


def _integers(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
