"""Penlight: from small medical images to a classifier whose quality is known.

`penlight.api` holds what the commands call: train, evaluate, score. Importing this package makes no folder
and loads no heavy library.
"""

__version__ = "0.1.0"
