# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw shadows, light, a holdout and passes of an asset, as small pictures: docs/gallery.

    nox -s demo                                        # makes demo-output/clip.ds4d
    .nox/blender-4.5/bin/python docs/demo/gallery_light.py demo-output/clip.ds4d

Run it with Blender's Python. What each tile shows stands in docs/lighting.md.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import mathutils
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import png  # noqa: E402

from ds4d_blender.drawing import MODIFIER_NAME  # noqa: E402
from ds4d_blender.importer import import_asset  # noqa: E402
from ds4d_blender.nodes import set_input  # noqa: E402
from ds4d_blender.passes import setup_passes  # noqa: E402
from ds4d_blender.proxy import add_proxy  # noqa: E402
from ds4d_blender.rendering import setup_render  # noqa: E402
from ds4d_blender.shadow_catcher import add_shadow_catcher  # noqa: E402

TILE, GAP = 176, 4
FRAME = 4
SKY, DUSK = (0.5, 0.6, 0.7), (0.2, 0.2, 0.24)
Pixels = np.ndarray


@dataclass
class Stage:
    """The asset, alone under a camera that looks at it from the front and above."""

    splats: bpy.types.Object
    center: np.ndarray
    radius: float
    bottom: float
    samples: int

    def setup(
        self,
        engine: str = "CYCLES",
        *,
        samples: int = 8,
        transparent: bool = False,
        sky: Sequence[float] = SKY,
    ) -> None:
        setup_render(
            bpy.context.scene,
            engine,
            samples=max(1, samples * self.samples // 8),
            background=None if transparent else sky,
            antialias=True,
        )

    def draw(self, name: str, value: float) -> None:
        set_input(self.splats.modifiers[MODIFIER_NAME], name, value)


def open_stage(asset: Path, samples: int) -> Stage:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    splats = import_asset(asset, set_scene_time=True)
    scene.frame_set(scene.frame_start + FRAME)
    floor = add_shadow_catcher(splats)
    half = floor.dimensions.x / 2.0
    bottom = floor.location.z
    center = np.array([floor.location.x, floor.location.y, bottom + half / 6.0])
    bpy.data.objects.remove(floor)
    scene.render.resolution_x = scene.render.resolution_y = TILE
    stage = Stage(splats, center, half / 5.0, bottom, samples)
    add_camera(stage)
    return stage


def direction(azimuth: float, elevation: float) -> mathutils.Vector:
    """Return the unit vector to a place, from degrees around and above the subject."""
    a, e = math.radians(azimuth), math.radians(elevation)
    return mathutils.Vector((math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)))


def add_camera(stage: Stage) -> None:
    camera = bpy.data.objects.new("View", bpy.data.cameras.new("View"))
    camera.data.angle = math.radians(35.0)
    way = direction(-30.0, 22.0)
    distance = 1.25 * stage.radius / math.sin(math.radians(17.5))
    camera.location = mathutils.Vector(stage.center) + way * distance
    camera.rotation_euler = way.to_track_quat("Z", "Y").to_euler()
    camera.data.clip_end = 100.0 * distance
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera


def add_sun(
    azimuth: float, elevation: float, energy: float, color: Sequence[float] = (1, 1, 1)
) -> None:
    lamp = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    lamp.data.energy, lamp.data.color, lamp.data.angle = energy, color, math.radians(3.0)
    lamp.rotation_euler = direction(azimuth, elevation).to_track_quat("Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(lamp)


def add_mesh(
    name: str, color: Sequence[float], shape: Callable[..., object], **how: object
) -> None:
    """Add a mesh that a `bpy.ops.mesh.primitive_...` call makes, in one diffuse color."""
    shape(**how)
    target = bpy.context.object
    target.name = name
    material = bpy.data.materials.new(name)
    if material.node_tree is None:  # until Blender 5.0
        material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    shader, output = nodes.new("ShaderNodeBsdfDiffuse"), nodes.new("ShaderNodeOutputMaterial")
    shader.inputs["Color"].default_value = (*color, 1.0)
    material.node_tree.links.new(shader.outputs[0], output.inputs["Surface"])
    target.data.materials.append(material)


def add_floor(stage: Stage) -> None:
    place = (*stage.center[:2], stage.bottom)
    add_mesh(
        "Floor",
        (0.6, 0.6, 0.6),
        bpy.ops.mesh.primitive_plane_add,
        size=30 * stage.radius,
        location=place,
    )


def add_ball(stage: Stage) -> None:
    """Add a ball that stands half inside the subject."""
    place = stage.center + np.array([0.55, -0.35, -0.2]) * stage.radius
    add_mesh(
        "Ball",
        (0.9, 0.35, 0.1),
        bpy.ops.mesh.primitive_uv_sphere_add,
        radius=0.35 * stage.radius,
        location=tuple(place),
    )


# -- the pictures ------------------------------------------------------------------------------


def shadows(stage: Stage) -> list[Pixels]:
    """Quads as casters, the proxy as caster, the proxy in EEVEE, a shadow catcher's film."""
    add_floor(stage)
    add_sun(70.0, 38.0, 3.0)
    stage.setup()
    tiles = [picture()]
    add_proxy(stage.splats, "SHADOW")
    tiles.append(picture())
    stage.setup("EEVEE")
    tiles.append(picture())
    bpy.data.objects.remove(bpy.data.objects["Floor"])
    add_shadow_catcher(stage.splats)
    stage.setup(transparent=True)
    return [*tiles, picture()]


def light(stage: Stage) -> list[Pixels]:
    """As captured; under a warm and a cold lamp, lit by half and wholly; the axes' own normals."""
    add_sun(60.0, 35.0, 8.0, (1.0, 0.75, 0.45))
    add_sun(-120.0, 15.0, 8.0, (0.35, 0.55, 1.0))
    stage.setup(samples=32, sky=DUSK)
    bpy.context.scene.cycles.use_denoising = True  # lit splats are noisy, unlike captured ones
    stage.splats.visible_shadow = False
    tiles = []
    for lit, smooth in ((0.0, 0.8), (0.5, 0.8), (1.0, 0.8), (1.0, 0.0)):
        stage.draw("Lit by Scene", lit)
        stage.draw("Smooth Normals", smooth)
        tiles.append(picture())
    return tiles


def holdout(stage: Stage) -> list[Pixels]:
    """With a ball, splats that hold out, the film's alpha, a ball that the proxy holds out."""
    add_floor(stage)
    add_ball(stage)
    add_sun(70.0, 38.0, 3.0)
    stage.setup(transparent=True)
    tiles = [picture()]
    stage.splats.is_holdout = True
    tiles.append(picture())
    bpy.data.objects.remove(bpy.data.objects["Floor"])
    stage.splats.is_holdout = False
    tiles.append(picture())
    stage.splats.hide_render = True
    add_proxy(stage.splats, "HOLDOUT")
    return [*tiles, picture()]


def passes(stage: Stage) -> list[Pixels]:
    """The picture, depth (near is bright), moving, index."""
    scene = bpy.context.scene
    add_ball(stage)
    bpy.data.objects["Ball"].pass_index = 2
    add_sun(70.0, 38.0, 3.0)
    stage.setup()
    tiles = [picture()]
    stage.setup(samples=1)
    node = setup_passes(scene)
    tree = node.id_data
    kinds = {"CompositorNodeComposite", "NodeGroupOutput"}
    output = next(item for item in tree.nodes if item.bl_idname in kinds)
    scene.view_layers[0].use = False
    scene.view_settings.view_transform = "Raw"
    for name in ("Depth", "Moving", "Index"):
        tree.links.new(node.outputs[name], output.inputs[0])
        values = picture(exact=True)[..., 0]
        tiles.append(as_grey(name, values))
    return tiles


def as_grey(name: str, values: np.ndarray) -> Pixels:
    if name == "Depth":
        there = values > 0
        near, far = values[there].min(), values[there].max()
        values = np.where(there, 1.0 - 0.85 * (values - near) / (far - near), 0.0)
    if name == "Index":
        values = values / max(values.max(), 1.0)
    grey = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    return np.dstack([grey, grey, grey, np.full_like(grey, 255)])


# -- rendering ---------------------------------------------------------------------------------


def picture(*, exact: bool = False) -> Pixels:
    """Render; return RGBA bytes over a checkerboard, or, `exact`, the linear values."""
    scene = bpy.context.scene
    settings = scene.render.image_settings
    settings.file_format = "OPEN_EXR" if exact else "PNG"
    settings.color_mode, settings.color_depth = "RGBA", "32" if exact else "8"
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = str(Path(folder) / ("tile.exr" if exact else "tile.png"))
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath, check_existing=False)
        image.colorspace_settings.name = "Non-Color"
        pixels = np.empty(TILE * TILE * 4, np.float32)
        image.pixels.foreach_get(pixels)
        bpy.data.images.remove(image)
    pixels = pixels.reshape(TILE, TILE, 4)[::-1]
    if exact:
        return pixels
    y, x = np.mgrid[:TILE, :TILE]
    check = np.where((x // 11 + y // 11) % 2, 0.72, 0.85)[..., None]
    color = pixels[..., :3] * pixels[..., 3:] + check * (1 - pixels[..., 3:])
    opaque = np.concatenate([color, np.ones_like(check)], axis=2)
    return (np.clip(opaque, 0, 1) * 255).round().astype(np.uint8)


def sheet(tiles: list[Pixels]) -> Pixels:
    whole = np.full((TILE, len(tiles) * (TILE + GAP) - GAP, 4), 255, np.uint8)
    for place, tile in enumerate(tiles):
        left = place * (TILE + GAP)
        whole[:, left : left + TILE] = tile
    return whole


SHEETS = {"shadows": shadows, "light": light, "holdout": holdout, "passes": passes}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("asset", type=Path)
    parser.add_argument("--output", type=Path, default=HERE.parent / "gallery")
    parser.add_argument("--only", choices=SHEETS, nargs="+", default=list(SHEETS))
    parser.add_argument("--samples", type=int, default=8, help="8 is what is shown")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        stage = open_stage(options.asset, options.samples)
        target = options.output / f"{name}.png"
        target.write_bytes(png.encode(sheet(SHEETS[name](stage))))
        print(f"wrote {target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
