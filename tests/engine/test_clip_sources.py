# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a clip, the order of its frames, and what each format yields."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ds4d_engine.clip import is_clip
from ds4d_engine.clip.sources import Video, natural_key, open_source
from ds4d_engine.seam import DatasetError
from tests.engine.clip_footage import (
    COUNT,
    HEIGHT,
    RED,
    WIDTH,
    moving_alphas,
    over,
    overlap,
    with_alpha,
    write_ffmpeg,
    write_mp4,
    write_pictures,
)

X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "10")
OPAQUE = {
    "clip.mp4": X264,
    "clip.mov": X264,
    "clip.mkv": X264,
    "clip.m4v": X264,
    "clip.avi": ("-c:v", "ffv1"),
    "clip.webm": ("-c:v", "libvpx-vp9", "-crf", "20", "-b:v", "1M"),
    "clip.gif": ("-filter_complex", "split[a][b];[a]palettegen[p];[b][p]paletteuse"),
}
TRANSPARENT = {
    "vp9.webm": ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-b:v", "1M"),
    "vp8.webm": ("-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0", "-b:v", "1M"),
    "prores.mov": ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"),
    "animation.mov": ("-c:v", "qtrle", "-pix_fmt", "argb"),
    "ffv1.mkv": ("-c:v", "ffv1", "-pix_fmt", "bgra"),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_every_frame_of_each_format_is_read(name: str, tmp_path: Path) -> None:
    alphas = moving_alphas(step=10)
    frames = [over(alpha, RED, (240, 240, 240)) for alpha in alphas]
    path = write_ffmpeg(tmp_path / name, frames, *OPAQUE[name])
    source = open_source(path).counted()
    assert is_clip(path)
    assert source.count == COUNT
    assert source.fps == pytest.approx(25, rel=0.01)
    read = list(source.frames(range(COUNT)))
    assert len(read) == COUNT
    for rgba, frame in zip(read, frames, strict=True):
        assert rgba.shape == (HEIGHT, WIDTH, 4) and rgba.min(axis=(0, 1))[3] == 255
        assert np.abs(rgba[..., :3].astype(int) - frame).mean() < 6
    np.testing.assert_array_equal(next(iter(source.frames([4]))), read[4])


@pytest.mark.parametrize("name", TRANSPARENT)
def test_a_videos_alpha_channel_is_read(name: str, tmp_path: Path) -> None:
    alphas = moving_alphas()
    path = write_ffmpeg(tmp_path / name, [with_alpha(a) for a in alphas], *TRANSPARENT[name])
    source = open_source(path).counted()
    assert source.count == COUNT
    for rgba, alpha in zip(source.frames([0, 3, 5]), (alphas[t] for t in (0, 3, 5)), strict=True):
        assert overlap(rgba[..., 3], alpha) > 0.97
        assert rgba[..., 3].min() < 8 and rgba[..., 3].max() > 247
        inside = rgba[alpha == 255][:, :3].astype(int)
        assert np.abs(inside - RED).mean() < 12


@pytest.mark.parametrize(("name", "tolerance"), [("a.gif", 0.95), ("a.webp", 0.99), ("a.png", 1.0)])
def test_an_animated_pictures_transparency_is_read(
    name: str, tolerance: float, tmp_path: Path
) -> None:
    alphas = [np.where(a >= 128, 255, 0).astype(np.uint8) for a in moving_alphas()]
    pictures = [Image.fromarray(with_alpha(alpha)) for alpha in alphas]
    path = tmp_path / name
    options = {"lossless": True} if name.endswith("webp") else {"disposal": 2}
    if name.endswith("png"):
        options = {"disposal": 1, "blend": 0}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=80, **options)
    source = open_source(path)
    assert source.count == COUNT and source.fps == pytest.approx(12.5)
    for rgba, alpha in zip(source.frames([1, 2, 5]), (alphas[t] for t in (1, 2, 5)), strict=True):
        assert overlap(rgba[..., 3], alpha) >= tolerance


def test_pictures_are_taken_in_natural_order(tmp_path: Path) -> None:
    frames = [np.full((20, 30, 3), 10 + 7 * t, np.uint8) for t in range(32)]
    folder = write_pictures(tmp_path / "frames", frames)
    values = [int(rgba[0, 0, 0]) for rgba in open_source(folder).frames(range(32))]
    assert values == [10 + 7 * t for t in range(32)]
    names = [Path(name) for name in ("shot2_frame10.png", "shot2_frame9.png", "shot10_frame1.png")]
    assert [p.name for p in sorted(names, key=natural_key)] == [
        "shot2_frame9.png",
        "shot2_frame10.png",
        "shot10_frame1.png",
    ]


def test_grey_and_16_bit_pictures_are_read(tmp_path: Path) -> None:
    grey = [np.full((20, 30), 90, np.uint8)] * 2
    source = open_source(write_pictures(tmp_path / "g", grey))
    assert (next(source.frames([0])) == (90, 90, 90, 255)).all()
    deep = np.zeros((20, 30, 4), np.uint16)
    deep[:] = (10 * 257, 20 * 257, 30 * 257, 65535)  # BGRA
    (tmp_path / "d").mkdir()
    for t in range(2):
        cv2.imwrite(str(tmp_path / "d" / f"{t}.png"), deep)
    assert (next(open_source(tmp_path / "d").frames([1])) == (30, 20, 10, 255)).all()


def test_photographs_are_turned_as_their_camera_noted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees
    for t in range(2):
        Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(tmp_path / f"{t}.jpg", exif=exif)
    assert next(open_source(tmp_path).frames([0])).shape == (30, 20, 4)


def test_datasets_and_other_files_are_no_clips(tmp_path: Path) -> None:
    frames = [np.zeros((20, 30, 3), np.uint8)] * 2
    folder = write_pictures(tmp_path / "frames", frames)
    assert is_clip(folder)
    (folder / "transforms_train.json").write_text("{}")
    assert not is_clip(folder)
    (folder / "transforms_train.json").unlink()
    (folder / "cameras.json").write_text("{}")
    assert not is_clip(folder)
    (tmp_path / "empty").mkdir()
    assert not is_clip(tmp_path / "empty")
    assert not is_clip(tmp_path / "asset.ds4d")
    assert is_clip("missing.MP4")


def refusal(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        source = open_source(path).counted()
        list(source.frames(range(source.count)))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert "name a video or a folder" in refusal(tmp_path / "missing.mp4")
    (tmp_path / "text.mp4").write_text("no video at all")
    assert "text.mp4 is not a video" in refusal(tmp_path / "text.mp4")
    (tmp_path / "text.gif").write_text("no picture at all")
    assert "text.gif is not a readable picture" in refusal(tmp_path / "text.gif")
    (tmp_path / "empty").mkdir()
    assert "holds no pictures" in refusal(tmp_path / "empty")


def test_a_folder_with_an_unreadable_picture_names_it(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "f", [np.zeros((20, 30, 3), np.uint8)] * 3)
    (folder / "1.png").write_bytes(b"broken")
    assert "1.png is not a readable picture" in refusal(folder)


def test_pictures_of_two_sizes_are_both_named(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "f", [np.zeros((20, 30, 3), np.uint8)] * 3)
    cv2.imwrite(str(folder / "2.png"), np.zeros((20, 31, 3), np.uint8))
    message = refusal(folder)
    assert "0.png is 30 x 20" in message and "2.png is 31 x 20" in message


def test_pictures_of_two_kinds_are_refused(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "f", [np.zeros((20, 30, 3), np.uint8)] * 2)
    write_pictures(folder, [np.zeros((20, 30, 3), np.uint8)] * 2, "{}.jpg")
    assert "mixes .jpg and .png" in refusal(folder)


def test_a_video_whose_codec_is_missing_is_refused(tmp_path: Path) -> None:
    frames = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 3
    path = write_ffmpeg(tmp_path / "odd.avi", frames, "-c:v", "ffv1")
    path.write_bytes(path.read_bytes().replace(b"FFV1", b"ZQ9Z"))
    assert "odd.avi" in refusal(path)


def test_a_truncated_video_says_how_much_is_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(20)]
    path = write_mp4(tmp_path / "cut.mp4", frames)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    message = refusal(path)
    assert "breaks off at frame" in message and "--end" in message
    end = int(message.split("--end ")[1].split(",")[0])
    assert 4 < end < 20
    assert len(list(open_source(path).frames(range(end)))) == end


def test_a_container_without_a_frame_count_is_counted(tmp_path: Path) -> None:
    frames = [over(a, RED, (250, 250, 250)) for a in moving_alphas(count=9)]
    # A live stream: the header holds neither duration nor count, as browsers record it.
    path = write_ffmpeg(tmp_path / "live.mkv", frames, *X264, "-live", "1", "-f", "matroska")
    assert open_source(path).counted().count == 9


def test_estimates_of_a_count_are_made_exact_before_use(tmp_path: Path) -> None:
    frames = [over(a, RED, (250, 250, 250)) for a in moving_alphas(count=9)]
    path = write_ffmpeg(tmp_path / "clip.mkv", frames, *X264)
    source = open_source(path)
    assert isinstance(source, Video)
    wrong = Video(path, 11, source.fps, source.width, source.height, source.decoder)
    assert wrong.counted().count == 9
