"""The command: parses, calls one function of `api`, prints. Heavy imports are inside commands, so help is quick."""

import codecs
import io
import os
import sys
from typing import NoReturn

from penlight import privacy
from penlight.cli.ending import end, stopped_by_signals


def main() -> NoReturn:
    """Run the command. Exit codes: 0 done, 1 a named error, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM."""
    if shell := os.environ.get("_PENLIGHT_COMPLETE"):
        from penlight.cli.completion import complete

        complete(shell)
        sys.exit(0)
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("penlight", _plainer)
        sys.stdout.reconfigure(errors="penlight")
    try:
        with stopped_by_signals():
            if sys.argv[1:2] == ["predict"]:
                # The worker that will answer imports what it needs while this process does.
                from penlight.workers import ANSWERING, shared_pool

                shared_pool(ANSWERING).start()
            # Libraries are pointed at Penlight's cache before they are imported; a question for help makes no folder.
            if len(sys.argv) > 1 and not {"-h", "--help", "--version", "completion"} & set(sys.argv):
                privacy.keep_files_in_cache()
            from penlight.cli.app import app

            code = app(prog_name="penlight", standalone_mode=False)
    except SystemExit:
        raise
    except BaseException as error:
        code = end(error)
        if code is None:
            raise
    sys.exit(code or 0)


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """Write a hyphen for a minus sign or dash that an old encoding of a terminal lacks, and escapes for others."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join("-" if c in "\N{MINUS SIGN}\N{EN DASH}" else f"\\u{ord(c):04x}" for c in lost), error.end
