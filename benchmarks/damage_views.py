# SPDX-License-Identifier: GPL-3.0-or-later
"""Spoil the side views of paper clips as a generator does: each picture is wrong in its own way.

    python benchmarks/damage_views.py                 # once, after capture_protocols.py
    python benchmarks/ablation.py paper --variants E F G H --iterations 1200 \\
        --set gaussians=2500 max_gaussians=3000 --clips damaged/fox-walk damaged/robot-dance

benchmarks/cache/damaged/<clip> is benchmarks/cache/paper/<clip>, but every picture that is not
the front's is bent by a smooth field, of which half belongs to its camera and half to the picture,
and brighter or darker as a whole. Held-out cameras and the true surface stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

CACHE = Path(__file__).parent / "cache"
CLIPS = ("fox-walk", "robot-dance")
BENT, SMOOTH = 2.0, 0.12
"""Root mean square of a bend in pixels of 128, and its reach as a share of the picture's side."""
BRIGHTNESS = 0.08
"""Deviation of a picture's brightness."""


def field(name: str, side: int) -> NDArray[np.float32]:
    """Return a smooth random field [2,side,side] in pixels, always the same for a name."""
    noise = np.random.default_rng(zlib.crc32(name.encode())).normal(size=(2, side, side))
    bend = gaussian_filter(noise, (0, SMOOTH * side, SMOOTH * side), mode="wrap")
    scale = BENT * side / 128 / np.sqrt(np.square(bend).sum(0).mean())
    return (bend * scale).astype(np.float32)


def damaged(pixels: NDArray[np.uint8], camera: str, picture: str) -> NDArray[np.uint8]:
    """Return a picture [side,side,4] of straight alpha, bent and of another brightness."""
    side = len(pixels)
    x, y = np.meshgrid(*(np.arange(side, dtype=np.float32),) * 2)
    dx, dy = (field(camera, side) + field(picture, side)) * np.float32(np.sqrt(0.5))
    values = pixels.astype(np.float32)
    values[..., :3] *= values[..., 3:] / 255.0
    bent = cv2.remap(values, x + dx, y + dy, cv2.INTER_LINEAR)
    alpha = np.maximum(bent[..., 3:], 1e-3) / 255.0
    shine = 1.0 + BRIGHTNESS * np.random.default_rng(zlib.crc32(picture.encode()) + 1).normal()
    bent[..., :3] *= shine / alpha
    return np.clip(np.rint(bent), 0, 255).astype(np.uint8)


def damage(clip: str) -> Path:
    """Write the spoilt copy of a clip, unless it exists; return it."""
    source, target = CACHE / "paper" / clip, CACHE / "damaged" / clip
    if target.exists():
        return target
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        copy = Path(scratch) / clip
        shutil.copytree(source, copy)
        shots = json.loads((source / "transforms_train.json").read_text())["frames"]
        front = shots[0]["camera"]
        for shot in shots:
            if shot["camera"] == front:
                continue
            path = copy / f"{shot['file_path']}.png"
            pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(path), damaged(pixels, shot["camera"], shot["file_path"]))
        os.replace(copy, target)
    return target


def main() -> None:
    """Spoil the clips that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", nargs="+", default=list(CLIPS))
    for clip in parser.parse_args().clips:
        if not (CACHE / "paper" / clip).exists():
            raise SystemExit(f"paper/{clip} not captured yet; run benchmarks/capture_protocols.py.")
        print(damage(clip))


if __name__ == "__main__":
    main()
