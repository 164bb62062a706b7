"""Maps as pictures: colours over an image, one picture of an explanation, one sheet of many.

Images are enlarged pixel by pixel and stand on black; maps are enlarged smoothly and lie over them. Colours are those
of Matplotlib's magma, which is perceptually uniform; the higher a place, the less of the image shows through. The
image below a map is grey, so that all colour is the map's: on an orange retina its own could not be read.
"""

import base64
import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

OPACITY = 0.75
"""How much of the image the highest place hides."""

_SIDE = 336
_SHEET_SIDE = 168
_SHEET_COLUMNS = 3
_BAR = 14
_PAD = 16
_LINE = 20
_INK, _SOFT = (233, 235, 238), (154, 162, 174)


@dataclass(frozen=True)
class Piece:
    """An image (H, W, C), its map (H, W) of 0 to 1, and the lines that say what it shows."""

    image: Pixels
    map: NDArray[np.floating]
    lines: tuple[str, ...]


def shade(values: NDArray[np.floating]) -> Pixels:
    """Colour a map (H, W) of 0 to 1, as (H, W, 4): where it is 0 it is clear, where it is 1 it hides the most."""
    alpha = np.rint(255 * OPACITY * np.clip(values, 0, 1)).astype(np.uint8)
    return np.concatenate([_colours()[grey(values)], alpha[..., None]], axis=-1)


def grey(values: NDArray[np.floating]) -> Pixels:
    """Give a map (H, W) of 0 to 1 as (H, W) uint8."""
    out: Pixels = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return out


def scale(width: int = 64) -> Pixels:
    """Give the colours from 0 to 1, (1, width, 3)."""
    return _colours()[grey(np.linspace(0, 1, width))][None]


def png_address(pixels: Pixels) -> str:
    """Give pixels (H, W), (H, W, 3) or (H, W, 4) as the data address of a PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def over(image: Pixels, values: NDArray[np.floating], side: int) -> "Image.Image":
    """Lay a map over its image in grey, at a whole multiple of its size near `side` pixels."""
    from PIL import Image

    plain = enlarged(image, side)
    smooth = Image.fromarray(np.asarray(values, np.float32)).resize(plain.size, Image.Resampling.BICUBIC)
    layer = Image.fromarray(shade(np.asarray(smooth)))
    return Image.alpha_composite(plain.convert("L").convert("RGBA"), layer).convert("RGB")


def enlarged(image: Pixels, side: int) -> "Image.Image":
    """Enlarge an image (H, W, C) pixel by pixel; one that is larger than `side` is shrunk to it."""
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    if max(picture.size) > side:
        return picture.resize((side, side), Image.Resampling.LANCZOS)
    times = side // max(picture.size)
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def draw_piece(piece: Piece) -> bytes:
    """Draw the image, and beside it the image under its map with the bar of its colours, as a PNG."""
    from PIL import Image, ImageDraw

    both = (enlarged(piece.image, _SIDE), over(piece.image, piece.map, _SIDE))
    width, height = both[0].size
    sheet = Image.new("RGB", (2 * width + 3 * _PAD + _BAR + 40, height + 2 * _PAD + _LINE * len(piece.lines) + 4))
    sheet.paste(both[0], (_PAD, _PAD))
    sheet.paste(both[1], (2 * _PAD + width, _PAD))
    _upright_bar(sheet, 3 * _PAD + 2 * width, _PAD, height)
    draw = ImageDraw.Draw(sheet)
    _write(draw, piece.lines, _PAD, height + _PAD + 8, 14, sheet.width - 2 * _PAD)
    return _png(sheet)


def draw_sheet(pieces: Sequence[Piece]) -> bytes:
    """Draw several explanations on one sheet, with one bar for all, as a PNG."""
    from PIL import Image, ImageDraw

    columns = min(_SHEET_COLUMNS, len(pieces))
    side = enlarged(pieces[0].image, _SHEET_SIDE).width
    lines = max(len(piece.lines) for piece in pieces)
    cell_w, cell_h = 2 * side + 4 + _PAD, side + 8 + _LINE * lines + _PAD
    rows = -(-len(pieces) // columns)
    sheet = Image.new("RGB", (_PAD + columns * cell_w, _PAD + rows * cell_h + _BAR + 2 * _PAD))
    draw = ImageDraw.Draw(sheet)
    for number, piece in enumerate(pieces):
        x, y = _PAD + number % columns * cell_w, _PAD + number // columns * cell_h
        sheet.paste(enlarged(piece.image, _SHEET_SIDE), (x, y))
        sheet.paste(over(piece.image, piece.map, _SHEET_SIDE), (x + side + 4, y))
        _write(draw, piece.lines, x, y + side + 6, 12, cell_w - _PAD)
    _level_bar(sheet, draw, _PAD, _PAD + rows * cell_h)
    return _png(sheet)


def _upright_bar(sheet: "Image.Image", x: int, y: int, height: int) -> None:
    from PIL import Image, ImageDraw

    colours = _colours()[grey(np.linspace(1, 0, height))]
    sheet.paste(Image.fromarray(np.repeat(colours[:, None], _BAR, axis=1)), (x, y))
    draw, font = ImageDraw.Draw(sheet), _font(12)
    for text, place in (("1", y), ("0", y + height - 14)):
        draw.text((x + _BAR + 6, place), text, fill=_SOFT, font=font)


def _level_bar(sheet: "Image.Image", draw: "ImageDraw.ImageDraw", x: int, y: int) -> None:
    from PIL import Image

    sheet.paste(Image.fromarray(np.repeat(scale(160), _BAR, axis=0)), (x + 14, y))
    for text, place in (("0", x), ("1", x + 180)):
        draw.text((place, y - 1), text, fill=_SOFT, font=_font(12))


def _write(draw: "ImageDraw.ImageDraw", lines: Sequence[str], x: int, y: int, size: int, width: int) -> None:
    font = _font(size)
    for number, line in enumerate(lines):
        shown = line
        while len(shown) > 1 and font.getlength(shown) > width:
            shown = shown[:-2].rstrip() + "…"
        draw.text((x, y + number * _LINE), shown, fill=_INK if number == 0 else _SOFT, font=font)


def _png(sheet: "Image.Image") -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


@functools.cache
def _colours() -> Pixels:
    """Magma's 256 colours, (256, 3)."""
    from matplotlib import colormaps

    out: Pixels = np.rint(255 * colormaps["magma"](np.arange(256))[:, :3]).astype(np.uint8)
    return out


@functools.cache
def _font(size: int) -> "ImageFont.FreeTypeFont":
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
