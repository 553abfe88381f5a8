# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare Cycles' motion blur with the mean of 17 sub-frames. Run it with Blender's Python:

PYTHONPATH=. .nox/blender-4.5/bin/python benchmarks/motion_blur.py [clip.ds4d ...] --pixels 96

The shutter is open for a whole frame. An asset is seen three times: while its splats move, while
the camera travels too, and while the object is turned and moved as well. Without assets a small
synthetic one is taken. In dB of the encoded pictures, on black.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

import bpy
import numpy as np

from benchmarks.loop_seam import look
from benchmarks.quiet import quiet
from ds4d_blender.importer import import_asset
from ds4d_blender.motion_blur import STEPS
from ds4d_engine.seam import write_asset
from tests.blender import synthetic
from tests.blender.observe import rendered
from tests.blender.reference import encode_srgb, psnr

BOUND, SUB_FRAMES = 45.0, 17
# What moves during the frame besides the splats: radians and shares of the distance in a frame.
TURN, TRAVEL = math.radians(2.0), 0.01


def picture() -> np.ndarray:
    """Render the current frame; return linear colours."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        return rendered(bpy.context.scene, Path(folder))[..., :3]


def mean_of_sub_frames(frame: int) -> np.ndarray:
    """Return the mean of pictures at evenly spaced times around a frame, without blur."""
    scene = bpy.context.scene
    scene.render.use_motion_blur = False
    scene.cycles.samples = 1
    total = 0.0
    for index in range(SUB_FRAMES):
        at = frame - 0.5 + (index + 0.5) / SUB_FRAMES
        scene.frame_set(math.floor(at), subframe=at % 1)
        total = total + picture() / SUB_FRAMES
    return total


def blurred(frame: int, samples: int) -> np.ndarray:
    """Return the picture of a frame with Cycles' own blur."""
    scene = bpy.context.scene
    scene.render.use_motion_blur = True
    scene.render.motion_blur_shutter = 1.0
    scene.cycles.samples = samples
    scene.frame_set(frame)
    return picture()


def move(item: bpy.types.Object, frame: int) -> None:
    """Let an object travel sideways and turn about its own upright axis, evenly."""
    item.rotation_mode = "XYZ"
    place, turn = item.location.copy(), item.rotation_euler.copy()
    step = max(place.length, 1.0) * TRAVEL
    bpy.context.preferences.edit.keyframe_new_interpolation_type = "LINEAR"
    for side in (-2, 2):
        item.location = (place.x + side * step, place.y, place.z)
        item.rotation_euler = (turn.x, turn.y, turn.z + side * TURN)
        for path in ("location", "rotation_euler"):
            item.keyframe_insert(path, frame=frame + side)


def main() -> None:
    """Print a line for each asset and each thing that moves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("assets", type=Path, nargs="*")
    parser.add_argument("--pixels", type=int, default=96, help="longer side of the pictures")
    parser.add_argument("--samples", type=int, default=32, help="for the blurred picture")
    parser.add_argument("--steps", type=int, nargs="+", default=[STEPS], help="Cycles' own")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "synthetic.ds4d"
        write_asset(made, synthetic.asset())
        for path in options.assets or [made]:
            bpy.ops.wm.read_factory_settings(use_empty=True)
            target = import_asset(path, cameras=True, set_scene_time=True)
            scene = bpy.context.scene
            look(options.pixels)
            frame = (scene.frame_start + scene.frame_end) // 2
            for what, item in (("splats", None), ("camera", scene.camera), ("object", target)):
                if item is not None:
                    move(item, frame)
                truth = encode_srgb(np.clip(mean_of_sub_frames(frame), 0, 1))
                for steps in options.steps:
                    target.cycles.motion_steps = steps
                    began = time.perf_counter()
                    found = encode_srgb(np.clip(blurred(frame, options.samples), 0, 1))
                    seconds, close = time.perf_counter() - began, psnr(found, truth)
                    print(
                        f"{path.stem}, moving {what}, {steps} steps: {close:.1f} dB in "
                        f"{seconds:.1f} s; {'meets' if close >= BOUND else 'below'} {BOUND:.0f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
