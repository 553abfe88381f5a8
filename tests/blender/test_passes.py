# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes against sums over splats in numpy, and splats among other objects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.cameras import use_camera
from ds4d_blender.importer import import_asset
from ds4d_blender.passes import setup_passes
from ds4d_blender.rendering import setup_render
from ds4d_engine.seam import Camera, Gaussians, write_asset
from tests.blender import reference
from tests.blender.observe import need_eevee, rendered
from tests.blender.synthetic import CAMERAS, asset

# dB of masks, and the largest error of depth in scene units where something covers 5 % of a pixel.
BOUNDS = {"CYCLES": (60.0, 0.005), "EEVEE": (45.0, 0.01)}
FULL = CAMERAS[0]
VIEW = replace(FULL, K=np.diag([0.5, 0.5, 1.0]) @ FULL.K, width=48, height=48)
CLIP = asset(150, 150)


@pytest.fixture
def splats(scene: bpy.types.Scene, tmp_path: Path) -> bpy.types.Object:
    write_asset(tmp_path / "clip.ds4d", CLIP)
    target = import_asset(tmp_path / "clip.ds4d", cameras=True, set_scene_time=True)
    use_camera(scene, bpy.data.objects[FULL.name])
    scene.render.resolution_percentage = 50
    return target


def add_wall(scene: bpy.types.Scene, depth: float) -> bpy.types.Object:
    """Add a wall that shines in pure red, parallel to the image plane, across the whole picture."""
    mesh = bpy.data.meshes.new("Wall")
    mesh.from_pydata(
        [(x, y, -depth) for x, y in ((-9, -9), (9, -9), (9, 9), (-9, 9))], [], [range(4)]
    )
    material = bpy.data.materials.new("Wall")
    if material.node_tree is None:
        material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    shine, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    shine.inputs["Color"].default_value = (1.0, 0.0, 0.0, 1.0)
    material.node_tree.links.new(shine.outputs[0], output.inputs["Surface"])
    mesh.materials.append(material)
    wall = bpy.data.objects.new("Wall", mesh)
    wall.matrix_world = scene.camera.matrix_world
    wall.pass_index = 7
    scene.collection.objects.link(wall)
    return wall


def sums(view: Camera, depth: float, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what splats before a wall contribute of `values` [N,3], and what they cover."""
    g = CLIP.frame(0)
    before = reference.project(g, view)[2] < depth
    encoded = reference.encode_srgb(values)  # the reference decodes
    coefficients = ((encoded - 0.5) / reference.SH_C0)[:, None, :]
    hidden = np.where(before, g.opacities, 0.0)
    blended: Gaussians = replace(g, sh0=coefficients, opacities=hidden)
    return reference.render(blended, view)


def colors() -> np.ndarray:
    encoded = np.maximum(CLIP.frame(0).sh0[:, 0] * reference.SH_C0 + 0.5, 0.0)
    return reference.decode_srgb(encoded.astype(float))


def show(scene: bpy.types.Scene, node: bpy.types.Node, names: tuple[str, ...]) -> None:
    """Let the compositor put three passes into the channels of the picture."""
    tree = node.id_data
    combine = tree.nodes.new("CompositorNodeCombineColor")
    for place, name in enumerate(names):
        tree.links.new(node.outputs[name], combine.inputs[place])
    kinds = {"CompositorNodeComposite", "NodeGroupOutput"}
    output = next(item for item in tree.nodes if item.bl_idname in kinds)
    tree.links.new(combine.outputs[0], output.inputs[0])


@pytest.mark.parametrize("engine", ["CYCLES", "EEVEE"])
def test_passes_are_sums_over_splats_and_what_stands_among_them(
    scene: bpy.types.Scene, splats: bpy.types.Object, tmp_path: Path, engine: str
) -> None:
    if engine == "EEVEE":
        need_eevee()
    least, most = BOUNDS[engine]
    depth = 2.9
    add_wall(scene, depth)
    setup_render(scene, engine, background=(0.5, 0.2, 0.1))
    scene.view_layers[0].use = False
    show(scene, setup_passes(scene), ("Depth", "Moving", "Index"))
    image = rendered(scene, tmp_path)[..., :3]
    g = CLIP.frame(0)
    z = reference.project(g, VIEW)[2]
    data, covered = sums(VIEW, depth, np.column_stack([z, g.dynamic_scores, np.ones(len(g))]))
    rest = 1.0 - covered
    assert 0.1 < covered.mean() < 0.9
    assert np.abs(image[..., 0] - (data[..., 0] + rest * depth)).max() < most
    assert reference.psnr(image[..., 1], data[..., 1]) > least
    # The splats got the next free index. EEVEE knows none of other objects.
    own = np.where(covered > 1e-3, 8.0, 0.0)
    index = 8 * covered + 7 * rest if engine == "CYCLES" else own
    assert np.abs(image[..., 2] - index)[(covered > 0.01) | (covered == 0)].max() < 0.05


def test_masks_tell_what_was_observed_and_what_are_splats(
    scene: bpy.types.Scene, splats: bpy.types.Object, tmp_path: Path
) -> None:
    add_wall(scene, 2.9)
    setup_render(scene, "CYCLES")
    scene.view_layers[0].use = False
    show(scene, setup_passes(scene), ("Observed", "Splats", "Splats"))
    image = rendered(scene, tmp_path)
    _, covered = sums(VIEW, 2.9, np.ones((len(CLIP.frame(0)), 3)))
    assert reference.psnr(image[..., 1], covered) > 60
    assert np.abs(image[..., 0] - 1.0).max() < 1e-3  # all is observed, the wall too


def test_a_second_set_up_adds_nothing(scene: bpy.types.Scene, splats: bpy.types.Object) -> None:
    node = setup_passes(scene)
    layers, nodes = len(scene.view_layers), len(node.id_data.nodes)
    assert setup_passes(scene) == node
    assert (len(scene.view_layers), len(node.id_data.nodes)) == (layers, nodes)
    assert splats.pass_index == 1


@pytest.mark.parametrize("depth", [1.0, 2.9, 9.0], ids=["before", "among", "behind"])
def test_film_shows_splats_before_a_wall_and_the_wall(
    scene: bpy.types.Scene, splats: bpy.types.Object, tmp_path: Path, depth: float
) -> None:
    add_wall(scene, depth)
    setup_render(scene, "CYCLES")
    image = rendered(scene, tmp_path)
    expected, covered = sums(VIEW, depth, colors())
    expected[..., 0] += 1 - covered
    assert np.abs(image[..., :3] - expected).max() < 0.005
    assert np.abs(image[..., 3] - 1.0).max() < 1e-3


def test_splats_that_hold_out_cut_themselves_out_of_what_is_behind(
    scene: bpy.types.Scene, splats: bpy.types.Object, tmp_path: Path
) -> None:
    add_wall(scene, 2.9)
    splats.is_holdout = True
    setup_render(scene, "CYCLES")
    image = rendered(scene, tmp_path)
    _, covered = sums(VIEW, 2.9, colors())
    assert reference.psnr(image[..., 3], 1 - covered) > 60
    assert reference.psnr(image[..., 0], 1 - covered) > 60
    assert image[..., 1:3].max() < 1e-3
