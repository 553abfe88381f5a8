# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that needs a CUDA device, in one call of under eight minutes; writes one file.

    python benchmarks/gpu.py                 writes benchmarks/results/gpu.json
    python benchmarks/gpu.py --device cpu    the same lines with tiny sizes, to see that they run

- gsplat against the CPU back end: values and the gradients of every parameter
- both back ends' milliseconds, forward and backward
- a fit at 512 px x 32 frames x 7 views, of a clip that the script draws itself: steps a second, the
  seconds to 28, 30 and 32 dB on held-out cameras, peak memory, and how often a step waits for the
  device, as torch's own sync debugging counts
- bfloat16, torch.compile and CUDA graphs, each against the same work without it, by turns. Graphs
  hold the loss alone: gsplat reads the number of tiles on the host, which no graph can.

Each part that fails, or for which no time is left, says so in its row; the others run. Without a
CUDA device every row says "not run: no CUDA device".
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from gpu_fit import fitted  # noqa: E402
from gpu_kernels import graphs, low_precision, merged_kernels, parity, speed  # noqa: E402
from machine import describe_machine  # noqa: E402
from moving_splats import Clip  # noqa: E402

RESULT = Path(__file__).parent / "results" / "gpu.json"
SECONDS = 450.0
ABSENT = "not run: no CUDA device"
LATE = "not run: no time left"


@dataclass(frozen=True)
class Plan:
    """How large everything is, and where it runs."""

    device: torch.device
    splats: tuple[int, ...]
    pixels: int
    clip: Clip
    gaussians: int
    fit_seconds: float
    repeats: int

    @property
    def backend(self) -> str:
        """The back end that is measured: gsplat, or on the CPU the plain one in its place."""
        return "gsplat" if self.device.type == "cuda" else "torch"


FULL = Plan(
    device=torch.device("cuda"),
    splats=(5_000, 20_000, 100_000),
    pixels=512,
    clip=Clip(frames=32, views=7, size=512, held_out=2),
    gaussians=20_000,
    fit_seconds=120.0,
    repeats=50,
)
TINY = Plan(
    device=torch.device("cpu"),
    splats=(60,),
    pixels=32,
    clip=Clip(frames=3, views=3, size=32, held_out=1),
    gaussians=60,
    fit_seconds=1.5,
    repeats=2,
)

Part = Callable[[Plan], list[dict[str, Any]]]
PARTS: dict[str, Part] = {
    "gsplat against the CPU back end": parity,
    "milliseconds": speed,
    "fit": fitted,
    "bfloat16": low_precision,
    "torch.compile": merged_kernels,
    "CUDA graphs": graphs,
}


def run_parts(plan: Plan, until: float) -> list[dict[str, Any]]:
    """Run every part that there is time for; return its rows, or one that says why it has none."""
    rows: list[dict[str, Any]] = []
    for name, part in PARTS.items():
        if time.monotonic() > until:
            found: list[dict[str, Any]] = [{"what": LATE}]
        else:
            try:
                found = part(plan)
            except Exception as error:  # whatever a driver or a compiler raises
                reason = str(error).strip().splitlines() or [type(error).__name__]
                found = [{"what": f"failed: {reason[0][:200]}"}]
        rows += [{"part": name} | row for row in found]
        for row in rows[-len(found) :]:
            print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    """Lay a row of the table out."""
    values = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.items()
        if name not in ("part", "what")
    ]
    return f"| {row['part']} | {row['what']} | {', '.join(values)} |"


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="no part starts after this")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    there = options.device == "cpu" or torch.cuda.is_available()
    told = describe_machine() | {"device": ABSENT, "seed": "0"}
    print("| part | what | figures |\n|---|---|---|", flush=True)
    if not there:
        rows = [{"part": name, "what": ABSENT} for name in PARTS]
        print("\n".join(line(row) for row in rows))
    else:
        plan = FULL if options.device == "cuda" else TINY
        cuda = plan.device.type == "cuda"
        told["device"] = torch.cuda.get_device_name() if cuda else "cpu, tiny sizes: no measurement"
        rows = run_parts(plan, started + options.seconds)
    seconds = round(time.monotonic() - started, 1)
    options.output.parent.mkdir(exist_ok=True)
    document = {"machine": told, "seconds": seconds, "rows": rows}
    options.output.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{told['device']}, {seconds} s")


if __name__ == "__main__":
    main()
