# SPDX-License-Identifier: GPL-3.0-or-later
"""How a subject that turned before its one camera looks from elsewhere, against the true pictures.

    .nox/blender-4.5/bin/python benchmarks/capture_turn.py        # once
    python benchmarks/turn.py                                     # the turn found in the clip
    python benchmarks/turn.py --set turn=off --tag off            # without
    python benchmarks/turn.py --hint --tag hint                   # told how far the subject turns

`ds4d fit` gets a clip of 36 pictures, 128 px; the asset is drawn at the truth's cameras and times,
on white. Columns: the clip itself (mean and worst picture), then PSNR in dB / IoU of masks by
azimuth, of both signs, at elevations 0 and 30 degrees. Pictures beside the JSON file show truth
and fit.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fit_command import add_fit_options, finished_clips, fit, fit_arguments
from machine import describe_machine

from ds4d_engine.cli.arguments import write_json
from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.metrics import composite_source, mask_iou, psnr_from_mse
from ds4d_engine.render import composite, gaussians_at, render_gaussians, to_uint8
from ds4d_engine.seam.asset import Asset, read_asset
from ds4d_engine.video import write_png

CACHE = Path(__file__).parent / "cache" / "turn"
DEGREES = {"fox-turntable": 360, "knight-walk": -360, "bee-spit": 300}
"""By how much the subjects turn, counter-clockwise from above: what an artist may know."""
FRAMES = 36
AROUND = {"±30": (30, 330), "±90": (90, 270), "180": (180,)}
SHOWN = 4


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Fit one clip and score it; write the pictures beside the scores."""
    output = options.work / f"{name}.ds4d"
    hint = ["--turn", str(DEGREES[name] * (FRAMES - 1) / FRAMES)] if options.hint else []
    arguments = ["--crop", "off", *fit_arguments(options), *hint]
    fitted = fit(CACHE / name / "input", output, arguments)
    asset = read_asset(output)
    front = [score(asset, path, time, 0, 0) for time, path in enumerate(_input(name))]
    rows, shown = [], []
    for path in sorted((CACHE / name / "truth").glob("*.png")):
        time, azimuth, elevation = (int(number) for number in re.findall(r"\d+", path.stem))
        row = score(asset, path, time, azimuth, elevation)
        if time == SHOWN:
            shown.append(np.concatenate([row["truth"], row["drawn"]]))
        rows.append({key: row[key] for key in ("psnr", "iou")})
        rows[-1] |= {"time": time, "azimuth": azimuth, "elevation": elevation}
    write_png(output.with_suffix(".png"), to_uint8(np.concatenate(shown, axis=1)))
    decibels = [row["psnr"] for row in front]
    return {
        **fitted,
        "front": {"psnr_mean": float(np.mean(decibels)), "psnr_worst": min(decibels)},
        "pictures": rows,
    }


def score(asset: Asset, path: Path, time: int, azimuth: float, elevation: float) -> dict[str, Any]:
    """Compare how an asset looks with a true picture."""
    rgba = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
    camera = orbit_camera("truth", len(rgba), azimuth_degrees=azimuth, elevation_degrees=elevation)
    gaussians = gaussians_at(asset, time / (FRAMES - 1) * (asset.frame_count - 1))
    rendered = render_gaussians(gaussians, camera, blend=asset.blend)
    drawn = composite(rendered, (1.0, 1.0, 1.0), blend=asset.blend)
    truth = composite_source(rgba, 1.0, asset.blend)
    mse = float(np.mean((drawn - truth) ** 2, dtype=np.float64))
    iou = mask_iou(rendered.alphas, rgba[..., 3] / np.float32(255))
    return {"psnr": psnr_from_mse(mse), "iou": iou, "truth": truth, "drawn": drawn}


def table(clips: dict[str, Any]) -> str:
    """Return the results as a Markdown table."""
    columns = [(label, e) for e in (0, 30) for label in AROUND]
    head = ["clip", "itself, dB", *(f"{label}, {e}° up" for label, e in columns), "mean", "s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, clip in clips.items():
        front = clip["front"]
        cells = [name, f"{front['psnr_mean']:.2f}, worst {front['psnr_worst']:.2f}"]
        for label, elevation in columns:
            cells.append(_mean(clip["pictures"], AROUND[label], (elevation,)))
        cells += [_mean(clip["pictures"], sum(AROUND.values(), ()), (0, 30))]
        lines.append("| " + " | ".join([*cells, f"{clip['seconds']:.0f}"]) + " |")
    return "\n".join(lines)


def _mean(rows: list[dict[str, Any]], azimuths: tuple[int, ...], ups: tuple[int, ...]) -> str:
    chosen = [r for r in rows if r["azimuth"] in azimuths and r["elevation"] in ups]
    psnr, iou = (float(np.mean([row[key] for row in chosen])) for key in ("psnr", "iou"))
    return f"{psnr:.2f} / {iou:.3f}"


def _input(name: str) -> list[Path]:
    return sorted((CACHE / name / "input").glob("[0-9]*.png"))


def main() -> None:
    """Fit and score the clips that the command line asks for; print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", nargs="+", choices=list(DEGREES), default=list(DEGREES))
    parser.add_argument("--hint", action="store_true", help="tell the fit how far subjects turn")
    add_fit_options(parser)
    options = parser.parse_args()
    if missing := [name for name in options.clips if len(_input(name)) < FRAMES]:
        sys.exit(f"Run benchmarks/capture_turn.py first; not captured: {', '.join(missing)}.")
    options.work = CACHE / "fits" / (options.tag or "found")
    path = options.json or options.work.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "seed": options.seed,
        "arguments": fit_arguments(options),
        "machine": describe_machine(),
        "clips": finished_clips(path, options),
    }
    for name in options.clips:
        if name not in document["clips"]:
            document["clips"][name] = measure(name, options)
        write_json(str(path), json.loads(json.dumps(document)))
    print(table({name: document["clips"][name] for name in options.clips}))


if __name__ == "__main__":
    main()
