"""The run folder: what was asked for, what was made, and proof that it is whole.

Files are written whole or not at all; a run is complete when its manifest is there, and readers check each file
against it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
