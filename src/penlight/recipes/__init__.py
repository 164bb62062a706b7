"""Everything that decides a training run: the Recipe, its file, its overrides, and the presets that ship.

A preset is a TOML file in `presets/`; its header says the command, the cost and the expected score.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
