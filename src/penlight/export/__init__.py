"""A run's model as a file that others can use, and proof that the file answers as the model does.

Add a format by writing its `Exporter` and putting it into `EXPORTERS`, or a Keras layer by its function in
`layers.LAYERS`; the contract tests then cover it.
"""

from penlight.export.onnx_file import onnx_file
from penlight.export.parity import Parity, compare, require_as_good, require_close
from penlight.export.table import EXPORTERS, Exporter, Source

__all__ = [
    "EXPORTERS",
    "Exporter",
    "Parity",
    "Source",
    "compare",
    "onnx_file",
    "require_as_good",
    "require_close",
]
