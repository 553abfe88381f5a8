# SPDX-License-Identifier: GPL-3.0-or-later
"""The geometry that a fit begins with, read back by Blender's own PLY importer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest

import ds4d_blender
from ds4d_blender.init_geometry import export_init_geometry
from ds4d_blender.seam import DS4DError
from tests.blender.motion_keys import key_x

ORANGE = (0.8, 0.3, 0.05, 1.0)


def encode(linear: float) -> float:
    return linear * 12.92 if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def read(path: Path) -> bpy.types.Mesh:
    """Import the file as it stands, without a change of axes or units."""
    assert not list(path.parent.glob("*.part"))
    bpy.ops.wm.ply_import(
        filepath=str(path), forward_axis="Y", up_axis="Z", import_colors="SRGB", global_scale=1.0
    )
    return bpy.context.view_layer.objects.active.data


def vertices(mesh: bpy.types.Mesh) -> np.ndarray:
    return np.array([tuple(vertex.co) for vertex in mesh.vertices])


def colors(mesh: bpy.types.Mesh) -> np.ndarray:
    """[N,3] bytes of the vertices, as they stand in the file."""
    data = mesh.color_attributes[0].data
    return np.rint(np.array([tuple(item.color_srgb)[:3] for item in data]) * 255).astype(int)


def cube(size: float = 2.0, **options: object) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=size, **options)
    return bpy.context.object


def painted(owner: bpy.types.Object, *base: tuple[float, ...]) -> list[bpy.types.Material]:
    """Give an object one material for each plain base colour."""
    made = []
    for color in base:
        material = bpy.data.materials.new("Paint")
        if material.node_tree is None:  # until Blender 5.0
            material.use_nodes = True
        material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = color
        owner.data.materials.append(material)
        made.append(material)
    return made


def test_the_file_holds_the_surface_in_world_space(tmp_path: Path) -> None:
    owner = cube(location=(1, 2, 3), rotation=(0.3, 0.2, 0.7))
    owner.scale = (1, 2, 0.5)
    bpy.context.view_layer.update()
    expected = np.array([tuple(owner.matrix_world @ v.co) for v in owner.data.vertices])
    mesh = read(export_init_geometry(owner, tmp_path / "cube.ply"))
    gaps = np.linalg.norm(vertices(mesh)[:, None] - expected, axis=-1)
    assert gaps.shape == (8, 8)
    assert max(gaps.min(axis=0).max(), gaps.min(axis=1).max()) < 1e-5
    assert [len(face.vertices) for face in mesh.polygons] == [3] * 12
    assert not mesh.color_attributes


@pytest.mark.parametrize("scale", [(1, 1, 1), (-1, 1, 1)])
def test_faces_look_outward_also_when_mirrored(tmp_path: Path, scale: tuple[int, ...]) -> None:
    owner = cube()
    owner.scale = scale
    mesh = read(export_init_geometry(owner, tmp_path / "cube.ply"))
    assert all(face.normal.dot(face.center) > 0 for face in mesh.polygons)


def test_modifiers_are_applied(tmp_path: Path) -> None:
    owner = cube()
    owner.modifiers.new("Subdivide", "SUBSURF").levels = 2
    mesh = read(export_init_geometry(owner, tmp_path / "cube.ply"))
    assert len(mesh.polygons) == 6 * 16 * 2
    assert np.abs(vertices(mesh)).max() < 0.95


def test_a_shape_key_is_taken_at_the_given_frame_and_the_scene_stays(
    tmp_path: Path, scene: bpy.types.Scene
) -> None:
    owner = cube()
    owner.shape_key_add(name="Basis")
    key = owner.shape_key_add(name="Tall")
    for point in key.data:
        point.co.z *= 3
    for frame, value in ((1, 0.0), (11, 1.0)):
        key.value = value
        key.keyframe_insert("value", frame=frame)
    scene.frame_set(3, subframe=0.25)
    heights = {}
    for frame in (1, 11):
        mesh = read(export_init_geometry(owner, tmp_path / "cube.ply", frame=frame))
        heights[frame] = vertices(mesh)[:, 2].max()
    assert heights == pytest.approx({1: 1.0, 11: 3.0}, abs=1e-5)
    assert scene.frame_current_final == pytest.approx(3.25)


def test_an_armature_deforms_its_mesh_children(tmp_path: Path, scene: bpy.types.Scene) -> None:
    bpy.ops.object.armature_add()
    rig = bpy.context.object
    owner = cube()
    owner.parent = rig
    owner.modifiers.new("Armature", "ARMATURE").object = rig
    owner.vertex_groups.new(name="Bone").add(range(8), 1.0, "REPLACE")
    bone = rig.pose.bones["Bone"]
    bone.rotation_mode = "XYZ"
    for frame, angle in ((1, 0.0), (11, math.radians(90))):
        bone.rotation_euler.x = angle
        bone.keyframe_insert("rotation_euler", frame=frame)
    owner.data.vertices[7].co = (1, 1, 4)  # the bone stands along Z and turns about X
    tip = {}
    for frame in (1, 11):
        found = vertices(read(export_init_geometry(rig, tmp_path / "rig.ply", frame=frame)))
        tip[frame] = found[np.abs(found).max(axis=1).argmax()]
    assert tip[1] == pytest.approx([1, 1, 4], abs=1e-5)
    assert np.abs(tip[11]) == pytest.approx([1, 4, 1], abs=1e-5)
    assert scene.frame_current == 1


def test_an_objects_own_motion_counts(tmp_path: Path) -> None:
    owner = cube()
    key_x(owner, {1: 0.0, 11: 10.0})
    mesh = read(export_init_geometry(owner, tmp_path / "cube.ply", frame=6.5))
    assert vertices(mesh)[:, 0].mean() == pytest.approx(5.5, abs=1e-4)


def test_several_objects_are_joined_and_colours_stay_apart(tmp_path: Path) -> None:
    first, second = cube(), cube(location=(5, 0, 0))
    painted(first, ORANGE)
    mesh = read(export_init_geometry([first, second, first], tmp_path / "both.ply"))
    assert len(mesh.polygons) == 24
    assert len(mesh.vertices) == 16
    right = vertices(mesh)[:, 0] > 3
    orange = [round(encode(value) * 255) for value in ORANGE[:3]]
    assert (colors(mesh)[~right] == orange).all()
    assert (colors(mesh)[right] == round(encode(0.8) * 255)).all()


def test_materials_of_single_faces_split_the_vertices_they_share(tmp_path: Path) -> None:
    owner = cube()
    painted(owner, ORANGE, (0.0, 0.0, 1.0, 1.0))
    top = max(owner.data.polygons, key=lambda face: face.center.z)
    top.material_index = 1
    mesh = read(export_init_geometry(owner, tmp_path / "cube.ply"))
    blue = (colors(mesh) == (0, 0, 255)).all(axis=1)
    assert len(mesh.vertices) == 12 and blue.sum() == 4
    assert (vertices(mesh)[blue][:, 2] == 1).all()


@pytest.mark.parametrize("domain", ["POINT", "CORNER"])
@pytest.mark.parametrize("kind", ["FLOAT_COLOR", "BYTE_COLOR"])
def test_a_colour_attribute_goes_before_a_plain_material(
    tmp_path: Path, domain: str, kind: str
) -> None:
    owner = cube()
    painted(owner, ORANGE)
    attribute = owner.data.color_attributes.new("Col", kind, domain)
    at = [v.index for v in owner.data.vertices]
    if domain == "CORNER":
        at = [loop.vertex_index for loop in owner.data.loops]
    for item, index in zip(attribute.data, at, strict=True):
        item.color_srgb = (*(c > 0 for c in owner.data.vertices[index].co), 1.0)
    mesh = read(export_init_geometry(owner, tmp_path / "cube.ply"))
    assert len(mesh.vertices) == 8
    assert np.array_equal(colors(mesh), (vertices(mesh) > 0) * 255)


@pytest.mark.parametrize("is_float", [False, True])
def test_a_picture_on_the_base_colour_is_read_at_the_corners(
    tmp_path: Path, is_float: bool
) -> None:
    bpy.ops.mesh.primitive_plane_add(size=2)
    owner = bpy.context.object  # its UV runs from 0 to 1
    for item in owner.data.uv_layers.active.uv:
        item.vector = [0.05 + 0.9 * value for value in item.vector]
    (material,) = painted(owner, ORANGE)
    image = bpy.data.images.new("Picture", 2, 2, float_buffer=is_float)
    values = np.zeros((2, 2, 4), np.float32)
    values[0, 0], values[0, 1], values[1, 0] = (0.5, 0, 0, 1), (0, 1, 0, 1), (0, 0, 1, 1)
    image.pixels.foreach_set(values.ravel())
    tree = material.node_tree
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    base = tree.nodes["Principled BSDF"].inputs["Base Color"]
    tree.links.new(node.outputs["Color"], base)
    mesh = read(export_init_geometry(owner, tmp_path / "plane.ply"))
    red = round((encode(0.5) if is_float else 0.5) * 255)
    expected = {(-1, -1): (red, 0, 0), (1, -1): (0, 255, 0), (-1, 1): (0, 0, 255)}
    expected[1, 1] = (0, 0, 0)
    for place, color in zip(vertices(mesh), colors(mesh), strict=True):
        assert np.abs(color - expected[tuple(place[:2])]).max() <= 1


def test_a_hidden_child_is_left_out_and_text_is_a_surface(tmp_path: Path) -> None:
    owner, child = cube(), cube(location=(9, 0, 0))
    child.parent = owner
    child.hide_render = True
    mesh = read(export_init_geometry(owner, tmp_path / "a.ply"))
    assert vertices(mesh)[:, 0].max() < 5
    bpy.ops.object.text_add()
    assert len(read(export_init_geometry(bpy.context.object, tmp_path / "b.ply")).polygons) > 10


def refused(message: str, subject: object, path: Path) -> None:
    with pytest.raises(DS4DError, match=message) as raised:
        export_init_geometry(subject, path)
    text = str(raised.value)
    assert text.endswith(".") and "\n" not in text
    assert not path.exists()


def test_what_cannot_be_exported_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "init.ply"
    empty = bpy.data.objects.new("Nothing", bpy.data.meshes.new("Nothing"))
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    for owner in (empty, camera):
        bpy.context.collection.objects.link(owner)
    refused("no mesh", [], path)
    refused("no mesh", camera, path)
    refused("Nothing has no faces", empty, path)
    refused(r"'init\.glb' is not", cube(), tmp_path / "init.glb")
    refused("Cannot write", cube(), tmp_path / "nowhere" / "init.ply")
    hidden = cube()
    hidden.hide_viewport = True
    refused("is hidden", hidden, path)


@pytest.fixture
def registered() -> Iterator[None]:
    ds4d_blender.register()
    yield
    ds4d_blender.unregister()


@pytest.mark.usefixtures("registered")
def test_the_operator_exports_what_is_selected(tmp_path: Path) -> None:
    first, second, other = cube(), cube(location=(5, 0, 0)), cube(location=(50, 0, 0))
    for owner in (first, second):
        owner.select_set(True)
    other.select_set(False)
    assert bpy.ops.ds4d.export_init(filepath=str(tmp_path / "init.ply")) == {"FINISHED"}
    mesh = read(tmp_path / "init.ply")
    assert len(mesh.polygons) == 24 and vertices(mesh)[:, 0].max() == 6


@pytest.mark.usefixtures("registered")
def test_the_operator_says_in_one_sentence_that_nothing_is_selected(tmp_path: Path) -> None:
    cube().select_set(False)
    with pytest.raises(RuntimeError) as raised:
        bpy.ops.ds4d.export_init(filepath=str(tmp_path / "init.ply"))
    message = str(raised.value).strip()
    assert "select one or more mesh objects" in message.lower() and "\n" not in message
