"""What commands print on a terminal: summaries, whole at any width, coloured where something is wrong."""

import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import penlight as pl
from penlight.api.progress import fitting
from penlight.cli.show.scores import print_scores
from penlight.evaluation.checks import Check
from tests.conftest import leave_maps_out
from tests.trained import trained

GOLDEN = Path(__file__).parent / "golden"
UPDATE = "PENLIGHT_UPDATE_GOLDEN"
"""With this variable the golden files are written: look at what changed."""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal")
    Image.fromarray(np.full((28, 28, 3), 90, np.uint8)).save(folder / "eye.png")
    return {"RUN": str(trained("grades")), "FINDINGS": str(trained("findings")), "HERE": str(folder)}


@pytest.fixture(autouse=True)
def here(places, monkeypatch):
    monkeypatch.chdir(places["HERE"])


COMMANDS = {
    "evaluate": "evaluate RUN",
    "evaluate-full": "evaluate RUN --full",
    "evaluate-findings": "evaluate FINDINGS --split val",
    "compare": "compare RUN RUN:majority",
    "compare-full": "compare RUN RUN:majority --full",
    "predict": "predict RUN eye.png",
    "data-list": "data list",
}


WHOLE = {}
"""What commands print where there is room for all."""


def printed(penlight, places, command):
    """Run a command; paths are given as names, and each digit as 0: the numbers are tested elsewhere."""
    words = [places.get(word.split(":")[0], word) + word[len(word.split(":")[0]) :] if word.split(":")[0] in places
             else word for word in command.split()]  # fmt: skip
    code, out, err = penlight(*words)
    assert (code, err) == (0, "")
    for name, path in places.items():
        out = out.replace(path, name)
    return out


@pytest.mark.parametrize("name", COMMANDS)
def test_golden_output_at_80_columns(penlight, terminal, places, name):
    terminal(80)
    out = re.sub(r"\d", "0", printed(penlight, places, COMMANDS[name]))
    out = "".join(f"{line.rstrip()}\n" for line in out.splitlines())
    file = GOLDEN / f"{name}.txt"
    if os.environ.get(UPDATE):
        file.write_text(out, encoding="utf-8")
    assert out == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 60, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_is_cut_at_any_width(penlight, terminal, places, name, width):
    if name not in WHOLE:
        terminal(1000)
        WHOLE[name] = printed(penlight, places, COMMANDS[name])
    terminal(width)
    out = printed(penlight, places, COMMANDS[name])
    assert "…" not in out
    for line in out.splitlines():
        assert len(line) <= width or line.strip().startswith(("penlight ", "All scores")), line
    numbers = re.compile(r"\d+\.\d+")
    assert set(numbers.findall(WHOLE[name])) <= set(numbers.findall(out))


def test_a_pipe_has_a_fixed_width(penlight, places, monkeypatch):
    monkeypatch.setenv("COLUMNS", "47")
    out = printed(penlight, places, "evaluate RUN")
    assert 80 < max(len(line.rstrip()) for line in out.splitlines() if not line.startswith("All scores")) <= 100


def test_the_summary_is_a_verdict_five_scores_checks_and_the_command_for_the_rest(penlight, places):
    lines = penlight("evaluate", places["RUN"])[1].splitlines()
    said = " ".join(lines[: lines.index("")])
    assert re.match(r"On 30 test images the linear baseline ranks grades with AUC \d\.\d\d \(.*\), .* baseline", said)
    table = lines[lines.index("") + 1 :]
    assert [line.split()[0] for line in table[:6]] == ["test", "auc", "acc", "qwk", "balanced_accuracy", "f1_macro"]
    assert table[0].split()[-1] == "majority"
    assert table[6] == ""
    assert lines[-1] == f"All scores and notes: penlight evaluate {places['RUN']} --full"
    assert len(lines) < 25
    full = penlight("evaluate", places["RUN"], "--full")[1]
    assert full.startswith(" ".join(lines[:1])[:60])
    assert all(name in full for name in ("log_loss", "ece", "coverage", "f1_macro"))


def test_a_training_ends_with_the_path_of_its_report(penlight, few, undrawn, tmp_path, monkeypatch):
    leave_maps_out(monkeypatch)
    words = ("train", "retina-phantom", "--recipe", "majority", "--out", tmp_path / "run")
    code, out, _ = penlight(*words)
    assert code == 0
    assert out.startswith("On 100 test fundus photographs the majority-class baseline ranks grades with AUC 0.50")
    assert out.splitlines()[-2:] == [
        f"All scores and notes: penlight evaluate {tmp_path / 'run'} --full",
        str(tmp_path / "run" / "report.html"),
    ]
    assert "The folder holds" not in out
    code, out, _ = penlight(*words[:-1], tmp_path / "other", "--full")
    assert "The folder holds no image of the dataset." in out


def test_full_changes_no_json(penlight, places):
    short, full = (penlight("evaluate", places["RUN"], "--json", *more)[1] for more in ((), ("--full",)))
    assert short == full
    assert json.loads(short)["split"] == "test"


def test_serious_checks_are_sentences_and_others_titles(penlight, places, capsys):
    scores = pl.evaluate(trained("grades"))
    checks = [
        Check("PL001", True, "It is worse.", "why", "Use the other."),
        Check("PL014", False, "Few.", "", "Look."),
    ]
    print_scores(pl.Scores(**{**vars(scores), "checks": checks}))
    out = capsys.readouterr().out
    assert "serious  PL001  It is worse. Use the other." in out
    assert "note     PL014  Scores are based on few images" in out
    assert "Few." not in out


IN_TURN = """
import json, os, sys
import penlight.api.evaluating, penlight.cli.show.scores
from penlight.cli import main
for env, words in json.loads(sys.argv[1]):
    process = os.fork()
    if process == 0:
        os.environ.update(env)
        sys.argv = ["penlight", *words]
        main()
    print("\\0", os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), "\\0", end="", flush=True)
"""
"""Runs commands as processes of their own, which share what is imported."""


def in_a_terminal(*commands):
    """Give the exit code of each command, (env, words), and what it writes into a real terminal of 80 columns."""
    leader, follower = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    words = [sys.executable, "-c", IN_TURN, json.dumps(commands)]
    with subprocess.Popen(words, stdout=follower, stderr=follower, env=env) as done:
        os.close(follower)
        out = b""
        while select.select([leader], [], [], 60)[0]:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            out += part
    os.close(leader)
    assert done.returncode == 0
    said = out.decode().replace("\r\n", "\n").split("\0")
    return list(zip(map(int, said[1::2]), said[::2], strict=False))


def test_in_a_real_terminal_colour_is_of_errors_alone(places):
    evaluate = ["evaluate", places["RUN"]]
    commands = ({}, evaluate), ({"NO_COLOR": "1"}, evaluate), ({}, ["evaluate", "nowhere"])
    (code, out), (_, plain), refused = in_a_terminal(*commands)
    assert code == 0
    codes = set(re.findall(r"\x1b\[([0-9;]*)m", out))
    # Bold, dim, and the end of either; red where a check is serious.
    assert codes - {"1", "2", "0", "1;31"} == set()
    assert ("1;31" in codes) == ("serious" in out)
    assert set(re.findall(r"\x1b\[([0-9;]*)m", plain)) <= {"1", "2", "0"}
    assert refused[0] == 1
    assert refused[1].startswith("\x1b[31mError:\x1b[0m There is no run folder nowhere.")


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_the_end_of_a_line_of_progress_is_never_cut(width):
    description, about = "Training with seed 0 (seed 1 of 2)", "epoch 12/30  loss 1.392  val auc 0.723"
    said, kept, bar = fitting(description, about, width)
    assert len(said) + len(kept) + bar <= width
    assert kept.startswith("epoch 12/30")
    assert kept.endswith("val auc 0.723") == (width > 30 or len("epoch 12/30  val auc 0.723") <= width)
    assert (said == description) == (width >= 60)
    assert bar == {30: 0, 40: 14, 60: 0, 80: 8, 120: 24}[width]
