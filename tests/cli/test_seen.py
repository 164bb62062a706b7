"""What is seen of parts that are done elsewhere: a table in a terminal and a notebook, lines in a log, JSON for
programs."""

import json
import os
import sys
import threading
import time
from datetime import datetime
from types import SimpleNamespace

import pytest
from rich.console import Console

from penlight.api.progress import StudyView, TrainingView, TuningView, _Bar
from penlight.cli.show.jobs import print_jobs
from penlight.experiments.executors import table
from penlight.experiments.executors.jobs import JobRow, Jobs
from penlight.experiments.executors.table import JobEvent, JobTable, row_of
from tests.cli.test_terminal import GOLDEN, UPDATE
from tests.test_run import Notebook

STUDY = [f"{row}/seed-{seed}" for row in ("linear", "cnn") for seed in range(3)]
WHY = "ResourceExhaustedError: OOM when allocating a tensor with shape[64,224,224,64]"


def as_golden(name, text):
    file = GOLDEN / f"{name}.txt"
    if os.environ.get(UPDATE):
        file.write_text(text, encoding="utf-8")
    return text == file.read_text(encoding="utf-8")


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [1000.0]
    for name in ("time", "monotonic"):
        monkeypatch.setattr(time, name, lambda: now[0])
    return now


def play(told, clock, names=STUDY, rounds=3):
    """Do parts two at once, each for a minute and two; one fails."""
    told.on_step("Opening the dataset")
    for name in 2 * names:
        told.on_job(name, "waiting", "")
    for first in range(0, 2 * rounds, 2):
        pair = names[first : first + 2]
        for name in pair:
            told.on_job(name, "running", "node-4")
        for name in pair:
            clock[0] += 60
            fails = name == "cnn/seed-1"
            told.on_job(name, "failed" if fails else "done", WHY if fails else "")
    return told


def test_a_log_has_a_line_for_each_part_that_ends(clock, capsys):
    play(StudyView(), clock).on_step("Comparing the recipes")
    assert as_golden("jobs-log", capsys.readouterr().err)


def test_a_log_is_not_flooded_by_parts_that_begin(clock, capsys):
    told = TrainingView()
    for seed in range(1000):
        told.on_job(f"seed-{seed}", "waiting", "")
    for seed in range(1000):
        clock[0] += 0.1
        told.on_job(f"seed-{seed}", "running", "node-4")
    lines = capsys.readouterr().err.splitlines()
    assert 9 <= len(lines) <= 11
    assert lines[0] == "seed-0 running, node-4  (999 waiting, 1 running)"


def drawn(view, width, height=24):
    """What stands in a terminal."""
    console = Console(width=width, height=height, force_terminal=False, color_system=None)
    view._bar._console = console
    with console.capture() as caught:
        console.print(view._bar._rendered())
    return "".join(f"{line.rstrip()}\n" for line in caught.get().splitlines()[1:])


@pytest.fixture
def in_terminal(monkeypatch):
    def of(view):
        view._bar, view._plain = _Bar(timed=False), False
        return view

    return of


@pytest.mark.parametrize("width", [40, 80])
def test_a_terminal_has_a_table_with_a_line_for_each_row_of_a_study(clock, in_terminal, width):
    view = play(in_terminal(StudyView()), clock)
    view.on_job("cnn/seed-2", "running", "node-5")
    text = drawn(view, width)
    assert max(map(len, text.splitlines())) <= width
    assert as_golden(f"jobs-{width}", text)
    view.on_job("cnn/seed-2", "done", "")
    assert drawn(view, width)
    view.on_step("Comparing the recipes")
    assert drawn(view, width) == ""


def test_a_table_that_is_higher_than_the_terminal_shows_what_is_at_work(in_terminal):
    view = in_terminal(StudyView())
    for row in range(40):
        view.on_job(f"row-{row}/seed-0", "waiting", "")
    view.on_job("row-33/seed-0", "running", "")
    lines = drawn(view, 80, height=12).splitlines()
    assert len(lines) < 12
    assert lines[1].split() == ["row-33", "0", "1", "0", "0"]
    assert lines[-1] == "and 33 more rows"


def test_a_notebook_has_a_table_that_is_written_anew(monkeypatch, clock, capsys):
    notebook = Notebook()
    for name in ("IPython", "IPython.display"):
        monkeypatch.setitem(sys.modules, name, notebook)
    view = play(StudyView(), clock, rounds=2)
    view.on_job("<b>/seed-0", "failed", "<script>")
    clock[0] += 1
    view.on_job("<b>/seed-1", "running", "")
    last = notebook.outputs[-1]
    assert "<tr><td>cnn</td><td>2</td><td>0</td><td>1</td><td>0</td><td>" in last
    assert "&lt;b&gt;/seed-0 failed: &lt;script&gt;" in last
    assert "<script" not in last
    drawn_before = len(notebook.outputs)
    for seed in range(1000):
        view.on_job(f"cnn/seed-{seed}", "waiting", "")
    assert len(notebook.outputs) == drawn_before
    assert capsys.readouterr() == ("", "")


def test_programs_read_a_line_of_json_for_each_change(clock, capsys):
    play(StudyView(quiet=True), clock)
    out, err = capsys.readouterr()
    events = [json.loads(line) for line in err.splitlines()]
    assert out == ""
    assert len(events) == 18
    assert events[6] == {"time": 1000.0, "name": "linear/seed-0", "state": "running", "about": "node-4"}
    assert [event["about"] for event in events if event["state"] == "failed"] == [WHY]


def test_what_is_left_of_a_tuning_is_not_known_by_its_jobs(clock, in_terminal):
    view = in_terminal(TuningView())
    for second, state in enumerate(("waiting", "running", "done")):
        clock[0] += 60 * second
        view.on_job("trial-1", state, "")
    view.on_job("trial-2", "running", "")
    assert drawn(view, 80).splitlines()[0].split() == ["waiting", "running", "done", "failed"]
    assert drawn(view, 80).splitlines()[1].split() == ["trials", "0", "1", "1", "0"]


def test_of_a_tuning_failures_are_lines_and_the_rest_is_said_of_trials(capsys):
    view = TuningView()
    for state in ("waiting", "running", "done"):
        view.on_job("trial-1", state, "")
    view.on_trial(1, 4, 0.5, 60.0)
    view.on_job("trial-2", "failed", "ValueError: no")
    assert capsys.readouterr().err.splitlines() == [
        "trial-1 running",
        "1/4 trials  best 0.500  about 1:00 left",
        "trial-2 failed: ValueError: no",
    ]


def test_text_of_a_log_is_made_harmless(in_terminal, capsys):
    StudyView().on_job("cnn/seed-0", "failed", "\x1b[2Jgone\nfor ever")
    view = in_terminal(StudyView())
    view.on_job("cnn/seed-0", "failed", "\x1b[2Jgone\nfor ever")
    for text in (capsys.readouterr().err, drawn(view, 80)):
        assert r"cnn/seed-0 failed: \x1b[2Jgone\nfor ever" in text


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("cnn/seed-0", "cnn"),
        ("seed-3", "seeds"),
        ("fold-1", "folds"),
        ("part-00 to part-15", "parts"),
        ("my-run-1", "my-run-1"),
    ],
)
def test_parts_are_counted_by_row(name, row):
    assert row_of(name) == row


def told_of(clock, *events):
    counted = JobTable()
    for seconds, name, state in events:
        clock[0] = seconds
        counted.tell(JobEvent(seconds, name, state, ""))
    return counted


def test_the_time_left_is_the_mean_of_what_is_done_over_what_runs_at_once(clock):
    waiting = [(0, f"seed-{n}", "waiting") for n in range(6)]
    began = [(0, "seed-0", "running"), (0, "seed-1", "running")]
    counted = told_of(clock, *waiting, *began)
    assert (counted.rows()[0].seconds, counted.rows()[0].is_known) == (0.0, False)
    counted = told_of(clock, *waiting, *began, (100, "seed-0", "done"))
    # One runs and is nearly done, four wait, two run at once.
    assert counted.rows()[0].seconds == pytest.approx(4 * 100 / 2)
    counted = told_of(
        clock, *waiting, *began, (100, "seed-0", "done"), (100, "seed-2", "running"), (150, "seed-1", "done")
    )
    assert counted.rows()[0].seconds == pytest.approx((75 + 3 * 125) / 2)
    assert counted.rows()[0].is_known


def test_a_row_of_which_none_is_done_makes_the_time_left_a_lower_bound(clock):
    counted = told_of(clock, (0, "a/seed-0", "running"), (60, "a/seed-0", "done"), (60, "b/seed-0", "waiting"),
                    (60, "a/seed-1", "waiting"))  # fmt: skip
    *_, whole = counted.rows()
    assert (whole.seconds, whole.is_known) == (60.0, False)
    assert whole.words == "2 waiting, 1 done, at least 1 min left"


def test_jobs_that_nobody_waits_for_are_counted_by_row_and_those_at_work_are_listed(capsys, monkeypatch, tmp_path):
    since = datetime.fromtimestamp(time.time() - 60).isoformat()
    rows = [JobRow(f"cnn/seed-{seed}", "waiting", f"17_{seed}", said="Priority") for seed in range(4)]
    rows[1] = JobRow("cnn/seed-1", "running", "17_1", "node-4", since, "epoch 3/20")
    rows += [JobRow("linear/seed-0", "failed", "17_4", said="OOM"), JobRow("linear/seed-1", "done")]
    monkeypatch.setattr(table, "open_run", lambda folder: SimpleNamespace(provenance={"durations": {"total": 300.0}}))
    jobs = Jobs(tmp_path, (*rows, JobRow("cnn/seed-4", "done")))
    print_jobs(jobs)
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[:4]] == [
        ["waiting", "running", "done", "failed", "time", "left"],
        ["cnn", "3", "1", "1", "0", "about", "19", "min"],
        ["linear", "0", "0", "1", "1"],
        ["all", "3", "1", "2", "1", "about", "19", "min"],
    ]
    assert "cnn/seed-1     running  17_1  node-4" in out
    assert "linear/seed-0  failed" in out
    assert "Priority" not in out
    print_jobs(jobs, full=True)
    assert capsys.readouterr().out.count("Priority") == 3


def test_a_part_that_is_put_back_waits_again(clock):
    counted = told_of(clock, (0, "a/seed-0", "waiting"), (1, "a/seed-0", "running"), (2, "a/seed-0", "waiting"))
    assert counted.rows()[0].counts == (1, 0, 0, 0)
    assert (counted.total, counted.open, counted.done) == (1, 1, 0)
    assert not counted.tell(JobEvent(3, "a/seed-0", "waiting", ""))
    assert counted.tell(JobEvent(3, "a/seed-0", "waiting", "Priority"))


def test_threads_may_tell_at_once_while_it_is_drawn(in_terminal):
    view = in_terminal(StudyView())

    def tell(row):
        for seed in range(200):
            for state in ("waiting", "running", "done"):
                view.on_job(f"row-{row}/seed-{seed}", state, "")

    threads = [threading.Thread(target=tell, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        view._bar._rendered()
    assert (view._jobs.total, view._jobs.done, view._jobs.open) == (800, 800, 0)
