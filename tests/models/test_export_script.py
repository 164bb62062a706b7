"""examples/export_encoder.py: what it writes of networks with random weights opens, gives their features, is probed.

It needs PyTorch and the packages that bring the networks, which are no part of Penlight's environment: where one is
missing, its test is skipped.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from penlight.models.encoder import EncoderFeatures
from penlight.models.encoder_file import open_encoder
from penlight.models.encoder_maps import averaged_maps
from penlight.models.feature_classifiers import FeatureTable
from penlight.models.probe import Probe
from penlight.recipes import Encoded

SCRIPT = Path(__file__).parents[2] / "examples" / "export_encoder.py"
SCALED = {"imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), "-1..1": (0.5, 0.5)}


@pytest.fixture
def script():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript, by which PyTorch writes ONNX, is not installed")
    spec = importlib.util.spec_from_file_location("export_encoder", SCRIPT)
    made = sys.modules["export_encoder"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    yield made
    del sys.modules["export_encoder"]


@pytest.mark.filterwarnings("ignore")  # of other people's packages
@pytest.mark.parametrize(
    ("package", "name", "pixels", "licence", "maps"),
    [
        ("timm", "vit_tiny_patch16_224", "-1..1", "Apache-2.0", False),
        ("timm", "resnet18", "imagenet", "Apache-2.0", True),
        ("torchxrayvision", "densenet121-res224-all", "torchxrayvision", "Apache-2.0", True),
        pytest.param("open_clip", "ViT-B-32", "clip", "MIT", False, marks=pytest.mark.full),
    ],
)
def test_a_network_of_pytorch_becomes_an_encoder(
    script, package, name, pixels, licence, maps, tmp_path, monkeypatch, capsys
):
    pytest.importorskip(package, reason=f"{package} is not installed")
    import torch

    monkeypatch.setenv("PENLIGHT_CACHE", str(tmp_path / "cache"))
    path, kept = tmp_path / "encoder.onnx", []
    write = script.write
    monkeypatch.setattr(script, "write", lambda network, file: kept.append(network) or write(network, file))
    script.main([package, name, str(path), "--random", *(["--licence", "MIT"] if package == "open_clip" else [])])
    assert "features differ by" in capsys.readouterr().out
    encoder = open_encoder(path)
    assert (encoder.licence.casefold(), encoder.why["pixels"]) == (licence.casefold(), "its metadata")
    assert name in encoder.source
    assert (averaged_maps(encoder, encoder.side) is not None) == maps
    images = np.random.default_rng(0).integers(0, 256, (8, 224, 224, kept[0].channels), dtype=np.uint8)
    x = images / 255
    if pixels == "torchxrayvision":
        x = (2 * x - 1) * 1024
    else:
        mean, std = SCALED.get(pixels) or ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
        x = (x - np.array(mean)) / np.array(std)
    with torch.no_grad():
        wanted = kept[0].module(torch.tensor(x, dtype=torch.float32).permute(0, 3, 1, 2)).numpy()
    features = EncoderFeatures(encoder, (encoder.side,)).of(images)
    np.testing.assert_allclose(features, wanted, atol=1e-4 * np.abs(wanted).max())
    y = np.eye(2, dtype=np.uint8)[np.arange(8) % 2]
    probe = Probe(Encoded()).fit(FeatureTable(features, y, {}, True, 0, None))
    assert probe.weights.shape == (encoder.width, 2)
