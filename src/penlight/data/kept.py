"""The description of a dataset as JSON that can be read again, so that a report can be written without the dataset.

It counts images and labels; nothing in it is of a single image.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, InstanceOf

from penlight.data.dataset import DatasetInfo
from penlight.data.summary import DataDescription, Findings, Positions
from penlight.data.views import LeftOut
from penlight.records import Count, Counts, Flag, Labels, Name, Record, Sentences, SideIfKnown, Text, json_key
from penlight.tasks import Task, task_from_dict, task_to_dict


def _read_task(values: Any) -> Any:
    return task_from_dict(values) if isinstance(values, dict) else values


KeptTask = Annotated[InstanceOf[Task], BeforeValidator(_read_task)]


class KeptInfo(Record):
    """What is kept of a `DatasetInfo`: of the dataset's hashes by size, none."""

    name: Name
    title: Text
    licence: Text
    source: Text
    modality: Name
    task: KeptTask = json_key(written=task_to_dict)
    channels: Count
    samples: Counts | None
    position_matters: Flag
    cautions: Sentences


class KeptDescription(Record):
    """description.json: a `DataDescription` that can be read again."""

    about: KeptInfo
    size: SideIfKnown
    md5: Name
    view: Name
    task: KeptTask = json_key(written=task_to_dict)
    rows: Labels
    images: Counts
    counts: Annotated[Mapping[Name, tuple[Count, ...]], Field(max_length=100)]
    left_out: Annotated[Mapping[Name, LeftOut], Field(max_length=100)]
    positions: Positions
    findings: Findings | None
    schema: Literal[1] = 1
    patients: Counts | None = json_key(default=None, if_known=True)
    known: Annotated[Mapping[Name, tuple[Count, ...]], Field(max_length=100)] | None = json_key(
        default=None, if_known=True
    )

    @classmethod
    def of(cls, described: DataDescription, patients: Mapping[str, int] | None = None) -> "KeptDescription":
        """Give what is kept of a description, and of a cross-validation how many `patients` each split has."""
        about = KeptInfo(**{own.name: getattr(described.info, own.name) for own in fields(KeptInfo)})
        return cls(about, **{name: getattr(described, name) for name in _SHARED}, patients=patients)

    @property
    def description(self) -> DataDescription:
        """The description again."""
        info = DatasetInfo(**{**vars(self.about), "cautions": tuple(self.about.cautions)})
        return DataDescription(info, **{name: getattr(self, name) for name in _SHARED})


_SHARED = [own.name for own in fields(DataDescription) if own.name != "info"]
