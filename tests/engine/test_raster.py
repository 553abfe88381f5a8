# SPDX-License-Identifier: GPL-3.0-or-later
"""The rasterisers: values against the definition, gradients against autograd in float64."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from ds4d_engine.raster import Render, rasterize
from tests.engine.raster_scenes import (
    SplatScene,
    camera,
    draw_pixel_by_pixel,
    one_splat,
    random_scene,
)

NAMES = ("means", "quats", "scales", "opacities", "colors", "means2d")


def draw(scene: SplatScene, backend: str = "cpu", **options: bool) -> Render:
    dtype = torch.float64 if backend == "torch" else torch.float32
    with torch.no_grad():
        splats = scene.splats(dtype)
        return rasterize(*splats, *scene.camera, backend=backend, **options)


def gradients(scene: SplatScene, backend: str, *, depth: bool, absgrad: bool = False) -> Render:
    """Return a render whose `means2d` knows the leaves' gradients of a random linear loss."""
    dtype = torch.float64 if backend == "torch" else torch.float32
    splats = scene.splats(dtype)
    render = rasterize(*splats, *scene.camera, backend=backend, depth=depth, absgrad=absgrad)
    render.means2d.retain_grad()
    rng = torch.Generator().manual_seed(7)
    loss = torch.zeros((), dtype=dtype)
    for image in (render.colors, render.alphas, render.depths):
        if image is not None:
            weights = torch.randn(image.shape, generator=rng, dtype=torch.float64)
            loss = loss + (image * weights.to(dtype)).sum()
    loss.backward()
    render.leaf_gradients = [x.grad for x in splats]  # type: ignore[attr-defined]
    return render


def all_gradients(render: Render) -> dict[str, Tensor]:
    leaves: list[Tensor] = render.leaf_gradients  # type: ignore[attr-defined]
    assert render.means2d.grad is not None
    return dict(zip(NAMES, [*leaves, render.means2d.grad], strict=True))


SCENES = {
    "ordinary": random_scene(),
    "five channels": random_scene(channels=5),
    "one channel": random_scene(channels=1),
    "opaque": random_scene(opacities=(0.97, 1.0), pixels=2.5),
    "tiny": random_scene(300, pixels=0.05),
    "huge": random_scene(12, pixels=40.0),
    "around the camera": random_scene(300, distance=0.5),
    "faint": random_scene(opacities=(0.0, 0.012)),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize(("backend", "tolerance"), [("cpu", 1e-5), ("torch", 1e-9)])
def test_images_are_those_of_the_definition(name: str, backend: str, tolerance: float) -> None:
    colors, alphas, depths = draw_pixel_by_pixel(SCENES[name])
    render = draw(SCENES[name], backend, depth=True)
    assert render.depths is not None
    assert (render.colors - colors).abs().max() <= tolerance
    assert (render.alphas - alphas).abs().max() <= tolerance
    assert (render.depths - depths).abs().max() <= tolerance * depths.max().clamp_min(1.0)


@pytest.mark.parametrize("depth", [True, False])
@pytest.mark.parametrize("name", SCENES)
def test_cpu_gradients_are_those_of_autograd_in_double_precision(name: str, depth: bool) -> None:
    oracle = all_gradients(gradients(SCENES[name], "torch", depth=depth))
    computed = all_gradients(gradients(SCENES[name], "cpu", depth=depth))
    for tensor in NAMES:
        scale = oracle[tensor].abs().max().clamp_min(1e-6)
        error = (computed[tensor] - oracle[tensor]).abs().max() / scale
        assert error <= 1e-4, tensor


def test_the_oracle_gradients_are_those_of_finite_differences() -> None:
    scene = dataclasses.replace(random_scene(6, pixels=6.0), width=12, height=9)

    def image(*splats: Tensor) -> tuple[Tensor, Tensor]:
        render = rasterize(*splats, *scene.camera, backend="torch", depth=True)
        return render.colors.mean((0, 1)), render.alphas.mean() + render.depths.mean()

    assert torch.autograd.gradcheck(image, scene.splats(torch.float64), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_no_splats_make_an_empty_image_and_empty_gradients(backend: str) -> None:
    scene = random_scene(0)
    render = gradients(scene, backend, depth=True)
    assert render.colors.shape == (scene.height, scene.width, 3)
    assert not render.colors.any()
    assert not render.alphas.any()
    assert [x.shape[0] for x in all_gradients(render).values()] == [0] * len(NAMES)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize(
    "position",
    [(0.0, 0.0, -2.0), (0.0, 0.0, 0.009), (9.0, 0.0, 2.0), (0.0, -9.0, 2.0), (0.0, 0.0, 1e11)],
    ids=["behind", "too near", "right of the image", "above the image", "too far"],
)
def test_splats_out_of_sight_leave_no_trace(
    backend: str, position: tuple[float, float, float]
) -> None:
    render = gradients(one_splat(position), backend, depth=True)
    assert not render.alphas.any()
    assert not render.radii.any()
    assert not any(gradient.any() for gradient in all_gradients(render).values())


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 0.0])
def test_a_degenerate_splat_leaves_the_others_as_they_are(broken: float) -> None:
    scene = random_scene(30)
    expected = draw(scene)
    spoiled = random_scene(30)
    for tensor in (spoiled.quats, spoiled.opacities):
        tensor[4] = broken
    scene.opacities[4] = 0.0
    assert torch.equal(draw(spoiled).colors, draw(scene).colors)
    assert not torch.equal(draw(scene).colors, expected.colors)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_alpha_below_one_in_255_is_not_drawn(backend: str) -> None:
    centre = 8, 8  # the splat's own pixel, whose centre it meets
    assert draw(one_splat(opacity=1.001 / 255), backend).alphas[centre] > 0
    assert draw(one_splat(opacity=0.999 / 255), backend).alphas[centre] == 0
    lit = draw(one_splat(opacity=0.8, scale=0.2), backend).alphas
    assert lit[lit > 0].min() >= 1 / 255 - 1e-7


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_alpha_is_clamped_and_passes_no_gradient_there(backend: str) -> None:
    scene = one_splat(opacity=1.0, scale=1e-6)
    render = draw(scene, backend)
    assert render.alphas[8, 8].item() == pytest.approx(0.999, abs=1e-6)
    splats = scene.splats(torch.float64 if backend == "torch" else torch.float32)
    rasterize(*splats, *scene.camera, backend=backend).alphas[8, 8].backward()
    assert splats[3].grad is not None
    assert not splats[3].grad.any()


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_a_splat_that_would_make_a_pixel_opaque_is_not_drawn(backend: str) -> None:
    scene = one_splat(opacity=0.98, count=3)  # transmittance 0.02, 0.0004, then 0.000008
    color = draw(scene, backend).colors[8, 8]
    assert color.tolist() == pytest.approx([0.98, 0.98 * 0.02, 0.0], abs=1e-6)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_splats_at_the_same_depth_are_drawn_in_the_order_given(backend: str) -> None:
    scene = one_splat(opacity=0.5, count=3)
    color = draw(scene, backend).colors[8, 8]
    assert color.tolist() == pytest.approx([0.5, 0.25, 0.125], abs=1e-6)


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_the_order_of_splats_at_different_depths_does_not_matter(backend: str) -> None:
    scene = random_scene(60)
    shuffled = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    fields = ("means", "quats", "scales", "opacities", "colors")
    other = dataclasses.replace(scene, **{name: getattr(scene, name)[shuffled] for name in fields})
    assert torch.equal(draw(scene, backend).colors, draw(other, backend).colors)


def test_expected_depth_is_the_distance_to_a_lone_splat() -> None:
    render = draw(one_splat((0.0, 0.0, 2.0)), depth=True)
    assert render.depths is not None
    assert (render.depths[8, 8] / render.alphas[8, 8]).item() == pytest.approx(2.0, rel=1e-6)


def test_a_splat_lands_where_the_camera_matrix_puts_it() -> None:
    render = draw(one_splat((0.1, -0.2, 2.0)))
    assert render.means2d[0].tolist() == pytest.approx([20 * 0.05 + 8.5, 20 * -0.1 + 8.5])


def test_absgrad_is_the_sum_of_magnitudes_over_pixels() -> None:
    scene = dataclasses.replace(random_scene(20), width=17, height=12)
    render = gradients(scene, "cpu", depth=False, absgrad=True)
    absgrad = render.absgrad
    assert absgrad is not None
    rng = torch.Generator().manual_seed(7)
    weights = torch.randn(scene.height, scene.width, 3, generator=rng, dtype=torch.float64)
    alpha_weights = torch.randn(scene.height, scene.width, generator=rng, dtype=torch.float64)
    total = torch.zeros(20, 2, dtype=torch.float64)
    splats = scene.splats(torch.float64)
    plain = rasterize(*splats, *scene.camera, backend="torch")
    shares = (plain.colors * weights).sum(-1) + plain.alphas * alpha_weights
    for share in shares.flatten():
        (gradient,) = torch.autograd.grad(share, plain.means2d, retain_graph=True)
        total += gradient.abs()
    assert (absgrad - total).abs().max() <= 1e-4 * total.max()


def test_absgrad_is_absent_unless_asked_for() -> None:
    assert gradients(random_scene(5), "cpu", depth=False).absgrad is None


def test_frozen_splats_still_give_colour_gradients() -> None:
    scene = random_scene(10)
    colors = scene.colors.float().requires_grad_()
    frozen = [x.detach() for x in scene.splats(torch.float32)[:4]]
    rasterize(*frozen, colors, *scene.camera).colors.sum().backward()
    assert colors.grad is not None
    assert colors.grad.any()


def test_a_second_backward_pass_over_a_kept_graph_gives_the_same_gradient() -> None:
    scene = random_scene(10)
    splats = scene.splats(torch.float32)
    image = rasterize(*splats, *scene.camera).colors
    first = torch.autograd.grad(image.sum(), splats, retain_graph=True)
    second = torch.autograd.grad(image.sum(), splats)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_cameras_may_be_numpy_arrays_of_double_precision() -> None:
    scene = random_scene(10)
    viewmat, K = camera()
    splats = scene.splats(torch.float32)
    render = rasterize(*splats, viewmat.numpy(), K.numpy(), scene.width, scene.height)
    assert torch.equal(render.colors, draw(scene).colors)
