"""Help texts of the commands: examples first, options in groups, nothing cut at any width; near names of mistakes."""

import difflib
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from penlight.cli.show.lines import WIDTH_WITHOUT_TERMINAL, terminal_width, wrapped

COMMAND_GROUPS: Mapping[str, Sequence[str]] = {
    "Train": ("demo", "train", "study", "tune"),
    "Evaluate": ("evaluate", "score", "compare", "report", "explain"),
    "Use a model": ("predict", "serve", "export", "track"),
    "Look up": ("data", "encoders", "recipes", "completion"),
}
"""The commands by what they are for; one that is in no group comes last."""

OPTION_GROUPS: Mapping[str, Sequence[str]] = {
    "Recipe": ("recipe", "budget", "overrides"),
    "Data": ("dataset", "truth", "task", "view", "size", "images"),
    "Tables and folders": (
        "path_column",
        "label_column",
        "patient_column",
        "split_column",
        "label_in_name",
        "patient_in_name",
        "unnamed_patients",
        "folders",
        "join",
        "separator",
        "label_map",
        "uncertain",
        "blank",
        "keep_rows",
        "drop_unlabelled",
        "ending",
        "file_names",
        "encoding",
        "ignore",
        "frame",
    ),
    "Seeds and folds": ("seed", "seeds", "ensemble", "folds", "repeats", "no_test"),
    "Search": ("trials", "time", "sampler", "space", "storage", "workers"),
    "Access": ("token_file", "no_auth", "allowed_host", "root_path", "forwarded_allow_ips"),
    "Output": ("no_images", "out", "csv", "track", "full", "json", "quiet"),
}
"""The options by what they are about; others come first, as they are what the command itself is about."""

EXAMPLES: Mapping[str, Sequence[str]] = {
    "": ("penlight demo", "penlight train retinamnist", "penlight evaluate runs/retinamnist-plan-1"),
    "demo": ("penlight demo", "penlight demo --full --out runs/demo"),
    "train": (
        "penlight train retinamnist",
        "penlight train retinamnist --recipe cnn --seeds 3 --set train.epochs=10",
        "penlight train retinamnist --set model.backbone=my_nets.py:build",
        "penlight train films.toml --budget 5m --folds 5",
        "penlight train runs/demo/recipe.toml --out runs/again",
    ),
    "study": (
        "penlight study retina --dry-run",
        "penlight study retina --seeds 3",
        "penlight study resolution retinamnist --recipe cnn",
    ),
    "tune": (
        "penlight tune retinamnist --trials 20",
        "penlight tune retinamnist --recipe residual --time 10m --workers 2",
    ),
    "evaluate": ("penlight evaluate runs/demo", "penlight evaluate runs/demo --split val --full"),
    "explain": (
        "penlight explain runs/demo eye.png --neighbours 3",
        "penlight explain runs/demo --split test --rows 3,17",
    ),
    "score": (
        "penlight score test.csv --dataset retinamnist",
        "penlight score test.csv --dataset retinamnist --val val.csv",
        "penlight score mine.csv --truth labels.csv --out runs/mine",
    ),
    "compare": (
        "penlight compare runs/a runs/b --out comparison.html",
        "penlight compare runs/a runs/a:linear other.csv --metric qwk",
    ),
    "report": ("penlight report runs/demo", "penlight report runs/demo --no-images --out report.html"),
    "export": ("penlight export runs/demo --out model.onnx", "penlight export runs/demo --for-sharing"),
    "predict": ("penlight predict runs/demo eye.png", "penlight predict runs/demo folder --csv answers.csv"),
    "serve": ("penlight serve runs", "penlight serve runs/demo --port 8080"),
    "track": (
        "penlight track runs/demo --to mlflow:sqlite:///experiments.db",
        "penlight track runs/demo --to tensorboard:events",
    ),
    "recipes": ("penlight recipes",),
    "completion": (
        "penlight completion bash > ~/.local/share/bash-completion/completions/penlight",
        "penlight completion zsh > ~/.zfunc/_penlight",
        "penlight completion fish > ~/.config/fish/completions/penlight.fish",
    ),
    "encoders": ("penlight encoders list", "penlight encoders add densenet.onnx --pixels imagenet"),
    "encoders list": ("penlight encoders list",),
    "encoders inspect": ("penlight encoders inspect densenet.onnx",),
    "encoders add": ("penlight encoders add densenet.onnx --pixels imagenet --licence MIT",),
    "encoders fetch": ("penlight encoders fetch mobilenetv2-12",),
    "data": ("penlight data list", "penlight data new my-images"),
    "data list": ("penlight data list",),
    "data fetch": ("penlight data fetch retinamnist", "penlight data fetch retinamnist --size 64"),
    "data new": (
        "penlight data new my-images --size 64",
        "penlight data new films.csv --images films --task multi-label",
    ),
    "data show": ("penlight data show retinamnist",),
    "data audit": ("penlight data audit retinamnist",),
}
"""Examples by the words of the command."""

_WIDEST = 120
_NARROW = 60
_LONGEST_TERM = 26
_VALUES = {"str": "TEXT", "text": "TEXT", "any": "TEXT", "int": "N", "integer": "N", "float": "X", "path": "PATH",
           "file": "PATH", "directory": "PATH"}  # fmt: skip
_TYPE = re.compile(r"<?\b(str|text|any|int|integer|float|path|file|directory)( range)?\b>?$", re.IGNORECASE)


class HelpfulCommand(TyperCommand):
    """A command whose help has examples, and its options in the groups that `rich_help_panel` names."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write usage, what the command does, examples, arguments and options."""
        _write(formatter, [*_head(self, ctx), *_parameters(self, ctx)])


class HelpfulGroup(TyperGroup):
    """A group of commands that lists them in groups, each with its whole first sentence."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write usage, examples, the commands in their groups and options."""
        lines = _head(self, ctx)
        left = [name for name in self.list_commands(ctx) if not self.commands[name].hidden]
        groups = {title: [name for name in names if name in left] for title, names in COMMAND_GROUPS.items()}
        known = {name for names in groups.values() for name in names}
        groups["Commands"] = [name for name in left if name not in known]
        column = max(map(len, left))
        for title, names in groups.items():
            rows = [(name, self.commands[name].get_short_help_str(10_000)) for name in names]
            lines += _section(title, rows, column)
        _write(formatter, [*lines, *_parameters(self, ctx)])


def with_help(group: typer.Typer) -> None:
    """Give every command of a group, and of the groups in it, the help of this module."""
    group.info.cls = HelpfulGroup
    for command in group.registered_commands:
        command.cls = HelpfulCommand
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            with_help(inner.typer_instance)


def _write(formatter: Any, lines: Iterable[str]) -> None:
    formatter.write("\n".join(lines) + "\n")


def _width() -> int:
    return min(terminal_width() or WIDTH_WITHOUT_TERMINAL, _WIDEST)


def _head(command: Any, ctx: Any) -> list[str]:
    """Give the usage, what the command does, and examples."""
    about = inspect.cleandoc(command.help or "").split("\n\n")
    given = [_argument(p) for p in command.params if p.param_type_name == "argument"]
    needed = [p.required for p in command.params if p.param_type_name == "argument"]
    words = [name if must else f"[{name}]" for name, must in zip(given, needed, strict=True)]
    words += ["COMMAND", "..."] if hasattr(command, "commands") else []
    lines = _wrapped(" ".join(["Usage:", ctx.command_path, "[OPTIONS]", *words]), after="    ")
    for paragraph in about:
        lines += ["", *_wrapped(paragraph, "  ")]
    # An example is there to be copied: it is not broken.
    examples = EXAMPLES.get(" ".join(ctx.command_path.split()[1:]), ())
    return [*lines, "", "Examples:", *(f"  {example}" for example in examples)] if examples else lines


def _parameters(command: Any, ctx: Any) -> list[str]:
    """Give the arguments, and the options by their groups."""
    of_option = {name: title for title, names in OPTION_GROUPS.items() for name in names}
    titles = ("Arguments", "Options", *OPTION_GROUPS, "Help")
    sections: dict[str, list[tuple[str, str]]] = {title: [] for title in titles}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is None:
            continue
        term, says = record[0], _with_range(record[1])
        if param.param_type_name == "argument":
            title, row = "Arguments", (_argument(param), says.replace(" [required]", ""))
        else:
            title = "Help" if set(param.opts) & {"--help", "--version"} else of_option.get(param.name, "Options")
            row = (_TYPE.sub(lambda found: _VALUES[found[1].lower()], term), says)
        sections[title].append(row)
    column = min(max((len(term) for rows in sections.values() for term, _ in rows), default=0), _LONGEST_TERM)
    return [line for title, rows in sections.items() for line in _section(title, rows, column)]


def _argument(param: Any) -> str:
    """Name an argument as in the usage: DATASET, PATHS..."""
    name = (param.metavar or param.name.upper()).removesuffix("...")
    return f"{name}..." if param.nargs != 1 else str(name)


def _with_range(says: str) -> str:
    """Say a range as "at least 1", where Typer has "x>=1", in a text without line ends."""
    says = " ".join(says.split())
    says = re.sub(r"(\d+)<=x<=(\d+)", r"\1 to \2", says)
    return re.sub(r"x>=(\d+)", r"at least \1", says)


def _section(title: str, rows: Sequence[tuple[str, str]], column: int) -> list[str]:
    """Give a title, and a line or more for each term; on a narrow terminal what is said of it is below it."""
    if not rows:
        return []
    lines = ["", f"{title}:"]
    for term, says in rows:
        if _width() < _NARROW:
            lines += [*_wrapped(term, "  "), *_wrapped(says, "      ")]
        elif len(term) > column:
            lines += [f"  {term}", *_wrapped(says, " " * (column + 4))]
        else:
            lines += _wrapped(says, f"  {term:<{column}}  ", " " * (column + 4))
    return lines


def _wrapped(text: str, first: str = "", after: str | None = None) -> list[str]:
    return wrapped(text, _width(), first, first if after is None else after)


def explained(error: Any) -> list[str]:
    """Say what is wrong with the words of a command line, what is known, and how the command is given."""
    ctx, param = error.ctx, getattr(error, "param", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(error.message).split("\n")
    if ctx is None:
        return [f"Error: {error.format_message()}"]
    command, path = ctx.command, " ".join(ctx.command_path.split()[1:])
    lines = [f"Error: {error.format_message()}"]
    if hasattr(command, "commands"):
        # Typer has named the nearest command, if one is near.
        known = "" if "Did you mean" in lines[0] else f" Known: {', '.join(command.commands)}."
        return [lines[0] + known, f"Help: {ctx.command_path} --help"]
    if type(error).__name__ == "MissingParameter" and param is not None:
        name = _argument(param) if param.param_type_name == "argument" else "/".join(param.opts)
        lines = [f"Error: {name} is missing: {param.help}"]
    elif hasattr(error, "option_name") and hasattr(error, "possibilities"):
        lines = [f"Error: {_no_such_option(command, error.option_name)}"]
    lines += [f"Example: {example}" for example in EXAMPLES.get(path, ())[:1]]
    return [*lines, f"Help: {ctx.command_path} --help"]


def _no_such_option(command: Any, name: str) -> str:
    """Say that an option is not known, and the nearest; or how an option of the recipe is given."""
    options = [param for param in command.params if param.param_type_name == "option"]
    known = sorted({opt for param in options for opt in (*param.opts, *param.secondary_opts)} | {"--help"})
    said = f"There is no option {name}."
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
    if "--set" in known:
        from penlight.api.options import keys_by_keyword

        keys, keyword = keys_by_keyword(), name.lstrip("-").replace("-", "_")
        of_recipe = [keyword] if keyword in keys else [] if near else difflib.get_close_matches(keyword, keys, 1, 0.8)
        if of_recipe:
            return f"{said} An option of the recipe is given as --set {keys[of_recipe[0]]}=VALUE."
    return f"{said} Did you mean {' or '.join(near)}?" if near else f"{said} Known: {', '.join(known)}."
