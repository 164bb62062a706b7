"""Everything that decides a training run: the Recipe, its file, its overrides, and the presets that ship.

A preset is a TOML file in `presets/`; its header says the command, the cost and the expected score.
"""

from penlight.recipes.presets import PRESETS_FOLDER, load_recipe, preset_header, preset_names
from penlight.recipes.recipe import (
    BASELINE_MODELS,
    Augment,
    Cnn,
    Data,
    Decide,
    FineTune,
    Linear,
    Loss,
    Majority,
    Model,
    Network,
    Pretrained,
    Recipe,
    Residual,
    Scratch,
    Train,
    differences,
    recipe_from_toml,
    with_overrides,
)

__all__ = [
    "BASELINE_MODELS",
    "PRESETS_FOLDER",
    "Augment",
    "Cnn",
    "Data",
    "Decide",
    "FineTune",
    "Linear",
    "Loss",
    "Majority",
    "Model",
    "Network",
    "Pretrained",
    "Recipe",
    "Residual",
    "Scratch",
    "Train",
    "differences",
    "load_recipe",
    "preset_header",
    "preset_names",
    "recipe_from_toml",
    "with_overrides",
]
