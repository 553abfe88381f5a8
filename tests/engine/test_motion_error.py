# SPDX-License-Identifier: GPL-3.0-or-later
"""The motion error: Gaussians on a bar that turns beside a plate that stands."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ds4d_engine.evaluate import evaluate
from ds4d_engine.motion_error import (
    MotionError,
    Tracks,
    area_under_curve,
    motion_error,
    nearest_surface,
    read_tracks,
)
from ds4d_engine.seam import Asset, DatasetError, Motion
from tests.engine.tiny_clip import cameras, gaussians, tiny_asset, tiny_dataset

TIMES = np.linspace(0, 1, 5)
MIDDLE = 2
BAR = np.array([[0, 0, 0], [1, 0, 0], [1, 0.2, 0], [0, 0.2, 0]], np.float32)
PLATE = BAR + np.float32([0, 0, -1])
FACES = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])


def turned(points: np.ndarray, time: float) -> np.ndarray:
    """Turn points about Z by up to 40 degrees, not at all in the middle."""
    angle = math.radians(80 * (time - 0.5))
    cosine, sine = math.cos(angle), math.sin(angle)
    return points @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]], np.float32)


def tracks() -> Tracks:
    vertices = [np.concatenate([turned(BAR, time), PLATE]) for time in TIMES]
    return Tracks(np.stack(vertices).astype(np.float32), FACES)


def bar_and_plate(turning: float, below: float = 0.0) -> Asset:
    """Three Gaussians on the plate and three that turn `turning` times as much as the bar."""
    places = np.array([[0.2, 0.1, -below], [0.6, 0.1, -below], [0.9, 0.15, -below]], np.float32)
    grey = [[0.5, 0.5, 0.5]] * 3
    still = gaussians((places + np.float32([0, 0, -1])).tolist(), grey, 0.05)
    moving = gaussians(places.tolist(), grey, 0.05)
    still.dynamic_scores[:] = 0.2
    moving.dynamic_scores[:] = (0.6, 0.7, 0.8)
    means = np.stack([turned(places, 0.5 + turning * (time - 0.5)) for time in TIMES])
    return Asset(still, moving, Motion(means), cameras(), TIMES, 12.0, 1, "linear")


def measure(asset: Asset) -> MotionError:
    return motion_error(asset, tracks(), TIMES, MIDDLE)


@pytest.mark.parametrize("below", [0.0, 0.03])
def test_gaussians_carried_by_the_surface_or_just_below_it_have_no_error(below: float) -> None:
    measured = measure(bar_and_plate(1.0, below))
    assert (measured.gaussians, measured.moving_gaussians, measured.still_gaussians) == (6, 3, 3)
    assert measured.median < 1e-4 and measured.p90 < 1e-4
    assert measured.if_still > 10


def test_gaussians_that_stand_where_the_surface_moves_have_its_travel_as_error() -> None:
    measured = measure(bar_and_plate(0.0))
    assert measured.moving_median == pytest.approx(measured.if_still)
    size = math.sqrt(1 + 0.2**2 + 1)
    travel = np.hypot(0.6, 0.1) * 2 * math.sin(math.radians(40) / 2) / size
    assert measured.p90 > 100 * travel * 0.9


def test_scores_that_are_higher_where_the_surface_moves_separate_it_wholly() -> None:
    asset = bar_and_plate(1.0)
    assert measure(asset).score_auc == 1.0
    asset.static.dynamic_scores[:] = 0.65
    assert measure(asset).score_auc == pytest.approx(2 / 3)


def test_faint_and_far_gaussians_are_left_out() -> None:
    asset = bar_and_plate(1.0)
    asset.dynamic.opacities[0] = 0.4
    asset.static.means[0] += 0.5
    assert measure(asset).gaussians == 4


def test_area_under_curve_counts_ties_half_and_needs_both_kinds() -> None:
    one, two = np.float32([0.5]), np.float32([0.5, 0.1])
    assert area_under_curve(one, two) == 0.75
    assert math.isnan(area_under_curve(one, two[:0]))


def test_nearest_surface_point_is_that_of_the_triangles_not_of_the_corners() -> None:
    points = np.float32([[0.5, 0.1, 0.02], [2.0, 0.1, 0.0]])
    corners, weights, distances = nearest_surface(points, tracks().vertices[MIDDLE], FACES)
    on_surface = np.einsum("nkc,nk->nc", tracks().vertices[MIDDLE][corners], weights)
    np.testing.assert_allclose(on_surface, [[0.5, 0.1, 0], [1.0, 0.1, 0]], atol=1e-5)
    np.testing.assert_allclose(distances, [0.02, 1.0], atol=1e-5)


def test_an_evaluation_with_tracks_has_the_motion_in_its_summary() -> None:
    asset = bar_and_plate(1.0)
    summary = evaluate(asset, tiny_dataset(asset), tracks=tracks()).summary
    assert summary["motion_error"] < 1e-3
    assert summary["score_auc"] == 1.0
    assert "motion_error" not in evaluate(tiny_asset(), tiny_dataset(tiny_asset())).summary


def test_tracks_of_other_times_are_refused() -> None:
    with pytest.raises(DatasetError, match="hold 5 times but 4 were read"):
        motion_error(bar_and_plate(1.0), tracks(), TIMES[:4], 1)


def test_tracks_are_read_as_they_were_written_and_others_are_refused(tmp_path: Path) -> None:
    written, path = tracks(), tmp_path / "tracks.npz"
    np.savez(path, verts=written.vertices, faces=written.faces)
    found = read_tracks(path)
    np.testing.assert_array_equal(found.vertices, written.vertices)
    np.testing.assert_array_equal(found.faces, written.faces)
    np.savez(path, verts=written.vertices, faces=written.faces + 8)
    with pytest.raises(DatasetError, match="no surface"):
        read_tracks(path)
    np.savez(path, verts=written.vertices)
    with pytest.raises(DatasetError, match="no array 'faces"):
        read_tracks(path)
    path.write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_tracks(path)
    with pytest.raises(DatasetError, match="no file"):
        read_tracks(tmp_path / "none.npz")
