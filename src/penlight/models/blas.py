"""Products of matrices that are the same on any number of cores.

BLAS sums in another order where it has another number of threads, so each product has one; where there is much to
multiply, parts of it are done side by side. That also costs least where other processes use the cores, as threads of
BLAS wait for one another in a loop.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from penlight.workers import cores

Part = TypeVar("Part")
Result = TypeVar("Result")

_MOST = 4


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Multiply matrices in one thread each; also a decorator."""
    # SciPy has a BLAS of its own, which is limited only once it is loaded.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


def side_by_side(do: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Do something with each part, in as many threads as there are cores, and give the results in the order of the
    parts. Few are held at once; the parts themselves are made in this thread."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(_MOST, int(said) if said.isdecimal() and int(said) else cores())
    if threads == 1:
        yield from map(do, parts)
        return
    with ThreadPoolExecutor(threads, "products") as pool:
        begun: deque[Future[Result]] = deque()
        for part in parts:
            begun.append(pool.submit(do, part))
            if len(begun) > threads:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
