"""The notebooks, cell by cell on phantoms: they run, cells end with what can be shown, nothing is trained twice."""

import ast
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import penlight as pl
from penlight.data import Split, store

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))


def cells(name, kind="code"):
    notebook = json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def run(name):
    """Run the cells one after the other, as a kernel does; give what each ends with, as HTML where it has that."""
    scope, shown = {"__name__": "__main__"}, []
    for cell in cells(name):
        body = ast.parse("".join(cell["source"]))
        last = body.body.pop() if isinstance(body.body[-1], ast.Expr) else None
        exec(compile(body, name, "exec"), scope)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), scope)
            shown.append(value if value is None else value._repr_html_())
    return scope, [html for html in shown if html]


@pytest.fixture
def on_phantom(own_folders, monkeypatch):
    """Be where the notebooks are, with a phantom drawn once, of which a part is enough."""
    draw, drawn = store._draw, {}

    def part(info, size):
        if info.name not in drawn:
            whole = draw(info, size)
            splits = {name: Split(s.images[:240], s.labels[:240]) for name, s in whole.splits.items()}
            drawn[info.name] = replace(whole, splits=splits)
        return drawn[info.name]

    def use(name):
        monkeypatch.setattr(store, "_draw", part)
        for file in EXAMPLES.glob("*.toml"):
            shutil.copy(file, own_folders / "work")
        monkeypatch.delenv("PENLIGHT_DATA", raising=False)
        monkeypatch.setenv("PENLIGHT_DATASET", f"{name}-phantom")

    return use


@pytest.mark.full
@pytest.mark.parametrize("name", ["retina", "chest"])
def test_a_notebook_runs_on_phantoms(name, on_phantom, capsys):
    on_phantom(name)
    scope, shown = run(name)
    printed = capsys.readouterr().out
    assert "Left out: The weights file mobilenet_2_5_224_tf_no_top.h5 was not found" in printed
    assert sum("<svg" in html for html in shown) >= 5
    assert sum("data:image/png" in html for html in shown) == 1
    study, scores = scope["study"], scope["cnn"].scores
    auc = next(row for row in scores.metrics if row.name == "auc" and row.label is None)
    linear = next(row for row in scores.baselines["linear"] if row.name == "auc" and row.label is None)
    assert tuple(scores.frame().loc["auc", ["value", "sd", "linear"]]) == (auc.value, auc.sd, linear.value)
    assert all(sentence in printed for sentences in study.findings.values() for sentence in sentences)
    # The runs of the cells above are the study's own: it had only the baselines left to train.
    assert study.record["left_over"] == []
    states = {run.row.id: run.state for run in pl.plan_study(scope["STUDY"], out=scope["RUNS"]).runs}
    assert set(states.values()) == {"done"}
    for view, lines in study.frame().groupby("view"):
        rows = next(t for t in study.record["tables"] if t["view"] == view)["rows"]
        assert sorted(lines["recipe"]) == sorted(row["title"] for row in rows)
        assert lines["value"].is_monotonic_decreasing


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_without_outputs(name):
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(name))
    assert len(cells(name)) < 18
