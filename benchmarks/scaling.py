# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fit's step and its memory cost as Gaussians, frames, views and pixels double.

    python benchmarks/scaling.py              every axis; writes benchmarks/results/scaling.json
    python benchmarks/scaling.py --axes N T   some axes

Each fit runs in a process of its own with one thread, on a clip that it draws itself (moving
splats, alpha). Cost is CPU time per step over the middle of the fit, when the whole clip is looked
at and no Gaussian is added: what else runs on the machine does not count. Peak memory is what the
process held at most, libraries, clip, fit and asset together. The exponent is the slope of the
logarithms: 1 is linear, and 0 means that the axis costs nothing. The first rows fit a large clip
with all pictures in main memory and with `picture_memory` a tenth of them. Results that are already
in the file are not measured again; --again starts afresh.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

RESULT = Path(__file__).parent / "results" / "scaling.json"
BASE = {"gaussians": 6_000, "frames": 16, "views": 8, "size": 128}
AXES = {
    "N": [{"gaussians": count} for count in (3_000, 6_000, 12_000, 24_000, 48_000)],
    "T": [{"frames": count} for count in (8, 16, 32, 64, 128)],
    "V": [{"views": count} for count in (4, 8, 16, 32)],
    "pixels": [{"size": side} for side in (64, 90, 128, 181, 256)],
}
LARGE = {"gaussians": 6_000, "frames": 96, "views": 16, "size": 400}
ALL_IN_MEMORY_MIB = 1 << 20
STEPS = 160
TIMED = (0.4, 0.95)
"""Part of the fit that is timed: the window spans the clip, and the static part is over."""
SEED = 0


def fit_once(case: dict[str, int]) -> dict[str, float]:
    """Fit one case in this process; return CPU ms per step, peak MiB, and MiB of pictures."""
    import torch
    from moving_splats import Clip, moving_splats

    from ds4d_engine.data.frames import empty_pictures
    from ds4d_engine.fit import FitConfig, fit
    from ds4d_engine.fit.moment import Moment, Visitor

    torch.set_num_threads(1)
    budget = case.get("picture_memory", ALL_IN_MEMORY_MIB)
    dataset = moving_splats(
        Clip(case["frames"], case["views"], case["size"]),
        seed=SEED,
        make=lambda shapes: empty_pictures(shapes, sum(map(np.prod, shapes)), budget << 20),
    )
    config = FitConfig(
        backend="cpu",
        seed=SEED,
        threads=1,
        iterations=STEPS,
        init="random",
        gaussians=case["gaussians"],
        max_gaussians=case["gaussians"],
        densify_times=0,
        static_part=0.0,
        window_part=0.1,
        checkpoint_seconds=0,
        picture_memory=budget,
    )
    marks: dict[int, float] = {}

    class Watch(Visitor):
        def visit(self, moment: Moment) -> float:
            marks[moment.losses.state.step] = time.process_time()
            return 0.0

    with tempfile.TemporaryDirectory() as folder:
        fit(dataset, config, Path(folder) / "scaling.ds4d", visitor=Watch())
    first, last = (int(part * STEPS) for part in TIMED)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pictures = sum(frames.nbytes for frames in dataset.images) / 2**20
    ms = 1e3 * (marks[last] - marks[first]) / (last - first)
    return {"cpu_ms_per_step": ms, "peak_mib": peak, "pictures_mib": pictures}


def amount(axis: str, case: dict[str, int]) -> float:
    """Return how much of an axis a case has."""
    if axis == "pixels":
        return float(case["size"] ** 2)
    return float(case[{"N": "gaussians", "T": "frames", "V": "views"}[axis]])


def exponent(amounts: list[float], values: list[float]) -> float:
    """Return the least-squares slope of log value over log amount."""
    return float(np.polyfit(np.log(amounts), np.log(values), 1)[0])


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return each axis's exponents of time and memory; memory's is also given above the least.

    The libraries alone take hundreds of megabytes, so that memory's own slope says little: what
    each doubling adds is compared with what the doubling before it added.
    """
    found = {}
    for axis in AXES:
        mine = sorted((r for r in rows if r["axis"] == axis), key=lambda r: amount(axis, r["case"]))
        if len(mine) < 3:
            continue
        amounts = [amount(axis, row["case"]) for row in mine]
        peaks = [row["peak_mib"] for row in mine]
        found[axis] = {
            "time_exponent": exponent(amounts, [row["cpu_ms_per_step"] for row in mine]),
            "memory_exponent": exponent(amounts, peaks),
            "mib_per_doubling_last": peaks[-1] - peaks[-2],
            "mib_per_doubling_before": peaks[-2] - peaks[-3],
        }
    return found


def cases(axes: list[str]) -> list[tuple[str, dict[str, int]]]:
    """Return what is to be fitted: a large clip without a bound and with, then the axes' cases."""
    picture_mib = 4 * LARGE["size"] ** 2 * LARGE["frames"] * LARGE["views"] / 2**20
    budgets = (ALL_IN_MEMORY_MIB, int(picture_mib / 10))
    large = [("large", LARGE | {"picture_memory": budget}) for budget in budgets]
    return large + [(axis, BASE | change) for axis in axes for change in AXES[axis]]


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--again", action="store_true", help="measure what was measured before")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(fit_once(json.loads(options.case))))
        return
    from machine import describe_machine

    known = options.output.is_file() and not options.again
    rows = json.loads(options.output.read_text())["rows"] if known else []
    wanted, started, done = cases(options.axes), time.monotonic(), 0
    wanted = [w for w in wanted if not any((r["axis"], r["case"]) == w for r in rows)]
    print("| axis | Gaussians | frames | views | px | CPU ms a step | peak MiB | pictures MiB |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for axis, case in wanted:
        command = [sys.executable, __file__, "--case", json.dumps(case)]
        run = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        if run.returncode:
            sys.exit(f"{case} failed:\n{run.stderr}")
        rows.append({"axis": axis, "case": case} | json.loads(run.stdout.splitlines()[-1]))
        row, done = rows[-1], done + 1
        values = [case[key] for key in BASE] + [f"{row['cpu_ms_per_step']:.1f}"]
        values += [f"{row[key]:.0f}" for key in ("peak_mib", "pictures_mib")]
        print("| " + " | ".join(map(str, [axis, *values])) + " |", flush=True)
        left = (time.monotonic() - started) / done * (len(wanted) - done)
        print(f"{done} of {len(wanted)}, about {left / 60:.0f} min left", file=sys.stderr)
        options.output.parent.mkdir(exist_ok=True)
        document = {"machine": describe_machine() | {"seed": str(SEED), "threads": "1"}}
        document |= {"steps": STEPS, "exponents": summary(rows), "rows": rows}
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    print(
        "\n| axis | time exponent | memory exponent | MiB the last doubling added, the one before |"
    )
    print("|---|---|---|---|")
    for axis, found in summary(rows).items():
        last, before = found["mib_per_doubling_last"], found["mib_per_doubling_before"]
        slopes = f"{found['time_exponent']:.2f} | {found['memory_exponent']:.2f}"
        print(f"| {axis} | {slopes} | {last:.0f}, {before:.0f} |")


if __name__ == "__main__":
    main()
