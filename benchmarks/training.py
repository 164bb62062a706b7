"""Training: images per second of Penlight, of plain Keras and of plain PyTorch, the same networks, in turns.

    python benchmarks/training.py [--rounds 3] [--epochs 5] [--images 4096] [--networks cnn chest-cnn chest-deep]

Each way runs in a process of its own, one after another in each round; beside the median of all epochs stand the CPU
seconds per wall second, the share of the chip's matrix-product rate (measured at the start of each round, by NumPy's
product and by the faster one of TensorFlow), the peak memory, and the ratio to Penlight in the same round. PyTorch is
left out, and said to be, where it is not installed.
"""

import argparse
import importlib.util
import statistics
from typing import Any

from _measure import here, in_own_process, print_table
from _peers import BATCH, NETWORKS, WAYS

from penlight.recipes import load_recipe
from penlight.recipes.plan import operations_of

_BACKWARD = 3
"""A step costs the forward pass, and twice that for the gradients of weights and of maps."""


def operations(network: str) -> float:
    """Multiplications and additions of training on one image."""
    return _BACKWARD * operations_of(load_recipe(network).model, 28, NETWORKS[network][0])  # type: ignore[arg-type]


def one_round(network: str, ways: list[str], n: int, epochs: int) -> dict[str, dict[str, Any]]:
    """Measure each way once, and the chip."""
    peer = here(__file__).replace("training.py", "_peers.py")
    found = {way: in_own_process(peer, way, network, str(n), str(epochs)) for way in ways}
    return found | {"matrix": in_own_process(peer, "matrix", network, "0", "0")}


def row(way: str, network: str, rounds: list[dict[str, dict[str, Any]]]) -> list[str]:
    """The line of one way: medians over rounds and epochs, ratios within rounds."""
    rates = [rate for r in rounds for rate in r[way]["rates"]]
    cores = [core for r in rounds for core in r[way]["cores"]]
    ours = [statistics.median(r["Penlight"]["rates"]) / statistics.median(r[way]["rates"]) for r in rounds]
    speed = statistics.median(rates)
    shares = [
        speed * operations(network) / statistics.median(r["matrix"][by] for r in rounds)
        for by in ("numpy", "tensorflow")
    ]
    return [
        f"{network}, by {BATCH[network]}: {way}",
        f"{speed:,.0f}",
        f"{min(rates):,.0f}-{max(rates):,.0f}",
        f"{statistics.median(cores):.2f}",
        *(f"{share:.0%}" for share in shares),
        f"{max(r[way]['peak_mb'] for r in rounds):,.0f}",
        f"{statistics.median(ours):.2f}",
    ]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--epochs", type=int, default=5)
    words.add_argument("--images", type=int, default=4096)
    words.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    asked = words.parse_args()
    ways = [way for way in WAYS if way != "PyTorch" or importlib.util.find_spec("torch")]
    if "PyTorch" not in ways:
        print("PyTorch is not installed and is left out: pip install torch==2.13.0")
    rows = []
    for network in asked.networks:
        rounds = [one_round(network, ways, asked.images, asked.epochs) for _ in range(asked.rounds)]
        rows += [row(way, network, rounds) for way in ways]
        products = {by: statistics.median(r["matrix"][by] for r in rounds) for by in ("numpy", "tensorflow")}
        print(
            f"{network}: {operations(network) / 1e6:.1f} million operations an image; products at "
            f"{products['numpy'] / 1e9:.0f} (NumPy) and {products['tensorflow'] / 1e9:.0f} (TensorFlow) GFLOPS"
        )
    head = ["network", "images/s", "from-to", "CPU/wall", "of NumPy", "of TF", "peak MB", "Penlight is x"]
    print_table("Training, medians", head, rows)


if __name__ == "__main__":
    main()
