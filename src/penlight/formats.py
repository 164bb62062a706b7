"""Which files are read as pictures: the one list of formats and endings, for code, help, pages and errors."""

from collections.abc import Mapping

FORMATS: Mapping[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "PPM": (".pgm", ".ppm", ".pnm", ".pbm"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
}
"""Formats, as Pillow calls them, with the endings of their files. Others stay out: Pillow starts a program for some
(EPS), and the decoders of others have a long record of faults (JPEG 2000)."""

KINDS = "PNG, JPEG, TIFF, BMP, PGM, PPM, WebP, GIF, DICOM or NumPy (.npy)"
"""What is read, in words for people."""

SUFFIXES = frozenset({".dcm", ".dicom", ".npy"}.union(*FORMATS.values()))
"""Endings of the files that are taken for pictures, in lower case; DICOM files without an ending are too."""

FIRST_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom"})
"""Those that Penlight 0.1 read. A file with another one belongs to a dataset if the description names its ending."""

NOT_READ = (
    ".jp2", ".j2k", ".jpx", ".jpc", ".heic", ".heif", ".avif", ".jxl", ".svg", ".psd", ".eps", ".tga", ".exr", ".pfm",
    ".pcx", ".svs", ".ndpi", ".mrxs", ".scn", ".czi", ".lif", ".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".ima",
    ".mp4", ".avi",
)  # fmt: skip
"""Endings of pictures and volumes of other kinds, which are named beside what is read."""


def not_read_ending(path: str) -> str:
    """Give the ending of a file that holds a picture of a kind that is not read; empty for other files."""
    return next((ending for ending in NOT_READ if path.lower().endswith(ending)), "")
