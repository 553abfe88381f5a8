# SPDX-License-Identifier: GPL-3.0-or-later
"""Three clips as they are found, one command each: how long it takes, and how well it shows them.

    python benchmarks/clips.py

Reads ../shared/samples: 32 pictures with alpha (t-rex) and two H.264 videos on white of 65 frames
(robot, panda). PSNR and IoU compare the input camera's view with every frame of the clip as the
fit cut it out, on white. What nobody filmed has no truth here: contact sheets show it, in
docs/images/clips. Results go to one JSON file.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fit_command import add_fit_options, finished_clips, fit, fit_arguments
from machine import describe_machine

from ds4d_engine.cli.arguments import write_json
from ds4d_engine.cli.sheet import contact_sheet
from ds4d_engine.clip import ClipOptions, load_clip
from ds4d_engine.console import progress_listener
from ds4d_engine.data import Dataset
from ds4d_engine.evaluate import finite
from ds4d_engine.metrics import composite_source, mask_iou, psnr_from_mse
from ds4d_engine.render import composite, gaussians_at, render_gaussians
from ds4d_engine.seam.asset import Asset, read_asset
from ds4d_engine.seam.events import Listener, Stage
from ds4d_engine.video import write_png

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT.parent / "shared" / "samples"
CACHE = Path(__file__).parent / "cache" / "clips"
SHEETS = ROOT / "docs" / "images" / "clips"
SHEET_PIXELS, SHEET_TIMES = 96, 5
SECONDS = 180.0


@dataclass(frozen=True)
class Sample:
    """A clip, and the least PSNR in dB wanted of it: mean of its frames, and worst frame."""

    path: Path
    mean: float
    worst: float


CLIPS = {
    "t-rex": Sample(SAMPLES / "t-rex" / "frames", 35.0, 28.0),
    "robot": Sample(SAMPLES / "l4gm_clips" / "000070_fg.mp4", 31.0, 22.0),
    "panda": Sample(SAMPLES / "l4gm_clips" / "000370_fg.mp4", 28.0, 20.0),
}


def measure(name: str, options: argparse.Namespace, listener: Listener) -> dict[str, Any]:
    """Fit one clip, score it and write its contact sheet."""
    sample = CLIPS[name]
    output = CACHE / f"{'-'.join(filter(None, (name, options.tag)))}.ds4d"
    fitted = fit(sample.path, output, fit_arguments(options))
    asset = read_asset(output)
    clip = load_clip(sample.path, ClipOptions(size=asset.cameras[0].width), listener)
    sheet = contact_sheet(
        asset, times=SHEET_TIMES, size=SHEET_PIXELS, source=clip, listener=listener
    )
    write_png(options.sheets / f"{name}.png", sheet)
    values, overlaps = score_frames(asset, clip, listener)
    result = {
        "seconds": fitted["seconds"],
        "command": fitted["command"],
        "frames": clip.frame_count,
        "gaussians": len(asset.static) + len(asset.dynamic),
        "asset_mb": round(output.stat().st_size / 1e6, 2),
        "psnr_mean": float(np.mean(values)),
        "psnr_worst": float(np.min(values)),
        "iou": float(np.mean(overlaps)),
        "psnr": values,
    }
    return result | {"failed": failures(result, sample)}


def score_frames(
    asset: Asset, clip: Dataset, listener: Listener
) -> tuple[list[float], list[float]]:
    """Return the PSNR on white and the overlap of masks of every frame, from the input camera."""
    values, overlaps = [], []
    stage = Stage(listener, "score", clip.frame_count)
    for index, time in enumerate(clip.times):
        rgba = clip.images[0][index]
        gaussians = gaussians_at(asset, float(time) * (asset.frame_count - 1))
        rendered = render_gaussians(gaussians, clip.cameras[0], blend=asset.blend)
        drawn = composite(rendered, (1.0, 1.0, 1.0), blend=asset.blend)
        error = (drawn - composite_source(rgba, 1.0, asset.blend)) ** 2
        values.append(psnr_from_mse(float(np.mean(error, dtype=np.float64))))
        overlaps.append(mask_iou(rendered.alphas, rgba[..., 3] / np.float32(255.0)))
        stage.update(index + 1)
    return values, overlaps


def failures(result: dict[str, Any], sample: Sample) -> list[str]:
    """Return which of a clip's bars were missed."""
    missed = []
    if result["psnr_mean"] < sample.mean:
        missed.append(f"mean below {sample.mean:g} dB")
    if result["psnr_worst"] < sample.worst:
        missed.append(f"worst frame below {sample.worst:g} dB")
    if result["seconds"] > SECONDS:
        missed.append(f"over {SECONDS:g} s")
    return missed


def table(clips: dict[str, dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    head = ["clip", "frames", "whole command, s", "Gaussians", "MB", "mean dB", "worst dB", "IoU"]
    lines = ["| " + " | ".join([*head, "bars"]) + " |", "|" + "---|" * (len(head) + 1)]
    for name, row in clips.items():
        cells = [name, row["frames"], f"{row['seconds']:.0f}", f"{row['gaussians']:,}"]
        cells += [f"{row['asset_mb']:.1f}", f"{row['psnr_mean']:.2f}", f"{row['psnr_worst']:.2f}"]
        cells += [f"{row['iou']:.3f}", ", ".join(row["failed"]) or "met"]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Fit, score and show the clips that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", nargs="+", choices=list(CLIPS), default=list(CLIPS))
    parser.add_argument("--sheets", type=Path, default=SHEETS, help="folder of contact sheets")
    add_fit_options(parser)
    options = parser.parse_args()
    missing = [name for name in options.clips if not CLIPS[name].path.exists()]
    if missing:
        sys.exit(f"The samples of {', '.join(missing)} are not here: {SAMPLES}.")
    path = options.json or CACHE / f"{'-'.join(filter(None, ('clips', options.tag)))}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "seed": options.seed,
        "arguments": fit_arguments(options),
        "machine": describe_machine(),
        "clips": finished_clips(path, options),
    }
    with progress_listener("auto") as listener:
        for name in options.clips:
            if name not in document["clips"]:
                document["clips"][name] = measure(name, options, listener)
            write_json(str(path), finite(document))
    print(table({name: document["clips"][name] for name in options.clips}))


if __name__ == "__main__":
    main()
