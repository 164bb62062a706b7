"""An Excel file from standard input to CSV on standard output, in a process that may break down.

    python -P -m penlight.data.own.excel < table.xlsx > table.csv

As `penlight.data.own.parquet` does it. Formulas are not computed: the values that the file holds of them are read.
"""

import csv
import io
from typing import IO

from penlight.data.own.limits import MOST_CELLS, MOST_COLUMNS, MOST_ROWS
from penlight.data.own.parquet import cell_text, convert
from penlight.data.own.unreadable import UnreadableError
from penlight.escaping import named


def write_csv(source: IO[bytes], out: IO[bytes]) -> None:
    """Write the one sheet that has rows as CSV. UnreadableError for several, and for one that is too large."""
    import openpyxl

    book = openpyxl.load_workbook(source, read_only=True, data_only=True, keep_links=False)
    full = [sheet for sheet in book.worksheets if any(any(cell is not None for cell in row)
            for row in sheet.iter_rows(max_row=20, max_col=MOST_COLUMNS, values_only=True))]  # fmt: skip
    if len(full) != 1:
        names = f"the sheets {named(sheet.title for sheet in full)}" if full else "no rows"
        raise UnreadableError(f"it has {names}; save the one that is meant as CSV")
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    rows, cells = csv.writer(text, lineterminator="\n"), 0
    for number, row in enumerate(full[0].iter_rows(values_only=True)):
        cells += len(row)
        if number > MOST_ROWS or cells > MOST_CELLS or len(row) > MOST_COLUMNS:
            raise UnreadableError(f"it has more than {number:,} rows of {len(row):,} columns")
        if any(cell is not None for cell in row):
            rows.writerow([cell_text(cell) for cell in row])
    text.detach()


if __name__ == "__main__":
    convert(write_csv)
