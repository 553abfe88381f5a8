# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures and videos on disk: readable, true in colour, whole or absent."""

from __future__ import annotations

from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np
import pytest

from ds4d_engine.seam import EngineError
from ds4d_engine.video import video_writer, write_png


def _frame(value: int, width: int = 32, height: int = 24) -> np.ndarray:
    return np.full((height, width, 3), (value, 128, 255 - value), np.uint8)


def _read(path: Path) -> tuple[list[np.ndarray], float]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        more, frame = capture.read()
        if not more:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(frame[..., ::-1])


def test_png_comes_back_as_written(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    write_png(tmp_path / "deep" / "image.png", image)
    np.testing.assert_array_equal(iio.imread(tmp_path / "deep" / "image.png"), image)


def test_video_keeps_count_rate_and_colour(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with video_writer(path, 24000 / 1001) as video:
        for index in range(5):
            video.add(_frame(40 * index))
    frames, fps = _read(path)
    assert len(frames) == 5
    assert fps == pytest.approx(24000 / 1001, rel=1e-4)
    for index, frame in enumerate(frames):
        difference = np.abs(frame.astype(int) - _frame(40 * index).astype(int))
        assert difference.max() <= 6, index


def test_odd_video_sizes_grow_by_one_pixel(tmp_path: Path) -> None:
    with video_writer(tmp_path / "odd.mp4", 10) as video:
        video.add(_frame(0, 33, 21))
    frames, _ = _read(tmp_path / "odd.mp4")
    assert frames[0].shape == (22, 34, 3)


def test_interrupted_video_leaves_nothing_and_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), video_writer(path, 10) as video:
        video.add(_frame(0))
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.mp4"]


def test_video_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no frame"), video_writer(tmp_path / "v.mp4", 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_missing_ffmpeg_is_one_sentence_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "no-such-ffmpeg"))
    with (
        pytest.raises(EngineError, match="pip install imageio-ffmpeg"),
        video_writer(tmp_path / "v.mp4", 10) as video,
    ):
        video.add(_frame(0))


def test_ffmpegs_own_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho 'Unknown encoder libx264' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(fake))
    with (
        pytest.raises(EngineError, match="Unknown encoder libx264"),
        video_writer(tmp_path / "v.mp4", 10) as video,
    ):
        for _ in range(3):
            video.add(_frame(0, 512, 512))


def test_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match="Cannot write"):
        write_png(tmp_path / "file" / "image.png", _frame(0))
