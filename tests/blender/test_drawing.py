# SPDX-License-Identifier: GPL-3.0-or-later
"""Cycles renders of imported splats against an independent reference renderer."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import bpy
import mathutils
import numpy as np
import pytest

from ds4d_blender.cameras import use_camera
from ds4d_blender.drawing import MODES
from ds4d_blender.drawing.order import SORT
from ds4d_blender.importer import import_asset
from ds4d_blender.nodes import set_menu
from ds4d_blender.rendering import setup_render
from ds4d_engine.seam import Asset, Camera, Gaussians, write_asset
from tests.blender import reference
from tests.blender.observe import drawn, need_eevee, rendered
from tests.blender.synthetic import CAMERAS, asset, camera, transformed

REQUIRED_DB = 60.0
# Points are sorted by the front of the ball around each, so some pixels mix in another order.
SOFT_DB = 45.0


def imported(clip: Asset, folder: Path) -> bpy.types.Object:
    write_asset(folder / "clip.ds4d", clip)
    return import_asset(folder / "clip.ds4d", cameras=True, set_scene_time=True)


def look(scene: bpy.types.Scene, view: Camera) -> None:
    use_camera(scene, bpy.data.objects[view.name])


def quality(
    scene: bpy.types.Scene, folder: Path, expected: tuple[np.ndarray, np.ndarray], grey: float
) -> float:
    """Return the PSNR in dB, in encoded values, of a render against (colours, alphas)."""
    colours, alphas = expected
    linear = rendered(scene, folder)[..., :3]
    truth = colours + (1 - alphas[..., None]) * reference.decode_srgb(np.float64(grey))
    return reference.psnr(*(np.clip(reference.encode_srgb(x), 0, 1) for x in (linear, truth)))


@pytest.mark.parametrize("background", [0.0, 1.0])
@pytest.mark.parametrize("view", CAMERAS, ids=lambda view: view.name)
def test_cycles_agrees_with_the_reference(
    scene: bpy.types.Scene, tmp_path: Path, view: Camera, background: float
) -> None:
    clip = asset(500, 500)
    imported(clip, tmp_path)
    look(scene, view)
    setup_render(scene, "CYCLES", background=(background,) * 3)
    scene.frame_set(clip.frame_start + 2, subframe=0.5)
    expected = reference.render(clip.at(2.5), view)
    assert quality(scene, tmp_path, expected, background) > REQUIRED_DB


def test_transparent_film_holds_premultiplied_colours_and_alphas(
    scene: bpy.types.Scene, tmp_path: Path
) -> None:
    clip = asset(300, 300)
    imported(clip, tmp_path)
    look(scene, CAMERAS[0])
    setup_render(scene, "CYCLES")
    colours, alphas = reference.render(clip.frame(0), CAMERAS[0])
    image = rendered(scene, tmp_path)
    assert reference.psnr(image[..., :3], colours) > REQUIRED_DB
    assert reference.psnr(image[..., 3], alphas) > REQUIRED_DB


def test_srgb_assets_show_their_encoded_blend_with_the_raw_view(
    scene: bpy.types.Scene, tmp_path: Path
) -> None:
    clip = asset(0, 300, blend="srgb")
    imported(clip, tmp_path)
    look(scene, CAMERAS[0])
    setup_render(scene, "CYCLES", background=(1, 1, 1), view_transform="Raw")
    colours, alphas = reference.render(clip.frame(0), CAMERAS[0], blend="srgb")
    truth = colours + 1 - alphas[..., None]
    assert reference.psnr(rendered(scene, tmp_path)[..., :3], truth) > REQUIRED_DB


@pytest.mark.parametrize(
    "matrix",
    [
        mathutils.Matrix.LocRotScale(
            (0.2, -0.3, 0.1), mathutils.Euler((0.3, 0.5, 1.2)), (0.5,) * 3
        ),
        mathutils.Matrix.LocRotScale((0.1, 0, 0), mathutils.Euler((0, 0.4, 0)), (1.4, 0.6, 0.9)),
    ],
    ids=["similarity", "uneven scale"],
)
def test_splats_follow_the_transform_of_their_object(
    scene: bpy.types.Scene, tmp_path: Path, matrix: mathutils.Matrix
) -> None:
    clip = asset(200, 200)
    target = imported(clip, tmp_path)
    target.matrix_world = matrix
    look(scene, CAMERAS[0])
    setup_render(scene, "CYCLES", background=(0, 0, 0))
    moved = transformed(clip.frame(0), np.array(matrix))
    expected = reference.render(moved, CAMERAS[0])
    assert quality(scene, tmp_path, expected, 0.0) > REQUIRED_DB


@dataclass(frozen=True)
class View:
    """A camera as an artist sets it up.

    `lens` and a sensor of 36 in mm, `shift` in sensor sizes, `size` and `aspect` of the pixels, and
    `parallel`, the width in scene units that an orthographic camera spans.
    """

    lens: float = 50.0
    shift: tuple[float, float] = (0.0, 0.0)
    size: tuple[int, int] = (96, 96)
    fit: str = "AUTO"
    aspect: float = 1.0
    percentage: int = 100
    parallel: float = 0.0

    @property
    def pinhole(self) -> Camera:
        """What the camera sees, by Blender's manual: a sensor spans the longer side, or `fit`."""
        width, height = (side * self.percentage // 100 for side in self.size)
        tall = self.fit == "VERTICAL" or (self.fit == "AUTO" and height * self.aspect > width)
        spanned = height * self.aspect if tall else width  # in pixel widths
        focal = spanned / self.parallel if self.parallel else spanned * self.lens / 36.0
        x, y = (amount * spanned for amount in self.shift)
        centre = (width / 2 - x, height / 2 + y / self.aspect)
        away = 4.5 * self.lens / 50.0
        return camera(
            "view",
            (0.55 * away, -0.66 * away, 0.5 * away),
            width=width,
            height=height,
            focal=(focal, focal / self.aspect),
            centre=centre,
        )

    def look(self, scene: bpy.types.Scene) -> None:
        """Let Blender look through this camera, set up as an artist does it."""
        data = bpy.data.cameras.new("View")
        data.lens, data.sensor_width, data.sensor_height = self.lens, 36.0, 36.0
        data.sensor_fit = self.fit
        data.shift_x, data.shift_y = self.shift
        if self.parallel:
            data.type, data.ortho_scale = "ORTHO", self.parallel
        data.clip_start = 0.01
        scene.camera = bpy.data.objects.new("View", data)
        scene.collection.objects.link(scene.camera)
        pose = self.pinhole.camtoworld @ np.diag([1.0, -1.0, -1.0, 1.0])
        scene.camera.matrix_world = mathutils.Matrix(pose.tolist())
        scene.render.resolution_x, scene.render.resolution_y = self.size
        scene.render.resolution_percentage = self.percentage
        scene.render.pixel_aspect_y = self.aspect


VIEWS = {
    "35 mm, shifted": View(lens=35.0, shift=(0.21, -0.13)),
    "135 mm, half resolution": View(lens=135.0, size=(160, 120), percentage=50),
    "tall": View(size=(64, 96)),
    "tall, vertical fit, shifted": View(size=(64, 96), fit="VERTICAL", shift=(-0.1, 0.2)),
    "wide, vertical fit": View(size=(96, 64), fit="VERTICAL"),
    "tall pixels": View(size=(80, 60), aspect=1.6),
    "orthographic": View(parallel=3.4),
    "orthographic, tall, shifted": View(parallel=3.4, size=(64, 96), shift=(0.1, -0.1)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_low_pass_follows_the_camera(scene: bpy.types.Scene, tmp_path: Path, name: str) -> None:
    clip, view = asset(150, 150), VIEWS[name]
    imported(clip, tmp_path)
    view.look(scene)
    setup_render(scene, "CYCLES", background=(0, 0, 0))
    expected = reference.render(clip.frame(0), view.pinhole, parallel=view.parallel > 0)
    assert expected[1].max() > 0.9
    assert quality(scene, tmp_path, expected, 0.0) > REQUIRED_DB


@pytest.mark.parametrize("name", ["35 mm, shifted", "orthographic, tall, shifted"])
def test_soft_points_agree_with_the_reference_where_few_overlap(
    scene: bpy.types.Scene, tmp_path: Path, name: str
) -> None:
    clip, view = asset(1500, 0), VIEWS[name]
    every = np.s_[::60]
    parts = {field.name: getattr(clip.static, field.name)[every] for field in fields(clip.static)}
    clip = replace(clip, static=Gaussians(**parts))
    target = imported(clip, tmp_path)
    set_menu(target.modifiers["DS4D Draw"], "Mode", "Soft Points", MODES)
    view.look(scene)
    setup_render(scene, "CYCLES", background=(0, 0, 0))
    expected = reference.render(clip.frame(0), view.pinhole, parallel=view.parallel > 0)
    assert expected[1].max() > 0.9
    assert quality(scene, tmp_path, expected, 0.0) > SOFT_DB


def test_chance_is_new_for_every_soft_point_and_sample_in_eevee(
    scene: bpy.types.Scene, tmp_path: Path
) -> None:
    """Two layers that cover half each cover three quarters, at every pixel."""
    need_eevee()
    samples, layers = 96, 2
    clip, view = asset(layers, 0), View(parallel=0.2, size=(32, 32))
    layer = replace(
        clip.static,
        means=np.outer([0.0, 0.5], [-0.55, 0.66, -0.5]).astype(np.float32),
        scales=np.full((layers, 3), 1.0, np.float32),
        opacities=np.full(layers, 0.5, np.float32),
    )
    target = imported(replace(clip, static=layer), tmp_path)
    set_menu(target.modifiers["DS4D Draw"], "Mode", "Soft Points", MODES)
    view.look(scene)
    setup_render(scene, "EEVEE", samples=samples)
    scene.eevee.use_shadows = False  # nothing shines
    _, expected = reference.render(layer, view.pinhole, parallel=True)
    assert expected.min() > 0.7 and expected.max() < 0.76
    error = rendered(scene, tmp_path)[..., 3] - expected
    alone = np.sqrt(0.75 * 0.25 / samples)  # of chances that know nothing of each other
    assert abs(error.mean()) < 0.005
    assert error.std() < 1.2 * alone


def test_splats_at_the_camera_and_behind_it_have_no_size(
    scene: bpy.types.Scene, tmp_path: Path
) -> None:
    clip = asset(200, 0)
    target = imported(clip, tmp_path)
    near = CAMERAS[2]
    look(scene, near)
    set_menu(target.modifiers["DS4D Draw"], "Sort", "Off", SORT)  # the viewport sorts
    depths = (clip.static.means @ near.viewmat[:3, :3].T + near.viewmat[:3, 3])[:, 2]
    assert (depths < 0.01).any() and (depths > 0.01).any()
    mesh = drawn(target)
    corners = np.array([vertex.co for vertex in mesh.vertices]).reshape(-1, 4, 3)
    sizes = np.ptp(corners, axis=1).max(axis=1)
    assert np.array_equal(sizes > 1e-5, depths > 0.01)


def test_without_a_camera_the_points_stay(scene: bpy.types.Scene, tmp_path: Path) -> None:
    write_asset(tmp_path / "clip.ds4d", asset(20, 20))
    target = import_asset(tmp_path / "clip.ds4d")
    geometry = target.evaluated_get(bpy.context.evaluated_depsgraph_get()).evaluated_geometry()
    assert len(geometry.pointcloud.points) == 40
    assert geometry.mesh is None


def test_unknown_engine_is_refused(scene: bpy.types.Scene) -> None:
    with pytest.raises(ValueError, match="CYCLES or EEVEE"):
        setup_render(scene, "LUXCORE")


def test_antialiasing_softens_splats_only_a_little(scene: bpy.types.Scene, tmp_path: Path) -> None:
    clip = asset(300, 300)
    imported(clip, tmp_path)
    look(scene, CAMERAS[0])
    setup_render(scene, "CYCLES", samples=8, background=(1, 1, 1), antialias=True)
    expected = reference.render(clip.frame(0), CAMERAS[0])
    assert 45 < quality(scene, tmp_path, expected, 1.0) < REQUIRED_DB
