"""Lines that are printed as they are, without a library of tables: one picture must not wait for that."""

import sys

from penlight.escaping import printable


def say(text: object, *, error: bool = False) -> None:
    """Print a line, on standard output or standard error; what in it would act on a terminal is made visible."""
    print(printable(text), file=sys.stderr if error else sys.stdout)
