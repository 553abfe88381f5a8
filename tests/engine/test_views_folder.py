# SPDX-License-Identifier: GPL-3.0-or-later
"""Views that were generated elsewhere, in every layout, and what is wrong with a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as iio
import numpy as np
import pytest

from ds4d_engine.data import Dataset
from ds4d_engine.seam.errors import DatasetError
from ds4d_engine.views import ViewOptions, build_provider
from tests.engine.view_scenes import SIZE, disc, single_clip

FRAMES = 3
SIX = "zero123plus-1.1"


def alpha(frame: int, view: int, size: int = SIZE) -> np.ndarray[Any, Any]:
    """A disc whose place tells frame and view."""
    return disc(size, 0.3 + 0.06 * view, 0.35 + 0.1 * frame, 0.2)


def picture(frame: int, view: int, ground: int = 255, size: int = SIZE) -> np.ndarray[Any, Any]:
    """The disc in dark red on a plain ground, without alpha."""
    rgb = np.full((size, size, 3), ground, np.uint8)
    rgb[alpha(frame, view, size) > 0] = (150, 20, 30)
    return rgb


def clip(frames: int = FRAMES) -> Dataset:
    return single_clip([alpha(t, 0) for t in range(frames)])


def write_frames(folder: Path, frames: int = FRAMES, views: int = 6, **options: Any) -> Path:
    for t in range(frames):
        # STAG4D's own names: "10_rgba" must follow "9_rgba".
        place = folder / f"{t + 8}_rgba"
        place.mkdir(parents=True)
        for v in range(views):
            iio.imwrite(place / f"{v}.png", picture(t, v, **options))
    return folder


def write_grids(folder: Path) -> Path:
    folder.mkdir()
    for t in range(FRAMES):
        rows = [np.hstack([picture(t, v, 127), picture(t, v + 1, 127)]) for v in (0, 2, 4)]
        iio.imwrite(folder / f"frame{t + 8}.png", np.vstack(rows))
    return folder


def write_view_folders(folder: Path) -> Path:
    for v in range(6):
        (folder / f"view{v}").mkdir(parents=True)
        for t in range(FRAMES):
            iio.imwrite(folder / f"view{v}" / f"{t + 8}.png", picture(t, v, 0))
    return folder


def write_videos(folder: Path) -> Path:
    folder.mkdir()
    for v in range(6):
        name = str(folder / f"000000_v{v + 1:03d}.mp4")
        writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), 12, (SIZE, SIZE))
        for t in range(FRAMES):
            writer.write(cv2.cvtColor(picture(t, v), cv2.COLOR_RGB2BGR))
        writer.release()
    return folder


def views(folder: Path, clip_: Dataset | None = None, **options: Any) -> Dataset:
    provider = build_provider(ViewOptions(provider="folder", folder=folder, **options))
    return provider.views(clip_ or clip())


def overlap(found: np.ndarray[Any, Any], true: np.ndarray[Any, Any]) -> float:
    a, b = found > 127, true > 127
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("write", [write_frames, write_grids, write_view_folders, write_videos])
def test_every_layout_gives_the_same_views(write: Any, tmp_path: Path) -> None:
    source = clip()
    result = views(write(tmp_path / "views"), source)
    assert len(result.cameras) == 7
    assert result.cameras[0] is source.cameras[0]
    assert result.images[0] is source.images[0]
    assert result.cameras[2].name == "az90_el-20"
    assert result.train == list(range(7))
    assert result.present.all()
    for v in range(6):
        for t in range(FRAMES):
            assert result.images[v + 1].shape == (FRAMES, SIZE, SIZE, 4)
            assert overlap(result.images[v + 1][t, ..., 3], alpha(t, v)) > 0.93, (t, v)


def test_real_alpha_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = write_frames(tmp_path)
    soft = np.dstack([picture(0, 0, 127), cv2.GaussianBlur(alpha(0, 0), (0, 0), 2)])
    iio.imwrite(folder / "8_rgba" / "0.png", soft)
    assert np.array_equal(views(folder).images[1][0], soft)


def test_larger_pictures_are_scaled_to_the_clip(tmp_path: Path) -> None:
    result = views(write_frames(tmp_path, size=2 * SIZE))
    assert result.cameras[1].width == SIZE
    assert result.cameras[1].K[0, 0] == pytest.approx(result.cameras[0].K[0, 0])
    assert overlap(result.images[3][1, ..., 3], alpha(1, 2)) > 0.93


def test_smaller_pictures_keep_their_size(tmp_path: Path) -> None:
    result = views(write_frames(tmp_path, size=SIZE // 2))
    assert result.images[1].shape[1] == result.cameras[1].width == SIZE // 2
    assert result.cameras[1].K[0, 0] == pytest.approx(result.cameras[0].K[0, 0] / 2)


def test_a_given_scale_multiplies_the_focal_lengths(tmp_path: Path) -> None:
    folder = write_frames(tmp_path)
    plain, scaled = views(folder), views(folder, scale="1.5")
    assert scaled.cameras[0].K[0, 0] == plain.cameras[0].K[0, 0]
    assert scaled.cameras[1].K[0, 0] == pytest.approx(1.5 * plain.cameras[1].K[0, 0])
    assert scaled.cameras[1].K[0, 2] == plain.cameras[1].K[0, 2]


def test_a_missing_view_is_named(tmp_path: Path) -> None:
    folder = write_frames(tmp_path)
    (folder / "9_rgba" / "4.png").unlink()
    with pytest.raises(DatasetError, match=r"9_rgba has 5 pictures.*\(4 is missing\)"):
        views(folder)


def test_another_number_of_frames_is_one_sentence(tmp_path: Path) -> None:
    folder = write_frames(tmp_path)
    with pytest.raises(DatasetError, match=r"has 3 folders with 6 pictures each.*5 frames"):
        views(folder, clip(5))
    with pytest.raises(DatasetError, match=r"has 3 folders, one per frame.*but 5 are needed"):
        views(folder, clip(5), layout="frames")


def test_a_short_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"az30_el\+30 in .*v001.mp4 has 3 frames, but 4"):
        views(write_videos(tmp_path / "views"), clip(4))


def test_as_many_frames_as_views_must_be_told_apart(tmp_path: Path) -> None:
    folder = write_frames(tmp_path, frames=6)
    with pytest.raises(DatasetError, match=r"--views-layout"):
        views(folder, clip(6))
    by_frame = views(folder, clip(6), layout="frames")
    by_view = views(folder, clip(6), layout="videos")
    assert np.array_equal(by_frame.images[2][5], by_view.images[6][1])


def test_a_mixed_folder_is_one_sentence(tmp_path: Path) -> None:
    folder = write_grids(tmp_path / "views")
    (folder / "more").mkdir()
    with pytest.raises(DatasetError, match=r"folders and pictures"):
        views(folder)
    assert len(views(folder, layout="grids").cameras) == 7


def test_an_empty_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no views"):
        views(tmp_path)


def test_a_grid_of_another_shape_is_named(tmp_path: Path) -> None:
    folder = write_grids(tmp_path / "views")
    iio.imwrite(folder / "frame9.png", picture(0, 0))
    with pytest.raises(DatasetError, match=r"frame9.png is 64 x 64 pixels, no grid"):
        views(folder)


def test_grids_need_six_cameras(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there are 4 view cameras"):
        views(write_grids(tmp_path / "views"), cameras="sv4d2")


def test_pictures_that_are_not_square_are_named(tmp_path: Path) -> None:
    folder = write_frames(tmp_path)
    iio.imwrite(folder / "8_rgba" / "0.png", picture(0, 0)[:40])
    with pytest.raises(DatasetError, match=r"0.png is 64 x 40 pixels; views must be square"):
        views(folder)


def test_a_picture_without_alpha_or_plain_background_is_named(tmp_path: Path) -> None:
    folder = write_frames(tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
    iio.imwrite(folder / "9_rgba" / "3.png", noise)
    with pytest.raises(DatasetError, match=r"3.png has neither alpha nor a plain background"):
        views(folder)


def test_pictures_of_different_sizes_are_one_sentence(tmp_path: Path) -> None:
    folder = write_frames(tmp_path)
    iio.imwrite(folder / "9_rgba" / "1.png", picture(1, 1, size=32))
    with pytest.raises(DatasetError, match=r"az90_el-20 have different sizes"):
        views(folder)


def test_views_are_added_to_a_single_clip_only(tmp_path: Path) -> None:
    folder = write_frames(tmp_path)
    several = views(folder)
    with pytest.raises(DatasetError, match=r"has 7 cameras"):
        views(folder, several)
