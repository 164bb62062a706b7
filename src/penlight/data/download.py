"""Fetching a file from its official address: retried, checked, and named only when it is whole."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from penlight import disk
from penlight.data.progress import byte_progress
from penlight.errors import DownloadError

PAUSES = (0.5, 1.0, 2.0)
"""Seconds to wait before each further attempt."""

_TIMEOUT = 30
_BLOCK = 1 << 20
_HASHES = {"md5": "MD5", "sha256": "SHA-256"}


def download(url: str, target: Path, known_hash: str, remedy: str = "", largest: int = 0) -> None:
    """Fetch a file, unless another process has done so meanwhile. Its folder is made if need be.

    `known_hash` is "md5:..." or "sha256:..."; `remedy` how to do without a network; no more than `largest` bytes are
    fetched, if given. DownloadError if there is no network, if the address has no such file, or if its bytes have
    another hash; StorageError if the folder cannot be written. Either way no part of the file, and no new folder, is
    left.
    """
    folder = target.parent
    remedy = remedy or f"Put {target.name} into ~/.medmnist or set PENLIGHT_DATA to its folder."
    with (
        disk.writing_to(folder, f"Get {url} by other means and set PENLIGHT_DATA to its folder."),
        disk.folders(folder),
        disk.locked(folder / f".{target.name}.lock"),
    ):
        if not target.exists():
            with disk.temporary_folder(folder, target.name) as temporary:
                _fetch(url, temporary / target.name, known_hash, remedy, largest)
                (temporary / target.name).replace(target)
            disk.sync_folder(folder)


def _fetch(url: str, target: Path, known_hash: str, remedy: str, largest: int) -> None:
    """Try until it succeeds or the pauses are used up."""
    from requests import HTTPError, RequestException

    for pause in (*PAUSES, None):
        try:
            return _fetch_once(url, target, known_hash, largest)
        except HTTPError as error:
            error.response.close()
            status = error.response.status_code
            may_pass = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
            if pause is None or not may_pass:
                raise DownloadError(f"{url} answered with status {status}.", remedy) from error
        except RequestException as error:
            if pause is None:
                raise DownloadError(
                    f"There is no network, or it broke off: {target.name} could not be fetched from {url}.", remedy
                ) from error
        time.sleep(pause)
    return None


def _fetch_once(url: str, target: Path, known_hash: str, largest: int) -> None:
    import pooch
    from requests import RequestException

    # pooch announces every file on standard error; the progress bar does that here.
    pooch.get_logger().setLevel(logging.WARNING)
    with byte_progress(f"fetching {target.name}") as bar:
        if largest:
            bar = replace(bar, draw=_at_most(largest, url, bar.draw))
        downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=_BLOCK, timeout=_TIMEOUT)
        try:
            pooch.retrieve(url, known_hash, target.name, target.parent, downloader=downloader)
        except RequestException:
            raise
        except ValueError as error:
            kind, _, digest = known_hash.partition(":")
            raise DownloadError(
                f"{url} gave bytes that do not have the {_HASHES[kind]} {digest}; they were thrown away.",
                "A proxy may have answered instead: try again, or get the file by other means.",
            ) from error


def _at_most(largest: int, url: str, draw: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """End a download of more than `largest` bytes, as its bar sees it: in whole blocks."""

    def drawn(done: int, total: int) -> None:
        if max(done - _BLOCK, total) > largest:
            raise DownloadError(f"{url} gives more than {largest:,} bytes.", "Check the address.")
        draw(done, total)

    return drawn
