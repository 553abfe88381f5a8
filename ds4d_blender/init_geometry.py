# SPDX-License-Identifier: GPL-3.0-or-later
"""Write objects of the scene as the geometry a fit begins with: a PLY of coloured triangles.

World space, +Z up, in scene units; colours are sRGB-encoded bytes of the vertices, which are split
where the corners that meet there differ. The engine aligns the shape to the clip.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from .seam import errors
from .surface_colors import corner_colors
from .time_sampling import MESH_TYPES, set_frame

Subject = bpy.types.Object | Iterable[bpy.types.Object]


@dataclass(frozen=True, eq=False)
class _Surface:
    """The evaluated triangles of one object."""

    points: NDArray[np.float32]
    """[N,3] vertices in the world."""
    triangles: NDArray[np.int64]
    """[F,3] indices of vertices, counter-clockwise seen from outside."""
    colors: NDArray[np.uint8] | None
    """[F,3,3] of every triangle's corners; None where the artist gave none."""


def export_init_geometry(subject: Subject, path: str | Path, frame: float | None = None) -> Path:
    """Write an object, or several joined, with their visible children; return the path.

    Modifiers, armatures and shape keys are applied as at `frame` of the scene, by default the
    current one; the scene is afterwards as it was. Colours come from the material's base colour
    or the mesh's colour attribute. Raises ConfigError for a path that is no .ply, DatasetError
    where there is nothing to write or the file cannot be written.
    """
    path = Path(bpy.path.abspath(str(path)))
    if path.suffix.lower() != ".ply":
        raise errors.ConfigError(f"The initial geometry is a .ply file; {path.name!r} is not.")
    owners = _meshes([subject] if isinstance(subject, bpy.types.Object) else list(subject))
    with _at(bpy.context.scene, frame):
        surfaces = [_surface(owner) for owner in owners]
    if not sum(len(surface.triangles) for surface in surfaces):
        names = ", ".join(owner.name for owner in owners)
        raise errors.DatasetError(f"{names} has no faces to start a fit from; choose a surface.")
    _write_ply(path, *_joined(surfaces))
    return path


def _meshes(subject: list[bpy.types.Object]) -> list[bpy.types.Object]:
    """Return what has a surface among the objects and their children, each once."""
    children = [child for owner in subject for child in owner.children_recursive]
    visible = [child for child in children if not child.hide_render]
    owners = [o for o in dict.fromkeys([*subject, *visible]) if o.type in MESH_TYPES]
    if not owners:
        raise errors.DatasetError(
            "There is no mesh to start a fit from; select one or more mesh objects."
        )
    return owners


@contextmanager
def _at(scene: bpy.types.Scene, frame: float | None) -> Iterator[None]:
    if frame is None:
        yield
        return
    before = scene.frame_current_final
    try:
        set_frame(scene, frame)
        yield
    finally:
        set_frame(scene, before)


def _surface(owner: bpy.types.Object) -> _Surface:
    if owner.mode == "EDIT":
        owner.update_from_editmode()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    evaluated = owner.evaluated_get(depsgraph)
    if not evaluated.is_evaluated:
        raise errors.DatasetError(
            f"{owner.name} is hidden or outside this view layer, so its shape is unknown; show it."
        )
    mesh = evaluated.to_mesh(preserve_all_data_layers=True, depsgraph=depsgraph)
    if mesh is None:  # a curve without bevel, or text without letters
        return _Surface(np.empty((0, 3), np.float32), np.empty((0, 3), np.int64), None)
    try:
        points = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", points)
        mesh.calc_loop_triangles()
        triangles = np.empty(len(mesh.loop_triangles) * 3, np.int32)
        mesh.loop_triangles.foreach_get("vertices", triangles)
        colors = corner_colors(mesh, [slot.material for slot in evaluated.material_slots])
    finally:
        evaluated.to_mesh_clear()
    world = np.array(evaluated.matrix_world)
    points = points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
    triangles = triangles.reshape(-1, 3).astype(np.int64)
    if np.linalg.det(world[:3, :3]) < 0:  # mirrored: the order of the corners turns inside out
        triangles = triangles[:, ::-1]
        colors = None if colors is None else colors[:, ::-1]
    if not np.isfinite(points).all():
        raise errors.DatasetError(f"{owner.name} has a vertex that lies nowhere; repair the mesh.")
    return _Surface(points.astype(np.float32), triangles, colors)


def _joined(
    surfaces: list[_Surface],
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.uint8] | None]:
    """Return points [N,3], triangles [F,3] and colours [N,3], or None where none has any."""
    firsts = np.cumsum([0, *(len(surface.points) for surface in surfaces)])
    points = np.concatenate([surface.points for surface in surfaces])
    corners = np.concatenate(
        [surface.triangles + first for surface, first in zip(surfaces, firsts, strict=False)]
    ).ravel()
    colored = any(surface.colors is not None for surface in surfaces)
    packed = np.zeros(len(corners), np.int64)
    if colored:
        colors = np.concatenate([_colors_or_grey(surface) for surface in surfaces])
        packed = colors.reshape(-1, 3).astype(np.int64) @ (1 << 16, 1 << 8, 1)
    # One vertex for each place and colour that corners share; loose vertices stay out.
    kept, triangles = np.unique(corners << 24 | packed, return_inverse=True)
    shifts = np.array([16, 8, 0])
    colors = (kept[:, None] >> shifts & 255).astype(np.uint8) if colored else None
    return points[kept >> 24], triangles.reshape(-1, 3), colors


def _colors_or_grey(surface: _Surface) -> NDArray[np.uint8]:
    if surface.colors is not None:
        return surface.colors
    return np.full((len(surface.triangles), 3, 3), 231, np.uint8)  # Blender's grey, encoded


def _write_ply(
    path: Path,
    points: NDArray[np.float32],
    triangles: NDArray[np.int64],
    colors: NDArray[np.uint8] | None,
) -> None:
    """Write a binary PLY that appears whole or not at all."""
    layout = [("position", "<f4", 3)] + ([("color", "u1", 3)] if colors is not None else [])
    vertices = np.empty(len(points), layout)
    vertices["position"] = points
    if colors is not None:
        vertices["color"] = colors
    faces = np.empty(len(triangles), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, triangles
    header = [
        *("ply", "format binary_little_endian 1.0", "comment DS4D initial geometry, +Z up"),
        *(f"element vertex {len(points)}", *(f"property float {axis}" for axis in "xyz")),
        *(f"property uchar {c}" for c in ("red", "green", "blue") if colors is not None),
        *(f"element face {len(triangles)}", "property list uchar int vertex_indices"),
        "end_header\n",
    ]
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes("\n".join(header).encode() + vertices.tobytes() + faces.tobytes())
        os.replace(part, path)
    except OSError as error:
        raise errors.DatasetError(f"Cannot write {path}: {error.strerror or error}.") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
