"""Several devices: the shares of a batch, and the scores of one device, on virtual devices of one processor."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from penlight.data import apply_view
from penlight.recipes import Augment, Cnn, Data, Recipe, Train
from penlight.tasks import Ordinal
from penlight.training import fit
from penlight.training.engine import Devices, devices_for
from tests.conftest import LABELS, small_dataset

pytestmark = pytest.mark.jax

ROOT = Path(__file__).parents[2]
DEVICES = 4
CASES = {
    # Batches of 20, 20 and 8 images: all on four devices.
    "four devices": Train(epochs=2, batch_size=20, augment=Augment(rotation=10, flip_horizontal=True)),
    # Batches of 14, of which seven are a share, and one of 6 on three devices.
    "two and three": Train(epochs=2, batch_size=14, optimizer="adamw", weight_decay=0.01),
    "bfloat16": Train(epochs=2, batch_size=20, precision="bfloat16"),
}


def scores(name: str) -> dict[str, object]:
    """Train a network with dropout and normalisation: its curves, and its logits of the test images."""
    view = apply_view(small_dataset(Ordinal(LABELS)))
    model = Cnn(filters=(4, 8), dense=8, dropout=0.2, normalise=True)
    fitted = fit(Recipe(data=Data(dataset="small"), model=model, train=CASES[name]), view, view.task, seed=0)
    curves = [[row.loss, row.val_loss, row.headline, row.val_headline] for row in fitted.history]
    return {"curves": curves, "logits": fitted.logits(view.splits["test"]).tolist()}


def on_devices() -> dict[str, object]:
    """Tell what there is, how batches are shared, and the scores of all cases; this runs in a process of its own."""
    share = devices_for(8).shared(np.arange(48).reshape(3, 8, 2), 1)
    parts = [np.asarray(part.data).tolist() for part in sorted(share.addressable_shards, key=lambda p: p.device.id)]
    counts = [len(devices_for(batch)) for batch in (1, 7, 9, 14, 20)]
    return {"parts": parts, "counts": counts, "cases": {name: scores(name) for name in CASES}}


@pytest.fixture(scope="module")
def of_four() -> dict[str, object]:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    run = "import json; from tests.training.test_devices import on_devices; print(json.dumps(on_devices()))"
    done = subprocess.run(
        [sys.executable, "-c", run],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags.strip()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_each_device_gets_its_share_of_every_batch(of_four) -> None:
    whole = np.arange(48).reshape(3, 8, 2)
    assert of_four["parts"] == [whole[:, i : i + 2].tolist() for i in range(0, 8, 2)]


def test_as_many_devices_are_used_as_divide_the_batch(of_four) -> None:
    assert of_four["counts"] == [1, 1, 3, 2, 4]


@pytest.mark.parametrize("name", CASES)
def test_several_devices_give_the_scores_of_one(of_four, name) -> None:
    one, several = scores(name), of_four["cases"][name]
    # A product of bfloat16 has eight bits: another order of the same sums is seen in the third digit.
    near = {"rtol": 2e-2, "atol": 2e-2} if name == "bfloat16" else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(several["curves"], one["curves"], **near)
    np.testing.assert_allclose(several["logits"], one["logits"], **near)
    assert np.ptp(one["logits"], axis=0).min() > 0.1, "logits that are all alike would agree whatever was trained"


def test_one_device_is_left_as_it_is() -> None:
    values = np.arange(6).reshape(3, 2)
    assert len(Devices()) == 1
    assert Devices().shared(values, 0) is values
    assert Devices().whole(values) is values
