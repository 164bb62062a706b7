"""How large a table may be, which comes from a stranger."""

LARGEST_TABLE = 256 << 20
"""Bytes of a table; a row of a million-image manifest has about a hundred."""

MOST_ROWS = 2_000_000
MOST_COLUMNS = 2_000
MOST_CELLS = 20_000_000

LARGEST_CELL = 1 << 17
"""Characters of a cell, which is Python's own limit."""
