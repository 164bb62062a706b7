"""Create the images of the manual from its own commands, on synthetic images: `python docs/_pictures.py`.

Screenshots need Chromium; without it they are not replaced. The script takes about two minutes on two cores. With
`--retina` it makes README's images too, for which RetinaMNIST and the weights of the study retina-offline must be on
disk; that takes about eight minutes more.
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

import penlight as pl
from penlight.reports.palette import ACCENT, INK, MUTED, PAPER, RULE

IMAGES = Path(__file__).parent / "images"

_COMMANDS = """
train retina-phantom --recipe demo --out network
data show retina-phantom --out shown
study small.toml --out study
"""

_STUDY = """
name = "small"
title = "Three models of drawn photographs"
question = "What does more training buy?"
dataset = "retina-phantom"
seeds = 3
rows = [
  { id = "short", recipe = "demo", title = "Network, 4 epochs", overrides = ["train.epochs=4"] },
  { id = "long", recipe = "demo", title = "Network, 12 epochs" },
  { id = "linear", recipe = "linear", title = "Linear baseline", seeds = 1 },
]
"""

_FIGURES = {
    "calibration": ("network", "reliability"),
    "sets": ("network", "sets"),
    "study-differences": ("study", "against-linear"),
}
"""Name of an image to the folder of its run and the name of its display."""

_OF_RETINA = {
    "report": ("train retinamnist --recipe cnn --seeds 3 --out retinamnist-cnn-1", (1200, 900)),
    "study": ("study retina-offline --out retina-offline", (1180, 1385)),
}
"""Name of an image to the command whose report it shows, and its size."""

_COLOURS = {"ink": INK, "muted": MUTED, "rule": RULE, "paper": PAPER, "accent": ACCENT}


def main() -> None:
    """Run the commands in a temporary folder, and save the images."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("small.toml").write_text(_STUDY, encoding="utf-8")
        for line in _COMMANDS.split("\n"):
            if line:
                _run(line)
        for name, (run, display) in _FIGURES.items():
            (IMAGES / f"{name}.svg").write_text(_alone(pl.displays(Path(run))[display].svg()), encoding="utf-8")
        _keep(Image.open("shown/samples.png"), "data-show")
        if chromium := shutil.which("chromium"):
            _keep(_screenshot(chromium, Path("network/report.html"), (1280, 900)), "run-report")
            for name, (line, size) in _OF_RETINA.items() if "--retina" in sys.argv else ():
                _run(line)
                _keep(_screenshot(chromium, Path(line.split()[-1], "report.html"), size), name)


def _run(line: str) -> None:
    subprocess.run([sys.executable, "-c", "from penlight.cli import main; main()", *line.split()], check=True)


def _alone(svg: str) -> str:
    """Add the colours of a report's style sheet to an SVG."""
    before, after = svg.split(">", 1)
    colours = ";".join(f"--{name}:{colour}" for name, colour in _COLOURS.items())
    return f"{before}><style>svg{{color:{INK};{colours}}}</style>{after}\n"


def _screenshot(chromium: str, page: Path, size: tuple[int, int]) -> Image.Image:
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
    subprocess.run(
        [chromium, *quiet, "--screenshot=page.png", f"--window-size={size[0]},{size[1]}", page.resolve().as_uri()],
        check=True,
        capture_output=True,
    )
    return Image.open("page.png")


def _keep(picture: Image.Image, name: str) -> None:
    """Write a PNG of at most 256 colours."""
    buffer = io.BytesIO()
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    (IMAGES / f"{name}.png").write_bytes(buffer.getvalue())


if __name__ == "__main__":
    main()
