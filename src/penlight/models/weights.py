"""Files of weights that recipes name: where they are."""

import hashlib
from pathlib import Path
from typing import Any

from penlight.data import ViewedDataset
from penlight.data.folders import environment_folders
from penlight.data.remembered import find_reference
from penlight.errors import DataError, EncoderError
from penlight.recipes import Encoded, Pretrained, Recipe
from penlight.runs.encoders import ENDING, kept_encoder, read_encoder
from penlight.runs.predictor import MODEL


def require_weights(options: object) -> None:
    """Raise DataError if a model is to begin with a file of weights that is not there; nothing is loaded."""
    if weights := weights_file(options):
        find_weights(weights)


def with_hashes(recipe: Recipe) -> Recipe:
    """Give a recipe that names its encoders by their hashes too, so that another file of a name is noticed. DataError
    if one is not there."""

    def hashed(model: Any) -> Any:
        if not isinstance(model, Encoded) or model.sha256:
            return model
        return model.model_copy(update={"sha256": encoder_hash(find_weights(model.weights))})

    return recipe.with_model(hashed)


def require_unseen(recipe: Recipe, view: ViewedDataset) -> None:
    """Raise EncoderError for a recipe with a run as its encoder that was trained on this dataset: features of images
    that it learned by heart say more than those of others."""

    def unseen(model: Any) -> Any:
        if isinstance(model, Encoded) and _learned_from(find_weights(model.weights)) == view.dataset.md5:
            raise EncoderError(
                f"{model.weights} was trained on the images of {view.dataset.info.name}, so features of these say "
                "more than features of others would.",
                "Use a run of another dataset.",
            )
        return model

    recipe.with_model(unseen)


def _learned_from(path: Path) -> str | None:
    """Give the MD5 of the dataset that a run's model was trained on; None for other encoders."""
    return read_encoder(path).declared.properties.get("data_md5") if path.suffix == ENDING else None


def encoder_hash(path: Path) -> str:
    """Give the SHA-256 of an encoder: of its file, with what of an ONNX file lies beside it."""
    if path.suffix == ENDING:
        return read_encoder(path).sha256
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
