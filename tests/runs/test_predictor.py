"""The predictor: what it needs, what it refuses, and that batches and threads change nothing."""

import os
import subprocess
import sys

import numpy as np
import pytest

from penlight.api.training import train_recipe
from penlight.data import store
from penlight.errors import DataError, MissingExtraError, RunError
from penlight.experiments import run as training
from penlight.recipes import Data, Linear, Recipe
from penlight.runs import open_predictor, open_run
from penlight.runs import predictor as predicting
from penlight.tasks import Binary
from tests.conftest import small_dataset


@pytest.fixture
def run_folder(monkeypatch, tmp_path):
    dataset = small_dataset(Binary(("no", "yes")))
    monkeypatch.setattr(store, "open_dataset", lambda name, size: dataset)
    monkeypatch.setattr(training, "_write_report", lambda *_: None)
    train_recipe(Recipe(data=Data(dataset="small"), model=Linear(components=3)), out=tmp_path / "run")
    return tmp_path / "run"


def pictures(n=20):
    return np.random.default_rng(0).integers(0, 256, (n, 28, 28, 3), dtype=np.uint8)


def test_batches_threads_and_memory_order_change_nothing(run_folder, monkeypatch):
    whole = open_predictor(run_folder).answer(pictures())
    monkeypatch.setattr(predicting, "_BATCH", 3)
    for options in ({}, {"threads": 1, "spinning": False}):
        other = open_predictor(open_run(run_folder), **options).answer(pictures())
        for one, same in zip(whole, other, strict=True):
            assert one.dtype == np.float64
            np.testing.assert_allclose(one, same, atol=1e-6)
    mirrored = pictures()[:, :, ::-1]
    np.testing.assert_array_equal(
        open_predictor(run_folder).logits(mirrored), open_predictor(run_folder).logits(mirrored.copy())
    )


def test_no_image_is_no_answer(run_folder):
    logits, prob = open_predictor(run_folder).answer(pictures(0))
    assert (logits.shape, prob.shape) == ((0, 1), (0, 2))


def test_images_of_another_kind_are_named(run_folder):
    opened = open_predictor(run_folder)
    for images in (pictures().astype(np.float32), pictures()[..., :1], pictures()[:, :20], pictures()[0]):
        with pytest.raises(DataError, match=r"\(N, 28, 28, 3\), uint8"):
            opened.probabilities(images)


def test_a_missing_or_changed_file_is_named(run_folder, tmp_path):
    content = bytearray((run_folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (run_folder / "model.onnx").write_bytes(content)
    with pytest.raises(RunError, match=r"model\.onnx.*damaged or was changed"):
        open_predictor(run_folder)
    with pytest.raises(RunError, match=r"absent\.onnx cannot be read"):
        open_predictor(tmp_path / "absent.onnx")


def test_without_the_runtime_the_error_says_what_to_install(run_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match="pip install onnxruntime"):
        open_predictor(run_folder)


def test_predicting_loads_neither_keras_nor_tensorflow_nor_onnx(run_folder):
    code = (
        "import sys\nfrom pathlib import Path\nimport numpy as np\nfrom penlight.runs import open_predictor\n"
        f"opened = open_predictor(Path({str(run_folder)!r}))\n"
        "prob = opened.probabilities(np.zeros((2, 28, 28, 3), np.uint8))\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'onnx', 'sklearn', 'matplotlib', 'pandas'}\n"
        "print(prob.shape, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(2, 2) []"


def test_what_is_computed_alone_is_computed_in_batches_only_where_no_bit_changes(run_folder, monkeypatch):
    def asked(changed):
        """Answer 21 images, with an error of rounding in batches if `changed`, and give the sizes of batches."""
        opened, sizes = open_predictor(run_folder, alone=True, isolated=False), []

        def run(names, part):
            sizes.append(len(part))
            return [own + np.float32(changed and len(part) > 1) * np.float32(1e-4) for own in compute(names, part)]

        compute = opened._session.run
        monkeypatch.setattr(opened._session, "run", run)
        return opened.answer(pictures(21)), sizes

    opened = open_predictor(run_folder, alone=True, isolated=False)
    alone = [np.concatenate(own) for own in zip(*(opened.answer(p[None]) for p in pictures(21)), strict=True)]
    for changed, sizes in ((False, [8, 8, *[1] * 5]), (True, [1] * 21)):
        answers, found = asked(changed)
        assert found == [*[1] * 8, 8, *sizes]
        for own, wanted in zip(answers, alone, strict=True):
            np.testing.assert_array_equal(own, wanted)


def test_each_batch_of_what_is_computed_alone_has_the_time_of_an_item(run_folder, monkeypatch):
    """All of a message together would be too slow by a large encoder."""
    begun = []
    monkeypatch.setattr(predicting, "begin", begun.append)
    open_predictor(run_folder, isolated=False).answer(pictures(3))
    assert begun == []
    open_predictor(run_folder, alone=True, isolated=False).answer(pictures(3))
    assert begun == [None] * 3
