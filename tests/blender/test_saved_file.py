# SPDX-License-Identifier: GPL-3.0-or-later
"""A saved file plays and renders in a fresh Blender that has never heard of the add-on."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.cameras import use_camera
from ds4d_blender.importer import import_asset
from ds4d_blender.invented import set_shown
from ds4d_blender.rendering import setup_render
from ds4d_engine.seam import Asset, Camera, write_asset
from tests.blender import reference
from tests.blender.synthetic import CAMERAS, asset

FRAME = 2.5
CYCLES_DB, EEVEE_DB = 60.0, 45.0

RENDER_ELSEWHERE = """
import importlib.util, math, sys
import bpy

blend, image, frame = sys.argv[1:]
bpy.ops.wm.read_factory_settings()
bpy.ops.wm.open_mainfile(filepath=blend, use_scripts=False)
for name in ("ds4d_blender", "ds4d_engine"):
    assert importlib.util.find_spec(name) is None, name
assert not bpy.app.handlers.frame_change_post and not bpy.app.handlers.render_pre
scene = bpy.context.scene
scene.frame_set(math.floor(float(frame)), subframe=float(frame) % 1)
scene.render.filepath = image
bpy.ops.render.render(write_still=True)
"""


@pytest.fixture
def clip() -> Asset:
    """Everything that plays: motion, opacity and colour; a part of it is invented."""
    clip = asset(400, 400, opacities=True)
    turn = np.cos(np.arange(clip.frame_count))[:, None, None, None]
    clip.motion.sh0 = clip.dynamic.sh0 * np.float32(turn)
    for part in (clip.static, clip.dynamic):
        part.observed = (np.arange(len(part)) % 3 > 0).astype(np.float32)
    return clip


def render_elsewhere(clip: Asset, view: Camera, engine: str, folder: Path) -> np.ndarray:
    """Import, hide what is invented, save, and return the linear RGBA of FRAME that another
    process renders.
    """
    write_asset(folder / "clip.ds4d", clip)
    target = import_asset(folder / "clip.ds4d", cameras=True, set_scene_time=True)
    set_shown(target.modifiers["DS4D Invented"], "Observed Only")
    scene = bpy.context.scene
    use_camera(scene, bpy.data.objects[view.name])
    setup_render(scene, engine)
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "clip.blend"))
    (folder / "clip.ds4d").unlink()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["BLENDER_USER_RESOURCES"] = str(folder / "resources")
    files = [str(folder / "clip.blend"), str(folder / "clip.exr")]
    result = subprocess.run(
        [sys.executable, "-I", "-c", RENDER_ELSEWHERE, *files, str(clip.frame_start + FRAME)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=580,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    image = bpy.data.images.load(str(folder / "clip.exr"))
    image.colorspace_settings.name = "Non-Color"
    pixels = np.empty(view.width * view.height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(view.height, view.width, 4)[::-1].astype(np.float64)


def over(image: np.ndarray, grey: float) -> np.ndarray:
    """Return encoded colours of a premultiplied RGBA image over a black or white ground."""
    linear = image[..., :3] + (1 - image[..., 3:]) * grey
    return np.clip(reference.encode_srgb(linear), 0, 1)


def assert_matches(image: np.ndarray, clip: Asset, view: Camera, required: float) -> None:
    seen = clip.at(FRAME)
    seen.opacities = seen.opacities * (seen.observed > 0.5)
    colours, alphas = reference.render(seen, view)
    truth = np.concatenate([colours, alphas[..., None]], axis=-1)
    for grey in (0.0, 1.0):
        found = reference.psnr(over(image, grey), over(truth, grey))
        assert found > required, f"{found:.1f} dB over {'white' if grey else 'black'}"


def test_saved_file_plays_and_renders_in_cycles_without_the_addon(
    clip: Asset, tmp_path: Path
) -> None:
    image = render_elsewhere(clip, CAMERAS[0], "CYCLES", tmp_path)
    assert_matches(image, clip, CAMERAS[0], CYCLES_DB)


def test_saved_file_plays_and_renders_in_eevee_without_the_addon(
    clip: Asset, tmp_path: Path
) -> None:
    if sys.platform == "linux" and ctypes.util.find_library("EGL") is None:
        lack = "EEVEE needs a graphics driver: install libegl1 and libgl1-mesa-dri"
        if os.environ.get("CI", "").lower() not in ("", "0", "false"):
            pytest.fail(lack)
        pytest.skip(lack)
    image = render_elsewhere(clip, CAMERAS[1], "EEVEE", tmp_path)
    assert_matches(image, clip, CAMERAS[1], EEVEE_DB)
