"""Worker processes: what strangers made, pictures and models, is decoded and computed outside this process.

A worker is a Python process of its own with a limit on its address space. Messages are frames over pipes: a small
JSON header, then bytes; nothing is unpickled in either direction, and what a worker sends is bounded and parsed as
data. Before each item of a message the worker says so, and sets a timer of processor time at whose end the kernel
ends it. So an item that never ends, needs too much memory or crashes a decoder costs seconds, is known by its number,
and takes nothing else along: `WorkerPool.call` gives the other items to another worker.

What a worker runs is a function named "module:function". It gets the message's `common` values and its items, each a
dictionary and bytes, calls `begin(number)` before it works on one, and returns a dictionary and bytes for each.

Limits of address space and of processor time need a POSIX system; macOS does not hold a process to the first. On
Windows neither is there, and only the deadline that this process keeps is left.
"""

import atexit
import contextlib
import importlib
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self

from penlight.errors import PenlightError, PictureError
from penlight.parsing import parse_json_object

Item = tuple[Mapping[str, Any], bytes]
"""One thing in a message: values for JSON, and bytes."""

ANSWERING = "penlight.runs.answering:handle"
"""The worker that answers for pictures. Its name is here, so that a command can start it before all else."""

MOST_ITEMS = 200
"""Items in one message."""

_FRAME = struct.Struct("<IQ")
_LARGEST_HEADER = 16 << 20
_READY, _EVERYTHING = 0, 255
_OUT_OF_MEMORY = 77
_STARTS = 3
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

# A worker that keeps more resident than this after a message gives memory back to the system or, after so many
# messages that its start is paid for, ends.
_RESIDENT = 400 << 20
_LEAST_MESSAGES = 50

_ENTRY = "from penlight.workers import work; work()"

Kind = Literal["time", "memory", "crash"]


@dataclass(frozen=True)
class Bounds:
    """What one item may use: `seconds` of processor time, and `memory` in bytes, over that of a new worker."""

    seconds: float = 20.0
    memory: int = 3 << 30


@dataclass(frozen=True)
class Lost:
    """An item without an answer, because a worker ended on it, or (`everything`) on all items together."""

    kind: Kind
    everything: bool = False

    def reason(self, bounds: Bounds) -> str:
        """Say why in a few words."""
        return {
            "time": f"it took more than {bounds.seconds:g} s of processor time",
            "memory": f"it needs more than {bounds.memory >> 20:,} MB of memory",
            "crash": "it crashed what read it",
        }[self.kind]

    def as_picture(self, bounds: Bounds, name: str) -> PictureError:
        """Give the error of the picture `name` that ended a worker."""
        remedy = "It is damaged, or was made to harm. Leave it out, or save it anew."
        return PictureError(self.reason(bounds), remedy, name)


class WorkerEndedError(Exception):
    """A worker ended before it answered: at the item `item`; None stands for all of them together, -1 for none."""

    def __init__(self, kind: Kind | Literal["start"], item: int | None, told: str = "") -> None:
        super().__init__(f"{kind} {item} {told}")
        self.kind, self.item, self.told = kind, item, told


class WorkerFailedError(PenlightError):
    """Workers cannot be started here, or one failed in a way that no input explains."""


# ---- in this process


class Worker:
    """One worker process, which answers one message at a time. `handler` is "module:function"."""

    def __init__(self, handler: str, memory: int) -> None:
        self.answered = 0
        """Messages answered so far."""
        self._process = _start(handler, memory)
        self._told = b""
        self._ready = False
        self._overdue = False
        self._reading = threading.Lock()
        if sys.platform != "win32":
            os.set_blocking(self._pipe("stderr").fileno(), False)

    @property
    def pid(self) -> int:
        """The process' id."""
        return self._process.pid

    def call(
        self,
        common: Mapping[str, Any],
        items: Sequence[Item],
        seconds: float,
        *,
        largest: int = 1 << 28,
        patience: float | None = None,
    ) -> list[Item]:
        """Send a message and wait for its answer, one item for each.

        `seconds` of processor time are for each item; `largest` is how many bytes may come back. With `patience` the
        worker is killed if it begins no further item for so many seconds. WorkerEndedError if it ends; then it
        cannot be used again.
        """
        self.item()  # which takes in what was said before
        with self._reading:
            self._told = b""
        timer = None if patience is None else _Timer(self, patience)
        try:
            self._send({"seconds": seconds, "common": common, "items": [values for values, _ in items]}, items)
            header, payload = self._receive(largest)
        except (OSError, ValueError, EOFError, PenlightError) as error:
            raise self._ended() from error
        except BaseException:
            # Interrupted: what it still answers would be taken for the answer to the next message.
            self._process.kill()
            self._process.wait()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        self.answered += 1
        if "failed" in header:
            raise WorkerFailedError(f"A worker process failed: {str(header['failed'])[:2000]}")
        try:
            return list(_items(header, payload, len(items)))
        except (KeyError, ValueError, TypeError) as error:
            raise self._ended() from error

    def item(self) -> int | None:
        """Give the number of the item that is being worked on, -1 while the worker starts, None for all of them
        together; on Windows this is known only after the worker has ended."""
        with self._reading:
            if sys.platform != "win32" or self._process.poll() is not None:
                with contextlib.suppress(OSError, ValueError):
                    while told := self._pipe("stderr").read(4096):
                        self._told += told
            self._ready = self._ready or _READY in self._told
            return -1 if not self._told else self._told[-1] - 1 if self._told[-1] != _EVERYTHING else None

    def kill(self, overdue: bool = False) -> None:
        """End the process at once."""
        self._overdue = self._overdue or overdue
        self._process.kill()

    def close(self) -> None:
        """End the process and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def processor_time(self) -> float | None:
        """Give the seconds of processor time that the process has had; None where the system does not say."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError, ValueError):
            return None

    def be_nice(self) -> None:
        """Let other processes go first."""
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self.pid, 15)

    def _pipe(self, name: str) -> IO[bytes]:
        stream: IO[bytes] | None = getattr(self._process, name)
        assert stream is not None
        return stream

    def _send(self, header: Mapping[str, Any], items: Sequence[Item]) -> None:
        _write_frame(self._pipe("stdin"), header, [content for _, content in items])

    def _receive(self, largest: int) -> tuple[dict[str, Any], bytes]:
        stream = self._pipe("stdout")
        n_header, n_payload = _FRAME.unpack(_read(stream, _FRAME.size))
        if n_header > _LARGEST_HEADER or n_payload > largest:
            raise ValueError("the answer of a worker is too large")
        header = parse_json_object(_read(stream, n_header), "The answer of a worker")
        return header, _read(stream, n_payload)

    def _ended(self) -> WorkerEndedError:
        """Say why the worker ended, and see to it that it has."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)  # what closed the pipe is on its way to its end
        self._process.kill()
        code = self._process.wait()
        item = self.item()
        if not self._overdue and not (self._ready and self._told):
            # It could not start, and has said why, or it had ended before the message came.
            return WorkerEndedError("start", -1, self._told.decode(errors="replace").strip().rpartition("\n")[2])
        return WorkerEndedError(_kind_of_end(code, self._overdue), item)


class _Timer:
    """Kills a worker that begins nothing new for a while."""

    def __init__(self, worker: Worker, patience: float) -> None:
        self._worker, self._patience, self._seen = worker, patience, b""
        self._next = self._timer()

    def cancel(self) -> None:
        self._next.cancel()

    def _timer(self) -> threading.Timer:
        timer = threading.Timer(self._patience, self._look)
        timer.daemon = True
        timer.start()
        return timer

    def _look(self) -> None:
        self._worker.item()
        if sys.platform == "win32" or self._worker._told == self._seen:
            self._worker.kill(overdue=True)
        else:
            self._seen = self._worker._told
            self._next = self._timer()


def _kind_of_end(code: int, overdue: bool) -> Kind:
    if overdue or (sys.platform != "win32" and code == -signal.SIGPROF):
        return "time"
    # The kernel kills what uses up the machine's memory.
    if code == _OUT_OF_MEMORY or (sys.platform != "win32" and code == -signal.SIGKILL):
        return "memory"
    return "crash"


class WorkerPool:
    """Workers of one kind, at most `processes` of them; a worker is started when all that there are work.

    Use it as a context: in the end all are gone.
    """

    def __init__(self, handler: str, *, processes: int = 0, bounds: Bounds | None = None) -> None:
        self.processes = processes or cores()
        self.bounds = bounds or Bounds()
        self._handler = handler
        self._free: list[Worker] = []
        self._all: set[Worker] = set()
        self._given = 0
        self._change = threading.Condition()
        self._closed = False

    def __enter__(self) -> Self:
        """Give the pool."""
        return self

    def __exit__(self, *error: object) -> None:
        """End all workers."""
        self.close()

    def start(self, workers: int = 1) -> Self:
        """Start so many workers now, as starting takes a while, less those that there are."""
        with self._change:
            missing = min(workers, self.processes) - len(self._all)
        for _ in range(missing):
            worker = Worker(self._handler, self.bounds.memory)
            with self._change:
                self._all.add(worker)
                self._free.append(worker)
        return self

    def close(self) -> None:
        """End all workers, whatever they do."""
        with self._change:
            self._closed = True
            workers, self._all = list(self._all), set()
            self._free.clear()
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.close()

    def call(self, common: Mapping[str, Any], items: Sequence[Item], *, largest: int = 1 << 28) -> list[Item | Lost]:
        """Have a worker answer a message; what ended a worker is `Lost`, and the other items are answered by others.

        WorkerFailedError if workers cannot be started.
        """
        seconds = self.bounds.seconds
        found: dict[int, Item | Lost] = {}
        # Numbers of items that go into one message together. What ends a worker leaves its message.
        waiting, blamed, starts = [list(range(len(items)))], set[int](), 0
        while waiting:
            numbers = waiting.pop()
            worker = self._take()
            fresh = not worker.answered
            try:
                # Where others keep the cores busy, processor time takes longer than its name says.
                asked = [items[i] for i in numbers]
                answers = worker.call(common, asked, seconds, largest=largest, patience=30 + 8 * seconds)
                found.update(zip(numbers, answers, strict=True))
            except WorkerEndedError as ended:
                known = ended.item is not None and 0 <= ended.item < len(numbers)
                if ended.kind == "start":
                    starts += 1
                    if starts == _STARTS or self._closed:
                        raise WorkerFailedError(
                            f"A worker process could not be started: {ended.told[-500:] or 'it ended at once'}",
                            "Look whether the machine has memory left and processes may be started.",
                        ) from ended
                    waiting.append(numbers)
                elif not known and (ended.item is not None or ended.kind == "crash") and len(numbers) > 1:
                    waiting.extend([i] for i in numbers)  # a worker gone wrong is not believed which item it was
                elif not known:
                    found.update(dict.fromkeys(numbers, Lost(ended.kind, everything=ended.item is None)))
                else:
                    culprit = numbers.pop(ended.item or 0)
                    waiting.extend([numbers] if numbers else [])
                    if ended.kind == "crash" and not (fresh and ended.item == 0) and culprit not in blamed:
                        # Something before it may have damaged the worker: it gets another one.
                        blamed.add(culprit)
                        waiting.append([culprit])
                    else:
                        found[culprit] = Lost(ended.kind)
            finally:
                self._give(worker)
        return [found[i] for i in range(len(items))]

    def _take(self) -> Worker:
        with self._change:
            while not self._closed and not self._free and self._given >= self.processes:
                self._change.wait()
            if self._closed:
                raise WorkerFailedError("The workers were ended.")
            self._given += 1
            if self._free:
                return self._free.pop()
        try:
            worker = Worker(self._handler, self.bounds.memory)
        except BaseException:
            with self._change:
                self._given -= 1
                self._change.notify()
            raise
        with self._change:
            self._all.add(worker)
        return worker

    def _give(self, worker: Worker) -> None:
        alive = worker._process.poll() is None
        with self._change:
            self._given -= 1
            if alive and not self._closed and worker in self._all:
                self._free.append(worker)
            else:
                self._all.discard(worker)
            self._change.notify()
        if not alive or self._closed:
            worker.close()


_shared: dict[tuple[str, int], WorkerPool] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.clear)


def shared_pool(handler: str, bounds: Bounds | None = None, *, processes: int = 0) -> WorkerPool:
    """Give the workers of one kind that this process has, so many `processes`, 0 for one on each core; they are
    started when they are needed, and end with it."""
    key = handler, processes
    if key not in _shared:
        _shared[key] = WorkerPool(handler, processes=processes, bounds=bounds)
        atexit.register(_shared[key].close)
    return _shared[key]


def cores() -> int:
    """Count the processor cores that this process may use; of a job of Slurm, which may not be held to them, those
    that it was given."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(own, max(1, int(given))) if given.isdecimal() else own


class _Starter:
    """The thread that starts workers. Linux ends them with the thread that started them, so it must be one that lives
    as long as this process."""

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._start_all, name="starter", daemon=True).start()

    def start(self, words: Sequence[str], options: Mapping[str, Any]) -> "subprocess.Popen[bytes]":
        answer: queue.SimpleQueue[subprocess.Popen[bytes] | Exception] = queue.SimpleQueue()

        def start() -> None:
            try:
                answer.put(subprocess.Popen(words, **options))
            except Exception as error:
                answer.put(error)

        self._wanted.put(start)
        process = answer.get()
        if isinstance(process, Exception):
            raise process
        return process

    def _start_all(self) -> None:
        while True:
            self._wanted.get()()


_starter: list[_Starter] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_starter.clear)


def _start(handler: str, memory: int) -> "subprocess.Popen[bytes]":
    # -P: nothing is imported from the working folder, which may be that of the pictures.
    words = [sys.executable, "-P", "-W", "ignore", "-c", _ENTRY, handler, str(memory), str(os.getpid())]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    # A group of its own: Ctrl-C is for this process, which ends its workers.
    group = {} if sys.platform == "win32" else {"process_group": 0}
    options: dict[str, Any] = {**pipes, **group, "bufsize": 0, "env": _environment()}
    try:
        if threading.current_thread() is threading.main_thread():
            return subprocess.Popen(words, **options)
        if not _starter:
            _starter.append(_Starter())
        return _starter[0].start(words, options)
    except OSError as error:
        raise WorkerFailedError(f"A worker process could not be started: {error.strerror or error}.") from error


def _environment() -> dict[str, str]:
    own = str(Path(__file__).parents[1])
    path = [entry for entry in sys.path if entry]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    kept = {name: value for name, value in os.environ.items() if name != "PENLIGHT_TOKEN"}
    return {
        **kept,
        **threads,
        # One thread needs one heap, which is easier to give back. It keeps blocks that each picture takes and frees:
        # getting them from the system for each picture costs a tenth of the time of decoding it.
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
        "PYTHONPATH": os.pathsep.join(path if own in path else [*path, own]),
        "PYTHONWARNINGS": "ignore",
        # pydantic would look through all installed packages for plugins of its own, which no record needs.
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
    }


# ---- in a worker


class _Doing:
    """What a worker is at: where it says which item it begins, and how long one may take."""

    progress = -1
    statm = -1
    seconds = 0.0
    needed = 0


def begin(number: int | None) -> None:
    """Say, in a worker, that work on an item of the message begins, or with None on all of them together; from now it
    has its processor time. Elsewhere this does nothing."""
    if _Doing.progress < 0:
        return
    with contextlib.suppress(OSError):
        os.write(_Doing.progress, bytes([_EVERYTHING if number is None else number + 1]))
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, _Doing.seconds)


def keep() -> None:
    """Say, in a worker, that the memory it has now is needed for messages to come."""
    _Doing.needed = _statm(1) or 0


def work() -> None:
    """Be a worker: answer messages until there are no more."""
    handler, memory, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    requests, replies = _own_streams()
    _end_with(parent)
    if hasattr(signal, "SIGPROF"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, _, name = handler.partition(":")
    handle = getattr(importlib.import_module(module), name)
    _limit(memory)
    _silence()
    os.write(_Doing.progress, bytes([_READY]))
    messages = 0
    while True:
        try:
            header, payload = _receive_message(requests)
        except EOFError:
            os._exit(0)
        messages += 1
        last = _answer(handle, header, payload, replies, messages)
        if last:
            os._exit(0)


def _answer(handle: Any, header: dict[str, Any], payload: bytes, replies: IO[bytes], messages: int) -> bool:
    _Doing.seconds = header["seconds"]
    told: dict[str, Any]
    items: list[Item] = []
    try:
        items = list(handle(header["common"], list(_items(header, payload, len(header["items"])))))
        told = {"items": [values for values, _ in items]}
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)
    except Exception:
        import traceback

        told = {"failed": traceback.format_exc()[-2000:], "items": []}
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, 0)
    try:
        _write_frame(replies, told, [content for _, content in items])
    except OSError:
        os._exit(0)
    return _keeps_too_much() and messages >= _LEAST_MESSAGES


def _own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Take the pipes from the standard streams, where a library might print."""
    requests, replies = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return requests, replies


def _silence() -> None:
    """What C libraries print of damaged pictures is for nobody."""
    _Doing.progress = os.dup(2)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)
    if sys.platform != "win32":
        os.set_blocking(_Doing.progress, False)


def _end_with(parent: int) -> None:
    """Have Linux end this process with the one that started it; elsewhere it ends when its pipe does."""
    if sys.platform != "linux":
        return
    import ctypes

    # PR_SET_PDEATHSIG and PR_SET_NO_NEW_PRIVS.
    with contextlib.suppress(OSError, AttributeError):
        prctl = ctypes.CDLL(None).prctl
        prctl(1, int(signal.SIGKILL), 0, 0, 0)
        prctl(38, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if (used := _statm(0)) is not None:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = used + memory if most == resource.RLIM_INFINITY else min(used + memory, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _statm(field: int) -> int | None:
    """Give the size (0) or the resident part (1) of this process in bytes; None where the system does not say."""
    try:
        if _Doing.statm < 0:
            _Doing.statm = os.open("/proc/self/statm", os.O_RDONLY)
        return int(os.pread(_Doing.statm, 200, 0).split()[field]) * _PAGE
    except (OSError, AttributeError):
        return None


def _keeps_too_much() -> bool:
    """Give memory back to the system where much is kept, and say whether that was not enough."""
    most = _RESIDENT + _Doing.needed
    if (_statm(1) or 0) <= most:
        return False
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    return (_statm(1) or 0) > most


def _receive_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    n_header, n_payload = _FRAME.unpack(_read(stream, _FRAME.size))
    header = parse_json_object(_read(stream, n_header), "A message")
    try:
        return header, _read(stream, n_payload)
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)


# ---- in both


def _write_frame(stream: IO[bytes], header: Mapping[str, Any], contents: Sequence[bytes]) -> None:
    sizes = [len(content) for content in contents]
    text = json.dumps({**header, "sizes": sizes}, separators=(",", ":")).encode()
    start = _FRAME.pack(len(text), sum(sizes)) + text
    if sum(sizes) < 1 << 16:
        _write(stream, b"".join([start, *contents]))
        return
    for content in (start, *contents):
        _write(stream, content)


def _write(stream: IO[bytes], content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[stream.write(view) :]


def _read(stream: IO[bytes], n_bytes: int) -> bytes:
    """Read so many bytes from a pipe. EOFError if it ends before."""
    part = stream.read(n_bytes) if n_bytes else b""
    if len(part) == n_bytes:
        return part
    content = bytearray(part)
    while len(content) < n_bytes:
        if not part:
            raise EOFError("the pipe ended")
        part = stream.read(min(n_bytes - len(content), 1 << 20))
        content += part
    return bytes(content)


def _items(header: Mapping[str, Any], payload: bytes, count: int) -> Iterable[Item]:
    """Take the items of a message apart. ValueError, KeyError or TypeError if they are not `count`, and not whole."""
    values, sizes = header["items"], header["sizes"]
    if len(values) != count or len(sizes) != count or sum(sizes) != len(payload) or any(n < 0 for n in sizes):
        raise ValueError("a message does not hold the items that were expected")
    start = 0
    for own, size in zip(values, sizes, strict=True):
        if not isinstance(own, dict):
            raise ValueError("an item holds no values")
        yield own, payload[start : start + size]
        start += size
