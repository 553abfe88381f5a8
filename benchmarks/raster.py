# SPDX-License-Identifier: GPL-3.0-or-later
"""Time the CPU rasteriser against the plain torch one and against figures noted earlier.

Whole pipeline: projection and compositing of three channels and alpha, forward and backward.

    python benchmarks/raster.py            a table
    python benchmarks/raster.py --json     one JSON document
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from machine import describe_machine  # noqa: E402

from ds4d_engine.raster import rasterize, set_threads, warm_up  # noqa: E402
from ds4d_engine.seam.events import silent  # noqa: E402

NOTED_MS = {
    (1_000, 128): 1.2,
    (5_000, 128): 5.0,
    (20_000, 256): 21.0,
    (100_000, 256): 108.0,
    (20_000, 512): 27.0,
    (100_000, 512): 178.0,
}
"""Compositing forward and backward, one thread of a shared 2-core x86-64 machine, by N and px."""

SECONDS_PER_MEASUREMENT = 1.5
LEAST_REPEATS = 3


@dataclass(frozen=True)
class Row:
    """Medians in milliseconds; torch figures are None where they were not measured."""

    splats: int
    pixels: int
    cpu_forward_ms: float
    cpu_ms: float
    torch_ms: float | None
    noted_ms: float

    @property
    def torch_over_cpu(self) -> float | None:
        return None if self.torch_ms is None else self.torch_ms / self.cpu_ms

    @property
    def cpu_over_noted(self) -> float:
        return self.cpu_ms / self.noted_ms


def shell(count: int, pixels: int) -> tuple[list[Tensor], tuple[Tensor, Tensor, int, int]]:
    """Return splats on a noisy sphere that fills the image, about 3 pixels in radius each."""
    rng = torch.Generator().manual_seed(0)
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


def median_ms(work: Callable[[], object], clock: Callable[[], float], least: int) -> float:
    """Return the median of at least `least` runs after one that does not count."""
    work()
    times: list[float] = []
    while len(times) < least or (sum(times) < SECONDS_PER_MEASUREMENT and len(times) < 200):
        start = clock()
        work()
        times.append(clock() - start)
    return 1e3 * statistics.median(times)


def measure(count: int, pixels: int, with_torch: bool, clock: Callable[[], float]) -> Row:
    """Time one size."""
    splats, camera = shell(count, pixels)
    rng = torch.Generator().manual_seed(1)
    slopes = [torch.rand(pixels, pixels, 3, generator=rng), torch.rand(pixels, pixels)]

    def forward() -> None:
        with torch.no_grad():
            rasterize(*splats, *camera, backend="cpu")

    def both(backend: str) -> None:
        render = rasterize(*splats, *camera, backend=backend)
        torch.autograd.backward([render.colors, render.alphas], slopes)
        for tensor in splats:
            tensor.grad = None

    return Row(
        count,
        pixels,
        median_ms(forward, clock, LEAST_REPEATS),
        median_ms(lambda: both("cpu"), clock, LEAST_REPEATS),
        median_ms(lambda: both("torch"), clock, 1) if with_torch else None,
        NOTED_MS[count, pixels],
    )


def table(rows: list[Row], machine: dict[str, str]) -> str:
    """Lay the rows out, with the machine above."""
    lines = [
        ", ".join(f"{name} {value}" for name, value in machine.items()),
        "milliseconds, medians; cpu/noted below 1 is faster than noted",
        f"{'splats':>8} {'px':>5} {'cpu fwd':>8} {'cpu f+b':>8} {'torch f+b':>10} "
        f"{'torch/cpu':>10} {'noted':>7} {'cpu/noted':>10}",
    ]
    for row in rows:
        plain = "-" if row.torch_ms is None else f"{row.torch_ms:.0f}"
        ratio = "-" if row.torch_over_cpu is None else f"{row.torch_over_cpu:.0f}x"
        lines.append(
            f"{row.splats:>8} {row.pixels:>5} {row.cpu_forward_ms:>8.2f} {row.cpu_ms:>8.2f} "
            f"{plain:>10} {ratio:>10} {row.noted_ms:>7.1f} {row.cpu_over_noted:>10.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--threads", type=int, default=1, help="threads of the CPU back end")
    parser.add_argument("--no-torch", action="store_true", help="leave the slow column out")
    parser.add_argument("--most", type=int, default=100_000, help="largest number of splats")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count the thread's CPU time, not wall time (a busy machine; one thread only)",
    )
    options = parser.parse_args()
    if options.cpu_time and options.threads > 1:
        parser.error("--cpu-time counts one thread only")
    torch.set_num_threads(options.threads)
    set_threads(options.threads)
    warm_up(silent)
    clock = time.thread_time if options.cpu_time else time.perf_counter
    sizes = [size for size in NOTED_MS if size[0] <= options.most]
    rows = [measure(*size, not options.no_torch, clock) for size in sizes]
    machine = describe_machine() | {
        "threads": str(options.threads),
        "clock": "CPU time" if options.cpu_time else "wall time",
    }
    if options.json:
        derived = [
            asdict(row)
            | {"torch_over_cpu": row.torch_over_cpu, "cpu_over_noted": row.cpu_over_noted}
            for row in rows
        ]
        print(json.dumps({"machine": machine, "rows": derived}, indent=1))
    else:
        print(table(rows, machine))


if __name__ == "__main__":
    main()
