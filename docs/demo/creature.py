# SPDX-License-Identifier: GPL-3.0-or-later
"""Model the demo's creature: Pim, who marches on a mossy stone (run inside Blender's Python).

Everything is made of painted ellipsoids, so that the clip has no source but this file. Pim looks
along -Y and stands above the origin; one march is one second and ends where it began. The stone,
the toadstools and the pebbles never move.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector

FPS = 16
LOOP_FRAMES = 16

Point = Sequence[float]
Paint = Callable[[np.ndarray], np.ndarray]
"""Linear RGB [M,3] of points [M,3] on the unit sphere that a part is made from."""

MINT = (0.10, 0.50, 0.42)
PINE = (0.02, 0.17, 0.20)
CREAM = (0.86, 0.72, 0.50)
CORAL = (0.86, 0.20, 0.12)
BLUSH = (0.90, 0.36, 0.28)
INK = (0.012, 0.012, 0.02)
SNOW = (0.9, 0.9, 0.88)
LEAF = (0.22, 0.52, 0.06)
STONE = (0.34, 0.31, 0.30)
GRIT = (0.13, 0.12, 0.14)
MOSS = (0.13, 0.26, 0.05)
FERN = (0.20, 0.36, 0.07)
STALK = (0.76, 0.68, 0.55)


def build(scene: bpy.types.Scene) -> None:
    """Add the creature, its stone and the light to an empty scene, animated over one loop."""
    scene.render.fps = FPS
    scene.frame_start, scene.frame_end = 0, LOOP_FRAMES
    _light(scene)
    material = _painted_material()
    modeller = _Modeller(scene, material)
    _stone(modeller)
    _creature(modeller)


class _Modeller:
    """Adds painted ellipsoids and pivots to a scene."""

    def __init__(self, scene: bpy.types.Scene, material: bpy.types.Material) -> None:
        self.scene = scene
        self.material = material

    def pivot(
        self, name: str, at: Point, parent: bpy.types.Object | None = None
    ) -> bpy.types.Object:
        """Add an empty at a world position of the rest pose."""
        return self._place(bpy.data.objects.new(name, None), Matrix.Translation(at), parent)

    def ellipsoid(
        self,
        name: str,
        at: Point,
        radii: Point,
        paint: Paint | Point,
        parent: bpy.types.Object | None = None,
        *,
        tilt_degrees: Point = (0.0, 0.0, 0.0),
        reshape: Paint | None = None,
    ) -> bpy.types.Object:
        """Add an ellipsoid; `reshape` maps its unit sphere's points before it is scaled."""
        mesh = bpy.data.meshes.new(name)
        points, faces = _unit_sphere(72, 48)
        shaped = points if reshape is None else reshape(points)
        mesh.from_pydata((shaped * np.asarray(radii)).tolist(), [], faces)
        mesh.shade_smooth()
        colour = paint(points) if callable(paint) else np.tile(paint, (len(points), 1))
        rgba = np.concatenate([colour, np.ones((len(points), 1))], axis=1).astype(np.float32)
        attribute = mesh.color_attributes.new("paint", "FLOAT_COLOR", "POINT")
        attribute.data.foreach_set("color", rgba.ravel())
        mesh.materials.append(self.material)
        turn = Euler([math.radians(a) for a in tilt_degrees]).to_matrix().to_4x4()
        return self._place(bpy.data.objects.new(name, mesh), Matrix.Translation(at) @ turn, parent)

    def _place(
        self, made: bpy.types.Object, world: Matrix, parent: bpy.types.Object | None
    ) -> bpy.types.Object:
        self.scene.collection.objects.link(made)
        made["rest"] = [value for row in world for value in row]
        if parent is None:
            made.matrix_basis = world
        else:
            made.parent = parent
            made.matrix_basis = _rest(parent).inverted() @ world
        return made


def _rest(made: bpy.types.Object) -> Matrix:
    values = list(made["rest"])
    return Matrix([values[i : i + 4] for i in range(0, 16, 4)])


def _unit_sphere(around: int, rings: int) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Return points [M,3] and faces of a sphere whose poles lie on the Z axis."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    turn = np.linspace(0, 2 * np.pi, around, endpoint=False)
    grid = np.stack(
        [
            np.outer(np.sin(polar), np.cos(turn)),
            np.outer(np.sin(polar), np.sin(turn)),
            np.outer(np.cos(polar), np.ones(around)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    points = np.concatenate([[[0, 0, 1]], grid, [[0, 0, -1]]])
    last = len(points) - 1
    faces: list[tuple[int, ...]] = []
    for i in range(around):
        j = (i + 1) % around
        faces.append((0, 1 + i, 1 + j))
        for ring in range(rings - 2):
            top = 1 + ring * around
            faces.append((top + i, top + around + i, top + around + j, top + j))
        bottom = last - around
        faces.append((bottom + i, last, bottom + j))
    return points, faces


# --- paint -----------------------------------------------------------------------------------


def _mix(mask: np.ndarray, inside: np.ndarray | Point, outside: np.ndarray | Point) -> np.ndarray:
    amount = np.clip(mask, 0.0, 1.0)[:, None]
    return amount * np.asarray(inside) + (1 - amount) * np.asarray(outside)


def _spots(points: np.ndarray, centres: Sequence[Point], radius: float) -> np.ndarray:
    """Return 1 inside round spots around directions, 0 outside, over a soft edge."""
    nearest = np.full(len(points), np.inf)
    for centre in centres:
        direction = np.asarray(centre) / np.linalg.norm(centre)
        nearest = np.minimum(nearest, np.linalg.norm(points - direction, axis=1))
    return (radius - nearest) / 0.06 + 0.5


def _coat(points: np.ndarray) -> np.ndarray:
    belly = (-0.42 - points[:, 2]) / 0.1 + 0.5
    saddle = [(0.0, -0.35, 1.0), (0.45, 0.1, 1.0), (-0.45, 0.1, 1.0), (0.0, 0.5, 0.95)]
    flanks = [(1.0, -0.45, 0.35), (-1.0, -0.45, 0.35), (1.0, 0.5, 0.3), (-1.0, 0.5, 0.3)]
    spots = np.maximum(_spots(points, saddle, 0.19), _spots(points, flanks, 0.23))
    return _mix(belly, CREAM, _mix(spots, PINE, MINT))


def _face(points: np.ndarray) -> np.ndarray:
    mask = _spots(points, [(0.34, -0.92, 0.02), (-0.34, -0.92, 0.02), (0, -0.9, -0.45)], 0.5)
    blaze = (0.13 - np.abs(points[:, 0])) / 0.05 + 0.5
    blaze = np.where((points[:, 1] < 0.1) & (points[:, 2] > 0), blaze, 0.0)
    cheeks = _spots(points, [(0.72, -0.72, -0.28), (-0.72, -0.72, -0.28)], 0.17)
    colour = _mix(np.maximum(mask, blaze), CREAM, MINT)
    return _mix(cheeks, BLUSH, colour)


def _ear(points: np.ndarray) -> np.ndarray:
    inner = np.where(points[:, 1] < 0, 1.0, 0.0) * (0.62 - np.hypot(points[:, 0], points[:, 2]))
    return _mix(inner / 0.08 + 0.5 * (points[:, 1] < 0), CORAL, _tipped(points))


def _tipped(points: np.ndarray) -> np.ndarray:
    return _mix((points[:, 2] - 0.45) / 0.1 + 0.5, PINE, MINT)


def _sock(points: np.ndarray) -> np.ndarray:
    band = (0.16 - np.abs(points[:, 2] + 0.1)) / 0.06 + 0.5
    return _mix((-0.28 - points[:, 2]) / 0.08 + 0.5, CREAM, _mix(band, PINE, MINT))


def _toadstool_cap(points: np.ndarray) -> np.ndarray:
    dots = [(0, 0, 1), (0.8, 0.2, 0.6), (-0.5, 0.7, 0.6), (-0.5, -0.7, 0.6), (0.45, -0.75, 0.55)]
    return _mix((-0.05 - points[:, 2]) / 0.1, STALK, _mix(_spots(points, dots, 0.26), SNOW, CORAL))


def _mossy(points: np.ndarray) -> np.ndarray:
    x, y, z = points.T
    turn = np.arctan2(y, x)
    edge = 0.3 + 0.14 * np.sin(3 * turn + 1) + 0.08 * np.sin(8 * turn)
    strata = np.sin(17 * z + 2.5 * np.sin(4 * turn)) + 0.7 * np.sin(11 * turn + 6 * z)
    rock = _mix(0.5 + 0.6 * strata, STONE, GRIT)
    tufts = np.sin(13 * x + 4 * y + 3 * np.sin(5 * y)) + np.sin(15 * y - 6 * x + 2 * np.sin(7 * x))
    moss = _mix(0.5 + 0.5 * tufts, MOSS, FERN)
    return _mix((z - edge) / 0.08 + 0.5, moss, rock)


def _boulder(points: np.ndarray) -> np.ndarray:
    """Flatten the top and roughen the rim of a stone."""
    turn = np.arctan2(points[:, 1], points[:, 0])
    wide = 1 + 0.035 * np.sin(3 * turn) + 0.03 * np.sin(5 * turn + 2)
    flat = (np.hypot(points[:, 0], points[:, 1]) ** 4 + points[:, 2] ** 4) ** -0.25
    return points * flat[:, None] * np.stack([wide, wide, np.ones_like(wide)], axis=1)


def _drop(points: np.ndarray) -> np.ndarray:
    """Narrow an ellipsoid towards its top, like a leaf."""
    narrow = 1 - 0.45 * np.clip(points[:, 2:], -0.3, 1.0)
    return points * np.concatenate([narrow, narrow, np.ones_like(narrow)], axis=1)


# --- parts -----------------------------------------------------------------------------------


def _stone(add: _Modeller) -> None:
    add.ellipsoid("stone", (0, 0.03, -0.165), (0.66, 0.76, 0.19), _mossy, reshape=_boulder)
    for name, (x, y), size, lean in (
        ("toadstool large", (0.53, 0.34), 1.0, (8, 10, 0)),
        ("toadstool small", (0.6, 0.1), 0.62, (-6, 14, 0)),
    ):
        stalk, cap = 0.14 * size, 0.27 * size
        add.ellipsoid(
            f"{name} stalk", (x, y, stalk), (0.05 * size, 0.05 * size, 0.17 * size), STALK
        )
        add.ellipsoid(
            name,
            (x + 0.02, y, cap),
            (0.16 * size, 0.16 * size, 0.12 * size),
            _toadstool_cap,
            tilt_degrees=lean,
        )
    for i, (x, y, r) in enumerate(((-0.53, -0.32, 0.1), (-0.44, -0.47, 0.065), (-0.5, 0.42, 0.08))):
        add.ellipsoid(f"pebble {i}", (x, y, 0.03), (r, r * 0.85, r * 0.7), STONE)


def _creature(add: _Modeller) -> None:
    root = add.pivot("Pim", (0, 0, 0))
    body = add.pivot("body pivot", (0, 0.12, 0.42), root)
    add.ellipsoid("body", (0, 0.12, 0.56), (0.33, 0.44, 0.32), _coat, body)
    _animate(body, "location", 2, lambda p: 0.035 * math.cos(2 * p))
    _animate(body, "rotation_euler", 1, lambda p: 0.07 * math.sin(p))
    _animate(body, "rotation_euler", 0, lambda p: 0.03 * math.sin(2 * p))
    _head(add, body)
    _legs(add, root)
    _tail(add, body)


def _head(add: _Modeller, body: bpy.types.Object) -> None:
    neck = add.pivot("neck", (0, -0.2, 0.72), body)
    _animate(neck, "rotation_euler", 0, lambda p: 0.09 * math.cos(2 * p + 0.6))
    _animate(neck, "rotation_euler", 1, lambda p: -0.13 * math.sin(p))
    _animate(neck, "rotation_euler", 2, lambda p: 0.14 * math.sin(p + 0.4))
    add.ellipsoid("head", (0, -0.3, 0.98), (0.37, 0.33, 0.32), _face, neck)
    add.ellipsoid("muzzle", (0, -0.6, 0.89), (0.15, 0.1, 0.1), CREAM, neck)
    add.ellipsoid("nose", (0, -0.69, 0.935), (0.055, 0.035, 0.04), CORAL, neck)
    for side, x in (("left", 1), ("right", -1)):
        add.ellipsoid(f"eye {side}", (0.165 * x, -0.567, 1.05), (0.078, 0.036, 0.09), INK, neck)
        add.ellipsoid(
            f"glint {side}", (0.165 * x - 0.022, -0.596, 1.085), (0.026, 0.012, 0.03), SNOW, neck
        )
        ear = add.pivot(f"ear pivot {side}", (0.2 * x, -0.24, 1.2), neck)
        add.ellipsoid(
            f"ear {side}",
            (0.26 * x, -0.22, 1.38),
            (0.12, 0.06, 0.23),
            _ear,
            ear,
            tilt_degrees=(-6, 18 * x, 0),
            reshape=_drop,
        )
        _animate(ear, "rotation_euler", 1, lambda p, x=x: 0.2 * x * math.cos(2 * p - 0.7))
        _animate(ear, "rotation_euler", 0, lambda p: 0.16 * math.sin(2 * p - 0.4))
    sprout = add.pivot("sprout pivot", (0, -0.28, 1.28), neck)
    add.ellipsoid("sprout stem", (0, -0.28, 1.34), (0.018, 0.018, 0.08), LEAF, sprout)
    for name, x in (("left", 1), ("right", -1)):
        add.ellipsoid(
            f"leaf {name}",
            (0.075 * x, -0.28, 1.44),
            (0.055, 0.03, 0.1),
            LEAF,
            sprout,
            tilt_degrees=(0, 48 * x, 0),
            reshape=_drop,
        )
    _animate(sprout, "rotation_euler", 1, lambda p: 0.3 * math.sin(p - 0.9))


def _legs(add: _Modeller, root: bpy.types.Object) -> None:
    for name, x, y, phase in (
        ("front left", 0.2, -0.13, 0.0),
        ("front right", -0.2, -0.13, math.pi),
        ("hind left", 0.21, 0.37, math.pi),
        ("hind right", -0.21, 0.37, 0.0),
    ):
        hip = add.pivot(f"hip {name}", (x, y, 0.4), root)
        add.ellipsoid(f"leg {name}", (x, y, 0.22), (0.115, 0.125, 0.22), _sock, hip)
        add.ellipsoid(f"foot {name}", (x, y - 0.045, 0.065), (0.12, 0.155, 0.065), CREAM, hip)
        _animate(hip, "rotation_euler", 0, lambda p, f=phase: 0.5 * math.sin(p + f))
        # A foot is lifted while its leg swings forwards.
        _animate(hip, "location", 2, lambda p, f=phase: 0.1 * max(0.0, -math.cos(p + f)))


def _tail(add: _Modeller, body: bpy.types.Object) -> None:
    parent = body
    y, z = 0.5, 0.68
    colours = (MINT, PINE, MINT, PINE, CREAM)
    for i, colour in enumerate(colours):
        joint = add.pivot(f"tail joint {i}", (0, y, z), parent)
        rise = math.radians(18 + 19 * i)
        y, z = y + 0.115 * math.cos(rise), z + 0.115 * math.sin(rise)
        size = (0.1, 0.1, 0.105, 0.115, 0.15)[i]
        add.ellipsoid(f"tail {i}", (0, y, z), (size, size, size), colour, joint)
        _animate(joint, "rotation_euler", 2, lambda p, i=i: 0.2 * math.sin(p - 0.55 * i))
        _animate(joint, "rotation_euler", 1, lambda p, i=i: 0.1 * math.sin(p - 0.55 * i))
        parent = joint


def _animate(
    owner: bpy.types.Object, path: str, axis: int, offset: Callable[[float], float]
) -> None:
    """Key a channel at every frame of the loop: its rest value plus `offset(phase in 0..2 pi)`."""
    rest = getattr(owner, path)[axis]
    for frame in range(LOOP_FRAMES + 1):
        getattr(owner, path)[axis] = rest + offset(2 * math.pi * frame / LOOP_FRAMES)
        owner.keyframe_insert(path, index=axis, frame=frame)


# --- light and material ----------------------------------------------------------------------


def _painted_material() -> bpy.types.Material:
    material = bpy.data.materials.new("painted")
    if material.node_tree is None:
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = 0.75
    shader.inputs["Specular IOR Level"].default_value = 0.15
    paint = nodes.new("ShaderNodeVertexColor")
    paint.layer_name = "paint"
    links.new(paint.outputs["Color"], shader.inputs["Base Color"])
    return material


def _light(scene: bpy.types.Scene) -> None:
    world = bpy.data.worlds.new("sky")
    if world.node_tree is None:
        world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (0.82, 0.9, 1.0, 1.0)
    background.inputs["Strength"].default_value = 0.75
    scene.world = world
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy = 2.6
    sun.data.color = (1.0, 0.93, 0.82)
    sun.data.angle = math.radians(8)
    sun.rotation_euler = Vector((0.35, 0.55, -0.8)).to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(sun)
    scene.cycles.max_bounces = 3
