# SPDX-License-Identifier: GPL-3.0-or-later
"""Two ways in which splats are drawn in Blender today, to stand beside *DS4D Draw*.

Both take the points that *DS4D Play* gives, so that playback is the same, and both evaluate each
Gaussian exactly where the ray passes its centre most closely; neither has a low-pass filter.

Icospheres: an instance of an icosphere per splat, as KIRI's add-on and viewers of 4DGS do it.
Spheres: the point cloud's own spheres, with the splat's axes as attributes.
"""

from __future__ import annotations

from collections.abc import Callable

import bpy

from ds4d_blender.drawing import MODIFIER_NAME
from ds4d_blender.nodes import Field, Tree

REACH = 3.33
"""Where the faintest touch ends, in standard deviations."""
# How far an icosphere's faces lie inside its corners.
ICOSPHERE_RADIUS = 1.06
ALPHA_MAX = 0.999


def draw_as(target: bpy.types.Object, rival: str) -> None:
    """Replace the modifier that draws `target` by one of RIVALS."""
    group = bpy.data.node_groups.new(rival, "GeometryNodeTree")
    group.is_modifier = True
    tree = Tree(group)
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    build, shade = RIVALS[rival]
    tree.node("NodeGroupOutput", {"Geometry": build(tree, material(rival, shade))})
    target.modifiers.remove(target.modifiers[MODIFIER_NAME])
    target.modifiers.new(rival, "NODES").node_group = group


def material(name: str, shade: Callable[[Tree], tuple[Field, Field, Field]]) -> bpy.types.Material:
    """Return a material of opacity exp(-d2 / 2) over emission; `shade` gives d2 and both."""
    result = bpy.data.materials.new(name)
    if result.node_tree is None:  # until Blender 5.0
        result.use_nodes = True
    result.node_tree.nodes.clear()
    tree = Tree(result.node_tree)
    squared, opacity, color = shade(tree)
    alpha = tree.math("MINIMUM", opacity * tree.math("EXPONENT", squared * -0.5), ALPHA_MAX)
    emission = tree.node("ShaderNodeEmission", {"Color": color})
    clear = tree.node("ShaderNodeBsdfTransparent")
    mix = tree.node("ShaderNodeMixShader", {0: alpha, 1: clear, 2: emission})
    tree.node("ShaderNodeOutputMaterial", {"Surface": mix})
    result.surface_render_method = "BLENDED"
    result.use_transparency_overlap = True
    result.cycles.emission_sampling = "NONE"
    return result


def shader_attribute(tree: Tree, kind: str, name: str, output: str) -> Field:
    """Read an attribute of the geometry or of the instancer in a material."""
    node = tree.node("ShaderNodeAttribute", attribute_name=name, attribute_type=kind)
    return tree.output(node, output)


def ray(tree: Tree) -> tuple[Field, Field, Field]:
    """Return the shaded point and the way back to the eye in object space, and Backfacing."""
    geometry = tree.node("ShaderNodeNewGeometry")

    def local(name: str, kind: str) -> Field:
        node = tree.node(
            "ShaderNodeVectorTransform",
            {0: tree.output(geometry, name)},
            vector_type=kind,
            convert_from="WORLD",
            convert_to="OBJECT",
        )
        return tree.output(node)

    backfacing = tree.output(geometry, "Backfacing")
    return local("Position", "POINT"), local("Incoming", "VECTOR"), backfacing


def closest(tree: Tree, point: Field, direction: Field) -> Field:
    """Return the squared distance of a ray from the origin: |p|^2 - (p v)^2."""
    unit = tree.vector_math("NORMALIZE", direction)
    along = tree.dot(point, unit)
    return tree.dot(point, point) - along * along


def icospheres(tree: Tree, shader: bpy.types.Material) -> bpy.types.Node:
    """Instance an icosphere on every splat, turned and stretched as the splat is."""
    sphere = tree.node("GeometryNodeMeshIcoSphere", {"Radius": ICOSPHERE_RADIUS, "Subdivisions": 2})
    shaded = tree.node("GeometryNodeSetMaterial", {"Geometry": sphere, "Material": shader})
    return tree.node(
        "GeometryNodeInstanceOnPoints",
        {
            "Points": tree.read("Geometry"),
            "Instance": shaded,
            "Rotation": tree.attribute("rotation", "QUATERNION"),
            "Scale": tree.attribute("scale", "FLOAT_VECTOR") * REACH,
        },
    )


def shade_icosphere(tree: Tree) -> tuple[Field, Field, Field]:
    """An instance's own space is the splat's; only the front of each is drawn."""
    point, direction, backfacing = ray(tree)
    squared = closest(tree, point, direction) * REACH**2
    opacity = shader_attribute(tree, "INSTANCER", "opacity", "Fac") * (1.0 - backfacing)
    return squared, opacity, shader_attribute(tree, "INSTANCER", "splat_color", "Color")


def spheres(tree: Tree, shader: bpy.types.Material) -> bpy.types.Node:
    """Let the point cloud's spheres hold each splat, far to near, and store its inverse axes."""
    position = tree.output(tree.node("GeometryNodeInputPosition"))
    camera = tree.node(
        "GeometryNodeObjectInfo",
        {"Object": tree.node("GeometryNodeInputActiveCamera")},
        transform_space="RELATIVE",
    )
    backward = tree.node(
        "FunctionNodeRotateVector",
        {"Vector": (0.0, 0.0, 1.0), "Rotation": tree.output(camera, "Rotation")},
    )
    height = tree.dot(position - tree.output(camera, "Location"), tree.output(backward))
    points = tree.output(
        tree.node(
            "GeometryNodeSortElements",
            {"Geometry": tree.read("Geometry"), "Sort Weight": height},
            domain="POINT",
        )
    )
    points = tree.store(points, "rival_center", "FLOAT_VECTOR", position)
    lengths = tree.separate(tree.attribute("scale", "FLOAT_VECTOR"))
    rotation = tree.attribute("rotation", "QUATERNION")
    for index, length in enumerate(lengths):
        unit = tuple(float(index == other) for other in range(3))
        axis = tree.node("FunctionNodeRotateVector", {"Vector": unit, "Rotation": rotation})
        inverse = tree.output(axis) * (1.0 / length)
        points = tree.store(points, f"rival_axis_{index}", "FLOAT_VECTOR", inverse)
    longest = tree.math("MAXIMUM", lengths[0], tree.math("MAXIMUM", lengths[1], lengths[2]))
    points = tree.node("GeometryNodeSetPointRadius", {0: points, "Radius": longest * REACH})
    return tree.node("GeometryNodeSetMaterial", {"Geometry": points, "Material": shader})


def shade_sphere(tree: Tree) -> tuple[Field, Field, Field]:
    """Bring the ray into the splat's space by its inverse axes."""
    point, direction, backfacing = ray(tree)

    def vector(name: str) -> Field:
        return shader_attribute(tree, "GEOMETRY", name, "Vector")

    axes = [vector(f"rival_axis_{index}") for index in range(3)]
    offset = point - vector("rival_center")
    squared = closest(
        tree,
        tree.combine(*(tree.dot(offset, axis) for axis in axes)),
        tree.combine(*(tree.dot(direction, axis) for axis in axes)),
    )
    opacity = shader_attribute(tree, "GEOMETRY", "opacity", "Fac") * (1.0 - backfacing)
    return squared, opacity, shader_attribute(tree, "GEOMETRY", "splat_color", "Color")


RIVALS = {
    "Icospheres": (icospheres, shade_icosphere),
    "Spheres": (spheres, shade_sphere),
}
