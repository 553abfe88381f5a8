# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare motion models at equal time on captured clips, on cameras that the fit never saw.

    python benchmarks/capture_gltf.py          # once, with Blender's Python
    python benchmarks/fit.py --clips fox-walk robot-dance-1s --seconds 180

Every fit gets the same seconds of optimisation. One JSON line a fit is appended to --out; the
table of all lines in it is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

CACHE = Path(__file__).parent / "cache"
COLUMNS = (
    ("psnr_white", "white dB"),
    ("psnr_black", "black dB"),
    ("psnr_moving", "moving dB"),
    ("ssim_white", "SSIM"),
    ("flicker_mean", "flicker /255"),
    ("flicker_object_mean", "on object"),
)


def run_fit(clip: str, motion: str, options: argparse.Namespace, seed: int) -> dict:
    """Fit one clip with one motion model and evaluate it on its held-out cameras."""
    from machine import describe_machine

    from ds4d_engine.cli.settings import convert, field_types
    from ds4d_engine.console import progress_listener
    from ds4d_engine.data import load_dataset
    from ds4d_engine.evaluate import evaluate
    from ds4d_engine.fit import FitConfig, fit
    from ds4d_engine.seam.asset import read_asset

    dataset = load_dataset(CACHE / clip)
    kinds = field_types(FitConfig)
    pairs = [pair.split("=", 1) for pair in options.set]
    changes = {key: convert(key, value, kinds[key]) for key, value in pairs}
    config = FitConfig.preset_named(options.preset).replace(
        motion=motion, seconds=options.seconds, seed=seed, **changes
    )
    output = CACHE / "fits" / f"{clip}-{motion}-{seed}{options.tag}.ds4d"
    output.parent.mkdir(parents=True, exist_ok=True)
    cpu = time.process_time()
    with progress_listener("auto") as listener:
        result = fit(dataset, config, output, listener=listener)
    cpu = time.process_time() - cpu
    evaluation = evaluate(read_asset(output), dataset)
    return {
        "clip": clip,
        "motion": motion,
        "seed": seed,
        "tag": options.tag,
        "frames": dataset.frame_count,
        "cpu_seconds": round(cpu, 1),
        "load": os.getloadavg()[0],
        **result.summary,
        **{key: evaluation.summary[key] for key, _ in COLUMNS},
        "asset_mb": round(output.stat().st_size / 1e6, 2),
        "settings": changes,
        "machine": describe_machine(),
    }


MOTIONS = ["ds4d", "spline", "hexplane", "ds4d-paper"]


def table(rows: list[dict]) -> str:
    """Return a Markdown table of results."""
    head = ["clip", "frames", "motion", "seed", "steps", "Gaussians", "moving Gaussians", "MB"]
    lines = ["| " + " | ".join(head + [title for _, title in COLUMNS]) + " |"]
    lines.append("|" + "---|" * (len(head) + len(COLUMNS)))
    for row in rows:
        cells = [row["clip"], row["frames"], row["motion"] + row["tag"], row["seed"], row["steps"]]
        cells += [row["gaussians"], row["dynamic"], row["asset_mb"]]
        cells += [f"{row[key]:.{2 if key.startswith('psnr') else 3}f}" for key, _ in COLUMNS]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the fits that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clips", nargs="+", default=["fox-walk", "robot-dance-1s"])
    parser.add_argument("--motions", nargs="+", default=MOTIONS)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--set", nargs="*", default=[], help="settings, key=value")
    parser.add_argument("--tag", default="")
    parser.add_argument("--out", type=Path, default=CACHE / "fit.jsonl")
    options = parser.parse_args()
    missing = [clip for clip in options.clips if not (CACHE / clip).exists()]
    if missing:
        sys.exit(f"{', '.join(missing)} not captured yet; run benchmarks/capture_gltf.py first.")
    for seed in options.seeds:
        for clip in options.clips:
            for motion in options.motions:
                row = run_fit(clip, motion, options, seed)
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(table([row]), flush=True)
    print(table([json.loads(line) for line in options.out.read_text().splitlines()]))


if __name__ == "__main__":
    main()
