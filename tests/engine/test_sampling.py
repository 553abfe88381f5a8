# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling token grids at Gaussians, and visibility."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ds4d_engine.dsfd import decouple
from ds4d_engine.features import DescriptorExtractor, TokenGrids, extract_tokens
from ds4d_engine.raster import rasterize
from ds4d_engine.sampling import TokenSampler, project, sample_scores, shrink, visible_views
from ds4d_engine.seam.cameras import Camera
from ds4d_engine.seam.errors import EngineError


def camera(yaw: float = 0.0, width: int = 64, height: int = 48) -> Camera:
    """Look at the origin from distance 3, turned by `yaw` radians about the Z axis."""
    eye = 3 * np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    forward = -eye / 3
    down = np.array([0.0, 0.0, -1.0])
    rotation = np.stack([np.cross(down, forward), down, forward])
    viewmat = np.eye(4)
    viewmat[:3, :3] = rotation
    viewmat[:3, 3] = -rotation @ eye
    K = np.array([[80.0, 0, width / 2], [0, 80.0, height / 2], [0, 0, 1]])
    return Camera(f"yaw {yaw}", K, viewmat, width, height)


CAMERAS = [camera(0.0), camera(1.0, 40, 64)]
GRIDS = TokenGrids.tile([(12, 16), (16, 10)], [(48, 64), (64, 40)])


def points(count: int = 40, spread: float = 0.4) -> torch.Tensor:
    return spread * torch.randn(count, 3, generator=torch.Generator().manual_seed(0))


def test_sampling_agrees_with_grid_sample() -> None:
    means = points()
    tokens = torch.randn(GRIDS.count, 5, generator=torch.Generator().manual_seed(1))
    sampled = TokenSampler(means, CAMERAS, GRIDS).sample(tokens)
    assert sampled.shape == (2, 40, 5)
    for view, cam in enumerate(CAMERAS):
        height, width = GRIDS.heights[view], GRIDS.widths[view]
        start = GRIDS.offsets[view]
        image = tokens[start : start + height * width].T.reshape(1, 5, height, width)
        pixels, _ = project(means, cam)
        grid = pixels / torch.tensor([cam.width, cam.height]) * 2 - 1
        expected = F.grid_sample(
            image, grid[None, None], align_corners=False, padding_mode="border"
        )[0, :, 0].T
        torch.testing.assert_close(sampled[view], expected, atol=1e-5, rtol=1e-5)


def test_a_token_centre_samples_that_token_alone() -> None:
    cam = CAMERAS[0]
    pixel = np.array([4 * 5 + 2.0, 4 * 7 + 2.0])  # the centre of token (7, 5)
    direction = np.linalg.inv(cam.K) @ [*pixel, 1.0]
    world = cam.camtoworld @ [*(2.5 * direction), 1.0]
    tokens = torch.eye(GRIDS.count)
    mean = torch.tensor(world[None, :3], dtype=torch.float32)
    sampled = TokenSampler(mean, CAMERAS, GRIDS).sample(tokens)[0, 0]
    assert sampled[7 * 16 + 5] == pytest.approx(1.0, abs=1e-4)


def test_the_gradient_is_the_transposed_product() -> None:
    sampler = TokenSampler(points(6).double(), CAMERAS, GRIDS)
    tokens = torch.randn(GRIDS.count, 2, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(2, 6, 2, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(sampler.sample(tokens), tokens, upstream)
    # For a linear map, <map(x), u> = <x, gradient(u)>.
    forward = (sampler.sample(tokens) * upstream).sum()
    torch.testing.assert_close((tokens * gradient).sum(), forward)


def test_points_behind_a_camera_sample_zero() -> None:
    behind = torch.tensor([[0.0, -10.0, 0.0]])
    sampled = TokenSampler(behind, CAMERAS[:1], TokenGrids.tile([(12, 16)], [(48, 64)]))
    assert torch.equal(sampled.sample(torch.ones(192, 3)), torch.zeros(1, 1, 3))


def test_points_far_outside_take_finite_border_tokens() -> None:
    far = torch.tensor([[1e6, 0.0, 0.0], [0.0, -2.98, 1e7]])
    sampled = TokenSampler(far, CAMERAS, GRIDS).sample(torch.ones(GRIDS.count, 1))
    torch.testing.assert_close(sampled[0], torch.ones(2, 1))


def test_other_cameras_than_the_features_have_are_refused() -> None:
    with pytest.raises(EngineError, match="2 views but 1 cameras"):
        TokenSampler(points(), CAMERAS[:1], GRIDS)
    with pytest.raises(EngineError, match=f"built for {GRIDS.count} tokens, not 3"):
        TokenSampler(points(), CAMERAS, GRIDS).sample(torch.zeros(3, 2))


def splats(means: torch.Tensor, sigma: float = 0.05, opacity: float = 4.0) -> dict:
    count = len(means)
    return {
        "means": means,
        "quats": torch.tensor([1.0, 0, 0, 0]).expand(count, 4).contiguous(),
        "scales": torch.full((count, 3), float(np.log(sigma))),
        "opacities": torch.full((count,), opacity),
    }


def wall(y: float) -> torch.Tensor:
    side = torch.linspace(-0.4, 0.4, 17)
    x, z = torch.meshgrid(side, side, indexing="ij")
    return torch.stack([x.flatten(), torch.full((289,), y), z.flatten()], 1)


def test_a_wall_hides_what_is_behind_it() -> None:
    means = torch.cat([wall(0.0), torch.tensor([[0.0, -0.5, 0.0], [0.0, 0.5, 0.0]])])
    front_and_back = [camera(0.0), camera(np.pi)]
    visible = visible_views(splats(means), front_and_back)
    # The two points hide the middle of the wall.
    assert visible[:, :289][:, means[:289].norm(dim=1) > 0.25].all()
    assert visible[:, 289].tolist() == [True, False]
    assert visible[:, 290].tolist() == [False, True]


def test_most_of_a_sphere_facing_a_camera_is_visible_and_none_of_its_back() -> None:
    generator = torch.Generator().manual_seed(0)
    means = 0.7 * F.normalize(torch.randn(3000, 3, generator=generator), dim=1)
    toward = torch.tensor(camera().position).float() - means
    facing = (toward * means).sum(1) > 0
    visible = visible_views(splats(means, sigma=0.02), [camera(width=128, height=128)])[0]
    assert visible[facing].float().mean() > 0.75
    assert visible[~facing].float().mean() < 0.01


def test_the_tolerance_grows_with_the_radius_of_the_scene() -> None:
    means = torch.cat([wall(0.0), torch.tensor([[0.0, 0.5, 0.0]])])
    assert not visible_views(splats(means), [camera()])[0, -1]
    assert visible_views(splats(means), [camera()], radius=20.0)[0, -1]


def test_a_transparent_wall_hides_nothing() -> None:
    means = torch.cat([wall(0.0), torch.tensor([[0.0, 0.5, 0.0]])])
    assert visible_views(splats(means, opacity=-5.0), [camera()])[0, -1]


def test_points_outside_the_image_or_behind_the_camera_are_not_visible() -> None:
    means = torch.tensor([[0.0, 0.0, 0.0], [5.0, 0.0, 0.0], [0.0, -8.0, 0.0]])
    assert visible_views(splats(means), [camera()])[0].tolist() == [True, False, False]


def test_shrinking_keeps_where_things_project() -> None:
    cam = camera(0.7, 641, 480)
    small = shrink(cam, 160)
    assert (small.width, small.height) == (160, 120)
    pixels, _ = project(points(), cam)
    shrunk, _ = project(points(), small)
    scale = torch.tensor([160 / 641, 120 / 480])
    torch.testing.assert_close(shrunk, pixels * scale, atol=1e-3, rtol=1e-4)
    assert shrink(cam, 1000) is cam


def test_scores_average_over_time_and_visible_views() -> None:
    means = torch.zeros(3, 3)
    tokens = torch.zeros(2, GRIDS.count)
    tokens[0, : GRIDS.offsets[1]] = 2.0  # view 0 scores 1 on average over the two frames
    tokens[:, GRIDS.offsets[1] :] = 3.0
    visible = torch.tensor([[True, True, False], [False, True, False]])
    scores = sample_scores(tokens, TokenSampler(means, CAMERAS, GRIDS), visible)
    torch.testing.assert_close(scores, torch.tensor([1.0, 2.0, 2.0]))


def test_the_dynamic_score_separates_a_moving_ball_from_a_still_one() -> None:
    generator = torch.Generator().manual_seed(0)
    ball = 0.25 * F.normalize(torch.randn(150, 3, generator=generator), dim=1)
    still, moving = torch.tensor([-0.4, 0.0, 0.0]), torch.tensor([0.4, 0.0, -0.1])
    colors = torch.rand(300, 3, generator=generator)
    cameras = [camera(yaw) for yaw in (-0.6, 0.0, 0.6)]
    frames, middle = 5, 2
    pictures: list[list[np.ndarray]] = [[] for _ in cameras]
    for frame in range(frames):
        lift = torch.tensor([0.0, 0.0, 0.15 * (frame - middle)])
        scene = splats(torch.cat([ball + still, ball + moving + lift]))
        for view, cam in enumerate(cameras):
            pictures[view].append(picture(scene, colors, cam))
    images = [np.stack(view) for view in pictures]
    tokens, grids = extract_tokens(images, DescriptorExtractor())
    canonical = splats(torch.cat([ball + still, ball + moving]))
    scores = sample_scores(
        decouple(tokens, middle).scores,
        TokenSampler(canonical["means"], cameras, grids),
        visible_views(canonical, cameras),
    )
    # The chance that a moving Gaussian scores above a still one.
    assert (scores[150:, None] > scores[None, :150]).float().mean() > 0.95


def picture(scene: dict[str, torch.Tensor], colors: torch.Tensor, cam: Camera) -> np.ndarray:
    """Render straight-alpha RGBA bytes."""
    render = rasterize(
        scene["means"],
        scene["quats"],
        scene["scales"].exp(),
        scene["opacities"].sigmoid(),
        colors,
        torch.tensor(cam.viewmat).float(),
        torch.tensor(cam.K).float(),
        cam.width,
        cam.height,
    )
    straight = render.colors / render.alphas[..., None].clamp_min(1e-6)
    rgba = torch.cat([straight, render.alphas[..., None]], -1)
    return (rgba.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
