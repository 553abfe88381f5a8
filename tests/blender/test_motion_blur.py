# SPDX-License-Identifier: GPL-3.0-or-later
"""Cycles blurs splats as they move between frames, with what the import sets."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from ds4d_blender.cameras import use_camera
from ds4d_blender.importer import import_asset
from ds4d_blender.nodes import set_input
from ds4d_blender.rendering import setup_render
from ds4d_engine.seam import write_asset
from tests.blender import reference
from tests.blender.observe import rendered
from tests.blender.synthetic import asset

FRAME, SUB_FRAMES = 3, 9


def test_cycles_blurs_as_the_mean_of_sub_frames(scene: bpy.types.Scene, tmp_path: Path) -> None:
    write_asset(tmp_path / "clip.ds4d", asset(30, 60))
    target = import_asset(tmp_path / "clip.ds4d", cameras=True, set_scene_time=True)
    use_camera(scene, bpy.data.objects["square"])
    scene.render.resolution_percentage = 50
    setup_render(scene, "CYCLES")
    for frame, across in ((FRAME - 1, -0.1), (FRAME + 1, 0.1)):
        target.location.x = across
        target.keyframe_insert("location", frame=frame)

    set_input(target.modifiers["DS4D Play"], "Speed", 2.0)

    def seen(time: float) -> np.ndarray:
        scene.frame_set(int(time), subframe=time % 1)
        return rendered(scene, tmp_path)[..., :3]

    sharp = seen(FRAME)
    times = FRAME - 0.5 + (np.arange(SUB_FRAMES) + 0.5) / SUB_FRAMES
    mean = np.mean([seen(float(time)) for time in times], axis=0)
    scene.render.use_motion_blur = True
    scene.render.motion_blur_shutter = 1.0
    scene.cycles.samples = 16
    sharp, mean, blurred = (
        reference.encode_srgb(np.clip(image, 0, 1)) for image in (sharp, mean, seen(FRAME))
    )
    assert reference.psnr(sharp, mean) < 40
    assert reference.psnr(blurred, mean) > 45
