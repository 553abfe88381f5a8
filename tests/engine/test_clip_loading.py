# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip becomes a dataset of one camera; what cannot is refused in one sentence."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from ds4d_engine.clip import ClipOptions, load_clip, read_clip
from ds4d_engine.clip.crop import FILL
from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.seam import DatasetError, Progress
from tests.engine.clip_footage import (
    COUNT,
    HEIGHT,
    RED,
    WIDTH,
    disc_alpha,
    moving_alphas,
    over,
    with_alpha,
    write_ffmpeg,
    write_mp4,
    write_pictures,
)

WHITE = (255, 255, 255)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_mp4(tmp_path / "clip.mp4", [over(a, RED, WHITE) for a in moving_alphas(count=12)])


def test_a_video_becomes_one_camera_that_sees_its_object(clip: Path) -> None:
    events: list[Progress] = []
    loaded = read_clip(clip, ClipOptions(start=2, stride=2, size=96), events.append)
    dataset = loaded.dataset
    assert (dataset.name, dataset.source, dataset.has_alpha) == ("clip", "clip", True)
    (camera,) = dataset.cameras
    expected = orbit_camera("input", 96)
    assert camera.name == "input" and camera.split == "train"
    np.testing.assert_allclose(camera.K, expected.K)
    np.testing.assert_allclose(camera.viewmat, expected.viewmat)
    assert [images.shape for images in dataset.images] == [(5, 96, 96, 4)]
    assert dataset.present.shape == (5, 1) and dataset.present.all()
    np.testing.assert_allclose(dataset.times, np.linspace(0, 1, 5))
    assert dataset.fps == pytest.approx(12.5) and dataset.frame_start == 3
    assert loaded.indices == (2, 4, 6, 8, 10) and loaded.matte == "plain"
    assert (loaded.width, loaded.height) == (WIDTH, HEIGHT)
    assert {event.stage for event in events} == {"read clip", "find object", "cut out"}
    assert any("255, 255, 255" in event.message for event in events)


def test_the_object_fills_the_window_in_its_own_colour(clip: Path) -> None:
    images = load_clip(clip).images[0]
    box = np.argwhere((images[..., 3] >= 64).any(0))
    size = (box.max(0) + 1 - box.min(0)).max() / 128
    assert size == pytest.approx(FILL, abs=0.03)
    visible = images[images[..., 3] > 0].astype(int)
    assert np.abs(visible[:, :3] - RED).mean() < 6  # what the codec makes of it
    assert visible[:, 1].max() < 90  # no white fringe


def test_a_target_rate_sets_the_datasets(clip: Path) -> None:
    dataset = load_clip(clip, ClipOptions(fps=10, size=32))
    assert dataset.fps == 10 and dataset.frame_count == 5


def test_pictures_run_at_24_frames_per_second_unless_told(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "walk", [with_alpha(a) for a in moving_alphas()])
    assert load_clip(folder, ClipOptions(size=32)).fps == 24
    assert load_clip(folder, ClipOptions(size=32, source_fps=12)).fps == 12
    dataset = load_clip(folder, ClipOptions(size=32, source_fps=12, fps=6))
    assert dataset.fps == 6 and dataset.frame_count == COUNT // 2
    assert dataset.name == "walk"


def test_the_same_clip_gives_the_same_pictures(clip: Path) -> None:
    np.testing.assert_array_equal(load_clip(clip).images[0], load_clip(clip).images[0])


def test_without_a_crop_a_square_clip_is_only_scaled(tmp_path: Path) -> None:
    alphas = [disc_alpha((30 + t, 60), 12, 120, 120) for t in range(4)]
    folder = write_pictures(tmp_path / "f", [with_alpha(a) for a in alphas])
    loaded = read_clip(folder, ClipOptions(size=60, crop="off"))
    assert loaded.crop.side == 120
    for image, alpha in zip(loaded.dataset.images[0], alphas, strict=True):
        mean = alpha.reshape(60, 2, 60, 2).mean((1, 3))
        assert np.abs(image[..., 3] - mean).max() <= 1


def test_without_a_crop_a_clip_must_be_square(clip: Path) -> None:
    with pytest.raises(DatasetError, match=r"160 x 120 pixels.*must be square; drop --crop off"):
        load_clip(clip, ClipOptions(crop="off"))


def test_without_a_matte_every_pixel_is_opaque(clip: Path) -> None:
    dataset = load_clip(clip, ClipOptions(matte="none", size=60))
    assert not dataset.has_alpha and (dataset.images[0][..., 3] == 255).all()


def test_an_object_that_crosses_the_picture_is_followed(tmp_path: Path) -> None:
    alphas = [disc_alpha((-5 + 6 * t, 60), 14) for t in range(2, 28)]
    folder = write_pictures(tmp_path / "f", [over(a, RED, WHITE) for a in alphas])
    loaded = read_clip(folder, ClipOptions(size=64))
    assert loaded.crop.moves
    alpha = loaded.dataset.images[0][..., 3]
    # Cut by the picture's sides at both ends: there it sticks out of the picture.
    assert not alpha[:, 0].any() and not alpha[:, -1].any()
    assert (alpha[8:-8] >= 128).sum((1, 2)).std() < 0.02 * (alpha[8:-8] >= 128).sum((1, 2)).mean()


def test_one_frame_is_no_clip(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "f", [with_alpha(disc_alpha((80, 60), 20))])
    with pytest.raises(DatasetError, match="one frame; a clip needs at least 2"):
        load_clip(folder)
    with pytest.raises(DatasetError, match="one frame; a clip needs at least 2"):
        load_clip(folder / "0.png")


def test_a_range_beyond_the_clip_is_refused(clip: Path) -> None:
    for options, words in (
        (ClipOptions(end=13), "has 12 frames, but the range ends at 13"),
        (ClipOptions(start=12), "is empty"),
    ):
        with pytest.raises(DatasetError, match=words):
            load_clip(clip, options)


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv"])
def test_a_clip_of_ten_minutes_is_refused_before_it_is_decoded(name: str, tmp_path: Path) -> None:
    frames = [np.full((16, 16, 3), 40, np.uint8)] * 25
    second = write_ffmpeg(tmp_path / f"second{Path(name).suffix}", frames, "-c:v", "libx264")
    listing = tmp_path / "list.txt"
    listing.write_text(f"file '{second}'\n" * 600)
    path = tmp_path / name
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "concat", "-safe", "0"]
    subprocess.run([*command, "-i", str(listing), "-c", "copy", str(path)], check=True)
    started = time.perf_counter()
    with pytest.raises(DatasetError, match=r"15000 frames .*--stride 25 or --fps 1, .*--end 600"):
        load_clip(path)
    assert time.perf_counter() - started < 5.0


def test_an_object_that_fills_the_picture_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[0, 0] = 0
    frames = [with_alpha(alpha, tuple(rng.integers(0, 255, 3).tolist())) for _ in range(3)]
    with pytest.raises(DatasetError, match="fills the whole picture"):
        load_clip(write_pictures(tmp_path / "f", frames))


def test_the_dinosaur_shows_nothing_of_its_meadow(samples: Path) -> None:
    images = load_clip(samples / "t-rex" / "frames").images[0]
    assert images.shape == (32, 128, 128, 4)
    seen = images[images[..., 3] > 0][:, :3].astype(int)
    # The background kept under alpha is pale and bluish, the animal grey and dark.
    assert (seen.mean(1) > 215).mean() < 0.002
    assert (seen[:, 2] - seen[:, 0] > 40).mean() < 0.01


@pytest.mark.parametrize("name", ["000070_fg", "000370_fg"])
def test_white_faces_before_white_are_whole_in_every_frame(name: str, samples: Path) -> None:
    clip = samples / "l4gm_clips" / f"{name}.mp4"
    loaded = read_clip(clip, ClipOptions(stride=8))
    assert loaded.matte == "plain" and not loaded.crop.moves
    for image in loaded.dataset.images[0]:
        solid = image[..., 3] >= 128
        rows = np.flatnonzero(solid.any(1))
        # The middle of the head: from 15 % to 30 % of the height, a little left of the middle.
        head = solid[rows[0] + round(0.2 * len(rows)) : rows[0] + round(0.3 * len(rows))]
        for row in head:
            columns = np.flatnonzero(row)
            assert row[columns[0] : columns[-1] + 1].mean() > 0.93
