# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain PyTorch back end: any device, float32 or float64, autograd for every gradient.

Slow. It is what the other back ends are compared with, and what is left without Numba.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ds4d_engine.raster.conventions import (
    ALPHA_MAX,
    ALPHA_MIN,
    EXTENT_SIGMAS,
    FAR,
    JACOBIAN_MARGIN,
    LOW_PASS,
    NEAR,
    TRANSMITTANCE_STOP,
)
from ds4d_engine.raster.scene import Render, Splats, View

PAIRS_PER_BAND = 4_000_000
"""Splat-pixel pairs held at once: an image with more is drawn in bands of rows."""


def rotation_matrices(quats: Tensor) -> Tensor:
    """Turn quaternions [N,4] wxyz of any length into rotation matrices [N,3,3]."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    )
    return torch.stack(rows, -1).reshape(-1, 3, 3)


def project(splats: Splats, view: View) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return means2d [N,2], conics [N,3], depths [N] and radii [N,2] int32 (0: not drawn)."""
    viewmat = torch.as_tensor(view.viewmat).to(splats.means)
    K = torch.as_tensor(view.K).to(splats.means)
    size = torch.tensor([view.width, view.height]).to(splats.means)
    focal, centre = torch.stack([K[0, 0], K[1, 1]]), K[:2, 2]
    in_camera = splats.means @ viewmat[:3, :3].T + viewmat[:3, 3]  # [N,3]
    depths = in_camera[:, 2]
    drawn = (depths >= NEAR) & (depths <= FAR) & (splats.opacities >= ALPHA_MIN)
    z = torch.where(drawn, depths, 1.0)[:, None]
    ray = in_camera[:, :2] / z  # [N,2]
    margin = JACOBIAN_MARGIN * size / focal
    low, high = -centre / focal - margin, (size - centre) / focal + margin
    clamped = torch.maximum(torch.minimum(ray, high), low)
    axes = (viewmat[:3, :3] @ rotation_matrices(splats.quats)) * splats.scales[:, None]  # [N,3,3]
    projected = (focal / z)[..., None] * (axes[:, :2] - clamped[..., None] * axes[:, 2:])
    covariance = projected @ projected.transpose(1, 2)  # [N,2,2]
    a = covariance[:, 0, 0] + LOW_PASS
    b = covariance[:, 0, 1]
    c = covariance[:, 1, 1] + LOW_PASS
    determinant = a * c - b * b
    means2d = focal * ray + centre
    with torch.no_grad():
        reach = (2 * torch.log((splats.opacities / ALPHA_MIN).clamp_min(1.0))).sqrt()
        deviations = torch.stack([a, c], -1).sqrt()
        radii = (reach.clamp_max(EXTENT_SIGMAS)[:, None] * deviations).ceil()
        inside = ((means2d + radii > 0) & (means2d - radii < size)).all(-1)
        drawn = drawn & inside & (determinant > 0) & (radii > 0).all(-1)
        radii = torch.where(drawn[:, None], radii, 0.0).to(torch.int32)
    safe = torch.where(drawn, determinant, 1.0)
    conics = torch.stack([c / safe, -b / safe, a / safe], -1)
    return torch.where(drawn[:, None], means2d, 0.0), conics, depths, radii


def _alphas(
    means2d: Tensor, conics: Tensor, opacities: Tensor, x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the clamped alpha and the exponent of paired splats and pixels, all [pairs]."""
    dx = means2d[:, 0] - x
    dy = means2d[:, 1] - y
    exponent = 0.5 * (conics[:, 0] * dx * dx + conics[:, 2] * dy * dy) + conics[:, 1] * dx * dy
    raw = opacities * torch.exp(-exponent)
    return torch.where(raw <= ALPHA_MAX, raw, ALPHA_MAX), exponent


def _exclusive_log_transmittance(alphas: Tensor, pixels: Tensor) -> Tensor:
    """Return log T before each pair; pairs [M] are sorted by pixel, then front to back."""
    logs = torch.log1p(-alphas.double())
    before = torch.cumsum(logs, 0) - logs
    first = torch.ones_like(pixels, dtype=torch.bool)
    first[1:] = pixels[1:] != pixels[:-1]
    return before - before[first][torch.cumsum(first, 0) - 1]


@torch.no_grad()
def _pairs(
    means2d: Tensor, conics: Tensor, opacities: Tensor, boxes: Tensor, view: View
) -> tuple[Tensor, Tensor]:
    """Return the splat and the pixel of every visible pair, by pixel, then front to back.

    The splats come front to back; boxes [n,4] are their columns and rows x0, x1, y0, y1.
    """
    x0, x1, y0, y1 = boxes.unbind(1)
    across = (x1 - x0).clamp_min(0)
    sizes = across * (y1 - y0).clamp_min(0)
    splats = torch.repeat_interleave(sizes)
    starts = torch.cumsum(sizes, 0) - sizes
    within = torch.arange(len(splats), device=splats.device) - starts[splats]
    row = torch.div(within, across[splats], rounding_mode="floor")
    px = x0[splats] + within - row * across[splats]
    py = y0[splats] + row
    alphas, exponents = _alphas(
        means2d[splats], conics[splats], opacities[splats], px + 0.5, py + 0.5
    )
    seen = (alphas >= ALPHA_MIN) & (exponents >= 0)
    pixels, order = torch.sort((py * view.width + px)[seen], stable=True)
    splats, alphas = splats[seen][order], alphas[seen][order]
    after = _exclusive_log_transmittance(alphas, pixels) + torch.log1p(-alphas.double())
    kept = torch.exp(after) > TRANSMITTANCE_STOP
    return splats[kept], pixels[kept]


def _bands(boxes: Tensor, height: int) -> list[tuple[int, int]]:
    """Cut the rows 0..height-1 into bands of at most `PAIRS_PER_BAND` pairs, or single rows."""
    widths = (boxes[:, 1] - boxes[:, 0]).clamp_min(0)
    per_row = torch.zeros(height + 1, dtype=torch.int64, device=boxes.device)
    per_row.index_add_(0, boxes[:, 2].clamp(0, height), widths)
    per_row.index_add_(0, boxes[:, 3].clamp(0, height), -widths)
    bands, start, held = [], 0, 0
    for row, pairs in enumerate(torch.cumsum(per_row, 0)[:height].tolist()):
        if row > start and held + pairs > PAIRS_PER_BAND:
            bands.append((start, row))
            start, held = row, 0
        held += pairs
    return [*bands, (start, height)]


@torch.no_grad()
def drawn_boxes(
    means2d: Tensor, radii: Tensor, depths: Tensor, view: View
) -> tuple[Tensor, Tensor]:
    """Return the drawn splats front to back [n], ties by index, and their boxes [n,4]."""
    drawn = (radii > 0).all(-1).nonzero()[:, 0]
    order = drawn[torch.argsort(depths[drawn], stable=True)]
    low, high = means2d[order] - radii[order], means2d[order] + radii[order]
    size = torch.tensor([view.width, view.height]).to(means2d)
    low, high = low.floor().clamp_min(0).minimum(size), high.ceil().clamp_min(0).minimum(size)
    return order, torch.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], 1).long()


def composite(
    order: Tensor, boxes: Tensor, means2d: Tensor, conics: Tensor, opacities: Tensor,
    channels: Tensor, view: View,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Blend channels [N,D] of the splats `order` [n]; return [H,W,D] and alphas [H,W]."""
    means2d, conics, opacities = means2d[order], conics[order], opacities[order]
    channels = torch.cat([channels[order], channels.new_ones(len(order), 1)], 1)
    image = channels.new_zeros(view.height * view.width, channels.shape[1])
    for start, stop in _bands(boxes, view.height):
        band = boxes.clone()
        band[:, 2:] = band[:, 2:].clamp(start, stop)
        splats, pixels = _pairs(means2d, conics, opacities, band, view)
        px, py = pixels % view.width + 0.5, pixels // view.width + 0.5
        alphas, _ = _alphas(means2d[splats], conics[splats], opacities[splats], px, py)
        before = torch.exp(_exclusive_log_transmittance(alphas, pixels)).to(alphas)
        image = image.index_add(0, pixels, (alphas * before)[:, None] * channels[splats])
    image = image.view(view.height, view.width, -1)
    return image[..., :-1], image[..., -1]


def rasterize(splats: Splats, view: View, *, depth: bool) -> Render:
    """Draw splats with plain tensor operations, in the dtype and on the device of the means."""
    means2d, conics, depths, radii = project(splats, view)
    channels = torch.cat([splats.colors, depths[:, None]], 1) if depth else splats.colors
    order, boxes = drawn_boxes(means2d, radii, depths, view)
    image, alphas = composite(order, boxes, means2d, conics, splats.opacities, channels, view)
    if depth:
        return Render(image[..., :-1], alphas, image[..., -1], means2d, radii)
    return Render(image, alphas, None, means2d, radii)
