"""The Study: several recipes on one dataset, each with several seeds, to be compared; frozen and validated."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from penlight.errors import PenlightError, RecipeError, UnknownNameError
from penlight.parsing import parse_toml
from penlight.recipes.presets import load_recipe
from penlight.recipes.recipe import Count, Recipe, Section, invalid_value, with_overrides

STUDIES_FOLDER = Path(__file__).parent / "studies"

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$")]
Text = Annotated[str, Field(min_length=1)]


class StudyRow(Section):
    """One recipe of a study: a line of its table, and a folder of its name.

    `recipe` is a preset or the path of a recipe file, beside the study file; `overrides` as with `--set`, though
    dataset, view and size are the study's. Rows of another `view` than the study's make a table of their own; those
    of another `size` read the same images at that size. `seeds` where they are not the study's. `compare_with` is the
    row that this one is a variant of: the difference between the two is reported.
    """

    id: Name
    recipe: Text
    title: Text
    overrides: tuple[str, ...] = ()
    view: str | None = None
    size: Count | None = None
    seeds: Count | None = None
    compare_with: str | None = None


class Study(Section):
    """The question of a study, and the recipes that it compares. Seeds are 0, 1, ... `seeds` - 1; `notes` are
    sentences on what the study leaves out."""

    name: Name
    title: Text
    question: Text
    dataset: Text
    view: str = "native"
    size: Count = 28
    seeds: Count = 3
    rows: Annotated[tuple[StudyRow, ...], Field(min_length=1)]
    notes: tuple[Text, ...] = ()

    def view_of(self, row: StudyRow) -> str:
        """Give the view that a row reads."""
        return row.view or self.view

    def size_of(self, row: StudyRow) -> int:
        """Give the size in pixels of the images that a row reads."""
        return row.size or self.size

    def seeds_of(self, row: StudyRow) -> int:
        """Give the number of seeds of a row."""
        return row.seeds or self.seeds

    def recipe_of(self, row: StudyRow) -> Recipe:
        """Give the recipe of a row, with the study's data and the row's overrides. RecipeError names the row."""
        try:
            recipe = load_recipe(row.recipe)
            data = recipe.data.model_copy(
                update={"dataset": self.dataset, "view": self.view_of(row), "size": self.size_of(row)}
            )
            recipe = with_overrides(recipe.model_copy(update={"data": data}), row.overrides)
        except PenlightError as error:
            raise RecipeError(f"In row '{row.id}' of the study {self.name}: {error.problem}", error.remedy) from error
        kept = recipe.data.model_copy(update={"head": data.head})
        if kept != data:
            raise RecipeError(
                f"Row '{row.id}' of the study {self.name} overrides the dataset, view or size.",
                "Set the dataset for the whole study, and the row's view and size by its own keys `view` and `size`.",
            )
        return recipe

    def shared(self) -> "Study":
        """Give the study with the names alone of recipe files, which lie where the study's file does."""
        rows = tuple(
            row.model_copy(update={"recipe": Path(row.recipe).name}) if row.recipe.endswith(".toml") else row
            for row in self.rows
        )
        return self.model_copy(update={"rows": rows})


def study_names() -> list[str]:
    """List the names of the studies that ship, in alphabetical order."""
    return sorted(path.stem for path in STUDIES_FOLDER.glob("*.toml"))


def load_study(name_or_path: str) -> Study:
    """Read a study that ships by its name, or a study file by its path (which ends in .toml).

    RecipeError names what is wrong in the file; UnknownNameError offers the nearest names.
    """
    if not name_or_path.endswith(".toml"):
        if name_or_path not in study_names():
            raise UnknownNameError("study", name_or_path, study_names())
        return load_study(str(STUDIES_FOLDER / f"{name_or_path}.toml"))
    path = Path(name_or_path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"The study file {path} cannot be read: {error}.", "Check the path.") from error
    values = parse_toml(content, str(path), error=RecipeError)
    return study_from_dict(_beside(values, path.parent), str(path))


def study_from_dict(values: Any, where: str) -> Study:
    """Read a study from plain values; RecipeError, naming `where`, says what is wrong."""
    try:
        study = Study.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise RecipeError(f"In {where}, {'; '.join(map(_problem, error.errors()[:3]))}.") from error
    except TypeError as error:
        raise RecipeError(f"In {where}, a value is of a kind that studies do not have: {error}.") from error
    _check_rows(study, where)
    return study


def _check_rows(study: Study, where: str) -> None:
    """Refuse ids that occur twice, and rows compared with none or with one of another view."""
    ids = [row.id for row in study.rows]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise RecipeError(
            f"In {where}, the row id {', '.join(twice)} occurs more than once.",
            "Each row needs an id of its own: it names the folder of its runs.",
        )
    by_id = {row.id: row for row in study.rows}
    for row in study.rows:
        if row.compare_with is None:
            continue
        other = by_id.get(row.compare_with)
        if other is None or other is row:
            raise RecipeError(f"In {where}, row '{row.id}' is compared with '{row.compare_with}', no other row.")
        if study.view_of(other) != study.view_of(row):
            raise RecipeError(
                f"In {where}, row '{row.id}' is compared with '{other.id}', which is of another view.",
                "Scores of two views are never compared.",
            )


def _beside(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Read the paths of recipe files as seen from the study file."""

    def row_beside(row: Any) -> Any:
        recipe = row.get("recipe") if isinstance(row, dict) else None
        is_path = isinstance(recipe, str) and recipe.endswith(".toml")
        return {**row, "recipe": str((folder / str(recipe)).resolve())} if is_path else row

    rows = values.get("rows")
    return {**values, "rows": list(map(row_beside, rows))} if isinstance(rows, list) else values


def _problem(error: Any) -> str:
    place = ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in error["loc"])
    key = place.replace("rows.", "row ", 1) if place.startswith("rows.") else place
    return f"'{key}' is missing" if error["type"] == "missing" else invalid_value(key, error)
