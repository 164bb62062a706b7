"""A set that is larger than memory is to be: drawn, converted, opened, read, and trained whole, each in a process of
its own.

    python benchmarks/larger_than_memory.py [--films 20000] [--size 224] [--epochs 1] [--packed] [--keep FOLDER]

Films are cheap: smooth noise with grain, and for each of five findings a bright spot in a place of its own. They
stand in for ChestMNIST at 224 pixels in number of bytes and in shape, not in difficulty. `--packed` packs the npz, as
those of MedMNIST are.

Memory is what Linux says of the process: its peak (VmHWM), and the largest shares of it that were its own (RssAnon)
and pages of files (RssFile), looked at twenty times a second. "Cold" is after the system's cache of files was
dropped, which only root may do; a disk of a virtual machine may still be in the memory of its host.
"""

import argparse
import json
import os
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from _measure import here, in_own_process, print_table

FINDINGS = ("effusion", "mass", "nodule", "pneumonia", "fibrosis")
SHARES = (0.12, 0.08, 0.1, 0.05, 0.03)
SPLITS = {"train": 0.7, "val": 0.1, "test": 0.2}
LIMIT_MB = 1500
_AT_ONCE = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--packed", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder to work in, and to find the films in")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        print(json.dumps(STEPS[asked.step](asked)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ |= {"PENLIGHT_CACHE": str(folder / "cache"), "PENLIGHT_DATA": str(folder)}
        measure(asked, folder)


def measure(asked: argparse.Namespace, folder: Path) -> None:
    words = ["--films", str(asked.films), "--size", str(asked.size), "--epochs", str(asked.epochs)]
    words += ["--keep", str(folder), *(["--packed"] if asked.packed else [])]
    made = {name: in_own_process(here(__file__), *words, "--step", name) for name in STEPS}
    rows = [row for name in STEPS for row in made[name]["rows"]]
    print_table(
        f"{asked.films:,} grey films of {asked.size} pixels, {asked.films * asked.size**2 / 1e9:.2f} GB",
        ("", "", "peak MB", "own MB", "of files MB"),
        rows,
    )


def row(what: str, figure: str, peaks: "Peaks | None" = None) -> list[str]:
    return [what, figure, *(peaks.words() if peaks else ("", "", ""))]


class Peaks:
    """Watches the memory of this process, for as long as the block runs."""

    def __init__(self) -> None:
        self.highest = {"RssAnon": 0.0, "RssFile": 0.0}
        self._done = threading.Event()

    def __enter__(self) -> "Peaks":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self.peak = _status()["VmHWM"]

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            now = _status()
            self.highest = {kind: max(most, now[kind]) for kind, most in self.highest.items()}

    def words(self) -> tuple[str, str, str]:
        return f"{self.peak:.0f}", f"{self.highest['RssAnon']:.0f}", f"{self.highest['RssFile']:.0f}"


def _status() -> dict[str, float]:
    lines = (line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(value.split()[0]) / 1000 for name, value in lines if name in ("VmHWM", "RssAnon", "RssFile")}


def draw(asked: argparse.Namespace) -> dict[str, Any]:
    """Write the npz and its description, with a few films in memory."""
    target = asked.keep / "films.npz"
    if target.exists():
        return {"rows": []}
    rng, begun = np.random.default_rng(0), time.perf_counter()
    method = zipfile.ZIP_DEFLATED if asked.packed else zipfile.ZIP_STORED
    with Peaks() as peaks, zipfile.ZipFile(target, "w", method, compresslevel=1) as archive:
        for split, share in SPLITS.items():
            n = round(asked.films * share)
            y = (rng.random((n, len(FINDINGS))) < SHARES).astype(np.uint8)
            _member(archive, f"{split}_labels", y.shape, iter([y]))
            _member(archive, f"{split}_images", (n, asked.size, asked.size), _films(y, asked.size, rng))
    _describe(asked.keep, "films", asked.size, FINDINGS)
    seconds = time.perf_counter() - begun
    return {"rows": [row("drawing, to an npz of", f"{target.stat().st_size / 1e9:.2f} GB, {seconds:.0f} s", peaks)]}


def _member(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], parts: Iterator[np.ndarray]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as out:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)
        for part in parts:
            out.write(np.ascontiguousarray(part).data)


def _films(y: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    place = np.linspace(0, 6, size)
    smooth = np.clip(1 - np.abs(place[:, None] - np.arange(7)), 0, 1).astype(np.float32)
    grain = rng.normal(0, 6, (3 * size, 3 * size)).astype(np.float32)
    # Each finding has a place of its own, a little different from film to film.
    at = np.stack(np.meshgrid([0.3, 0.7], [0.25, 0.5, 0.75]), axis=-1).reshape(-1, 2)[: len(FINDINGS)]
    pixel = np.arange(size, dtype=np.float32) / size
    for start in range(0, len(y), _AT_ONCE):
        own = y[start : start + _AT_ONCE]
        coarse = rng.uniform(60, 170, (len(own), 7, 7)).astype(np.float32)
        images = smooth @ coarse @ smooth.T
        for image, findings in zip(images, own, strict=True):
            top, left = rng.integers(0, 2 * size, 2)
            image += grain[top : top + size, left : left + size]
            for row_, column in at[findings == 1] + rng.normal(0, 0.03, (int(findings.sum()), 2)):
                spot = [np.exp(-(((pixel - middle) / 0.05) ** 2)) for middle in (row_, column)]
                image += 70 * spot[0][:, None] * spot[1]
        yield np.clip(images, 0, 255).astype(np.uint8)


def convert(asked: argparse.Namespace) -> dict[str, Any]:
    from penlight.data import fetch_dataset, open_dataset

    n_bytes = fetch_dataset("films", asked.size).stat().st_size
    begun = time.perf_counter()
    with Peaks() as peaks:
        open_dataset("films", asked.size)
    seconds = time.perf_counter() - begun
    return {"rows": [row("conversion", f"{n_bytes / seconds / 1e6:.0f} MB of npz a second", peaks)]}


def open_again(asked: argparse.Namespace) -> dict[str, Any]:
    """Open the films, and a set as large as ChestMNIST with patients, whose images are holes in their files."""
    _films_of_nothing(asked.keep)
    rows = []
    for name, size, what in (
        ("films", asked.size, "opening"),
        ("nothing", 224, "opening 112,120 films, 14 findings"),
    ):
        with Peaks() as peaks:
            seconds = [_seconds_to_open(name, size) for _ in range(5)]
        rows.append(row(f"{what}: first, median of 5", f"{seconds[0]:.3f} s, {np.median(seconds):.3f} s", peaks))
    return {"rows": rows}


def _seconds_to_open(name: str, size: int) -> float:
    from penlight.data import apply_view, open_dataset

    begun = time.perf_counter()
    apply_view(open_dataset(name, size))
    return time.perf_counter() - begun


def _films_of_nothing(folder: Path) -> None:
    from penlight.data.mapped import StoredDataset, _digest

    # As if it had been made of an npz in this folder, which is gone since.
    place = _digest(folder / "nothing.npz")
    about = StoredDataset("nothing", 224, "0" * 32, "nothing.npz", 1, 1, {}, place=place)
    store, rng = folder / "cache" / "store" / f"nothing-224-{about.md5[:12]}", np.random.default_rng(0)
    store.mkdir(parents=True, exist_ok=True)
    for split, n in {"train": 78_468, "val": 11_219, "test": 22_433}.items():
        np.save(store / f"{split}_labels.npy", (rng.random((n, 14)) < 0.1).astype(np.uint8))
        np.save(store / f"{split}_patients.npy", np.array([f"{split}{i // 4:08d}" for i in range(n)]))
        with (store / f"{split}_images.npy").open("wb") as out:
            header = {"descr": "|u1", "fortran_order": False, "shape": (n, 224, 224)}
            np.lib.format.write_array_header_1_0(out, header)
            out.truncate(out.tell() + n * 224 * 224)
    files = {path.name: path.stat().st_size for path in store.glob("*.npy")}
    (store / "about.json").write_text(json.dumps(asdict(about) | {"files": files}))
    _describe(folder, "nothing", 224, [f"finding {i}" for i in range(14)])


def _describe(folder: Path, name: str, size: int, labels: Sequence[str]) -> None:
    (folder / f"{name}.toml").write_text(
        f'name = "{name}"\ntitle = "Films"\ntask = "multi-label"\nlabels = {json.dumps(list(labels))}\n'
        f'licence = "CC0"\nsource = "drawn"\nmodality = "film"\nfiles = {{ "{size}" = "{name}.npz" }}\n'
    )


def read(asked: argparse.Namespace) -> dict[str, Any]:
    """Read an epoch without training on it, as it is read now and as single rows of the mapped file."""
    from penlight.data import apply_view, open_dataset
    from penlight.recipes import Train
    from penlight.training import batches

    split = apply_view(open_dataset("films", asked.size)).splits["train"]
    y, weights = split.y_true.astype(np.float32), np.ones(len(split), np.float32)
    batches.WHOLE_BYTES = min(batches.WHOLE_BYTES, len(split) * asked.size**2 // 2)
    drawn = batches.draw_epoch(split, Train(), 0, 1)
    mixed = np.random.default_rng(0).permutation(len(split))

    def in_blocks() -> None:
        for _ in batches.epoch_blocks(split, drawn, y, weights, 32, only_copies=False):
            pass

    def single_rows() -> None:
        for start in range(0, len(mixed), 640):
            split.images[split.index[mixed[start : start + 640]]]

    rows = []
    for name, work in (("shuffled blocks", in_blocks), ("single rows, mapped", single_rows)):
        for state in ("cold", "warm"):
            cold = state == "cold" and _drop_cache()
            with Peaks() as peaks:
                begun = time.perf_counter()
                work()
                speed = len(split) / (time.perf_counter() - begun)
            if cold or state == "warm":
                rows.append(row(f"reading {name}, {state}", f"{speed:,.0f} images a second", peaks))
    place = np.arange(len(split))
    labels = np.eye(10, dtype=np.uint8)[np.sort(place * 10 // len(split))]
    figures = f"r {np.corrcoef(place, drawn.rows)[0, 1]:+.3f}, {uneven(labels[drawn.rows]):.2f}"
    perfect = f"r {np.corrcoef(place, mixed)[0, 1]:+.3f}, {uneven(labels[mixed]):.2f}"
    rows.append(row("shuffle of a sorted set: place, variance of labels in batches of 64", figures))
    rows.append(row("  a perfect one", perfect))
    return {"rows": rows}


def uneven(y: np.ndarray, batch: int = 64) -> float:
    """Variance of the counts of labels in batches, in units of that of a perfect shuffle."""
    counts = y[: len(y) // batch * batch].reshape(-1, batch, y.shape[1]).sum(axis=1)
    share = y.mean(axis=0)
    chance = batch * share * (1 - share) * (len(y) - batch) / (len(y) - 1)
    return float((counts.var(axis=0) / chance).mean())


def _drop_cache() -> bool:
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def network(asked: argparse.Namespace) -> dict[str, Any]:
    from penlight.recipes import Recipe, Residual, Train

    model = Residual(widths=(16, 32, 64), exposure="per-image")
    options = Train(epochs=asked.epochs, batch_size=32, learning_rate=3e-3)
    return _train(asked, "training a residual network", Recipe(data=_data(asked), model=model, train=options))


def linear(asked: argparse.Namespace) -> dict[str, Any]:
    from penlight.recipes import Linear, Recipe

    return _train(asked, "training the linear baseline", Recipe(data=_data(asked), model=Linear()))


def _data(asked: argparse.Namespace) -> Any:
    from penlight.recipes import Data

    return Data(dataset="films", size=asked.size)


def _train(asked: argparse.Namespace, what: str, recipe: Any) -> dict[str, Any]:
    """Train a recipe whole, as `penlight train` does: baselines, audit, neighbours, explanations, export, report."""
    import penlight as pl
    from penlight.api.training import train_recipe

    class Seen(pl.ProgressListener):
        def __init__(self) -> None:
            self.epochs: list[float] = []
            self.steps: list[tuple[str, float, float]] = []

        def on_step(self, what: str) -> None:
            self.steps.append((what, time.perf_counter(), _status()["VmHWM"]))

        def on_epoch(self, row: Any, planned: int) -> None:
            self.epochs.append(row.seconds)

    seen = Seen()
    with Peaks() as peaks, tempfile.TemporaryDirectory(dir=asked.keep) as out:
        begun = time.perf_counter()
        made = train_recipe(recipe, out=Path(out) / "run", listener=seen)
        seconds = time.perf_counter() - begun
    auc = next(r.value for r in made.scores.metrics if r.name == "auc" and r.label is None)
    rows = [row(what, f"{seconds:.0f} s, test AUC {auc:.3f}", peaks)]
    if seen.epochs:
        n = round(asked.films * SPLITS["train"])
        rows.append(row("  images a second, val with it", f"{n / np.median(seen.epochs):,.0f}"))
    ends = [*(at for _, at, _ in seen.steps[1:]), begun + seconds]
    highest = [*(peak for _, _, peak in seen.steps[1:]), peaks.peak]
    rows += [
        [f"  {name.lower()}", f"{end - at:.0f} s", f"{peak:.0f}", "", ""]
        for (name, at, _), end, peak in zip(seen.steps, ends, highest, strict=True)
    ]
    verdict = "below" if peaks.peak < LIMIT_MB else "NOT below"
    return {"rows": [*rows, row(f"  peak {verdict} {LIMIT_MB:,} MB", "")]}


STEPS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "draw": draw,
    "convert": convert,
    "open": open_again,
    "read": read,
    "network": network,
    "linear": linear,
}

if __name__ == "__main__":
    main()
