# SPDX-License-Identifier: GPL-3.0-or-later
"""How many times a capture takes: as few as keep every vertex's steps small."""

from __future__ import annotations

import math

import bpy
import numpy as np
import pytest

from ds4d_blender.seam import errors
from ds4d_blender.time_sampling import FrameSpan, measure, visible_vertices
from tests.blender.motion_keys import key_x


@pytest.fixture
def cube() -> bpy.types.Object:
    """A cube of radius sqrt 3."""
    bpy.ops.mesh.primitive_cube_add(size=2.0)
    return bpy.context.object


def measured(span: FrameSpan, max_step: float = 0.25):
    return measure(bpy.context.scene, bpy.context.view_layer, span, max_step)


@pytest.mark.parametrize("distance", [0.5, 3.0, 10.0])
def test_constant_speed_takes_the_fewest_times_that_keep_each_step_small(cube, distance: float):
    key_x(cube, {0: 0.0, 20: distance})
    motion = measured(FrameSpan(0, 20))
    intervals = math.ceil(distance / (0.25 * math.sqrt(3)))
    assert len(motion.frames) == intervals + 1
    assert motion.largest_step == pytest.approx(distance / intervals / math.sqrt(3), rel=1e-4)


def test_a_swing_that_returns_between_two_times_is_not_missed(cube):
    key_x(cube, {0: 0.0, 5: 2.0, 10: 0.0, 15: 2.0, 20: 0.0})
    motion = measured(FrameSpan(0, 20))
    # 2 units in 5 frames: steps of 0.43 units allow 1.08 frames between times.
    assert len(motion.frames) - 1 >= 20 / 1.083


def test_only_what_renders_counts(cube):
    bpy.ops.mesh.primitive_cube_add(size=1.0)
    hidden = bpy.context.object
    key_x(hidden, {0: 0.0, 20: 50.0})
    hidden.hide_render = True
    motion = measured(FrameSpan(0, 20))
    assert len(motion.frames) == 2 and motion.largest_step == 0.0
    assert motion.sphere.radius == pytest.approx(math.sqrt(3))


def test_armatures_and_instances_move_vertices(cube, scene):
    group = bpy.data.collections.new("group")
    group.objects.link(cube)
    scene.collection.objects.unlink(cube)
    empty = bpy.data.objects.new("copy", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", group
    scene.collection.objects.link(empty)
    key_x(empty, {0: 0.0, 20: 10.0})
    motion = measured(FrameSpan(0, 20))
    assert motion.sphere.centre[0] == pytest.approx(5.0)
    assert len(motion.frames) > 20


def test_an_explicit_count_and_the_bounds_override_the_motion(cube):
    key_x(cube, {0: 0.0, 20: 10.0})
    assert len(measured(FrameSpan(0, 20, count=4)).frames) == 4
    bounded = measured(FrameSpan(0, 20, maximum=6))
    assert len(bounded.frames) == 6
    assert bounded.largest_step == pytest.approx(2.0 / math.sqrt(3), rel=1e-4)
    assert len(measured(FrameSpan(0, 20, minimum=60)).frames) == 60


def test_a_loop_leaves_its_end_out_but_counts_the_way_back(cube):
    key_x(cube, {0: 0.0, 10: 1.0, 20: 0.0})
    motion = measured(FrameSpan(0, 20, loop=True))
    assert motion.frames[-1] < 20.0
    np.testing.assert_allclose(np.diff(motion.frames), 20.0 / len(motion.frames))
    assert len(motion.frames) >= 2.0 / (0.25 * math.sqrt(3))


def test_changing_topology_is_followed_by_its_box(cube):
    array = cube.modifiers.new("grow", "ARRAY")
    for frame, count in ((0, 1), (20, 5)):
        array.count = count
        array.keyframe_insert("count", frame=frame)
    motion = measured(FrameSpan(0, 20))
    assert motion.largest_step > 0.0


def test_vertices_are_in_world_space_after_modifiers(cube):
    cube.location, cube.scale = (1.0, 2.0, 3.0), (2.0, 1.0, 1.0)
    cube.modifiers.new("mirror", "ARRAY").count = 2
    bpy.context.view_layer.update()
    ((points),) = visible_vertices(bpy.context.view_layer).values()
    assert len(points) == 16
    np.testing.assert_allclose(points.min(0), [-1.0, 1.0, 2.0], atol=1e-6)
    np.testing.assert_allclose(points.max(0), [7.0, 3.0, 4.0], atol=1e-6)


def test_contradictions_are_refused(cube):
    with pytest.raises(errors.ConfigError, match="before they begin"):
        FrameSpan(10, 10)
    with pytest.raises(errors.ConfigError, match="at least 1"):
        FrameSpan(1, 10, count=0)
    with pytest.raises(errors.ConfigError, match="fewest frames"):
        FrameSpan(1, 10, minimum=9, maximum=3)
    with pytest.raises(errors.ConfigError, match="greater than 0"):
        measured(FrameSpan(0, 20), max_step=0.0)
