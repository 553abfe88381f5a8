# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what an asset holds."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..seam.asset import Asset, read_asset
from .arguments import write_json

OBSERVED_FROM = 0.5  # where less of it was seen, a Gaussian counts as invented
_CAMERAS_SHOWN = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("asset", metavar="ASSET", help="a .ds4d file")
    parser.add_argument("--verify", action="store_true", help="read all of it, compare checksums")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    path = Path(arguments.asset)
    asset = read_asset(path, verify=arguments.verify)
    facts = describe(asset, path.stat().st_size)
    if arguments.json:
        write_json("-", facts)
    else:
        print(_text(path, facts, verified=arguments.verify))
    return 0


def describe(asset: Asset, file_bytes: int) -> dict[str, Any]:
    """Return an asset's facts as plain JSON values; sizes in bytes, times in seconds."""
    means = [asset.static.means, asset.motion.means.reshape(-1, 3)]
    points = np.concatenate(means) if sum(map(len, means)) else np.zeros((1, 3), np.float32)
    scores = asset.dynamic.dynamic_scores
    observed = np.concatenate([asset.static.observed, asset.dynamic.observed])
    invented = int((observed < OBSERVED_FROM).sum())
    moving = [getattr(asset.motion, item.name) for item in fields(asset.motion)]
    per_frame = sum(array[0].nbytes for array in moving if array is not None)
    return {
        "static_gaussians": len(asset.static),
        "dynamic_gaussians": len(asset.dynamic),
        "observed_gaussians": len(observed) - invented,
        "invented_gaussians": invented,
        "mean_dynamic_score": float(np.mean(scores)) if len(scores) else None,
        "sh_degree": round((asset.static.shN.shape[1] + 1) ** 0.5) - 1,
        "moving_opacity": asset.motion.opacities is not None,
        "moving_colour": asset.motion.sh0 is not None,
        "frames": asset.frame_count,
        "fps": asset.fps,
        "frame_start": asset.frame_start,
        "seconds": asset.frame_count / asset.fps,
        "blend": asset.blend,
        "units": asset.units,
        "low": [float(value) for value in points.min(axis=0)],
        "high": [float(value) for value in points.max(axis=0)],
        "file_bytes": file_bytes,
        "motion_bytes_per_frame": per_frame,
        "cameras": [
            {
                "name": camera.name,
                "width": camera.width,
                "height": camera.height,
                "split": camera.split,
            }
            for camera in asset.cameras
        ],
        "provenance": asset.provenance,
    }


def _text(path: Path, facts: dict[str, Any], *, verified: bool) -> str:
    static, dynamic = facts["static_gaussians"], facts["dynamic_gaussians"]
    last = facts["frame_start"] + facts["frames"] - 1
    score = facts["mean_dynamic_score"]
    observed, invented = facts["observed_gaussians"], facts["invented_gaussians"]
    rows = {
        "Gaussians": f"{static + dynamic:,}: {static:,} static, {dynamic:,} dynamic",
        "Observed": f"{observed:,} seen by a source picture, {invented:,} invented",
        "Dynamic score": "none" if score is None else f"{score:.3f}, mean of the dynamic ones",
        "Colour": f"spherical harmonics of degree {facts['sh_degree']}, "
        f"blended in {'linear light' if facts['blend'] == 'linear' else 'sRGB values'}, "
        f"{'moving' if facts['moving_colour'] else 'constant'} over time",
        "Opacity": "moves" if facts["moving_opacity"] else "constant over time",
        "Frames": f"{facts['frames']} ({facts['frame_start']} to {last}) at {facts['fps']:g} fps, "
        f"{facts['seconds']:.2f} s",
        "Extent": f"{_vector(facts['low'])} to {_vector(facts['high'])} {facts['units']}",
        "Size": f"{_bytes_text(facts['file_bytes'])}, of it "
        f"{_bytes_text(facts['motion_bytes_per_frame'])} for every frame",
        "Checksums": "right" if verified else "not compared (--verify compares them)",
        "Cameras": _cameras_text(facts["cameras"]),
    }
    width = max(map(len, rows))
    lines = [str(path), *(f"  {name:<{width}}  {text}" for name, text in rows.items())]
    if facts["provenance"]:
        lines += ["  Provenance", *_provenance_lines(facts["provenance"])]
    return "\n".join(lines)


def _cameras_text(cameras: list[dict[str, Any]]) -> str:
    if not cameras:
        return "none"
    shown = [
        f"{camera['name']} {camera['width']}x{camera['height']}"
        + (" (test)" if camera["split"] == "test" else "")
        for camera in cameras[:_CAMERAS_SHOWN]
    ]
    more = len(cameras) - len(shown)
    return f"{len(cameras)}: {', '.join(shown)}" + (f" and {more} more" if more else "")


def _provenance_lines(provenance: dict[str, Any], indent: str = "    ") -> list[str]:
    lines = []
    for key, value in provenance.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}", *_provenance_lines(value, indent + "  ")]
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"{indent}{key}: {text}")
    return lines


def _vector(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:.3g}" for value in values) + ")"


def _bytes_text(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
