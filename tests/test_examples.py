"""The notebooks, cell by cell on phantoms: they run, end cells with what can be shown, and can be run again."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes

from penlight.data import Split, store

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))


def cells(name, kind="code"):
    notebook = json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def run_cell(cell, scope, name):
    """Run a cell as a kernel does; give what it ends with, as HTML where it has that, and else as it is."""
    body = ast.parse("".join(cell["source"]))
    last = body.body.pop() if isinstance(body.body[-1], ast.Expr) else None
    exec(compile(body, name, "exec"), scope)
    if last is None:
        return None
    value = eval(compile(ast.Expression(last.value), name, "eval"), scope)
    return value._repr_html_() if hasattr(value, "_repr_html_") else value


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
        monkeypatch.delenv("PENLIGHT_DATA", raising=False)
        monkeypatch.setenv("PENLIGHT_DATASET", f"{name}-phantom")

    return use


@pytest.mark.full
@pytest.mark.parametrize("name", ["retina", "chest"])
def test_a_notebook_runs_on_phantoms(name, on_phantom, capsys):
    on_phantom(name)
    pyplot.close("all")  # those of other tests
    scope = {"__name__": "__main__"}
    shown = [run_cell(cell, scope, name) for cell in cells(name)]
    printed = capsys.readouterr().out
    assert "Left out: The weights file mobilenet_2_5_224_tf_no_top.h5 was not found" in printed
    assert sum("data:image/png" in html for html in shown if isinstance(html, str)) == 1
    assert len(pyplot.get_fignums()) == sum(isinstance(value, Axes) for value in shown) >= 3
    pyplot.close("all")
    scores = scope["cnn"].scores
    auc = next(row for row in scores.metrics if row.name == "auc" and row.label is None)
    linear = next(row for row in scores.baselines["linear"] if row.name == "auc" and row.label is None)
    assert tuple(scores.frame().loc["auc", ["value", "sd", "linear"]]) == (auc.value, auc.sd, linear.value)
    # A reader changes the last cell and runs it again, or restarts and runs all.
    again = run_cell(cells(name)[-1], scope, name)
    assert f"{name}-phantom-my_cnn-2" in again
    before = scope["cnn"].path / "seed-0" / "model.keras"
    written = before.stat().st_mtime_ns
    for cell in cells(name)[1:]:
        if "cnn = pl.train" in "".join(cell["source"]):
            run_cell(cell, scope, name)
            break
    assert before.stat().st_mtime_ns == written


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_without_outputs(name):
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(name))
    assert len(cells(name)) < 18
