"""What a run costs beside its fit: `train --recipe linear` at ChestMNIST's proportions, with the audit cached.

    python benchmarks/evidence.py [--images 5000 20000 80000]

Images and labels are drawn: 14 labels with ChestMNIST's prevalences, each moving a coarse pattern; no model's scores
on them mean anything. Val and test have an eighth and a quarter of train's images. The dataset is audited first, as a
second recipe would find it. Seconds are of the wall; "beside the fit" is all but the fitting of the model itself.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

LABELS = ("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax",
          "consolidation", "edema", "emphysema", "fibrosis", "pleural thickening", "hernia")  # fmt: skip
PREVALENCE = (0.1, 0.025, 0.12, 0.18, 0.05, 0.056, 0.012, 0.047, 0.04, 0.02, 0.022, 0.015, 0.03, 0.002)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[5_000, 20_000, 80_000])
    asked = parser.parse_args()
    print("| images of train | fit, s | beside the fit, s |\n|---|---|---|")
    for n in asked.images:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PENLIGHT_CACHE"] = f"{folder}/cache"
            fit, whole = measure(write(Path(folder), n), Path(folder) / "run")
        print(f"| {n:,} | {fit:.1f} | {whole - fit:.1f} |", flush=True)


def write(folder: Path, n: int) -> Path:
    random, arrays, counts = np.random.default_rng(0), {}, {"train": n, "val": n // 8, "test": n // 4}
    patterns = random.normal(0, 14, (len(LABELS), 7, 7))
    for split, count in counts.items():
        y = (random.random((count, len(LABELS))) < PREVALENCE).astype(np.uint8)
        coarse = random.normal(120, 30, (count, 7, 7)) + np.einsum("nc,chw->nhw", y, patterns)
        images = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2) + random.normal(0, 6, (count, 28, 28))
        arrays |= {f"{split}_images": np.clip(images, 0, 255).astype(np.uint8), f"{split}_labels": y}
    np.savez(folder / "drawn.npz", **arrays)
    samples = ", ".join(f"{split} = {count}" for split, count in counts.items())
    names = ", ".join(f'"{label}"' for label in LABELS)
    (folder / "drawn.toml").write_text(
        f'name = "drawn"\ntitle = "Drawn"\ntask = "multi-label"\nlabels = [{names}]\nlicence = "CC0"\n'
        f'source = "drawn"\nmodality = "film"\nchannels = 1\nsamples = {{ {samples} }}\n'
        'files = { "28" = "drawn.npz" }\n'
    )
    return folder / "drawn.toml"


def measure(dataset: Path, out: Path) -> tuple[float, float]:
    """Give the seconds of the fit, and of the whole."""
    import penlight as pl
    from penlight.api.requests import resolve_recipe
    from penlight.api.training import train_recipe
    from penlight.runs import open_run

    pl.audit(str(dataset), out=out.parent / "audit.html")
    begun = time.perf_counter()
    train_recipe(resolve_recipe(str(dataset), "linear", []), out=out)
    whole = time.perf_counter() - begun
    return open_run(out).provenance["durations"]["fit"], whole


if __name__ == "__main__":
    main()
