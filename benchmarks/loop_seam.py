# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the jump where a loop closes: Loop against Cross-Fade. Run it with Blender's Python:

PYTHONPATH=. .nox/blender-4.5/bin/python benchmarks/loop_seam.py clip.ds4d ... --pixels 96

A step is what changes from one frame to the next: how far the splat that moves farthest goes, and
how much a picture changes (root mean square of encoded values; left out with --pixels 0). The
largest step across the seam is given in largest steps inside the clip.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import bpy
import numpy as np

from benchmarks.quiet import quiet
from ds4d_blender.cameras import use_camera
from ds4d_blender.importer import import_asset
from ds4d_blender.nodes import input_value, set_input
from ds4d_blender.player import set_playback
from ds4d_blender.rendering import setup_render
from tests.blender.observe import played, rendered
from tests.blender.reference import encode_srgb

BOUND = 1.2


class Clip:
    """An imported asset, seen frame by frame."""

    def __init__(self, path: Path, pixels: int) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.target = import_asset(path, cameras=True, set_scene_time=True)
        self.player = self.target.modifiers["DS4D Play"]
        self.frames = int(input_value(self.player, "Frames"))
        self.pixels = pixels
        if pixels:
            look(pixels)

    def largest_steps(self, mode: str, times: Iterable[float]) -> tuple[float, float]:
        """Return the largest step of a splat and of a picture from time to time."""
        set_playback(self.player, mode)
        splats, pictures = [], []
        for (place, picture), (next_place, next_picture) in pairwise(map(self._seen, times)):
            splats.append(np.linalg.norm(next_place - place, axis=1).max())
            pictures.append(np.sqrt(np.mean((next_picture - picture) ** 2)))
        return float(max(splats)), float(max(pictures))

    def _seen(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        scene, frame = bpy.context.scene, bpy.context.scene.frame_start + time
        scene.frame_set(math.floor(frame), subframe=frame % 1)
        place = played(self.target)["position"]
        if not self.pixels:
            return place, np.zeros(1)
        with tempfile.TemporaryDirectory() as folder, quiet():
            image = rendered(scene, Path(folder))
        return place, encode_srgb(np.clip(image[..., :3], 0, 1))


def look(pixels: int) -> None:
    """Look through the asset's first camera at a longer side of so many pixels, on black."""
    scene = bpy.context.scene
    use_camera(scene, next(item for item in scene.objects if item.type == "CAMERA"))
    longer = max(scene.render.resolution_x, scene.render.resolution_y)
    for axis in "xy":
        name = f"resolution_{axis}"
        setattr(scene.render, name, round(getattr(scene.render, name) * pixels / longer))
    setup_render(scene, "CYCLES", background=(0.0, 0.0, 0.0))


def main() -> None:
    """Print a line for each asset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("assets", type=Path, nargs="+")
    parser.add_argument("--fade", type=float, help="frames; by default what the import sets")
    parser.add_argument("--pixels", type=int, default=96, help="longer side of the pictures")
    options = parser.parse_args()
    print("asset: frames, fade; largest step across the seam, of a splat (of pictures)")
    for path in options.assets:
        clip = Clip(path, options.pixels)
        if options.fade is not None:
            set_input(clip.player, "Fade", options.fade)
        fade, last = float(input_value(clip.player, "Fade")), clip.frames - 1
        inside = clip.largest_steps("Clamp", range(clip.frames))
        seams = {
            "Loop": clip.largest_steps("Loop", (last, last + 1)),
            "Cross-Fade": clip.largest_steps("Cross-Fade", range(-1, math.ceil(fade) + 2)),
        }
        ratios = {
            mode: [a / b if b else 0.0 for a, b in zip(seam, inside, strict=True)]
            for mode, seam in seams.items()
        }
        held = max(ratios["Cross-Fade"]) <= BOUND
        print(
            f"{path.stem}: {clip.frames} frames, fade {fade:.1f}; "
            + ", ".join(f"{mode} {a:.2f} ({b:.2f})" for mode, (a, b) in ratios.items())
            + f"; {'within' if held else 'above'} {BOUND}",
            flush=True,
        )


if __name__ == "__main__":
    main()
