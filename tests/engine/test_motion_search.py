# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion found by features, and splines started from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.features import ClipFeatures, DescriptorExtractor, extract_tokens
from ds4d_engine.motion.begin import begin_on_places
from ds4d_engine.motion.search import rotations_between, search_places
from ds4d_engine.motion.spline import bspline_basis
from ds4d_engine.raster import rasterize
from ds4d_engine.seam.events import Progress, silent

SIDE = 96
SHIFT = np.array([0.35, -0.1, 0.2], np.float32)  # some 12 pixels: far beyond a gradient's reach
CAMERAS = tuple(
    orbit_camera(f"at {azimuth}", SIDE, azimuth_degrees=azimuth, elevation_degrees=15)
    for azimuth in (0, 80, 160, 240)
)


def ball() -> tuple[torch.Tensor, torch.Tensor]:
    """Return points on a ball [N, 3] and their colors, in large patches."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(500, 3)).astype(np.float32)
    points *= 0.3 / np.linalg.norm(points, axis=1, keepdims=True)
    colors = (np.sign(np.sin(14 * points + [0, 1, 2])) * 0.4 + 0.5).astype(np.float32)
    return torch.from_numpy(points), torch.from_numpy(colors)


def picture(points: torch.Tensor, colors: torch.Tensor, view: int) -> np.ndarray:
    camera, count = CAMERAS[view], len(points)
    render = rasterize(
        *(points, torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1), torch.full((count, 3), 0.025)),
        *(torch.full((count,), 0.95), colors),
        *(torch.tensor(camera.viewmat, dtype=torch.float32), torch.tensor(camera.K).float()),
        *(SIDE, SIDE),
        backend="cpu",
    )
    straight = render.colors / render.alphas.clamp_min(1e-3)[..., None]
    rgba = torch.cat([straight, render.alphas[..., None]], -1).clamp(0, 1)
    return (rgba * 255).round().to(torch.uint8).numpy()


def jumping_ball() -> tuple[ClipFeatures, torch.Tensor, torch.Tensor]:
    """Return features of a ball that jumps before and after the middle of five frames."""
    points, colors = ball()
    offsets = [-SHIFT, -SHIFT, 0 * SHIFT, SHIFT, SHIFT]
    images = [
        np.stack([picture(points + torch.from_numpy(o), colors, view) for o in offsets])
        for view in range(len(CAMERAS))
    ]
    tokens, grids = extract_tokens(images, DescriptorExtractor())
    eyes = torch.stack([torch.tensor(c.position, dtype=torch.float32) for c in CAMERAS])
    facing = ((eyes[:, None] - points) * points).sum(-1) > 0
    return ClipFeatures(tokens, grids, CAMERAS), points, facing


def test_a_jump_that_no_gradient_reaches_is_found_in_both_directions_of_time() -> None:
    features, points, visible = jumping_ball()
    chosen = torch.arange(0, len(points), 8)
    heard: list[Progress] = []
    places = search_places(features, points[chosen], visible[:, chosen], 2, heard.append)
    for frame, sign in ((0, -1), (1, -1), (3, 1), (4, 1)):
        missed = (places[frame] - points[chosen] - sign * torch.from_numpy(SHIFT)).norm(dim=1)
        assert missed.median() < 0.15 * np.linalg.norm(SHIFT)
    assert torch.equal(places[2], points[chosen])
    assert heard[-1].done == heard[-1].total


def test_what_no_view_sees_follows_its_neighbours() -> None:
    features, points, visible = jumping_ball()
    chosen = torch.arange(0, len(points), 8)
    seen = visible[:, chosen].clone()
    seen[:, ::6] = False
    places = search_places(features, points[chosen], seen, 2, silent)
    missed = (places[3, ::6] - points[chosen][::6] - torch.from_numpy(SHIFT)).norm(dim=1)
    assert missed.median() < 0.25 * np.linalg.norm(SHIFT)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 170.0])
def test_rotations_are_those_that_turned_the_edges(degrees: float) -> None:
    turn = Rotation.from_euler("xyz", [degrees, 20, -10], degrees=True).as_matrix()
    edges = np.random.default_rng(1).normal(size=(4, 8, 3)).astype(np.float32)
    found = rotations_between(edges, (edges @ turn.T).astype(np.float32))
    np.testing.assert_allclose(found, np.broadcast_to(turn, (4, 3, 3)), atol=1e-5)


def test_gaussians_begin_where_the_found_points_lead_and_turn_with_them() -> None:
    rng = np.random.default_rng(2)
    rest = rng.uniform(-0.5, 0.5, (40, 3)).astype(np.float32)
    times = np.linspace(0, 1, 9)
    turns = Rotation.from_euler("z", 90 * (times - 0.5)[:, None], degrees=True)
    places = np.stack([turn.apply(rest) for turn in turns]).astype(np.float32)
    splats = {
        "means": torch.from_numpy(rng.uniform(-0.4, 0.4, (100, 3)).astype(np.float32)),
        "quats": torch.nn.functional.normalize(torch.randn(100, 4), dim=1),
        "motion_means": torch.zeros(100, 9, 3),
        "motion_quats": torch.zeros(100, 9, 4),
    }
    begin_on_places(splats, [bspline_basis(9, float(time)) for time in times], rest, places)
    for frame, time in enumerate(times):
        weights = torch.tensor(bspline_basis(9, float(time)))
        moved = splats["means"] + torch.einsum("nkc,k->nc", splats["motion_means"], weights)
        expected = turns[frame].apply(splats["means"].numpy())
        assert np.abs(moved.numpy() - expected).max() < 0.03
        quats = splats["quats"] + torch.einsum("nkc,k->nc", splats["motion_quats"], weights)
        own = Rotation.from_quat(np.roll(splats["quats"].numpy(), -1, 1))
        now = Rotation.from_quat(np.roll(quats.numpy(), -1, 1))
        assert (now * (turns[frame] * own).inv()).magnitude().max() < 0.1
