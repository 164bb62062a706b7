"""The audit of 112,120 films of 28 pixels, as many as ChestX-ray14 has, with planted near duplicates.

    python benchmarks/audit.py [--images 112120] [--planted 200]

Films are those of the chest phantom. Of the planted pairs a quarter each is brightened, has noise of 2 grey levels,
was a JPEG of quality 90, or is mirrored; of the pairs, half are within train and half across train and test.

On two cores of an AMD EPYC, at low priority beside other work, 2026-11-24: 93 s, 64.5 s of processor, peak memory
831 MB (348 MB before the audit). Found: 50 of 50 brightened, 50 of 50 with noise, 47 of 50 from JPEG, 50 of 50
mirrored, and no pair that was not planted.
"""

import argparse
import io
import resource
import time
from dataclasses import replace

import numpy as np
from PIL import Image

from penlight.data import Dataset, Split, dataset_info
from penlight.data.audit import audit
from penlight.phantoms import phantom_arrays


def films(n: int) -> Dataset:
    samples = {"train": int(n * 0.7), "val": int(n * 0.1)}
    samples["test"] = n - sum(samples.values())
    arrays = phantom_arrays("chest-phantom", 28, seed=1, samples=samples)
    splits = {s: Split(arrays[f"{s}_images"][..., None], arrays[f"{s}_labels"]) for s in samples}
    return Dataset(replace(dataset_info("chest-phantom"), samples=samples), 28, splits, md5="0" * 32)


def changed(image: np.ndarray, kind: int, rng: np.random.Generator) -> np.ndarray:
    values = image.astype(np.float32)
    if kind == 0:
        return np.clip(values * 0.9 + 10, 0, 255).astype(np.uint8)
    if kind == 1:
        return np.clip(values + rng.normal(0, 2, values.shape), 0, 255).astype(np.uint8)
    if kind == 2:
        file = io.BytesIO()
        Image.fromarray(image[..., 0]).save(file, "JPEG", quality=90)
        return np.asarray(Image.open(file))[..., None]
    return image[:, ::-1]


KINDS = ("brightened", "noise", "JPEG 90", "mirrored")


def plant(dataset: Dataset, n: int) -> dict[frozenset[tuple[str, int]], str]:
    rng = np.random.default_rng(0)
    train = dataset.splits["train"].images
    from_rows = rng.permutation(len(train))
    planted = {}
    for k in range(n):
        split = "test" if k % 2 else "train"
        images = dataset.splits[split].images
        source, target = int(from_rows[k]), int(from_rows[n + k]) if split == "train" else k
        images[target] = changed(train[source], k // 2 % 4, rng)
        planted[frozenset({("train", source), (split, target)})] = KINDS[k // 2 % 4]
    return planted


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=112_120)
    parser.add_argument("--planted", type=int, default=200)
    options = parser.parse_args()
    dataset = films(options.images)
    planted = plant(dataset, options.planted)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start, used = time.perf_counter(), time.process_time()
    found = audit(dataset)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    pairs = {frozenset({pair.one, pair.other}) for pair in found.pairs}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{options.images:,} images: {seconds:.1f} s, {used:.1f} s of processor")
    print(f"  peak memory {peak:,.0f} MB, {before:,.0f} MB before the audit")
    for kind in KINDS:
        mine = {pair for pair, k in planted.items() if k == kind}
        print(f"  {kind}: {len(mine & pairs)} of {len(mine)} planted pairs found")
    print(f"  not planted: {len(pairs - set(planted))}")
    for problem in found.problems:
        print(f"  {problem.code}: {problem.seen}")


if __name__ == "__main__":
    main()
