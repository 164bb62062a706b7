"""Starting the server, where its libraries are installed."""

from pathlib import Path
from typing import Any

from penlight.errors import MissingExtraError


def serve_runs(runs: list[Path], *, token_file: Path | None, **options: Any) -> None:
    """Serve runs; see `penlight.serve.serve` and `find_token`. MissingExtraError without the extra."""
    try:
        from penlight.serve import serve
        from penlight.serve.token import find_token
    except ImportError as error:
        raise MissingExtraError(
            f"Serving needs {error.name}, which is not installed.", "Install it: pip install 'penlight[serve]'"
        ) from error
    serve(runs, token=find_token(token_file), **options)
