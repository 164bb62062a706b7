"""Write docs/checks.md to standard output."""

import sys

from penlight.evaluation.checks import describe_checks

sys.stdout.write(describe_checks())
