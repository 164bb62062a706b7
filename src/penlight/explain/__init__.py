"""What an answer rests on: maps over an image, by methods in one table, and checks that the maps mean something.

`explain_images` gives maps of 0 to 1. Keras is loaded only by the methods that need a network; occlusion, pictures
and neighbours do without.
"""

from penlight.explain.evidence import evidence
from penlight.explain.maps import peaks
from penlight.explain.methods import AUTO, METHODS, candidates, choose, explain_images
from penlight.explain.subject import Subject

__all__ = ["AUTO", "METHODS", "Subject", "candidates", "choose", "evidence", "explain_images", "peaks"]
