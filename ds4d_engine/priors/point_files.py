# SPDX-License-Identifier: GPL-3.0-or-later
"""Points with colours and normals from a mesh or point file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..seam.errors import ConfigError

if TYPE_CHECKING:
    import trimesh

MESH_SUFFIXES = (".ply", ".obj", ".glb", ".gltf", ".stl")

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SampledPoints:
    """Points of a file, in the file's own axes and units."""

    points: Floats
    """[N, 3]."""
    normals: Floats | None
    """[N, 3] of length 1, outward as far as the file's triangles are; None for bare points."""
    colors: Floats | None
    """[N, 3] encoded 0..1 as the file gives them; None where it has none."""
    area: float
    """Of the triangles; 0 for bare points."""


def sample_file(path: Path, count: int) -> SampledPoints:
    """Draw `count` points evenly on a file's triangles, or at most `count` of its bare points.

    The same file gives the same points. Raises ConfigError when it cannot be read or is empty.
    """
    import trimesh

    try:
        loaded = trimesh.load(path, process=False)
        if isinstance(loaded, trimesh.Scene):
            loaded = loaded.to_geometry()
    except Exception as error:
        raise ConfigError(f"{path} cannot be read ({error}); export it again.") from error
    if isinstance(loaded, trimesh.Trimesh) and len(loaded.faces):
        return _sample_mesh(loaded, count, path)
    points = np.asarray(getattr(loaded, "vertices", np.zeros((0, 3))), dtype=np.float64)
    finite = np.flatnonzero(np.isfinite(points).all(1)) if points.ndim == 2 else np.empty(0, int)
    if not len(finite):
        raise ConfigError(f"{path} holds no points; choose another file.")
    chosen = finite[np.random.default_rng(0).permutation(len(finite))[:count]]
    found = getattr(loaded, "colors", None)
    colors = None
    if found is not None and len(found) == len(points):
        colors = np.asarray(found)[chosen, :3] / 255.0
    return SampledPoints(points[chosen], None, colors, 0.0)


def _sample_mesh(mesh: trimesh.Trimesh, count: int, path: Path) -> SampledPoints:
    import trimesh

    area = float(mesh.area)
    if not (np.isfinite(area) and area > 0):
        raise ConfigError(f"The triangles of {path} have no area; choose another file.")
    points, faces, weights = trimesh.sample.sample_surface(
        mesh, count, return_barycentric=True, seed=0
    )
    faces, weights = np.asarray(faces), np.asarray(weights)
    return SampledPoints(
        points=np.asarray(points, np.float64),
        normals=np.asarray(mesh.face_normals, np.float64)[faces],
        colors=_mesh_colors(mesh, np.asarray(mesh.faces)[faces], faces, weights),
        area=area,
    )


def _mesh_colors(
    mesh: trimesh.Trimesh, corners: NDArray[np.int64], faces: NDArray[np.int64], weights: Floats
) -> Floats | None:
    """Return the colours [N, 3] of points given by their triangle, its corners and weights."""
    visual = mesh.visual
    if visual.kind == "texture":
        return _texture_colors(visual, corners, weights)
    if visual.kind == "vertex":
        around = np.asarray(visual.vertex_colors)[corners, :3] / 255.0
        return np.asarray((around * weights[..., None]).sum(1))
    if visual.kind == "face":
        return np.asarray(visual.face_colors)[faces, :3] / 255.0
    return None


def _texture_colors(visual: object, corners: NDArray[np.int64], weights: Floats) -> Floats | None:
    from trimesh.visual.color import uv_to_interpolated_color
    from trimesh.visual.material import empty_material

    material = getattr(visual, "material", None)
    # glTF's materials hold their picture under another name.
    if material is not None and hasattr(material, "to_simple"):
        material = material.to_simple()
    image, uv = getattr(material, "image", None), getattr(visual, "uv", None)
    if image is not None and uv is not None:
        # Where a file names no texture, trimesh puts a grey one in its place.
        if image.tobytes() == empty_material().image.tobytes():
            return None
        where = (np.asarray(uv)[corners] * weights[..., None]).sum(1)
        return np.asarray(uv_to_interpolated_color(where, image))[:, :3] / 255.0
    if material is None:
        return None
    tint = np.asarray(material.main_color)[:3] / 255.0
    return np.tile(tint, (len(corners), 1))
