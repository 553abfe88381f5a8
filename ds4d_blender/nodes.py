# SPDX-License-Identifier: GPL-3.0-or-later
"""Build node trees from code and reach the inputs of a Geometry Nodes modifier.

The same calls work in Blender 4.5 to 5.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import bpy

from .node_field import Field
from .node_fingerprint import seal
from .node_layout import arrange

VERSION_KEY = "ds4d_version"


class Tree:
    """A node tree under construction."""

    def __init__(self, group: bpy.types.NodeTree) -> None:
        self.group = group
        self._panel: bpy.types.NodeTreeInterfacePanel | None = None
        self._frame: bpy.types.Node | None = None
        self._sources: dict[bpy.types.Node | None, bpy.types.Node] = {}

    # -- interface ---------------------------------------------------------------------------

    @contextmanager
    def panel(self, name: str, *, closed: bool = True, tip: str = "") -> Iterator[None]:
        """Put the sockets that are declared inside into a panel that the artist can fold."""
        self._panel = self.group.interface.new_panel(name, description=tip, default_closed=closed)
        try:
            yield
        finally:
            self._panel = None

    def declare(
        self,
        name: str,
        kind: str,
        default: Any = None,
        *,
        output: bool = False,
        factor: bool = False,
        minimum: float | None = None,
        maximum: float | None = None,
        hidden: bool = False,
        tip: str = "",
    ) -> None:
        """Add a socket of `kind` (such as "Float", "Geometry") to the group's interface.

        A `factor` is a float that the artist sees as a slider from 0 to 1. What is `hidden` is
        left out of the modifier's panel: operators set it.
        """
        socket = self.group.interface.new_socket(
            name,
            description=tip,
            in_out="OUTPUT" if output else "INPUT",
            socket_type=f"NodeSocket{kind}",
            parent=self._panel,
        )
        if factor:
            socket.subtype = "FACTOR"
            minimum, maximum = 0.0, 1.0
        if minimum is not None:
            socket.min_value = minimum
        if maximum is not None:
            socket.max_value = maximum
        if default is not None:
            socket.default_value = default
        socket.hide_in_modifier = hidden

    def read(self, name: str) -> Field:
        """Return an input of the group; each frame has a Group Input node of its own."""
        if self._frame not in self._sources:
            self._sources[self._frame] = self.node("NodeGroupInput")
        return self.output(self._sources[self._frame], name)

    # -- nodes and links ---------------------------------------------------------------------

    @contextmanager
    def frame(self, label: str) -> Iterator[None]:
        """Put the nodes that are added inside into a frame that says what they do."""
        outer, self._frame = self._frame, self.group.nodes.new("NodeFrame")
        self._frame.label = label
        self._frame.parent = outer
        try:
            yield
        finally:
            self._frame = outer

    def node(
        self, kind: str, inputs: Mapping[str | int, Any] | None = None, **properties: Any
    ) -> bpy.types.Node:
        """Add a node, set its properties, then link or set its inputs (by name or position)."""
        node = self.group.nodes.new(kind)
        node.parent = self._frame
        for name, value in properties.items():
            setattr(node, name, value)
        for name, value in (inputs or {}).items():
            self.connect(self.input(node, name), value)
        return node

    def call(self, group: bpy.types.NodeTree, inputs: Mapping[str | int, Any]) -> bpy.types.Node:
        """Add a node that runs another group."""
        kind = self.group.bl_idname.replace("NodeTree", "NodeGroup")  # of geometry or shaders
        node = self.node(kind, inputs, node_tree=group)
        node.label = group.name.split(".")[0]
        return node

    @staticmethod
    def input(node: bpy.types.Node, name: str | int) -> bpy.types.NodeSocket:
        """Return the enabled input with that name, identifier or position."""
        if isinstance(name, int):
            return node.inputs[name]
        for socket in node.inputs:
            if socket.name == name and socket.enabled:
                return socket
        for socket in node.inputs:
            if socket.identifier == name:
                return socket
        raise KeyError(f"{node.bl_idname} has no input {name!r}")

    def output(self, node: bpy.types.Node, name: str | None = None) -> Field:
        """Return the first enabled output, or the enabled one with that name or identifier."""
        for socket in node.outputs:
            # Names change between versions of Blender (5.2: Fac became Factor), identifiers stay.
            if socket.enabled and name in (None, socket.name, socket.identifier):
                return Field(self, socket)
        raise KeyError(f"{node.bl_idname} has no output {name!r}")

    def connect(self, socket: bpy.types.NodeSocket, value: Any) -> None:
        """Link a field, a node's first output or a list of them; set any other value."""
        if isinstance(value, bpy.types.Node):
            value = self.output(value)
        if isinstance(value, Field):
            self.group.links.new(value.socket, socket)
        elif isinstance(value, list):
            # A multi-input socket puts the newest link first.
            for item in reversed(value):
                self.connect(socket, item)
        else:
            socket.default_value = value

    # -- values ------------------------------------------------------------------------------

    def math(self, operation: str, *operands: Any) -> Field:
        """Add a Math node."""
        inputs = dict(enumerate(operands))
        return self.output(self.node("ShaderNodeMath", inputs, operation=operation))

    def vector_math(self, operation: str, *operands: Any) -> Field:
        """Add a Vector Math node whose operands are vectors (SCALE: a vector and a number)."""
        inputs: dict[str | int, Any] = dict(enumerate(operands))
        if operation == "SCALE":
            inputs = {0: operands[0], "Scale": operands[1]}
        return self.output(self.node("ShaderNodeVectorMath", inputs, operation=operation))

    def arithmetic(self, operation: str, a: Any, b: Any) -> Field:
        """Combine two operands, of which at least one is a field, component by component."""

        def vector(value: Any) -> bool:
            return isinstance(value, tuple) or (isinstance(value, Field) and value.is_vector)

        if vector(a) and vector(b):
            return self.vector_math(operation, a, b)
        if vector(a) and operation == "MULTIPLY":
            return self.vector_math("SCALE", a, b)
        if vector(b) and operation == "MULTIPLY":
            return self.vector_math("SCALE", b, a)
        if vector(a) or vector(b):
            raise TypeError(f"{operation} of a vector and a number has no meaning here")
        return self.math(operation, a, b)

    def dot(self, a: Field, b: Field) -> Field:
        """Return the scalar product of two vectors."""
        return self.vector_math("DOT_PRODUCT", a, b)

    def combine(self, x: Any, y: Any, z: Any) -> Field:
        """Return the vector (x, y, z)."""
        return self.output(self.node("ShaderNodeCombineXYZ", {0: x, 1: y, 2: z}))

    def separate(self, vector: Field) -> tuple[Field, Field, Field]:
        """Return the three components of a vector."""
        node = self.node("ShaderNodeSeparateXYZ", {0: vector})
        x, y, z = (Field(self, socket) for socket in node.outputs)
        return x, y, z

    def switch(self, kind: str, condition: Any, false: Any, true: Any) -> Field:
        """Choose between two values; `kind` is the type both have."""
        node = self.node(
            "GeometryNodeSwitch",
            {"Switch": condition, "False": false, "True": true},
            input_type=kind,
        )
        return self.output(node)

    def menu(self, choice: Field, names: Sequence[str]) -> Field:
        """Return the number of the name that is chosen in a menu input."""
        node = self.node("GeometryNodeMenuSwitch", data_type="INT")
        while len(node.enum_items) < len(names):
            node.enum_items.new("")
        for item, name in zip(node.enum_items, names, strict=True):
            item.name = name  # the two items a new node has keep their numbers, 0 and 1
        self.connect(self.input(node, "Menu"), choice)
        for index, name in enumerate(names):
            self.connect(self.input(node, name), index)
        # The menu has items only once it is linked.
        self.group.interface.items_tree[choice.socket.name].default_value = names[0]
        return self.output(node)

    def choose(self, index: Field, values: Sequence[Any], kind: str = "FLOAT") -> Field:
        """Return the value at `index` among `values`; `kind` is the type they have."""
        node = self.node("GeometryNodeIndexSwitch", {"Index": index}, data_type=kind)
        while len(node.index_switch_items) < len(values):
            node.index_switch_items.new()
        for place, value in enumerate(values):
            self.connect(self.input(node, str(place)), value)
        return self.output(node)

    def mix(self, kind: str, factor: Field, a: Field, b: Field) -> Field:
        """Interpolate: linearly, or for "ROTATION" along the shortest arc."""
        node = self.node("ShaderNodeMix", {"Factor": factor, "A": a, "B": b}, data_type=kind)
        return self.output(node)

    def driven(
        self,
        expression: str,
        variables: Mapping[str, str],
        label: str,
        *,
        context: str = "ACTIVE_SCENE",
        missing: float | None = None,
    ) -> Field:
        """Return a number computed from properties of the scene being evaluated.

        `variables` maps names in the simple expression to RNA paths below the scene, or below
        another `context` of drivers; `missing` is the value of properties that are not there.
        Simple expressions are evaluated without Python, so they work where scripts may not run.
        """
        node = self.node("ShaderNodeValue", label=label)
        driver = node.outputs[0].driver_add("default_value").driver
        driver.type = "SCRIPTED"
        for name, path in variables.items():
            variable = driver.variables.new()
            variable.name = name
            variable.type = "CONTEXT_PROP"
            target = variable.targets[0]
            target.context_property = context
            target.data_path = path
            if missing is not None:
                target.use_fallback_value, target.fallback_value = True, missing
        driver.expression = expression
        return self.output(node)

    def shaded(self, name: str, output: str) -> Field:
        """Read an attribute of the geometry in a material, as "Color", "Vector" or "Fac"."""
        node = self.node("ShaderNodeAttribute", attribute_name=name, attribute_type="GEOMETRY")
        return self.output(node, output)

    # -- geometry ----------------------------------------------------------------------------

    def attribute(self, name: Any, kind: str) -> Field:
        """Read a named attribute."""
        node = self.node("GeometryNodeInputNamedAttribute", {"Name": name}, data_type=kind)
        return self.output(node, "Attribute")

    def exists(self, name: Any) -> Field:
        """Tell whether the geometry has a named attribute."""
        return self.output(self.node("GeometryNodeInputNamedAttribute", {"Name": name}), "Exists")

    def position(self) -> Field:
        """Return where the points or vertices lie."""
        return self.output(self.node("GeometryNodeInputPosition"))

    def transformed_point(self, point: Any, matrix: Field) -> Field:
        """Return where a matrix takes a point."""
        inputs = {"Vector": point, "Transform": matrix}
        return self.output(self.node("FunctionNodeTransformPoint", inputs))

    def sample(self, points: Field, kind: str, value: Field, index: Any) -> Field:
        """Return the value that a field has at one point of another geometry."""
        inputs = {"Geometry": points, "Value": value, "Index": index}
        node = self.node("GeometryNodeSampleIndex", inputs, data_type=kind, domain="POINT")
        return self.output(node)

    def store(
        self,
        geometry: Field,
        name: str,
        kind: str,
        value: Any,
        selection: Any = True,
        domain: str = "POINT",
    ) -> Field:
        """Write a named attribute."""
        node = self.node(
            "GeometryNodeStoreNamedAttribute",
            {"Geometry": geometry, "Selection": selection, "Name": name, "Value": value},
            data_type=kind,
            domain=domain,
        )
        return self.output(node)

    def remove(self, geometry: Field, patterns: Sequence[str]) -> Field:
        """Remove the attributes whose names match any of the wildcard patterns."""
        for pattern in patterns:
            node = self.node("GeometryNodeRemoveAttribute", {"Geometry": geometry})
            if hasattr(node, "pattern_mode"):
                node.pattern_mode = "WILDCARD"
            else:  # an input socket since Blender 5.0
                node.inputs["Pattern Mode"].default_value = "Wildcard"
            self.connect(self.input(node, "Name"), pattern)
            geometry = self.output(node)
        return geometry


def shared_group(
    name: str, version: int, build: Callable[[Tree], None], *, modifier: bool = True
) -> bpy.types.GeometryNodeTree:
    """Return the file's Geometry Nodes group of this name and version, built when missing.

    A group left by another version keeps working for the objects that use it; new objects get
    the new one. Not a `modifier`, it is a part of other groups.
    """
    for group in bpy.data.node_groups:
        if group.name.split(".")[0] == name and group.get(VERSION_KEY) == version:
            return group
    group = bpy.data.node_groups.new(name, "GeometryNodeTree")
    group.is_modifier = modifier
    build(Tree(group))
    arrange(group)
    group[VERSION_KEY] = version
    seal(group)
    return group


# -- modifier inputs -------------------------------------------------------------------------


def _input_identifier(modifier: bpy.types.NodesModifier, name: str) -> str:
    for item in modifier.node_group.interface.items_tree:
        if item.item_type == "SOCKET" and item.in_out == "INPUT" and item.name == name:
            return item.identifier
    raise KeyError(f"modifier {modifier.name!r} has no input {name!r}")


def input_path(modifier: bpy.types.NodesModifier, name: str) -> str:
    """Return the data path, from the object, of a modifier input: for keyframes and drivers."""
    identifier = _input_identifier(modifier, name)
    if hasattr(modifier, "properties"):  # Blender 5.2 and later
        return f'modifiers["{modifier.name}"].properties.inputs.{identifier}.value'
    return f'modifiers["{modifier.name}"]["{identifier}"]'


def set_input(modifier: bpy.types.NodesModifier, name: str, value: Any) -> None:
    """Set a modifier input by the name the artist sees."""
    identifier = _input_identifier(modifier, name)
    if hasattr(modifier, "properties"):
        getattr(modifier.properties.inputs, identifier).value = value
    else:
        modifier[identifier] = value
    modifier.id_data.update_tag()


def set_menu(
    modifier: bpy.types.NodesModifier, name: str, choice: str, names: Sequence[str]
) -> None:
    """Choose one of the `names` of a menu input."""
    stored_as_text = isinstance(input_value(modifier, name), str)  # since Blender 5.2
    set_input(modifier, name, choice if stored_as_text else names.index(choice))


def menu_choice(modifier: bpy.types.NodesModifier, name: str, names: Sequence[str]) -> str:
    """Return which of the `names` of a menu input is chosen."""
    value = input_value(modifier, name)
    return value if isinstance(value, str) else names[value]  # a number before Blender 5.2


def input_value(modifier: bpy.types.NodesModifier, name: str) -> Any:
    """Return the value of a modifier input by the name the artist sees."""
    identifier = _input_identifier(modifier, name)
    if hasattr(modifier, "properties"):
        return getattr(modifier.properties.inputs, identifier).value
    return modifier[identifier]
