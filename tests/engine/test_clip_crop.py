# SPDX-License-Identifier: GPL-3.0-or-later
"""The square window around the object, and what is cut out of it."""

from __future__ import annotations

import numpy as np
import pytest

from ds4d_engine.clip.crop import FILL, plan_crop, square_crop
from ds4d_engine.clip.cutting import cut
from ds4d_engine.clip.regions import Box, mask_box
from ds4d_engine.data.images import scale_down
from ds4d_engine.data.orbit import orbit_camera
from tests.engine.clip_footage import RED, Pixels, disc_alpha, over

FULL = (1.0, 1.0)


def discs(centers: list[tuple[float, float]], radius: float = 12) -> Pixels:
    return np.stack([disc_alpha(center, radius) for center in centers])


def test_an_object_of_length_1_4_before_the_standard_camera_fills_the_same_share() -> None:
    camera = orbit_camera("input", 128)
    half = camera.K[0, 0] * 0.7 / 2.0  # an object 1.4 long at distance 2
    assert pytest.approx(2 * half / 128) == FILL
    assert pytest.approx(0.766, abs=5e-4) == FILL


def test_an_object_that_stays_gets_a_window_that_stands_still() -> None:
    masks = discs([(80 + 4 * np.sin(t), 60 + 3 * np.cos(t)) for t in range(20)])
    crop = plan_crop(masks, FULL)
    assert not crop.moves
    union = mask_box((masks >= 64).any(0))
    assert union is not None
    assert crop.side * FILL == pytest.approx(union.side)
    assert tuple(crop.centers[0]) == union.center


def test_a_window_follows_an_object_that_travels_smoothly_and_holds_all_of_it() -> None:
    rng = np.random.default_rng(0)
    jitter = rng.normal(0, 1.0, (40, 2))
    centers = [(20 + 3 * t + jitter[t, 0], 60 + jitter[t, 1]) for t in range(40)]
    masks = discs(centers)
    crop = plan_crop(masks, FULL)
    assert crop.moves
    assert crop.side * FILL == pytest.approx(max(mask_box(m >= 64).side for m in masks))  # type: ignore[union-attr]
    for t, mask in enumerate(masks):
        box, window = mask_box(mask >= 64), crop.window(t)
        assert box is not None
        assert window.left <= box.left and box.right <= window.right
        assert window.top <= box.top and box.bottom <= window.bottom
    # No jitter: the path bends far less than the object's own.
    bend = np.abs(np.diff(crop.centers, 2, axis=0)).max()
    assert bend < 0.05 * np.abs(np.diff(np.array(centers), 2, axis=0)).max()
    assert np.diff(crop.centers[:, 0]).min() > 2.0


def test_a_window_keeps_up_with_sudden_turns() -> None:
    xs = np.abs((np.arange(60) * 5) % 200 - 100) + 30
    masks = discs([(float(x), 60) for x in xs], radius=8)
    crop = plan_crop(masks, FULL)
    for t, mask in enumerate(masks):
        box, window = mask_box(mask >= 64), crop.window(t)
        assert box is not None and window.left <= box.left and box.right <= window.right


def test_frames_without_an_object_are_bridged() -> None:
    masks = discs([(20 + 6 * t, 60) for t in range(20)])
    masks[5:8] = 0
    crop = plan_crop(masks, FULL)
    assert np.isfinite(crop.centers).all()
    assert np.abs(np.diff(crop.centers[:, 0])).max() < 8


def test_windows_are_in_source_pixels() -> None:
    crop = plan_crop(discs([(80, 60)] * 3), (0.25, 0.25))
    np.testing.assert_allclose(crop.centers[0], (320, 240))
    assert crop.side * FILL == pytest.approx(4 * 24)


def test_a_whole_number_window_averages_as_scaling_down_does() -> None:
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (64, 64, 4), np.uint8)
    found = cut(rgba, rgba[..., 3], Box(0, 0, 64, 64), 32, clean=True)
    expected = scale_down(rgba, 32, 32)
    seen = expected[..., 3] > 16
    assert np.abs(found.astype(int) - expected)[seen].max() <= 1
    assert np.abs(found[..., 3].astype(int) - expected[..., 3]).max() <= 1


def test_what_lies_outside_of_the_picture_is_transparent() -> None:
    alpha = np.full((40, 40), 255, np.uint8)
    rgb = np.full((40, 40, 3), 200, np.uint8)
    found = cut(rgb, alpha, Box(-20, -20, 60, 60), 40, clean=True)
    assert (found[10:30, 10:30] == (200, 200, 200, 255)).all()
    assert not found[:10].any() and not found[:, 30:].any()


def test_moving_the_window_by_a_part_of_a_pixel_moves_the_object_by_as_much() -> None:
    alpha = disc_alpha((80, 60), 25)
    rgb = over(alpha, RED, (255, 255, 255))

    def centroid(left: float) -> float:
        found = cut(rgb, alpha, Box(left, 20, left + 80, 100), 64, clean=False)[..., 3]
        return float((found.sum(0) * np.arange(64)).sum() / found.sum())

    still = centroid(40.0)
    for shift in (0.3, 0.5, 1.7):
        assert still - centroid(40 + shift) == pytest.approx(shift * 64 / 80, abs=0.02)


def test_small_sources_are_interpolated_not_repeated() -> None:
    alpha = disc_alpha((20, 20), 12, 40, 40)
    found = cut(over(alpha, RED, (0, 0, 0)), alpha, Box(0, 0, 40, 40), 160, clean=False)
    assert found.shape == (160, 160, 4)
    rise = found[80, :80, 3].astype(int)
    assert len(np.unique(rise)) >= 6 and (np.diff(rise) >= 0).all()


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (0, 255, 0)])
def test_edges_show_no_background(background: tuple[int, int, int]) -> None:
    alpha = disc_alpha((80, 60), 40)
    picture = over(alpha, RED, background)
    found = cut(picture, alpha, Box(30, 10, 130, 110), 50, clean=False)
    seen = found[..., 3] > 0
    assert np.abs(found[seen][:, :3].astype(int) - RED).max() <= 2


def test_parts_too_thin_to_have_an_inside_keep_their_colour() -> None:
    alpha = np.zeros((120, 160), np.uint8)
    alpha[30:100, 40:110] = 255
    alpha[10:30, 74:76] = 255  # an antenna
    picture = over(alpha, RED, (255, 255, 255))
    picture[10:30, 74:76] = (20, 20, 220)
    found = cut(picture, alpha, Box(20, 0, 140, 120), 60, clean=False)
    antenna = found[7:12, 26:29].reshape(-1, 4)
    antenna = antenna[antenna[:, 3] > 100]
    assert len(antenna) and (antenna[:, 2] > 180).all() and (antenna[:, 0] < 60).all()


def test_without_an_object_the_window_is_the_largest_square() -> None:
    crop = square_crop(160, 120, 4)
    assert crop.window(3) == Box(20, 0, 140, 120)
    assert not crop.moves
