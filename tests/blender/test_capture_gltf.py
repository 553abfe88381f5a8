# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of one clip of a glTF file: the clip moves, the others do not, parts sit in place."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from ds4d_blender.gltf_import import import_gltf
from ds4d_blender.seam import errors
from ds4d_blender.time_sampling import set_frame, visible_vertices


@pytest.fixture
def two_clips(tmp_path: Path) -> Path:
    """A file of a cube with the clips Slide (along X, 10 frames) and Rise (along Z, 20 frames)."""
    bpy.ops.mesh.primitive_cube_add()
    owner = bpy.context.object
    data = owner.animation_data_create()
    for name, axis, end in (("Slide", 0, 10), ("Rise", 2, 20)):
        data.action = bpy.data.actions.new(name)
        for frame, value in ((0, 0.0), (end, 3.0)):
            owner.location = (0, 0, 0)
            owner.location[axis] = value
            owner.keyframe_insert("location", frame=frame)
        strip = data.nla_tracks.new().strips.new(name, 0, data.action)
        strip.action_slot = data.action_slot
        data.action = None
    path = tmp_path / "cube.glb"
    bpy.ops.export_scene.gltf(filepath=str(path), export_animation_mode="ACTIONS")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return path


def travel(clip, frames: int = 5) -> np.ndarray:
    """Return how far the middle of all vertices moves over the clip, by axis."""
    middles = []
    for frame in np.linspace(clip.start, clip.end, frames):
        set_frame(bpy.context.scene, frame)
        points = np.concatenate(list(visible_vertices(bpy.context.view_layer).values()))
        middles.append(points.mean(0))
    return np.ptp(middles, axis=0)


def test_the_chosen_clip_moves_and_the_other_does_not(two_clips: Path):
    clip = import_gltf(two_clips, "slide")
    assert (clip.clip, clip.clips) == ("Slide", ("Rise", "Slide"))
    assert (clip.start, clip.end) == pytest.approx((0.0, 10.0))
    np.testing.assert_allclose(travel(clip), [3.0, 0.0, 0.0], atol=1e-4)


def test_the_second_clip_moves_too(two_clips: Path):
    np.testing.assert_allclose(travel(import_gltf(two_clips, "Rise")), [0, 0, 3.0], atol=1e-4)


def test_an_unknown_clip_is_refused_with_the_list_and_leaves_the_scene_alone(two_clips: Path):
    with pytest.raises(errors.DatasetError, match=r"no clip named Fly; its clips: Rise, Slide\."):
        import_gltf(two_clips, "Fly")
    with pytest.raises(errors.DatasetError, match=r"several clips.*: Rise, Slide\."):
        import_gltf(two_clips)
    assert len(bpy.data.objects) == 0


def test_a_file_that_is_missing_or_no_gltf_is_refused(tmp_path: Path):
    with pytest.raises(errors.DatasetError, match="There is no file"):
        import_gltf(tmp_path / "ghost.glb")
    (tmp_path / "bad.glb").write_bytes(b"nothing of the kind")
    with pytest.raises(errors.DatasetError, match=r"cannot import bad\.glb"):
        import_gltf(tmp_path / "bad.glb")
    assert len(bpy.data.objects) == 0


def test_the_robots_feet_stay_below_its_torso(samples: Path):
    clip = import_gltf(samples / "gltf" / "RobotExpressive.glb", "Dance")
    for frame in (clip.start, (clip.start + clip.end) / 2):
        set_frame(bpy.context.scene, frame)
        low, high = {}, {}
        for (owner, *_), points in visible_vertices(bpy.context.view_layer).items():
            low[owner], high[owner] = points[:, 2].min(), points[:, 2].max()
        bottom, top = min(low.values()), max(high.values())
        torso = [name for name in low if name.startswith("Torso")]
        for foot in ("FootL_1", "FootR_1"):
            assert high[foot] < min(low[name] for name in torso)
            assert high[foot] - bottom < 0.2 * (top - bottom)


def test_the_fox_walks_on_the_spot(samples: Path):
    clip = import_gltf(samples / "gltf" / "Fox.glb", "Walk")
    assert clip.clips == ("Run", "Survey", "Walk")
    assert (clip.start, clip.end) == pytest.approx((0.0, 17.0))
    set_frame(bpy.context.scene, 0)
    (first,) = visible_vertices(bpy.context.view_layer).values()
    set_frame(bpy.context.scene, 8)
    (half,) = visible_vertices(bpy.context.view_layer).values()
    set_frame(bpy.context.scene, 17)
    (last,) = visible_vertices(bpy.context.view_layer).values()
    assert np.linalg.norm(half - first, axis=1).max() > 20.0
    assert np.linalg.norm(last - first, axis=1).max() < 1.0
