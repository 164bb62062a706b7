"""What is wrong with a dataset before anything is trained on it.

`audit` looks for leaks, duplicates, contradicting labels, blank images, absent labels and shifts between splits;
`kept_audit` does so once and keeps the answer beside the arrays. Near duplicates are in `near`, shifts in `shift`,
the page with pairs side by side in `page`.
"""

from penlight.data.audit.kept import kept_audit
from penlight.data.audit.looks import audit
from penlight.data.audit.problem import CODES, SCHEMA, Audit, Pair, Place, Problem
from penlight.data.audit.shift import ImageShift, LabelShift, Shift

__all__ = [
    "CODES",
    "SCHEMA",
    "Audit",
    "ImageShift",
    "LabelShift",
    "Pair",
    "Place",
    "Problem",
    "Shift",
    "audit",
    "kept_audit",
]
