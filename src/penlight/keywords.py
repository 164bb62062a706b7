"""What a text says of the options of commands, said as the keywords of Python: `--size 64` as `size=64`.

Errors are written once, as commands have them, and a person in Python reads them as Python has them.
"""

import csv
import re

_OPTIONS = {
    "all": "every_pair=True",
    "cancel": "pl.cancel_jobs",
    "detach": "pl.submit",
    "dry-run": "dry_run=True",
    "drop-unlabelled": "drop_unlabelled=True",
    "licence-checked": "licence_checked=True",
    "no-auth": "no_auth=True",
    "no-images": "images=False",
    "quiet": "quiet=True",
    "status": "pl.jobs",
    "skip-unreadable": "skip_unreadable=True",
    "with-images": "images=True",
    "allowed-host": "allowed_hosts",
    "label-column": "label_columns",
    "labels": "order",
    "time": "seconds",
}
"""Switches, and options whose keyword has another name; all others have it with underscores."""

_LISTS = {"allowed_hosts", "forwarded_allow_ips", "ignore", "join", "label_columns", "order", "rows"}

_FUNCTIONS = {
    "data audit": "audit",
    "data fetch": "fetch",
    "data list": "list_datasets",
    "data new": "new_dataset",
    "data show": "show",
    "encoders add": "add_encoder",
    "encoders fetch": "fetch_encoder",
    "encoders inspect": "inspect_encoder",
    "encoders list": "list_encoders",
    "recipes": "list_recipes",
    "serve": "serve_runs",
}
"""Commands whose function has another name."""

_SWITCHED = {
    "for_sharing": "export_for_sharing",
    "images=False": "export_without_images",
    "corruptions": "evaluate_corrupted",
}
"""Switches that are a function of their own."""

# A word after an option that is no value of it: what follows is a sentence about the option.
_PROSE = (
    r"(?!(?:an?|and|does|gives|has|if|is|leaves|makes|may|must|names|one|or|out|shows|takes|trains|where|with)\b)"
)
_WORD = r"(?:'[^']*'|\"[^\"]*\"|,(?= \()|(?:\.\.\.|[^\s'\"`.,;:()]|[.,:](?=[^\s`)]))++)"
_OPTION = rf"--[a-z][a-z0-9-]*(?:[ =]{_PROSE}(?!--){_WORD})?"
_NAME = r"((?:(?:data|encoders) )?[a-z]+)"
_COMMAND = rf"(?:(?<=: )|(?<=; )|(?<=with ))penlight {_NAME}((?: (?:{_OPTION}|{_PROSE}{_WORD}))+)"


def in_python(text: str) -> str:
    """Give a text with the options and commands in it as keywords and functions of `penlight`."""
    if "--" not in text and "penlight " not in text:
        return text
    text = re.sub(rf"`penlight {_NAME}`", lambda found: f"`pl.{_function(found[1])}`", text)
    text = re.sub(_COMMAND, _called, text)
    # Options that stand side by side are two arguments.
    several = rf"(?<![\w-])({_OPTION})( (?=--[a-z]))?"
    text = re.sub(several, lambda found: _keyword(found[1]) + (", " if found[2] else ""), text)
    # An option that is given twice is one list.
    return text.replace("], ignore=[", ", ")


def _function(command: str) -> str:
    return _FUNCTIONS.get(command, command)


def _called(found: re.Match[str]) -> str:
    """Say a command as a call."""
    name, given = _function(found[1]), []
    for part in re.findall(rf"{_OPTION}|{_WORD}", found[2]):
        if not part.startswith("--"):
            given.append(_value(part))
        elif (keyword := _keyword(part)) in _SWITCHED or keyword.rstrip("=") in _SWITCHED:
            name = _SWITCHED[keyword.rstrip("=")] if name in ("export", "evaluate") else name
        else:
            given.append(keyword)
    return f"pl.{name}({', '.join(given)})"


def _keyword(option: str) -> str:
    """Say an option, with its value where it has one, as a keyword."""
    name, _, value = re.sub(r"[ =]", "\0", option[2:], count=1).partition("\0")
    if name == "set" and value:
        key, _, value = value.strip("'\"").partition("=")
        name = key.rpartition(".")[2]
        if key == "model.backbone" and ".py" in value:
            name = "model"
        elif key == "train.loss.kind":
            name = "loss"
    elif name == "set":
        name = "options"
    keyword = _OPTIONS.get(name, name.replace("-", "_"))
    if "=" in keyword or not value:
        return keyword if "=" in keyword else f"{keyword}="
    if keyword in _LISTS:
        mark = value[0] if value[0] in "'\"" else ""
        row = next(csv.reader([value.strip("'\"")]))
        return f"{keyword}=[{', '.join(_value(f'{mark}{own.strip()}{mark}') for own in row)}]"
    return f"{keyword}={_value(value)}"


def _value(text: str) -> str:
    """Say a value as Python has it: numbers, dots and words in capitals, which stand for something, as they are."""
    if text[:1] in ("'", '"'):
        return f'"{text[1:-1]}"'
    if re.fullmatch(r"[0-9.]+|[A-Z][A-Z0-9]*|\.\.\.|true|false", text):
        return text.title() if text in ("true", "false") else text
    return f'"{text}"'
