# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the time of a fit's step goes, on one thread.

    python benchmarks/profile_fit.py --clip fox-walk --motions ds4d spline hexplane ds4d-paper

For each motion model the optimisation loop of a short fit at full size runs twice: bare, for the
milliseconds per step, in CPU time and in wall time, and under cProfile, for the shares. Writes
benchmarks/results/profile.json. What the features cost is also shown
against the same network without them (`ds4d-paper` minus `hexplane`).
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import tempfile
import time
from pathlib import Path

from machine import describe_machine

from ds4d_engine.data import load_dataset
from ds4d_engine.fit import FitConfig, fit, trainer

CACHE = Path(__file__).parent / "cache"
RESULT = Path(__file__).parent / "results" / "profile.json"
SEED = 0
MOTIONS = ["ds4d", "spline", "hexplane", "ds4d-paper"]
STAGES = {
    "rasteriser": ("ds4d_engine/raster/",),
    "loss and targets": ("photometric", "fit/scene.py"),
    "features (sampling, TSSF, DSFD)": ("sampling.py", "tssf.py", "dsfd.py", "features.py"),
    "motion": ("ds4d_engine/motion/",),
    "optimisers": ("optim", "_fused_adam_"),
    "densification": ("densify.py", "gsplat"),
}


def stage_of(function: tuple[str, int, str]) -> str:
    """Name the stage that a profiled function belongs to."""
    where = f"{function[0]} {function[2]}"
    for stage, marks in STAGES.items():
        if any(mark in where for mark in marks):
            return stage
    return "autograd and other torch"


def measure(clip: str, motion: str, steps: int) -> dict:
    """Return milliseconds per step and the share of every stage."""
    dataset = load_dataset(CACHE / clip)
    config = FitConfig(
        motion=motion,
        seed=SEED,
        iterations=steps,
        gaussians=12_000,
        threads=1,
        static_part=0.0,
        window_part=0.01,
        densify_start=1.0,
        densify_stop=1.0,
        checkpoint_seconds=0.0,
    )
    loop, found = trainer.optimise, {}

    def bare(*arguments: object) -> bool:
        began, busy = time.perf_counter(), time.process_time()
        stopped = loop(*arguments)
        found["ms"] = (time.perf_counter() - began) / steps * 1e3
        found["cpu_ms"] = (time.process_time() - busy) / steps * 1e3
        found["steps_per_cpu_second"] = 1e3 / found["cpu_ms"]
        return stopped

    def profiled(*arguments: object) -> bool:
        profile = cProfile.Profile()
        stopped = profile.runcall(loop, *arguments)
        totals: dict[str, float] = {}
        for function, (_, _, own, _, _) in pstats.Stats(profile).stats.items():
            totals[stage_of(function)] = totals.get(stage_of(function), 0.0) + own
        whole = sum(totals.values())
        found["shares"] = {stage: own / whole for stage, own in totals.items()}
        return stopped

    with tempfile.TemporaryDirectory() as folder:
        for version in (bare, profiled):
            trainer.optimise = version
            fit(dataset, config, Path(folder) / "profile.ds4d")
    trainer.optimise = loop
    return found


def main() -> None:
    """Print the table that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clip", default="fox-walk")
    parser.add_argument("--motions", nargs="+", default=MOTIONS)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    results = {}
    for motion in options.motions:
        print(f"profiling {motion} ...", flush=True)
        results[motion] = measure(options.clip, motion, options.steps)
    stages = sorted({stage for row in results.values() for stage in row["shares"]})
    print("| stage | " + " | ".join(results) + " |")
    print("|---|" + "---|" * len(results))
    for name, key in (("CPU ms a step", "cpu_ms"), ("wall ms a step", "ms")):
        print(f"| {name} | " + " | ".join(f"{row[key]:.1f}" for row in results.values()) + " |")
    for stage in stages:
        shares = (f"{100 * row['shares'].get(stage, 0.0):.0f} %" for row in results.values())
        print(f"| {stage} | " + " | ".join(shares) + " |")
    if {"hexplane", "ds4d-paper"} <= results.keys():
        cost = 1 - results["hexplane"]["cpu_ms"] / results["ds4d-paper"]["cpu_ms"]
        print(f"features, against the same network without them: {100 * cost:.0f} % of a step")
    options.output.parent.mkdir(exist_ok=True)
    machine = describe_machine() | {"threads": "1", "seed": str(SEED)}
    document = {"machine": machine, "clip": options.clip, "steps": options.steps}
    options.output.write_text(json.dumps(document | {"results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
