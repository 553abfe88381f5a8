# SPDX-License-Identifier: GPL-3.0-or-later
"""A silhouette is inflated to a body, and a closed surface in its colours laid around it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
from numpy.typing import NDArray

from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.seam.cameras import Camera
from ds4d_engine.single.inflate import LEAST_THICKNESS, half_thickness
from ds4d_engine.single.surface import Surface, closed_surface
from tests.engine.clip_footage import disc_alpha

SIZE = 48
RADIUS = 16.0
CAMERA = orbit_camera("input", SIZE)
MAGENTA, GREEN, BLUE = (255, 0, 255), (30, 160, 60), (30, 60, 200)


def disc(radius: float = RADIUS, size: int = SIZE) -> NDArray[np.bool_]:
    return disc_alpha((size / 2, size / 2), radius, size, size) > 127


def distances(size: int = SIZE) -> NDArray[np.float64]:
    """Return each pixel's distance from the middle [size, size]."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    return np.hypot(rows - size / 2, columns - size / 2)


def figure() -> NDArray[np.bool_]:
    """A body with a thin arm to the right and a thick leg: it is like none of its mirror images."""
    mask = disc_alpha((20, 18), 10, SIZE, SIZE) > 127
    mask[15:17, 20:44] = True
    mask[20:42, 14:22] = True
    return mask


def test_a_disc_becomes_a_ball() -> None:
    away = distances()
    ball = np.sqrt(np.maximum(RADIUS**2 - away**2, 0))
    off = np.abs(half_thickness(disc()) - ball)
    # half a pixel off in the middle is more in depth, the steeper the ball
    assert off[away < 0.7 * RADIUS].max() < 1.2
    assert off[disc()].mean() < 0.7


def test_a_bar_becomes_a_tube() -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[18:30, 4:44] = True
    thickness = half_thickness(mask)
    away = np.abs(np.arange(18, 30) + 0.5 - 24)
    tube = np.sqrt(6.0**2 - away**2)
    along = thickness[18:30, 14:34]
    assert np.abs(along - tube[:, None]).max() < 1.2
    assert np.ptp(along[3:-3], axis=1).max() < 0.8  # as thick here as there


def test_what_is_twice_as_large_is_twice_as_thick() -> None:
    small, large = half_thickness(disc(8)), half_thickness(disc(16))
    assert large.max() == pytest.approx(2 * small.max(), rel=0.1)


def test_nothing_is_thick_outside_and_nothing_inside_is_thinner_than_the_least() -> None:
    mask = figure()
    mask[5, 40:44] = True  # a line of single pixels
    mask[45, 45] = True
    thickness = half_thickness(mask)
    assert (thickness[~mask] == 0).all()
    assert thickness[mask].min() >= np.float32(LEAST_THICKNESS)
    assert thickness[mask].max() > 5


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_silhouette_has_the_mirrored_thickness(axis: int) -> None:
    mask = figure()
    thickness = half_thickness(mask)
    mirrored = np.flip(half_thickness(np.flip(mask, axis).copy()), axis)
    # a part of even width has its axis on either of two rows of pixels
    assert np.abs(mirrored - thickness)[mask].mean() < 0.6
    assert mirrored.sum() == pytest.approx(thickness.sum(), rel=0.08)


def test_a_silhouette_that_fills_the_picture_is_inflated_too() -> None:
    thickness = half_thickness(np.ones((20, 20), bool))
    assert np.isfinite(thickness).all() and thickness[10, 10] > 5


def picture_of(mask: NDArray[np.bool_], *, outside: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Paint a ramp on a silhouette; its outermost pixels are half of the background's colour."""
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    colors = np.stack([60 + 2 * columns, 100 + 0 * rows, 60 + 2 * rows], -1)
    inner = mask.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(mask, step, axis)
    mixed = (colors + np.array(outside)) // 2
    colors = np.where(inner[..., None], colors, mixed)
    colors = np.where(mask[..., None], colors, np.array(outside))
    return np.dstack([colors, np.where(mask, 255, 0)]).astype(np.uint8)


def painted(inner: tuple[int, int, int], rim: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A disc of one colour with a broad rim of another, over magenta that alpha hides."""
    colors = np.where((distances() < RADIUS - 6)[..., None], inner, rim)
    colors = np.where(disc()[..., None], colors, MAGENTA)
    return np.dstack([colors, np.where(disc(), 255, 0)]).astype(np.uint8)


def surface_of(
    picture: NDArray[np.uint8], *, camera: Camera = CAMERA, mirrored_back: bool = False
) -> Surface:
    thickness = half_thickness(picture[..., 3] > 127)
    return closed_surface(picture, -thickness, thickness, camera, mirrored_back=mirrored_back)


def projected(surface: Surface, camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return pixels [N, 2] and depths [N] by the camera's own matrices."""
    local = surface.points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    homogeneous = local @ camera.K.T
    return homogeneous[:, :2] / homogeneous[:, 2:], local[:, 2]


@pytest.fixture(scope="module")
def body() -> tuple[NDArray[np.uint8], Surface]:
    picture = picture_of(figure(), outside=MAGENTA)
    return picture, surface_of(picture)


def test_every_point_projects_into_the_silhouette(
    body: tuple[NDArray[np.uint8], Surface],
) -> None:
    pixels, _ = projected(body[1], CAMERA)
    columns, rows = np.floor(pixels).astype(int).T
    assert figure()[rows, columns].all()


def test_every_pixel_of_the_silhouette_has_a_front_and_a_back(
    body: tuple[NDArray[np.uint8], Surface],
) -> None:
    surface = body[1]
    pixels, depths = projected(surface, CAMERA)
    columns, rows = np.floor(pixels).astype(int).T
    for side in (surface.front, depths > 2.0):
        covered = np.zeros_like(figure())
        covered[rows[side], columns[side]] = True
        assert (covered == figure()).all()


def test_the_front_lies_before_the_plane_and_all_within_the_thickness(
    body: tuple[NDArray[np.uint8], Surface],
) -> None:
    surface = body[1]
    pixels, depths = projected(surface, CAMERA)
    assert (depths[surface.front] < 2.0).all()
    columns, rows = np.floor(pixels).astype(int).T
    thick = np.maximum(half_thickness(figure())[rows, columns], 1.0) * surface.spacing
    assert (np.abs(depths - 2.0) <= thick + surface.spacing).all()


def test_spacing_is_a_pixel_at_the_origin(body: tuple[NDArray[np.uint8], Surface]) -> None:
    assert body[1].spacing == pytest.approx(2.0 / CAMERA.K[0, 0])


def test_the_surface_is_closed(body: tuple[NDArray[np.uint8], Surface]) -> None:
    """What flows through cells that share a face never comes in from outside."""
    surface = body[1]
    pixels, depths = projected(surface, CAMERA)
    columns, rows = np.floor(pixels).astype(int).T
    layers = np.floor((depths - 2.0) / surface.spacing).astype(int) + SIZE // 2
    occupied = np.zeros((SIZE, SIZE, SIZE), bool)
    occupied[rows, columns, layers] = True
    walls = ndi.binary_dilation(occupied, np.ones((3, 3, 3)))  # half a cell lost in rounding
    regions, count = ndi.label(~walls)
    assert count > 1
    assert regions[18, 20, SIZE // 2] not in (0, regions[0, 0, 0])


def test_a_smaller_picture_gives_the_same_body_in_larger_steps() -> None:
    coarse = surface_of(painted(GREEN, GREEN))
    fine = surface_of(painted(GREEN, GREEN), camera=orbit_camera("input", 2 * SIZE))
    assert fine.spacing == pytest.approx(coarse.spacing)
    assert np.abs(fine.points - coarse.points).max() < 1e-5


def test_a_camera_elsewhere_gets_the_surface_turned_with_it() -> None:
    picture = picture_of(figure(), outside=MAGENTA)
    side = orbit_camera("side", SIZE, azimuth_degrees=70, elevation_degrees=20)
    seen, depths = projected(surface_of(picture, camera=side), side)
    expected, expected_depths = projected(surface_of(picture), CAMERA)
    assert np.abs(seen - expected).max() < 1e-3
    assert np.abs(depths - expected_depths).max() < 1e-5


def test_the_front_has_the_pictures_colours(body: tuple[NDArray[np.uint8], Surface]) -> None:
    picture, surface = body
    pixels, _ = projected(surface, CAMERA)
    columns, rows = np.floor(pixels).astype(int).T
    off = np.abs(surface.colors * 255 - picture[rows, columns, :3]).max(1)
    inner = surface.front & ndi.binary_erosion(figure(), iterations=2)[rows, columns]
    assert inner.sum() > 100 and off[inner].max() <= 1


@pytest.mark.parametrize("mirrored_back", [False, True])
def test_what_alpha_hides_never_colours_the_surface(mirrored_back: bool) -> None:
    picture = picture_of(figure(), outside=MAGENTA)
    picture[15:17, 23:44, :3] = (120, 100, 90)  # the arm has no inside
    colors = surface_of(picture, mirrored_back=mirrored_back).colors
    # the ramp's green is 100 throughout, the background's 0, its red at most 156 and 255
    assert colors[:, 1].min() * 255 > 95
    assert colors[:, 0].max() * 255 < 160


def test_a_back_from_the_rim_shows_nothing_of_the_middle_and_a_mirrored_one_all() -> None:
    picture = painted(BLUE, GREEN)
    for mirrored in (False, True):
        surface = surface_of(picture, mirrored_back=mirrored)
        _, depths = projected(surface, CAMERA)
        behind = surface.colors[depths > 2.0] * 255
        shows_middle = (np.abs(behind - BLUE).max(1) < 20).mean()
        assert (shows_middle > 0.1) == mirrored
        shows_rim = (np.abs(behind - GREEN).max(1) < 20).mean()
        assert shows_rim > 0.3


def test_a_silhouette_too_small_for_an_inside_keeps_its_own_colours() -> None:
    picture = np.zeros((SIZE, SIZE, 4), np.uint8)
    picture[..., :3] = MAGENTA
    picture[20:22, 20:22] = (*GREEN, 255)
    surface = surface_of(picture)
    assert np.abs(surface.colors * 255 - GREEN).max() < 1
