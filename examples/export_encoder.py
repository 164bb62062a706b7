"""Write a PyTorch network as an ONNX encoder for Penlight, on a machine that has PyTorch and, for weights, a network.

    python export_encoder.py timm vit_small_patch14_dinov2.lvd142m dinov2.onnx --size 224
    python export_encoder.py timm vit_large_patch16_224 retfound.onnx --checkpoint RETFound_cfp_weights.pth \\
        --pixels imagenet --licence CC-BY-NC-4.0
    python export_encoder.py open_clip hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224 biomedclip.onnx
    python export_encoder.py torchxrayvision densenet121-res224-all torchxrayvision.onnx

It needs torch, onnx, onnxscript, onnxruntime, and the package that is named first. The file says how it wants pixels,
where it is from and under which licence, and is compared with the network before it is done. `--random` downloads
nothing and leaves the weights random, which shows that all is installed.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

OPSET = 18
CLOSE = 1e-4


@dataclass
class Network:
    """A network from images (N, channels, size, size) to features (N, F), and what is known of it: how it wants
    pixels, by a name that Penlight knows, its licence and its source."""

    module: torch.nn.Module
    size: int
    channels: int
    pixels: str
    licence: str
    source: str


def of_timm(asked: argparse.Namespace) -> Network:
    """A network of timm without its head; `--checkpoint` reads weights of the same architecture from a file."""
    import timm

    sized = {"img_size": asked.size} if asked.size and "vit" in asked.name else {}
    if asked.checkpoint:
        # Masked autoencoders, as RETFound, are fine-tuned and probed on the average of all patches.
        sized |= {"global_pool": "avg", "fc_norm": False} if "vit" in asked.name else {}
    pretrained = not asked.random and not asked.checkpoint
    module = timm.create_model(asked.name, pretrained=pretrained, num_classes=0, **sized)
    if asked.checkpoint:
        load_checkpoint(module, asked.checkpoint)
    about = timm.data.resolve_model_data_config(module)
    return Network(
        module,
        asked.size or about["input_size"][1],
        about["input_size"][0],
        pixels_of(about["mean"], about["std"]),
        str(module.pretrained_cfg.get("license") or ""),
        f"{asked.checkpoint.name}, {asked.name} of timm" if asked.checkpoint else f"{asked.name} of timm",
    )


def load_checkpoint(module: torch.nn.Module, path: Path) -> None:
    """Load weights from a file, which runs no code of it, and see that none of the network is missing."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        saved = torch.load(path, map_location="cpu", weights_only=True)
    weights = saved.get("model", saved.get("teacher", saved))
    weights = {name.removeprefix("module.").removeprefix("backbone."): value for name, value in weights.items()}
    missing = module.load_state_dict(weights, strict=False).missing_keys
    if missing:
        sys.exit(f"{path} lacks {len(missing)} weights of the network, such as {missing[0]}.")


def of_open_clip(asked: argparse.Namespace) -> Network:
    """The image part of a CLIP, such as BiomedCLIP."""
    import open_clip

    if asked.random:
        module = open_clip.create_model(asked.name, pretrained=None)
    elif asked.name.startswith("hf-hub:"):
        module = open_clip.create_model(asked.name)
    else:
        module = open_clip.create_model(asked.name, pretrained="openai")
    image = module.visual
    size = image.image_size[0] if isinstance(image.image_size, tuple | list) else image.image_size
    mean, spread = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    pixels = pixels_of(image.image_mean or mean, image.image_std or spread)
    return Network(image, size, 3, pixels, "", f"{asked.name} of open_clip")


def of_torchxrayvision(asked: argparse.Namespace) -> Network:
    """A DenseNet for chest radiographs."""
    import torchxrayvision

    random = {"weights": None, "num_classes": 18, "in_channels": 1}
    network = torchxrayvision.models.DenseNet(**random if asked.random else {"weights": asked.name})

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = network.features

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.maps(pixels)).mean(dim=(2, 3))

    return Network(Features(), 224, 1, "torchxrayvision", "Apache-2.0", f"{asked.name} of torchxrayvision")


def pixels_of(mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """Give the name that Penlight has for a mean and a standard deviation of pixels from 0 to 1; empty for others."""
    known = {
        "0..1": ((0.0,) * 3, (1.0,) * 3),
        "-1..1": ((0.5,) * 3, (0.5,) * 3),
        "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    }
    return next((name for name, own in known.items() if np.allclose([mean, std], own, atol=1e-6)), "")


def write(network: Network, path: Path) -> float:
    """Write the ONNX file, with what is known of the network, and give how far its features are off, as a share of
    the largest."""
    module = network.module.eval()
    few = torch.randn(2, network.channels, network.size, network.size, generator=torch.Generator().manual_seed(0))
    batch = torch.export.Dim("N", min=1, max=4096)
    torch.onnx.export(
        module, (few,), path, input_names=["pixels"], output_names=["features"], opset_version=OPSET,
        dynamo=True, dynamic_shapes=({0: batch},), external_data=False, optimize=True, verbose=False,
    )  # fmt: skip
    model = onnx.load(path)
    about = {"encoder.pixels": network.pixels, "licence": network.licence, "source": network.source}
    onnx.helper.set_model_props(model, {key: value for key, value in about.items() if value})
    onnx.save(model, path)
    more = few.repeat(2, 1, 1, 1)[:3]
    with torch.no_grad():
        wanted = module(more).numpy()
    given = onnxruntime.InferenceSession(path.read_bytes()).run(None, {"pixels": more.numpy()})[0]
    return float(np.abs(given - wanted).max() / np.abs(wanted).max())


MAKERS = {"timm": of_timm, "open_clip": of_open_clip, "torchxrayvision": of_torchxrayvision}


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", choices=MAKERS)
    parser.add_argument("name", help="the network's name in that package")
    parser.add_argument("file", type=Path, help="the ONNX file to write")
    parser.add_argument("--checkpoint", type=Path, help="weights of the network, as a file of PyTorch")
    parser.add_argument("--size", type=int, default=0, help="side of its images in pixels, where there is a choice")
    parser.add_argument("--pixels", default="", help="how it wants pixels, where the package does not say it")
    parser.add_argument("--licence", default="", help="the licence of its weights, where the package does not say it")
    parser.add_argument("--random", action="store_true", help="download nothing, and leave the weights random")
    asked = parser.parse_args(arguments)
    network = MAKERS[asked.package](asked)
    network.pixels, network.licence = asked.pixels or network.pixels, asked.licence or network.licence
    away = write(network, asked.file)
    print(f"{asked.file}: {network.source}; features differ by {away:.1e} of the largest")
    if away > CLOSE:
        asked.file.unlink()
        sys.exit("That is more than rounding: the file was removed.")
    for what in ("pixels", "licence"):
        if not getattr(network, what):
            print(f"It does not say its {what}: penlight encoders add {asked.file} --{what} NAME")


if __name__ == "__main__":
    main()
