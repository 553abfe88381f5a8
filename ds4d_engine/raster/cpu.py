# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPU back end: Numba kernels behind two autograd Functions.

Projection and compositing are separate Functions, so that the projected centres are a
tensor of the graph: densification reads their gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ds4d_engine.raster import binning_kernels, projection_kernels, tile_kernels
from ds4d_engine.raster.scene import Render, Splats, View
from ds4d_engine.raster.threads import run_pieces, run_ranges

LEAST_SPLATS = 4096
"""Fewer splats than this are projected on one thread: sharing them costs more."""

LEAST_GATHERED = 16384
"""The gradients of fewer splats than this are gathered on one thread."""

LEAST_TILES = 16
"""Fewer tiles than this are composited on one thread."""


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


class _Project(torch.autograd.Function):
    """Project splats to means2d [N,2], conics [N,3], depths [N], radii [N,2], boxes [N,4]."""

    @staticmethod
    def forward(
        ctx: Any, means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, view: View
    ) -> tuple[Tensor, ...]:
        count = means.shape[0]
        means2d = torch.empty(count, 2)
        conics = torch.empty(count, 3)
        depths = torch.empty(count)
        radii = torch.empty(count, 2, dtype=torch.int32)
        boxes = torch.empty(count, 4, dtype=torch.int32)
        run_ranges(
            projection_kernels.project_forward,
            count,
            LEAST_SPLATS,
            *(_array(x) for x in (means, quats, scales, opacities)),
            view.viewmat,
            view.K,
            view.width,
            view.height,
            *(x.numpy() for x in (means2d, conics, depths, radii, boxes)),
        )
        ctx.mark_non_differentiable(radii, boxes)
        ctx.save_for_backward(means, quats, scales, conics, radii)
        ctx.view = view
        return means2d, conics, depths, radii, boxes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        means, quats, scales, conics, radii = ctx.saved_tensors
        view = ctx.view
        results = [torch.empty(x.shape) for x in (means, quats, scales)]
        run_ranges(
            projection_kernels.project_backward,
            means.shape[0],
            LEAST_SPLATS,
            *(_array(x) for x in (means, quats, scales)),
            view.viewmat,
            view.K,
            view.width,
            view.height,
            conics.numpy(),
            radii.numpy(),
            *(_array(x) for x in gradients[:3]),
            *(x.numpy() for x in results),
        )
        return *results, None, None


class _Composite(torch.autograd.Function):
    """Composite projected splats to colors [H,W,C], alphas [H,W] and depths [H,W] or [0,0]."""

    @staticmethod
    def forward(
        ctx: Any,
        means2d: Tensor,
        conics: Tensor,
        opacities: Tensor,
        colors: Tensor,
        depths: Tensor,
        boxes: Tensor,
        view: View,
        with_depth: bool,
        with_absolute: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        width, height = view.width, view.height
        bins = binning_kernels.bin_splats(
            _array(means2d),
            _array(conics),
            _array(opacities),
            _array(colors),
            _array(depths),
            boxes.numpy(),
            with_depth,
            width,
            height,
        )
        _, packed, kept_boxes, tile_ends, entries, _ = bins
        image = torch.empty(height, width, colors.shape[1])
        alphas = torch.empty(height, width)
        image_depths = torch.empty((height, width) if with_depth else (0, 0))
        stops = np.empty((height, width), np.int32)
        run_pieces(
            tile_kernels.composite_forward,
            len(tile_ends) - 1,
            LEAST_TILES,
            packed,
            kept_boxes,
            tile_ends,
            entries,
            width,
            height,
            image.numpy(),
            alphas.numpy(),
            image_depths.numpy(),
            stops,
        )
        ctx.save_for_backward(image, alphas, image_depths)
        ctx.bins, ctx.stops, ctx.view, ctx.with_depth = bins, stops, view, with_depth
        ctx.means2d = means2d if with_absolute else None
        ctx.count, ctx.channels = colors.shape
        return image, alphas, image_depths

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g_image: Tensor, g_alphas: Tensor, g_depths: Tensor
    ) -> tuple[Tensor | None, ...]:
        splat_ids, packed, boxes, tile_ends, entries, slot_ends = ctx.bins
        with_absolute = ctx.means2d is not None
        columns = packed.shape[1] + (2 if with_absolute else 0)
        rows = np.empty((len(entries), columns), np.float32)
        run_pieces(
            tile_kernels.composite_backward,
            len(tile_ends) - 1,
            LEAST_TILES,
            packed,
            boxes,
            tile_ends,
            entries,
            ctx.view.width,
            ctx.view.height,
            *(x.numpy() for x in ctx.saved_tensors),
            ctx.stops,
            *(_array(x) for x in (g_image, g_alphas, g_depths)),
            rows,
            with_absolute,
        )
        count = ctx.count
        results = [
            torch.zeros(count, 2),
            torch.zeros(count, 3),
            torch.zeros(count),
            torch.zeros(count, ctx.channels),
            torch.zeros(count if ctx.with_depth else 0),
            torch.zeros(count if with_absolute else 0, 2),
        ]
        run_ranges(
            tile_kernels.gather_gradients,
            len(splat_ids),
            LEAST_GATHERED,
            splat_ids,
            slot_ends,
            rows,
            *(x.numpy() for x in results),
        )
        if with_absolute:
            ctx.means2d.absgrad = results[5]
        return *results[:4], results[4] if ctx.with_depth else None, None, None, None, None


def rasterize(splats: Splats, view: View, *, depth: bool, absgrad: bool) -> Render:
    """Draw splats (float32, in main memory) with the Numba kernels."""
    viewmat, K = view.viewmat.astype(np.float32), view.K.astype(np.float32)
    view = View(viewmat, K, view.width, view.height)
    means2d, conics, depths, radii, boxes = _Project.apply(
        splats.means, splats.quats, splats.scales, splats.opacities, view
    )
    colors, alphas, image_depths = _Composite.apply(
        means2d, conics, splats.opacities, splats.colors, depths, boxes, view, depth, absgrad
    )
    return Render(colors, alphas, image_depths if depth else None, means2d, radii)
