"""What is wrong with a dataset before anything is trained on it.

`audit` looks for leaks, duplicates, contradicting labels, blank images, absent labels and shifts between splits;
`kept_audit` does so once and keeps the answer beside the arrays. Near duplicates are in `near`, shifts in `shift`,
the page with pairs side by side is in the room `reports`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
