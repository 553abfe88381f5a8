# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare Blender's renders of an asset with the engine's and with the source frames.

    python benchmarks/parity.py ASSET DATASET --blender .nox/blender-4.5/bin/python

Blender imports the asset and saves a .blend; a second process, in which the add-on cannot be
imported, opens it and renders the held-out cameras on white and on black. 16-bit pictures: with 8
bits, rounding alone would cap the comparison at 59 dB.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from blender_process import run_steps
from machine import describe_machine

from ds4d_engine.data import Dataset, load_dataset
from ds4d_engine.metrics import composite_source, psnr_from_mse
from ds4d_engine.render import composite, gaussians_at, render_gaussians
from ds4d_engine.seam.asset import Asset, read_asset

ROOT = Path(__file__).resolve().parent.parent
GREYS = {"white": 1.0, "black": 0.0}
# What Blender may lose on the source, in dB: Cycles is exact, EEVEE rounds its colors.
BOUNDS = {"CYCLES": -0.05, "EEVEE": -0.2}


def compare(plan: dict, asset: Asset, dataset: Dataset) -> dict:
    """Return pooled PSNRs per engine and background."""
    cameras = {camera.name: index for index, camera in enumerate(dataset.cameras)}
    folder, result = Path(plan["folder"]), {}
    for engine in plan["engines"]:
        for background, grey in GREYS.items():
            errors: dict[str, list[float]] = {"engine": [], "source": [], "engine_source": []}
            for name in plan["cameras"]:
                view = cameras[name]
                for frame in plan["frames"][engine]:
                    path = folder / f"{engine.lower()}-{background}-{name}-{frame:04d}.png"
                    blender = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1] / 65535.0
                    rendered = render_gaussians(
                        gaussians_at(asset, float(frame)), dataset.cameras[view], blend=asset.blend
                    )
                    drawn = composite(rendered, (grey,) * 3, blend=asset.blend)
                    source = composite_source(dataset.images[view][frame], grey, asset.blend)
                    errors["engine"].append(float(np.mean((blender - drawn) ** 2)))
                    errors["source"].append(float(np.mean((blender - source) ** 2)))
                    errors["engine_source"].append(float(np.mean((drawn - source) ** 2)))
            row = {key: psnr_from_mse(float(np.mean(value))) for key, value in errors.items()}
            row["lowest_engine"] = psnr_from_mse(max(errors["engine"]))
            row["difference"] = row["source"] - row["engine_source"]
            row["bound"] = BOUNDS[engine]
            result[f"{engine} {background}"] = row
    return result


def main() -> None:
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("asset", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--blender", required=True, help="Python with bpy")
    parser.add_argument("--engines", nargs="+", default=["CYCLES", "EEVEE"])
    parser.add_argument("--frames", type=int, nargs="+", help="default: all")
    parser.add_argument("--eevee-frames", type=int, nargs="+", help="default: as --frames")
    parser.add_argument("--split", choices=("test", "train"), default="test")
    parser.add_argument("--start", type=int, default=0, help="as given to ds4d fit")
    parser.add_argument("--end", type=int, help="as given to ds4d fit")
    parser.add_argument("--max-side", type=int, help="as given to ds4d fit")
    parser.add_argument("--keep", type=Path, help="folder for the .blend files and pictures")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    asset = read_asset(options.asset)
    dataset = load_dataset(
        options.dataset, start=options.start, end=options.end, max_side=options.max_side
    )
    every = options.frames or list(range(asset.frame_count))
    frames = {"CYCLES": every, "EEVEE": options.eevee_frames or every}
    views = dataset.test if options.split == "test" else dataset.train
    cameras = [dataset.cameras[view].name for view in views]
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        plan = {
            "asset": str(options.asset.resolve()),
            "repository": str(ROOT),
            "folder": str(folder),
            "engines": options.engines,
            "cameras": cameras,
            "frames": frames,
            "total": len(GREYS)
            * len(cameras)
            * sum(len(frames[engine]) for engine in options.engines),
        }
        run_steps("parity_blender.py", ("import", "render"), plan, options.blender)
        result = compare(plan, asset, dataset)
    print(
        "| engine, background | against engine dB (lowest) | source | engine's own | less | bound |"
    )
    print("|---|---|---|---|---|---|")
    for name, row in result.items():
        print(
            f"| {name} | {row['engine']:.1f} ({row['lowest_engine']:.1f}) | {row['source']:.3f} "
            f"| {row['engine_source']:.3f} | {row['difference']:+.3f} | >= {row['bound']} |"
        )
    if options.json:
        document = {"asset": options.asset.name, "frames": frames, "pictures": result}
        document["machine"] = describe_machine()
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
