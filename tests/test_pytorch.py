"""The code for users of PyTorch that the manual shows, where PyTorch is installed."""

from pathlib import Path

import pytest

import penlight as pl
from tests.remembered import audit_once, draw_once
from tests.test_docs import ROOT, blocks


def test_a_pytorch_network_gets_a_run_by_the_code_of_the_manual(monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; it is no dependency of Penlight")
    draw_once(monkeypatch, {"train": 60, "val": 40, "test": 60})
    audit_once(monkeypatch)
    shown = next(own for own in blocks(ROOT / "docs/how-to/pytorch.md") if own.language == "python")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(28 * 28 * 3, 5))
    names = {"net": net}
    exec(compile(shown.text.replace("retinamnist", "retina-phantom"), "pytorch.md", "exec"), names)
    run = names["run"]
    assert isinstance(run, pl.Run)
    assert (run.kept_model, run.splits) == ("resnet18", ["val", "test"])
    images = pl.load("retina-phantom", "test")[0]
    with torch.inference_mode():
        x = torch.from_numpy(images[:3].copy()).permute(0, 3, 1, 2) / 255
        assert run.model_predictions("test").prob[:3] == pytest.approx(net(x).softmax(dim=1).numpy(), abs=1e-6)
    assert Path("runs/resnet18/report.html").is_file()
