"""Datasets: what is known of them, how they come to disk and into memory, and how their labels may be read.

`open_dataset` gives images and labels by name; `apply_view` gives what a model is trained on. The catalog is in
`catalog`, the user's own data in `description` and `own`, drawn data in `phantoms`, how a file becomes an image in
`pictures`. Pages that show a dataset are in the room `reports`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
