from .parity import compare as compare
from .parity import require_close as require_close
from .table import EXPORTERS as EXPORTERS
from .table import Exporter as Exporter
from .table import ExportSource as ExportSource
