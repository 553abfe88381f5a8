# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins for splats: meshes that move with them and that physics, shadows, holdouts understand.

The mesh is made in Geometry Nodes from the splats as they are played, so it follows the clip, its
keyframes and the modifiers in front of the drawing one, in a saved file without the add-on.
"""

from __future__ import annotations

from typing import Literal

import bpy

from .body import body_group
from .mirrored import points_of
from .nodes import Tree, set_input, shared_group

GROUP_NAME = "DS4D Proxy"
GROUP_VERSION = 1
MODIFIER_NAME = "DS4D Proxy"
ROLE_KEY = "ds4d_proxy"

Role = Literal["SHADOW", "HOLDOUT", "COLLISION", "MESH"]
NAMES: dict[Role, str] = {
    "SHADOW": "Shadow",
    "HOLDOUT": "Holdout",
    "COLLISION": "Collision",
    "MESH": "Proxy",
}


def add_proxy(target: bpy.types.Object, role: Role = "MESH") -> bpy.types.Object:
    """Add a mesh object that follows the splats of `target` and plays a role; return it.

    It is a child of `target`; an asset has one for each role. SHADOW casts the shadows that the
    quads, which face the camera, would cast wrongly: the quads stop casting any. What follows no
    driver, such as an object in an input, is brought up to date for all roles.
    """
    splats = points_of(target)
    for child in target.children:
        if child.get(ROLE_KEY) == role:
            return child
    name = f"{target.name} {NAMES[role]}"
    proxy = bpy.data.objects.new(name, bpy.data.meshes.new(name))
    proxy[ROLE_KEY] = role
    for collection in target.users_collection:
        collection.objects.link(proxy)
    proxy.parent = target
    modifier = proxy.modifiers.new(MODIFIER_NAME, "NODES")
    modifier.node_group = shared_group(GROUP_NAME, GROUP_VERSION, _build)
    set_input(modifier, "Splats", splats)
    if role == "SHADOW":
        _cast_shadows(target, proxy)
    elif role == "HOLDOUT":
        proxy.is_holdout = True
        proxy.visible_shadow = False
    elif role == "COLLISION":
        proxy.modifiers.new("Collision", "COLLISION")
        proxy.hide_render = True
        proxy.display_type = "WIRE"
    return proxy


def _cast_shadows(target: bpy.types.Object, proxy: bpy.types.Object) -> None:
    """Let a proxy do nothing but cast shadows, and let it alone do so."""
    for ray in ("camera", "diffuse", "glossy", "transmission", "volume_scatter"):
        setattr(proxy, f"visible_{ray}", False)
    target.visible_shadow = False
    proxy.display_type = "WIRE"


def _build(tree: Tree) -> None:
    tree.declare("Geometry", "Geometry", output=True)
    tree.declare("Geometry", "Geometry")
    tree.declare("Splats", "Object", hidden=True, tip="Object that plays the splats, not drawn")
    tree.declare(
        *("Detail", "Float", 48.0),
        minimum=8.0,
        maximum=256.0,
        tip="Voxels across the subject: more follow thin parts, and show holes between splats",
    )
    tree.declare("Opacity From", "Float", 0.3, factor=True, tip="Fainter splats do not count")
    tree.declare("Smooth", "Int", 2, minimum=0, tip="How often the surface is smoothed")
    tree.declare("Grow", "Float", -1.0, tip="Moves the surface outwards, in voxels")
    tree.declare("Material", "Material", tip="Only for what is seen")
    with tree.frame("Splats as they are played"):
        splats = tree.node("GeometryNodeObjectInfo", {"Object": tree.read("Splats")})
        points = tree.output(splats, "Geometry")
    with tree.frame("Surface around them"):
        names = ("Detail", "Opacity From", "Smooth", "Grow")
        inputs = {name: tree.read(name) for name in names}
        mesh = tree.output(tree.call(body_group(), {"Geometry": points, **inputs}))
        mesh = tree.node(
            "GeometryNodeSetMaterial", {"Geometry": mesh, "Material": tree.read("Material")}
        )
    tree.node("NodeGroupOutput", {"Geometry": mesh})
