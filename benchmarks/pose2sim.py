# SPDX-License-Identifier: GPL-3.0-or-later
"""A real take: four cameras and a Qualisys calibration, from the files to a rendered .blend.

    python benchmarks/pose2sim.py --blender .nox/blender-4.5/bin/python

Reads ../shared/samples/pose2sim_4cam (a gymnast in a cluttered room, no masks, 4 views about 90
degrees apart), 30 frames, 240 pixels high. All four cameras train: the figures say how well the
asset shows what was filmed, not what a fifth camera would see.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TAKE = ROOT.parent / "shared" / "samples" / "pose2sim_4cam" / "Demo_SinglePerson"
WORK = Path(__file__).parent / "cache" / "pose2sim"
FRAMES = ("--start", "30", "--end", "60", "--max-side", "240")
SIZE = ("--gaussians", "12000", "--max-gaussians", "20000")


def run(*command: str) -> None:
    """Run one command of the chain; stop with its exit status if it fails."""
    print("$", " ".join(command), flush=True)
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)


def main() -> None:
    """Convert, fit, evaluate, import, render, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blender", required=True, help="Python with bpy")
    parser.add_argument("--seconds", default="180")
    options = parser.parse_args()
    if not TAKE.is_dir():
        sys.exit(f"The sample take is not here: {TAKE}.")
    dataset, asset = str(WORK / "dataset"), str(WORK / "take.ds4d")
    calibration, videos = str(TAKE / "calibration" / "Calib.qca.txt"), str(TAKE / "videos")
    ds4d = (sys.executable, "-m", "ds4d_engine")
    if not Path(dataset).exists():
        run(*ds4d, "convert", "qualisys", calibration, videos, "-o", dataset)
    run(*ds4d, "fit", dataset, "-o", asset, "--seconds", options.seconds, *FRAMES, *SIZE)
    run(*ds4d, "evaluate", asset, dataset, "--split", "train", *FRAMES)
    parity = (sys.executable, str(ROOT / "benchmarks" / "parity.py"), asset, dataset)
    shown = ("--engines", "CYCLES", "--frames", "10", "--split", "train")
    kept = ("--keep", str(WORK / "blender"))
    run(*parity, "--blender", options.blender, *shown, *FRAMES, *kept)


if __name__ == "__main__":
    main()
