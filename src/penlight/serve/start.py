"""How the server is started, from the command and from Python; what it is made of is loaded only then."""

from collections.abc import Sequence

from penlight.api.arguments import checked
from penlight.api.paths import PathLike, listed, path_of, path_or_none
from penlight.errors import MissingExtraError


@checked
def serve_runs(
    runs: PathLike | Sequence[PathLike],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: PathLike | None = None,
    no_auth: bool = False,
    allowed_hosts: Sequence[str] = (),
    root_path: str = "",
    forwarded_allow_ips: Sequence[str] = (),
    threads: int | None = None,
    quiet: bool = False,
) -> None:
    """Serve runs as pages and over HTTP until it is interrupted, on this machine only unless a token is given.

    `runs` are runs, run folders, or folders that contain runs and studies. The token is that of `token_file`, which
    its owner alone may read, else of the variable PENLIGHT_TOKEN. Behind a reverse proxy, `allowed_hosts` are the
    names under which it is asked, `root_path` the prefix below which it serves, and `forwarded_allow_ips` the
    addresses of proxies whose headers are trusted. ServeError for an address that others reach without a token, and
    MissingExtraError where the extra "serve" is not installed.

    Examples
    --------
    >>> pl.serve_runs("runs", port=8765)
    """
    try:
        from penlight.serve import serve
        from penlight.serve.token import find_token
    except ImportError as error:
        raise MissingExtraError(
            f"Serving needs {error.name}, which is not installed.", "Install it: pip install 'penlight[serve]'"
        ) from error
    serve(
        [path_of(run, "run folder") for run in listed(runs)],
        host=host,
        port=port,
        token=find_token(path_or_none(token_file, "file for token_file")),
        no_auth=no_auth,
        allowed_hosts=allowed_hosts,
        root_path=root_path,
        forwarded_allow_ips=forwarded_allow_ips,
        threads=threads,
        quiet=quiet,
    )
