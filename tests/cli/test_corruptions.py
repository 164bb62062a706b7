"""`penlight evaluate RUN --corruptions`, from the command to the report."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from penlight.data import store
from penlight.data.catalog import dataset_info
from penlight.evaluation.corruptions import corruptions_for
from penlight.runs import open_run
from tests.cli.test_cli import QUICK, in_a_new_process

NAMES = [corruption.name for corruption in corruptions_for(dataset_info("retina-phantom"))]


def draw_few(draw):
    """Draw a phantom, and keep few images of each split."""

    def drawn(info, size):
        whole = draw(info, size)
        return replace(whole, splits={name: first(split) for name, split in whole.splits.items()})

    def first(split):
        return replace(split, images=split.images[:160], labels=split.labels[:160])

    return drawn


@pytest.fixture(autouse=True)
def few(made_once, monkeypatch):
    monkeypatch.setattr(store, "_draw", draw_few(store._draw))


@pytest.mark.full
def test_evaluate_corruptions(penlight, tmp_path):
    run = tmp_path / "runs" / "seed-0"
    assert penlight("train", "retina-phantom", *QUICK, "--seeds", 2, "--out", tmp_path / "runs")[0] == 0
    assert 'id="robustness"' not in (run / "report.html").read_text()

    code, out, _ = penlight("evaluate", run, "--corruptions", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer == json.loads((run / "corruptions.json").read_text())
    assert [row["name"] for row in answer["rows"]] == NAMES
    assert set(answer["baselines"]) == {"linear"}
    assert answer["notes"] == []
    scores = {row.name: row.value for row in open_run(run).metrics.metrics if row.label is None}
    assert answer["clean"]["value"] == pytest.approx(1 - scores["balanced_accuracy"])
    assert open_run(run).robustness.to_dict() == answer
    page = (run / "report.html").read_text()
    assert 'id="robustness"' in page
    assert penlight("report", run)[0] == 0
    assert open_run(run).read("report.html").decode() == page

    code, out, _ = penlight("evaluate", tmp_path / "runs", "--corruptions")
    both = json.loads((tmp_path / "runs" / "corruptions.json").read_text())
    assert code == 0
    assert out.splitlines()[-1] == str(tmp_path / "runs" / "report.html")
    assert all(name in out for name in (*NAMES, "clean", "linear", "sd"))
    assert json.loads((run / "corruptions.json").read_text()) == answer
    other = open_run(tmp_path / "runs" / "seed-1").robustness
    assert both["mean"]["value"] == pytest.approx((answer["mean"]["value"] + other.model.mean.value) / 2)
    assert both["seeds"] == [0, 1]
    assert 'id="robustness"' in (tmp_path / "runs" / "report.html").read_text()
    assert penlight("evaluate", run, "--corruptions", "--split", "val")[0] == 2

    loaded = in_a_new_process(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        f"sys.argv = ['penlight', 'evaluate', {str(run)!r}, '--corruptions']\n"
        "from penlight.cli import main\n"
        "from penlight.data import store\n"
        "from tests.cli.test_corruptions import draw_few\n"
        "store._draw = draw_few(store._draw)\n"
        "try: main()\nexcept SystemExit as e: assert not e.code, e.code\n"
        "print('LOADED', sorted({'keras', 'tensorflow', 'jax'} & set(sys.modules)))"
    )
    assert "LOADED []" in loaded
    assert json.loads((run / "corruptions.json").read_text()) == answer
