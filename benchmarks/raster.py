# SPDX-License-Identifier: GPL-3.0-or-later
"""Time the CPU rasteriser: against hand-vectorised C++, against plain torch, and on two threads.

Whole pipeline: projection, sorting into tiles and compositing of three channels and alpha, forward
alone and with the gradients of all parameters. What is compared takes turns, call by call, and what
is stated is the median of the pairs' ratios: what else runs on the machine then slows both.

    python benchmarks/raster.py               wall time; writes benchmarks/results/raster.json
    python benchmarks/raster.py --cpu-time    CPU time, for a busy machine: one thread only; writes
                                              benchmarks/results/raster-cpu-time.json
    python benchmarks/raster.py --no-torch    without the slow column

Where the C++ cannot be had (cpp_ceiling.py) its columns say "-" and why.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from cpp_ceiling import Absent, Ceiling, load_ceiling  # noqa: E402
from machine import describe_machine  # noqa: E402

from ds4d_engine.raster import rasterize, set_threads, warm_up  # noqa: E402
from ds4d_engine.seam.events import silent  # noqa: E402

SIZES = [
    *((1_000, 128), (5_000, 128), (5_000, 256), (20_000, 256), (50_000, 256), (100_000, 256)),
    *((5_000, 512), (20_000, 512), (100_000, 512)),
]
RESULTS = Path(__file__).parent / "results"
SECONDS_PER_COMPARISON = 3.0
LEAST_PAIRS = 7
MOST_PAIRS = 200
LEAST_TORCH_RUNS = 1
SEED = 0
Work = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Pair:
    """Medians of two kinds of calls that took turns; `ratio` is that of `first` to `second`."""

    first_ms: float
    second_ms: float
    ratio: float
    pairs: int


@dataclass(frozen=True)
class Row:
    """What was measured at one size; None where it was not."""

    splats: int
    pixels: int
    forward_ms: float
    both_ms: float
    forward_over_cpp: Pair | None
    both_over_cpp: Pair | None
    largest_difference_to_cpp: float | None
    torch_ms: float | None
    one_thread_over_two: Pair | None
    threads_agree: bool | None


def shell(count: int, pixels: int) -> tuple[list[Tensor], tuple[Tensor, Tensor, int, int]]:
    """Return splats on a noisy sphere that fills the image, about 3 pixels in radius each."""
    rng = torch.Generator().manual_seed(SEED)
    focal, distance = 1.1 * pixels, 3.2
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=rng), dim=1)
    splats = [
        directions * (0.8 + 0.2 * torch.rand(count, 1, generator=rng)),
        torch.randn(count, 4, generator=rng),
        3.0 / 3.33 * distance / focal * torch.exp(0.4 * torch.randn(count, 3, generator=rng)),
        0.1 + 0.85 * torch.rand(count, generator=rng),
        torch.rand(count, 3, generator=rng),
    ]
    viewmat = torch.eye(4)
    viewmat[2, 3] = distance
    K = torch.tensor([[focal, 0, pixels / 2], [0, focal, pixels / 2], [0, 0, 1]])
    return [x.requires_grad_() for x in splats], (viewmat, K, pixels, pixels)


def in_turns(first: Work, second: Work, clock: Clock) -> Pair:
    """Time two kinds of calls by turns, after one each that does not count."""
    first()
    second()
    times: list[tuple[float, float]] = []
    until = time.monotonic() + SECONDS_PER_COMPARISON
    while len(times) < LEAST_PAIRS or (time.monotonic() < until and len(times) < MOST_PAIRS):
        start = clock()
        first()
        between = clock()
        second()
        times.append((between - start, clock() - between))
    a, b = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    return Pair(a, b, statistics.median(x / y for x, y in times), len(times))


def median_ms(work: Work, clock: Clock, least: int) -> float:
    """Return the median of at least `least` runs after one that does not count."""
    work()
    times: list[float] = []
    until = time.monotonic() + SECONDS_PER_COMPARISON / 2
    while len(times) < least or (time.monotonic() < until and len(times) < MOST_PAIRS):
        start = clock()
        work()
        times.append(clock() - start)
    return 1e3 * statistics.median(times)


class Calls:
    """The calls that are timed at one size."""

    def __init__(self, count: int, pixels: int, ceiling: Ceiling | None) -> None:
        self.splats, self.camera = shell(count, pixels)
        rng = torch.Generator().manual_seed(SEED + 1)
        shape = pixels, pixels
        self.slopes = [torch.rand(*shape, 3, generator=rng), torch.rand(shape, generator=rng)]
        self.ceiling = ceiling

    def ours(self, backend: str = "cpu") -> tuple[Tensor, Tensor]:
        """Draw with the project's rasteriser."""
        render = rasterize(*self.splats, *self.camera, backend=backend)
        return render.colors, render.alphas

    def cpp(self) -> tuple[Tensor, Tensor]:
        """Draw with the C++."""
        assert self.ceiling is not None
        return self.ceiling.draw(*self.splats, *self.camera)

    def forward(self, draw: Callable[[], tuple[Tensor, Tensor]]) -> None:
        """Draw without gradients."""
        with torch.no_grad():
            draw()

    def both(self, draw: Callable[[], tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Draw, and return the picture and the gradients of all parameters."""
        image = draw()
        torch.autograd.backward(list(image), self.slopes)
        results = [*(x.detach() for x in image), *(x.grad for x in self.splats)]
        for tensor in self.splats:
            tensor.grad = None
        return results


def measure(
    size: tuple[int, int],
    ceiling: Ceiling | None,
    clock: Clock,
    *,
    with_torch: bool,
    with_threads: bool,
) -> Row:
    """Time one size."""
    calls = Calls(*size, ceiling)
    forward_ms = median_ms(lambda: calls.forward(calls.ours), clock, LEAST_PAIRS)
    both_ms = median_ms(lambda: calls.both(calls.ours), clock, LEAST_PAIRS)
    forward = both = difference = one_two = agree = plain = None
    if ceiling:
        forward, both = (against_cpp(calls, work, clock) for work in (calls.forward, calls.both))
        difference = float((calls.both(calls.ours)[0] - calls.both(calls.cpp)[0]).abs().max())
    if with_threads:
        one_two, agree = two_threads(calls, clock)
    if with_torch:
        plain = median_ms(lambda: calls.both(lambda: calls.ours("torch")), clock, LEAST_TORCH_RUNS)
    return Row(*size, forward_ms, both_ms, forward, both, difference, plain, one_two, agree)


def against_cpp(
    calls: Calls, work: Callable[[Callable[[], tuple[Tensor, Tensor]]], object], clock: Clock
) -> Pair:
    """Time our rasteriser and the C++ by turns."""
    return in_turns(lambda: work(calls.ours), lambda: work(calls.cpp), clock)


def two_threads(calls: Calls, clock: Clock) -> tuple[Pair, bool]:
    """Time one thread and two by turns, and tell whether they give the same bits."""

    def on(count: int) -> list[Tensor]:
        set_threads(count)
        return calls.both(calls.ours)

    pair = in_turns(lambda: on(1), lambda: on(2), clock)
    agree = all(torch.equal(a, b) for a, b in zip(on(1), on(2), strict=True))
    set_threads(1)
    return pair, agree


def cells(row: Row) -> Iterator[str]:
    """Give a row's columns as text."""
    yield f"{row.splats:,}"
    yield str(row.pixels)
    yield f"{row.forward_ms:.2f}"
    yield f"{row.both_ms:.2f}"
    for pair in (row.forward_over_cpp, row.both_over_cpp):
        yield "-" if pair is None else f"{pair.second_ms:.2f}"
        yield "-" if pair is None else f"{pair.ratio:.2f}"
    yield "-" if row.torch_ms is None else f"{row.torch_ms:.0f}"
    yield "-" if row.one_thread_over_two is None else f"{row.one_thread_over_two.ratio:.2f}"
    yield "-" if row.threads_agree is None else ("yes" if row.threads_agree else "NO")


HEADINGS = (
    *("splats", "px", "forward, ms", "forward+backward, ms"),
    *("C++ forward", "ours / C++", "C++ forward+backward", "ours / C++"),
    *("torch forward+backward", "1 thread / 2", "same bits"),
)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--no-torch", action="store_true", help="leave the slow column out")
    parser.add_argument("--most", type=int, default=100_000, help="largest number of splats")
    parser.add_argument(
        "--cpu-time", action="store_true", help="count the thread's CPU time, not wall time"
    )
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    set_threads(1)
    warm_up(silent)
    try:
        ceiling, why = load_ceiling(), ""
        ceiling.set_threads(1)
    except Absent as absent:
        ceiling, why = None, str(absent)
        print(f"no C++ columns: {why}", file=sys.stderr)
    clock = time.thread_time if options.cpu_time else time.perf_counter
    sizes = [size for size in SIZES if size[0] <= options.most]
    load, rows = os.getloadavg()[0], []
    print("| " + " | ".join(HEADINGS) + " |\n|" + "---|" * len(HEADINGS), flush=True)
    for size in sizes:
        with_threads = not options.cpu_time
        row = measure(
            size, ceiling, clock, with_torch=not options.no_torch, with_threads=with_threads
        )
        print("| " + " | ".join(cells(row)) + " |", flush=True)
        rows.append(row)
    told = describe_machine() | {
        "clock": "CPU time" if options.cpu_time else "wall time",
        "load_before": f"{load:.1f}",
        "seed": str(SEED),
        "cpp": ceiling.compiler if ceiling else f"not run: {why}",
    }
    name = "raster-cpu-time.json" if options.cpu_time else "raster.json"
    output = options.output or RESULTS / name
    output.parent.mkdir(exist_ok=True)
    document = {"machine": told, "rows": [asdict(row) for row in rows]}
    output.write_text(json.dumps(document, indent=1) + "\n")
    print(", ".join(f"{name} {value}" for name, value in told.items()))


if __name__ == "__main__":
    main()
