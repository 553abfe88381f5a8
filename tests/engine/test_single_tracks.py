# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels of the key frame are followed through a clip both ways; what is lost is not trusted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ds4d_engine.seam.events import Progress
from ds4d_engine.single.tracks import Tracks, track_pixels
from tests.engine.moving_square import Pixels, motion_matrix, moved, textured

SIZE, FRAMES, KEY = 64, 9, 4
SHIFT, TURN_DEGREES = (1.7, -0.6), 3.0  # of a frame


def texture() -> Pixels:
    return textured(SIZE, (20, 44, 20, 44))


def motion(frame: int) -> NDArray[np.float64]:
    """Return the matrix [2, 3] from places of the key frame to those of a frame."""
    away = frame - KEY
    shift = (SHIFT[0] * away, SHIFT[1] * away)
    return motion_matrix((SIZE / 2, SIZE / 2), shift, TURN_DEGREES * away)


def clip() -> Pixels:
    return np.stack([moved(texture(), motion(frame)) for frame in range(FRAMES)])


@pytest.fixture(scope="module")
def tracks() -> Tracks:
    return track_pixels(clip(), KEY)


def inner(tracks: Tracks, margin: int = 3) -> NDArray[np.bool_]:
    """Tell which tracks do not start at the square's edge."""
    low, high = 20 + margin, 44 - margin
    return ((tracks.pixels > low) & (tracks.pixels < high)).all(1)


def test_every_opaque_pixel_of_the_key_frame_has_a_track(tracks: Tracks) -> None:
    rows, columns = np.nonzero(texture()[..., 3])
    expected = {(x + 0.5, y + 0.5) for x, y in zip(columns, rows, strict=True)}
    assert {tuple(pixel) for pixel in tracks.pixels.tolist()} == expected
    assert tracks.places.shape == (FRAMES, len(expected), 2)
    assert tracks.confidence.shape == (FRAMES, len(expected))


def test_in_the_key_frame_tracks_are_where_they_start_without_doubt(tracks: Tracks) -> None:
    assert (tracks.places[KEY] == tracks.pixels).all()
    assert (tracks.confidence[KEY] == 1).all()


@pytest.mark.parametrize("frame", [0, 2, 3, 5, 6, 8])
def test_a_known_motion_is_followed_within_half_a_pixel_both_ways(
    tracks: Tracks, frame: int
) -> None:
    matrix = motion(frame)
    expected = tracks.pixels @ matrix[:, :2].T + matrix[:, 2]
    off = np.linalg.norm(tracks.places[frame] - expected, axis=1)[inner(tracks)]
    assert np.median(off) < 0.3
    assert np.percentile(off, 95) < 0.7


def test_what_is_followed_well_is_trusted(tracks: Tracks) -> None:
    assert np.median(tracks.confidence[:, inner(tracks)], axis=1).min() > 0.5


def test_confidence_lies_between_0_and_1(tracks: Tracks) -> None:
    assert tracks.confidence.min() >= 0 and tracks.confidence.max() <= 1


def test_what_leaves_the_mask_loses_confidence() -> None:
    pictures = np.stack([texture()] * FRAMES)
    pictures[KEY + 2 :, :, 36:] = 0  # its right third is gone from here on
    found = track_pixels(pictures, KEY)
    gone, stays = found.pixels[:, 0] > 39, found.pixels[:, 0] < 32
    for frame in range(KEY + 2, FRAMES):
        assert found.confidence[frame, gone].max() < 0.2
        assert np.median(found.confidence[frame, stays]) > 0.6
    assert np.median(found.confidence[KEY + 1, gone]) > 0.6


def test_a_picture_that_stays_is_tracked_to_where_it_is() -> None:
    found = track_pixels(np.stack([texture()] * 3), 0)
    assert np.abs(found.places - found.pixels).max() < 0.25
    assert found.confidence.min() > 0.5


@pytest.mark.parametrize("key", [0, FRAMES - 1])
def test_a_key_frame_at_an_end_tracks_one_way(key: int) -> None:
    found = track_pixels(clip(), key)
    matrix = motion(FRAMES - 1 - key)
    back = np.linalg.inv(np.concatenate([motion(key), [[0, 0, 1]]]))[:2]
    homogeneous = np.concatenate([found.pixels, np.ones((len(found.pixels), 1))], 1)
    expected = np.concatenate([homogeneous @ back.T, homogeneous[:, 2:]], 1) @ matrix.T
    off = np.linalg.norm(found.places[FRAMES - 1 - key] - expected, axis=1)
    assert np.median(off) < 0.5


def test_tracking_reports_its_progress_to_the_end() -> None:
    seen: list[Progress] = []
    track_pixels(np.stack([texture()] * 3), 1, seen.append)
    assert seen and seen[-1].done == seen[-1].total
    assert [event.done for event in seen] == sorted(event.done for event in seen)
