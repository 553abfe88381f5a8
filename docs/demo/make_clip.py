# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture the demo's clip from the creature (run with a Python that has bpy).

python docs/demo/make_clip.py

Writes docs/demo/clip: 12 training and 2 held-out cameras, one loop of the march.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import bpy  # noqa: E402
import creature  # noqa: E402
import numpy as np  # noqa: E402
import png  # noqa: E402

from ds4d_blender.capture import capture_dataset  # noqa: E402
from ds4d_blender.rig import Dome  # noqa: E402
from ds4d_blender.time_sampling import FrameSpan  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "clip")
    parser.add_argument("--times", type=int, default=creature.LOOP_FRAMES)
    parser.add_argument("--size", type=int, default=128, help="picture side in pixels")
    parser.add_argument("--samples", type=int, default=128, help="Cycles samples a pixel")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    creature.build(bpy.context.scene)
    captured = capture_dataset(
        options.out,
        rig=Dome(),
        frames=FrameSpan(0, creature.LOOP_FRAMES, count=options.times, loop=True),
        size=options.size,
        samples=options.samples,
        threads=options.threads,
        overwrite=True,
    )
    pictures = list(options.out.rglob("*.png"))
    for picture in pictures:
        squeeze(picture)
    print(
        f"{len(pictures)} pictures, {sum(p.stat().st_size for p in pictures) / 1e6:.2f} MB, "
        f"{captured.fps:g} fps, largest step {captured.motion.largest_step:.3f} radii"
    )


def squeeze(path: Path) -> None:
    """Pack a PNG tighter than Blender does, without a change to any pixel."""
    before = path.read_bytes()
    pixels = read_pixels(path)
    after = png.encode(pixels)
    if len(after) >= len(before):
        return
    path.write_bytes(after)
    if not np.array_equal(read_pixels(path), pixels):
        path.write_bytes(before)
        raise RuntimeError(f"Packing changed {path}.")


def read_pixels(path: Path) -> np.ndarray:
    """Return the stored uint8 RGBA values [H,W,4] of a picture, the top row first."""
    image = bpy.data.images.load(str(path))
    image.alpha_mode = "CHANNEL_PACKED"
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    values = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    return np.round(values * 255).astype(np.uint8).reshape(height, width, 4)[::-1]


if __name__ == "__main__":
    main()
