"""What the API gives: results whose `to_dict()` is the JSON of the command."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penlight.data.accesses import TestAccess, count_accesses
from penlight.records import NotebookResult, Record, json_key, picture_html, shorten, table_html
from penlight.runs.scores import FoldsScores, Scores, SeedsScores

if TYPE_CHECKING:
    import pandas as pd

    from penlight.data.audit import Audit, Problem
    from penlight.data.summary import DataDescription
    from penlight.recipes.plan import TrainingPlan
    from penlight.recipes.space import Trial
    from penlight.reports.figure import Figure


class Trained(Record, computed=("cut_for_time",)):
    """What `train` made: the folder, its report, the scores on test, and the plan where the recipe came from one.

    `kept` names the model that each seed or fold ended with, and `model` the recipe's own. `holds` counts what the
    folder holds of the images: "training_images" in neighbours.npz, "maps" in explained.npz, and "pictures" in
    report.html; over all runs of the folder. `cut` says what was cut for
    time, empty where nothing was.
    """

    folder: Path
    report: Path
    scores: Scores | SeedsScores | FoldsScores = json_key(inline=True)
    plan: "TrainingPlan | None" = json_key(default=None, if_known=True)
    kept: Sequence[str] = ()
    holds: Mapping[str, int] = field(default_factory=dict)
    cut: Sequence[str] = json_key(default=(), hidden=True)
    model: str = json_key(default="", hidden=True)

    @property
    def cut_for_time(self) -> Sequence[str] | None:
        """What of a plan was cut for time; None without a plan."""
        return None if self.plan is None else self.cut

    @property
    def fell_back(self) -> int:
        """Count the seeds or folds that keep a baseline in the place of the recipe's model."""
        return sum(kept != self.model for kept in self.kept) if self.model else 0


# The class of this system's paths, from which a class of paths must be derived.
_SystemPath: type[Path] = type(Path())


class ResultPath(NotebookResult, _SystemPath):  # type: ignore[valid-type,misc]
    """A file or folder that a function gives. It is a `Path`, and is used as one."""

    def frame(self) -> "pd.DataFrame":
        """Give one line: the path, whether it is a folder, and the bytes of a file."""
        import pandas as pd

        return pd.DataFrame([{"path": str(self), "folder": self.is_dir(), "bytes": self._bytes}])

    @property
    def _bytes(self) -> int | None:
        return self.stat().st_size if self.is_file() else None

    def _json(self) -> dict[str, str]:
        return {"path": str(self)}

    def __repr__(self) -> str:
        size = "" if self._bytes is None else f", {self._bytes:,} bytes"
        return shorten(f"{type(self).__name__}({str(self)!r}{size})")

    def _repr_html_(self) -> str:
        path = html.escape(str(self))
        shown = f'<a href="{path}">{path}</a>' if self.is_file() else f"<code>{path}</code>"
        return f"<p>{shown}</p>{table_html(self.frame())}"


class NameTable(NotebookResult, list[dict[str, Any]]):
    """What there is of a kind, a dict each with a name; a notebook shows it as a table."""

    def frame(self) -> "pd.DataFrame":
        """Give a line for each, under its name."""
        import pandas as pd

        return pd.DataFrame(list(self)).set_index("name")

    def _json(self) -> list[dict[str, Any]]:
        return list(self)

    def __repr__(self) -> str:
        return shorten(f"{len(self)}: {', '.join(str(own['name']) for own in self)}")


class NamedFigures(NotebookResult, dict[str, "Figure"]):
    """The figures of a report by their names; a notebook lists them, and shows one that is taken by its name."""

    def frame(self) -> "pd.DataFrame":
        """Give a line for each figure: its name, its title, and what there is to see, in a sentence."""
        import pandas as pd

        lines = [(name, figure.title, figure.caption) for name, figure in self.items()]
        return pd.DataFrame(lines, columns=["name", "title", "caption"]).set_index("name")

    def _json(self) -> dict[str, str]:
        return {name: figure.caption for name, figure in self.items()}

    def __repr__(self) -> str:
        return shorten(f"{len(self)} figures: {', '.join(self)}")


class Studied(Record):
    """What `study` made: the folder, its report, what its study.json holds, and the sentence its report begins
    with."""

    folder: Path
    report: Path
    record: Mapping[str, Any] = json_key(inline=True)
    verdict: str = json_key(default="", hidden=True)

    @property
    def findings(self) -> dict[str, list[str]]:
        """What the numbers of each view bear out, in sentences, the study's own view first."""
        return {table["view"]: list(table["findings"]) for table in self.record["tables"]}

    def frame(self) -> "pd.DataFrame":
        """Give the headline score and F1 of each recipe on test, the highest of each view first, and its cost."""
        import pandas as pd

        lines = []
        for table in self.record["tables"]:
            scored = [(row, _score_of(row, table["headline"])) for row in table["rows"]]
            for row, score in sorted(scored, key=lambda own: -own[1]["value"]):
                known = [seconds for seconds in row["cost"]["fit_seconds"] if seconds is not None]
                about = {"view": table["view"], "recipe": row["title"], "seeds": len(row["seeds"])}
                seconds = sum(known) / len(known) if known else math.nan
                cost = {"parameters": row["cost"]["parameters"], "seconds": seconds}
                f1 = _score_of(row, "f1_macro")["value"]
                lines.append({**about, "metric": table["headline"], **score, "f1_macro": f1, **cost})
        return pd.DataFrame(lines)


class Tuned(Record, table="trials"):
    """What `tune` found: the folder, the best recipe's file, the page, and the trials.

    `metric` on `judged_on` ("3 folds of train") is what trials are worth; `best` and `start` (the recipe as it was;
    None where its values lie outside the space) are numbers of trials; `importance` is empty with too few trials.
    """

    folder: Path
    recipe: Path
    report: Path
    metric: str
    judged_on: str
    trials: "Sequence[Trial]"
    best: int
    start: int | None
    importance: Mapping[str, float]


class Audited(Record):
    """What `audit` found in a dataset, the page that shows it, and the readings of its test images so far."""

    dataset: str
    audit: "Audit" = json_key(inline=True)
    page: Path
    readings: Sequence[TestAccess] = json_key("test_readings", default=(), written=count_accesses)

    @property
    def problems(self) -> "Sequence[Problem]":
        """The problems, the serious ones first."""
        return self.audit.problems

    def frame(self) -> "pd.DataFrame":
        """Give a line per problem: whether it is serious, what was seen, what to do."""
        import pandas as pd

        lines = [(problem.serious, problem.seen, problem.do) for problem in self.problems]
        return pd.DataFrame(lines, columns=["serious", "seen", "do"])


class Shown(Record):
    """What `show` made: the description in numbers, the files written, and the readings of the test images so far."""

    description: "DataDescription" = json_key(inline=True)
    files: Sequence[Path]
    readings: Sequence[TestAccess] = json_key("test_readings", default=(), written=count_accesses)

    def frame(self) -> "pd.DataFrame":
        """Give counts and shares by label and split, and a last line with those of all images."""
        return self.description.split_table()

    def _repr_html_(self) -> str:
        """Show the pictures in a notebook."""
        pictures = [file for file in self.files if file.suffix == ".png"]
        return "".join(picture_html(file, f"{file.stem} of {self.description.info.name}") for file in pictures)


def _score_of(row: Mapping[str, Any], name: str) -> dict[str, float]:
    """Mean over seeds, deviation and interval of a row's score of the whole; NaN where a value is null."""
    none: dict[str, Any] = dict.fromkeys(("value", "sd", "low", "high"))
    found = next((m for m in row["metrics"] if m["name"] == name and m["label"] is None), none)
    return {key: math.nan if found[key] is None else found[key] for key in ("value", "sd", "low", "high")}
