# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture of the scene: what it writes, that its cameras are exact, what it leaves behind."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from ds4d_blender.capture import capture_dataset, capture_steps
from ds4d_blender.rig import Dome, Orbit, SceneCameras
from ds4d_blender.seam import errors, events
from ds4d_blender.time_sampling import FrameSpan
from tests.blender.motion_keys import key_x

SMALL: dict[str, Any] = {"size": 32, "samples": 2, "threads": 1}
THREE = Dome(count=2, held_out=((45.0, 15.0),))


def cube(name: str = "cube", at: tuple[float, float, float] = (0, 0, 0), size: float = 2.0):
    bpy.ops.mesh.primitive_cube_add(size=size, location=at)
    made = bpy.context.object
    made.name = name
    return made


def slide(owner: bpy.types.Object, distance: float, end: int = 11) -> None:
    """Move along +X at constant speed from frame 1 to `end`."""
    key_x(owner, {1: 0.0, end: distance})
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, end


def pixels(path: Path) -> np.ndarray:
    """Return uint8 RGBA [H,W,4], the top row first."""
    image = bpy.data.images.load(str(path))
    image.alpha_mode = "CHANNEL_PACKED"
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    values = np.array(image.pixels[:]).reshape(height, width, 4)[::-1]
    bpy.data.images.remove(image)
    return np.round(values * 255).astype(np.uint8)


def read(folder: Path, split: str) -> dict[str, Any]:
    return json.loads((folder / f"transforms_{split}.json").read_text(encoding="utf-8"))


def project(document: dict[str, Any], frame: dict[str, Any], point: tuple[float, ...]):
    """Return where the dataset says that a world point lies, in pixels."""
    record = {**document, **frame}
    viewmat = np.diag([1.0, -1.0, -1.0, 1.0]) @ np.linalg.inv(record["transform_matrix"])
    x, y, z = (viewmat @ [*point, 1.0])[:3]
    return np.array([record["fl_x"] * x / z + record["cx"], record["fl_y"] * y / z + record["cy"]])


def alpha_centre(picture: np.ndarray) -> np.ndarray:
    """Return the centre of what is opaque, in pixels whose centres lie at +0.5."""
    alpha = picture[..., 3].astype(float)
    rows, columns = np.mgrid[: alpha.shape[0], : alpha.shape[1]] + 0.5
    return np.array([(alpha * columns).sum(), (alpha * rows).sum()]) / alpha.sum()


def test_a_capture_is_a_dnerf_dataset_with_straight_alpha(tmp_path: Path):
    slide(cube(), 1.0)
    captured = capture_dataset(tmp_path / "clip", rig=THREE, frames=3, **SMALL)
    train, test = read(tmp_path / "clip", "train"), read(tmp_path / "clip", "test")
    assert len(train["frames"]) == 6 and len(test["frames"]) == 3
    assert [f["time"] for f in test["frames"]] == [0.0, 0.5, 1.0]
    assert {f["camera"] for f in train["frames"]} == {"train_00", "train_01"}
    assert (train["w"], train["h"], train["frame_start"]) == (32, 32, 1)
    assert train["camera_angle_x"] == pytest.approx(math.radians(35.0), abs=1e-6)
    assert captured.cameras == ("train_00", "train_01", "test_00")
    for document in (train, test):
        for frame in document["frames"]:
            picture = pixels(tmp_path / "clip" / (frame["file_path"] + ".png"))
            assert picture.shape == (32, 32, 4)
            assert picture[0, 0, 3] == 0 and picture[..., 3].max() == 255
    assert not list(tmp_path.glob("*.part"))


def test_playback_of_the_captured_frames_keeps_real_time(tmp_path: Path):
    slide(cube(), 1.0, end=25)
    bpy.context.scene.render.fps = 24
    whole = capture_dataset(tmp_path / "a", rig=THREE, frames=3, **SMALL)
    loop = FrameSpan(1, 25, count=4, loop=True)
    looped = capture_dataset(tmp_path / "b", rig=THREE, frames=loop, **SMALL)
    assert whole.fps == pytest.approx(2.0) and looped.fps == pytest.approx(4.0)
    assert looped.motion.frames.tolist() == [1.0, 7.0, 13.0, 19.0]
    assert read(tmp_path / "b", "train")["scene_frames"] == [1.0, 7.0, 13.0, 19.0]


@pytest.mark.parametrize("rig", [THREE, Orbit(count=3, held_out=(), elevation_degrees=40.0)])
def test_rig_cameras_project_a_point_to_where_the_picture_shows_it(tmp_path: Path, rig: Dome):
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.1, location=(0.7, -0.4, 0.5))
    far = cube("far", (-1.5, 0, 0), 0.01)
    capture_dataset(
        tmp_path / "clip", rig=rig, frames=FrameSpan(1, 2, count=1), size=64, samples=32
    )
    far_pixels = 0
    for document in (read(p.parent, p.stem[11:]) for p in (tmp_path / "clip").glob("*.json")):
        for frame in document["frames"]:
            picture = pixels(tmp_path / "clip" / (frame["file_path"] + ".png"))
            speck = np.round(project(document, frame, tuple(far.location)) - 0.5).astype(int)
            far_pixels += int(picture[speck[1], speck[0], 3] > 0)
            picture[speck[1] - 2 : speck[1] + 3, speck[0] - 2 : speck[0] + 3] = 0
            expected = project(document, frame, (0.7, -0.4, 0.5))
            np.testing.assert_allclose(alpha_centre(picture), expected, atol=0.1)
    assert far_pixels == 3


def test_scene_cameras_are_exact_with_shift_sensor_fit_and_aspect(tmp_path: Path, scene):
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.1, location=(0.3, 0.2, 0.1))
    scene.render.resolution_x, scene.render.resolution_y = 1200, 800
    for name, fit, shift in (("a", "VERTICAL", (0.1, -0.2)), ("b", "AUTO", (-0.15, 0.05))):
        lens = bpy.data.cameras.new(name)
        lens.sensor_fit, lens.lens, lens.sensor_height = fit, 35.0, 20.0
        lens.shift_x, lens.shift_y = shift
        lens.dof.use_dof = True
        camera = bpy.data.objects.new(name, lens)
        scene.collection.objects.link(camera)
        camera.location, camera.rotation_euler = (0.5, -3.0, 0.4), (1.5, 0.1, 0.2)
        camera.scale = (2.0, 2.0, 2.0)
    capture_dataset(
        tmp_path / "clip",
        rig=SceneCameras(test=["b"]),
        frames=FrameSpan(1, 2, count=1),
        size=96,
        samples=32,
    )
    for split in ("train", "test"):
        document = read(tmp_path / "clip", split)
        (frame,) = document["frames"]
        assert (document["w"], document["h"]) == (96, 64)
        expected = project(document, frame, (0.3, 0.2, 0.1))
        shown = alpha_centre(pixels(tmp_path / "clip" / (frame["file_path"] + ".png")))
        np.testing.assert_allclose(shown, expected, atol=0.1)
        # The shift is in the intrinsics, not in the pose.
        assert abs(document["cx"] - 48.0) > 3.0
    assert all(lens.dof.use_dof for lens in bpy.data.cameras)


def test_a_moving_scene_camera_gets_a_pose_and_a_name_for_every_frame(tmp_path: Path, scene):
    cube(size=0.5)
    camera = bpy.data.objects.new("dolly", bpy.data.cameras.new("dolly"))
    scene.collection.objects.link(camera)
    camera.location, camera.rotation_euler = (0, -5, 0), (math.pi / 2, 0, 0)
    slide(camera, 1.0, end=5)
    capture_dataset(tmp_path / "clip", rig=SceneCameras(), frames=3, **SMALL)
    frames = read(tmp_path / "clip", "train")["frames"]
    assert [f["transform_matrix"][0][3] for f in frames] == pytest.approx([0.0, 0.5, 1.0])
    assert [f["camera"] for f in frames] == ["dolly@0000", "dolly@0001", "dolly@0002"]


@pytest.mark.parametrize("as_collection", [False, True])
def test_only_the_subject_is_rendered(tmp_path: Path, scene, as_collection: bool):
    wanted, other = cube("wanted", (0, 0, 0), 1.0), cube("other", (0, 0, 0.8), 0.5)
    subject: Any = [wanted]
    if as_collection:
        subject = bpy.data.collections.new("subject")
        subject.objects.link(wanted)
        scene.collection.children.link(subject)
    captured = capture_dataset(
        tmp_path / "clip", subject=subject, rig=THREE, frames=FrameSpan(1, 2, count=1), **SMALL
    )
    assert captured.motion.sphere.radius == pytest.approx(math.sqrt(0.75), rel=1e-5)
    document = read(tmp_path / "clip", "train")
    picture = pixels(tmp_path / "clip" / (document["frames"][0]["file_path"] + ".png"))
    column, row = project(document, document["frames"][0], (0, 0, 0.9)).astype(int)
    assert picture[row, column, 3] == 0
    assert not wanted.hide_render and not other.hide_render


def state(scene: bpy.types.Scene) -> dict[str, Any]:
    """Return every simple setting a render depends on, and what is in the file."""
    owners = {
        "scene": scene,
        "render": scene.render,
        "image": scene.render.image_settings,
        "cycles": scene.cycles,
        "view": scene.view_settings,
        "display": scene.display_settings,
        "layer": bpy.context.view_layer,
    }
    found: dict[str, Any] = {}
    for label, owner in owners.items():
        for prop in owner.bl_rna.properties:
            # Blender 5 warns of the end of Scene.use_nodes whenever it is read.
            if prop.is_readonly or prop.type == "POINTER" or prop.identifier == "use_nodes":
                continue
            value = getattr(owner, prop.identifier)
            listed = prop.type != "STRING" and hasattr(value, "__len__")
            found[f"{label}.{prop.identifier}"] = tuple(value) if listed else value
    found["camera"] = scene.camera
    found["objects"] = sorted((o.name, o.hide_render) for o in bpy.data.objects)
    found["cameras"] = sorted(c.name for c in bpy.data.cameras)
    found["markers"] = [(m.name, m.camera) for m in scene.timeline_markers]
    return found


def busy_scene(scene: bpy.types.Scene) -> None:
    """Set what a capture changes to something that it would not choose."""
    slide(cube(), 1.0)
    cube("other", (3, 0, 0))
    camera = bpy.data.objects.new("mine", bpy.data.cameras.new("mine"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.timeline_markers.new("cut", frame=2).camera = camera
    scene.frame_set(4, subframe=0.25)
    scene.render.resolution_x, scene.render.resolution_percentage = 333, 50
    scene.render.use_border = True
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.exposure = 1.5
    scene.cycles.samples = 7


def test_the_scene_is_afterwards_as_it_was(tmp_path: Path, scene):
    busy_scene(scene)
    before = state(scene)
    capture_dataset(
        tmp_path / "clip", subject=[bpy.data.objects["cube"]], rig=THREE, frames=2, **SMALL
    )
    assert state(scene) == before
    assert scene.frame_current_final == pytest.approx(4.25)


def test_a_capture_that_fails_or_is_closed_leaves_nothing_behind(tmp_path: Path, scene):
    busy_scene(scene)
    before = state(scene)

    def refuse(event: events.Progress) -> None:
        if event.stage == "capture":
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        capture_dataset(tmp_path / "clip", rig=THREE, frames=2, listener=refuse, **SMALL)
    steps = capture_steps(tmp_path / "clip", rig=THREE, frames=2, **SMALL)
    next(steps)
    steps.close()
    assert state(scene) == before
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_the_pictures(tmp_path: Path):
    slide(cube(), 1.0)
    seen: list[events.Progress] = []
    capture_dataset(tmp_path / "clip", rig=THREE, frames=2, listener=seen.append, **SMALL)
    pictures = [e for e in seen if e.stage == "capture"]
    assert pictures[-1].done == pictures[-1].total == 6


def test_bad_requests_are_refused_in_one_sentence(tmp_path: Path, scene):
    with pytest.raises(errors.DatasetError, match="nothing to capture"):
        capture_dataset(tmp_path / "clip", rig=THREE, frames=2, **SMALL)
    slide(cube(), 1.0)
    with pytest.raises(errors.ConfigError, match="no camera named ghost; its cameras: none"):
        capture_dataset(tmp_path / "clip", rig=SceneCameras(["ghost"]), frames=2, **SMALL)
    flat = bpy.data.objects.new("flat", bpy.data.cameras.new("flat"))
    flat.data.type = "ORTHO"
    scene.collection.objects.link(flat)
    with pytest.raises(errors.ConfigError, match="flat is not a perspective camera"):
        capture_dataset(tmp_path / "clip", rig=SceneCameras(), frames=2, **SMALL)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(errors.DatasetError, match="exists already"):
        capture_dataset(tmp_path / "mine", rig=THREE, frames=2, **SMALL)
    with pytest.raises(errors.DatasetError, match="something other than a dataset"):
        capture_dataset(tmp_path / "mine", rig=THREE, frames=2, overwrite=True, **SMALL)
    assert [p.name for p in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


def test_overwriting_replaces_an_earlier_capture_whole(tmp_path: Path):
    slide(cube(), 1.0)
    capture_dataset(tmp_path / "clip", rig=THREE, frames=3, **SMALL)
    with pytest.raises(errors.DatasetError, match="exists already"):
        capture_dataset(tmp_path / "clip", rig=THREE, frames=2, **SMALL)
    capture_dataset(tmp_path / "clip", rig=THREE, frames=2, overwrite=True, **SMALL)
    assert len(list((tmp_path / "clip").rglob("*.png"))) == 6
