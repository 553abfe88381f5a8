# SPDX-License-Identifier: GPL-3.0-or-later
"""The materials of drawn splats, each for Cycles and EEVEE: one of quads, one of points.

Both write alpha = min(0.999, opacity exp(-d2 / 2)), zero below 1/255, over what is behind. They
differ in how they know d2, the squared distance from the centre in sigmas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import bpy

from .node_fingerprint import seal
from .node_layout import arrange
from .nodes import VERSION_KEY, Field, Tree
from .surface import chance, cover, light

MATERIAL_NAME = "DS4D Splat"
POINT_MATERIAL_NAME = "DS4D Point"
MATERIAL_VERSION = 4

# The engine's limits: a splat never covers a pixel completely, and a fainter touch is skipped.
ALPHA_MAX = 0.999
ALPHA_MIN = 1.0 / 255.0
# Sine of the angle within which two directions are one, for all that float precision leaves.
SAME_DIRECTION = 1e-3
# A square holds a circle when it is this much wider than the square inside the circle, and more.
WIDER = 1.5


def splat_material() -> bpy.types.Material:
    """Return the file's material of quads, built when missing."""
    # EEVEE blends quads in the order in which they come.
    return _material(MATERIAL_NAME, quad_distance, "BLENDED")


def point_material() -> bpy.types.Material:
    """Return the file's material of points, built when missing."""
    # Without an order that holds for every view, EEVEE has to let chance decide what is in front.
    return _material(POINT_MATERIAL_NAME, _point_distance, "DITHERED")


def _material(
    name: str, distance: Callable[[Tree, Field], Field], method: str
) -> bpy.types.Material:
    return shared_material(
        name,
        MATERIAL_VERSION,
        lambda tree: _build(tree, distance),
        surface_render_method=method,
        use_transparency_overlap=True,
        use_backface_culling=False,
        displacement_method="DISPLACEMENT",
    )


def shared_material(
    name: str, version: int, build: Callable[[Tree], None], **properties: Any
) -> bpy.types.Material:
    """Return the file's material of this name and version, built when missing.

    The `properties` are those of a new one.
    """
    for material in bpy.data.materials:
        if material.name.split(".")[0] == name and material.get(VERSION_KEY) == version:
            return material
    material = bpy.data.materials.new(name)
    if material.node_tree is None:  # until Blender 5.0
        material.use_nodes = True
    material.node_tree.nodes.clear()
    build(Tree(material.node_tree))
    arrange(material.node_tree)
    for key, value in properties.items():
        setattr(material, key, value)
    # Thousands of tiny lights would cost Cycles everything and change nothing.
    material.cycles.emission_sampling = "NONE"
    material[VERSION_KEY] = version
    seal(material.node_tree)
    return material


def _build(tree: Tree, distance: Callable[[Tree, Field], Field]) -> None:
    alpha = gaussian_alpha(tree, distance)
    points = distance is _point_distance
    color = tree.shaded("splat_color", "Color")
    if points:  # solid ones come with the signed color that was played
        color = tree.vector_math("MAXIMUM", color, (0.0, 0.0, 0.0))
    shown = light(tree, color, points=points)
    if not points:
        tree.node("ShaderNodeOutputMaterial", {"Surface": cover(tree, shown, alpha)})
        return
    exact, drawn = cover(tree, shown, alpha), cover(tree, shown, chance(tree, alpha))
    tree.node("ShaderNodeOutputMaterial", {"Surface": exact}, target="CYCLES")
    moved = {"Surface": drawn, "Displacement": _flattened(tree)}
    tree.node("ShaderNodeOutputMaterial", moved, target="EEVEE")


def gaussian_alpha(tree: Tree, distance: Callable[[Tree, Field], Field]) -> Field:
    """Return how much a splat covers of what is behind it; 0 on anything else."""
    opacity = tree.shaded("opacity", "Fac")
    squared = distance(tree, opacity)
    with tree.frame("Alpha of the Gaussian"):
        alpha = opacity * tree.math("EXPONENT", squared * -0.5)
        alpha = alpha * tree.math("GREATER_THAN", alpha, ALPHA_MIN)
        return tree.math("MINIMUM", alpha, ALPHA_MAX)


def quad_distance(tree: Tree, opacity: Field) -> Field:
    """Return d2 of a quad, whose inscribed circle is where alpha reaches 1/255."""
    with tree.frame("Squared distance from the centre in sigmas"):
        corner = tree.shaded("ds4d_corner", "Vector")
        extent = tree.math("LOGARITHM", opacity * 255.0, math.e) * 2.0
        return tree.dot(corner, corner) * extent


def _point_distance(tree: Tree, _: Field) -> Field:
    """Return d2 of a point, projected as quads are; 0 for points without axes, which are solid."""
    with tree.frame("Where the ray meets the plane of the splat, in camera space"):
        centre, hit, incoming = _ray(tree)
        start = hit + incoming * _to_plane(tree, centre, hit, incoming) - centre
    sight = _line_of_sight(tree, centre, hit, incoming)
    start, ray = _in_sigmas(tree, centre, (start, sight))
    with tree.frame("Squared distance of ray and centre in sigmas"):
        moment = tree.vector_math("CROSS_PRODUCT", start, ray)
        return tree.dot(moment, moment) / tree.dot(ray, ray)


def _line_of_sight(tree: Tree, centre: Field, hit: Field, incoming: Field) -> Field:
    """Return the direction along which the splat is projected."""
    with tree.frame(
        "Rays from a perspective camera: the splat is seen along the ray to its centre"
    ):
        across = tree.vector_math("LENGTH", tree.vector_math("CROSS_PRODUCT", hit, incoming))
        from_camera = tree.math(
            "LESS_THAN", across, tree.vector_math("LENGTH", hit) * SAME_DIRECTION
        )
        return tree.mix("VECTOR", from_camera, incoming, centre)


def _in_sigmas(tree: Tree, centre: Field, vectors: Sequence[Any]) -> list[Field]:
    """Return vectors of camera space along the axes of the Gaussian, each one sigma long."""
    axes = [tree.shaded(f"ds4d_inverse_{axis}", "Vector") for axis in "xyz"]
    with tree.frame("Low-pass: wider by 0.3 square pixels at the splat's depth in this view"):
        growth, constant, _ = tree.separate(tree.shaded("ds4d_blur", "Vector"))
        deviation = tree.separate(centre)[2] * growth + constant
        blur = deviation * deviation
        wider = (1.0 / tree.math("SQRT", tree.dot(axis, axis) * blur + 1.0) for axis in axes)
        narrowed = tree.combine(*wider)
    with tree.frame("Along the axes of the Gaussian"):
        return [
            tree.combine(*(tree.dot(local, axis) for axis in axes)) * narrowed
            for local in (_turned(tree, vector, "CAMERA", "OBJECT") for vector in vectors)
        ]


def _flattened(tree: Tree) -> Field:
    """Return the way from the shape that draws a point in EEVEE to the ellipse of its splat.

    There splats hide each other by the depth of their centres. The shape is a pyramid whose base
    lies in the circle that it stands for, so it is widened; solid points keep that circle. Cycles
    does not move points.
    """
    with tree.frame("Flatten the pyramid that EEVEE draws"):
        centre, hit, incoming = _ray(tree)
        start = hit + incoming * _to_plane(tree, centre, hit, incoming) - centre
    sight = _line_of_sight(tree, centre, hit, incoming)
    across, up, ray = _in_sigmas(tree, centre, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), sight))
    with tree.frame("Factor of the ellipse: alpha reaches 1/255"):
        u, v = (tree.vector_math("CROSS_PRODUCT", side, ray) for side in (across, up))
        both = tree.vector_math("CROSS_PRODUCT", u, v)
        length = tree.vector_math("LENGTH", ray)
        uv, vv = tree.dot(u, v), tree.vector_math("LENGTH", v)
        area = tree.vector_math("LENGTH", both)
        opacity = tree.shaded("opacity", "Fac")
        extent = tree.math("LOGARITHM", opacity * 255.0, math.e) * 2.0
        scale = length * tree.math("SQRT", tree.math("MAXIMUM", extent, 0.0))
    with tree.frame("From the circle to the ellipse"):
        radius = tree.output(tree.node("ShaderNodePointInfo"), "Radius")
        x, y, _ = tree.separate(start * (1.0 / radius))
        along = tree.combine(x * vv / area, y / vv - x * uv / (area * vv), 0.0) * scale
        soft = tree.math("GREATER_THAN", area, 0.0)
        shaped = tree.mix("VECTOR", soft, start, along)
    with tree.frame("Wide enough"):
        return _turned(tree, shaped * WIDER + (centre - hit), "CAMERA", "WORLD")


def _ray(tree: Tree) -> tuple[Field, Field, Field]:
    """Return the centre, the place that is shaded, and the way back along the ray."""
    geometry = tree.node("ShaderNodeNewGeometry")
    centre = tree.output(tree.node("ShaderNodePointInfo"), "Position")
    return (
        _turned(tree, centre, "WORLD", "CAMERA", "POINT"),
        _turned(tree, tree.output(geometry, "Position"), "WORLD", "CAMERA", "POINT"),
        _turned(tree, tree.output(geometry, "Incoming"), "WORLD", "CAMERA"),
    )


def _to_plane(tree: Tree, centre: Field, hit: Field, incoming: Field) -> Field:
    """Return how far back along the ray it meets the plane of the splat."""
    _, _, z = tree.separate(centre - hit)
    return z / tree.separate(incoming)[2]


def _turned(tree: Tree, vector: Field, start: str, end: str, kind: str = "VECTOR") -> Field:
    node = tree.node(
        "ShaderNodeVectorTransform",
        {0: vector},
        vector_type=kind,
        convert_from=start,
        convert_to=end,
    )
    return tree.output(node)
