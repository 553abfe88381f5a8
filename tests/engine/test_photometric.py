# SPDX-License-Identifier: GPL-3.0-or-later
"""The photometric loss and the sRGB curves: definition, gradients, threads, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from ds4d_engine import photometric
from ds4d_engine.photometric import decode_srgb, encode_srgb, photometric_loss
from ds4d_engine.raster import set_threads, thread_count
from ds4d_engine.seam.errors import EngineError

HEIGHT, WIDTH = 29, 41


def images(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return a premultiplied render [H,W,3], its alphas [H,W] and a target [H,W,3] in float64."""
    rng = torch.Generator().manual_seed(seed)
    alphas = torch.rand(HEIGHT, WIDTH, generator=rng, dtype=torch.float64)
    colors = torch.rand(HEIGHT, WIDTH, 3, generator=rng, dtype=torch.float64)
    target = torch.rand(HEIGHT, WIDTH, 3, generator=rng, dtype=torch.float64)
    return colors * alphas[..., None], alphas, 0.7 * target + 0.3 * target.mean()


def loss_and_gradients(
    dtype: torch.dtype, background: float, blend: str, ssim_weight: float
) -> tuple[Tensor, Tensor, Tensor]:
    premultiplied, alphas, target = images()
    render = [x.to(dtype, copy=True).requires_grad_() for x in (premultiplied, alphas)]
    loss = photometric_loss(
        *render, target.to(dtype), background, blend=blend, ssim_weight=ssim_weight
    )
    return loss.detach(), *torch.autograd.grad(loss, render)


def encode_by_definition(value: float) -> float:
    """IEC 61966-2-1."""
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_curve_is_the_standard_one(dtype: torch.dtype) -> None:
    values = [-0.1, 0.0, 0.001, 0.0031308, 0.0032, 0.18, 0.5, 1.0, 1.7]
    expected = [encode_by_definition(value) for value in values]
    codes = encode_srgb(torch.tensor(values, dtype=dtype))
    assert codes.dtype == dtype
    assert codes.tolist() == pytest.approx(expected, abs=1e-6)
    assert decode_srgb(codes).tolist() == pytest.approx(values, abs=1e-6)


@pytest.mark.parametrize("transfer", [encode_srgb, decode_srgb])
def test_fused_curves_agree_with_plain_ones(transfer: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(-0.2, 1.6, 20001, dtype=torch.float64).requires_grad_()
    fused_x = x.detach().float().requires_grad_()
    y, fused_y = transfer(x), transfer(fused_x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    (fused_slope,) = torch.autograd.grad(fused_y.sum(), fused_x)
    assert (fused_y - y).abs().max() <= 1e-6
    # At the kink itself, rounding to float32 may fall on the other side.
    off_kink = (x - 0.0031308).abs().minimum((x - 0.04045).abs()) > 1e-6
    assert ((fused_slope - slope).abs() / slope)[off_kink].max() <= 2e-6


@pytest.mark.parametrize("transfer", [encode_srgb, decode_srgb])
def test_curves_keep_shape_and_take_strided_and_empty_tensors(
    transfer: Callable[[Tensor], Tensor],
) -> None:
    x = torch.rand(5, 4, 3).transpose(0, 2)
    assert torch.equal(transfer(x), transfer(x.contiguous()))
    assert transfer(torch.empty(0, 3)).shape == (0, 3)
    assert transfer(torch.tensor(0.5)).shape == ()


@pytest.mark.parametrize("transfer", [encode_srgb, decode_srgb])
def test_curves_hand_on_what_is_not_finite(transfer: Callable[[Tensor], Tensor]) -> None:
    broken = torch.tensor([math.nan, math.inf, -math.inf] * 40)
    torch.testing.assert_close(transfer(broken), broken, equal_nan=True)


@pytest.mark.parametrize("blend", ["linear", "srgb"])
def test_a_broken_pixel_breaks_the_loss_visibly(blend: str) -> None:
    premultiplied, alphas, target = (x.float() for x in images())
    premultiplied[3, 4, 1] = math.nan
    assert math.isnan(photometric_loss(premultiplied, alphas, target, 1.0, blend=blend).item())


@pytest.mark.parametrize("background", [0.0, 0.5, 1.0])
def test_a_perfect_render_costs_nothing(background: float) -> None:
    premultiplied, alphas, _ = images()
    behind = (1 - alphas)[..., None] * decode_srgb(torch.tensor(background, dtype=torch.float64))
    target = encode_srgb(premultiplied + behind).float()
    loss = photometric_loss(premultiplied.float(), alphas.float(), target, background)
    assert abs(loss.item()) <= 1e-6


def test_without_ssim_it_is_the_mean_absolute_difference_of_codes() -> None:
    premultiplied, alphas, target = images()
    image = encode_srgb(premultiplied + (1 - alphas)[..., None])
    loss = photometric_loss(
        premultiplied.float(), alphas.float(), target.float(), 1.0, ssim_weight=0.0
    )
    assert loss.item() == pytest.approx((image - target).abs().mean().item(), rel=1e-6)


def test_ssim_is_torchmetrics_map_over_the_windows_inside_the_image() -> None:
    premultiplied, alphas, target = images()
    image = premultiplied + (1 - alphas)[..., None] * 0.5
    _, everywhere = structural_similarity_index_measure(
        image.permute(2, 0, 1)[None],
        target.permute(2, 0, 1)[None],
        data_range=1.0,
        return_full_image=True,
    )
    inside = everywhere[..., 5:-5, 5:-5].mean()
    loss = photometric_loss(
        premultiplied.float(), alphas.float(), target.float(), 0.5, blend="srgb", ssim_weight=1.0
    )
    assert 1 - loss.item() == pytest.approx(inside.item(), abs=1e-6)


@pytest.mark.parametrize("ssim_weight", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("blend", ["linear", "srgb"])
@pytest.mark.parametrize("background", [0.0, 0.6, 1.0])
def test_the_fused_loss_and_its_gradient_agree_with_plain_ones(
    background: float, blend: str, ssim_weight: float
) -> None:
    fused = loss_and_gradients(torch.float32, background, blend, ssim_weight)
    plain = loss_and_gradients(torch.float64, background, blend, ssim_weight)
    for mine, theirs in zip(fused, plain, strict=True):
        assert (mine - theirs).abs().max() <= 2e-6 * theirs.abs().max().clamp_min(1e-3)


@pytest.mark.parametrize("blend", ["linear", "srgb"])
def test_the_plain_gradient_is_that_of_finite_differences(blend: str) -> None:
    premultiplied, alphas, target = (x[:12, :13] for x in images())
    render = [(x * 0.9 + 0.02).requires_grad_() for x in (premultiplied, alphas)]
    assert torch.autograd.gradcheck(
        lambda p, a: photometric_loss(p, a, target, 0.4, blend=blend, ssim_weight=0.3),
        render,
        eps=1e-7,
        atol=1e-6,
    )


def test_the_gradient_scales_with_that_of_the_loss() -> None:
    premultiplied, alphas, target = (x.float() for x in images())
    premultiplied.requires_grad_()
    loss = photometric_loss(premultiplied, alphas, target, 1.0)
    (once,) = torch.autograd.grad(loss, premultiplied, retain_graph=True)
    (thrice,) = torch.autograd.grad(3 * loss, premultiplied)
    torch.testing.assert_close(thrice, 3 * once)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = thread_count()
    yield set_threads
    set_threads(before)


def test_any_number_of_threads_gives_the_same_bits(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photometric, "LEAST_ROWS", 1)
    monkeypatch.setattr(photometric, "LEAST_VALUES", 1)
    results = []
    for count in (1, 2, 3, 11):
        threads(count)
        codes = encode_srgb(images()[0].float())
        results.append([codes, *loss_and_gradients(torch.float32, 1.0, "linear", 0.2)])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_without_gradients_the_value_is_the_same() -> None:
    premultiplied, alphas, target = (x.float() for x in images())
    with torch.no_grad():
        value = photometric_loss(premultiplied, alphas, target, 1.0)
    assert not value.requires_grad
    assert torch.equal(
        value, photometric_loss(premultiplied.requires_grad_(), alphas, target, 1.0).detach()
    )


def test_without_numba_the_plain_loss_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    fused = loss_and_gradients(torch.float32, 1.0, "linear", 0.2)
    monkeypatch.setattr(photometric, "_kernels", lambda: None)
    plain = loss_and_gradients(torch.float32, 1.0, "linear", 0.2)
    for mine, theirs in zip(fused, plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-7)


def test_the_smallest_image_has_one_window() -> None:
    render = torch.full((11, 11, 3), 0.5), torch.ones(11, 11)
    loss = photometric_loss(*render, torch.full((11, 11, 3), 0.5), 0.0, blend="srgb")
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blend": "gamma"}, 'no blend "gamma"'),
        ({"ssim_weight": 1.5}, "0 to 1"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, str | float], message: str) -> None:
    premultiplied, alphas, target = images()
    with pytest.raises(EngineError, match=message):
        photometric_loss(premultiplied, alphas, target, 1.0, **change)  # type: ignore[arg-type]


def test_images_smaller_than_a_window_are_refused_unless_ssim_is_off() -> None:
    premultiplied, alphas, target = (x[:10].float() for x in images())
    with pytest.raises(EngineError, match="41 x 10"):
        photometric_loss(premultiplied, alphas, target, 1.0)
    assert photometric_loss(premultiplied, alphas, target, 1.0, ssim_weight=0.0) > 0


def test_shapes_that_do_not_fit_are_refused() -> None:
    premultiplied, alphas, target = images()
    with pytest.raises(EngineError, match="do not fit"):
        photometric_loss(premultiplied, alphas[..., None], target, 1.0)
