"""Datasets of a user's own pictures: found in one of the layouts, described in a file that a person can correct,
split by patient, and prepared into the store.

`new.describe_images` writes the description; `prepare.open_pictures` opens what one says; `layouts` has the layouts.
"""
