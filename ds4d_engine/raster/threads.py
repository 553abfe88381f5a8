# SPDX-License-Identifier: GPL-3.0-or-later
"""Run Numba kernels that release the GIL on a small pool of threads.

Work is cut into pieces whose results do not depend on who computes them, so that
the outcome is bit-identical for any number of threads.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ds4d_engine.seam.errors import EngineError

MAX_THREADS = 64
PIECES_PER_THREAD = 6
"""More pieces than threads, so that a slow piece does not keep the others waiting."""


def _default_threads() -> int:
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return min(int(stated), MAX_THREADS)
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MAX_THREADS)
    return min(os.cpu_count() or 1, MAX_THREADS)


_threads = _default_threads()
_pool: ThreadPoolExecutor | None = None


def set_threads(count: int) -> None:
    """Use `count` threads in the CPU kernels.

    The start value is `OMP_NUM_THREADS`, or the number of CPUs this process may use.

    Raises:
        EngineError: `count` is not between 1 and 64.
    """
    global _threads
    if not 1 <= count <= MAX_THREADS:
        raise EngineError(f"{count} threads asked for: give a number from 1 to {MAX_THREADS}.")
    _threads = int(count)


def thread_count() -> int:
    """Return the number of threads that the CPU kernels use."""
    return _threads


def run_pieces(kernel: Callable[..., None], count: int, least: int, *args: object) -> None:
    """Call `kernel(start, stop, *args)` on many short ranges that together cover 0..count-1.

    For items of unequal cost. Neighbours stay on one thread: what lies beside each other in
    memory is then rarely written by two. With fewer than `least` items one call does it all.
    """
    if _threads == 1 or count < least:
        kernel(0, count, *args)
        return
    pieces = min(PIECES_PER_THREAD * _threads, count)
    _share(lambda i: kernel(i * count // pieces, (i + 1) * count // pieces, *args), pieces)


def run_ranges(kernel: Callable[..., None], count: int, least: int, *args: object) -> None:
    """Call `kernel(start, stop, *args)` on one range a thread; together they cover 0..count-1.

    With fewer than `least` items one call does it all.
    """
    if _threads == 1 or count < least:
        kernel(0, count, *args)
        return
    size = -(-count // _threads)
    pieces = -(-count // size)
    _share(lambda i: kernel(i * size, min(count, (i + 1) * size), *args), pieces)


def _share(work: Callable[[int], None], pieces: int) -> None:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="ds4d-kernel")
    counter = itertools.count()  # next() on it is atomic

    def take() -> None:
        while (piece := next(counter)) < pieces:
            work(piece)

    others = [_pool.submit(take) for _ in range(min(_threads, pieces) - 1)]
    take()
    for other in others:
        other.result()
