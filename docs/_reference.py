"""Write the pages of docs/reference that say what the code says: `make docs`, or `python docs/_reference.py`."""

import ast
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from pydantic import BaseModel
from typer.models import ArgumentInfo

import penlight as pl
from penlight import recipes
from penlight.cli.app import app
from penlight.data.catalog import CATALOG
from penlight.evaluation import METRICS
from penlight.evaluation.metrics import Metric
from penlight.recipes import preset_header, preset_names
from penlight.recipes.study import STUDIES_FOLDER, Study, StudyRow, load_study, study_names
from penlight.tasks import TASKS, Binary, Ordinal, Task

FOLDER = Path(__file__).parent / "reference"

_TASKS: list[Task] = [Ordinal(("a", "b"), referable=1) if of is Ordinal else of(("a", "b")) for of in TASKS.values()]
"""A task of each kind."""
_WITH_MORE: list[Task] = [Ordinal(("a", "b"), rule="kappa"), Binary(("a", "b"), finding="a")]
"""Tasks that have metrics of their own."""

_WRITTEN = "<!-- Written from the code by `make docs`; change it there. -->\n"


def commands_page() -> str:
    """Every command with its arguments and options, as the command line has them."""
    head = """# Commands

Every command prints for people and, with `--json`, JSON alone on standard output, which is what the same function of
[the Python API](python.md) gives as `to_dict()`. Exit codes: 0 done, 1 a named error, 2 wrong usage, 130 Ctrl-C,
143 SIGTERM.
"""
    return _page(head, (_command(name, function) for name, function in _walk(app, "penlight")))


def _walk(group: typer.Typer, name: str) -> Iterator[tuple[str, Callable[..., None]]]:
    for command in group.registered_commands:
        if command.callback:
            yield f"{name} {command.name or command.callback.__name__}", command.callback
    for inner in group.registered_groups:
        if inner.typer_instance:
            yield from _walk(inner.typer_instance, f"{name} {inner.name}")


def _command(name: str, function: Callable[..., None]) -> str:
    parameters = [_Parameter.of(p) for p in inspect.signature(function).parameters.values()]
    arguments = [p for p in parameters if p.is_argument]
    options = [p for p in parameters if not p.is_argument]
    usage = " ".join([name, *("[OPTIONS]" for _ in options[:1]), *(p.written for p in arguments)])
    rows = [[f"`{p.written}`", p.says, p.default] for p in (*arguments, *options)]
    table = _table(["", "what it says", "unless given"], rows)
    return f"## {name}\n\n{_text(function.__doc__)}\n\n```text\n{usage}\n```\n\n{table}"


_VALUES = {str: "TEXT", int: "N", float: "X", Path: "PATH"}


@dataclass(frozen=True)
class _Parameter:
    """An argument or an option as it is written, what it says, and what it is unless given."""

    is_argument: bool
    written: str
    says: str
    default: str

    @classmethod
    def of(cls, parameter: inspect.Parameter) -> "_Parameter":
        annotation, about = get_args(parameter.annotation)
        kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not type(None)]
        kinds = [own for kind in kinds for own in get_args(kind) or (kind,)]
        if isinstance(about, ArgumentInfo):
            many = "..." if get_origin(annotation) is list else ""
            name = (about.metavar or parameter.name.upper()).removesuffix("...")
            return cls(True, name + many, about.help or "", "")
        # Typer keeps the name that is given first where a default would stand.
        given = [about.default] if isinstance(about.default, str) else []
        name = [*(about.param_decls or given), f"--{parameter.name.replace('_', '-')}"][0]
        flag = bool in kinds
        value = "" if flag else f" {about.metavar or next(_VALUES[k] for k in kinds if k in _VALUES)}"
        return cls(False, name + value, about.help or "", _default(parameter.default))


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "must be given"
    return "" if value is None or value is False or value == "" else f"`{value}`"


_SECTIONS = (
    ("data", recipes.Data),
    ("model", recipes.Majority),
    ("model", recipes.Linear),
    ("model", recipes.Cnn),
    ("model", recipes.Residual),
    ("model", recipes.Pretrained),
    ("model.fine_tune", recipes.FineTune),
    ("train", recipes.Train),
    ("train.loss", recipes.Loss),
    ("train.augment", recipes.Augment),
    ("decide", recipes.Decide),
)


def recipe_page() -> str:
    """Every option of a recipe, with what it may be and what it is unless given."""
    head = """# Recipe options

A recipe is a TOML file with the sections `data`, `model`, `train` and `decide`; what it leaves out takes its
default. On the command line the same keys are changed with `--set`, as in `--set train.epochs=3`; the value is read
as TOML (`--set model.filters=[16,32]`), and `none` takes an optional value away. A key or a value that a recipe does
not have is an error that names it. Changing `model.backbone` starts that model from its defaults.

```toml title="small.toml"
[model]
backbone = "cnn"
filters = [16, 32]

[train]
epochs = 10
patience = 3
```

<!-- run: add --set train.epochs=1 -->
```sh
penlight train retina-phantom --recipe small.toml --set decide.coverage=0.95
```
"""
    return _page(head, (_section(key, section) for key, section in _SECTIONS))


def _section(key: str, section: type[BaseModel]) -> str:
    title = f"`{key}`"
    if key == "model":
        backbones = get_args(section.model_fields["backbone"].annotation)
        title = f"`model`, backbone {' or '.join(f'`{b}`' for b in backbones)}"
    rows = [
        [f"`{key}.{name}`", _values(field.annotation, field.metadata), _plain(field.get_default())]
        for name, field in section.model_fields.items()
        if not _is_section(field.annotation) and name != "backbone"
    ]
    about = _text(section.__doc__)
    table = _table(["key", "value", "unless given"], rows) if rows else "No options.\n"
    return f"## {title}\n\n{about}\n\n{table}"


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


_WORDS = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`"}
_BOUNDS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}


def _values(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Say what a field may be, with its bounds."""
    metadata = [*metadata, *getattr(annotation, "__metadata__", ())]
    if hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return " or ".join("none" if part is type(None) else _values(part, metadata) for part in inner)
    if origin is tuple:
        return f"list, each a {_values(inner[0])}"
    words = _WORDS.get(annotation, "") or ", ".join(f"`{choice}`" for choice in inner)
    return ", ".join([words, *_bounds(metadata)])


def _bounds(metadata: Iterable[Any]) -> list[str]:
    flat = [part for entry in metadata for part in getattr(entry, "metadata", [entry])]
    return [
        words.format(f"{getattr(part, name):g}")
        for part in flat
        for name, words in _BOUNDS.items()
        if hasattr(part, name)
    ]


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value != "" else "must be given"


def presets_page() -> str:
    """The headers of the presets and studies that ship, and what a study file may say."""
    head = """# Presets and studies

What ships with the package. Each header says the command, what it costs and what to expect; scores are on test.
`penlight recipes` prints the presets.
"""
    presets = [f"### {name}\n\n```text\n{preset_header(name)}\n```\n" for name in preset_names()]
    studies = [_study(name) for name in study_names()]
    return _page(head, ["## Presets\n", *presets, "## Studies\n", *studies, _study_file()])


def _study(name: str) -> str:
    lines = (STUDIES_FOLDER / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    header = [line[1:].removeprefix(" ") for line in lines[: next(i for i, t in enumerate(lines) if t[:1] != "#")]]
    study = load_study(name)
    rows = [[row.title, f"`{row.recipe}`", study.view_of(row), str(study.seeds_of(row))] for row in study.rows]
    table = _table(["row", "recipe", "view", "seeds"], rows)
    return f"### {name}\n\n{study.question}\n\n```text\n{chr(10).join(header)}\n```\n\n{table}"


def _study_file() -> str:
    def keys(section: type[BaseModel]) -> str:
        rows = [
            [f"`{name}`", "" if field.is_required() else _plain(field.get_default())]
            for name, field in section.model_fields.items()
        ]
        return f"{_text(section.__doc__)}\n\n{_table(['key', 'unless given'], rows)}"

    return f"""## A study of your own

{keys(Study)}
### `[[rows]]`

{keys(StudyRow)}
```toml title="two.toml"
name = "two"
title = "Two models"
question = "Does the network beat the linear baseline?"
dataset = "retina-phantom"
seeds = 1

[[rows]]
id = "linear"
recipe = "linear"
title = "Linear baseline"

[[rows]]
id = "network"
recipe = "demo"
title = "Network"
compare_with = "linear"
```

```sh
penlight study two.toml --dry-run
```
"""


def datasets_page() -> str:
    """The catalog, and the readings of labels."""
    head = """# Datasets and views

`penlight data list` prints these, with the sizes that are on disk and every dataset that is described in a folder of
`PENLIGHT_DATA`. Sides of 28, 64, 128 and 224 pixels are known for each.
"""
    rows = [
        [
            f"`{info.name}`",
            info.title,
            info.task.kind,
            str(len(info.task.labels)),
            {1: "grey", 3: "colour"}.get(info.channels, ""),
            " / ".join(f"{n:,}" for n in info.samples.values()),
            info.licence,
        ]
        for info in CATALOG.values()
    ]
    table = _table(["name", "what it is", "task", "labels", "images", "train / val / test", "licence"], rows)
    views = [
        [
            f"`{view}`",
            ", ".join(task.kind for task in _TASKS if view in task.views),
            f"{read.words[0].upper()}{read.words[1:]}.",
        ]
        for view, read in {name: read for task in _TASKS for name, read in task.views.items()}.items()
    ]
    about = """
## Views

A view is a reading of a dataset's labels, chosen with `--view`. It may change which images count, so scores of two
views are never compared: `penlight compare` refuses it, and a study keeps a table for each.
"""
    return _page(head, [table, about, _table(["view", "of tasks", "which images count, and what is learned"], views)])


def metrics_page() -> str:
    """Every metric: its name in JSON, what it is, where it is undefined, the tasks that have it."""
    head = """# Metrics

A row of `metrics` in JSON is `{"name", "label", "value", "low", "high", "n", "note"}`: `label` is null for the whole,
`low` and `high` bound the 95 % interval, `n` counts the images that it rests on, and `note` says why a value is
undefined (null) or what else to know. Over several seeds `value` is their mean, of several folds that of all their
predictions together, and `sd` is added, the standard deviation of the values of single seeds or folds.

Answers are decided by what val found: calibration, thresholds. Rows that MedMNIST's evaluator has are marked
*official* and computed by its definition. How intervals are made: [Why intervals](../explanations/intervals.md).
"""
    whole = [_metric(key, metric) for key, metric in METRICS.items() if not metric.per_label]
    labels = [_metric(key, metric) for key, metric in METRICS.items() if metric.per_label]
    columns = ["name", "what it is", "better", "undefined where", "tasks"]
    return _page(head, ["## Of the whole\n", _table(columns, whole), "## Of each label\n", _table(columns, labels)])


def _metric(key: str, metric: Metric) -> list[str]:
    tasks = list(dict.fromkeys(task.kind for task in (*_TASKS, *_WITH_MORE) if key in task.metrics))
    official = " *official*" if metric.official else ""
    better = "" if metric.better == "neither" else metric.better
    return [f"`{metric.name}`{official}", metric.meaning, better, metric.undefined, ", ".join(tasks)]


def python_page() -> str:
    """Every public name of `penlight`: its signature and its docstring."""
    head = """# Python

`import penlight as pl`. Each function takes plain values, raises a `penlight.errors.PenlightError` where a user
can help (`problem` says what was expected and what came, `remedy` what to do), and gives a result whose `to_dict()`
is the JSON of the command.

```python
from pathlib import Path

import penlight as pl

recipe = pl.resolve_recipe("retina-phantom", "linear", [])
result = pl.train(recipe, out=Path("runs/first"))
result.scores.frame()[["value", "low", "high", "majority"]]
```
"""
    members = [getattr(pl, name) for name in pl.__all__]
    functions = [m for m in members if inspect.isfunction(m)]
    classes = [m for m in members if inspect.isclass(m)]
    return _page(
        head,
        [
            "## Functions\n",
            *(f"### {f.__name__}\n\n```text\n{_signature(f)}\n```\n\n{_text(f.__doc__)}\n" for f in functions),
            "## Results\n",
            *(_class(c) for c in classes),
        ],
    )


def _signature(function: Any) -> str:
    """Give the signature as it is written, an argument a line where it is long."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    arguments = ast.unparse(node.args).replace("'", '"')
    gives = f" -> {ast.unparse(node.returns)}".replace("'", "") if node.returns else ""
    line = f"{node.name}({arguments}){gives}"
    return line if len(line) <= 100 else f"{node.name}(\n    " + ",\n    ".join(_split(arguments)) + f",\n){gives}"


def _split(arguments: str) -> list[str]:
    """Split at commas that are not inside brackets."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _class(of: type) -> str:
    fields = [f"`{name}`" for name in getattr(of, "__dataclass_fields__", {})]
    held = f"\n\nHolds {', '.join(fields)}." if fields else ""
    methods = [
        f"- `{_signature(m).replace(chr(10), ' ')}`: {_first_line(m)}"
        for name, m in vars(of).items()
        if inspect.isfunction(m) and not name.startswith("_")
    ]
    # What pydantic computes for JSON is a property too.
    own = {name: getattr(m, "wrapped", m) for name, m in vars(of).items()}
    properties = [f"- `{name}`: {_first_line(m)}" for name, m in own.items() if isinstance(m, property) and m.__doc__]
    listed = "".join(f"\n{line}" for line in (*properties, *methods))
    return f"### {of.__name__}\n\n{_text(of.__doc__)}{held}\n" + (f"{listed}\n" if listed else "")


def _page(head: str, parts: Iterable[str]) -> str:
    text = "\n".join([_WRITTEN, head, *parts])
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip() + "\n"


def _text(docstring: str | None) -> str:
    return _escaped(inspect.cleandoc(docstring or ""))


def _escaped(text: str) -> str:
    """Keep "runs/<name>" from being read as a tag, which a page would not show; what is code is left as it is."""
    return "".join(
        part if part.startswith("`") else part.replace("<", "&lt;") for part in re.split(r"(`[^`]*`)", text)
    )


def _first_line(of: Any) -> str:
    return _text(of.__doc__).split("\n\n")[0].replace("\n", " ")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_escaped(cell.replace("|", "\\|")) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


PAGES = {
    "commands": commands_page,
    "recipe": recipe_page,
    "presets": presets_page,
    "datasets": datasets_page,
    "metrics": metrics_page,
    "python": python_page,
}
"""Name of a page in docs/reference to what writes it."""


def main() -> None:
    """Write every page."""
    for name, write in PAGES.items():
        (FOLDER / f"{name}.md").write_text(write(), encoding="utf-8")


if __name__ == "__main__":
    main()
