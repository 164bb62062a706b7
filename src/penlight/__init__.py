"""Penlight: from small medical images to a classifier whose quality is known.

`penlight.api` holds what the commands call: train, evaluate, score. Importing this package makes no folder
and loads no heavy library.
"""

# First of all: what follows may import libraries that report home unless they are told not to before.
from penlight import privacy as privacy

__version__ = "0.1.0"
