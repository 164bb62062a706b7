"""Numbers are written by `penlight.numbers` alone, and no reader sees one that it is not."""

import ast
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import penlight
from penlight.numbers import decimal_text, percent_text, signed_text

SOURCE = Path(penlight.__file__).parent

# What is read by programs or by nobody: coordinates of drawings, values of a search, Prometheus' own format, bytes.
NOT_SCORES = {
    "phantoms", "disk.py", "numbers.py", "reports/displays/tuning.py", "reports/figure.py",
    "reports/tuning.py", "serve/metrics.py", "experiments/tuning/samplers.py",
}  # fmt: skip


def test_nobody_rounds_on_his_own():
    """A number with fixed decimals, "{x:.3f}" or "{x:+.1%}", that is made elsewhere may read 1.000, -0.000 or nan."""
    own = []
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if any(name.startswith(other) for other in NOT_SCORES):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
                spec = "".join(part.value for part in node.format_spec.values if isinstance(part, ast.Constant))
                constant = isinstance(node.value, ast.Name) and node.value.id.isupper()
                constant |= isinstance(node.value, ast.Attribute) and node.value.attr.isupper()
                if (
                    spec[-1:] in ("f", "%") or ("." in spec and "e" not in spec and "g" not in spec)
                ) and not constant:
                    own.append(f"{name}:{node.lineno} {spec}")
    assert own == []


def test_templates_round_nothing():
    for path in [*SOURCE.rglob("*.html")]:
        text = path.read_text(encoding="utf-8")
        assert "round(" not in text, path
        assert '"%.' not in text, path


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.9996, "0.9996"), (0.99996, "0.99996"), (1.0, "1.000"), (1 - 1e-12, "1.000"), (-0.00004, "0.000"),
     (-0.9999, "−0.9999"), (math.nan, "-"), (0.1235, "0.123"), (12.0, "12.000"), (math.inf, "inf")],
)  # fmt: skip
def test_decimals(value, written):
    assert decimal_text(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(0.01, "+0.010"), (-0.01, "−0.010"), (0.0001, "0.000"), (-0.0, "0.000"), (math.nan, "-")]
)
def test_differences(value, written):
    assert signed_text(value) == written


@pytest.mark.parametrize(
    ("share", "written"),
    [(0.5, "50.0 %"), (0.0, "0.0 %"), (1.0, "100.0 %"), (0.99996, "99.996 %"), (0.0001, "0.01 %"), (math.nan, "-")],
)
def test_shares(share, written):
    assert percent_text(share) == written


@given(st.floats(-1, 1), st.integers(0, 4))
def test_a_share_that_is_not_1_is_not_written_as_1(value, decimals):
    text = decimal_text(value, decimals).replace("\N{MINUS SIGN}", "-")
    assert (abs(float(text)) == 1) == (abs(value) >= 1 - 1e-9)
    assert not (float(text) == 0 and text.startswith("-"))
    assert abs(float(text) - value) <= 0.5 * 10.0**-decimals + 1e-12
    assert float(percent_text(abs(value), decimals).removesuffix(" %")) / 100 == pytest.approx(abs(value), abs=0.006)
