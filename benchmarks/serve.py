"""How many single 28-pixel PNGs a server answers, from the machine that also makes the load.

    python benchmarks/serve.py RUN [--seconds 10] [--connections 32] [--form multipart|raw] [--threads 2]

Starts `penlight serve RUN` on a free port of loopback, keeps that many connections asking, and stops it by SIGTERM.
Prints requests a second, the median and 99 % quantile of their times, errors, processor time of a request (which
other work on the machine changes less than it does the rest), and memory after each tenth of the time; both are those
of the server and its workers together.
The run must be of images of 28 pixels; the pictures are noise of its colours.
"""

import argparse
import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

_PICTURES = 64


def pictures(channels: int) -> list[bytes]:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(_PICTURES):
        small = rng.integers(0, 256, (7, 7, channels), dtype=np.uint8)
        pixels = small.repeat(4, axis=0).repeat(4, axis=1)
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(file, "PNG")
        made.append(file.getvalue())
    return made


def request(path: str, picture: bytes, form: str) -> bytes:
    if form == "raw":
        kind, body = "image/png", picture
    else:
        kind = "multipart/form-data; boundary=penlightbenchmark"
        head = b'--penlightbenchmark\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
        body = head + b"Content-Type: image/png\r\n\r\n" + picture + b"\r\n--penlightbenchmark--\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, requests: list[bytes], first: int, until: float, times: list[float], bad: list[bytes]) -> None:
        self.requests, self.number, self.until, self.times, self.bad = requests, first, until, times, bad
        self.buffer = b""
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.begun = time.perf_counter()
        self.transport.write(self.requests[self.number % len(self.requests)])
        self.number += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        low = head.lower()
        at = low.index(b"content-length: ") + 16
        if len(body) < int(low[at : at + 12].split(b"\r")[0]):
            return
        now = time.perf_counter()
        self.times.append(now - self.begun)
        if not head.startswith(b"HTTP/1.1 200"):
            self.bad.append(head[:40])
        self.buffer = b""
        if now < self.until:
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if time.perf_counter() < self.until:
            self.bad.append(b"connection lost")
        if not self.ended.done():
            self.ended.set_result(None)


async def load(port: int, requests: list[bytes], connections: int, seconds: float) -> tuple[list[float], list[bytes]]:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    bad: list[bytes] = []
    until = time.perf_counter() + seconds
    clients = [Client(requests, 7 * i, until, times, bad) for i in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
    await asyncio.wait_for(asyncio.gather(*(client.ended for client in clients)), seconds + 30)
    return times, bad


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_until_ready(port: int) -> None:
    for _ in range(600):
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as sock:
                sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                if b" 200 " in sock.recv(100):
                    return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The server did not start.")


def processes(pid: int) -> list[int]:
    """The server and its workers."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [own for child in path.read_text().split() for own in processes(int(child))]
    return found


def memory(pid: int) -> float:
    pages = sum(int(Path(f"/proc/{own}/statm").read_text().split()[1]) for own in processes(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor(pid: int) -> float:
    fields = [Path(f"/proc/{own}/stat").read_text().rpartition(")")[2].split() for own in processes(pid)]
    ended = [int(ticks) for ticks in fields[0][13:15]]
    return (sum(int(own[11]) + int(own[12]) for own in fields) + sum(ended)) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--form", choices=("multipart", "raw"), default="multipart")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    from penlight.runs import open_predictor, open_run

    channels = open_predictor(open_run(options.run)).channels
    port = free_port()
    command = "from penlight.cli import main; main()"
    words = ["serve", str(options.run), "--port", str(port), "--quiet", "--threads", str(options.threads)]
    server = subprocess.Popen([sys.executable, "-c", command, *words])
    try:
        wait_until_ready(port)
        path = f"/api/v1/runs/{options.run.resolve().name}/predict"
        requests = [request(path, picture, options.form) for picture in pictures(channels)]
        asyncio.run(load(port, requests, options.connections, 1.0))
        sizes, used = [memory(server.pid)], (processor(server.pid), time.process_time())
        times: list[float] = []
        bad: list[bytes] = []
        for _ in range(10):
            some, wrong = asyncio.run(load(port, requests, options.connections, options.seconds / 10))
            times, bad = times + some, bad + wrong
            sizes.append(memory(server.pid))
        used = (processor(server.pid) - used[0], time.process_time() - used[1])
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
    median, most = np.quantile(times, [0.5, 0.99]) * 1000
    print(f"{options.form}, {options.connections} connections, load {os.getloadavg()[0]:.1f}: "
          f"{len(times) / options.seconds:,.0f} requests a second, median {median:.1f} ms, 99 % {most:.1f} ms, "
          f"{len(bad)} errors {set(bad) or ''}")  # fmt: skip
    each = [seconds / len(times) * 1000 for seconds in used]
    print(f"processor time for a request: {each[0]:.2f} ms of the server, {each[1]:.2f} ms of the client")
    print(f"memory in MB: {', '.join(f'{size:.0f}' for size in sizes)}; exit code {code}")


if __name__ == "__main__":
    main()
