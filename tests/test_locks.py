"""Locks where files cannot be locked, or are locked as NFS does it: one process writes a folder at a time, and who is
dead holds nothing."""

import contextlib
import errno
import fcntl
import multiprocessing
import os
import platform
import signal
import threading
import time

import pytest

from penlight import disk
from penlight.disk import LOCK, FolderHold
from penlight.errors import RunError

FORK = multiprocessing.get_context("fork")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def unlockable(monkeypatch, request):
    """A file system whose files cannot be locked."""
    why = getattr(request, "param", errno.ENOLCK)

    def refuse(*_):
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(disk, "_lockable", {})
    monkeypatch.setattr(disk, "_LOOK_AGAIN_SHARED", 0.02)
    monkeypatch.setattr(disk, "SILENT", 0.6)


@contextlib.contextmanager
def holder(folder):
    """Another process that holds a folder until it is killed."""
    ours, its = FORK.Pipe()

    def hold():
        with FolderHold(folder):
            its.send(True)
            signal.pause()

    process = FORK.Process(target=hold)
    process.start()
    assert ours.recv()
    try:
        yield process
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("unlockable", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS], indirect=True)
def test_one_process_writes_a_folder_where_files_cannot_be_locked(tmp_path, unlockable):
    folder = tmp_path / "run"
    with holder(folder) as process:
        with (
            pytest.raises(RunError, match=rf"Another process \({process.pid} on .+\) is writing"),
            FolderHold(folder),
        ):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert (folder / LOCK).exists()
        with FolderHold(folder):
            (folder / "file").write_bytes(b"")
    assert names_in(folder) == ["file"]


def on_another_machine(path, host="node7", pid=4711):
    path.write_text(f"filelock/2\npid={pid}\nhost={host}\nmode=lease\ntoken=0\nduration={disk.SILENT!r}\n")


def test_what_a_dead_machine_held_is_taken_over_and_said(tmp_path, unlockable):
    on_another_machine(tmp_path / LOCK)
    begun = time.monotonic()
    with pytest.warns(UserWarning, match=r"4711 on node7 .* not been heard of for 0.6 s"), FolderHold(tmp_path):
        assert time.monotonic() - begun >= 0.6
    assert names_in(tmp_path) == []


def test_a_machine_that_is_heard_of_keeps_its_folder(tmp_path, unlockable):
    on_another_machine(tmp_path / LOCK)
    beating = threading.Event()

    def beat():
        while not beating.wait(0.1):
            os.utime(tmp_path / LOCK)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(RunError, match="4711 on node7"), FolderHold(tmp_path):
            pass
    finally:
        beating.set()
        thread.join()
    assert (tmp_path / LOCK).exists()


@pytest.mark.parametrize(
    "content", ["filelock/2\npid=1\nhost=x\nmode=lease\ntoken=0\nduration=7.0\n", f"filelock/2\npid={os.getpid()}\n"
                f"host={platform.node()}\nmode=exclusive\n"]
)  # fmt: skip
def test_a_lock_of_other_rules_is_left_alone(tmp_path, unlockable, content):
    (tmp_path / LOCK).write_text(content)
    with pytest.raises(RunError, match=r"Another process \(\d+ on .+\) is writing"), FolderHold(tmp_path):
        pass
    assert (tmp_path / LOCK).read_text() == content


def test_who_wants_an_entry_of_the_cache_waits_for_the_first(tmp_path, unlockable):
    ours, its = FORK.Pipe()

    def hold():
        with disk.locked(tmp_path / ".entry.lock"):
            its.send(True)
            time.sleep(0.3)
            (tmp_path / "entry").write_bytes(b"1")

    process = FORK.Process(target=hold)
    process.start()
    assert ours.recv()
    with disk.locked(tmp_path / ".entry.lock", wait=False) as mine:
        assert not mine
    with disk.locked(tmp_path / ".entry.lock") as mine:
        assert mine
        assert (tmp_path / "entry").exists()
    process.join()
    assert names_in(tmp_path) == ["entry"]


def test_a_temporary_file_that_cannot_be_locked_is_an_orphan_once_it_is_old(tmp_path, unlockable):
    with disk.writing_whole(tmp_path / "file") as file:
        file.write(b"1")
        disk.remove_orphans(tmp_path)
        file.flush()
        (part,) = names_in(tmp_path)
        os.utime(tmp_path / part, (0, 0))
        disk.remove_orphans(tmp_path, "other")
        assert names_in(tmp_path) == [part]
        disk.remove_orphans(tmp_path, "file")
        assert names_in(tmp_path) == []
        (tmp_path / part).write_bytes(b"1")
    assert names_in(tmp_path) == ["file"]


def test_a_file_that_another_process_writes_is_no_orphan_on_nfs(tmp_path, monkeypatch):
    flock = fcntl.flock

    def as_nfs(handle, how):
        if how & fcntl.LOCK_EX and fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", as_nfs)
    with disk.writing_whole(tmp_path / "file") as file:
        file.write(b"1")
        disk.remove_orphans(tmp_path)
    assert (tmp_path / "file").read_bytes() == b"1"
    (tmp_path / ".file.abcdefgh.part").write_bytes(b"")
    disk.remove_orphans(tmp_path)
    assert names_in(tmp_path) == ["file"]


def test_a_lock_that_another_machine_removed_is_made_again(tmp_path, monkeypatch):
    from filelock import FileLock

    left, acquire = [1, 2], FileLock.acquire

    def stale(answer, *given, **how):
        if left:
            left.pop()
            raise OSError(errno.ESTALE, "Stale file handle")
        return answer(*given, **how)

    monkeypatch.setattr(FileLock, "acquire", lambda *given, **how: stale(acquire, *given, **how))
    with disk.locked(tmp_path / ".entry.lock") as mine:
        assert mine
    assert names_in(tmp_path) == []


def test_a_lock_whose_file_another_machine_removed_is_no_lock(tmp_path, monkeypatch):
    fstat, seen = os.fstat, []

    def stale(handle):
        seen.append(fstat(handle).st_ino)
        if len(seen) == 2:
            raise OSError(errno.ESTALE, "Stale file handle")
        return fstat(handle)

    with FolderHold(tmp_path / "warm"):
        pass
    monkeypatch.setattr(os, "fstat", stale)
    with FolderHold(tmp_path):
        assert (tmp_path / LOCK).exists()
    assert len(seen) > 2
