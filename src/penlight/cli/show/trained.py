"""What `penlight train` prints: the plan, then what came out."""

from typing import TYPE_CHECKING

from rich.text import Text

from penlight import FoldsScores
from penlight.cli.show.lines import say
from penlight.cli.show.output import console, plain_table
from penlight.cli.show.scores import print_scores
from penlight.evaluation.standing import model_words
from penlight.numbers import counted, decimal_text

if TYPE_CHECKING:
    from penlight import Trained
    from penlight.recipes.plan import TrainingPlan


def print_plan_made(plan: "TrainingPlan | None", json: bool, full: bool = False) -> None:
    """Print a plan before it is trained: each choice, with its reason if all is wanted; nothing where no plan was
    made."""
    if plan is None or json:
        return
    table = plain_table("plan", "", *(["why"] if full else []))
    for reason in plan.reasons:
        table.add_row(reason.about, reason.choice, *([Text(reason.why, "dim")] if full else []))
    out = console()
    out.print(table)
    if plan.cut:
        out.print(f"The plan is cut for time. {plan.cut}", style="bold")
    out.print(
        f"About {decimal_text(plan.seconds, 0)} s of training a seed while this machine does nothing else.\n",
        style="dim",
    )


def print_trained(result: "Trained", full: bool = False) -> None:
    """Print what `train` made, in a summary or in full; the last line is the path of the report."""
    print_scores(result.scores, full=full, run=result.folder)
    _print_kept(result)
    if full:
        _print_held(result)
    say(result.report)


def _print_held(result: "Trained") -> None:
    """Say how many images the folder holds, before somebody passes it on."""
    training, pictures = result.holds.get("training_images", 0), result.holds.get("pictures", 0)
    if not training and not pictures:
        console().print("The folder holds no image of the dataset.", style="dim")
        return
    neighbours = f"{counted(training, 'training image')} in neighbours.npz and " if training else ""
    console().print(
        f"The folder holds {neighbours}{counted(pictures, 'picture')} in report.html: "
        "--no-images leaves them out; penlight export RUN --for-sharing makes a copy without.",
        style="dim",
    )


def _print_kept(result: "Trained") -> None:
    """Say where a plan was cut for time, and where it ended with the linear baseline."""
    out = console()
    for cut in result.cut:
        out.print(f"The plan was cut for time. {cut}", style="bold")
    if not result.fell_back:
        return
    n, noun = len(result.kept), "folds" if isinstance(result.scores, FoldsScores) else "seeds"
    each = "" if n == 1 else f" in {result.fell_back} of {n} {noun}"
    longer = " A longer --budget may change that." if result.cut else ""
    out.print(
        f"The linear baseline is the model that was kept{each}: on val {model_words(result.model)} was not better by "
        f"more than two standard errors.{longer}",
        style="bold",
    )
