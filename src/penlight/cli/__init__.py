"""The command: parses, calls one function of `api`, prints. Heavy imports are inside commands, so help is quick."""

import sys
from typing import NoReturn

from penlight.errors import PenlightError


def main() -> NoReturn:
    """Run the command. Exit codes: 0 done, 1 a named error, 2 wrong usage, 130 interrupted."""
    from penlight.cli.app import app

    try:
        app()
    except PenlightError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except KeyboardInterrupt:
        print("Interrupted. What was finished is kept; the same command goes on from there.", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(0)
