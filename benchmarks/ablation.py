# SPDX-License-Identifier: GPL-3.0-or-later
"""What does each part of the method add? Fit clips with parts added one by one, or taken away.

    .nox/blender-4.5/bin/python benchmarks/capture_protocols.py        # once
    python benchmarks/ablation.py paper --iterations 1500              # the paper's rows A to H
    python benchmarks/ablation.py models --iterations 2000 --jobs 2    # the default among others
    python benchmarks/ablation.py default --iterations 2000 --jobs 2   # the default without a part
    python benchmarks/report.py                                        # tables and plots

A clip is named as in benchmarks/cache: paper/fox-walk, interwoven/robot-arm, fox-walk. Every fit
is one line of benchmarks/results/ablation.jsonl; fits that the file holds with the same settings
are left out, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ablation_variants import GROUPS

CACHE = Path(__file__).parent / "cache"
RESULTS = Path(__file__).parent / "results" / "ablation.jsonl"
CLIPS = ("paper/fox-walk", "paper/robot-dance", "interwoven/fox-tower", "interwoven/robot-arm")


@dataclass(frozen=True)
class Job:
    """One fit; its fields are what a row of results is known by."""

    group: str
    variant: str
    clip: str
    seed: int
    preset: str  # the run's; a variant may have its own
    settings: dict[str, Any]  # what differs from the preset, the budget included

    def same_as(self, row: dict[str, Any]) -> bool:
        """Tell whether a row of results is this fit's."""
        return all(row.get(name) == value for name, value in asdict(self).items())


def run(job: Job) -> dict[str, Any]:
    """Fit and evaluate on the cameras that the fit did not see; return the row of results."""
    from machine import describe_machine

    from ds4d_engine.data import load_dataset
    from ds4d_engine.evaluate import evaluate, finite
    from ds4d_engine.fit import FitConfig, fit
    from ds4d_engine.motion_error import read_tracks
    from ds4d_engine.seam.asset import read_asset

    dataset = load_dataset(CACHE / job.clip)
    tracks = read_tracks(CACHE / job.clip / "tracks.npz")
    preset = GROUPS[job.group][job.variant].preset or job.preset
    config = FitConfig.preset_named(preset).replace(seed=job.seed, **job.settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.ds4d"
        cpu, wall = time.process_time(), time.monotonic()
        result = fit(dataset, config, path)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        scores = evaluate(read_asset(path), dataset, tracks=tracks).summary
        size = path.stat().st_size
    measured = {
        "cpu_seconds": round(cpu, 1),
        "wall_seconds": round(wall, 1),
        "steps": result.summary["steps"],
        "gaussians": result.summary["gaussians"],
        "dynamic": result.summary["dynamic"],
        "asset_mb": round(size / 1e6, 2),
    }
    row: dict[str, Any] = finite(asdict(job) | measured | {"scores": scores})
    return row | {"machine": describe_machine()}


def plan(options: argparse.Namespace) -> list[Job]:
    """Return every fit that the options ask for: all variants of a clip, clip by clip."""
    from ds4d_engine.cli.settings import convert, field_types
    from ds4d_engine.fit import FitConfig

    kinds = field_types(FitConfig)
    pairs = [pair.split("=", 1) for pair in options.set]
    common = {key: convert(key, value, kinds[key]) for key, value in pairs}
    common |= {"threads": 1, "checkpoint_seconds": 0.0}
    common |= {"seconds": options.seconds} if options.seconds else {}
    common |= {"iterations": options.iterations} if options.iterations else {}
    variants = GROUPS[options.group]
    chosen = options.variants or list(variants)
    if unknown := set(chosen) - set(variants):
        sys.exit(f"There is no variant {sorted(unknown)[0]}; choose of {', '.join(variants)}.")
    return [
        Job(
            group=options.group,
            variant=name,
            clip=clip,
            seed=seed,
            preset=options.preset,
            settings=common | variants[name].settings,
        )
        for seed in options.seeds
        for clip in options.clips
        for name in chosen
    ]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of results; none if it does not exist."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def run_all(jobs: list[Job], out: Path, workers: int) -> None:
    """Run the fits side by side, and append a row for each as it ends."""
    out.parent.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    started = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for done, row in enumerate(_finished(pool, jobs), 1):
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            left = (time.monotonic() - started) / done * (len(jobs) - done)
            print(
                f"[{done}/{len(jobs)}] {row['clip']} {row['variant']} seed {row['seed']}: "
                f"{row['scores']['psnr_moving']:.2f} dB on what moves, "
                f"{row['cpu_seconds']:.0f} s of CPU; about {left / 60:.0f} min left",
                flush=True,
            )


def _finished(pool: ProcessPoolExecutor, jobs: list[Job]) -> Iterable[dict[str, Any]]:
    for future in as_completed([pool.submit(run, job) for job in jobs]):
        try:
            yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("group", choices=tuple(GROUPS))
    parser.add_argument("--variants", nargs="+", help="default: all of the group")
    parser.add_argument("--clips", nargs="+", default=list(CLIPS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--iterations", type=int, help="the same number of steps for each fit")
    budget.add_argument("--seconds", type=float, help="the same time of optimisation for each fit")
    parser.add_argument("--preset", default="draft")
    parser.add_argument("--set", nargs="+", default=[], help="settings of every fit, key=value")
    parser.add_argument("--jobs", type=int, default=1, help="fits side by side, a thread each")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    missing = [clip for clip in options.clips if not (CACHE / clip).exists()]
    if missing:
        sys.exit(f"{', '.join(missing)} not captured yet; run benchmarks/capture_protocols.py.")
    rows = read_rows(options.out)
    jobs = plan(options)
    left = [job for job in jobs if not any(job.same_as(row) for row in rows)]
    print(f"{len(jobs)} fits, {len(jobs) - len(left)} of them done before", flush=True)
    run_all(left, options.out, options.jobs)


if __name__ == "__main__":
    main()
