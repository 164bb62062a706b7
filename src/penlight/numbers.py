"""How numbers are written: by these functions alone, so that none is rounded to what it is not."""

import math

_ROUNDING = 1e-9
"""What sums of floating-point numbers are off by; so near to 1 is 1."""

_MOST_DECIMALS = 9

_MINUS = "\N{MINUS SIGN}"


def decimal_text(value: float, decimals: int = 3) -> str:
    """Write a number with so many decimals, and a share that is not quite 1 with as many as show that; a dash for
    NaN, a true minus sign, none before zero."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else f"{value}"
    text = f"{value:.{decimals}f}"
    while abs(value) < 1 - _ROUNDING and abs(float(text)) == 1:
        decimals += 1
        text = f"{value:.{decimals}f}"
    return text.replace("-", _MINUS) if float(text) else text.lstrip("-")


def signed_text(value: float, decimals: int = 3) -> str:
    """Write a difference with its sign; none before zero."""
    text = decimal_text(value, decimals)
    # What is rounded to zero has no sign.
    return f"+{text}" if value > 0 and text.strip("0.") else text


def percent_text(share: float, decimals: int = 1) -> str:
    """Write a share, from 0 to 1, as "12.3 %"; one that is not quite none or all has as many decimals as
    show that."""
    if math.isnan(share):
        return "-"
    text = f"{100 * share:.{decimals}f}"
    while _ROUNDING < share < 1 - _ROUNDING and float(text) in (0, 100) and decimals < _MOST_DECIMALS:
        decimals += 1
        text = f"{100 * share:.{decimals}f}"
    return f"{text} %"


def share_cell(share: float) -> str:
    """Write a share for the column of a table whose head says that it is in percent: "12.3"."""
    return percent_text(share).removesuffix(" %")


def pixels_text(side: int) -> str:
    """Write the size of square images; of those that are not at hand it is not known."""
    return f"{side} × {side} px" if side else "not known"


def counted(n: int, noun: str, plural: str = "") -> str:
    """Write how many there are of something: "1 image", "1,200 images"."""
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


def time_text(seconds: float, is_known: bool) -> str:
    """Write a time that is left in minutes or hours, "at least" unless it `is_known` whole; empty for none."""
    about, minutes = "about" if is_known else "at least", math.ceil(seconds / 60)
    if not minutes:
        return ""
    return f"{about} {minutes} min" if minutes < 90 else f"{about} {decimal_text(minutes / 60, 1)} h"
