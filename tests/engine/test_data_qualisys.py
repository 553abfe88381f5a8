# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from ds4d_engine.data import convert_qualisys, load_dataset, scene_bounds
from ds4d_engine.seam import DatasetError

WIDTH, HEIGHT = 128, 192
K = np.array([[200.0, 0, 60.5], [0, 201.0, 99.25], [0, 0, 1]])
CENTER = np.array([1.5, -2.0, 1.25])
R = cv2.Rodrigues(np.array([1.2, 0.4, -0.3]))[0]  # OpenCV, world to camera
SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples" / "pose2sim_4cam"

needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the sample clips are not beside this checkout"
)


def write_video(path: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 60.0, (width, height))
    for value in (50, 60):
        writer.write(np.full((height, width, 3), value, np.uint8))
    writer.release()


def camera_element(serial: str) -> ElementTree.Element:
    """Write a camera as Qualisys does: y up, looking along -z, columns first, 1/64 pixels, mm."""
    camera = ElementTree.Element("camera", serial=serial, viewrotation="0")
    sides = {"left": "0", "top": "0", "right": str(WIDTH - 1), "bottom": str(HEIGHT - 1)}
    ElementTree.SubElement(camera, "fov_video", sides)
    axes = (np.diag([1.0, -1, -1]) @ R).T
    pose = {f"r{i + 1}{j + 1}": repr(float(axes.T[i, j])) for i in range(3) for j in range(3)}
    pose |= {axis: repr(float(1000 * c)) for axis, c in zip("xyz", CENTER, strict=True)}
    ElementTree.SubElement(camera, "transform", pose)
    intrinsic = {
        "focalLengthU": 64 * K[0, 0],
        "focalLengthV": 64 * K[1, 1],
        "centerPointU": 64 * K[0, 2],
        "centerPointV": 64 * K[1, 2],
        "radialDistortion1": 64 * -0.01,
        "radialDistortion2": 64 * 0.02,
        "radialDistortion3": 0.0,
        "tangentalDistortion1": 64 * 0.003,
        "tangentalDistortion2": 64 * 0.004,
    }
    values = {key: repr(float(value)) for key, value in intrinsic.items()}
    ElementTree.SubElement(camera, "intrinsic", values)
    return camera


def write_calibration(path: Path, cameras: list[ElementTree.Element]) -> None:
    root = ElementTree.Element("calibration")
    ElementTree.SubElement(root, "cameras").extend(cameras)
    path.write_bytes(ElementTree.tostring(root))


@pytest.fixture
def take(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_video(tmp_path / f"videos/{name}.avi")
    write_calibration(
        tmp_path / "Calib.qca.txt", [camera_element("a"), camera_element("b"), camera_element("c")]
    )
    return tmp_path


def convert(take: Path) -> list[dict[str, Any]]:
    path = convert_qualisys(take / "Calib.qca.txt", take / "videos", take / "out")
    assert path == take / "out" / "cameras.json"
    cameras: list[dict[str, Any]] = json.loads(path.read_text())["cameras"]
    return cameras


def test_a_qualisys_camera_becomes_the_same_opencv_camera(take: Path) -> None:
    cameras = convert(take)
    assert [camera["name"] for camera in cameras] == ["a", "b"]  # c has no video
    first = cameras[0]
    np.testing.assert_allclose(first["K"], K)
    np.testing.assert_allclose(first["distortion"], [-0.01, 0.02, 0.003, 0.004, 0])
    np.testing.assert_allclose(first["R"], R, atol=1e-9)
    np.testing.assert_allclose(first["t"], -R @ CENTER, atol=1e-9)
    assert (first["width"], first["height"]) == (WIDTH, HEIGHT)


def test_a_converted_take_loads_as_a_dataset(take: Path) -> None:
    convert(take)
    dataset = load_dataset(take / "out")
    assert [images.shape for images in dataset.images] == [(2, HEIGHT, WIDTH, 4)] * 2
    np.testing.assert_allclose(dataset.cameras[0].position, CENTER)
    assert dataset.fps == 60.0


def test_a_scaled_video_scales_the_intrinsics(take: Path) -> None:
    write_video(take / "videos/a.avi", WIDTH // 2, HEIGHT // 2)
    found = np.array(convert(take)[0]["K"])
    corner_to_center = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    expected = np.diag([0.5, 0.5, 1]) @ (K + corner_to_center) - corner_to_center
    np.testing.assert_allclose(found, expected)


def test_a_video_that_its_encoder_cropped_keeps_the_intrinsics(take: Path) -> None:
    write_video(take / "videos/a.avi", WIDTH - 8, HEIGHT)
    first = convert(take)[0]
    assert (first["width"], first["height"]) == (WIDTH - 8, HEIGHT)
    np.testing.assert_allclose(first["K"], K)


@pytest.mark.parametrize("size", [(WIDTH - 32, HEIGHT), (HEIGHT, WIDTH), (WIDTH + 8, HEIGHT)])
def test_a_size_that_cannot_be_reconciled_names_the_video(
    take: Path, size: tuple[int, int]
) -> None:
    write_video(take / "videos/b.avi", *size)
    with pytest.raises(DatasetError, match=rf"b\.avi is {size[0]} x {size[1]} pixels"):
        convert(take)


def test_a_video_without_a_camera_is_named(take: Path) -> None:
    write_video(take / "videos/d.avi")
    with pytest.raises(DatasetError, match=r"d\.avi has no camera in .* serial: a, b, c"):
        convert(take)


def test_a_folder_without_videos_is_refused(take: Path) -> None:
    (take / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty"):
        convert_qualisys(take / "Calib.qca.txt", take / "empty", take / "out")
    with pytest.raises(DatasetError, match="There is no videos folder"):
        convert_qualisys(take / "Calib.qca.txt", take / "none", take / "out")


@pytest.mark.parametrize("content", ["", "no xml", "<calibration/>"])
def test_a_file_that_is_no_calibration_is_named(take: Path, content: str) -> None:
    (take / "Calib.qca.txt").write_text(content)
    with pytest.raises(DatasetError, match=r"Calib\.qca\.txt is no Qualisys calibration"):
        convert(take)


def test_a_missing_calibration_is_named(take: Path) -> None:
    (take / "Calib.qca.txt").unlink()
    with pytest.raises(DatasetError, match="There is no calibration"):
        convert(take)


@pytest.mark.parametrize(
    ("child", "key", "value", "message"),
    [
        ("intrinsic", "focalLengthU", None, "'focalLengthU' in <intrinsic>"),
        ("transform", "r11", "many", "'r11' in <transform>"),
        ("transform", "r11", "7", "rotation of camera 'a'"),
        ("fov_video", "right", None, "'right' in <fov_video>"),
    ],
)
def test_a_wrong_entry_names_the_camera(
    take: Path, child: str, key: str, value: str | None, message: str
) -> None:
    camera = camera_element("a")
    element = camera.find(child)
    assert element is not None
    element.attrib.pop(key)
    if value is not None:
        element.set(key, value)
    write_calibration(take / "Calib.qca.txt", [camera, camera_element("b")])
    with pytest.raises(DatasetError, match=message):
        convert(take)


def test_a_rotated_view_is_refused(take: Path) -> None:
    camera = camera_element("a")
    camera.set("viewrotation", "90")
    write_calibration(take / "Calib.qca.txt", [camera, camera_element("b")])
    with pytest.raises(DatasetError, match="view rotation"):
        convert(take)


# White marks on the treadmill of Demo_SinglePerson, located to about half a pixel in the median
# picture of each video: camera -> mark -> column, row (pixel centres are whole numbers).
MARKS = {
    "cam01": dict(A=(108.8, 1060.3), B=(317.3, 1335.0), C=(518.3, 1064.2), D=(766.7, 1290.5)),
    "cam02": dict(A=(438.8, 1040.7), B=(325.5, 1207.3), C=(788.5, 1083.9), D=(757.7, 1269.1)),
    "cam03": dict(A=(873.9, 1234.0), C=(485.2, 1431.7), D=(164.5, 1240.4)),
    "cam04": dict(A=(836.7, 1410.8), B=(889.5, 1069.7), C=(385.2, 1396.2), D=(519.7, 1116.9)),
}


def mark_residual(cameras: list[dict[str, Any]]) -> tuple[float, np.ndarray]:
    """Triangulate the marks; return the RMS distance of their projections and the points [4,3]."""
    squares, points = [], []
    for mark in "ABCD":
        seen = [c for c in cameras if mark in MARKS[c["name"]]]
        pixels = [np.array(MARKS[c["name"]][mark]) for c in seen]
        rows, sides = [], []
        for camera, pixel in zip(seen, pixels, strict=True):
            k, d = np.array(camera["K"]), np.array(camera["distortion"])
            x, y = cv2.undistortPoints(pixel.reshape(1, 1, 2), k, d).ravel()
            r, t = np.array(camera["R"]), np.array(camera["t"])
            rows += [r[0] - x * r[2], r[1] - y * r[2]]
            sides += [x * t[2] - t[0], y * t[2] - t[1]]
        point = np.linalg.lstsq(np.array(rows), np.array(sides), rcond=None)[0]
        points.append(point)
        for camera, pixel in zip(seen, pixels, strict=True):
            rotation = cv2.Rodrigues(np.array(camera["R"]))[0]
            k, d = np.array(camera["K"]), np.array(camera["distortion"])
            projected = cv2.projectPoints(point[None], rotation, np.array(camera["t"]), k, d)[0]
            squares.append(((projected.ravel() - pixel) ** 2).sum())
    return float(np.sqrt(np.mean(squares))), np.array(points)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("single")
    take = SAMPLES / "Demo_SinglePerson"
    convert_qualisys(take / "calibration" / "Calib.qca.txt", take / "videos", out)
    return out


def sample_cameras(sample: Path) -> list[dict[str, Any]]:
    cameras: list[dict[str, Any]] = json.loads((sample / "cameras.json").read_text())["cameras"]
    return cameras


@needs_samples
def test_the_sample_calibration_meets_in_marks_on_a_level_treadmill(sample: Path) -> None:
    rms, points = mark_residual(sample_cameras(sample))
    assert rms < 12.0  # of 1920: what the calibration itself is worth
    assert np.ptp(points[:, 2]) < 0.03
    assert np.abs(points[:, 2]).max() < 0.03
    sides = [np.linalg.norm(points[a] - points[b]) for a, b in ((0, 1), (2, 3))]
    assert sides[0] == pytest.approx(sides[1], rel=0.1)


@needs_samples
@pytest.mark.parametrize("reading", ["left crop", "middle crop", "stretch"])
def test_the_narrower_sample_videos_are_cropped_at_the_right(sample: Path, reading: str) -> None:
    chosen = sample_cameras(sample)
    assert [camera["width"] for camera in chosen] == [1080, 1080, 1088, 1088]
    other = sample_cameras(sample)
    for camera in other[:2]:
        if reading == "stretch":
            camera["K"][0] = [value * 1080 / 1088 for value in camera["K"][0]]
        else:
            camera["K"][0][2] -= 8 if reading == "left crop" else 4
    assert mark_residual(chosen)[0] < mark_residual(other)[0]


@needs_samples
def test_the_sample_loads_scaled_down_with_the_person_in_its_bounds(sample: Path) -> None:
    dataset = load_dataset(sample, start=10, end=20, stride=5, max_side=160, holdout=["cam02"])
    assert [images.shape[:2] for images in dataset.images] == [(2, 160)] * 4
    assert (dataset.fps, dataset.test) == (12.0, [1])
    center, radius = scene_bounds(dataset)
    assert -2.0 < center[0] < 0.5
    assert 0.2 < center[2] < 1.5
    assert 0.7 < radius < 2.0
