"""Explained cases on disk."""

import numpy as np
import pytest

from penlight.errors import RunError
from penlight.runs.cases import ExplainedCases, cases_from_bytes, cases_to_bytes


def test_cases_survive_their_file_within_half_a_step():
    maps = np.random.default_rng(0).random((3, 9, 9)).astype(np.float32)
    alike = np.array([0.5, np.nan, -1])
    cases = ExplainedCases(np.array([4, 8, 0]), np.array([1, 0, 1]), maps, "cam", "It shows.", alike)
    content = cases_to_bytes(cases)
    again = cases_from_bytes(content)
    assert cases_to_bytes(again) == content
    np.testing.assert_allclose(again.maps, maps, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(again.rows, cases.rows)
    np.testing.assert_array_equal(again.columns, cases.columns)
    np.testing.assert_array_equal(again.alike, alike)
    assert (again.method, again.meaning) == ("cam", "It shows.")


@pytest.mark.parametrize("content", [b"", b"no zip"])
def test_damaged_cases_are_named(content):
    with pytest.raises(RunError, match="here is not what Penlight writes"):
        cases_from_bytes(content, "here")
