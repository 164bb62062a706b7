"""Phantoms: procedurally drawn datasets with known lesions.

They serve work without a download and the checking of explanations, in the layout of a MedMNIST file with masks.
"""

from penlight.data.catalog import FINDINGS
from penlight.data.phantoms.arrays import PHANTOMS, phantom_arrays, split_seed, write_npz
from penlight.data.phantoms.chest import draw_chest, sample_findings
from penlight.data.phantoms.retina import LESION_BITS, draw_retina

__all__ = [
    "FINDINGS",
    "LESION_BITS",
    "PHANTOMS",
    "draw_chest",
    "draw_retina",
    "phantom_arrays",
    "sample_findings",
    "split_seed",
    "write_npz",
]
