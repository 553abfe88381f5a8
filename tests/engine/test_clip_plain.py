# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects before plain backgrounds, and what must not be taken for one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ds4d_engine.clip import ClipOptions
from ds4d_engine.clip.finding import find_matte
from ds4d_engine.clip.footage import Footage, read_footage
from ds4d_engine.clip.mattes import Matte
from ds4d_engine.clip.plain import key, plain_background, soft_edge
from ds4d_engine.clip.sources import open_source
from ds4d_engine.seam import DatasetError, Progress, silent
from tests.engine.clip_footage import (
    HEIGHT,
    RED,
    WIDTH,
    Pixels,
    disc_alpha,
    moving_alphas,
    over,
    overlap,
    write_mp4,
    write_pictures,
)

BACKGROUNDS = {
    "white": (255, 255, 255),
    "off-white": (241, 238, 233),
    "black": (0, 0, 0),
    "green screen": (40, 190, 70),
}
WHITE = (255, 255, 255)


def found(path: Path, options: ClipOptions | None = None) -> tuple[Matte, Footage]:
    options = options or ClipOptions()
    footage = read_footage(open_source(path), options, silent)
    return find_matte(footage, options, silent), footage


def opaque(picture: Pixels) -> Pixels:
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


def keyed(picture: Pixels) -> np.ndarray:
    background = plain_background(opaque(picture)[None])
    assert background is not None
    return key(picture, background)


@pytest.mark.parametrize("color", BACKGROUNDS.values(), ids=BACKGROUNDS)
@pytest.mark.parametrize("textured", [False, True], ids=["flat", "textured"])
def test_an_object_is_found_before_any_flat_colour_despite_the_codec(
    color: tuple[int, int, int], textured: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.normal(0, 120, (HEIGHT, WIDTH, 3)), (0, 0), 2)
    paint = np.clip(np.asarray(RED) + (noise if textured else 0), 0, 255)
    alphas = moving_alphas()
    path = write_mp4(tmp_path / "clip.mp4", [over(a, paint, color) for a in alphas])
    matte, footage = found(path)
    assert matte.name == "plain"
    for mask, alpha in zip(matte.masks, alphas, strict=True):
        assert overlap(mask, alpha) > 0.9
    for (_, alpha_found, _), alpha in zip(matte.cutouts(footage), alphas, strict=True):
        assert overlap(alpha_found, alpha) > 0.95
        assert abs(float(alpha_found.sum()) / float(alpha.sum()) - 1) < 0.05


def test_white_parts_before_white_get_no_holes() -> None:
    face = over(disc_alpha((80, 60), 40), (60, 60, 70), WHITE)
    # Shaded as paint is: near white in the middle, darker towards the rim.
    ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH]
    shade = 248 - 0.4 * np.hypot(xs - 80, ys - 60)
    inner = disc_alpha((80, 60), 30)
    face = over(inner, np.repeat(shade[..., None], 3, axis=2), face)
    mask = keyed(face)
    assert mask[inner == 255].all()


def test_background_seen_between_arm_and_body_stays_open() -> None:
    arm = disc_alpha((60, 60), 25).astype(int) - disc_alpha((60, 60), 15)
    body = disc_alpha((100, 60), 30)
    alpha = np.maximum(np.clip(arm, 0, 255).astype(np.uint8), body)
    mask = keyed(over(alpha, RED, (244, 244, 240)))
    hole = (disc_alpha((60, 60), 12) == 255) & (alpha == 0)
    assert not mask[hole].any()
    assert overlap(mask.astype(np.uint8) * 255, alpha) > 0.9


def test_a_large_part_of_exactly_the_backgrounds_colour_is_paint() -> None:
    ring = disc_alpha((80, 60), 45).astype(int) - disc_alpha((80, 60), 40)
    drawn = over(np.clip(ring, 0, 255).astype(np.uint8), (20, 20, 20), WHITE)
    assert keyed(drawn)[disc_alpha((80, 60), 40) == 255].all()


@pytest.mark.parametrize("center", [(80, 118), (3, 60), (157, 117)], ids=["foot", "side", "corner"])
def test_an_object_cut_by_the_border_is_kept_and_not_the_background(
    center: tuple[float, float],
) -> None:
    alpha = disc_alpha(center, 45)
    mask = keyed(over(alpha, RED, (235, 235, 235)))
    assert overlap(mask.astype(np.uint8) * 255, alpha) > 0.95


def test_an_object_that_fills_one_whole_side_is_not_the_background() -> None:
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[60:] = 255  # shoulders: the whole bottom side, half of left and right
    alpha[20:60, 50:110] = 255
    mask = keyed(over(alpha, RED, (235, 235, 235)))
    assert overlap(mask.astype(np.uint8) * 255, alpha) > 0.97


def test_specks_are_dropped_and_parts_are_kept() -> None:
    alpha = np.maximum(disc_alpha((80, 60), 30), disc_alpha((140, 30), 6))
    drawn = over(alpha, RED, WHITE)
    drawn[5:7, 5:7] = 0
    mask = keyed(drawn)
    assert not mask[:10, :10].any()
    assert mask[30, 140]


def test_a_soft_edge_unmixes_the_background() -> None:
    alpha = cv2.GaussianBlur(disc_alpha((80, 60), 30), (0, 0), 1.2)
    picture = over(alpha, RED, WHITE)
    background = plain_background(opaque(picture)[None])
    assert background is not None
    mask = key(picture, background)
    error = np.abs(soft_edge(picture, mask, background).astype(int) - alpha)
    assert error.mean() < 0.15 * np.abs(mask * 255 - alpha.astype(int)).mean()
    assert error.max() < 60


def test_a_room_is_no_plain_background() -> None:
    rng = np.random.default_rng(1)
    room = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (WIDTH, HEIGHT))
    assert plain_background(opaque(room)[None]) is None
    wall = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    wall[:] += np.linspace(-60, 40, WIDTH).astype(np.int8).view(np.uint8)[None, :, None]
    assert plain_background(opaque(wall)[None]) is None


def test_a_frame_whose_mask_jumps_takes_its_neighbours(tmp_path: Path) -> None:
    alphas = moving_alphas(count=9, step=1)
    frames = [over(a, RED, WHITE) for a in alphas]
    frames[4] = np.full_like(frames[4], 255)
    events: list[Progress] = []
    footage = read_footage(
        open_source(write_pictures(tmp_path / "f", frames)), ClipOptions(), silent
    )
    matte = find_matte(footage, ClipOptions(), events.append)
    assert overlap(matte.masks[4], alphas[4]) > 0.9
    assert "frames 4" in events[-1].message and "plain" in events[-1].message


@pytest.mark.parametrize("color", [(255, 255, 255), (0, 0, 0), (90, 120, 60)])
def test_nothing_but_background_is_refused(color: tuple[int, int, int], tmp_path: Path) -> None:
    frames = [np.full((HEIGHT, WIDTH, 3), color, np.uint8)] * 4
    with pytest.raises(DatasetError, match="no object that differs from its background"):
        found(write_mp4(tmp_path / "clip.mp4", frames))


def test_an_object_that_leaves_the_picture_is_named_by_frame(tmp_path: Path) -> None:
    frames = [over(a, RED, WHITE) for a in moving_alphas(count=10)]
    frames += [np.full((HEIGHT, WIDTH, 3), 255, np.uint8)] * 8
    folder = write_pictures(tmp_path / "f", frames)
    with pytest.raises(DatasetError, match=r"in frame 1\d .*--start and --end"):
        found(folder, ClipOptions(start=2))


def test_a_plain_background_may_be_insisted_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(3)]
    with pytest.raises(DatasetError, match="no plain background"):
        found(write_pictures(tmp_path / "f", frames), ClipOptions(matte="plain"))
