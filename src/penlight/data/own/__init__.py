"""The user's own images: what lies in a folder or a manifest, described in a file that a person can correct, split
without leaks, and prepared into the store.

`new.describe_images` looks and writes the description; `prepare.open_pictures` opens what a description says.
"""
