# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw an asset in every way that *DS4D Draw* knows, in rows of small pictures: docs/gallery.

    nox -s demo                                        # makes demo-output/clip.ds4d
    .nox/blender-4.5/bin/python docs/demo/gallery.py demo-output/clip.ds4d

Run it with Blender's Python. A picture's name says what it shows, its columns stand in
docs/gallery/README.md. `--front` is a fit of one camera's clip, which knows what it invented.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
import mathutils
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import png  # noqa: E402

from ds4d_blender.cameras import use_camera  # noqa: E402
from ds4d_blender.drawing import MODIFIER_NAME  # noqa: E402
from ds4d_blender.drawing.group import MODES  # noqa: E402
from ds4d_blender.drawing.selection import SHOWN  # noqa: E402
from ds4d_blender.importer import import_asset  # noqa: E402
from ds4d_blender.nodes import input_value, set_input, set_menu  # noqa: E402
from ds4d_blender.rendering import Engine, setup_render  # noqa: E402

TILE = 176
ZOOM = 1.1
"""How much closer than the clip's own pictures."""
CAMERA = "test_00"
ASIDE_DEGREES = 55.0
"""From where the fit of one camera's clip is seen."""
FRAME = 4
GAP = 4
MENUS = {"Mode": MODES, "Show": SHOWN}
Inputs = dict[str, Any]


@dataclass(frozen=True)
class Sheet:
    """A picture file: one tile for each set of inputs of the modifier, in a row."""

    name: str
    tiles: tuple[Inputs, ...]
    engine: Engine = "CYCLES"
    samples: int = 1
    prepare: Callable[[bpy.types.Object], Inputs] = field(default=lambda _: {})
    front: bool = False


def crop_box(target: bpy.types.Object) -> Inputs:
    """Add an empty around the upper half of the splats."""
    corners = np.array([target.matrix_world @ mathutils.Vector(c) for c in target.bound_box])
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = bpy.data.objects.new("Crop Box", None)
    box.empty_display_type = "CUBE"
    box.location = ((low + high) / 2).tolist()
    box.location.z += 0.5 * (high[2] - low[2])
    box.rotation_euler = (0.0, 0.35, 0.0)
    box.scale = ((high - low) / 2).tolist()
    bpy.context.scene.collection.objects.link(box)
    return {"Crop Box": box}


def stretched(target: bpy.types.Object) -> Inputs:
    """Turn the splats, stretch them along one axis and flatten them along another, in parallel."""
    target.rotation_euler = (0.2, 0.0, 0.9)
    target.scale = (1.2, 0.7, 1.0)
    camera = bpy.context.scene.camera
    distance = (camera.matrix_world.translation - target.matrix_world.translation).length
    camera.data.type = "ORTHO"
    camera.data.ortho_scale = distance * camera.data.sensor_width / camera.data.lens
    return {}


EVERY_MODE = tuple({"Mode": mode} for mode in MODES)
SHEETS = (
    Sheet("modes_cycles", EVERY_MODE),
    # Chance decides in EEVEE which of the points is in front: many samples take their mean.
    Sheet("modes_eevee", EVERY_MODE, engine="EEVEE", samples=8),
    Sheet("stretched_cycles", EVERY_MODE[:2], prepare=stretched),
    Sheet("stretched_eevee", EVERY_MODE[:2], engine="EEVEE", samples=64, prepare=stretched),
    Sheet("density", tuple({"Density": part} for part in (1.0, 0.3, 0.1, 0.03))),
    Sheet(
        "size_and_opacity",
        ({"Splat Size": 0.5}, {"Splat Size": 1.5}, {"Opacity": 0.3}, {"Minimum Opacity": 0.7}),
    ),
    Sheet("crop", ({}, {"Crop Outside": True}), prepare=crop_box),
    Sheet("masks", tuple({"Show": kind} for kind in ("All", "Moving", "Still"))),
    Sheet(
        "invented",
        (
            {},
            {"Show": "Observed"},
            {"Show": "Invented"},
            {"Tint Invented": 0.7, "Invented Tint": (1.0, 0.0, 1.0, 1.0)},
        ),
        front=True,
    ),
    Sheet(
        "grade",
        (
            {"Exposure": 1.0},
            {"Saturation": 0.0},
            {"Hue": 120.0},
            {"Color Tint": (1.0, 0.6, 0.3, 1.0)},
        ),
    ),
)


def draw(sheet: Sheet, asset: Path, folder: Path) -> np.ndarray:
    """Return a sheet's pixels, uint8 [H,W,4]."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    target = import_asset(asset, cameras=True, set_scene_time=True)
    use_camera(scene, camera_of(scene))
    if sheet.front:
        turned = mathutils.Matrix.Rotation(math.radians(ASIDE_DEGREES), 4, "Z")
        scene.camera.matrix_world = turned @ scene.camera.matrix_world
    scene.render.resolution_x = scene.render.resolution_y = TILE
    scene.camera.data.lens *= ZOOM
    scene.frame_set(scene.frame_start + FRAME)
    always = sheet.prepare(target)
    drawing = target.modifiers[MODIFIER_NAME]
    setup_render(scene, sheet.engine, samples=sheet.samples, background=(1.0, 1.0, 1.0))
    tiles = []
    for tile in sheet.tiles:
        with inputs_set(drawing, always | tile):
            tiles.append(render(scene, folder))
    return side_by_side(tiles)


@contextmanager
def inputs_set(drawing: bpy.types.NodesModifier, inputs: Inputs) -> Iterator[None]:
    """Set inputs of the modifier; put them back at the end."""
    before = {name: input_value(drawing, name) for name in inputs}
    for name, value in inputs.items():
        if name in MENUS:
            set_menu(drawing, name, value, MENUS[name])
        else:
            set_input(drawing, name, value)
    yield
    for name, value in before.items():
        set_input(drawing, name, value)


def camera_of(scene: bpy.types.Scene) -> bpy.types.Object:
    """Return the held-out camera, or the only one."""
    cameras = [item for item in scene.objects if item.type == "CAMERA"]
    return next((camera for camera in cameras if camera.name == CAMERA), cameras[0])


def render(scene: bpy.types.Scene, folder: Path) -> np.ndarray:
    """Render the scene; return uint8 [H,W,4]."""
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGBA", "8"
    scene.render.filepath = str(folder / "tile.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath, check_existing=False)
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return np.rint(pixels.reshape(height, width, 4)[::-1] * 255).astype(np.uint8)


def side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    """Put pictures next to each other with a white gap."""
    height, _, channels = pictures[0].shape
    gap = np.full((height, GAP, channels), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def main() -> None:
    """Write the sheets that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("asset", type=Path)
    parser.add_argument("--front", type=Path, help="asset fitted from one camera's clip")
    parser.add_argument("--sheets", nargs="+", help="default: all", metavar="NAME")
    parser.add_argument("--output", type=Path, default=HERE.parent / "gallery")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for sheet in SHEETS:
        asset = options.front if sheet.front else options.asset
        if asset is None or (options.sheets and sheet.name not in options.sheets):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            data = png.encode(draw(sheet, asset, Path(scratch)))
        (options.output / f"{sheet.name}.png").write_bytes(data)
        print(f"{sheet.name}.png: {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
