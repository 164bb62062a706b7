"""What an answer rests on: maps over an image, by methods in one table, and checks that the maps mean something.

`explain_images` gives maps of 0 to 1. Keras is loaded only by the methods that need a network; occlusion, pictures
and neighbours do without.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
