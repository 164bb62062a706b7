"""What takes long is made once for all processes of a run of tests, by the first that asks."""

import atexit
import fcntl
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest


@cache
def shared_folder() -> Path:
    """Give the folder that all processes of this run of tests share, which ends with it."""
    root = Path(mkdtemp(prefix="penlight-tests-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """Give the folder that `make` fills, drawing as the session does. Whoever asks meanwhile waits, also in another
    process of the tests."""
    from tests.conftest import draw_few  # which imports what imports this

    root = shared_folder()
    done = root / f"{name}.done"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            with pytest.MonkeyPatch.context() as patch:
                draw_few(patch)
                # The user's own may hold what the full tests have scored, which draw more.
                patch.setenv("PENLIGHT_CACHE", str(root / "cache"))
                make(root / name)
            done.touch()
    return root / name
