"""Phantoms: procedurally drawn datasets with known lesions.

They serve work without a download and the checking of explanations, in the layout of a MedMNIST file with masks.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
