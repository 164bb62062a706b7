"""Studies end to end on a small drawn dataset: kept, continued, changed, reported; by the API and by the command."""

import contextlib
import json
import re
import shlex
import shutil
from concurrent.futures import Future
from pathlib import Path

import pytest

import penlight as pl
from penlight.api.progress import StudyView
from penlight.data import store
from penlight.errors import PenlightError, RunError
from penlight.evaluation import find_row
from penlight.experiments import studies as study
from penlight.experiments.executors import places
from penlight.experiments.executors.work import WorkFailedError
from penlight.experiments.opened import OpenedData
from penlight.experiments.studies import StudyProgress
from penlight.runs import RunWriter, open_run
from penlight.tasks import MultiLabel, Ordinal
from tests.conftest import LABELS, small_dataset
from tests.stubs import stub_fit

HEAD = 'name = "tiny"\ntitle = "A tiny study"\nquestion = "Which one?"\ndataset = "small"\nseeds = 2\n'
TINY = '["train.epochs=2", "train.batch_size=16", "model.filters=[4]", "model.dense=8"]'


def row(name, recipe="cnn", **more):
    lines = [f'id = "{name}"', f'recipe = "{recipe}"', f'title = "The {name}"']
    lines += [f"{key} = {value}" for key, value in more.items()]
    return "\n".join(["[[rows]]", *lines, ""])


BASELINES = row("majority", "majority", seeds=1) + row(
    "linear", "linear", seeds=1, overrides='["model.components=5"]'
)
# A row with two seeds that takes no training by epochs.
QUICK = row("quick", "linear", overrides='["model.components=4"]')


@pytest.fixture
def small(monkeypatch):
    """Open a small dataset under any name."""

    def use(task=None, **options):
        dataset = small_dataset(task or Ordinal(LABELS, referable=2), **options)
        monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
        monkeypatch.setattr(study, "info_of_reference", lambda name: dataset.info)

    # The reports of runs have tests of their own; here they only have to be there.
    monkeypatch.setattr("penlight.reports.run_report", lambda content: content.name)
    monkeypatch.setattr("penlight.reports.seeds_report", lambda name, *rest, **named: name)
    stub_fit(monkeypatch)
    use()
    return use


@pytest.fixture
def write(own_folders):
    """Write a study file and give its name."""

    def file(rows, name="tiny.toml"):
        (own_folders / "work" / name).write_text(HEAD + rows)
        return name

    return file


class PulledPlugError(Exception):
    pass


def without_times(record):
    """What a study says, but for how long things took on this machine."""
    kept = json.loads(json.dumps({k: v for k, v in record.items() if k not in ("folder", "report")}))
    for table in kept["tables"]:
        # Which network to take, and how two compare in cost, depend on the times too.
        del table["findings"]
        for entry in table["rows"]:
            del entry["cost"]["fit_seconds"], entry["cost"]["predict_ms_per_image"]
            # Keras numbers its layers through a process, and the numbers are in the file.
            del entry["cost"]["model_bytes"]
    return kept


def test_a_stopped_study_goes_on_to_the_same_tables(small, write, tmp_path):
    name = write(BASELINES)
    whole = pl.study(name, out=tmp_path / "whole")

    class Pull(pl.ProgressListener):
        def on_run(self, place):
            if place.title == "The linear":
                raise PulledPlugError

    with pytest.raises(PulledPlugError):
        pl.study(name, out=tmp_path / "stopped", listener=Pull())
    first = tmp_path / "stopped" / "majority" / "seed-0" / "manifest.json"
    kept = first.read_bytes()
    assert [run.state for run in pl.plan_study(name, out=tmp_path / "stopped").runs] == ["done", "missing"]
    result = pl.study(name, out=tmp_path / "stopped")
    assert first.read_bytes() == kept
    assert without_times(result.to_dict()) == without_times(whole.to_dict())


@pytest.mark.full
def test_a_study_stopped_twice_ends_with_the_same_tables(small, write, tmp_path):
    name = write(BASELINES + row("cnn", overrides=TINY) + row("same", "linear", compare_with='"linear"', seeds=1))
    whole = pl.study(name, out=tmp_path / "whole")

    class PullInEpoch(pl.ProgressListener):
        def on_epoch(self, row, planned):
            if row.epoch == 1:
                raise PulledPlugError

    class PullBetween(pl.ProgressListener):
        def on_run(self, place):
            if place.title == "The cnn" and place.seed == 1:
                raise PulledPlugError

    for listener in (PullInEpoch(), PullBetween()):
        with pytest.raises(PulledPlugError):
            pl.study(name, out=tmp_path / "stopped", listener=listener)
    kept = (tmp_path / "stopped" / "cnn" / "seed-0" / "manifest.json").read_bytes()
    states = [run.state for run in pl.plan_study(name, out=tmp_path / "stopped").runs]
    assert states == ["done"] * 3 + ["missing"] * 2
    result = pl.study(name, out=tmp_path / "stopped")
    assert (tmp_path / "stopped" / "cnn" / "seed-0" / "manifest.json").read_bytes() == kept
    assert without_times(result.to_dict()) == without_times(whole.to_dict())
    assert without_times(json.loads((tmp_path / "stopped" / "study.json").read_text())) == without_times(whole.record)

    rows = {r["id"]: r for r in whole.record["tables"][0]["rows"]}
    assert rows["cnn"]["seeds"] == [0, 1]
    assert rows["linear"]["seeds"] == [0]
    assert rows["cnn"]["kind"] == "custom"
    assert rows["cnn"]["cost"]["parameters"] > 0
    assert (
        rows["cnn"]["cost"]["model_bytes"] == (tmp_path / "whole" / "cnn" / "seed-0" / "model.keras").stat().st_size
    )
    assert all(value > 0 for value in rows["cnn"]["cost"]["predict_ms_per_image"])
    found = next(m for m in rows["cnn"]["metrics"] if m["name"] == "auc" and m["label"] is None)
    runs = [open_run(tmp_path / "whole" / "cnn" / f"seed-{seed}") for seed in (0, 1)]
    values = [find_row(pl.evaluate(run.path).metrics, "auc").value for run in runs]
    assert found["value"] == pytest.approx(sum(values) / 2, abs=1e-12)
    pairs = {frozenset((d["row"], d["against"])) for d in whole.record["tables"][0]["differences"]}
    assert {frozenset(("cnn", "linear")), frozenset(("same", "linear"))} <= pairs

    page = (tmp_path / "stopped" / "report.html").read_text()
    assert all(f'href="{address}"' in page for address in re.findall(r'href="([^"#:]+report.html)"', page))
    for address in re.findall(r'href="([^"#:]+report\.html)"', page):
        assert (tmp_path / "stopped" / address).exists()
    pl.report(tmp_path / "stopped", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == page


def test_runs_of_train_are_those_of_a_study_whose_frame_is_in_order(small, write, tmp_path):
    name = write(BASELINES + QUICK)
    pl.train("small", "linear", components=4, seeds=2, out=tmp_path / "quick")
    states = {run.row.id: run.state for run in pl.plan_study(name, out=tmp_path).runs}
    assert states == {"majority": "missing", "linear": "missing", "quick": "done"}
    studied = pl.study(name, out=tmp_path)
    assert studied.record["left_over"] == []
    assert {run.state for run in pl.plan_study(name, out=tmp_path).runs} == {"done"}
    lines = studied.frame()
    assert sorted(lines["recipe"]) == sorted(row["title"] for row in studied.record["tables"][0]["rows"])
    assert lines["value"].is_monotonic_decreasing


def test_a_changed_recipe_is_named_and_nothing_is_overwritten(small, write, tmp_path, penlight):
    out = tmp_path / "out"
    pl.study(write(BASELINES + QUICK), out=out)
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    changed = write(BASELINES + QUICK.replace("components=4", "components=3") + row("more", "linear", seeds=1))
    code, _, err = penlight("study", changed, "--out", out)
    assert code == 1
    assert f"{out}/quick/seed-0, {out}/quick/seed-1 hold runs of another recipe" in err
    assert "Move those folders away" in err
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    listed = json.loads(penlight("study", changed, "--out", out, "--dry-run", "--json")[1])["runs"]
    states = {run["row"]: run["state"] for run in listed}
    assert states == {"majority": "done", "linear": "done", "quick": "changed", "more": "missing"}

    renamed = write(BASELINES + QUICK.replace("quick", "slow"))
    plan = pl.plan_study(renamed, out=out)
    assert [str(path.relative_to(out)) for path in plan.left_over] == ["quick/seed-0", "quick/seed-1"]
    assert {run.state for run in plan.runs} == {"done", "missing"}


def test_runs_on_another_file_of_the_dataset_are_not_kept(small, write, tmp_path):
    name = write(BASELINES)
    pl.study(name, out=tmp_path)
    small(seed=9)
    with pytest.raises(RunError, match="another file of the dataset"):
        pl.study(name, out=tmp_path)


@pytest.mark.full
def test_fewer_seeds_leave_runs_over_and_more_are_trained(small, write, tmp_path):
    name = write(BASELINES + QUICK)
    pl.study(name, out=tmp_path)
    fewer = pl.study(name, out=tmp_path, seeds=1)
    assert fewer.record["left_over"] == ["quick/seed-1"]
    assert [r["seeds"] for r in fewer.record["tables"][0]["rows"]] == [[0], [0], [0]]
    assert [run.state for run in pl.plan_study(name, out=tmp_path, seeds=3).runs].count("missing") == 1


@pytest.mark.fitted
def test_views_have_tables_of_their_own_and_baselines_are_fitted_once_for_each(small, write, tmp_path):
    small(MultiLabel(LABELS), n=(120, 60, 60))
    rows = BASELINES + QUICK + row("any-linear", "linear", view='"any"', seeds=1)
    rows += row("any-quick", "linear", view='"any"', overrides='["model.components=4"]')

    class Steps(pl.ProgressListener):
        said: list[str] = []  # noqa: RUF012

        def on_step(self, what):
            self.said.append(what)

    result = pl.study(write(rows), out=tmp_path, listener=Steps())
    tables = {table["view"]: table for table in result.record["tables"]}
    assert list(tables) == ["native", "any"]
    assert [r["id"] for r in tables["any"]["rows"]] == ["any-linear", "any-quick"]
    for table in tables.values():
        own = {r["id"] for r in table["rows"]}
        assert all({d["row"], d["against"]} <= own for d in table["differences"])
    # The linear rows need the majority-class baseline beside them, in both views; the majority row the linear
    # baseline.
    assert Steps.said.count("Fitting the baseline: majority") == 2
    assert Steps.said.count("Fitting the baseline: linear") == 1
    page = (tmp_path / "report.html").read_text()
    assert "View any" in page


def test_the_command_lists_runs_shows_and_ends_with_the_report(small, write, penlight):
    name = write(BASELINES)
    code, out, _ = penlight("study", name, "--dry-run")
    assert code == 0
    assert "1 missing" in out
    assert out.splitlines()[-1] == "2 of 2 runs to train, in runs/study-tiny"
    code, out, err = penlight("study", name)
    assert code == 0
    assert out.splitlines()[-1] == "runs/study-tiny/report.html"
    assert "run 2/2  The linear, seed 0" in err
    code, out, err = penlight("study", name, "--json")
    answer = json.loads(out)
    assert answer["report"] == "runs/study-tiny/report.html"
    assert answer["schema"] == 1
    assert answer["source"] == name
    kept = json.loads(Path("runs/study-tiny/study.json").read_text())
    assert {key: value for key, value in answer.items() if key not in ("folder", "report")} == kept
    assert penlight("study", name, "--dry-run")[1].splitlines()[-1].startswith("0 of 2 runs to train")
    assert penlight("report", "runs/study-tiny")[1].strip() == "runs/study-tiny/report.html"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (BASELINES + row("cnn", "ccn"), "no recipe named 'ccn'"),
        (BASELINES + row("linear", "linear"), "occurs more than once"),
        (BASELINES + row("cnn", view='"single"'), "no view of small named 'single'"),
        (BASELINES + row("cnn", epoch=3), "'row 3.epoch' is not a known key"),
    ],
)
def test_mistakes_are_named_before_anything_runs(small, write, penlight, own_folders, rows, said):
    name = write(rows)
    for more in ([], ["--dry-run"]):
        code, out, err = penlight("study", name, *more)
        assert (code, out) == (1, "")
        assert said in err
    assert [path.name for path in (own_folders / "work").iterdir()] == [name]


def test_weights_that_are_not_there_are_named_before_anything_runs(small, write, penlight, own_folders):
    name = write(BASELINES + row("net", "mobilenet-frozen", overrides='["model.weights=absent.h5"]'))
    code, out, err = penlight("study", name)
    assert (code, out) == (1, "")
    assert "The weights file absent.h5 was not found" in err
    assert [path.name for path in (own_folders / "work").iterdir()] == [name]


def test_an_incomplete_study_has_no_report(small, write, tmp_path):
    name = write(BASELINES)
    pl.study(name, out=tmp_path)
    shutil.rmtree(tmp_path / "linear")
    with pytest.raises(RunError, match="is not complete: 1 run to do"):
        pl.report(tmp_path)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(PenlightError, match=r"study\.json in .* is damaged or was changed"):
        pl.report(tmp_path)


@pytest.mark.parametrize(
    ("own", "after", "known", "said"),
    [
        (60.0, 300.0, True, "about 6 min left"),
        (None, 300.0, True, "at least 5 min left"),
        (60.0, 300.0, False, "at least 6 min left"),
        (None, 0.0, False, ""),
        (0.0, 2 * 3600.0, True, "about 2.0 h left"),
    ],
)
def test_the_time_left_is_at_least_what_is_known(capsys, own, after, known, said):
    StudyView().on_run(StudyProgress("The cnn", 1, 4, 9, own, after, known))
    assert capsys.readouterr().err.strip() == f"run 4/9  The cnn, seed 1  {said}".strip()


class Elsewhere:
    """A place that does parts as another process would; those of `fails` fail."""

    slots, outlives = 2, False

    def __init__(self, listener, fails):
        self.data, self.listener, self.fails = OpenedData(pl.ProgressListener()), listener, fails

    def submit(self, work):
        self.listener.on_job(work.name, "waiting", "")
        self.listener.on_job(work.name, "running", "node-4")
        future = Future()
        if work.name == self.fails:
            with contextlib.suppress(RuntimeError), RunWriter(work.folder, work.recipe, work.seed):
                raise RuntimeError
            self.listener.on_job(work.name, "failed", "No GPU.")
            future.set_exception(WorkFailedError(work.name, "No GPU.", repeated=work.repeated))
        else:
            work.do(self.data, pl.ProgressListener())
            self.listener.on_job(work.name, "done", "")
            future.set_result(work.read(self.listener))
        return future

    def flush(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


@pytest.fixture
def elsewhere(monkeypatch):
    """Let --on local:2 be such a place."""

    def of(fails=""):
        monkeypatch.setattr(places, "Processes", lambda slots, listener: Elsewhere(listener, fails))

    of()
    return of


def test_of_a_study_elsewhere_each_change_is_a_line_of_json_and_the_result_stands_alone(
    small, write, penlight, elsewhere, tmp_path
):
    words = "study", write(QUICK), "--out", tmp_path / "out", "--on", "local:2"
    code, out, err = penlight(*words, "--json")
    assert code == 0
    assert json.loads(out)["tables"][0]["rows"][0]["id"] == "quick"
    events = [json.loads(line) for line in err.splitlines()]
    changes = [(event["name"], event["state"]) for event in events]
    assert changes[:2] == [("quick/seed-0", "waiting"), ("quick/seed-1", "waiting")]
    assert changes[2:] == [(f"quick/seed-{seed}", state) for seed in range(2) for state in ("running", "done")]
    assert all(event["about"] == ("node-4" if event["state"] == "running" else "") for event in events)


def test_of_a_study_elsewhere_a_failed_run_is_named_and_the_command_that_repeats_it_is_right(
    small, write, penlight, elsewhere, tmp_path
):
    folder = tmp_path / "an own place"
    words = "study", write(QUICK), "--out", folder, "--on", "local:2"
    elsewhere(fails="quick/seed-1")
    code, out, err = penlight(*words)
    assert (code, out) == (1, "")
    assert "run 1/2" not in err
    lines = err.splitlines()
    assert "quick/seed-0 done  (1 waiting, 1 done, " in lines[3]
    assert lines[4] == "quick/seed-1 failed: No GPU.  (1 done, 1 failed)"
    assert lines[5].startswith(
        "Error: 1 of 2 parts failed: quick/seed-1 (No GPU). The same command goes on from there."
    )
    again = lines[5].partition("Repeat quick/seed-1 here: penlight ")[2]
    assert penlight(*shlex.split(again))[0] == 0
    elsewhere()
    run = folder / "quick" / "seed-1"
    before = (run / "predictions-test.npz").read_bytes()
    code, out, err = penlight(*words)
    assert code == 0
    assert "failed" not in err
    assert (run / "predictions-test.npz").read_bytes() == before
