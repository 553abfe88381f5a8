# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ds4d_engine.data import load_dataset
from ds4d_engine.data.lens import Lens
from ds4d_engine.seam import DatasetError, Progress

WIDTH, HEIGHT, FRAMES = 64, 48, 6
K = np.array([[70.0, 0, 30.0], [0, 72.0, 25.0], [0, 0, 1]])
BARREL = [-0.2, 0.05, 0.002, -0.001]
Document = dict[str, Any]


def write_video(path: Path, frames: list[np.ndarray], fps: float = 25.0) -> None:
    """Write a lossless video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (frames[0].shape[1], frames[0].shape[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), fps, size)
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


def grey_frames(
    offset: int, count: int = FRAMES, width: int = WIDTH, height: int = HEIGHT
) -> list[np.ndarray]:
    return [np.full((height, width, 3), offset + 10 * t, np.uint8) for t in range(count)]


def noise_frames(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(count)]


def camera_record(name: str, **values: Any) -> Document:
    record = {
        "name": name,
        "video": f"{name}.avi",
        "width": WIDTH,
        "height": HEIGHT,
        "K": K.tolist(),
        "distortion": [0, 0, 0, 0],
        "R": np.eye(3).tolist(),
        "t": [0.5, 0, 3],
    }
    return {**record, **values}


def write_document(folder: Path, cameras: list[Document], **values: Any) -> None:
    document = {"format": "ds4d-cameras", "version": 1, "cameras": cameras, **values}
    (folder / "cameras.json").write_text(json.dumps(document))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "take"
    for offset, name in ((100, "left"), (101, "right")):
        write_video(folder / f"{name}.avi", grey_frames(offset))
    write_document(folder, [camera_record("left"), camera_record("right")])
    return folder


def test_every_frame_of_every_video_is_read_in_order(folder: Path) -> None:
    dataset = load_dataset(folder)
    assert [camera.name for camera in dataset.cameras] == ["left", "right"]
    assert [images.shape for images in dataset.images] == [(FRAMES, HEIGHT, WIDTH, 4)] * 2
    for v, images in enumerate(dataset.images):
        values = images[:, 5, 5, :3].astype(int)
        assert np.abs(values - (100 + v + 10 * np.arange(FRAMES))[:, None]).max() <= 1
    assert dataset.present.all()
    assert (dataset.fps, dataset.frame_start, dataset.has_alpha) == (25.0, 1, False)
    np.testing.assert_allclose(dataset.times, np.linspace(0, 1, FRAMES))
    assert (dataset.train, dataset.test, dataset.source) == ([0, 1], [], "videos")


def test_a_range_takes_its_frames(folder: Path) -> None:
    dataset = load_dataset(folder, start=1, end=6, stride=2, holdout=["right"])
    assert np.round(dataset.images[0][:, 0, 0, 0] / 10.0).tolist() == [11, 13, 15]
    assert (dataset.fps, dataset.frame_start) == (12.5, 2)
    assert dataset.test == [1]


def test_pixel_centres_move_from_whole_numbers_to_halves(folder: Path) -> None:
    camera = load_dataset(folder).cameras[0]
    np.testing.assert_allclose(camera.K[:2, 2], K[:2, 2] + 0.5)
    np.testing.assert_allclose(camera.viewmat[:3, 3], [0.5, 0, 3])


def dot_picture(position: np.ndarray, width: int, height: int) -> np.ndarray:
    """A soft dot around a position in OpenCV pixels (centres are whole numbers)."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    glow = np.exp(-((x - position[0]) ** 2 + (y - position[1]) ** 2) / (2 * 3.0**2))
    return np.repeat(np.round(220 * glow).astype(np.uint8)[..., None], 3, axis=2)


def dot_position(image: np.ndarray) -> np.ndarray:
    """The centre of the dot in pixels whose centres lie at +0.5."""
    weight = image[..., 0].astype(float) ** 2
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("max_side", [None, 80])
def test_a_distorted_point_lands_where_the_pinhole_camera_projects_it(
    tmp_path: Path, max_side: int | None
) -> None:
    width, height = 160, 120
    intrinsics = np.array([[150.0, 0, 82], [0, 155.0, 57], [0, 0, 1]])
    R = cv2.Rodrigues(np.array([0.1, -0.3, 0.2]))[0]
    t = np.array([0.1, 0.2, 3.0])
    points = np.array([[0.0, 0, 0], [0.8, 0.4, 0.2], [-0.7, -0.6, 0.3], [0.5, -0.6, -0.4]])
    seen, _ = cv2.projectPoints(points, cv2.Rodrigues(R)[0], t, intrinsics, np.array(BARREL))
    write_video(tmp_path / "a.avi", [dot_picture(p, width, height) for p in seen[:, 0]])
    record = camera_record(
        "a",
        width=width,
        height=height,
        K=intrinsics.tolist(),
        distortion=BARREL,
        R=R.tolist(),
        t=t.tolist(),
    )
    write_document(tmp_path, [record])
    dataset = load_dataset(tmp_path, max_side=max_side)
    camera = dataset.cameras[0]
    for i, point in enumerate(points):
        x, y, z = camera.K @ (camera.viewmat @ [*point, 1.0])[:3]
        np.testing.assert_allclose(dot_position(dataset.images[0][i]), [x / z, y / z], atol=0.25)


@pytest.mark.parametrize("distortion", [BARREL, [0.1, 0.02, 0, 0, 0.01], [-0.05, 0.14, 0, 0]])
def test_an_undistorted_picture_shows_only_what_the_lens_saw(distortion: list[float]) -> None:
    lens = Lens(K, np.array(distortion), WIDTH, HEIGHT)
    white = np.full((HEIGHT, WIDTH), 255, np.uint8)
    size = (WIDTH, HEIGHT)
    maps = cv2.initUndistortRectifyMap(
        K, np.array(distortion), None, lens.pinhole_K, size, cv2.CV_32FC1
    )
    for coordinates, limit in zip(maps, size, strict=True):
        assert coordinates.min() >= -0.51
        assert coordinates.max() <= limit - 0.49
    assert (lens.undistort(white) == 255).all()
    # The tightest such view: zooming out a little would show pixels the lens never saw.
    wider = lens.pinhole_K * np.array([[0.97, 1, 1], [1, 0.97, 1], [1, 1, 1]])
    x, y = cv2.initUndistortRectifyMap(K, np.array(distortion), None, wider, size, cv2.CV_32FC1)
    assert min(x.min(), y.min(), WIDTH - 1 - x.max(), HEIGHT - 1 - y.max()) < -0.5


def test_a_lens_without_distortion_changes_nothing() -> None:
    lens = Lens(K, np.zeros(5), WIDTH, HEIGHT)
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    assert lens.undistort(image) is image
    np.testing.assert_array_equal(lens.pinhole_K, K)


@pytest.mark.parametrize("kind", ["pictures", "video"])
def test_masks_become_alpha(folder: Path, kind: str) -> None:
    for name in ("left", "right"):
        masks = [np.zeros((HEIGHT, WIDTH, 3), np.uint8) for _ in range(FRAMES)]
        for t, mask in enumerate(masks):
            mask[:, : 8 * t] = 255
        if kind == "video":
            write_video(folder / f"masks/{name}.avi", masks)
            continue
        (folder / "masks" / name).mkdir(parents=True)
        for t, mask in enumerate(masks):
            cv2.imwrite(str(folder / f"masks/{name}/{t}.png"), mask[..., 0])
    dataset = load_dataset(folder, start=2)
    assert dataset.has_alpha
    covered = (dataset.images[1][..., 3] > 128).sum(axis=(1, 2)) / HEIGHT
    assert covered.tolist() == [16, 24, 32, 40]


def test_masks_may_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    for name in ("left", "right"):
        write_video(tmp_path / f"other/{name}.avi", grey_frames(200, FRAMES))
    assert load_dataset(folder, masks=tmp_path / "other").has_alpha


def test_mask_pictures_follow_their_numbers(folder: Path) -> None:
    for name in ("left", "right"):
        write_video(folder / f"{name}.avi", grey_frames(0, 12))
        (folder / "masks" / name).mkdir(parents=True)
        for t in range(12):
            mask = np.full((HEIGHT, WIDTH), 20 * t, np.uint8)
            cv2.imwrite(str(folder / f"masks/{name}/frame{t}.png"), mask)
    assert load_dataset(folder).images[0][:, 0, 0, 3].tolist() == [20 * t for t in range(12)]


def test_a_rate_in_the_document_replaces_the_videos(folder: Path) -> None:
    write_video(folder / "right.avi", grey_frames(0), fps=50.0)
    cameras = [camera_record("left", fps=60), camera_record("right", fps=60)]
    write_document(folder, cameras, frame_start=7)
    dataset = load_dataset(folder)
    assert (dataset.fps, dataset.frame_start) == (60.0, 7)


def test_reading_reports_progress(folder: Path) -> None:
    events: list[Progress] = []
    load_dataset(folder, listener=events.append)
    assert (events[0].done, events[-1].done, events[-1].total) == (1, 12, 12)


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_unequal_lengths_name_both_videos(folder: Path) -> None:
    write_video(folder / "right.avi", grey_frames(0, FRAMES - 1))
    message = refusal(folder)
    assert "left.avi has 6 frames" in message
    assert "right.avi has 5" in message


def test_unequal_rates_name_both_videos(folder: Path) -> None:
    write_video(folder / "right.avi", grey_frames(0), fps=24.0)
    message = refusal(folder)
    assert "left.avi runs at 25 frames per second" in message
    assert "right.avi at 24" in message


def test_a_video_of_another_size_than_calibrated_is_named(folder: Path) -> None:
    write_video(folder / "right.avi", grey_frames(0, width=32))
    assert "right.avi is 32 x 48 pixels" in refusal(folder)


def test_a_video_that_breaks_off_is_named(folder: Path) -> None:
    path = folder / "right.avi"
    write_video(path, [*grey_frames(0, FRAMES - 2), *noise_frames(2)])
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"00dc", 0, content.rindex(b"idx1")) - 100])
    assert "right.avi breaks off at frame 4, frame 4 is wanted" in refusal(folder)


def test_a_missing_or_broken_video_is_named(folder: Path) -> None:
    (folder / "right.avi").write_bytes(b"no video")
    assert "right.avi is not a video" in refusal(folder)
    (folder / "right.avi").unlink()
    assert "There is no video" in refusal(folder)


def test_masks_that_disagree_are_named(folder: Path) -> None:
    masks = folder / "masks"
    for name in ("left", "right"):
        write_video(masks / f"{name}.avi", grey_frames(0))
    write_video(masks / "right.avi", grey_frames(0, FRAMES - 2))
    assert "right.avi has 4 masks" in refusal(folder)
    write_video(masks / "right.avi", grey_frames(0, width=32))
    assert "right.avi is 32 x 48 pixels" in refusal(folder)
    (masks / "right.avi").unlink()
    assert "no masks for camera 'right'" in refusal(folder)
    (masks / "right").mkdir()
    assert "holds no pictures" in refusal(folder)
    assert "There is no masks folder" in refusal(folder, masks=folder / "none")


Change = Callable[[Document], Any]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("format"), "has no 'format'"),
        (lambda d: d.update(format="other"), "is no cameras file"),
        (lambda d: d.update(version=2), "version 2"),
        (lambda d: d.update(cameras=[]), "'cameras'"),
        (lambda d: d.update(frame_start="one"), "'frame_start'"),
        (lambda d: d["cameras"][1].pop("name"), "camera 1 of .* has no 'name'"),
        (lambda d: d["cameras"][1].update(name="left"), "two cameras named 'left'"),
        (lambda d: d["cameras"][1].pop("K"), "camera 'right' of .* has no 'K'"),
        (lambda d: d["cameras"][1].update(K=[1, 2]), "'K' of camera 'right'.* 3 x 3 numbers"),
        (lambda d: d["cameras"][1].update(distortion=[1]), "4 or 5 numbers"),
        (lambda d: d["cameras"][1].update(distortion=[-9, 0, 0, 0]), "camera 'right' of .*folds"),
        (lambda d: d["cameras"][1].update(R=np.zeros((3, 3)).tolist()), "rotation of camera"),
        (lambda d: d["cameras"][1].update(t=[1, 2, None]), "'t' of camera 'right'"),
        (lambda d: d["cameras"][1].update(fps=-1), "'fps'"),
        (lambda d: d["cameras"][1].update(fps=30), "right.avi at 30"),
    ],
)
def test_a_wrong_cameras_file_is_refused_naming_the_place(
    folder: Path, change: Change, message: str
) -> None:
    document = json.loads((folder / "cameras.json").read_text())
    change(document)
    (folder / "cameras.json").write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=message):
        load_dataset(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout": ["nobody"]}, "no camera 'nobody' to hold out; it has left, right"),
        ({"start": 6}, "empty"),
        ({"end": 7}, "has 6 frames, but the range ends at 7"),
    ],
)
def test_impossible_options_are_refused(
    folder: Path, options: dict[str, Any], message: str
) -> None:
    assert message in refusal(folder, **options)
