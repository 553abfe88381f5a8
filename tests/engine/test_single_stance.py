# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the feet of a subject stand in the picture tells how it is turned to its camera."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.fit import FitConfig
from ds4d_engine.fit.model import normalised_scene
from ds4d_engine.fit.start import start_gaussians
from ds4d_engine.single.guess import guess_surface
from ds4d_engine.single.limb_paths import limbs_of_clip
from ds4d_engine.single.stance import LEAST, MOST, standing_slant
from tests.engine.clip_footage import disc_alpha
from tests.engine.view_scenes import single_clip

SIZE, FRAMES = 128, 6
CAMERA = orbit_camera("input", SIZE)
GROUND, LEGS = 0.55, (-0.3, -0.1, 0.1, 0.3)  # below the camera, and beside the middle
FINE = 8  # times the size at which a picture is painted


def picture(
    slant: float, lifted: int | None = None, legs: tuple[float, ...] = LEGS
) -> NDArray[np.uint8]:
    """Paint a body on legs on level ground, one of them `lifted`, straight alpha."""
    alpha = np.zeros((SIZE * FINE, SIZE * FINE), np.uint8)
    for number, right in enumerate(legs):
        foot = np.array([right, 2 + slant * right, -GROUND * (0.92 if number == lifted else 1)])
        column = 64 + CAMERA.K[0, 0] * foot[0] / foot[1]
        row = 64 - CAMERA.K[0, 0] * foot[2] / foot[1]
        corners = ((column - 2, 60), (column + 2, row))
        cv2.rectangle(alpha, *[tuple(round(v * FINE) for v in at) for at in corners], 255, -1)
    cv2.rectangle(alpha, (34 * FINE, 40 * FINE), (94 * FINE, 70 * FINE), 255, -1)
    small = cv2.resize(alpha, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.dstack([np.full((SIZE, SIZE, 3), 120, np.uint8), small])


def slant_of(pictures: list[NDArray[np.uint8]]) -> float:
    clip = np.stack(pictures)
    return standing_slant(clip, limbs_of_clip(clip), CAMERA)


@pytest.mark.parametrize("slant", [-1.5, -0.6, 0.4, 1.0])
def test_feet_on_the_ground_tell_how_the_subject_is_turned(slant: float) -> None:
    assert slant_of([picture(slant)] * FRAMES) == pytest.approx(slant, rel=0.2, abs=0.1)


def test_the_mirror_image_is_turned_the_other_way() -> None:
    shown = picture(0.8)
    mirrored = slant_of([shown[:, ::-1]] * FRAMES)
    assert mirrored == pytest.approx(-slant_of([shown] * FRAMES), abs=0.02)


def test_feet_in_a_row_are_no_turn() -> None:
    assert slant_of([picture(0.0)] * FRAMES) == 0
    assert slant_of([picture(LEAST / 3)] * FRAMES) == 0


def test_feet_lifted_in_turn_are_no_turn() -> None:
    assert abs(slant_of([picture(0.0, lifted=0)] * FRAMES)) > 0
    assert slant_of([picture(0.0, lifted=frame % 4) for frame in range(8)]) == 0


def test_two_feet_may_stand_before_each_other_and_are_no_turn() -> None:
    assert slant_of([picture(0.8, legs=(-0.2, 0.2))] * FRAMES) == 0
    assert slant_of([picture(0.8, legs=(-0.2, 0.0, 0.2))] * FRAMES) > 0.5


def test_a_few_frames_with_feet_tell_nothing() -> None:
    legless = picture(0.8)
    legless[70:, :, 3] = 0
    assert slant_of([picture(0.8), picture(0.8), *[legless] * 4]) == 0


def test_what_has_no_legs_is_not_turned() -> None:
    disc = np.dstack([np.full((SIZE, SIZE, 3), 120), disc_alpha((64, 64), 30, SIZE, SIZE)])
    assert slant_of([disc.astype(np.uint8)] * FRAMES) == 0


def test_feet_above_the_horizon_tell_nothing() -> None:
    assert slant_of([np.roll(picture(0.8), -60, 0)] * FRAMES) == 0


def test_no_subject_is_seen_from_its_end() -> None:
    assert slant_of([picture(4.0)] * FRAMES) in (0, MOST)


@pytest.mark.parametrize("slant", [-1.2, 0.7])
def test_a_slanted_shape_is_farther_away_to_the_right_and_has_the_same_outline(
    slant: float,
) -> None:
    points = guess_surface(picture(0.0), CAMERA, slant=slant).points
    right, depth = points[:, 0] / (points[:, 1] + 2), points[:, 1]
    assert np.polyfit(2 * right, depth, 1)[0] == pytest.approx(slant, rel=0.05)
    columns = 64 + CAMERA.K[0, 0] * right
    assert columns.min() == pytest.approx(34, abs=1.5)
    assert columns.max() == pytest.approx(94, abs=1.5)


def test_a_fit_begins_with_a_shape_that_stands_as_its_feet_do() -> None:
    clip = single_clip([picture(-0.8)[..., 3]] * FRAMES)
    config = FitConfig.preset_named("draft", "clip")
    scene = normalised_scene(clip, config, torch.device("cpu"))
    means = start_gaussians(scene, config).means.numpy()
    right, depth = 2 * means[:, 0] / (means[:, 1] + 2), means[:, 1]
    assert np.polyfit(right, depth, 1)[0] == pytest.approx(-0.8, rel=0.2)
    spline = normalised_scene(clip, config.replace(motion="spline"), torch.device("cpu"))
    assert scene.slant < 0 == spline.slant
