# SPDX-License-Identifier: GPL-3.0-or-later
"""An object in the scene that follows a job, without holding Blender's main thread."""

from __future__ import annotations

import time
from pathlib import Path

import bpy
import mathutils
import numpy as np
import pytest

from ds4d_blender import live
from ds4d_blender.live import Upload, Wanted, add_follower
from ds4d_blender.nodes import input_value, set_input
from ds4d_blender.point_cloud import attribute_values
from ds4d_blender.splat_objects import static_child
from ds4d_engine.seam import Asset, write_asset
from tests.blender.observe import played
from tests.blender.synthetic import asset

# Steps measured take 1 to 6 ms; the target is 30. Shared machines hold a thread back at times.
LONGEST_SECONDS = 0.03


def written(folder: Path, name: str, clip: Asset) -> str:
    path = folder / f"{name}.ds4d"
    write_asset(path, clip)
    return str(path)


def shown(path: str, shows: str = "1", *, passing: bool = False) -> Upload:
    """Upload a file to the end; return the upload."""
    upload = Upload(Wanted("job", path, shows, passing))
    end = time.monotonic() + 20
    while not upload.done:
        assert time.monotonic() < end
        upload.step()
        time.sleep(0.001)
    return upload


def counts() -> tuple[int, ...]:
    data = bpy.data
    return tuple(
        len(blocks)
        for blocks in (data.objects, data.pointclouds, data.meshes, data.node_groups, data.scenes)
    )


@pytest.fixture
def target(scene: bpy.types.Scene) -> bpy.types.Object:
    return add_follower("job", "clip", scene.collection)


def test_a_follower_shows_nothing_before_the_first_preview(target: bpy.types.Object) -> None:
    assert len(target.data.points) == 0
    assert [modifier.name for modifier in target.modifiers] == ["DS4D Play", "DS4D Draw"]
    bpy.context.view_layer.update()


def test_a_follower_shows_each_file_as_an_import_does(
    target: bpy.types.Object, tmp_path: Path
) -> None:
    for seed, clip in enumerate((asset(30, 20, frames=4), asset(11, 47, frames=7))):
        shown(written(tmp_path, str(seed), clip), str(seed))
        assert target[live.SHOWS_KEY] == str(seed)
        bpy.context.scene.frame_set(clip.frame_start + 2)
        seen, frame = played(target), clip.frame(2)
        assert np.allclose(seen["position"], frame.means, atol=1e-5)
        assert np.allclose(seen["opacity"], frame.opacities, atol=1e-6)


def test_previews_that_follow_each_other_are_written_into_the_same_clouds(
    target: bpy.types.Object, tmp_path: Path
) -> None:
    kept: list[bpy.types.PointCloud] = []
    for number, (static, dynamic) in enumerate(((900, 800), (905, 790), (880, 810))):
        clip = asset(static, dynamic, frames=5, opacities=True)
        shown(written(tmp_path, "clip", clip), str(number), passing=True)
        kept.append(target.data)
        bpy.context.scene.frame_set(clip.frame_start + 2)
        seen, frame = played(target), clip.frame(2)
        visible = seen["scale"].min(axis=1) > 0
        assert visible.sum() == static + dynamic
        assert np.allclose(seen["position"][visible], frame.means, atol=1e-5)
        assert np.allclose(seen["opacity"][visible], frame.opacities, atol=1e-6)
        assert not seen["opacity"][~visible].any()
    assert len(set(kept)) == 1 and target[live.SHOWS_KEY] == "2"


@pytest.mark.parametrize(
    "clip",
    [asset(900, 3000), asset(0, 800), asset(900, 800, frames=9), asset(900, 800, bases=3)],
    ids=["more splats", "nothing still", "more frames", "more colours"],
)
def test_a_preview_that_does_not_fit_gets_clouds_of_its_own(
    target: bpy.types.Object, tmp_path: Path, clip: Asset
) -> None:
    shown(written(tmp_path, "first", asset(900, 800)), "1", passing=True)
    before = target.data.as_pointer()
    shown(written(tmp_path, "clip", clip), "2", passing=True)
    assert target.data.as_pointer() != before
    bpy.context.scene.frame_set(clip.frame_start)
    seen = played(target)
    visible = seen["scale"].min(axis=1) > 0
    assert np.allclose(seen["position"][visible], clip.frame(0).means, atol=1e-6)


def test_the_asset_itself_takes_no_more_room_than_it_needs(
    target: bpy.types.Object, tmp_path: Path
) -> None:
    path = written(tmp_path, "clip", asset(900, 801))
    shown(path, "1", passing=True)
    assert len(target.data.points) > 801
    shown(path, "2")
    assert len(target.data.points) == 801 and len(static_child(target).data.points) == 900
    assert len(bpy.data.pointclouds) == 2


@pytest.mark.parametrize(("static", "dynamic"), [(12, 0), (0, 12), (6, 6)])
def test_what_moves_and_what_does_not_may_change_from_preview_to_preview(
    target: bpy.types.Object, tmp_path: Path, static: int, dynamic: int
) -> None:
    for number, clip in enumerate((asset(5, 5), asset(static, dynamic), asset(5, 5))):
        shown(written(tmp_path, "clip", clip), str(number))
        bpy.context.scene.frame_set(clip.frame_start)
        assert np.allclose(played(target)["position"], clip.frame(0).means, atol=1e-6)


def test_previews_leave_nothing_behind(target: bpy.types.Object, tmp_path: Path) -> None:
    path = written(tmp_path, "clip", asset(30, 20))
    shown(path, "1")
    before = counts()
    for number in range(2, 5):
        shown(path, str(number))
    assert counts() == before
    assert target.data.name == "clip" and static_child(target).data.name == "clip Static"


def test_what_the_artist_did_to_the_object_stays(target: bpy.types.Object, tmp_path: Path) -> None:
    shown(written(tmp_path, "first", asset(30, 20, frame_start=1)), "1")
    target.location = (1, 2, 3)
    target.keyframe_insert("location", frame=5)
    target.modifiers.new("Mine", "NODES")
    player = target.modifiers["DS4D Play"]
    set_input(player, "Speed", 0.5)
    set_input(player, "Start Frame", 40.0)
    shown(written(tmp_path, "last", asset(20, 40, frames=9, fps=12.0)), "2")
    assert target.matrix_basis.translation == mathutils.Vector((1, 2, 3))
    assert target.animation_data.action is not None
    assert "Mine" in target.modifiers
    assert input_value(player, "Speed") == 0.5
    assert input_value(player, "Start Frame") == 40.0
    assert (input_value(player, "Frames"), input_value(player, "FPS")) == (9, 12.0)


def test_selection_mode_and_undo_are_not_touched(
    target: bpy.types.Object, tmp_path: Path, scene: bpy.types.Scene
) -> None:
    other = bpy.data.objects.new("Other", None)
    scene.collection.objects.link(other)
    other.select_set(True)
    bpy.context.view_layer.objects.active = other
    pushed: list[object] = []
    bpy.app.handlers.undo_pre.append(pushed.append)
    shown(written(tmp_path, "clip", asset(30, 20)))
    bpy.app.handlers.undo_pre.remove(pushed.append)
    assert bpy.context.selected_objects == [other]
    assert bpy.context.view_layer.objects.active == other
    assert bpy.context.mode == "OBJECT" and not pushed
    assert bpy.context.scene == scene


def test_an_upload_that_is_given_up_leaves_the_object_as_it_was(
    target: bpy.types.Object, tmp_path: Path
) -> None:
    shown(written(tmp_path, "clip", asset(30, 20)), "1")
    before, cloud = counts(), target.data
    upload = Upload(Wanted("job", written(tmp_path, "next", asset(400, 400, frames=40)), "2"))
    while len(bpy.data.pointclouds) < before[1] + 2:
        upload.step(0.0)
    upload.close()
    assert counts() == before and target.data == cloud
    assert target[live.SHOWS_KEY] == "1"


@pytest.mark.parametrize("damage", ["missing", "cut off", "empty"])
def test_a_file_that_cannot_be_shown_is_one_sentence(
    target: bpy.types.Object, tmp_path: Path, damage: str
) -> None:
    before = counts()
    path = tmp_path / "clip.ds4d"
    if damage != "missing":
        write_asset(path, asset(0, 0) if damage == "empty" else asset(30, 20))
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:-100])
    upload = shown(str(path))
    assert "clip.ds4d" in upload.error and "\n" not in upload.error
    assert counts() == before


def test_an_object_that_was_deleted_is_not_brought_back(
    target: bpy.types.Object, tmp_path: Path
) -> None:
    bpy.data.objects.remove(target)
    bpy.data.orphans_purge()
    before = counts()
    assert shown(written(tmp_path, "clip", asset(30, 20))).error == ""
    assert counts() == before


def test_a_render_is_waited_for(
    target: bpy.types.Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = True
    monkeypatch.setattr(live, "is_held", lambda targets: held)
    upload = Upload(Wanted("job", written(tmp_path, "clip", asset(30, 20)), "1"))
    for _ in range(100):
        upload.step()
        time.sleep(0.002)
    assert not upload.done and len(target.data.points) == 0
    held = False
    upload.step()
    assert upload.done and len(target.data.points) == 20


def test_all_objects_of_a_job_follow_it_and_others_do_not(
    target: bpy.types.Object, tmp_path: Path, scene: bpy.types.Scene
) -> None:
    twin = target.copy()
    scene.collection.objects.link(twin)
    other = add_follower("another", "other", scene.collection)
    shown(written(tmp_path, "clip", asset(0, 20)))
    assert target.data == twin.data and len(twin.data.points) == 20
    assert len(other.data.points) == 0


@pytest.mark.parametrize(("count", "passing"), [(50_000, False), (20_000, True)])
def test_no_step_holds_the_main_thread(
    target: bpy.types.Object, tmp_path: Path, count: int, passing: bool
) -> None:
    times: list[float] = []
    for number in range(4):
        clip = asset(count // 2, count // 2 - number, frames=16)
        path = written(tmp_path, str(number), clip)
        upload = Upload(Wanted("job", path, str(number), passing))
        while not upload.done:
            begun = time.perf_counter()
            upload.step()
            times.append(time.perf_counter() - begun)
            time.sleep(0.01)
        assert len(target.data.points) >= count // 2 - number
    times.sort()
    print(f"{count} splats: longest steps {times[-1] * 1e3:.1f} and {times[-3] * 1e3:.1f} ms")
    assert times[-3] < LONGEST_SECONDS  # two may have met another process


def test_values_arrive_whole(target: bpy.types.Object, tmp_path: Path) -> None:
    clip = asset(9, 14, bases=3, opacities=True, frames=5)
    shown(written(tmp_path, "clip", clip))
    cloud = target.data
    assert np.array_equal(attribute_values(cloud, "pos_4"), clip.motion.means[4])
    assert np.array_equal(attribute_values(cloud, "opa_3"), clip.motion.opacities[3])
    assert "radiance:sh_2" in cloud.attributes
