"""export.json: what is known of each exported file of a run, and how far it is off the model."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from penlight.records import Count, Flag, Name, Number, Record, Text, json_key
from penlight.records.run import FileName


class MetricChange(Record, computed=("change",)):
    """A metric of the model and of the file, on the same images."""

    name: Name
    label: Name | None
    model: Number
    file: Number

    @property
    def change(self) -> Number:
        """The file's value less that of the model."""
        return self.file - self.model


class Parity(Record):
    """What was compared, and how far the file is from the model.

    `before` is the largest difference of a probability before calibration, `calibration` the largest difference of
    what the file's calibration makes of the file's own logits from what the run's makes of them; `difference` is the
    largest one of the final probabilities. Where calibration is steep, it makes much of rounding in the logits.
    """

    split: Name
    images: Count
    before: Number = json_key("largest_difference_before_calibration")
    calibration: Number = json_key("largest_difference_by_calibration")
    difference: Number = json_key("largest_difference")
    changes: Annotated[Sequence[MetricChange], Field(max_length=200_000)] = json_key("metrics")
    batch_sizes: Annotated[tuple[Count, ...], Field(max_length=100)] = ()


class ExportedFile(Record):
    """What is known of an exported file; of one that was not `written` only the `reason`."""

    written: Flag
    reason: Text | None = json_key(default=None, if_known=True)
    format: Name | None = json_key(default=None, if_known=True)
    precision: Name | None = json_key(default=None, if_known=True)
    bytes: Count | None = json_key(default=None, if_known=True)
    parity: Parity | None = json_key(default=None, inline=True)


class ExportsRecord(Record):
    """export.json, whose keys are names of files."""

    files: Annotated[Mapping[FileName, ExportedFile], Field(max_length=1_000)]
