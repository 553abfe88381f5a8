# SPDX-License-Identifier: GPL-3.0-or-later
"""The loss between a render and a photograph, and the sRGB transfer functions.

Float32 tensors in main memory take fused Numba kernels (torch's `pow` alone would cost more
than the rest of the loss); other tensors take plain torch operations with the same result.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ds4d_engine.raster.threads import run_ranges
from ds4d_engine.seam.errors import EngineError

BLENDS = ("linear", "srgb")
SSIM_WINDOW = 11
LEAST_VALUES = 65536
"""Fewer values than this are transferred on one thread."""
LEAST_ROWS = 48
"""Images of fewer rows than this are compared on one thread."""


@functools.cache
def _kernels() -> Any:
    try:
        from ds4d_engine import photometric_kernels
    except ImportError:
        return None
    return photometric_kernels


def _fused(*tensors: Tensor) -> bool:
    return all(x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors) and (
        _kernels() is not None
    )


class _Transfer(torch.autograd.Function):
    """Apply a pair of element-wise kernels (value; gradient from input and output)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Any, slope: Any) -> Tensor:
        x = x.contiguous()
        y = torch.empty_like(x)
        flat = x.detach().view(-1).numpy()
        run_ranges(value, flat.size, LEAST_VALUES, flat, y.view(-1).numpy())
        ctx.save_for_backward(x, y)
        ctx.slope = slope
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_y: Tensor) -> tuple[Tensor, None, None]:
        x, y = ctx.saved_tensors
        g_x = torch.empty_like(x)
        arrays = (a.detach().contiguous().view(-1).numpy() for a in (x, y, g_y, g_x))
        run_ranges(ctx.slope, x.numel(), LEAST_VALUES, *arrays)
        return g_x, None, None


def encode_srgb(linear: Tensor) -> Tensor:
    """Encode linear values of any shape as sRGB; values outside 0..1 follow the same curve."""
    if _fused(linear):
        kernels = _kernels()
        return _Transfer.apply(linear, kernels.encode_forward, kernels.encode_backward)
    curve = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curve)


def decode_srgb(encoded: Tensor) -> Tensor:
    """Decode sRGB values of any shape to linear; values outside 0..1 follow the same curve."""
    if _fused(encoded):
        kernels = _kernels()
        return _Transfer.apply(encoded, kernels.decode_forward, kernels.decode_backward)
    curve = ((encoded.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(encoded <= 0.04045, encoded / 12.92, curve)


def _decoded_grey(encoded: float) -> float:
    return encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4


def photometric_loss(
    premultiplied: Tensor,  # [H,W,3]
    alphas: Tensor,  # [H,W]
    target: Tensor,  # [H,W,3]
    background: float,
    *,
    blend: str = "linear",
    ssim_weight: float = 0.2,
) -> Tensor:
    """Return (1 - w) * mean |difference| + w * (1 - SSIM), a scalar.

    Compares the render over a grey background, sRGB-encoded, with the target. SSIM is
    torchmetrics' (11 x 11 Gaussian, sigma 1.5, data range 1), but averaged over the windows
    that lie inside the image only: torchmetrics mirrors the border and averages over all
    pixels. Differentiable in the render, not in the target.

    Args:
        premultiplied: The render's colours; linear, or encoded where `blend` is "srgb".
        target: The photograph over the same background, sRGB-encoded.
        background: The grey, sRGB-encoded.
        blend: The space in which splats and background were blended: "linear" or "srgb".
        ssim_weight: w, from 0 (no SSIM) to 1.

    Raises:
        EngineError: Shapes do not fit, the image is smaller than a window, or `blend` or
            `ssim_weight` is out of range.
    """
    _check(premultiplied, alphas, target, blend, ssim_weight)
    linear = blend == "linear"
    grey = _decoded_grey(background) if linear else background
    if _fused(premultiplied, alphas, target):
        return _Loss.apply(premultiplied, alphas, target, grey, linear, ssim_weight)
    return _plain_loss(premultiplied, alphas, target, grey, linear, ssim_weight)


def _check(
    premultiplied: Tensor, alphas: Tensor, target: Tensor, blend: str, ssim_weight: float
) -> None:
    if (
        premultiplied.ndim != 3
        or premultiplied.shape[2] != 3
        or alphas.shape != premultiplied.shape[:2]
        or target.shape != premultiplied.shape
    ):
        shapes = ", ".join(str(list(x.shape)) for x in (premultiplied, alphas, target))
        raise EngineError(
            f"Shapes {shapes} do not fit: give a render [H,W,3], alphas [H,W], a target [H,W,3]."
        )
    if blend not in BLENDS:
        raise EngineError(f'There is no blend "{blend}": choose "linear" or "srgb".')
    if not 0.0 <= ssim_weight <= 1.0:
        raise EngineError(f"The SSIM weight is {ssim_weight}: give a number from 0 to 1.")
    if ssim_weight > 0 and min(alphas.shape) < SSIM_WINDOW:
        raise EngineError(
            f"An image of {alphas.shape[1]} x {alphas.shape[0]} pixels is smaller than SSIM's "
            f"window: use at least {SSIM_WINDOW} x {SSIM_WINDOW}, or an SSIM weight of 0."
        )


class _Loss(torch.autograd.Function):
    """The loss with its gradient, which costs little more than the value alone."""

    @staticmethod
    def forward(
        ctx: Any,
        premultiplied: Tensor,
        alphas: Tensor,
        target: Tensor,
        grey: float,
        linear: bool,
        ssim_weight: float,
    ) -> Tensor:
        kernels = _kernels()
        height, width = alphas.shape
        values = 3 * height * width
        windows = 3 * (height - kernels.EDGE) * (width - kernels.EDGE) if ssim_weight > 0 else 1
        wanted = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        size = (height, width) if wanted else (0, 0)
        gradients = torch.empty(*size, 3), torch.empty(size)
        absolute = np.zeros(height)
        similarity = np.zeros(height)
        run_ranges(
            kernels.loss_rows,
            height,
            LEAST_ROWS,
            *(x.detach().contiguous().numpy() for x in (premultiplied, alphas, target)),
            np.float32(grey),
            linear,
            np.float32((1.0 - ssim_weight) / values),
            np.float32(-ssim_weight / windows),
            absolute,
            similarity,
            *(x.numpy() for x in gradients),
        )
        ctx.gradients = gradients
        loss = (1.0 - ssim_weight) * absolute.sum() / values
        loss += ssim_weight * (1.0 - similarity.sum() / windows)
        return torch.tensor(loss, dtype=torch.float32)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_loss: Tensor) -> tuple[Tensor | None, ...]:
        g_premultiplied, g_alphas = ctx.gradients
        if g_loss.item() != 1.0:
            g_premultiplied, g_alphas = g_loss * g_premultiplied, g_loss * g_alphas
        return g_premultiplied, g_alphas, None, None, None, None


def _plain_loss(
    premultiplied: Tensor, alphas: Tensor, target: Tensor, grey: float, linear: bool, weight: float
) -> Tensor:
    image = premultiplied + (1 - alphas)[..., None] * grey
    if linear:
        image = encode_srgb(image)
    loss = (1 - weight) * (image - target.detach()).abs().mean()
    return loss + weight * (1 - _plain_ssim(image, target.detach())) if weight > 0 else loss


def _plain_ssim(image: Tensor, target: Tensor) -> Tensor:
    offsets = torch.arange(SSIM_WINDOW, dtype=image.dtype, device=image.device) - SSIM_WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = window / window.sum()
    a, b = image.permute(2, 0, 1), target.permute(2, 0, 1)  # [3,H,W]
    moments = torch.cat([a, b, a * a + b * b, a * b])[:, None]  # [12,1,H,W]
    moments = torch.nn.functional.conv2d(moments, window.view(1, 1, 1, -1))
    moments = torch.nn.functional.conv2d(moments, window.view(1, 1, -1, 1))
    mean_a, mean_b, squares, products = moments[:, 0].split(3)
    mean_squares, mean_product = mean_a**2 + mean_b**2, mean_a * mean_b
    above = (2 * mean_product + 0.01**2) * (2 * (products - mean_product) + 0.03**2)
    below = (mean_squares + 0.01**2) * (squares - mean_squares + 0.03**2)
    return (above / below).mean()
