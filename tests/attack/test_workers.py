"""Worker processes: an item costs a bounded time and memory, is known by its number, and harms no other."""

import contextlib
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penlight.workers import Bounds, Lost, Worker, WorkerEndedError, WorkerFailedError, WorkerPool

HANDLER = "tests.attack.misbehaving:handle"
MB = 1 << 20


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(HANDLER, processes=1, bounds=Bounds(0.3, 256 * MB)) as made:
        yield made


def ended(pid):
    for _ in range(1500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_items_come_back_in_order_and_printing_disturbs_nothing(pool):
    items = [({"value": i}, bytes([i]) * i + b"x") for i in range(150)]
    answers = pool.call({}, items)
    assert [values["got"] for values, _ in answers] == list(range(150))
    assert [content for _, content in answers] == [b"x" + bytes([i]) * i for i in range(150)]
    large = os.urandom(3 * MB)
    assert pool.call({}, [({}, large)])[0][1] == large[::-1]


def test_an_interrupted_message_is_not_answered_to_the_next(pool, monkeypatch):
    """As Ctrl-C and a notebook's stop do it, at any moment between a message and its answer."""

    def interrupted(*_):
        raise KeyboardInterrupt

    pool.call({}, [({"value": 0}, b"")])
    for part in ("_send", "_receive"):
        with monkeypatch.context() as patch:
            patch.setattr(Worker, part, interrupted)
            with pytest.raises(KeyboardInterrupt):
                pool.call({}, [({"value": 1}, b"first")])
        ((values, content),) = pool.call({}, [({"value": 2}, b"next")])
        assert (values["got"], content) == (2, b"txen")


LONG = ({"do": "lies", "bytes": struct.pack("<IQ", 0, 1 << 60).decode("latin-1")}, "crash")


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"do": "loop"}, "time"),
        pytest.param({"do": "memory", "bytes": 1 << 40}, "memory", marks=pytest.mark.full),
        ({"do": "memory", "bytes": 300 * MB}, "memory"),
        ({"do": "killed"}, "memory"),
        ({"do": "crash"}, "crash"),
        pytest.param({"do": "lies", "bytes": "no frame"}, "crash", marks=pytest.mark.full),
        ({"do": "lies", "bytes": struct.pack("<IQ", 1 << 31, 0).decode("latin-1")}, "crash"),
        pytest.param(*LONG, marks=pytest.mark.full),
        ({"do": "lies", "bytes": (struct.pack("<IQ", 100_000, 0) + b"[" * 100_000).decode("latin-1")}, "crash"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["do"],
)
def test_the_item_that_ends_a_worker_is_known_and_the_others_are_answered(pool, item, kind):
    begun = time.monotonic()
    before, bad, after = pool.call({}, [({"value": 1}, b""), (item, b""), ({"value": 2}, b"")])
    assert (before[0]["got"], after[0]["got"]) == (1, 2)
    assert bad == Lost(kind)
    assert time.monotonic() - begun < 20


def test_time_is_counted_for_each_item_and_not_for_all_together(pool):
    spin = {"do": "sleep", "seconds": 0.2}
    assert pool.call({}, [(spin, b"")] * 3) == [({}, b"")] * 3


def test_what_never_ends_and_uses_no_processor_is_ended_by_the_parent():
    worker = Worker(HANDLER, 256 * MB)
    try:
        with pytest.raises(WorkerEndedError) as caught:
            worker.call({}, [({}, b""), ({"do": "sleep", "seconds": 60}, b"")], 5, patience=0.6)
        assert (caught.value.kind, caught.value.item) == ("time", 1)
    finally:
        worker.close()


def test_a_worker_that_ends_on_all_items_together_loses_them(pool):
    lost = Lost("time", everything=True)
    assert pool.call({"together": True}, [({}, b""), ({"do": "loop"}, b"")]) == [lost, lost]


def test_a_defect_is_an_error_with_its_text(pool):
    with pytest.raises(WorkerFailedError, match="ValueError: planted"):
        pool.call({}, [({"do": "raises"}, b"")])
    assert pool.call({}, [({"value": 3}, b"")])[0][0]["got"] == 3


def test_a_worker_that_was_killed_while_idle_is_replaced(pool):
    pid = pool.call({}, [({}, b"")])[0][0]["pid"]
    os.kill(pid, signal.SIGKILL)
    assert ended(pid)
    assert pool.call({}, [({}, b"")])[0][0]["pid"] != pid


def test_workers_that_cannot_start_are_a_named_error():
    with (
        WorkerPool("tests.attack.absent:handle", processes=1) as pool,
        pytest.raises(WorkerFailedError, match=r"could not be started.*absent"),
    ):
        pool.call({}, [({}, b"")])


def test_workers_end_with_the_pool_and_import_nothing_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit(3)")
    with WorkerPool(HANDLER, processes=1) as pool:
        values, _ = pool.call({}, [({"do": "imported", "names": ["penlight.errors", "numpy", "typer"]}, b"")])[0]
        assert values["modules"] == ["penlight.errors"]
        assert str(tmp_path) not in values["path"]
        pid = pool.call({}, [({}, b"")])[0][0]["pid"]
    assert ended(pid)


@pytest.mark.parametrize("do", ["echo", "loop"])
def test_a_killed_parent_leaves_no_worker(do):
    code = (
        "import sys, threading\nfrom penlight.workers import WorkerPool\n"
        f"pool = WorkerPool({HANDLER!r}, processes=1)\n"
        "def ask():\n    print(pool.call({}, [({}, b'')])[0][0]['pid'], flush=True)\n"
        f"    pool.call({{}}, [({{'do': {do!r}}}, b'')])\n"
        "thread = threading.Thread(target=ask, daemon=True)\nthread.start()\nsys.stdin.read()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as parent:
        pid = int(parent.stdout.readline())
        time.sleep(0.1)
        parent.kill()
    assert ended(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
