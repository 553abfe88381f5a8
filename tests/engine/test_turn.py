# SPDX-License-Identifier: GPL-3.0-or-later
"""A subject that turns round is recognised, its angles found, its shape carved; others are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.metrics import mask_iou
from ds4d_engine.render import gaussians_at, render_gaussians
from ds4d_engine.seam.asset import read_asset
from ds4d_engine.seam.errors import ConfigError
from ds4d_engine.single.carve import grid
from ds4d_engine.single.carved_surface import carved_surface
from ds4d_engine.single.turn import Turn, turning_by_flow
from ds4d_engine.single.turn_search import find_turn
from tests.engine.moving_square import as_dataset, square_clip
from tests.engine.turning_body import body_picture, inside_body, turning_clip

FRAMES, SIZE = 25, 48
KEY = FRAMES // 2
CAMERA = orbit_camera("input", SIZE)
UP = np.array([0.0, 0.0, 1.0])
Angles = Callable[[np.ndarray], np.ndarray]


def angles_of(shape: Angles) -> np.ndarray:
    return shape(np.linspace(0, 1, FRAMES))


def faster_and_faster(part: np.ndarray) -> np.ndarray:
    return math.radians(330) * (0.7 * part + 0.3 * part**2)


def once_round(part: np.ndarray) -> np.ndarray:
    return math.radians(345) * part


def other_way(part: np.ndarray) -> np.ndarray:
    return -math.radians(240) * part


@pytest.mark.parametrize("shape", [once_round, other_way, faster_and_faster])
def test_the_angle_of_every_frame_is_found(shape: Angles) -> None:
    true = angles_of(shape)
    turn = find_turn(turning_clip(true), CAMERA, KEY)
    assert turn is not None
    off = np.degrees(turn.angles - (true - true[KEY]))
    assert np.abs(off).max() < 12 and np.abs(off).mean() < 5
    assert turn.degrees == pytest.approx(math.degrees(true[-1] - true[0]), abs=8)


def test_an_axis_beside_the_middle_of_the_picture_is_found() -> None:
    turn = find_turn(turning_clip(angles_of(once_round), axis=0.15), CAMERA, KEY)
    assert turn is not None
    assert turn.axis[:, 0] == pytest.approx(0.15, abs=0.04)


def test_a_camera_that_looks_down_sees_the_axis_lean() -> None:
    turn = find_turn(turning_clip(angles_of(once_round), elevation=18), CAMERA, KEY)
    assert turn is not None and turn.degrees == pytest.approx(345, abs=10)
    assert math.degrees(math.atan2(-turn.up[1], turn.up[2])) == pytest.approx(18, abs=7)


def test_what_rests_swings_or_moves_across_does_not_turn() -> None:
    rest = turning_clip(np.zeros(FRAMES))
    swing = turning_clip(0.7 * np.sin(np.linspace(0, 4 * np.pi, FRAMES)))
    for clip in (rest, swing, square_clip(FRAMES, SIZE)):
        assert find_turn(clip, CAMERA, KEY) is None


def test_a_part_of_a_circle_is_no_turn_unless_the_artist_says_so() -> None:
    clip = turning_clip(angles_of(lambda part: math.radians(100) * part))
    assert find_turn(clip, CAMERA, KEY) is None
    turn = find_turn(clip, CAMERA, KEY, degrees=100)
    assert turn is not None and turn.degrees == pytest.approx(100, abs=10)


@pytest.mark.parametrize("frames", [1, 2])
def test_a_clip_of_hardly_a_frame_does_not_turn(frames: int) -> None:
    assert not turning_by_flow(turning_clip(np.zeros(frames))).sure


def test_the_carved_shape_is_the_body_in_its_pose_and_colours() -> None:
    true = angles_of(once_round)
    clip = turning_clip(true)
    turn = find_turn(clip, CAMERA, KEY)
    assert turn is not None
    surface = carved_surface(clip, CAMERA, turn, KEY)
    assert surface is not None
    cells = grid(40)
    matrix, _ = Turn(-true[[KEY]], np.zeros((1, 3)), np.zeros(3), UP).at(0)
    body = inside_body(cells @ matrix.T)
    distance, nearest = cKDTree(surface.points).query(cells[body])
    # every part of the body is inside of, or at, the surface, and the surface is nowhere far off
    rim = cells[body][distance < surface.spacing]
    assert len(rim) > 100
    off = cKDTree(cells[body]).query(surface.points)[0]
    assert np.percentile(off, 90) < 3 * surface.spacing
    assert nearest.max() < len(surface.points)


def test_fewer_points_are_given_where_fewer_are_wanted() -> None:
    clip = turning_clip(angles_of(once_round))
    turn = find_turn(clip, CAMERA, KEY, degrees=345)
    assert turn is not None
    surface = carved_surface(clip, CAMERA, turn, KEY, most=500)
    assert surface is not None and 300 < len(surface.points) <= 500


def test_a_turn_carries_its_axis_with_it() -> None:
    axis = np.array([[0.0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]])
    turn = Turn(np.array([-1.0, 0, 1.0]), axis, axis[1], UP)
    for frame in range(3):
        matrix, offset = turn.at(frame)
        assert matrix @ axis[1] + offset == pytest.approx(axis[frame])
    assert turn.at(1)[0] == pytest.approx(np.eye(3))
    assert turn.degrees == pytest.approx(math.degrees(2))


@pytest.mark.parametrize("turn", ["round", "-360", "20", "nan"])
def test_nonsense_is_refused_with_a_remedy(turn: str) -> None:
    with pytest.raises(ConfigError, match="turn must be auto, off, or"):
        FitConfig.preset_named("draft", "clip").replace(turn=turn)


def test_several_cameras_need_no_turn() -> None:
    with pytest.raises(ConfigError, match="clip of one camera"):
        FitConfig().replace(turn="360")


def test_a_fit_shows_sides_as_the_clip_did_and_says_so(tmp_path: Path) -> None:
    true = angles_of(once_round)
    told: list[str] = []
    config = FitConfig.preset_named("draft", "clip").replace(
        iterations=150, gaussians=2_000, max_gaussians=3_000, nodes=30, threads=1, backend="cpu"
    )
    path = tmp_path / "body.ds4d"
    fit(as_dataset(turning_clip(true)), config, path, listener=lambda e: told.append(e.message))
    assert any("the subject turns by about 3" in message for message in told)
    asset = read_asset(path)
    assert asset.provenance["turn_degrees"] == pytest.approx(345, abs=8)
    for frame, azimuth in ((4, 90.0), (KEY, 180.0)):
        camera = orbit_camera("side", SIZE, azimuth_degrees=azimuth)
        shown = render_gaussians(gaussians_at(asset, frame), camera, blend=asset.blend).alphas
        truth = body_picture(float(true[frame]), SIZE, azimuth=azimuth)[..., 3] / np.float32(255)
        assert mask_iou(shown, truth) > 0.85
