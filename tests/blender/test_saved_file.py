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
from ds4d_blender.drawing.selection import SHOWN
from ds4d_blender.importer import import_asset
from ds4d_blender.nodes import set_input, set_menu
from ds4d_blender.rendering import setup_render
from ds4d_blender.together import draw_together
from ds4d_engine.seam import Asset, Camera, write_asset
from tests.blender import reference
from tests.blender.synthetic import CAMERAS, SH_C0, asset

FRAMES = (2.5, 3.0, 2.0)
CYCLES_DB, EEVEE_DB = 60.0, 45.0
SIZE, STOPS = 0.8, 0.5

RENDER_ELSEWHERE = """
import importlib.util, math, sys
import bpy

blend, image, *frames = sys.argv[1:]
bpy.ops.wm.read_factory_settings()
bpy.ops.wm.open_mainfile(filepath=blend, use_scripts=False)
for name in ("ds4d_blender", "ds4d_engine"):
    assert importlib.util.find_spec(name) is None, name
assert not bpy.app.handlers.frame_change_post and not bpy.app.handlers.render_pre
assert not bpy.utils.blend_paths(), bpy.utils.blend_paths()
scene = bpy.context.scene
if not frames:
    scene.render.filepath = image
    bpy.ops.render.render(animation=True)
for frame in map(float, frames):
    scene.frame_set(math.floor(frame), subframe=frame % 1)
    scene.render.filepath = f"{image}{frame:06.1f}"
    bpy.ops.render.render(write_still=True)
"""


def clip(static: int = 400, dynamic: int = 400) -> Asset:
    """Everything that plays: motion, opacity and colour; a part of it is invented."""
    clip = asset(static, dynamic, opacities=True)
    turn = np.cos(np.arange(clip.frame_count))[:, None, None, None]
    clip.motion.sh0 = clip.dynamic.sh0 * np.float32(turn)
    for part in (clip.static, clip.dynamic):
        part.observed = (np.arange(len(part)) % 3 > 0).astype(np.float32)
    return clip


def save(parts: list[Asset], view: Camera, engine: str, folder: Path) -> Path:
    """Import assets, change how they are drawn, and save; two of them are drawn together."""
    targets = []
    for number, part in enumerate(parts):
        path = folder / f"clip{number}.ds4d"
        write_asset(path, part)
        targets.append(import_asset(path, cameras=number == 0, set_scene_time=True))
        path.unlink()
        drawing = targets[-1].modifiers["DS4D Draw"]
        set_menu(drawing, "Show", "Observed", SHOWN)
        set_input(drawing, "Splat Size", SIZE)
        set_input(drawing, "Exposure", STOPS)
    scene = bpy.context.scene
    if len(targets) > 1:
        draw_together(targets, scene.collection)
    scene.frame_start, scene.frame_end = (parts[0].frame_start + frame for frame in (2, 3))
    use_camera(scene, bpy.data.objects[view.name])
    setup_render(scene, engine)
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "clip.blend"))
    return folder / "clip.blend"


def start(blend: Path, name: str, *frames: float) -> subprocess.Popen[str]:
    """Let another process render frames one by one, or without any the animation."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["BLENDER_USER_RESOURCES"] = str(blend.parent / f"{name} resources")
    words = [str(blend), str(blend.parent / name), *map(str, frames)]
    return subprocess.Popen(
        [sys.executable, "-I", "-c", RENDER_ELSEWHERE, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=blend.parent,
    )


def finish(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate(timeout=580)
    assert process.returncode == 0, said


def read(path: Path) -> np.ndarray:
    """Return the linear RGBA [H,W,4] of a picture, top row first."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(height, width, 4)[::-1].astype(np.float64)


def over(image: np.ndarray, grey: float) -> np.ndarray:
    """Return encoded colours of a premultiplied RGBA image over a black or white ground."""
    linear = image[..., :3] + (1 - image[..., 3:]) * grey
    return np.clip(reference.encode_srgb(linear), 0, 1)


def assert_matches(image: np.ndarray, frame: float, view: Camera, required: float) -> None:
    seen = clip().at(frame)
    seen.opacities = seen.opacities * (seen.observed > 0.5)
    seen.scales = seen.scales * SIZE
    linear = reference.decode_srgb(np.maximum(seen.sh0 * SH_C0 + 0.5, 0.0))
    seen.sh0 = (reference.encode_srgb(linear * 2**STOPS) - 0.5) / SH_C0
    colours, alphas = reference.render(seen, view)
    truth = np.concatenate([colours, alphas[..., None]], axis=-1)
    for grey in (0.0, 1.0):
        found = reference.psnr(over(image, grey), over(truth, grey))
        assert found > required, f"{found:.1f} dB over {'white' if grey else 'black'}"


def test_saved_file_renders_alike_in_several_processes_and_any_order_of_frames(
    tmp_path: Path,
) -> None:
    view, first = CAMERAS[0], clip(1, 1).frame_start
    blend = save([clip()], view, "CYCLES", tmp_path)
    farm = [start(blend, "animation"), start(blend, "still", *(first + f for f in FRAMES))]
    for process in farm:
        finish(process)
    for frame in FRAMES:
        still = read(tmp_path / f"still{first + frame:06.1f}.exr")
        assert_matches(still, frame, view, CYCLES_DB)
        if frame % 1 == 0:
            animated = read(tmp_path / f"animation{first + int(frame):04d}.exr")
            assert np.array_equal(animated, still)


def test_saved_file_plays_and_draws_assets_together_in_eevee_without_the_addon(
    tmp_path: Path,
) -> None:
    if sys.platform == "linux" and ctypes.util.find_library("EGL") is None:
        lack = "EEVEE needs a graphics driver: install libegl1 and libgl1-mesa-dri"
        if os.environ.get("CI", "").lower() not in ("", "0", "false"):
            pytest.fail(lack)
        pytest.skip(lack)
    view, frame = CAMERAS[1], clip(1, 1).frame_start + FRAMES[0]
    blend = save([clip(400, 0), clip(0, 400)], view, "EEVEE", tmp_path)
    finish(start(blend, "still", frame))
    assert_matches(read(tmp_path / f"still{frame:06.1f}.exr"), FRAMES[0], view, EEVEE_DB)
