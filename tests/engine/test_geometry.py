# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry in unknown axes, units and poses comes to lie over the subject it was painted from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.priors.geometry import UPS, AlignedGeometry, align_geometry
from ds4d_engine.priors.point_files import sample_file
from ds4d_engine.priors.silhouettes import Silhouette
from ds4d_engine.seam.cameras import Camera
from ds4d_engine.seam.errors import ConfigError, DatasetError
from ds4d_engine.seam.events import Progress

SIZE = 160


def paint(points: np.ndarray, colors: np.ndarray, camera: Camera) -> np.ndarray:
    """Draw triangles [F, 3, 3] with a colour each [F, 3], far ones first -> RGBA [H, W, 4]."""
    seen = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    pixels = seen[..., :2] / seen[..., 2:] * camera.K[0, 0] + camera.K[:2, 2]
    picture = np.zeros((camera.height, camera.width, 4), np.uint8)
    for face in np.argsort(-seen[..., 2].mean(1)):
        corners = np.round((pixels[face] - 0.5) * 256).astype(np.int32)
        cv2.fillConvexPoly(picture, corners, (*(colors[face] * 255).tolist(), 255), shift=8)
    return picture


def toy() -> trimesh.Trimesh:
    """Return a body with a head in front, one raised arm and a foot: no two views are alike.

    +Z is up, and the red face looks along -Y.
    """
    parts = [
        ((0.5, 0.4, 0.9), (0, 0, 0), (60, 120, 200)),
        ((0.35, 0.35, 0.35), (0.05, -0.15, 0.62), (220, 180, 60)),
        ((0.2, 0.02, 0.2), (0.05, -0.34, 0.62), (230, 30, 30)),
        ((0.5, 0.15, 0.15), (0.5, 0.05, 0.3), (40, 180, 60)),
        ((0.2, 0.6, 0.15), (-0.1, -0.2, -0.5), (120, 40, 140)),
    ]
    meshes = []
    for size, place, color in parts:
        part = trimesh.creation.box(size).subdivide().subdivide()
        part.unmerge_vertices()
        part.apply_translation(place)
        part.visual.vertex_colors = np.tile((*color, 255), (len(part.vertices), 1))
        meshes.append(part)
    return trimesh.util.concatenate(meshes)


def vertex_colors(mesh: trimesh.Trimesh) -> np.ndarray:
    return mesh.visual.vertex_colors[mesh.faces[:, 0], :3] / 255.0


@dataclass
class Case:
    """A picture of a mesh in a known pose, and the mesh in a file of other axes and units."""

    picture: np.ndarray
    camera: Camera
    path: Path
    rotation: np.ndarray  # from the file to the world
    triangles: np.ndarray  # in the world

    def rotation_error_degrees(self, found: AlignedGeometry) -> float:
        linear = found.transform[:3, :3]
        difference = (linear / np.cbrt(np.linalg.det(linear))).T @ self.rotation
        return float(np.degrees(np.linalg.norm(Rotation.from_matrix(difference).as_rotvec())))


def case(
    folder: Path,
    mesh: trimesh.Trimesh,
    colors: np.ndarray,
    pose: np.ndarray,
    axes: np.ndarray,
    suffix: str = ".glb",
) -> Case:
    """Paint `mesh` turned by `pose`, and save it turned by `axes`, scaled and moved."""
    world = mesh.vertices @ pose.T
    middle = (world.max(0) + world.min(0)) / 2
    world = (world - middle) * 1.4 / np.ptp(world, axis=0).max() + np.array([0.05, 0, -0.03])
    camera = orbit_camera("input", SIZE)
    triangles = world[mesh.faces]
    picture = paint(triangles, colors, camera)
    saved = mesh.copy()
    saved.vertices = mesh.vertices @ axes.T * 17.3 + np.array([3.0, -8.0, 40.0])
    if suffix == ".stl":
        saved = trimesh.Trimesh(saved.vertices, saved.faces, process=False)
    path = folder / f"mesh{suffix}"
    saved.export(path)
    return Case(picture, camera, path, pose @ axes.T, triangles)


def turned(azimuth: float, tilt: float = 0.0) -> np.ndarray:
    return Rotation.from_euler("zx", [azimuth, tilt], degrees=True).as_matrix()


@pytest.mark.parametrize(("up", "azimuth", "tilt"), [("y", 200, 12), ("-x", 97, 5)])
def test_any_way_up_and_azimuth_is_found(
    tmp_path: Path, up: str, azimuth: float, tilt: float
) -> None:
    mesh = toy()
    known = case(tmp_path, mesh, vertex_colors(mesh), turned(azimuth, tilt), UPS[up].T)
    found = align_geometry(known.path, known.picture, known.camera)
    assert found.iou > 0.9 and not found.doubtful
    assert known.rotation_error_degrees(found) < 10
    sampled = sample_file(known.path, 20_000).points
    moved = sampled @ found.transform[:3, :3].T + found.transform[:3, 3]
    np.testing.assert_allclose(found.points, moved, atol=1e-4)
    # What lies at which depth cannot be seen; where it lies in the picture can.
    low, high = known.triangles.min((0, 1)), known.triangles.max((0, 1))
    np.testing.assert_allclose(found.points.min(0)[[0, 2]], low[[0, 2]], atol=0.08)
    np.testing.assert_allclose(found.points.max(0)[[0, 2]], high[[0, 2]], atol=0.08)


def test_the_aligned_mesh_covers_the_subject_as_the_progress_says(tmp_path: Path) -> None:
    mesh = toy()
    known = case(tmp_path, mesh, vertex_colors(mesh), turned(30, 10), UPS["y"].T, ".stl")
    events: list[Progress] = []
    found = align_geometry(known.path, known.picture, known.camera, listener=events.append)
    assert events[-1].done == events[-1].total
    assert events[-1].values["iou"] == pytest.approx(found.iou)
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert found.colors is None
    saved = trimesh.load(known.path)
    triangles = saved.triangles @ found.transform[:3, :3].T + found.transform[:3, 3]
    again = paint(triangles, np.ones((len(triangles), 3)), known.camera)[..., 3] > 0
    subject = known.picture[..., 3] > 0
    assert (again & subject).sum() > 0.9 * (again | subject).sum()


def test_colours_tell_front_from_back_where_the_silhouette_cannot(tmp_path: Path) -> None:
    slab = trimesh.creation.box((1.0, 0.3, 1.2)).subdivide()
    slab.unmerge_vertices()
    facing = slab.vertex_normals[:, 1]
    tint = np.full((len(slab.vertices), 4), (90, 90, 90, 255), np.uint8)
    tint[facing < -0.5], tint[facing > 0.5] = (230, 30, 30, 255), (30, 30, 230, 255)
    # The front's upper half is dark: a tint over everything would not count.
    tint[(np.abs(facing) > 0.5) & (slab.triangles_center.repeat(3, 0)[:, 2] > 0), :3] //= 4
    slab.visual.vertex_colors = tint
    known = case(tmp_path, slab, vertex_colors(slab), turned(195), UPS["y"].T)
    found = align_geometry(known.path, known.picture, known.camera)
    assert found.iou > 0.9
    assert known.rotation_error_degrees(found) < 10


def test_a_file_in_no_upright_pose_is_found(tmp_path: Path) -> None:
    mesh = toy()
    pose = Rotation.from_euler("xyz", [130, 35, 50], degrees=True).as_matrix()
    known = case(tmp_path, mesh, vertex_colors(mesh), pose, UPS["y"].T)
    found = align_geometry(known.path, known.picture, known.camera)
    assert found.iou > 0.9 and known.rotation_error_degrees(found) < 10


def test_a_game_model_is_found_by_its_texture(samples: Path, tmp_path: Path) -> None:
    mesh = trimesh.load(samples / "gltf" / "Fox.glb", process=False).to_geometry()
    texture = mesh.visual.material.to_simple().image
    at = trimesh.visual.color.uv_to_interpolated_color(mesh.visual.uv[mesh.faces].mean(1), texture)
    # The file already has +Y up.
    pose = turned(140, 10) @ UPS["y"]
    known = case(tmp_path, mesh, at[:, :3] / 255.0, pose, np.eye(3))
    found = align_geometry(known.path, known.picture, known.camera)
    assert found.iou > 0.9 and known.rotation_error_degrees(found) < 10


def test_bare_points_normals_and_area_come_along(tmp_path: Path) -> None:
    mesh = toy()
    known = case(tmp_path, mesh, vertex_colors(mesh), turned(20), np.eye(3), ".ply")
    found = align_geometry(known.path, known.picture, known.camera, count=3000)
    assert found.points.shape == (3000, 3) and found.points.dtype == np.float32
    assert found.normals is not None and found.colors is not None
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1, atol=1e-5)
    edges = np.diff(known.triangles, axis=1)
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum() / 2
    assert found.area == pytest.approx(area, rel=0.1)
    cloud = trimesh.PointCloud(trimesh.load(known.path).sample(4000, seed=1))
    cloud.export(tmp_path / "cloud.ply")
    bare = align_geometry(tmp_path / "cloud.ply", known.picture, known.camera)
    assert bare.normals is None and bare.area == 0 and len(bare.points) == 4000
    assert bare.iou > 0.9


def test_what_resembles_the_subject_from_no_side_is_refused(tmp_path: Path) -> None:
    trimesh.creation.icosphere(subdivisions=2).export(tmp_path / "ball.stl")
    picture = np.zeros((SIZE, SIZE, 4), np.uint8)
    cv2.line(picture, (20, 30), (140, 130), (255, 255, 255, 255), 5)
    with pytest.raises(DatasetError, match=r"ball\.stl does not look like the middle frame"):
        align_geometry(tmp_path / "ball.stl", picture, orbit_camera("input", SIZE))


def test_unusable_files_and_pictures_are_refused_in_one_sentence(tmp_path: Path) -> None:
    picture = np.full((SIZE, SIZE, 4), 255, np.uint8)
    camera = orbit_camera("input", SIZE)
    with pytest.raises(ConfigError, match="is no geometry"):
        align_geometry(tmp_path / "mesh.fbx", picture, camera)
    with pytest.raises(ConfigError, match="check the path"):
        align_geometry(tmp_path / "mesh.obj", picture, camera)
    trimesh.creation.box().export(tmp_path / "box.stl")
    with pytest.raises(DatasetError, match="shows no subject"):
        align_geometry(tmp_path / "box.stl", picture * 0, camera)


def test_a_mask_covers_itself_whatever_its_specks() -> None:
    picture = np.zeros((90, 120, 4), np.uint8)
    cv2.circle(picture, (60, 40), 25, (200, 100, 50, 255), -1)
    rows, columns = np.nonzero(picture[..., 3])
    pixels = np.stack([columns, rows]) + 0.5
    picture[85:88, 110:113] = 255
    silhouette = Silhouette(picture, 32)
    assert silhouette.iou(pixels) > 0.97
    assert silhouette.overlap(pixels) > 0.97
    assert silhouette.iou(pixels + 10) < 0.7
    assert 0 < silhouette.overlap(pixels + 100) + 1e-9 < 0.05


def test_colours_are_compared_on_the_nearest_points_and_without_a_tint() -> None:
    random = np.random.default_rng(0)
    picture = np.full((64, 64, 4), 255, np.uint8)
    picture[..., :3] = cv2.resize(random.integers(0, 256, (4, 4, 3), np.uint8), (64, 64))
    rows, columns = np.mgrid[:64, :64].reshape(2, -1)
    pixels = np.stack([columns, rows]) + 0.5
    colors = picture[rows, columns, :3].T / 255.0
    silhouette = Silhouette(picture, 32)
    near, far = np.ones(pixels.shape[1]), np.full(pixels.shape[1], 2.0)
    assert silhouette.color_distance(pixels, near, colors) < 0.02
    assert silhouette.color_distance(pixels, near, colors * 0.9 + 0.05) < 0.03
    wrong = silhouette.color_distance(pixels, near, 1 - colors)
    assert wrong > 0.15
    both = np.hstack([pixels, pixels]), np.hstack([near, far]), np.hstack([colors, 1 - colors])
    assert silhouette.color_distance(*both) < 0.02
    hidden = np.hstack([pixels, pixels]), np.hstack([far, near]), np.hstack([colors, 1 - colors])
    assert silhouette.color_distance(*hidden) == pytest.approx(wrong, abs=0.01)
