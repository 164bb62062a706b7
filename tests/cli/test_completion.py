"""Completion, asked as the script of each shell asks it, and in a real bash."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from penlight.cli import completion

PROGRAM = "import sys; sys.argv[0] = 'penlight'\nfrom penlight.cli import main\nmain()"


def asked(shell, *words, **env):
    """Ask in a process of its own: the values, and what was loaded of what is slow."""
    if shell == "bash":
        env |= {"COMP_WORDS": "\n".join(["penlight", *words]), "COMP_CWORD": str(len(words))}
    else:
        env["_TYPER_COMPLETE_ARGS"] = " ".join(["penlight", *words])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True, text=True, check=False,
        env={**os.environ, "_PENLIGHT_COMPLETE": f"complete_{shell}", **env},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def values(*words):
    return [name for name, _ in completion.completions(list(words))]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_answered(shell):
    lines = asked(shell, "trai")
    assert [line.split("\t")[0] for line in lines] == ["train"]
    assert ("\t" in lines[0]) == (shell != "bash")
    assert [line.split("\t")[0] for line in asked(shell, "train", "retinam")] == ["retinamnist"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh", ""])
def test_what_makes_no_sense_is_answered_with_nothing(shell):
    for env in ({}, {"COMP_WORDS": "'", "COMP_CWORD": "x"}, {"_TYPER_COMPLETE_ARGS": "penlight nosuch '"}):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False,
            env={**os.environ, "_PENLIGHT_COMPLETE": f"complete_{shell}", **env},
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_slow_is_loaded_and_nothing_is_written(own_folders):
    code = (
        "import sys\nfrom penlight.cli import completion\n"
        "assert completion.completions(['train', ''])\nassert completion.completions(['compare', ''] ) is not None\n"
        "assert completion.completions(['train', 'x', '--recipe', ''])\n"
        "print(sorted({'numpy', 'pandas', 'rich', 'pydantic', 'keras', 'tensorflow', 'requests', 'socket'}"
        " & set(sys.modules)), len(sys.modules) < 330, len(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] True"), done.stdout
    assert not (own_folders / "cache").exists()


def test_commands_options_and_values():
    assert values("data", "") == ["list", "fetch", "new", "show", "audit"]
    assert {"--recipe", "--seeds", "--help"} <= set(values("train", "x", "-"))
    assert "--seeds" not in values("train", "x", "--seeds", "3", "--")
    assert "--set" in values("train", "x", "--set", "a=1", "--")
    assert values("train", "x", "--recipe", "cnn-") == ["cnn-balanced", "cnn-ordinal"]
    # bash divides --recipe=cnn- at the sign.
    assert values("train", "x", "--recipe", "=", "cnn-o") == ["cnn-ordinal"]
    assert "retina" in values("study", "")
    assert values("evaluate", "x", "--split", "") == ["val", "test"]
    assert values("data", "new", "") == []
    assert values("nosuch", "") == []


def test_datasets_are_those_of_the_catalog_of_the_user_and_those_used_before(own_folders, monkeypatch):
    own = own_folders / "data"
    own.mkdir()
    (own / "lesions.toml").touch()
    monkeypatch.setenv("PENLIGHT_DATA", str(own))
    (own_folders / "work" / "films.toml").touch()
    monkeypatch.setattr("penlight.data.remembered.remembered_files", lambda: ["before.toml", "weights.h5"])
    found = values("train", "")
    assert {"retinamnist", "chest-phantom", "nih1000", "lesions", "films.toml", "before.toml"} <= set(found)
    assert "weights.h5" not in found


def test_run_folders_and_the_way_to_them(own_folders):
    for folder in ("one", "two/seed-0", "a b", "$(touch x)", "'q'", ".hidden"):
        (own_folders / "work" / "runs" / folder).mkdir(parents=True)
    (own_folders / "work" / "runs" / "one" / "manifest.json").touch()
    assert values("evaluate", "") == ["runs/", "runs/one", "runs/two/"]
    assert values("evaluate", "runs/o") == ["runs/one"]
    assert values("compare", "runs/one", "runs/t") == ["runs/two/"]
    assert values("evaluate", "nowhere/") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_in_a_real_bash(tmp_path):
    program = tmp_path / "penlight"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{PROGRAM}"\n')
    program.chmod(0o755)
    (tmp_path / "script").write_text(completion.SCRIPTS["bash"])
    (tmp_path / "$(touch pwned)").mkdir()
    asking = (
        "source ./script; "
        'for words in "trai" "train retinam" "evaluate "; do '
        "COMP_WORDS=(penlight $words); [[ $words == *' ' ]] && COMP_WORDS+=(''); "
        "COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); COMPREPLY=(); _penlight penlight; "
        "printf '<%s>' \"${COMPREPLY[@]}\"; done"
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", asking], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.stdout == "<train><retinamnist><>", done.stderr
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(penlight, shell, monkeypatch):
    code, out, _ = penlight("completion", shell)
    assert code == 0
    assert re.search(r"_PENLIGHT_COMPLETE.complete_" + shell, out)
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=out, text=True, capture_output=True, check=False).returncode == 0
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    assert penlight("completion")[1] == out


def test_another_shell_is_named(penlight):
    code, out, err = penlight("completion", "tcsh")
    assert (code, out) == (1, "")
    assert "'tcsh'" in err
