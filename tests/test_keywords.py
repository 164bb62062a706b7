"""Errors name options as the reader has them: commands `--out`, Python `out=`."""

import ast
import inspect
import re
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

import penlight as pl
from penlight.api.progress import TrainingView, shows
from penlight.cli import main
from penlight.cli.app import app
from penlight.data.own.listing import AskedLayout
from penlight.errors import PenlightError
from penlight.keywords import in_python
from penlight.models.encoder_file import Said
from tests.remembered import draw_once
from tests.trained import trained

SOURCE = Path(pl.__file__).parent


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Choose another folder with --out, or delete it.", "Choose another folder with out=, or delete it."),
        ("Give files, or --split test --rows 3,17.", 'Give files, or split="test", rows=[3, 17].'),
        ("as with --set train.batch_size=16.", "as with batch_size=16."),
        ("Name it: --set model.backbone=FILE.py:NAME, or", 'Name it: model="FILE.py:NAME", or'),
        ("Make it: penlight export runs/a.b --to onnx", 'Make it: pl.export("runs/a.b", to="onnx")'),
        ("Get one with penlight data fetch NAME, or", "Get one with pl.fetch(NAME), or"),
        ("a copy: penlight export 'my run' --no-images", 'a copy: pl.export_without_images("my run")'),
        ("Score it with `penlight score`.", "Score it with `pl.score`."),
        (
            "--label-column 'a,b c' (two); --separator , (one)",
            'label_columns=["a", "b c"] (two); separator="," (one)',
        ),
        ("--label-column 'BIRADS' (grades)", 'label_columns=["BIRADS"] (grades)'),
        ("--ignore 'a.csv' --ignore 'b/*' (none)", 'ignore=["a.csv", "b/*"] (none)'),
        (
            "Say which: penlight data new 'a' (one); penlight data new TABLE (two).",
            'Say which: pl.new_dataset("a") (one); pl.new_dataset(TABLE) (two).',
        ),
        ("--order gives 3 names", "order= gives 3 names"),
        ("--folders '*/{split}/{label}' or --size 64.", 'folders="*/{split}/{label}" or size=64.'),
        ("The path a--out/b and a -- b stay.", "The path a--out/b and a -- b stay."),
    ],
)
def test_options_become_keywords(text, said):
    assert in_python(text) == said


def commands():
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        yield from [(name, command)] if inner is None else [(f"{name} {own}", each) for own, each in inner.items()]


# Options that only a command has: what it prints; and those that are a function of their own.
ONLY_PRINTED = {"--json", "--full", "--yes", "--help", "--csv"}
FUNCTIONS = {"--corruptions", "--for-sharing", "--no-test", "export --no-images", "study --dry-run", "score --set"}
# pl.submit, pl.jobs and pl.cancel_jobs
FUNCTIONS |= {"--detach", "--status", "--cancel"}
FUNCTIONS |= {f"recipes {option}" for option in ("--budget", "--view", "--size")}  # pl.plan


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_option_is_a_keyword_of_the_function(name, command):
    called = re.match(r"pl\.(\w+)", in_python(f": penlight {name} X")[2:])
    if name in ("completion", "predict"):
        return
    function = getattr(pl, called[1])
    known = {*inspect.signature(function).parameters, *(own.name for own in fields(AskedLayout)), *Said.model_fields}
    images = {"images"} if "dataset" in known else set()  # pl.name_images
    for parameter in command.params:
        for option in {*parameter.opts, *parameter.secondary_opts}:
            if option.startswith("--") and not {option, f"{name} {option}"} & (ONLY_PRINTED | FUNCTIONS):
                assert in_python(option).partition("=")[0] in known | images, option


def texts_of_source():
    for path in SOURCE.rglob("*.py"):
        content = path.read_text()
        if "--" not in content or "cli" in path.parts:
            continue
        tree = ast.parse(content)
        inside = {
            id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
        }  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [own.value if isinstance(own, ast.Constant) else "X" for own in node.values]
                yield path, "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                yield path, node.value


def test_no_text_of_the_package_keeps_an_option():
    found = [(path.name, text) for path, text in texts_of_source() if re.search(r"(?<![\w-])--[a-z]", text)]
    assert len(found) > 100
    assert [own for own in found if re.search(r"(?<![\w-])--[a-z]", in_python(own[1]))] == []


def wrong_calls(folder):
    run = trained("grades")
    yield "out", lambda: pl.train("retina-phantom", "majority", out=run)
    yield "budget", lambda: pl.train("retina-phantom", "cnn", budget=60)
    yield "storage", lambda: pl.tune("retina-phantom", "linear", trials=1, storage="nothing://x", out=folder / "tune")
    yield "dataset", lambda: pl.score(np.full((4, 2), 0.5), split="test")
    yield "dataset", lambda: pl.compare(str(folder / "a.csv"), str(folder / "b.csv"))
    yield "split", lambda: pl.explain(run)
    yield "out", lambda: pl.export_for_sharing(run, run)
    yield "out", lambda: pl.sweep(out=run)
    yield "out", lambda: pl.study("retina", out=run)
    yield "images", lambda: pl.name_images("retina-phantom", folder)
    yield "token_file", lambda: pl.serve_runs([run], port=1, token_file=folder / "none")


@pytest.mark.parametrize("number", range(11))
def test_python_is_told_keywords(number, tmp_path, monkeypatch):
    draw_once(monkeypatch, {"train": 60, "val": 30, "test": 30})
    monkeypatch.setattr("penlight.api.sweeping.sets_on_disk", lambda: (["retinamnist"], []))
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("0,0.5,0.5\n")
    keyword, call = list(wrong_calls(tmp_path))[number]
    with pytest.raises(PenlightError) as caught:
        call()
    assert "--" not in str(caught.value)
    assert f"{keyword}=" in str(caught.value)


def test_a_command_is_told_options(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["penlight", "train", "retina-phantom", "--recipe", "cnn", "--budget", "5m"])
    with pytest.raises(SystemExit):
        main()
    assert "Leave --recipe out, or --budget." in capsys.readouterr().err


def test_a_warning_names_keywords_where_a_function_draws_it(capsys):
    @shows(TrainingView)
    def work(listener=None):
        listener.on_warning("Give --out.")

    work()
    with TrainingView() as own:
        work(listener=own)
    assert capsys.readouterr().err.splitlines()[-2:] == ["Give out=.", "Give --out."]
