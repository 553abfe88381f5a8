# SPDX-License-Identifier: GPL-3.0-or-later
"""Limbs are found and told apart over a clip; those that cross pass, and stand at two depths."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.single.guess import guess_surface
from ds4d_engine.single.inflate import half_thickness
from ds4d_engine.single.key_frame import candidate_frames, choose_key_frame
from ds4d_engine.single.layers import depth_bounds, layers_of
from ds4d_engine.single.limb_follower import strain
from ds4d_engine.single.limb_paths import LimbPaths, limbs_of_clip, passing_limbs
from ds4d_engine.single.limb_tracks import follow_along_limbs
from ds4d_engine.single.limbs import find_limbs
from ds4d_engine.single.tracks import track_pixels
from tests.engine.walking_legs import FRAMES, HALF_WIDTHS, SIZE, clip, feet, picture

CAMERA = orbit_camera("input", SIZE)
REACH = 5.0  # pixels from where a leg ends to where its tip is found


@pytest.fixture(scope="module")
def walk() -> tuple[int, LimbPaths]:
    """Return the key frame of the walk, and the limbs from there."""
    pictures = clip()
    paths = passing_limbs(limbs_of_clip(pictures), candidate_frames(FRAMES))
    key = choose_key_frame(pictures, [*paths])
    return key, paths[key]


def legs(key: int, paths: LimbPaths) -> list[int]:
    """Return the numbers of the near and of the far leg."""
    numbers = [number for pair in paths.passing() for number in pair]
    tips = np.array([paths.apart[key][number].tip for number in numbers])
    return [numbers[int(np.linalg.norm(tips - foot, axis=1).argmin())] for foot in feet(key)]


def test_legs_are_limbs_with_coordinates_from_the_foot_up() -> None:
    limbs = [limb for limb in find_limbs(picture(3)[..., 3] > 127) if limb.slender]
    assert len(limbs) == 2
    for limb, foot in zip(sorted(limbs, key=lambda limb: -limb.tip[0]), feet(3), strict=True):
        assert np.linalg.norm(limb.tip - foot) < REACH
        assert limb.along.min() == 0 and limb.along.max() > 20
        assert np.abs(limb.aside).max() < 2 * max(HALF_WIDTHS)


def test_coordinates_of_a_limb_lead_back_to_its_pixels() -> None:
    for limb in find_limbs(picture(3)[..., 3] > 127):
        places, known = limb.place(limb.along, limb.aside)
        assert np.linalg.norm(places - limb.pixels, axis=1)[known].mean() < 1.0


def test_a_disc_has_no_limbs() -> None:
    rows, columns = np.mgrid[:40, :40]
    assert find_limbs((rows - 20) ** 2 + (columns - 20) ** 2 < 144) == []
    assert find_limbs(np.zeros((8, 8), bool)) == []


def test_what_does_not_hang_on_the_body_is_no_limb() -> None:
    mask = picture(3)[..., 3] > 127
    before = len(find_limbs(mask))
    mask[4:14, 88:91] = True
    assert len(find_limbs(mask)) == before


def test_legs_that_swing_past_each_other_keep_their_identity(
    walk: tuple[int, LimbPaths],
) -> None:
    key, paths = walk
    assert len(paths.passing()) == 1
    seen = 0
    for number, leg in zip(legs(key, paths), (0, 1), strict=True):
        for frame, at in enumerate(paths.apart):
            if number in at:
                seen += 1
                assert np.linalg.norm(at[number].tip - feet(frame)[leg]) < REACH
    assert seen > 1.4 * FRAMES


def test_legs_that_never_meet_leave_everything_as_it_was() -> None:
    found = limbs_of_clip(clip(passing=False))
    assert passing_limbs(found, candidate_frames(FRAMES)) == {}


def test_tracks_stay_on_their_leg(walk: tuple[int, LimbPaths]) -> None:
    key, paths = walk
    tracks = follow_along_limbs(track_pixels(clip(), key), paths, key)
    for number, leg in zip(legs(key, paths), (0, 1), strict=True):
        limb = paths.apart[key][number]
        near_tip = np.linalg.norm(tracks.pixels - limb.tip, axis=1) < 4
        for frame in (0, 6, 12, 18, 23):
            trusted = near_tip & (tracks.confidence[frame] > 0.3)
            if trusted.any():
                mean = tracks.places[frame, trusted].mean(0)
                assert np.linalg.norm(mean - feet(frame)[leg]) < 2 * REACH


def test_the_leg_that_comes_lower_stands_in_front(walk: tuple[int, LimbPaths]) -> None:
    near, far = legs(*walk)
    assert walk[1].passing() == [(near, far)]


def test_legs_stand_at_two_depths_and_hang_on_the_body(walk: tuple[int, LimbPaths]) -> None:
    key, paths = walk
    layers = layers_of(paths, key, (SIZE, SIZE))
    surface = guess_surface(clip()[key], CAMERA, layers=layers)
    pixels = (surface.points @ CAMERA.viewmat[:3, :3].T + CAMERA.viewmat[:3, 3]) @ CAMERA.K.T
    depths = pixels[:, 2]
    columns, rows = np.floor(pixels[:, :2] / depths[:, None]).astype(int).T
    layer = layers[rows, columns]
    assert depths[layer > 0].mean() < depths[layer == 0].mean() < depths[layer < 0].mean()
    below = rows > 60  # free of the hip
    assert depths[below & (layer > 0)].max() < depths[below & (layer < 0)].min()
    tree = cKDTree(surface.points)
    reached, last = {0}, [0]
    while last:  # from any point to all others, in steps of less than two cells
        near = tree.query_ball_point(surface.points[last], 2 * surface.spacing)
        last = list({point for points in near for point in points} - reached)
        reached |= set(last)
    assert len(reached) > 0.99 * len(surface.points)


def test_without_layers_a_shape_is_symmetric_to_the_middle_plane() -> None:
    half = half_thickness(picture(3)[..., 3] > 127)
    near, far = depth_bounds(half, np.zeros((SIZE, SIZE), np.int16), True)
    assert (near == -half).all() and (far == half).all()


def test_what_goes_on_as_before_is_not_strained() -> None:
    past, onward = np.array([[3.0], [2.0]]), np.array([[5.0], [6.0]])
    back = np.array([[3.0], [2.0]])
    assert strain(past, onward, 2) == 0
    assert strain(past, back, 2) > 2
