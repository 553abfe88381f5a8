# SPDX-License-Identifier: GPL-3.0-or-later
"""What one picture leaves open is decided by its outline, unless an artist says otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.fit.start import SINGLE_SIGMA
from ds4d_engine.raster import rasterize
from ds4d_engine.single.guess import REACH, guess_surface
from ds4d_engine.single.key_frame import choose_key_frame, outline_length
from ds4d_engine.single.outlook import mirror_overlap, seen_from_side
from ds4d_engine.single.surface import Surface
from tests.engine.clip_footage import disc_alpha
from tests.engine.moving_square import textured

SIZE = 64
CAMERA = orbit_camera("input", SIZE)
Mask = NDArray[np.bool_]


def person() -> Mask:
    """Upright, alike left and right: head, body, arms, legs."""
    mask = disc_alpha((32, 12), 6, SIZE, SIZE) > 127
    mask[16:40, 25:39] = True
    mask[18:22, 14:50] = True
    mask[40:60, 25:30] = mask[40:60, 34:39] = True
    return mask


def animal() -> Mask:
    """Longer than high: a thin tail, a body that thickens, a neck and a head at its end."""
    mask = np.zeros((SIZE, SIZE), bool)
    for column in range(4, 48):
        half = 1 + (column - 4) // 5
        mask[32 - half : 32 + half, column] = True
    mask[14:34, 44:50] = True
    mask[12:20, 44:60] = True
    mask[36:50, 34:38] = mask[36:50, 43:47] = True
    return mask


def picture(mask: Mask) -> NDArray[np.uint8]:
    """Paint a mask blue, with a broad green rim."""
    import scipy.ndimage as ndi

    inner = ndi.binary_erosion(mask, iterations=4)
    colors = np.where(inner[..., None], (30, 60, 200), (30, 160, 60))
    return np.dstack([colors, 255 * mask]).astype(np.uint8)


def depth_of(surface: Surface) -> float:
    """Return how deep a surface is drawn: Gaussians reach beyond their centres."""
    pixel = float(np.linalg.norm(CAMERA.position) / CAMERA.K[0, 0])
    return float(np.ptp(surface.points[:, 1])) + 2 * REACH * pixel


def blue_behind(surface: Surface) -> float:
    behind = surface.colors[surface.points[:, 1] > 0.02] * 255
    return float((np.abs(behind - (30, 60, 200)).max(1) < 20).mean())


def test_a_person_is_seen_from_the_front_and_an_animal_in_profile_from_its_side() -> None:
    assert not seen_from_side(person())
    assert seen_from_side(animal())


@pytest.mark.parametrize("shape", [person, animal])
def test_the_outlook_does_not_depend_on_place_or_on_left_and_right(shape: object) -> None:
    mask = shape()  # type: ignore[operator]
    for other in (mask[:, ::-1], np.roll(mask, (3, -4), (0, 1)), mask.repeat(2, 0).repeat(2, 1)):
        assert seen_from_side(other) == seen_from_side(mask)


def test_a_symmetric_outline_is_its_own_mirror_image_wherever_it_is() -> None:
    assert mirror_overlap(person()) == 1
    assert mirror_overlap(np.roll(person(), 9, 1)) == 1
    assert 0 < mirror_overlap(animal()) < 0.9


def test_nothing_is_seen_from_no_side() -> None:
    assert not seen_from_side(np.zeros((8, 8), bool))


def test_what_is_seen_from_its_side_is_thinner_and_alike_behind() -> None:
    side = guess_surface(picture(animal()), CAMERA)
    forced = guess_surface(picture(animal()), CAMERA, thickness=1.0, back="rim")
    assert depth_of(side) < 0.8 * depth_of(forced)
    assert blue_behind(side) > 0.1 > blue_behind(forced)


def test_what_faces_the_camera_does_not_show_its_middle_behind() -> None:
    assert blue_behind(guess_surface(picture(person()), CAMERA)) < 0.02
    assert blue_behind(guess_surface(picture(person()), CAMERA, back="mirror")) > 0.02


@pytest.mark.parametrize("shape", [person, animal])
def test_a_thickness_that_is_given_scales_the_depth(shape: object) -> None:
    given = picture(shape())  # type: ignore[operator]
    thin, thick = (guess_surface(given, CAMERA, thickness=value) for value in (0.5, 1.5))
    assert depth_of(thick) == pytest.approx(3 * depth_of(thin), rel=0.15)


@pytest.mark.parametrize("radius", [4, 10, 18])
def test_a_ball_is_drawn_as_deep_as_it_is(radius: int) -> None:
    large = orbit_camera("input", 2 * SIZE)
    ball = guess_surface(picture(disc_alpha((64, 64), radius, 128, 128) > 127), large, thickness=1)
    sizes = torch.full((len(ball.points), 3), SINGLE_SIGMA * ball.spacing)
    turned = orbit_camera("side", 2 * SIZE, azimuth_degrees=90)
    drawn = rasterize(
        torch.from_numpy(ball.points),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(len(sizes), 1),
        sizes,
        torch.full((len(sizes),), 0.92),
        torch.ones_like(sizes),
        turned.viewmat,
        turned.K,
        turned.width,
        turned.height,
        backend="cpu",
    )
    assert int((drawn.alphas[64] > 0.5).sum()) == pytest.approx(2 * radius, abs=1)


@pytest.mark.parametrize("most", [300, 900, 1_500])
def test_there_are_no_more_points_than_can_be_afforded_and_the_shape_stays(most: int) -> None:
    whole = guess_surface(picture(person()), CAMERA)
    part = guess_surface(picture(person()), CAMERA, most=most)
    assert 0.5 * most < len(part.points) <= most < len(whole.points)
    assert part.spacing > whole.spacing
    extent = np.ptp(whole.points, axis=0)
    assert np.abs(np.ptp(part.points, axis=0) - extent).max() < 3 * part.spacing


def limbs(spread: int) -> NDArray[np.uint8]:
    """A textured body whose two arms hang `spread` pixels beside it, straight alpha."""
    shown = textured(SIZE, (0, SIZE, 0, SIZE))
    shown[..., 3] = 0
    shown[10:54, 24:40, 3] = 255
    shown[12:16, 24 - spread - 4 : 44 + spread, 3] = 255
    shown[12:36, 20 - spread : 24 - spread, 3] = shown[12:36, 40 + spread : 44 + spread, 3] = 255
    return shown


def test_an_outline_is_as_long_as_its_shape_is_round() -> None:
    square = np.zeros((SIZE, SIZE), np.uint8)
    square[10:30, 10:30] = 255
    assert outline_length(square) == pytest.approx(4 * 20, rel=0.06)
    hole = square.copy()
    hole[15:25, 15:25] = 0
    assert outline_length(hole) > outline_length(square) + 30
    assert outline_length(np.zeros((8, 8), np.uint8)) == 0


def test_the_key_frame_shows_the_limbs_apart() -> None:
    opened = np.stack([limbs(8 if frame > 6 else 0) for frame in range(13)])
    assert choose_key_frame(opened) in (7, 8)
    assert choose_key_frame(opened[::-1]) in (4, 5)


def test_a_key_frame_that_nothing_can_be_followed_from_is_not_taken() -> None:
    clip = np.stack([limbs(4)] * 13)
    clip[[7, 8]] = 0
    clip[[7, 8], ::2, ::2] = (255, 0, 0, 255)  # the longest outline of all
    assert choose_key_frame(clip) not in (7, 8)


@pytest.mark.parametrize("frames", [1, 2, 5, 12])
def test_among_equals_the_key_frame_is_the_middle_one(frames: int) -> None:
    assert choose_key_frame(np.stack([limbs(3)] * frames)) == frames // 2


def test_the_key_frame_is_never_near_an_end() -> None:
    clip = np.stack([limbs(8 if frame in (0, 1, 12) else 0) for frame in range(13)])
    assert 3 <= choose_key_frame(clip) <= 9


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_a_short_clip_has_a_key_frame_too(frames: int) -> None:
    assert 0 <= choose_key_frame(np.stack([limbs(2 * frame) for frame in range(frames)])) < frames


def test_a_key_frame_shows_the_subject_where_it_is_missing_for_a_while() -> None:
    clip = np.stack([limbs(3)] * 13)
    clip[5:8, ..., 3] = 0
    assert choose_key_frame(clip) in (4, 8)
