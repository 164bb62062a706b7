"""Every command that takes a run, given a folder of several: it works on the whole, or says what to do instead."""

import shutil
from pathlib import Path

import pytest

from penlight.errors import RunError
from penlight.runs import open_run
from penlight.runs.groups import write_group
from penlight.serve import open_registry
from tests.trained import trained

KINDS = {
    "seeds": ["seed-0", "seed-1"],
    "folds": ["fold-1", "fold-2"],
    "study": ["linear/seed-0", "linear/seed-1"],
    "sweep": ["breastmnist", "pneumoniamnist"],
    "tuning": [],
}
SAYS = {
    "seeds": "holds one run for each of its seeds",
    "folds": "is a cross-validation",
    "study": "is a study, of several recipes",
    "sweep": "is a study of several datasets",
    "tuning": "is a tuning, whose trials keep no model",
}
# What takes a folder whole is tried where that is tested: here is who does not.
REFUSE = {
    "evaluate": ("study", "sweep", "tuning"),
    "evaluate --corruptions": ("folds", "study", "sweep", "tuning"),
    "report": ("sweep", "tuning"),
    "predict": tuple(KINDS),
    "explain": tuple(KINDS),
    "export --to onnx": tuple(KINDS),
    "export --for-sharing": ("sweep", "tuning"),
    "compare": ("folds", "study", "sweep", "tuning"),
}


@pytest.fixture(scope="module")
def groups(tmp_path_factory) -> Path:
    """A folder of each kind, whose runs are copies of one."""
    place = tmp_path_factory.mktemp("groups")
    for kind, names in KINDS.items():
        (place / kind).mkdir()
        for name in names:
            shutil.copytree(trained("grades"), place / kind / name)
        write_group(place / kind, kind, {}, {name: open_run(place / kind / name) for name in names})
    return place


@pytest.mark.parametrize(("command", "kind"), [(own, kind) for own, kinds in REFUSE.items() for kind in kinds])
def test_a_folder_of_several_runs_is_named_with_what_to_give(penlight, groups, command, kind):
    path = groups / kind
    words = [*command.split(), path]
    if command in ("predict", "explain"):
        words += [path / "x.png"]
    if command == "compare":
        words += [trained("grades")]
    code, out, err = penlight(*words)
    said = " ".join(err.split())
    assert (code, out) == (1, "")
    assert f"{path} {SAYS[kind]}" in said
    if kind == "tuning":
        assert f"penlight train {path}/best.toml" in said
    elif command not in ("compare", "evaluate --corruptions") or kind != "folds":
        assert all(str(path / name) in said for name in KINDS[kind])


def test_what_is_offered_is_what_the_command_takes(penlight, groups):
    run = groups / "study" / "linear" / "seed-0"
    assert penlight("evaluate", run)[0] == 0


def test_a_folder_that_only_holds_runs_names_them(penlight, groups, tmp_path):
    shutil.copytree(trained("grades"), tmp_path / "runs" / "one")
    code, _, err = penlight("evaluate", tmp_path / "runs")
    assert (code, str(tmp_path / "runs" / "one") in err.replace("\n", "")) == (1, True)
    (tmp_path / "empty").mkdir()
    assert "that `penlight train` wrote" in " ".join(penlight("evaluate", tmp_path / "empty")[2].split())


def test_a_server_says_of_a_tuning_that_there_is_nothing_to_serve(groups):
    with pytest.raises(RunError, match="is a tuning, whose trials keep no model"):
        open_registry([groups / "tuning"])
