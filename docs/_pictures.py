"""Create the images of README and the manual from their own code and commands, on synthetic images:
`python docs/_pictures.py`.

Screenshots need Chromium; without it they are not replaced. The script takes about two minutes on two cores. With
`--retina` it makes README's image of a report too, for which RetinaMNIST must be on disk.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

import penlight as pl
from penlight.reports.palette import ACCENT, INK, MUTED, PAPER, RULE

IMAGES = Path(__file__).parent / "images"
README = Path(__file__).parents[1] / "README.md"

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

_OF_RETINA = "train retinamnist --recipe cnn --seeds 3"
"""README's first command, whose report its image `report` shows."""

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
        _keep(_plotted(README), "confusion")
        if chromium := shutil.which("chromium"):
            _keep(_screenshot(chromium, Path("network/report.html"), (1280, 900)), "run-report")
            if "--retina" in sys.argv:
                _run(_OF_RETINA)
                _keep(_screenshot(chromium, Path("runs/retinamnist-cnn-1/report.html"), (1200, 900)), "report")


def _run(line: str) -> None:
    subprocess.run([sys.executable, "-c", "from penlight.cli import main; main()", *line.split()], check=True)


def _alone(svg: str) -> str:
    """Add the colours of a report's style sheet to an SVG."""
    before, after = svg.split(">", 1)
    colours = ";".join(f"--{name}:{colour}" for name, colour in _COLOURS.items())
    return f"{before}><style>svg{{color:{INK};{colours}}}</style>{after}\n"


def _plotted(page: Path) -> Image.Image:
    """Run the first Python block of a page, and give the figure that it ends with."""
    from matplotlib import pyplot

    code = re.search(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    assert code is not None, page
    exec(code[1], {})
    pyplot.savefig("plotted.png", dpi=144)
    return Image.open("plotted.png")


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
