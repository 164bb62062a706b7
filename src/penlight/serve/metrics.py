"""Counts and times of requests, in the text format of Prometheus (version 0.0.4)."""

import bisect
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What the server counts. Labels are routes, methods and statuses; never a name from a request."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()
        self._pictures: Counter[str] = Counter()
        self._abstained: Counter[str] = Counter()
        self._started = time.time()
        self.running = 0

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests[method, route, status] += 1
        counts = self._buckets.setdefault(route, [0] * (len(_BUCKETS) + 1))
        counts[bisect.bisect_left(_BUCKETS, seconds)] += 1
        self._seconds[route] += seconds  # type: ignore[assignment]

    def pictures(self, result: str, n: int) -> None:
        """Count pictures that were "answered", "abstained" on, or "failed"."""
        if n:
            self._pictures[result] += n

    def abstained(self, reason: str, n: int) -> None:
        """Count pictures that were abstained on because of "several_possible" labels, or as "unusual", unlike the
        training data; one may be both."""
        if n:
            self._abstained[reason] += n

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Give all in Prometheus' format; `gauges` are further values by name, with their help."""
        return "\n".join([*self._lines(), *self._gauge_lines(gauges), ""])

    def _lines(self) -> Iterator[str]:
        yield from _head("penlight_requests_total", "counter", "Requests by method, route and status.")
        for (method, route, status), n in sorted(self._requests.items()):
            yield f'penlight_requests_total{{method="{method}",route="{route}",status="{status}"}} {n}'
        name = "penlight_request_seconds"
        yield from _head(name, "histogram", "Seconds from the first byte of a request to the last of its answer.")
        for route, counts in sorted(self._buckets.items()):
            total = 0
            for bound, n in zip((*map(str, _BUCKETS), "+Inf"), counts, strict=True):
                total += n
                yield f'{name}_bucket{{route="{route}",le="{bound}"}} {total}'
            yield f'{name}_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            yield f'{name}_count{{route="{route}"}} {total}'
        yield from _head("penlight_pictures_total", "counter", "Pictures by what came of them.")
        for result, n in sorted(self._pictures.items()):
            yield f'penlight_pictures_total{{result="{result}"}} {n}'
        name = "penlight_pictures_abstained_total"
        yield from _head(name, "counter", "Pictures abstained on, by reason; one may have both.")
        for reason, n in sorted(self._abstained.items()):
            yield f'{name}{{reason="{reason}"}} {n}'

    def _gauge_lines(self, gauges: Mapping[str, tuple[str, float]]) -> Iterator[str]:
        own = {
            "penlight_requests_running": ("Requests being answered.", float(self.running)),
            "process_start_time_seconds": ("When the server started, since 1970.", round(self._started, 3)),
        }
        memory = _resident()
        if memory is not None:
            own["process_resident_memory_bytes"] = ("Memory of the process.", float(memory))
        for name, (about, value) in {**own, **gauges}.items():
            yield from _head(name, "gauge", about)
            yield f"{name} {value}"


def _head(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def _resident() -> int | None:
    if sys.platform != "linux":
        return None
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
