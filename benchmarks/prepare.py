"""Prepare JPEG files of one megapixel, as `penlight data new` does: seconds, images a second, processor time, memory.

    python benchmarks/prepare.py [--files 10000] [--size 28] [--keep FOLDER]

The files are made first, in a temporary folder: different crops of a drawn, noisy picture, saved as a camera would.
Memory is that of this process over what it had before, at its peak; flat means that it does not grow with --files.
"""

import argparse
import os
import resource
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

SIDES = (1200, 900)
CLASSES = ("one", "two", "three")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--keep", type=Path, help="folder to make the files in, or to find them in")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        pictures = (asked.keep or Path(temporary)) / "pictures"
        if not pictures.exists():
            make(pictures, asked.files)
        os.environ["PENLIGHT_CACHE"] = f"{temporary}/cache"
        measure(pictures, Path(temporary), asked.size)


def make(folder: Path, n: int) -> None:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (90, 120, 3), np.uint8)
    whole = np.asarray(
        Image.fromarray(small).resize((2 * SIDES[0], 2 * SIDES[1]), Image.Resampling.BICUBIC), np.int16
    )
    whole = np.clip(whole + random.normal(0, 6, whole.shape), 0, 255).astype(np.uint8)
    corners = random.integers(0, (SIDES[1], SIDES[0]), (n, 2))
    for name in CLASSES:
        (folder / name).mkdir(parents=True)

    def save(i: int) -> None:
        top, left = corners[i]
        crop = Image.fromarray(whole[top : top + SIDES[1], left : left + SIDES[0]])
        crop.save(folder / CLASSES[i % len(CLASSES)] / f"{i:06d}.jpg", quality=85)

    with ThreadPoolExecutor() as pool:
        list(pool.map(save, range(n)))


def measure(pictures: Path, folder: Path, size: int) -> None:
    import penlight as pl

    n = sum(1 for _ in pictures.rglob("*.jpg"))
    n_bytes = sum(path.stat().st_size for path in pictures.rglob("*.jpg"))
    peak = Peak()
    before, wall, processor = peak.now(), time.perf_counter(), time.process_time()
    with peak:
        pl.new_dataset(pictures, size=size, out=folder)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"files              {n:,} of {SIDES[0]} x {SIDES[1]} pixels, {n_bytes / n / 1e3:.0f} kB each")
    print(f"seconds            {wall:.1f}")
    print(f"images a second    {n / wall:.0f}")
    print(f"processor / wall   {processor / wall:.2f}")
    print(f"processor ms each  {processor / n * 1e3:.1f}")
    print(f"memory added (MB)  {(peak.highest - before) / 1e6:.0f}")
    print(f"peak of process    {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")
    print(f"load average       {os.getloadavg()[0]:.1f}")


class Peak:
    """Watches the resident memory of this process, ten times a second."""

    def __init__(self) -> None:
        self.highest = 0
        self._done = threading.Event()

    def now(self) -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            self.highest = max(self.highest, self.now())


if __name__ == "__main__":
    main()
