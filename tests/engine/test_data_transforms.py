# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ds4d_engine.data import load_dataset
from ds4d_engine.seam import DatasetError, Progress

WIDTH, HEIGHT, ANGLE = 40, 30, 0.8
Edit = Callable[[dict[str, Any]], None]


def opengl_pose(azimuth: float) -> np.ndarray:
    """A camera 4 units from the origin, looking at it, z up, as Blender writes it."""
    back = np.array([math.cos(azimuth), math.sin(azimuth), 0.5])
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    pose[:3, 3] = 4.0 * back
    return pose


def opengl_pixel(pose: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Where a world point appears, from the definition of an OpenGL camera's field of view."""
    x, y, z = (np.linalg.inv(pose) @ [*point, 1.0])[:3]
    extent = math.tan(ANGLE / 2)
    column = (x / -z / extent + 1) / 2 * WIDTH
    row = (1 - y / -z / extent * WIDTH / HEIGHT) / 2 * HEIGHT
    return np.array([column, row])


def picture(value: int, alpha: int = 128, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    image = np.full((size[1], size[0], 4), value, np.uint8)
    image[..., 3] = alpha
    return image


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_split(folder: Path, split: str, azimuths: list[float], times: list[float]) -> None:
    frames = []
    for v, azimuth in enumerate(azimuths):
        for t, time in enumerate(times):
            name = f"{split}/c{v}_t{t}"
            save(folder / f"{name}.png", picture(10 * v + t))
            pose = opengl_pose(azimuth).tolist()
            frames.append({"file_path": f"./{name}", "time": time, "transform_matrix": pose})
    document = {"camera_angle_x": ANGLE, "frames": frames}
    (folder / f"transforms_{split}.json").write_text(json.dumps(document))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    write_split(folder, "train", [0.0, 1.0, 2.0], [0.0, 0.25, 0.5, 1.0])
    write_split(folder, "test", [3.0], [0.0, 0.25, 0.5, 1.0])
    return folder


def edit(folder: Path, change: Edit, split: str = "train") -> None:
    path = folder / f"transforms_{split}.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_pictures_group_into_cameras_by_pose(folder: Path) -> None:
    dataset = load_dataset(folder)
    assert [camera.split for camera in dataset.cameras] == ["train"] * 3 + ["test"]
    assert (dataset.train, dataset.test) == ([0, 1, 2], [3])
    assert dataset.present.shape == (4, 4)
    assert dataset.present.all()
    np.testing.assert_allclose(dataset.times, [0, 0.25, 0.5, 1])
    assert (dataset.frame_count, dataset.mid) == (4, 2)
    assert [int(images[2, 0, 0, 0]) for images in dataset.images] == [2, 12, 22, 2]
    assert all(images.shape == (4, HEIGHT, WIDTH, 4) for images in dataset.images)
    assert (dataset.name, dataset.source, dataset.has_alpha) == ("clip", "transforms", True)


def test_a_world_point_projects_where_blender_would_draw_it(folder: Path) -> None:
    point = np.array([0.3, -0.2, 0.4])
    for azimuth, camera in zip([0.0, 1.0, 2.0, 3.0], load_dataset(folder).cameras, strict=True):
        column, row, depth = camera.K @ (camera.viewmat @ [*point, 1.0])[:3]
        expected = opengl_pixel(opengl_pose(azimuth), point)
        np.testing.assert_allclose([column / depth, row / depth], expected, atol=1e-9)
        assert depth > 0
        np.testing.assert_allclose(
            camera.camtoworld[:3, 3], opengl_pose(azimuth)[:3, 3], atol=1e-12
        )


def test_scaling_down_moves_every_projected_point_with_the_picture(folder: Path) -> None:
    full, small = load_dataset(folder), load_dataset(folder, max_side=20)
    point = np.array([0.3, -0.2, 0.4, 1.0])
    for a, b in zip(full.cameras, small.cameras, strict=True):
        assert (b.width, b.height) == (20, 15)
        before, after = a.K @ (a.viewmat @ point)[:3], b.K @ (b.viewmat @ point)[:3]
        np.testing.assert_allclose(after[:2] / after[2], before[:2] / before[2] / 2)
    assert small.images[0].shape == (4, 15, 20, 4)


def test_scaling_down_averages_in_linear_light(folder: Path) -> None:
    image = picture(0, 255)
    image[::2, :, :3] = 255
    save(folder / "train/c0_t0.png", image)
    pixels = load_dataset(folder, max_side=20).images[0][0]
    np.testing.assert_array_equal(pixels[..., :3], 188)  # half the light, sRGB-encoded


def test_colour_under_transparent_pixels_does_not_bleed_in(folder: Path) -> None:
    image = picture(200, 255)
    image[::2] = (255, 0, 255, 0)
    save(folder / "train/c0_t0.png", image)
    pixels = load_dataset(folder, max_side=20).images[0][0]
    np.testing.assert_array_equal(pixels[..., :3], 200)
    np.testing.assert_array_equal(pixels[..., 3], 128)


def test_a_moving_camera_becomes_one_camera_per_pose_with_absent_frames(tmp_path: Path) -> None:
    write_split(tmp_path, "train", [0.0], [0.0, 0.5, 1.0])

    def move(document: dict[str, Any]) -> None:
        for t, frame in enumerate(document["frames"]):
            frame["transform_matrix"] = opengl_pose(0.1 * t).tolist()
            frame["camera"] = "hand"

    edit(tmp_path, move)
    dataset = load_dataset(tmp_path)
    np.testing.assert_array_equal(dataset.present, np.eye(3, dtype=bool))
    assert [camera.name for camera in dataset.cameras] == ["hand_000", "hand_001", "hand_002"]
    assert not dataset.images[0][1].any()


def test_focal_lengths_and_angles_describe_the_same_camera(folder: Path) -> None:
    expected = load_dataset(folder).cameras[0].K
    focal = WIDTH / 2 / math.tan(ANGLE / 2)

    def to_focal(document: dict[str, Any]) -> None:
        del document["camera_angle_x"]
        document.update(fl_x=focal, fl_y=focal, cx=WIDTH / 2, cy=HEIGHT / 2, w=WIDTH, h=HEIGHT)

    edit(folder, to_focal)
    np.testing.assert_allclose(load_dataset(folder).cameras[0].K, expected)


def test_a_frames_own_intrinsics_override_the_documents(folder: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        for frame in document["frames"][:4]:
            frame.update(fl_x=55.0, cx=3.0)

    edit(folder, change)
    cameras = load_dataset(folder).cameras
    assert (cameras[0].K[0, 0], cameras[0].K[0, 2]) == (55.0, 3.0)
    assert cameras[1].K[0, 2] == WIDTH / 2


def test_a_file_path_may_carry_its_extension(folder: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        for frame in document["frames"]:
            frame["file_path"] += ".png"

    edit(folder, change)
    assert load_dataset(folder).present.all()


def test_validation_pictures_are_held_out_too(folder: Path) -> None:
    write_split(folder, "val", [4.0], [0.0, 1.0])
    dataset = load_dataset(folder)
    assert [dataset.cameras[v].name for v in dataset.test] == ["val_000", "test_000"]
    np.testing.assert_array_equal(dataset.present[:, 3], [True, False, False, True])


def test_optional_keys_give_rate_start_and_names(folder: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document.update(fps=12.5, frame_start=101, names=["left", "front", "right"])

    assert (load_dataset(folder).fps, load_dataset(folder).frame_start) == (24.0, 1)
    edit(folder, change)
    dataset = load_dataset(folder)
    assert (dataset.fps, dataset.frame_start) == (12.5, 101)
    assert [camera.name for camera in dataset.cameras] == ["left", "front", "right", "test_000"]


def test_named_cameras_are_held_out(folder: Path) -> None:
    dataset = load_dataset(folder, holdout=["train_001"])
    assert (dataset.train, dataset.test) == ([0, 2], [1, 3])


def test_a_range_takes_its_frames_and_stretches_their_times(folder: Path) -> None:
    dataset = load_dataset(folder, start=1, end=4, stride=2)
    np.testing.assert_allclose(dataset.times, [0.0, 1.0])
    assert [int(value) for value in dataset.images[1][:, 0, 0, 0]] == [11, 13]
    assert (dataset.fps, dataset.frame_start) == (12.0, 2)


def test_times_in_any_unit_are_mapped_to_0_and_1(folder: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        for frame in document["frames"]:
            frame["time"] = 2.0 + 8.0 * frame["time"]

    edit(folder, change)
    edit(folder, change, "test")
    np.testing.assert_allclose(load_dataset(folder).times, [0, 0.25, 0.5, 1])


def test_opaque_pictures_have_no_alpha(tmp_path: Path) -> None:
    write_split(tmp_path, "train", [0.0], [0.0])
    save(tmp_path / "train/c0_t0.png", picture(9)[..., :3])
    dataset = load_dataset(tmp_path)
    assert not dataset.has_alpha
    assert (dataset.images[0][..., 3] == 255).all()
    assert dataset.times.tolist() == [0.0]


def test_sixteen_bit_pictures_are_read_as_eight_bits(folder: Path) -> None:
    save(folder / "train/c0_t0.png", picture(77).astype(np.uint16) * 257)
    np.testing.assert_array_equal(load_dataset(folder).images[0][0], picture(77))


def test_channels_are_read_as_red_green_blue(folder: Path) -> None:
    image = picture(0)
    image[..., :3] = (10, 20, 30)  # OpenCV writes blue, green, red
    save(folder / "train/c0_t0.png", image)
    assert load_dataset(folder).images[0][0, 0, 0].tolist() == [30, 20, 10, 128]


def test_reading_reports_progress(folder: Path) -> None:
    events: list[Progress] = []
    load_dataset(folder, listener=events.append)
    assert (events[0].done, events[-1].done, events[-1].total) == (1, 16, 16)


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def first_frame(**values: Any) -> Edit:
    return lambda document: document["frames"][0].update(values)


def without(key: str) -> Edit:
    return lambda document: document["frames"][0].pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("frames"), "has no 'frames'"),
        (lambda d: d.update(frames=[]), "not empty"),
        (lambda d: d.update(frames=[3]), "must be a JSON object"),
        (lambda d: d.pop("camera_angle_x"), "neither 'camera_angle_x' nor 'fl_x'"),
        (lambda d: d.update(camera_angle_x=45), "radians"),
        (lambda d: d.update(fl_x="long"), "'fl_x' of frame 0"),
        (lambda d: d.update(fps=0), "'fps'"),
        (lambda d: d.update(frame_start=1.5), "whole number"),
        (lambda d: d.update(k1=0.1), "undistort"),
        (lambda d: d.update(names=["one"]), "3 texts"),
        (lambda d: d.update(names=["a", "a", "b"]), "two cameras named 'a'"),
        (lambda d: d.update(w=41, h=30), "c0_t0.png is 40 x 30"),
        (without("time"), "frame 0 of .* has no 'time'"),
        (without("file_path"), "no 'file_path'"),
        (without("transform_matrix"), "no 'transform_matrix'"),
        (first_frame(time="noon"), "'time' of frame 0"),
        (first_frame(time=float("nan")), "'time' of frame 0"),
        (first_frame(transform_matrix=[[1, 2], [3, 4]]), "4 x 4 numbers"),
        (first_frame(transform_matrix=(2 * np.eye(4)).tolist()), "last row"),
        (first_frame(transform_matrix=np.diag([2.0, 2, 2, 1]).tolist()), "without scale"),
        (first_frame(transform_matrix=np.diag([1.0, 1, -1, 1]).tolist()), "mirrors"),
        (first_frame(file_path="train/none"), "does not exist: .*none"),
        (first_frame(time=0.25), "same camera at the same time"),
    ],
)
def test_a_wrong_document_is_refused_naming_the_place(
    folder: Path, change: Edit, message: str
) -> None:
    edit(folder, change)
    with pytest.raises(DatasetError, match=message):
        load_dataset(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"frames": '])
def test_a_broken_document_is_named(folder: Path, content: str) -> None:
    (folder / "transforms_train.json").write_text(content)
    assert "transforms_train.json" in refusal(folder)


@pytest.mark.parametrize("damage", ["empty", "text", "truncated"])
def test_an_unreadable_picture_is_named(folder: Path, damage: str) -> None:
    path = folder / "train/c1_t2.png"
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    save(path, noise)
    content = {"empty": b"", "text": b"no picture", "truncated": path.read_bytes()[:2000]}[damage]
    path.write_bytes(content)
    assert "c1_t2.png is not a readable picture" in refusal(folder)


def test_a_picture_of_another_size_is_named(folder: Path) -> None:
    save(folder / "train/c1_t2.png", picture(0, size=(20, 30)))
    assert "c1_t2.png is 20 x 30 pixels, but its camera is 40 x 30" in refusal(folder)


def test_pictures_with_and_without_alpha_do_not_mix(folder: Path) -> None:
    save(folder / "train/c1_t2.png", picture(0)[..., :3])
    assert "c1_t2.png has none" in refusal(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout": ["nobody"]}, "no camera 'nobody' to hold out; it has train_000"),
        ({"start": 4}, "empty"),
        ({"start": 2, "end": 2}, "empty"),
        ({"end": 5}, "has 4 frames, but the range ends at 5"),
        ({"start": -1}, "negative"),
        ({"stride": 0}, "stride"),
        ({"max_side": 0}, "max_side"),
        ({"masks": "masks"}, "alpha"),
    ],
)
def test_impossible_options_are_refused(
    folder: Path, options: dict[str, Any], message: str
) -> None:
    assert message in refusal(folder, **options)


def test_a_folder_without_a_dataset_says_what_it_lacks(tmp_path: Path) -> None:
    assert "neither transforms_train.json nor cameras.json" in refusal(tmp_path)
    assert "There is no dataset folder" in refusal(tmp_path / "none")
