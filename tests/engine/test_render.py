# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of assets: compositing, cameras, and what a single splat must look like."""

from __future__ import annotations

import numpy as np
import pytest

from ds4d_engine.render import (
    Bounds,
    Rendered,
    asset_bounds,
    composite,
    gaussians_at,
    orbit_camera,
    render_asset,
    render_gaussians,
    resize_camera,
    to_uint8,
    turntable,
)
from ds4d_engine.seam import AssetError, Camera, ConfigError, Gaussians
from tests.engine.tiny_clip import SIZE, gaussians, tiny_asset

FRONT = orbit_camera(Bounds(np.zeros(3), 1.0), 0.0, 0.0, width=33, height=33)


def _project(camera: Camera, point: np.ndarray) -> np.ndarray:
    seen = camera.K @ (camera.viewmat[:3, :3] @ point + camera.viewmat[:3, 3])
    return np.asarray(seen[:2] / seen[2])


def _decode(value: float) -> float:
    return float(((value + 0.055) / 1.055) ** 2.4)


def _encode(value: float) -> float:
    return float(1.055 * value ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("blend", ["linear", "srgb"])
def test_nothing_drawn_leaves_the_background(blend: str) -> None:
    empty = Rendered(
        np.zeros((2, 3, 3), np.float32), np.zeros((2, 3), np.float32), np.zeros((2, 3))
    )
    image = composite(empty, (0.2, 0.5, 1.0), blend=blend)
    np.testing.assert_allclose(image, np.broadcast_to((0.2, 0.5, 1.0), (2, 3, 3)), atol=1e-5)
    np.testing.assert_array_equal(composite(empty, None, blend=blend), 0.0)


def test_transparent_picture_laid_over_a_colour_is_the_picture_on_that_colour() -> None:
    asset = tiny_asset(blend="srgb")
    rendered = render_gaussians(asset.frame(0), asset.cameras[0], blend="srgb")
    straight = composite(rendered, None, blend="srgb")
    background = np.array((0.3, 0.6, 0.9), np.float32)
    over = straight[..., :3] * straight[..., 3:] + (1 - straight[..., 3:]) * background
    np.testing.assert_allclose(over, composite(rendered, background, blend="srgb"), atol=1e-5)


@pytest.mark.parametrize("blend", ["linear", "srgb"])
def test_centre_of_a_large_splat_has_its_colour_and_opacity(blend: str) -> None:
    splat = gaussians([[0, 0, 0]], [[0.8, 0.4, 0.2]], 0.4)
    rendered = render_gaussians(splat, FRONT, blend=blend)
    # The picture's middle pixel has its centre on the splat's.
    assert rendered.alphas[16, 16] == pytest.approx(0.9, abs=1e-4)
    image = composite(rendered, None, blend=blend)
    np.testing.assert_allclose(image[16, 16], (0.8, 0.4, 0.2, 0.9), atol=1e-3)


def test_blend_decides_in_which_light_a_splat_mixes_with_the_background() -> None:
    splat = gaussians([[0, 0, 0]], [[0.8, 0.8, 0.8]], 0.4)
    for blend, expected in (
        ("srgb", 0.9 * 0.8 + 0.1),
        ("linear", _encode(0.9 * _decode(0.8) + 0.1)),
    ):
        image = composite(render_gaussians(splat, FRONT, blend=blend), (1, 1, 1), blend=blend)
        assert image[16, 16, 0] == pytest.approx(expected, abs=1e-3)


def test_depth_is_the_distance_along_the_view_direction() -> None:
    splat = gaussians([[0, 0.25, 0]], [[1, 1, 1]], 0.3)
    rendered = render_gaussians(splat, FRONT, blend="linear")
    expected = np.linalg.norm(FRONT.position) + 0.25
    assert rendered.depths[16, 16] == pytest.approx(expected, rel=1e-4)
    assert rendered.depths[0, 0] == 0.0


def test_view_dependent_colour_changes_with_the_camera() -> None:
    plain = gaussians([[0, 0, 0]], [[0.5, 0.5, 0.5]], 0.4)
    shN = np.zeros((1, 3, 3), np.float32)
    shN[0, 0, 0] = 0.5  # -y of the view direction, red only
    splat = Gaussians(**{**vars(plain), "shN": shN})
    back = orbit_camera(Bounds(np.zeros(3), 1.0), 180.0, 0.0, width=33, height=33)
    colors = [
        composite(render_gaussians(splat, camera, blend="srgb"), None, blend="srgb")[16, 16, :3]
        for camera in (FRONT, back)
    ]
    # From the front the direction is +Y, from behind -Y; 0.4886 is the basis' constant.
    np.testing.assert_allclose(colors[0], (0.5 - 0.5 * 0.4886025, 0.5, 0.5), atol=1e-3)
    np.testing.assert_allclose(colors[1], (0.5 + 0.5 * 0.4886025, 0.5, 0.5), atol=1e-3)


def test_negative_colour_is_drawn_as_black() -> None:
    splat = gaussians([[0, 0, 0]], [[-2.0, -0.1, 0.0]], 0.4)
    rendered = render_gaussians(splat, FRONT, blend="linear")
    np.testing.assert_array_equal(rendered.premultiplied, 0.0)


def test_sub_frame_lies_between_its_neighbours() -> None:
    asset = tiny_asset()
    middle = gaussians_at(asset, 1.5).means
    np.testing.assert_allclose(
        middle, (gaussians_at(asset, 1).means + gaussians_at(asset, 2).means) / 2, atol=1e-6
    )


def test_frame_that_rounding_pushed_past_the_end_is_the_last_one() -> None:
    asset = tiny_asset()
    np.testing.assert_array_equal(gaussians_at(asset, 3.0000004).means, asset.frame(3).means)


@pytest.mark.parametrize("frame", [-1, 4, 3.5])
def test_frame_outside_the_asset_is_refused(frame: float) -> None:
    with pytest.raises(ConfigError, match="0 to 3"):
        render_asset(tiny_asset(), FRONT, frame)


def test_resized_camera_sees_every_point_at_the_scaled_pixel() -> None:
    camera = Camera("c", FRONT.K, FRONT.viewmat, 33, 33)
    point = np.array([0.3, 0.1, -0.2])
    np.testing.assert_allclose(
        _project(resize_camera(camera, 66, 66), point), 2 * _project(camera, point)
    )
    wide = resize_camera(camera, 99, 33)
    np.testing.assert_allclose(_project(wide, point), _project(camera, point) + np.array([33, 0]))
    assert (wide.width, wide.height) == (99, 33)


def test_orbit_camera_looks_at_the_centre_with_z_up() -> None:
    center = np.array([1.0, 2.0, 3.0])
    camera = orbit_camera(Bounds(center, 0.5), 30.0, 20.0, width=64, height=48)
    np.testing.assert_allclose(_project(camera, center), (32, 24))
    above = _project(camera, center + np.array([0, 0, 0.1]))
    assert above[0] == pytest.approx(32) and above[1] < 24


def test_orbit_starts_in_front_and_turns_counter_clockwise_seen_from_above() -> None:
    sphere = Bounds(np.zeros(3), 1.0)
    at = {
        azimuth: orbit_camera(sphere, azimuth, 0.0, width=8, height=8).position
        for azimuth in (0, 90)
    }
    np.testing.assert_allclose(at[0] / np.linalg.norm(at[0]), (0, -1, 0), atol=1e-12)
    np.testing.assert_allclose(at[90] / np.linalg.norm(at[90]), (1, 0, 0), atol=1e-12)


@pytest.mark.parametrize("size", [(64, 64), (80, 40), (40, 80)])
def test_whole_sphere_is_in_the_picture(size: tuple[int, int]) -> None:
    width, height = size
    bounds = Bounds(np.array([0.5, 0, 0]), 2.0)
    directions = np.random.default_rng(0).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for camera in turntable(bounds, 3, width=width, height=height):
        pixels = [_project(camera, bounds.center + 2.0 * d) for d in directions]
        assert np.min(pixels) >= 0.0
        assert np.all(np.max(pixels, axis=0) <= size)


def test_turntable_closes_its_turn_without_repeating_the_first_view() -> None:
    positions = [c.position for c in turntable(Bounds(np.zeros(3), 1.0), 4, width=8, height=8)]
    steps = np.linalg.norm(np.diff([*positions, positions[0]], axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0])


def test_bounds_follow_the_motion_and_ignore_a_stray_splat() -> None:
    still = asset_bounds(tiny_asset(move=0.0))
    moved = asset_bounds(tiny_asset(move=4.0))
    assert moved.radius > still.radius + 1.0
    asset = tiny_asset()
    crowd = gaussians([[0, 0, 0]] * 400 + [[100, 0, 0]], [[1, 1, 1]] * 401, 0.05)
    asset.static = crowd
    assert asset_bounds(asset).radius < 3.0


def test_bounds_of_an_empty_asset_are_refused() -> None:
    asset = tiny_asset()
    nothing = gaussians([], [], 0.1)
    asset.static = asset.dynamic = nothing
    asset.motion.means = asset.motion.scales = np.zeros((4, 0, 3), np.float32)
    asset.motion.quats = np.zeros((4, 0, 4), np.float32)
    with pytest.raises(AssetError, match="no Gaussians"):
        asset_bounds(asset)


def test_quantising_rounds_to_nearest_and_stays_in_range() -> None:
    values = np.array([-0.1, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 1.2], np.float32)
    np.testing.assert_array_equal(to_uint8(values), [0, 0, 0, 1, 255, 255])


def test_picture_has_the_cameras_size() -> None:
    asset = tiny_asset()
    camera = resize_camera(asset.cameras[0], 20, 10)
    assert render_asset(asset, camera, 0.0).shape == (10, 20, 3)
    assert render_asset(asset, asset.cameras[0], 0.0, background=None).shape == (SIZE, SIZE, 4)
