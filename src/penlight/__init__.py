"""Penlight: from small medical images to a classifier whose quality is known.

`import penlight as pl` gives what the commands call: `pl.train`, `pl.predict`, `pl.compare` and others, named in the
stub beside this file. Each is imported when it is first used, so importing this package makes no folder and loads no
heavy library.
"""

# First of all: what follows may import libraries that report home unless they are told not to before.
from penlight import privacy as privacy  # isort: skip

import os

import lazy_loader

# TensorFlow reads it when it is imported, which a notebook may do before Penlight does. What the user has set stays.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
