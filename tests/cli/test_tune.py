"""`penlight tune` as a person and as a program use it, on a tiny dataset of the user and the linear baseline."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from penlight.data import store
from penlight.experiments.executors.processes import thread_limits
from penlight.experiments.tuning.journal import Journal
from penlight.experiments.tuning.storage import quiet
from penlight.recipes import load_recipe
from tests.data.tiny_dataset import write_tiny

SPACE = "model.components = { low = 2, high = 8 }\nmodel.strength = { low = 0.1, high = 10, log = true }\n"


@pytest.fixture
def tune(own_folders):
    """Words of a quick tuning in the working folder: tiny.toml with its npz, space.toml."""
    work = own_folders / "work"
    write_tiny(work)
    (work / "space.toml").write_text(SPACE)
    return ["tune", "tiny.toml", "--recipe", "linear", "--set", "model.components=4", "--space", "space.toml"]


def test_the_last_line_is_a_recipe_that_train_takes(penlight, undrawn, tune):
    code, out, err = penlight(*tune, "--trials", 3)
    assert code == 0
    assert "3/3 trials" in err
    best = out.splitlines()[-1]
    assert best == "runs/tiny-tune-1/best.toml"
    assert "the recipe as it was" in out
    assert penlight("train", best, "--out", "one")[0] == 0
    assert penlight("train", "tiny.toml", "--recipe", best, "--out", "two")[0] == 0
    assert load_recipe("one/recipe.toml") == load_recipe("two/recipe.toml") == load_recipe(best)
    assert penlight(*tune, "--trials", 1)[1].splitlines()[-1] == "runs/tiny-tune-2/best.toml"


def test_json_alone(penlight, tune):
    code, out, err = penlight(*tune, "--trials", 2, "--seeds", 2, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["judged_on"] == "val, mean of 2 seeds"
    assert [set(t) for t in answer["trials"]] == [
        {"number", "state", "value", "values", "params", "seconds", "note"}
    ] * 2
    assert answer["trials"][answer["best"] - 1]["value"] == max(t["value"] for t in answer["trials"])
    assert answer["trials"][0]["params"] == {"model.components": 4, "model.strength": 1.0}


@pytest.mark.full
def test_workers_share_the_trials_and_go_on_after_a_kill(penlight, tune):
    words = [*tune, "--workers", "2", "--out", "t", "--trials"]
    process = _started(*words, "500")
    try:
        _wait_for_trials(3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = _trials("t/tune.journal")
    total = len(before) + 4
    answer = json.loads(penlight(*words, total, "--json")[1])
    assert set(before) <= {t["value"] for t in answer["trials"]}
    points = [tuple(t["params"].values()) for t in answer["trials"]]
    assert len(points) == len(set(points)) == total


@pytest.mark.full
def test_commands_that_share_a_journal_lose_no_trial_and_do_none_twice(tune):
    """200 trials by four commands, one of which is killed and begun again, five times."""
    words = [*tune, "--storage", "team.journal", "--trials", "200", "--out"]
    begun = [_started(*words, f"t{number}") for number in range(4)]
    try:
        for kill in range(5):
            _wait_for_trials(30 * kill + 15, "team.journal")
            begun[kill % 4].kill()
            begun[kill % 4].wait()
            begun[kill % 4] = _started(*words, f"t{kill % 4}")
        assert [process.wait(600) for process in begun] == [0] * 4
    finally:
        for process in begun:
            process.kill()
            process.wait()
    _require_all_once("team.journal", 200)


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_workers_that_are_killed_lose_no_trial_and_do_none_twice(tune):
    """200 trials by four workers, ten of which are killed."""
    process = _started(*tune, "--workers", "4", "--trials", "200", "--out", "t")
    try:
        for kill in range(10):
            _wait_for_trials(18 * kill + 5)
            # By the thread that started each.
            threads = Path(f"/proc/{process.pid}/task").glob("*/children")
            workers = [int(pid) for children in threads for pid in children.read_text().split()]
            os.kill(workers[kill % len(workers)], signal.SIGKILL)
        assert process.wait(600) == 0
    finally:
        process.kill()
        process.wait()
    _require_all_once("t/tune.journal", 200)


def _require_all_once(path, count):
    with quiet():
        trials = optuna.load_study(study_name=None, storage=Journal(Path(path))).get_trials()
    done = [t for t in trials if t.state.name != "FAIL"]
    assert {t.state.name for t in done} <= {"COMPLETE", "PRUNED"}
    assert sorted(t.user_attrs["proposal"] for t in done) == list(range(count))
    assert len({tuple(t.params.values()) for t in done}) == count


def test_workers_take_a_share_of_the_cores():
    alone, shared = (int(thread_limits(n)["TF_NUM_INTRAOP_THREADS"]) for n in (1, 2))
    assert shared == max(1, alone // 2)


# That it is named is in tests/experiments/test_executors.py, for every command that has workers.
@pytest.mark.full
def test_a_worker_that_fails_is_named(penlight, tune, own_folders, monkeypatch):
    opened = store.open_dataset

    def lost_after(name, size):
        dataset = opened(name, size)
        (own_folders / "work" / "tiny.toml").unlink()
        return dataset

    monkeypatch.setattr(store, "open_dataset", lost_after)
    code, _, err = penlight(*tune, "--trials", 2, "--workers", 2)
    assert code == 1
    assert "trial-" in err
    assert "tiny.toml" in err


def _started(*words):
    code = f"import sys; sys.argv = {['penlight', *words]!r}; from penlight.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _trials(journal):
    path = Path(journal)
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    changes = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return [value for change in changes if change.get("state") == 1 for value in change["values"]]


def _wait_for_trials(count, journal="t/tune.journal"):
    for _ in range(900):
        if len(_trials(journal)) >= count:
            return
        time.sleep(0.2)
    raise AssertionError("no trials were written")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--space", "absent.toml"], 1, "absent.toml"),
        (["--sampler", "gpp"], 1, "sampler"),
        (["--set", "model.backbone=majority"], 1, "not a key"),
        (["--set", "model.component=3"], 1, "model.component"),
        (["--view", "single"], 1, "view"),
        (["--storage", "nonsense"], 1, "--storage"),
        (["--time", "10x"], 2, "10x"),
        (["--time", "0m"], 2, "0m"),
        (["--trials", "0"], 2, "trials"),
        (["--workers", "0"], 2, "workers"),
    ],
)
def test_mistakes_are_named_and_train_nothing(penlight, tune, own_folders, words, code, said):
    got, out, err = penlight(*tune, *words)
    assert got == code
    assert said in err
    assert out == ""
    assert not list((own_folders / "work").rglob("tune.journal"))


def test_a_space_with_no_valid_value_is_named(penlight, tune, own_folders):
    (own_folders / "work" / "space.toml").write_text("model.components = { low = 8, high = 2 }")
    code, _, err = penlight(*tune)
    assert code == 1
    assert "low 8 above high 2" in err
    assert not (own_folders / "work" / "runs").exists()


def test_time_is_read_with_its_unit():
    from penlight.cli.app import _seconds

    assert [_seconds(text) for text in ("90s", "10m", "1.5h", "45")] == [90, 600, 5400, 45]


def test_only_tuning_loads_optuna(tune):
    code = (
        "import sys\nimport penlight.api.tuning, penlight.cli.app, penlight.api.progress, penlight.training\n"
        "print(sorted({'optuna', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
