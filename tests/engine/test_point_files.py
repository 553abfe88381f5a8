# SPDX-License-Identifier: GPL-3.0-or-later
"""Points drawn from mesh and point files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from ds4d_engine.priors.point_files import sample_file
from ds4d_engine.seam.errors import ConfigError


def textured_square() -> trimesh.Trimesh:
    """Return a unit square in z = 0 whose texture is red where x < 1/2 and blue elsewhere."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32, 0] = pixels[:, 32:, 2] = 255
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]])
    material = trimesh.visual.material.SimpleMaterial(image=Image.fromarray(pixels))
    visual = trimesh.visual.TextureVisuals(uv=corners[:, :2], material=material)
    return trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False)


@pytest.mark.parametrize("suffix", [".glb", ".obj"])
def test_texture_colours_lie_where_the_texture_puts_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"square{suffix}"
    textured_square().export(path)
    sampled = sample_file(path, 500)
    assert sampled.colors is not None
    left = sampled.points[:, 0] < 0.48
    right = sampled.points[:, 0] > 0.52
    assert left.sum() > 150 and right.sum() > 150
    np.testing.assert_allclose(sampled.colors[left], [[1, 0, 0]] * left.sum(), atol=0.02)
    np.testing.assert_allclose(sampled.colors[right], [[0, 0, 1]] * right.sum(), atol=0.02)


def test_vertex_colours_are_interpolated_inside_a_triangle(tmp_path: Path) -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    colors = np.array([[0, 0, 0, 255], [255, 0, 0, 255], [0, 255, 0, 255]], np.uint8)
    path = tmp_path / "triangle.ply"
    trimesh.Trimesh(corners, [[0, 1, 2]], vertex_colors=colors).export(path)
    sampled = sample_file(path, 100)
    assert sampled.colors is not None
    np.testing.assert_allclose(sampled.colors[:, :2], sampled.points[:, :2], atol=0.01)


@pytest.mark.parametrize("suffix", [".stl", ".obj", ".ply"])
def test_a_sphere_has_outward_normals_its_area_and_no_colours(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ball{suffix}"
    trimesh.creation.icosphere(subdivisions=3, radius=0.5).export(path)
    sampled = sample_file(path, 400)
    assert sampled.colors is None and sampled.normals is not None
    assert sampled.area == pytest.approx(np.pi, rel=0.02)
    np.testing.assert_allclose(sampled.normals, 2 * sampled.points, atol=0.1)


def test_an_obj_that_names_no_texture_has_no_colours(tmp_path: Path) -> None:
    path = tmp_path / "bare.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n")
    assert sample_file(path, 10).colors is None


def test_points_keep_their_colours_and_are_drawn_without_repetition(tmp_path: Path) -> None:
    points = np.random.default_rng(0).random((300, 3))
    colors = (np.c_[points, np.ones(300)] * 255).astype(np.uint8)
    trimesh.PointCloud(points, colors).export(tmp_path / "cloud.ply")
    sampled = sample_file(tmp_path / "cloud.ply", 200)
    assert sampled.colors is not None and sampled.normals is None and sampled.area == 0
    assert len(np.unique(sampled.points, axis=0)) == 200
    np.testing.assert_allclose(sampled.colors, sampled.points, atol=1 / 254)
    assert len(sample_file(tmp_path / "cloud.ply", 1000).points) == 300


def test_the_same_file_gives_the_same_points(tmp_path: Path) -> None:
    path = tmp_path / "box.obj"
    trimesh.creation.box().export(path)
    np.testing.assert_array_equal(sample_file(path, 50).points, sample_file(path, 50).points)


def test_files_that_hold_nothing_are_refused_in_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.glb"
    broken.write_bytes(b"glTF but not really")
    with pytest.raises(ConfigError, match=r"broken\.glb cannot be read"):
        sample_file(broken, 10)
    flat = tmp_path / "flat.obj"
    flat.write_text("v 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3\n")
    with pytest.raises(ConfigError, match="have no area"):
        sample_file(flat, 10)


@pytest.mark.parametrize("name", ["Fox", "Knight", "RobotExpressive", "bee_bot"])
def test_game_models_give_colours_of_more_than_one_kind(samples: Path, name: str) -> None:
    sampled = sample_file(samples / "gltf" / f"{name}.glb", 1000)
    assert sampled.colors is not None
    assert np.isfinite(sampled.colors).all() and sampled.colors.std(0).max() > 0.1
