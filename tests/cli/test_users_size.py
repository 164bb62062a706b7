"""What the manual promises, at the size a user has: hundreds of val images, of which much is known."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FINDINGS = tuple(f"finding {i}" for i in range(14))
N = 720


def films(folder: Path, *, findings: int, patients: bool) -> Path:
    """`N` pictures, two to a patient, with a table of all that may be known of them."""
    random = np.random.default_rng(0)
    (folder / "films").mkdir(parents=True)
    rows = []
    for i in range(N):
        own = random.random(findings) < 0.2 if findings else [i // 2 % 2]
        pixels = random.integers(0, 120, (28, 28), np.uint8) + 60 * int(np.any(own))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "films" / f"{i}.png")
        label = "|".join(name for name, on in zip(FINDINGS, own, strict=False) if on) or "No Finding"
        row = {"path": f"films/{i}.png", "label": label if findings else ("sick", "well")[own[0]]}
        row |= {"patient": f"x{i // 2}"} if patients else {}
        known = {"site": ("north", "south")[i % 2], "age": 20 + i // 2 % 60, "sex": "MF"[i // 2 % 2], "view": "PA"}
        rows.append(row | known)
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "table.csv"


@pytest.mark.parametrize(
    ("findings", "patients"),
    [
        pytest.param(0, True, id="two classes, patients known"),
        pytest.param(14, False, id="fourteen findings, patients not known", marks=pytest.mark.full),
        pytest.param(0, False, id="two classes, patients not known", marks=pytest.mark.full),
        pytest.param(14, True, id="fourteen findings, patients known", marks=pytest.mark.full),
    ],
)
def test_one_s_own_table_is_trained_on_scored_and_reported(
    penlight, undrawn, tmp_path: Path, findings: int, patients: bool
) -> None:
    table = films(tmp_path, findings=findings, patients=patients)
    code, out, err = penlight("data", "new", table, "--name", "own", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["images"]["val"] > 64
    run = tmp_path / "run"
    how = ("--recipe", "linear", "--set", "model.components=8", "--out", run)
    code, _, err = penlight("train", "own.toml", *how)
    assert code == 0, err
    assert json.loads((run / "export.json").read_text())["model.onnx"]["images"] == 64
    for command in ("evaluate", "report"):
        code, _, err = penlight(command, run)
        assert code == 0, err
    code, out, err = penlight("predict", run, *sorted((tmp_path / "films").iterdir())[:3], "--json")
    assert code == 0, err
