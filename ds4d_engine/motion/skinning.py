# SPDX-License-Identifier: GPL-3.0-or-later
"""Linear blend skinning: points carried by a weighted mean of their nodes' transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..raster.jit import kernel
from ..raster.threads import run_pieces, run_ranges

LEAST_POINTS = 1024
"""Fewer points than this are carried on one thread: sharing them costs more."""

BLOCKS = 8
"""Parts of the points, each with gradients of its own: sums do not depend on the threads."""


def skin(points: Tensor, table: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    """Carry points [N, 3] with their nodes [N, K] by rows of `table` [M, 12] -> [N, 3].

    A row is a matrix [3, 3], row by row, and a translation; `weights` [N, K] get no gradient.
    """
    if points.device.type == "cpu" and points.dtype == torch.float32:
        carried: Tensor = _Skin.apply(points, table, ids, weights)
        return carried
    mixed = (table[ids] * weights[..., None]).sum(1)
    return (mixed[:, :9].view(-1, 3, 3) @ points[..., None])[..., 0] + mixed[:, 9:]


class _Skin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, table: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        arrays = tuple(x.detach().contiguous().numpy() for x in (points, table, ids, weights))
        out = torch.empty_like(points)
        run_ranges(carry_points, len(points), LEAST_POINTS, *arrays, out.numpy())
        ctx.arrays = arrays
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        points, table, _, _ = ctx.arrays
        g_points = torch.empty(points.shape)
        g_table = np.zeros((BLOCKS, *table.shape), np.float32)
        run_pieces(
            *(carry_gradients, BLOCKS, 2, *ctx.arrays),
            *(gradient.contiguous().numpy(), g_points.numpy(), g_table),
        )
        return g_points, torch.from_numpy(g_table.sum(0)), None, None


@kernel
def carry_points(start, stop, points, table, ids, weights, out):  # type: ignore[no-untyped-def]
    """For n in start..stop-1: out[n] = sum over k of weights[n, k] (A x + b) of node ids[n, k]."""
    for n in range(start, stop):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        a = b = c = np.float32(0)
        for k in range(ids.shape[1]):
            row, w = table[ids[n, k]], weights[n, k]
            a += w * (row[0] * x + row[1] * y + row[2] * z + row[9])
            b += w * (row[3] * x + row[4] * y + row[5] * z + row[10])
            c += w * (row[6] * x + row[7] * y + row[8] * z + row[11])
        out[n, 0], out[n, 1], out[n, 2] = a, b, c


@kernel
def carry_gradients(  # type: ignore[no-untyped-def]
    start, stop, points, table, ids, weights, gradient, g_points, g_table
):
    """Blocks start..stop-1 of `carry_points`' gradients: of points, and of the table per block."""
    total = len(points)
    for block in range(start, stop):
        sums = g_table[block]
        for n in range(total * block // BLOCKS, total * (block + 1) // BLOCKS):
            x, y, z = points[n, 0], points[n, 1], points[n, 2]
            a, b, c = gradient[n, 0], gradient[n, 1], gradient[n, 2]
            gx = gy = gz = np.float32(0)
            for k in range(ids.shape[1]):
                node, w = ids[n, k], weights[n, k]
                row, into = table[node], sums[node]
                wa, wb, wc = w * a, w * b, w * c
                gx += wa * row[0] + wb * row[3] + wc * row[6]
                gy += wa * row[1] + wb * row[4] + wc * row[7]
                gz += wa * row[2] + wb * row[5] + wc * row[8]
                into[0] += wa * x
                into[1] += wa * y
                into[2] += wa * z
                into[3] += wb * x
                into[4] += wb * y
                into[5] += wb * z
                into[6] += wc * x
                into[7] += wc * y
                into[8] += wc * z
                into[9] += wa
                into[10] += wb
                into[11] += wc
            g_points[n, 0], g_points[n, 1], g_points[n, 2] = gx, gy, gz
