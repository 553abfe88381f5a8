# SPDX-License-Identifier: GPL-3.0-or-later
"""Token grids seen from Gaussians: projection, bilinear sampling, visibility."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ds4d_engine.features import TokenGrids
from ds4d_engine.raster import rasterize
from ds4d_engine.seam.cameras import Camera
from ds4d_engine.seam.errors import EngineError

NEAR = 0.01
"""Depth below which a point counts as behind the camera, in world units."""
VISIBILITY_SIDE = 160
"""Longer side, in pixels, of the depth images that decide visibility."""
OPAQUE = 0.5
"""Below this coverage nothing is in front that could hide a Gaussian."""


class TokenSampler:
    """Sample the tokens of every view where the Gaussians project, as one sparse product.

    The bilinear weights depend on the means only, so the matrix is built once and used for many
    token sets; build a new sampler when the means have moved by about a token.
    """

    def __init__(self, means: Tensor, cameras: Sequence[Camera], grids: TokenGrids) -> None:
        """Build the matrix for `means` [N, 3] and one camera per view of `grids`.

        A point outside an image takes the nearest border token; one behind a camera takes zeros.
        """
        if len(cameras) != grids.views:
            raise EngineError(
                f"The features have {grids.views} views but {len(cameras)} cameras were given; "
                "pass the cameras whose images the features came from."
            )
        self.views, self.count, self.tokens = grids.views, len(means), grids.count
        corners, weights = zip(
            *(_corners(means.detach(), camera, grids, v) for v, camera in enumerate(cameras)),
            strict=True,
        )
        columns = torch.cat(corners).flatten()  # [V*N*4]
        rows = torch.arange(self.views * self.count, device=means.device).repeat_interleave(4)
        matrix = torch.sparse_coo_tensor(
            torch.stack([rows, columns]),
            torch.cat(weights).flatten(),
            (self.views * self.count, self.tokens),
            check_invariants=False,
        ).coalesce()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            self._matrix = matrix.to_sparse_csr()
            self._transposed = matrix.t().coalesce().to_sparse_csr()

    def sample(self, tokens: Tensor) -> Tensor:
        """Sample `tokens` [P, C] -> [V, N, C], differentiable in the tokens."""
        if tokens.shape[0] != self.tokens:
            raise EngineError(
                f"The sampler was built for {self.tokens} tokens, not {tokens.shape[0]}; "
                "build it from the grids of these tokens."
            )
        sampled: Tensor = _SparseProduct.apply(tokens, self._matrix, self._transposed)
        return sampled.view(self.views, self.count, tokens.shape[1])


class _SparseProduct(torch.autograd.Function):
    """A product with a constant sparse matrix, whose transpose is stored for the backward pass."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return torch.mm(matrix, dense)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return torch.mm(ctx.transposed, grads[0].contiguous()), None, None


def project(means: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Project `means` [N, 3] -> pixels [N, 2] (centres at +0.5) and depths [N] along z.

    Pixels of points with depth below NEAR are meaningless.
    """
    viewmat = means.new_tensor(camera.viewmat)
    local = means @ viewmat[:3, :3].T + viewmat[:3, 3]
    depths = local[:, 2]
    image = local @ means.new_tensor(camera.K).T
    return image[:, :2] / depths.clamp_min(NEAR)[:, None], depths


def _corners(means: Tensor, camera: Camera, grids: TokenGrids, view: int) -> tuple[Tensor, Tensor]:
    """Give the 4 surrounding tokens (flat indices) and their weights, each [N, 4]."""
    pixels, depths = project(means, camera)
    width, height = grids.widths[view], grids.heights[view]
    last = means.new_tensor([width - 1, height - 1])
    # Token centres lie at half strides. Clamped first: a far point would overflow the index.
    place = pixels / means.new_tensor(grids.strides[view]) - 0.5
    place = place.nan_to_num(0.0).clamp_min(0).minimum(last)
    low = place.floor()
    fraction = place - low
    high = (low + 1).minimum(last)
    rows = torch.stack([low[:, 1], low[:, 1], high[:, 1], high[:, 1]], 1).long()
    columns = torch.stack([low[:, 0], high[:, 0], low[:, 0], high[:, 0]], 1).long()
    x, y = fraction[:, 0], fraction[:, 1]
    weights = torch.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x], 1)
    weights = weights * (depths > NEAR)[:, None]
    return grids.offsets[view] + rows * width + columns, weights


@torch.no_grad()
def visible_views(
    splats: Mapping[str, Tensor],
    cameras: Sequence[Camera],
    *,
    radius: float = 1.0,
    tolerance: float = 0.05,
    backend: str = "auto",
) -> Tensor:
    """Decide which views see each Gaussian's centre -> bool [V, N].

    `splats` are raw (log scales, logit opacities), rendered as depth from every camera. A centre
    is visible if it lies inside the image, and behind the expected depth of its pixel by no more
    than `tolerance` times the scene's `radius` plus twice its own largest sigma.
    """
    means = splats["means"]
    scales = splats["scales"].exp()
    values = (splats["quats"], scales, splats["opacities"].sigmoid())
    # On a slanted surface the splats in front pull the expected depth forward by about a sigma.
    slack = tolerance * radius + 2 * scales.amax(1)
    colors = means.new_zeros(len(means), 1)
    seen = []
    for camera in cameras:
        camera = shrink(camera, VISIBILITY_SIDE)
        render = rasterize(
            means,
            *values,
            colors,
            means.new_tensor(camera.viewmat),
            means.new_tensor(camera.K),
            camera.width,
            camera.height,
            backend=backend,
            depth=True,
        )
        if render.depths is None:
            raise EngineError("The rasteriser returned no depth; choose another backend.")
        pixels, depths = project(means, camera)
        size = means.new_tensor([camera.width, camera.height])
        inside = ((pixels >= 0) & (pixels < size)).all(1) & (depths > NEAR)
        column, row = pixels.nan_to_num(0.0).clamp_min(0).minimum(size - 1).long().unbind(1)
        alphas = render.alphas.reshape(camera.height, camera.width)[row, column]
        surface = render.depths.reshape(camera.height, camera.width)[row, column]
        behind = depths > surface / alphas.clamp_min(1e-10) + slack
        seen.append(inside & ~(behind & (alphas > OPAQUE)))
    return torch.stack(seen)


def shrink(camera: Camera, side: int) -> Camera:
    """Give the camera with an image of at most `side` pixels along its longer side."""
    factor = side / max(camera.width, camera.height)
    if factor >= 1:
        return camera
    width, height = max(1, round(camera.width * factor)), max(1, round(camera.height * factor))
    K = camera.K.copy()
    K[0] *= width / camera.width
    K[1] *= height / camera.height
    return Camera(camera.name, K, camera.viewmat, width, height, camera.split)


def sample_scores(scores: Tensor, sampler: TokenSampler, visible: Tensor) -> Tensor:
    """Average dynamic scores of tokens [T, P] over time and over the views that see a Gaussian.

    Gaussians that no view sees take the average over all views. Returns [N].
    """
    points = sampler.sample(scores.mean(0)[:, None])[..., 0]  # [V, N]
    weights = visible.to(points.dtype)
    weights = torch.where(visible.any(0), weights, torch.ones_like(weights))
    return (points * weights).sum(0) / weights.sum(0)
