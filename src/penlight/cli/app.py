"""The commands: each parses, calls one function of the face and prints."""

import contextlib
import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

import penlight as pl
from penlight.cli.encoders import Json, encoders
from penlight.cli.help import with_help
from penlight.cli.show.lines import give, say
from penlight.errors import UnknownNameError
from penlight.formats import KINDS

app = typer.Typer(
    name="penlight",
    help="Train, evaluate and document classifiers of small medical images. Not for clinical use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data = typer.Typer(help="List, download, describe and audit datasets.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")
app.add_typer(encoders, name="encoders")

Full = Annotated[bool, Option("--full", help="Print all scores, notes and tables, not a summary.")]
View = Annotated[str | None, Option(help="View of the labels; native by default.")]
Size = Annotated[
    int | None, Option(help="Image size in pixels: 28, 64, 128 or 224; by default the recipe's, else 28.")
]
StoredSize = Annotated[
    int | None, Option("--size", help="Image size in pixels; by default that of the dataset's description, else 28.")
]
Out = Annotated[Path | None, Option(help="Output folder; by default a new one under runs/.")]
Trainable = Annotated[str, Argument(help="A dataset's name, its description file, or a run's recipe.toml.")]
Known = Annotated[str, Argument(help="A dataset's name, or its description file.")]
Images = Annotated[
    Path | None,
    Option(help="Folder of the images, if not the one in the description; it is remembered."),
]
RunFolder = Annotated[Path, Argument(help="A run folder.")]
Scored = Annotated[str, Option(help="val or test.")]
NoImages = Annotated[
    bool, Option("--no-images", help="Save no image of the dataset in the folder, and show none in the report.")
]
Track = Annotated[
    str | None,
    Option(metavar="ADDRESS", help="Also send the runs to mlflow:URI, or tensorboard:FOLDER, as they go on."),
]


def _place(text: str | None) -> str | None:
    if text is not None:
        from penlight.experiments.executors.places import Place

        Place.of(text)
    return text


_PLACES = "local, local:N (N processes), slurm[:PARTITION] or dask:ADDRESS."
On = Annotated[
    str | None,
    Option(
        callback=_place,
        metavar="PLACE",
        help=f"Where runs are trained: {_PLACES}",
    ),
]
ClusterFile = Annotated[
    Path | None,
    Option("--cluster", help="TOML file of what jobs of Slurm are given; ~/.config/penlight/slurm.toml by default."),
]
Detach = Annotated[bool, Option("--detach", help="With --on slurm: submit the jobs, and do not wait for them.")]
Status = Annotated[bool, Option("--status", help="Show how far the jobs are that this command submitted.")]
Cancel = Annotated[bool, Option("--cancel", help="End the jobs that this command submitted.")]
Overrides = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="Change an option of the recipe, e.g. train.epochs=3; repeatable."),
]


def _place_for(on: str | None, cluster: Path | None, *, detach: bool, status: bool, cancel: bool) -> Any:
    """Give the place for what is asked for."""
    from penlight.experiments.executors.places import Place

    if detach + status + cancel > 1:
        raise typer.BadParameter("Give one of --detach, --status and --cancel.", param_hint="--detach")
    return Place.of(on, cluster, "detach" if detach else "status" if status else "cancel" if cancel else "wait")


@contextlib.contextmanager
def _shown_jobs(json: bool, full: bool = False) -> Iterator[None]:
    """Print the jobs where the command ends with them."""
    from penlight.experiments.executors.jobs import Detached

    try:
        yield
    except Detached as left:
        from penlight.cli.show.jobs import print_jobs

        give(left.jobs, json, lambda jobs: print_jobs(jobs, full))
        raise typer.Exit from left


def _name_images(dataset: str, images: Path | None) -> None:
    if images is not None:
        pl.name_images(dataset, images)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(pl.__version__)
        raise typer.Exit


def _seconds(text: str) -> float:
    """Read a duration: 90s, 10m, 1.5h, or seconds alone."""
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:], 0.0)
    try:
        seconds = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise typer.BadParameter(f"'{text}' is not a time; write it as 90s, 10m or 1h.")
    return seconds


Budget = Annotated[
    float | None,
    Option(parser=_seconds, metavar="TIME", help="Training time of a plan, e.g. 5m; 10m by default."),
]


@app.callback()
def root(
    version: Annotated[
        bool, Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train, evaluate and document classifiers of small medical images. Not for clinical use."""


@app.command()
def demo(no_images: NoImages = False, out: Out = None, full: Full = False, json: Json = False) -> None:
    """Train, evaluate and report on a synthetic dataset, without a download."""
    from penlight.api.progress import TrainingView
    from penlight.api.requests import resolve_recipe
    from penlight.api.training import train_recipe
    from penlight.cli.show.trained import print_trained

    with TrainingView(quiet=json) as listener:
        recipe = resolve_recipe("retina-phantom", "demo")
        result = train_recipe(recipe, name="demo", out=out, images=not no_images, listener=listener)
    give(result, json, lambda made: print_trained(made, full))


@app.command()
def train(
    dataset: Trainable,
    recipe: Annotated[
        str | None, Option(help="A preset or a recipe file; by default a plan for this dataset.")
    ] = None,
    budget: Budget = None,
    view: View = None,
    size: Size = None,
    images: Images = None,
    overrides: Overrides = None,
    seed: Annotated[int, Option(min=0, help="The first seed.")] = 0,
    seeds: Annotated[int, Option(min=1, help="Number of seeds; each gives a separate run.")] = 1,
    folds: Annotated[
        int | None,
        Option(
            min=2, help="Number of folds of train and val for cross-validation; their models are averaged into one."
        ),
    ] = None,
    ensemble: Annotated[
        bool, Option("--ensemble", help="With --seeds: average the models of all seeds into one.")
    ] = False,
    repeats: Annotated[
        int, Option(min=1, max=100, help="How often --folds divides the images anew; all models are averaged.")
    ] = 1,
    no_test: Annotated[
        bool, Option("--no-test", help="With --folds: make no model of the folds, and do not read test.")
    ] = False,
    no_images: NoImages = False,
    track: Track = None,
    on: On = None,
    cluster: ClusterFile = None,
    detach: Detach = False,
    status: Status = False,
    cancel: Cancel = False,
    out: Out = None,
    full: Full = False,
    json: Json = False,
) -> None:
    """Train a recipe on a dataset, evaluate it on test, and write its report.

    A network of your own is --set model.backbone=FILE.py:NAME, a function build(input_shape, n_outputs) that returns
    a keras.Model from images of 0 to 255 to n_outputs logits: one for each class or finding, one alone for two
    classes.
    """
    from penlight.api import requests
    from penlight.api.progress import TrainingView
    from penlight.api.training import train_request
    from penlight.cli.show.trained import print_plan_made, print_trained
    from penlight.tracking.tracker import tracking

    if folds and seeds > 1:
        raise typer.BadParameter("--folds trains every fold with one seed; omit --seeds.", param_hint="--folds")
    if ensemble and seeds < 2:
        raise typer.BadParameter("It averages the models of several seeds; give --seeds 5.", param_hint="--ensemble")
    for given, option in ((no_test, "--no-test"), (repeats > 1, "--repeats")):
        if given and not folds:
            raise typer.BadParameter("It is for folds; give --folds 5.", param_hint=option)
    place = _place_for(on, cluster, detach=detach, status=status, cancel=cancel)
    _name_images(dataset, images)
    # What code of the user's prints is no part of the JSON.
    with _shown_jobs(json, full), contextlib.redirect_stdout(sys.stderr if json else sys.stdout):
        with TrainingView(quiet=json) as shown:
            data: dict[str, Any] = {"view": view, "size": size, "budget": budget, "listener": shown}
            asked = requests.request(dataset, recipe, overrides or [], **data)
        print_plan_made(asked.plan, json, full)
        with TrainingView(quiet=json) as shown, tracking(shown, track) as listener:
            how: dict[str, Any] = {
                "seed": seed,
                "images": not no_images,
                "out": out,
                "on": place,
                "listener": listener,
            }
            how |= {"folds": folds, "repeats": repeats, "test": not no_test, "ensemble": ensemble}
            result = train_request(asked, seeds=seeds, **how)
    give(result, json, lambda made: print_trained(made, full))


@app.command()
def study(
    name: Annotated[str, Argument(help="A study that ships, as retina or medmnist2d, a study file, or resolution.")],
    dataset: Annotated[
        str | None, Argument(help="Of the study of resolution: the dataset whose sizes are compared.")
    ] = None,
    recipe: Annotated[
        str | None, Option(help="Of the study of resolution: a preset or a recipe file; by default the plan.")
    ] = None,
    view: View = None,
    budget: Budget = None,
    overrides: Overrides = None,
    seeds: Annotated[
        int | None,
        Option(min=1, help="Seeds of each row that does not set its own; by default those of the study."),
    ] = None,
    out: Annotated[Path | None, Option(help="Output folder; runs/study-<name> by default.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="List the runs and their states; train nothing.")] = False,
    no_images: NoImages = False,
    track: Track = None,
    on: On = None,
    cluster: ClusterFile = None,
    detach: Detach = False,
    status: Status = False,
    cancel: Cancel = False,
    full: Full = False,
    json: Json = False,
) -> None:
    """Train the recipes of a study with several seeds each and compare them; finished runs are kept.

    The study resolution trains one recipe at each size of a dataset that is on disk.
    """
    from penlight.api import sweeping
    from penlight.api.progress import StudyView, TrainingView
    from penlight.cli.show.studies import print_plan, print_studied, print_swept

    asked: dict[str, Any] = {"dataset": dataset, "recipe": recipe, "view": view, "budget": budget}
    asked["options"] = overrides
    if name == sweeping.SWEEP and not any(asked.values()):
        with TrainingView(quiet=json) as listener:
            where: dict[str, Any] = {"on": on, "track": track, "listener": listener}
            swept = pl.sweep(out=out, dry_run=dry_run, images=not no_images, **where)
        give(swept, json, print_swept)
        return
    if dry_run:
        give(pl.plan_study(name, **asked, out=out, seeds=seeds), json, print_plan)
        return
    place = _place_for(on, cluster, detach=detach, status=status, cancel=cancel)
    with _shown_jobs(json, full), StudyView(quiet=json) as listener:
        how: dict[str, Any] = {"images": not no_images, "track": track, "on": place, "listener": listener}
        result = pl.study(name, **asked, out=out, seeds=seeds, **how)
    give(result, json, lambda made: print_studied(made, full))


@app.command()
def tune(
    dataset: Trainable,
    recipe: Annotated[str, Option(help="A preset, or a recipe file.")] = "cnn",
    trials: Annotated[int | None, Option(min=1, help="Number of trials; 15 unless a time is given.")] = None,
    time: Annotated[
        float | None, Option(parser=_seconds, metavar="TIME", help="Start no trial after this time, e.g. 10m.")
    ] = None,
    sampler: Annotated[str, Option(help="tpe, or gp (Gaussian process; needs PyTorch).")] = "tpe",
    space: Annotated[
        Path | None, Option(help="TOML file with the search space; the built-in one by default.")
    ] = None,
    storage: Annotated[
        str | None, Option(help="A file *.journal, or an Optuna URL; by default in the folder.")
    ] = None,
    workers: Annotated[int, Option(min=1, help="Processes that share this machine's cores.")] = 1,
    seeds: Annotated[
        int | None,
        Option(min=1, help="Seeds with which each trial is evaluated on val; with a small val, folds of train."),
    ] = None,
    seed: Annotated[int, Option(min=0, help="The seed of the search and of the first training.")] = 0,
    view: View = None,
    size: Size = None,
    images: Images = None,
    overrides: Overrides = None,
    track: Track = None,
    on: On = None,
    out: Out = None,
    full: Full = False,
    json: Json = False,
) -> None:
    """Tune the hyperparameters of a recipe without reading test, and write the best recipe to a file."""
    from penlight.api.progress import TuningView
    from penlight.cli.show.studies import print_tuned

    _name_images(dataset, images)
    with TuningView(quiet=json) as listener:
        result = pl.tune(
            dataset,
            recipe,
            options=overrides,
            view=view,
            size=size,
            trials=trials,
            seconds=time,
            sampler=sampler,
            space=space,
            storage=storage,
            workers=workers,
            seeds=seeds,
            seed=seed,
            out=out,
            track=track,
            on=on,
            listener=listener,
        )
    give(result, json, lambda made: print_tuned(made, full))


@app.command()
def evaluate(
    run: Annotated[Path, Argument(help="A run folder, or a folder with one run per seed.")],
    split: Scored = "test",
    corruptions: Annotated[
        bool, Option("--corruptions", help="Also evaluate the model on corrupted test images, and save the result.")
    ] = False,
    full: Full = False,
    json: Json = False,
) -> None:
    """Compute the scores of a run again from its predictions on disk."""
    if corruptions and split != "test":
        raise typer.BadParameter("Corruptions are evaluated on test only.", param_hint="--split")
    from penlight.cli.show.scores import print_corrupted, print_scores

    if not corruptions:
        print_scores(pl.evaluate(run, split), json, full=full, run=run, split=split)
        return
    from penlight.api.progress import TrainingView

    with TrainingView(quiet=json) as listener:
        corrupted = pl.evaluate_corrupted(run, listener=listener)
    give(corrupted, json, print_corrupted)


def _rows(text: str) -> list[int]:
    """Read row numbers, 3,17."""
    if not all(re.fullmatch(r"\s*[0-9]{1,15}\s*", part) for part in text.split(",")):
        raise typer.BadParameter(f"'{text}' is not a list of rows; write it as 3,17.")
    return [int(part) for part in text.split(",")]


@app.command()
def explain(
    run: RunFolder,
    paths: Annotated[list[Path] | None, Argument(help="Image files, and folders of image files.")] = None,
    split: Annotated[
        str | None, Option(help="Explain images of the run's own dataset: train, val or test; with --rows.")
    ] = None,
    rows: Annotated[
        Any | None, Option(parser=_rows, metavar="ROWS", help="Rows of the split as stored, from 0, e.g. 3,17.")
    ] = None,
    method: Annotated[str, Option(help="auto, occlusion, cam, gradcam or hirescam.")] = "auto",
    label: Annotated[str | None, Option(help="The label to explain; by default the predicted one.")] = None,
    neighbours: Annotated[int, Option(min=0, help="Number of most similar training images to show.")] = 0,
    out: Annotated[Path | None, Option(help="Output folder; runs/explained-<run> by default.")] = None,
    json: Json = False,
) -> None:
    """Write a saliency map for each image, and a contact sheet. Exit code 1 if a file is unreadable."""
    from penlight.cli.show.explained import print_explained

    if split and paths:
        raise typer.BadParameter("Give image files, or --split with --rows, not both.")
    how: dict[str, Any] = {"method": method, "label": label, "neighbours": neighbours, "out": out}
    explained = pl.explain(run, paths or [], split=split, rows=rows or [], **how)
    give(explained, json, print_explained)
    if explained.problems:
        raise typer.Exit(1)


@app.command()
def score(
    file: Annotated[
        Path,
        Argument(
            help="CSV with a header (a first column that names the images, then a column for each label), or in the "
            "official result format: index,p0,p1,... without a header."
        ),
    ],
    dataset: Annotated[str | None, Option(help="The dataset of the file.")] = None,
    truth: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="A labels file in place of a dataset: a column that names the images, then a column label, or a "
            "column of 0 and 1 for each finding; patient and split where they are known.",
        ),
    ] = None,
    task: Annotated[
        str | None, Option(help="What the labels of --truth mean: multi-class, binary, ordinal or multi-label.")
    ] = None,
    uncertain: Annotated[
        str | None, Option(help="Findings of -1 in --truth: positive, negative or unknown (in no score).")
    ] = None,
    blank: Annotated[
        str | None, Option(help="Findings of an empty cell in --truth: negative or unknown (in no score).")
    ] = None,
    view: View = None,
    size: StoredSize = None,
    split: Annotated[str | None, Option(help="val or test; by default from the file name.")] = None,
    val: Annotated[
        Path | None, Option(help="CSV of the same model's predictions for val, to fit calibration and thresholds.")
    ] = None,
    out: Annotated[
        Path | None, Option(help="Folder of a run to make, with report, baselines and checks; none by default.")
    ] = None,
    name: Annotated[str | None, Option(help="What the model is called in the run; by default as the file.")] = None,
    no_images: NoImages = False,
    overrides: Annotated[
        list[str] | None,
        Option("--set", metavar="KEY=VALUE", help="Decision option, as in a recipe: decide.thresholds=f1."),
    ] = None,
    full: Full = False,
    json: Json = False,
) -> None:
    """Score probabilities from other software; with --out, make a run of them."""
    if dataset is None and truth is None:
        raise typer.BadParameter("Give --dataset, or --truth with a file of labels.", param_hint="--dataset")
    from penlight.api import requests
    from penlight.cli.show.scores import print_scores

    about: dict[str, Any] = {"truth": truth, "task": task, "view": view, "size": size, "split": split, "val": val}
    about |= {"uncertain": uncertain, "blank": blank, "decide": requests.resolve_decide(overrides or [])}
    if out is None:
        print_scores(pl.score(file, dataset, **about), json, full=full)
        return
    from penlight.api.progress import TrainingView
    from penlight.api.training import trained_of
    from penlight.cli.show.trained import print_trained

    with TrainingView(quiet=json) as listener:
        run = pl.score(file, dataset, out=out, name=name, images=not no_images, listener=listener, **about)
    give(trained_of(run.path, [run], run.scores), json, lambda made: print_trained(made, full))


@app.command()
def compare(
    runs: Annotated[
        list[str],
        Argument(
            metavar="RUN...",
            help="Run folders, folders with one run per seed, a run's baseline as RUN:linear, or CSV files of "
            "probabilities. The first is what the others are compared with.",
        ),
    ],
    against: Annotated[
        str | None, Option(metavar="RUN", help="The reference of the comparison; by default the first.")
    ] = None,
    every_pair: Annotated[bool, Option("--all", help="Compare every pair.")] = False,
    metric: Annotated[str | None, Option(help="A metric of all labels; the headline by default.")] = None,
    split: Scored = "test",
    dataset: Annotated[str | None, Option(help="The dataset of CSV files; by default that of the first run.")] = None,
    view: View = None,
    size: StoredSize = None,
    out: Annotated[Path | None, Option(help="HTML page to write; none by default.")] = None,
    full: Full = False,
    json: Json = False,
) -> None:
    """Compare runs on the same images: paired differences with intervals and p values."""
    from penlight.cli.show.compared import print_compared

    if len({*runs, *([against] if against else [])}) < 2:
        raise typer.BadParameter("Give at least two; a run's own baseline is RUN:linear.", param_hint="RUN...")
    if every_pair and against:
        raise typer.BadParameter("--all compares every pair; omit --against.", param_hint="--all")
    result = pl.compare(
        runs,
        metric=metric,
        split=split,
        against=against,
        every_pair=every_pair,
        dataset=dataset,
        view=view,
        size=size,
        out=out,
    )
    give(result, json, lambda made: print_compared(made, full))


@app.command()
def report(
    run: Annotated[Path, Argument(help="A run folder, a folder with one run per seed, or a study's folder.")],
    out: Annotated[Path | None, Option(help="HTML file to write; by default that of the run.")] = None,
    images: Annotated[
        bool | None,
        Option("--with-images/--no-images", help="Show images of the dataset or not; by default as in the run."),
    ] = None,
) -> None:
    """Write the report of a run again."""
    say(pl.report(run, out, images=images))


@app.command()
def export(
    run: Annotated[Path, Argument(help="A run folder; for a copy also one of seeds, folds or a study.")],
    to: Annotated[str | None, Option(help="onnx or keras; onnx by default.")] = None,
    for_sharing: Annotated[
        bool,
        Option("--for-sharing", help="Copy the whole run for sharing, without images, identifiers and paths."),
    ] = False,
    no_images: Annotated[
        bool, Option("--no-images", help="Copy the whole run, without images of the dataset.")
    ] = False,
    out: Annotated[
        Path | None,
        Option(help="Output file, by default in the run; for a copy the folder, by default next to the run."),
    ] = None,
    licence_checked: Annotated[
        bool,
        Option("--licence-checked", help="The encoder in it may be passed on, whatever is known of its licence."),
    ] = False,
    json: Json = False,
) -> None:
    """Export the model of a run, verified against its predictions; or copy a run to share it."""
    from penlight.cli.show.exported import print_copied, print_exported

    if (for_sharing or no_images) and to is not None:
        raise typer.BadParameter("A copy of a run has the run's model; omit --to.")
    if for_sharing:
        give(pl.export_for_sharing(run, out, licence_checked=licence_checked), json, print_copied)
    elif no_images:
        give(pl.export_without_images(run, out, licence_checked=licence_checked), json, print_copied)
    else:
        give(pl.export(run, to or "onnx", out=out, licence_checked=licence_checked), json, print_exported)


@app.command()
def predict(
    run: RunFolder,
    paths: Annotated[
        list[Path],
        Argument(help=f"{KINDS} files, folders of them, npz files of images."),
    ],
    csv: Annotated[Path | None, Option(help="CSV file to write, with one row per image.")] = None,
    out: Annotated[
        Path | None,
        Option(help="Folder for predictions of many images, in Parquet files; the same command continues there."),
    ] = None,
    shard: Annotated[
        str | None, Option(metavar="I/N", help="With --out: only every N-th file, from the I-th on.")
    ] = None,
    on: Annotated[
        str | None,
        Option(callback=_place, metavar="PLACE", help=f"With --out: where the files are made: {_PLACES}"),
    ] = None,
    cluster: ClusterFile = None,
    detach: Detach = False,
    status: Status = False,
    cancel: Cancel = False,
    json: Json = False,
) -> None:
    """Predict images with a run. Exit code 1 if one is unreadable; the others are predicted."""
    from penlight.cli.show.predicted import print_parts, print_predictions

    if csv is not None and out is not None:
        raise typer.BadParameter("--csv writes one file, --out a folder of several; give one of them.")
    if out is not None:
        from penlight.api.progress import PredictingView

        place = _place_for(on, cluster, detach=detach, status=status, cancel=cancel)
        with _shown_jobs(json, full=False), PredictingView(quiet=json) as listener:
            made = pl.predict(run, paths, out=out, shard=shard, on=place, listener=listener)
        failed = print_parts(made, json)
    elif shard is not None or on is not None or cluster is not None or detach or status or cancel:
        raise typer.BadParameter("Shards and jobs are for what is written to a folder; name it with --out.")
    else:
        failed = print_predictions(run, paths, csv, json)
    if failed:
        raise typer.Exit(1)


@app.command()
def serve(
    runs: Annotated[list[Path], Argument(help="Run folders, or folders that contain runs and studies.")],
    host: Annotated[str, Option(help="Address to listen at; loopback by default.")] = "127.0.0.1",
    port: Annotated[int, Option(min=1, max=65535, help="Port to listen at.")] = 8000,
    token_file: Annotated[
        Path | None,
        Option(
            help="File with the access token, readable by its owner only; PENLIGHT_TOKEN by default. A token is "
            "required if other machines can reach the address."
        ),
    ] = None,
    no_auth: Annotated[bool, Option("--no-auth", help="Allow access without a token.")] = False,
    allowed_host: Annotated[
        list[str] | None,
        Option(metavar="NAME", help="Additional host name that the server accepts; repeatable."),
    ] = None,
    root_path: Annotated[str, Option(help="Prefix below which a proxy serves the pages, e.g. /penlight.")] = "",
    forwarded_allow_ips: Annotated[
        list[str] | None,
        Option(
            metavar="ADDRESS",
            help="Address or network of a proxy whose X-Forwarded-For, -Proto and -Host are trusted, several "
            "separated by commas; none by default; repeatable.",
        ),
    ] = None,
    threads: Annotated[
        int | None, Option(min=1, help="Number of workers; by default one per core, at most 4.")
    ] = None,
    quiet: Annotated[bool, Option("--quiet", help="Log warnings only.")] = False,
) -> None:
    """Serve runs as pages and over HTTP, on this machine only unless a token is given."""
    pl.serve_runs(
        runs,
        host=host,
        port=port,
        token_file=token_file,
        no_auth=no_auth,
        allowed_hosts=allowed_host or (),
        root_path=root_path,
        forwarded_allow_ips=forwarded_allow_ips or (),
        threads=threads,
        quiet=quiet,
    )


@app.command()
def completion(
    shell: Annotated[str | None, Argument(help="bash, zsh or fish; by default that of SHELL.")] = None,
) -> None:
    """Print the script that completes commands, options, datasets, recipes and runs in a shell."""
    import os

    from penlight.cli.completion import SCRIPTS

    wanted = shell or Path(os.environ.get("SHELL", "")).name
    if wanted not in SCRIPTS:
        raise UnknownNameError("completion for a shell", wanted, SCRIPTS)
    typer.echo(SCRIPTS[wanted], nl=False)


@app.command()
def track(
    run: Annotated[Path, Argument(help="A run folder, or a folder of seeds or folds, or a study.")],
    to: Annotated[
        str, Option(metavar="ADDRESS", help="mlflow:URI (sqlite:///FILE or http://HOST:PORT), or tensorboard:FOLDER.")
    ],
    json: Json = False,
) -> None:
    """Send runs that are there to an experiment tracker. What it has already is not sent again."""
    from penlight.cli.show.exported import print_tracked

    give(pl.track(run, to), json, print_tracked)


@app.command()
def recipes(
    dataset: Annotated[str | None, Argument(help="A dataset, whose plan is shown instead.")] = None,
    budget: Budget = None,
    view: View = None,
    size: Size = None,
    json: Json = False,
) -> None:
    """List the presets with their cost and expected scores, or show the plan of a dataset, with its reasons."""
    if dataset is None:
        from penlight.cli.show.listed import print_recipes

        if (budget, view, size) != (None, None, None):
            raise typer.BadParameter("--budget, --view and --size are of the plan of a dataset; name one.")
        give(pl.list_recipes(), json, print_recipes)
        return
    from penlight.api.progress import TrainingView
    from penlight.cli.show.trained import print_plan_made

    with TrainingView(quiet=json) as listener:
        plan = pl.plan(dataset, view=view, size=size, budget=budget, listener=listener)
    give(plan, json, lambda made: print_plan_made(made, json, full=True))


@data.command("list")
def data_list(json: Json = False) -> None:
    """List the datasets and the image sizes that are on disk."""
    from penlight.cli.show.listed import print_datasets
    from penlight.data.store import list_datasets  # what `pl.list_datasets` gives, without what a notebook needs

    give(list_datasets(), json, print_datasets)


@data.command("fetch")
def data_fetch(
    dataset: Annotated[str, Argument(help="A dataset's name.")],
    size: StoredSize = None,
    images: Images = None,
    json: Json = False,
) -> None:
    """Download a dataset, check its hash, and prepare it."""
    _name_images(dataset, images)
    give(pl.fetch(dataset, size).to_dict(), json, lambda fetched: say(fetched["path"]))


def _cells(text: str) -> list[str]:
    """Read texts with commas between as a row of a CSV file, in which one may hold a comma."""
    return [cell.strip() for cell in next(csv.reader([text], skipinitialspace=True), []) if cell.strip()]


@data.command("new")
def data_new(
    path: Annotated[
        Path, Argument(help="Class folders, a table (CSV, Excel, Parquet, JSON Lines), or arrays (npz, npy, HDF5).")
    ],
    task: Annotated[
        str | None, Option(help="multi-class, ordinal, binary or multi-label; inferred if the labels allow it.")
    ] = None,
    order: Annotated[
        Any | None,
        Option(
            "--order",
            "--labels",
            parser=_cells,
            metavar="LABELS",
            help="The labels in their order, as they are written, with commas between; one that holds a comma in "
            "double quotation marks.",
        ),
    ] = None,
    size: Annotated[
        int | None, Option(min=8, max=1024, help="Image size in pixels; suggested from the pictures by default.")
    ] = None,
    channels: Annotated[
        int | None, Option(min=1, max=3, help="1 to read all images in grey, 3 in colour; by default as they are.")
    ] = None,
    bits: Annotated[
        int | None,
        Option(min=8, max=16, help="Bits in use by 16-bit images; by default those of the largest value in them."),
    ] = None,
    name: Annotated[str | None, Option(help="Name of the dataset; by default from the path.")] = None,
    seed: Annotated[int, Option(min=0, help="The seed of the splits.")] = 0,
    skip_unreadable: Annotated[
        bool, Option("--skip-unreadable", help="Omit unreadable images, and rows whose image is missing.")
    ] = False,
    out: Annotated[
        Path | None, Option(help="Folder for the description and the splits; by default the working folder.")
    ] = None,
    images: Annotated[
        Path | None, Option(help="Folder of the images of a table; by default that of the table. It is remembered.")
    ] = None,
    path_column: Annotated[str | None, Option(help="Column of the images' paths or names.")] = None,
    label_column: Annotated[
        Any | None,
        Option(
            parser=_cells,
            metavar="COLUMNS",
            help="Column of the label, or those of 0 and 1 with commas between.",
        ),
    ] = None,
    patient_column: Annotated[str | None, Option(help="Column of the patient, or none.")] = None,
    split_column: Annotated[str | None, Option(help="Column of the split; none to divide the images anew.")] = None,
    label_in_name: Annotated[str | None, Option(help='How names of images show the label, e.g. "*_{label}".')] = None,
    patient_in_name: Annotated[
        str | None,
        Option(
            help='How names of images show the patient, e.g. "{patient}_*", or a known pattern: eyes.',
        ),
    ] = None,
    unnamed_patients: Annotated[
        str | None,
        Option(help="Images without a patient: own (each of another patient) or drop."),
    ] = None,
    folders: Annotated[
        str | None,
        Option(
            help='Which folder is the label, from the outermost on, e.g. "*/{split}/{label}".',
        ),
    ] = None,
    join: Annotated[
        list[Path] | None,
        Option(metavar="TABLE", help="A further table of the same images, joined by its columns."),
    ] = None,
    separator: Annotated[str | None, Option(help="What stands between several labels in a cell, or none.")] = None,
    label_map: Annotated[
        Path | None,
        Option(
            help="File with the labels of what is written: two columns, JSON, or a label a line.",
        ),
    ] = None,
    uncertain: Annotated[
        str | None, Option(help="Findings of -1: positive, negative, unknown or drop (the image).")
    ] = None,
    blank: Annotated[
        str | None, Option(help="Findings of an empty cell: negative, unknown or drop (the image).")
    ] = None,
    keep_rows: Annotated[
        str | None,
        Option(help="Rows of one image whose labels differ: majority, any or first."),
    ] = None,
    drop_unlabelled: Annotated[bool, Option("--drop-unlabelled", help="Omit images without a label.")] = False,
    ending: Annotated[
        str | None,
        Option(help="Ending of the images, where several files have a name: .png."),
    ] = None,
    file_names: Annotated[
        str | None,
        Option(help='Names of the images, where a table has a part of them: "{name}_*", or {number} for 7 of 0007.'),
    ] = None,
    encoding: Annotated[str | None, Option(help="Encoding of the tables, e.g. gb18030.")] = None,
    ignore: Annotated[
        list[str] | None,
        Option(metavar="PATTERN", help="Files to leave out, e.g. '*/masks/*'; may be repeated; or none."),
    ] = None,
    frame: Annotated[str | None, Option(help="Frame of DICOM files that have several: first or middle.")] = None,
    yes: Annotated[
        bool, Option("--yes", help="Ask nothing on a terminal either; what may be read in two ways is an error.")
    ] = False,
    json: Json = False,
) -> None:
    """Describe, split and decode your own images."""
    from penlight.cli.show.datasets import answered, print_found, print_understood

    if "--labels" in {word.partition("=")[0] for word in sys.argv}:
        say("--labels is now --order; the old name is read for one more release.", error=True)
    said: dict[str, Any] = {"path": path, "task": task, "order": order, "size": size, "name": name, "seed": seed}
    said |= {"channels": channels, "bits": bits}
    said |= {"skip_unreadable": skip_unreadable, "out": out, "images": images, "label_map": label_map}
    said |= {"path_column": path_column, "label_columns": label_column, "patient_column": patient_column}
    said |= {"split_column": split_column, "patient_in_name": patient_in_name, "folders": folders, "join": join}
    said |= {"unnamed_patients": unnamed_patients, "separator": separator, "uncertain": uncertain, "blank": blank}
    said |= {"keep_rows": keep_rows, "drop_unlabelled": drop_unlabelled, "ending": ending, "ignore": ignore}
    said |= {"label_in_name": label_in_name, "file_names": file_names, "encoding": encoding, "frame": frame}
    said["on_understood"] = None if json else print_understood
    given = {key: value for key, value in said.items() if value is not None}
    found = pl.new_dataset(**given) if yes or json else answered(pl.new_dataset, given)
    give(found, json, print_found)


@data.command("show")
def data_show(
    dataset: Known,
    view: View = None,
    size: StoredSize = None,
    images: Images = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Show the splits, classes and sample images of a dataset, as a table, PNG files and a page."""
    from penlight.cli.show.datasets import print_description

    _name_images(dataset, images)
    give(pl.show(dataset, size, out, view), json, print_description)


@data.command("audit")
def data_audit(
    dataset: Known,
    size: StoredSize = None,
    images: Images = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Search for leaks, duplicates, conflicting labels and shifts. Exit code 1 if a problem is serious."""
    from penlight.cli.show.datasets import print_audit

    _name_images(dataset, images)
    audited = pl.audit(dataset, size, out)
    give(audited, json, print_audit)
    if any(problem.serious for problem in audited.problems):
        raise typer.Exit(1)


with_help(app)
