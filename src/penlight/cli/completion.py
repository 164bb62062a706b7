"""Completion of the shell: of commands and options, and of names of datasets, recipes, studies and run folders.

A script of the shell asks this module by the environment, as those of Click and Typer do: `_PENLIGHT_COMPLETE` names
the shell, and the words so far are in `COMP_WORDS` and `COMP_CWORD` (bash), or in `_TYPER_COMPLETE_ARGS` (zsh, fish).
It reads names of files alone, and imports nothing of the package that is slow; an error is an answer without lines.
"""

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

VARIABLE = "_PENLIGHT_COMPLETE"

_PACKAGE = Path(__file__).parents[1]
# Names are put on the command line as they are: one with a space, or with what a shell obeys, is left to the shell's
# own completion of files, which quotes it.
_PLAIN = re.compile(r"[\w./+@,=-]+")
_MOST_FOLDERS = 1000
_OF_RUN = ("manifest.json", "summary.json", "study.json", "sweep.json", "group.json")

_Names = Callable[[str], Iterable[str]]


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))


def _toml_files(begun: str) -> Iterator[str]:
    """Give the TOML files of the folder that the word is in, as it writes them."""
    parent = begun.rpartition("/")[0] + "/" * ("/" in begun)
    yield from (f"{parent}{path.name}" for path in sorted(Path(parent or ".").glob("*.toml")))


def _datasets(begun: str) -> Iterator[str]:
    """Give the catalog, phantoms, descriptions in PENLIGHT_DATA and the package, and those used here before."""
    import tomllib

    from penlight.data.folders import environment_folders
    from penlight.data.remembered import remembered_files

    yield from tomllib.loads((_PACKAGE / "data" / "catalog.toml").read_text(encoding="utf-8"))
    for folder in (_PACKAGE / "data" / "descriptions", *environment_folders()):
        yield from _stems(folder)
    yield from (name for name in remembered_files() if name.endswith(".toml"))
    yield from _toml_files(begun)


def _recipes(begun: str) -> Iterator[str]:
    yield from _stems(_PACKAGE / "recipes" / "presets")
    yield from _toml_files(begun)


def _studies(begun: str) -> Iterator[str]:
    yield from (*_stems(_PACKAGE / "recipes" / "studies"), "medmnist2d", "resolution")
    yield from _toml_files(begun)


def _runs(begun: str) -> Iterator[str]:
    """Give the folders that the word may go on to: runs, groups of runs, and folders on the way to them, with a
    slash behind; without a word also what is in runs/."""
    parent = begun.rpartition("/")[0] + "/" * ("/" in begun)
    for place in (parent, "runs/") if not begun else (parent,):
        with contextlib.suppress(OSError), os.scandir(place or ".") as found:
            for entry in sorted((e for _, e in zip(range(_MOST_FOLDERS), found, strict=False)), key=lambda e: e.name):
                if entry.is_dir() and not entry.name.startswith("."):
                    is_run = any(os.path.lexists(Path(entry.path) / name) for name in _OF_RUN)
                    yield f"{place}{entry.name}{'' if is_run else '/'}"


def _one_of(*names: str) -> _Names:
    return lambda begun: names


_VALUES: Mapping[str, _Names] = {
    "dataset": _datasets,
    "recipe": _recipes,
    "study name": _studies,
    "run": _runs,
    "runs": _runs,
    "against": _runs,
    "explain split": _one_of("train", "val", "test"),
    "split": _one_of("val", "test"),
    "view": _one_of("native"),
    "size": _one_of("28", "64", "128", "224"),
    "sampler": _one_of("tpe", "gp"),
    "method": _one_of("auto", "occlusion", "cam", "gradcam", "hirescam"),
    "export to": _one_of("onnx", "keras"),
    "task": _one_of("multi-class", "ordinal", "binary", "multi-label"),
    "shell": _one_of("bash", "zsh", "fish"),
}
"""What a parameter may be, by its name, or by the command's and its own; others are files, left to the shell."""


def complete(shell: str) -> None:
    """Print what the word at the cursor may become, a line each; nothing where that is not known."""
    with contextlib.suppress(BaseException):
        if shell == "complete_bash":
            words = os.environ["COMP_WORDS"].split("\n" if "\n" in os.environ["COMP_WORDS"] else None)
            at = int(os.environ["COMP_CWORD"])
            words = [*words[:at], words[at] if at < len(words) else ""]
        else:
            text = os.environ["_TYPER_COMPLETE_ARGS"]
            words = [*_split(text), *([""] if text.endswith(" ") else [])]
        lines = [
            f"{name}	{' '.join(about.split())}" if about and shell != "complete_bash" else name
            for name, about in completions(words[1:])
        ]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def completions(words: list[str]) -> list[tuple[str, str]]:
    """Give what the last of the words after "penlight" may become, with what it is where it is of a command."""
    import typer

    from penlight.cli.app import app

    *before, begun = words
    command: Any = typer.main.get_command(app)
    path: list[str] = []
    while hasattr(command, "commands"):
        if not before:
            named = {name: own.get_short_help_str(200) for name, own in command.commands.items() if not own.hidden}
            return _begun(begun, named if not begun.startswith("-") else _options(command, []))
        name, *before = before
        if name.startswith("-"):
            continue
        if name not in command.commands:
            return []
        command = command.commands[name]
        path.append(name)
    param, begun = _at_cursor(command, before, begun)
    if param is None:
        return _begun(begun, _options(command, before)) if begun.startswith("-") else []
    values = _VALUES.get(f"{path[-1]} {param.name}") or _VALUES.get(param.name)
    return [] if values is None else _begun(begun, dict.fromkeys(values(begun), ""))


def _at_cursor(command: Any, before: list[str], begun: str) -> tuple[Any, str]:
    """Find whose value the word is: an option's that is before it, or the next argument's; None where it is the name
    of an option."""
    options = {name: param for param in command.params for name in param.opts if name.startswith("-")}
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    # bash divides --recipe=cnn at the sign.
    words = [word for word in before if word != "="]
    if begun == "=":
        begun = ""
    waiting, position = None, 0
    for word in words:
        if waiting is not None:
            waiting = None
        elif word.startswith("-"):
            option = options.get(word)
            waiting = None if option is None or option.is_flag else option
        else:
            position += 1
    if waiting is not None:
        return waiting, begun
    if begun.startswith("-"):
        return None, begun
    several = bool(arguments) and arguments[-1].nargs == -1
    place = min(position, len(arguments) - 1) if several else position
    return (arguments[place] if place < len(arguments) else None), begun


def _options(command: Any, before: list[str]) -> dict[str, str]:
    """Give the options that were not given yet, or may be repeated, with their help."""
    named = {
        name: param.help or ""
        for param in command.params
        if param.param_type_name == "option" and (param.multiple or not set(param.opts) & set(before))
        for name in (*param.opts, *param.secondary_opts)
    }
    return {**named, "--help": "Show this message and exit."}


def _begun(begun: str, named: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, about) for name, about in named.items() if name.startswith(begun) and _PLAIN.fullmatch(name)]


SCRIPTS: Mapping[str, str] = {
    "bash": r"""_penlight() {
    local IFS=$'\n'
    COMPREPLY=( $(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \
        _PENLIGHT_COMPLETE=complete_bash "$1" 2>/dev/null) )
    # Behind a folder on the way to runs no space.
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace
    return 0
}
complete -o default -F _penlight penlight
""",
    "zsh": r"""#compdef penlight
_penlight() {
    local line
    local -a found folders
    for line in "${(@f)$(_TYPER_COMPLETE_ARGS="${(j: :)words[1,CURRENT]}" \
            _PENLIGHT_COMPLETE=complete_zsh $words[1] 2>/dev/null)}"; do
        [[ $line == */ ]] && folders+=("$line") || { [[ -n $line ]] && found+=("${line/$'\t'/:}"); }
    done
    (( $#folders )) && compadd -Q -S '' -- $folders
    (( $#found )) && _describe -V 'penlight' found
    (( $#folders + $#found )) || _files
}
(( $+functions[compdef] )) && compdef _penlight penlight
""",
    "fish": r"""function __penlight_complete
    set -lx _PENLIGHT_COMPLETE complete_fish
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp)
    penlight 2>/dev/null
end
complete --command penlight --no-files --condition 'count (__penlight_complete) >/dev/null' \
    --arguments '(__penlight_complete)'
complete --command penlight --force-files --condition 'not count (__penlight_complete) >/dev/null'
""",
}
"""The script of each shell; none of them has the shell read an answer as code."""
