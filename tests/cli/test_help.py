"""Help and mistakes on the command line: nothing is cut, examples can be run, and the nearest names are given."""

import re

import pytest
import typer

from penlight.cli import help as helping
from penlight.cli.app import app

ROOT = typer.main.get_command(app)


def walk(command, words=()):
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, (*words, name))


COMMANDS = {" ".join(words): command for words, command in walk(ROOT)}


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_help_with_an_example(penlight, words, flag):
    code, out, _ = penlight(*words.split(), flag)
    assert code == 0
    assert "Usage: penlight" in out
    for example in helping.EXAMPLES[words]:
        assert example in out


@pytest.mark.parametrize("example", [line for lines in helping.EXAMPLES.values() for line in lines])
def test_examples_are_words_that_the_command_takes(example):
    words = example.split(" > ")[0].split()[1:]
    command = ROOT
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("words", COMMANDS)
def test_help_is_whole_at_any_width(penlight, terminal, words, width):
    terminal(width)
    _, out, _ = penlight(*words.split(), "--help")
    assert "..." not in re.sub(
        r"[A-Z]+ ?\.\.\.|\(retina, medmnist2d, \.\.\.\)|p0,p1,\.\.\.", "", " ".join(out.split())
    )
    said = " ".join(out.split())
    for param in COMMANDS[words].params:
        assert " ".join((param.help or "").split()) in said
    for line in out.splitlines():
        assert len(line) <= width or line.startswith("  penlight ")


def test_every_command_is_in_a_group_of_the_list(penlight):
    listed = {name for names in helping.COMMAND_GROUPS.values() for name in names}
    assert listed == set(ROOT.commands)
    out = penlight("--help")[1]
    assert all(f"\n{title}:\n" in out for title in helping.COMMAND_GROUPS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "Did you mean 'train'"),
        (["xyz"], "Known: demo, train, study,"),
        (["data", "lst"], "Did you mean 'list'?"),
        (["train"], "DATASET is missing: A dataset's name"),
        (["train"], "Example: penlight train retinamnist"),
        (["train"], "Help: penlight train --help"),
        (["score", "x.csv"], "Give --dataset, or --truth"),
        (["train", "x", "--sede", "3"], "Did you mean --seed"),
        (["train", "x", "--epochs", "3"], "--set train.epochs=VALUE"),
        (["train", "x", "--epoch", "3"], "--set train.epochs=VALUE"),
        (["train", "x", "--lr", "3"], "Known: --budget, --cancel, --cluster, --detach,"),
        (
            ["predict", "x", "y", "--zzz"],
            "Known: --cancel, --cluster, --csv, --detach, --help, --json, --on, --out",
        ),
        (["train", "x", "--seeds", "none"], "--seeds"),
    ],
)
def test_a_mistake_is_answered_with_what_is_known(penlight, words, said):
    code, out, err = penlight(*words)
    assert (code, out) == (2, "")
    assert said in err


def test_without_words_the_commands_are_listed(penlight):
    code, _, err = penlight()
    assert code == 2
    assert "penlight train retinamnist" in err
    assert "…" not in err


@pytest.mark.parametrize("width", [40, 60, 80])
def test_errors_are_broken_between_words(penlight, terminal, width):
    terminal(width)
    _, _, err = penlight("train", "retinamist")
    assert max(map(len, err.splitlines())) <= width
    assert " ".join(err.split()).endswith("Did you mean retinamnist or organamnist or breastmnist?")


def test_colour_is_of_errors_alone_and_only_where_it_is_wanted(penlight, terminal, monkeypatch):
    terminal(80)
    assert "\x1b" not in penlight("trian")[2]
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    assert penlight("trian")[2].startswith("\x1b[31mError:\x1b[0m No such")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in penlight("trian")[2]
