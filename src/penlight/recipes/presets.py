"""The presets that ship, and reading a recipe by name or by path."""

from itertools import takewhile
from pathlib import Path

from penlight.errors import RecipeError, UnknownNameError
from penlight.recipes.recipe import Recipe, recipe_from_toml

PRESETS_FOLDER = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """List the names of the presets, in alphabetical order."""
    return sorted(path.stem for path in PRESETS_FOLDER.glob("*.toml"))


def preset_header(name: str) -> str:
    """Give the comment that a preset begins with: what it is, command, cost, expected score."""
    lines = (PRESETS_FOLDER / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in takewhile(lambda t: t[:1] == "#", lines))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a preset by name, or a recipe file by its path (which ends in .toml)."""
    if not name_or_path.endswith(".toml"):
        if name_or_path not in preset_names():
            raise UnknownNameError("recipe", name_or_path, preset_names())
        return load_recipe(str(PRESETS_FOLDER / f"{name_or_path}.toml"))
    path = Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"The recipe file {path} cannot be read: {error}.", "Check the path.") from error
    return recipe_from_toml(text, str(path))
