"""Files of weights that recipes name: where they are."""

from pathlib import Path

from penlight.data.folders import environment_folders
from penlight.data.remembered import find_reference
from penlight.errors import DataError
from penlight.recipes import Encoded, Pretrained
from penlight.runs.encoders import ENDING, kept_encoder
from penlight.runs.predictor import MODEL


def require_weights(options: object) -> None:
    """Raise DataError if a model is to begin with a file of weights that is not there; nothing is loaded."""
    if weights := weights_file(options):
        find_weights(weights)


def weights_file(options: object) -> str:
    """Give the file of weights that a model begins with, as its recipe names it; empty for one without."""
    if isinstance(options, Encoded):
        return options.weights
    return (
        options.weights if isinstance(options, Pretrained) and options.weights not in ("imagenet", "random") else ""
    )


def find_weights(name: str) -> Path:
    """Find a weights file by its path, by its name in $PENLIGHT_DATA or in the folder of encoders, there without its
    ending too, or where the user has named it on this machine before; of a run its model.onnx. DataError if it is
    not there."""
    names = list(dict.fromkeys([name, f"{name.removesuffix(ENDING)}{ENDING}"]))
    places = [Path(name).expanduser(), *(folder / each for folder in environment_folders() for each in names)]
    if Path(name).name == name:
        places.append(kept_encoder(name.removesuffix(ENDING)))
    for place in places:
        file = place / MODEL if place.is_dir() else place
        if file.is_file():
            return file
    if (remembered := find_reference(name)) is not None:
        return remembered
    looked = ", ".join(str(place) for place in dict.fromkeys(places))
    raise DataError(
        f"The weights file {name} was not found; looked for: {looked}.",
        "Put it there, set PENLIGHT_DATA to its folder, or give its path with --set model.weights=PATH.",
    )
