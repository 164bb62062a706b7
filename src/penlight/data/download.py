"""Fetching a file from its official address: retried, checked, and named only when it is whole."""

import logging
import time
from http import HTTPStatus
from pathlib import Path

from penlight import disk
from penlight.data.progress import byte_progress
from penlight.errors import DownloadError

PAUSES = (0.5, 1.0, 2.0)
"""Seconds to wait before each further attempt."""

_TIMEOUT = 30
_BLOCK = 1 << 20


def download(url: str, target: Path, md5: str) -> None:
    """Fetch a file, unless another process has done so meanwhile. Its folder is made if need be.

    DownloadError if there is no network, if the address has no such file, or if its bytes have another hash;
    StorageError if the folder cannot be written. Either way no part of the file, and no new folder, is left.
    """
    folder = target.parent
    with (
        disk.writing_to(folder, f"Get {url} by other means and set PENLIGHT_DATA to its folder."),
        disk.folders(folder),
        disk.locked(folder / f".{target.name}.lock"),
    ):
        if not target.exists():
            with disk.temporary_folder(folder, target.name) as temporary:
                _fetch(url, temporary / target.name, md5)
                (temporary / target.name).replace(target)
            disk.sync_folder(folder)


def _fetch(url: str, target: Path, md5: str) -> None:
    """Try until it succeeds or the pauses are used up."""
    from requests import HTTPError, RequestException

    remedy = f"Put {target.name} into ~/.medmnist or set PENLIGHT_DATA to its folder."
    for pause in (*PAUSES, None):
        try:
            return _fetch_once(url, target, md5)
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


def _fetch_once(url: str, target: Path, md5: str) -> None:
    import pooch
    from requests import RequestException

    # pooch announces every file on standard error; the progress bar does that here.
    pooch.get_logger().setLevel(logging.WARNING)
    with byte_progress(f"fetching {target.name}") as bar:
        downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=_BLOCK, timeout=_TIMEOUT)
        try:
            pooch.retrieve(url, f"md5:{md5}", target.name, target.parent, downloader=downloader)
        except RequestException:
            raise
        except ValueError as error:
            raise DownloadError(
                f"{url} gave bytes that do not have the MD5 {md5}; they were thrown away.",
                "A proxy may have answered instead: try again, or get the file by other means.",
            ) from error
