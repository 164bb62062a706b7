"""The commands."""

import csv
import re
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

app = typer.Typer(
    name="penlight",
    help="Small medical images to a classifier you can believe in. Not for clinical use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="Datasets: what there is, what is in them.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")

Json = Annotated[bool, typer.Option("--json", help="Print JSON alone, for programs.")]
View = Annotated[Optional[str], typer.Option(help="Reading of the labels; native unless given.")]  # noqa: UP045
Size = Annotated[Optional[int], typer.Option(help="Side of the images in pixels: 28, 64, 128 or 224.")]  # noqa: UP045
Out = Annotated[Optional[Path], typer.Option(help="Folder to write; a free one under runs/ unless given.")]  # noqa: UP045
Trainable = Annotated[str, typer.Argument(help="A dataset's name, its description file, or a run's recipe.toml.")]
Known = Annotated[str, typer.Argument(help="A dataset's name, or its description file.")]
Images = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        help="Folder of the pictures, where it is not the one that the description names; it is remembered."
    ),
]
RunFolder = Annotated[Path, typer.Argument(help="A run folder.")]
Scored = Annotated[str, typer.Option(help="val or test.")]
NoImages = Annotated[
    bool, typer.Option("--no-images", help="Keep no image of the dataset in the folder, and show none in the report.")
]
Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the recipe, as train.epochs=3."),
]


def _name_images(dataset: str, images: Path | None) -> None:
    if images is not None:
        import penlight as pl

        pl.name_images(dataset, images)


def _version(wanted: bool) -> None:
    if wanted:
        from penlight import __version__

        typer.echo(__version__)
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


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Small medical images to a classifier you can believe in. Not for clinical use."""


@app.command()
def demo(no_images: NoImages = False, out: Out = None, json: Json = False) -> None:
    """A drawn dataset end to end, without a download: train, score, report."""
    import penlight as pl
    from penlight.cli.show.progress import TrainingView
    from penlight.cli.show.trained import print_trained

    with TrainingView(quiet=json) as listener:
        recipe = pl.resolve_recipe("retina-phantom", "demo")
        result = pl.train(recipe, name="demo", out=out, images=not no_images, listener=listener)
    print_trained(result, json)


@app.command()
def train(
    dataset: Trainable,
    recipe: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="A preset, or a recipe file; a plan for this dataset unless given."),
    ] = None,
    budget: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(parser=_seconds, metavar="TIME", help="Training time of a plan, as 5m; 10m unless given."),
    ] = None,
    view: View = None,
    size: Size = None,
    images: Images = None,
    overrides: Overrides = None,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds; each is a run of its own.")] = 1,
    folds: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=2, help="Cross-validate on so many folds of train and val, without reading test."),
    ] = None,
    no_images: NoImages = False,
    out: Out = None,
    json: Json = False,
) -> None:
    """Train a recipe on a dataset, score it on test, and write its report."""
    import penlight as pl
    from penlight.api import requests
    from penlight.cli.show.progress import TrainingView
    from penlight.cli.show.trained import print_plan_made, print_trained

    if folds and seeds > 1:
        raise typer.BadParameter("--folds trains every fold with one seed; leave --seeds out.", param_hint="--folds")
    _name_images(dataset, images)
    asked = requests.request(dataset, recipe, overrides or [], view=view, size=size, budget=budget)
    print_plan_made(asked.plan, json)
    how: dict[str, Any] = {"name": asked.name, "out": out, "seed": seed, "plan": asked.plan, "images": not no_images}
    with TrainingView(quiet=json) as listener:
        if folds:
            result = pl.cross_validate(asked.recipe, folds=folds, listener=listener, **how)
        else:
            result = pl.train(asked.recipe, seeds=seeds, listener=listener, **how)
    print_trained(result, json)


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="A study that ships (retina, medmnist2d, ...), or a study file.")],
    seeds: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Seeds of each row, but of those that say so themselves; the study's unless given."),
    ] = None,
    out: Annotated[Optional[Path], typer.Option(help="Folder to write; runs/study-<name> unless given.")] = None,  # noqa: UP045
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs and what is done; train nothing.")
    ] = False,
    no_images: NoImages = False,
    json: Json = False,
) -> None:
    """Train the recipes of a study, each with several seeds, and compare them; what is done is kept."""
    import penlight as pl
    from penlight.api import sweeping
    from penlight.cli.show.progress import StudyView, TrainingView
    from penlight.cli.show.studies import print_plan, print_studied, print_swept

    if name == sweeping.SWEEP:
        with TrainingView(quiet=json) as listener:
            swept = pl.sweep(out=out, dry_run=dry_run, images=not no_images, listener=listener)
        print_swept(swept, json)
        return
    if dry_run:
        print_plan(pl.plan_study(name, out=out, seeds=seeds), json)
        return
    with StudyView(quiet=json) as listener:
        result = pl.study(name, out=out, seeds=seeds, images=not no_images, listener=listener)
    print_studied(result, json)


@app.command()
def tune(
    dataset: Trainable,
    recipe: Annotated[str, typer.Option(help="A preset, or a recipe file.")] = "cnn",
    trials: Annotated[Optional[int], typer.Option(min=1, help="Trials in all; 15 unless a time is given.")] = None,  # noqa: UP045
    time: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(parser=_seconds, metavar="TIME", help="Begin no trial after this time, as 10m."),
    ] = None,
    sampler: Annotated[str, typer.Option(help="tpe, or gp (Gaussian process; needs PyTorch).")] = "tpe",
    space: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="TOML file of what to search; the study's unless given."),
    ] = None,
    storage: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Optuna storage URL; tune.db in the folder unless given."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share this machine's cores.")] = 1,
    seeds: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Judge each trial on val with so many seeds; folds of train where val is small."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the search and of the first training.")] = 0,
    view: View = None,
    size: Size = None,
    images: Images = None,
    overrides: Overrides = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Search better values for a recipe, without reading test; the best recipe comes out as a file."""
    import penlight as pl
    from penlight.api import requests
    from penlight.cli.show.progress import TuningView
    from penlight.cli.show.tuned import print_tuned

    _name_images(dataset, images)
    chosen, _ = requests.resolve_request(dataset, recipe, overrides or [], view=view, size=size)
    with TuningView(quiet=json) as listener:
        result = pl.tune(
            chosen,
            trials=trials,
            seconds=time,
            sampler=sampler,
            space=space,
            storage=storage,
            workers=workers,
            seeds=seeds,
            seed=seed,
            out=out,
            listener=listener,
        )
    print_tuned(result, json)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder, or a folder with one run per seed.")],
    split: Scored = "test",
    corruptions: Annotated[
        bool, typer.Option("--corruptions", help="Ask the model again about corrupted images of test, and keep it.")
    ] = False,
    json: Json = False,
) -> None:
    """Score a run again from its predictions on disk."""
    import penlight as pl

    if corruptions and split != "test":
        raise typer.BadParameter("Corruptions are asked on test alone.", param_hint="--split")
    if corruptions:
        from penlight.cli.show.corrupted import print_corrupted
        from penlight.cli.show.progress import TrainingView

        with TrainingView(quiet=json) as listener:
            corrupted = pl.evaluate_corrupted(run, listener=listener)
        print_corrupted(corrupted, json)
        return
    from penlight.cli.show.scores import print_scores

    print_scores(pl.evaluate(run, split), json)


def _rows(text: str) -> list[int]:
    """Read row numbers, 3,17."""
    if not all(re.fullmatch(r"\s*[0-9]{1,15}\s*", part) for part in text.split(",")):
        raise typer.BadParameter(f"'{text}' is not a list of rows; write it as 3,17.")
    return [int(part) for part in text.split(",")]


@app.command()
def explain(
    run: RunFolder,
    paths: Annotated[Optional[list[Path]], typer.Argument(help="Pictures, and folders of pictures.")] = None,  # noqa: UP045
    split: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Explain images of the run's own dataset: train, val or test; with --rows."),
    ] = None,
    rows: Annotated[
        Optional[Any],  # noqa: UP045
        typer.Option(parser=_rows, metavar="ROWS", help="Rows of the split as stored, from 0, as 3,17."),
    ] = None,
    method: Annotated[str, typer.Option(help="auto, occlusion, cam, gradcam or hirescam.")] = "auto",
    label: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The label to explain; what was answered unless given."),
    ] = None,
    neighbours: Annotated[int, typer.Option(min=0, help="Name so many training images that are like it.")] = 0,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for the pictures; runs/explained-<run> unless given."),
    ] = None,
    json: Json = False,
) -> None:
    """Show what answers rest on: a map over each picture, and a sheet. Exit 1 if a file is unreadable."""
    import penlight as pl
    from penlight.cli.show.explained import print_explained

    if split and paths:
        raise typer.BadParameter("Give pictures, or --split with --rows, not both.")
    explained = pl.explain(
        run,
        paths or [],
        split=split,
        rows=rows or [],
        method=method,
        label=label,
        neighbours=neighbours,
        out=out,
    )
    print_explained(explained, json)
    if explained.problems:
        raise typer.Exit(1)


@app.command()
def score(
    file: Annotated[
        Path, typer.Argument(help="CSV in the official result format: index,p0,p1,... without a header.")
    ],
    dataset: Annotated[str, typer.Option(help="The dataset that the file is about.")],
    view: View = None,
    size: Size = None,
    split: Annotated[Optional[str], typer.Option(help="val or test; from the file name unless given.")] = None,  # noqa: UP045
    val: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="CSV of the same model's val split, to find calibration and thresholds on."),
    ] = None,
    overrides: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="KEY=VALUE", help="How to decide, as in a recipe: decide.thresholds=f1."),
    ] = None,
    json: Json = False,
) -> None:
    """Score probabilities made by anybody."""
    import penlight as pl
    from penlight.api import requests
    from penlight.cli.show.scores import print_scores

    how = requests.resolve_decide(overrides or [])
    print_scores(
        pl.score(file, dataset, view=view or "native", size=size or 28, split=split, val=val, decide=how), json
    )


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run folders, folders with one run per seed, a run's baseline as RUN:linear, or CSV files in the "
            "official result format. The first is what the others are compared with.",
        ),
    ],
    against: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="RUN", help="What the others are compared with; the first unless given."),
    ] = None,
    every_pair: Annotated[bool, typer.Option("--all", help="Compare each with each.")] = False,
    metric: Annotated[Optional[str], typer.Option(help="A score of the whole; the headline unless given.")] = None,  # noqa: UP045
    split: Scored = "test",
    dataset: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The dataset that CSV files are about; that of the first run unless given."),
    ] = None,
    view: View = None,
    size: Size = None,
    out: Annotated[Optional[Path], typer.Option(help="HTML page to write; none unless given.")] = None,  # noqa: UP045
    json: Json = False,
) -> None:
    """Compare runs on the same images: paired differences, their intervals, and whether they are more than chance."""
    import penlight as pl
    from penlight.cli.show.compared import print_compared

    if len({*runs, *([against] if against else [])}) < 2:
        raise typer.BadParameter("Give at least two; a run's own baseline is RUN:linear.", param_hint="RUN...")
    if every_pair and against:
        raise typer.BadParameter("--all compares each with each; leave --against out.", param_hint="--all")
    result = pl.compare(
        runs,
        metric,
        split,
        against=against,
        every_pair=every_pair,
        dataset=dataset,
        view=view,
        size=size,
        out=out,
    )
    print_compared(result, json)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder, a folder with one run per seed, or a study's folder.")],
    out: Annotated[Optional[Path], typer.Option(help="HTML file to write; the run's own unless given.")] = None,  # noqa: UP045
    images: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--with-images/--no-images", help="Show images of the dataset, or none; as the run keeps them."),
    ] = None,
) -> None:
    """Write a run's report again."""
    import penlight as pl
    from penlight.cli.show.lines import say

    say(pl.report(run, out, images=images))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder; for a copy also one of seeds, folds or a study.")],
    to: Annotated[Optional[str], typer.Option(help="onnx or keras; onnx unless given.")] = None,  # noqa: UP045
    for_sharing: Annotated[
        bool,
        typer.Option(
            "--for-sharing", help="Copy the whole run to be given away, without images, identifiers and paths."
        ),
    ] = False,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Copy the whole run, without images of the dataset.")
    ] = False,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File to write, into the run unless given; of a copy the folder, beside the run."),
    ] = None,
    json: Json = False,
) -> None:
    """Write a run's model as a file for others, which answers as the model does; or copy a run to pass it on."""
    import penlight as pl
    from penlight.cli.show.exported import print_copied, print_exported

    if (for_sharing or no_images) and to is not None:
        raise typer.BadParameter("A copy of a run has the model that is there; leave --to out.")
    if for_sharing:
        print_copied(pl.export_for_sharing(run, out), json)
        return
    if no_images:
        print_copied(pl.export_without_images(run, out), json)
        return
    to = to or "onnx"
    print_exported(pl.export(run, to, out=out), json)


@app.command()
def predict(
    run: RunFolder,
    paths: Annotated[
        list[Path],
        typer.Argument(help="PNG, JPEG, TIFF or DICOM files, folders of them, npz files of images."),
    ],
    csv: Annotated[Optional[Path], typer.Option(help="CSV file to write, a row for each image.")] = None,  # noqa: UP045
    json: Json = False,
) -> None:
    """Ask a run about images. Exit 1 if one of them could not be read; the others are answered."""
    from penlight.cli.show.predicted import print_predictions

    if print_predictions(run, paths, csv, json):
        raise typer.Exit(1)


@app.command()
def serve(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold runs and studies.")],
    host: Annotated[str, typer.Option(help="Address to listen at; loopback unless given.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8000,
    token_file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="File with the token to ask for, readable by its owner alone; PENLIGHT_TOKEN unless given. One is "
            "needed where others can reach the address."
        ),
    ] = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Let everybody in who can reach the address.")] = False,
    allowed_host: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Name under which the server may be asked, beside this machine's own; repeatable."),
    ] = None,
    root_path: Annotated[
        str, typer.Option(help="Prefix below which a proxy serves the pages, as /penlight; none unless given.")
    ] = "",
    forwarded_allow_ips: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="Address or network of a proxy whose X-Forwarded-For, -Proto and -Host are believed, several with "
            "commas between; of no one unless given; repeatable."
        ),
    ] = None,
    threads: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Workers that answer; as many as cores, at most 4, unless given."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log warnings only, not each request.")] = False,
) -> None:
    """Serve runs over HTTP and as pages, on this machine alone unless a token is given."""
    from penlight.cli.serving import serve_runs

    serve_runs(
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
def recipes(json: Json = False) -> None:
    """List the recipes that ship, with what they cost and what to expect."""
    import penlight as pl
    from penlight.cli.show.listed import print_recipes

    print_recipes(pl.list_recipes(), json)


@data.command("list")
def data_list(json: Json = False) -> None:
    """List the datasets, and which sizes are on disk."""
    from penlight.cli.show.listed import print_datasets
    from penlight.data.listing import list_datasets

    print_datasets(list_datasets(), json)


@data.command("fetch")
def data_fetch(
    dataset: Annotated[str, typer.Argument(help="A dataset's name.")],
    size: Size = None,
    images: Images = None,
    json: Json = False,
) -> None:
    """Get a dataset onto disk, checked, and ready to open."""
    import penlight as pl
    from penlight.cli.show.listed import print_path

    _name_images(dataset, images)
    print_path(pl.fetch(dataset, size or 28), json)


@data.command("new")
def data_new(
    path: Annotated[Path, typer.Argument(help="Class folders, a CSV or Parquet table, or an npz.")],
    task: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="multi-class, ordinal, binary or multi-label; proposed where the labels say it."),
    ] = None,
    labels: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="The labels in their order, as they are written, with commas between; one that holds a comma in "
            "double quotation marks."
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=8, max=1024, help="Side of the images in pixels.")] = 28,
    name: Annotated[Optional[str], typer.Option(help="The dataset's name; from the path unless given.")] = None,  # noqa: UP045
    seed: Annotated[int, typer.Option(min=0, help="The seed of the splits.")] = 0,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out pictures that cannot be read.")
    ] = False,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for the description and the splits; the working folder unless given."),
    ] = None,
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of the pictures of a table; the table's own unless given. It is remembered."),
    ] = None,
    json: Json = False,
) -> None:
    """Describe images of your own, divide them, and prepare them for training."""
    import penlight as pl
    from penlight.cli.show.datasets import print_found

    # As a row of a CSV file, in which a label may hold a comma.
    order = [label.strip() for label in next(csv.reader([labels], skipinitialspace=True))] if labels else []
    found = pl.new_dataset(
        path,
        task=task,
        labels=order,
        size=size,
        name=name,
        seed=seed,
        skip_unreadable=skip_unreadable,
        out=out,
        images=images,
    )
    print_found(found, json)


@data.command("show")
def data_show(
    dataset: Known,
    view: View = None,
    size: Size = None,
    images: Images = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Show what is in a dataset: splits, classes, samples, as a table, pictures and a page."""
    import penlight as pl
    from penlight.cli.show.datasets import print_description

    _name_images(dataset, images)
    print_description(pl.show(dataset, size or 28, out, view), json)


@data.command("audit")
def data_audit(
    dataset: Known,
    size: Size = None,
    images: Images = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Look for what would make scores false: leaks, duplicates, contradicting labels, shifts. Exit 1 if serious."""
    import penlight as pl
    from penlight.cli.show.datasets import print_audit

    _name_images(dataset, images)
    audited = pl.audit(dataset, size or 28, out)
    print_audit(audited, json)
    if any(problem.serious for problem in audited.problems):
        raise typer.Exit(1)
