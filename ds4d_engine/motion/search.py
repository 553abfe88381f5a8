# SPDX-License-Identifier: GPL-3.0-or-later
"""Where points of the canonical frame are at all other times, found by their features.

A photometric gradient reaches about a pixel: a limb that jumps farther between two frames is lost.
Features reach as far as one cares to look. From the middle frame outwards, every point tries a
lattice of places around where its speed leads; at each, its tokens in the views that see it are
compared with those that it had a frame before and in the middle frame. Neighbours then settle on
places that keep the piece they belong to rigid. [ours; method.md]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from ..features import ClipFeatures
from ..raster.jit import kernel
from ..seam.events import Listener, Stage

CHANNELS = 12
"""Principal components of the tokens that are compared."""
NEIGHBOURS = 8
LEVELS = ((4, 0.15), (2, 0.06), (2, 0.025))
"""Lattices, coarse to fine: places to either side along an axis, and their spacing (radii)."""
STIFFNESS = (0.5, 2.0, 8.0)
"""Weights of a squared distance from rigid against features, firmer sweep by sweep."""
SWEEPS = 2
NEARNESS = 2.0
"""Weight of a squared distance from where speed leads: one view alone cannot tell how deep."""
SPEED_KEPT = 0.5
"""How much of the last step is expected again."""

Floats = NDArray[np.float32]


class Views(NamedTuple):
    """Projections of all views onto their token grids."""

    matrices: Floats  # [V, 3, 4] world to token coordinates, homogeneous
    offsets: NDArray[np.int64]  # [V] first token
    sizes: NDArray[np.int64]  # [V, 2] rows, columns


class Sought(NamedTuple):
    """What is looked for in one frame."""

    tokens: Floats  # [P, c] of the frame
    views: Views
    visible: NDArray[np.bool_]  # [V, M] which views see a point
    before: Floats  # [V, M, c] its tokens a frame before
    first: Floats  # [V, M, c] its tokens in the middle frame


def search_places(
    features: ClipFeatures, points: Tensor, visible: Tensor, middle: int, listener: Listener
) -> Tensor:
    """Follow `points` [M, 3] of the middle frame through all frames -> [T, M, 3].

    `visible` bool [V, M] says which views see a point. Points that none sees follow the others.
    """
    tokens = principal_tokens(features.tokens)
    views, frames = _views(features), len(tokens)
    seen = visible.numpy()
    rest = points.numpy().astype(np.float32)
    near = neighbours(rest)
    edges = rest[near] - rest[:, None]
    places = np.repeat(rest[None], frames, 0)
    first = read_tokens(tokens[middle], views, rest)
    stage, done = Stage(listener, "search motion", max(frames - 1, 1)), 0
    for step in (1, -1):
        before, speed = first, np.zeros_like(rest)
        for frame in range(middle + step, frames if step > 0 else -1, step):
            sought = Sought(tokens[frame], views, seen, before, first)
            start = places[frame - step] + SPEED_KEPT * speed
            places[frame] = _settle(sought, start, near, edges)
            speed = places[frame] - places[frame - step]
            before = read_tokens(tokens[frame], views, places[frame])
            done += 1
            stage.update(done)
    return torch.from_numpy(places)


def principal_tokens(tokens: Tensor) -> Floats:
    """Return the first principal components of tokens [T, P, C] -> [T, P, c]."""
    flat = tokens.flatten(0, 1).cpu()
    rank = min(CHANNELS, *flat.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        some = flat[torch.randperm(len(flat))[:20_000]]
        _, _, axes = torch.pca_lowrank(some, rank)
    return (flat @ axes).view(*tokens.shape[:2], rank).numpy()


def rotations_between(before: Floats, after: Floats) -> Floats:
    """Return the rotations [M, 3, 3] that best turn edges [M, k, 3] into others (Kabsch)."""
    u, _, vt = np.linalg.svd(np.einsum("mki,mkj->mij", before, after))
    mirrored = np.linalg.det(u @ vt) < 0
    vt[mirrored, 2] *= -1
    return np.ascontiguousarray(np.swapaxes(u @ vt, 1, 2))


def neighbours(points: Floats) -> NDArray[np.int64]:
    """Return the nearest other points [M, k] of each point."""
    count = min(NEIGHBOURS + 1, len(points))
    found = np.asarray(cKDTree(points).query(points, count)[1]).reshape(len(points), -1)
    return found[:, 1:] if count > 1 else found


def _settle(sought: Sought, start: Floats, near: NDArray[np.int64], edges: Floats) -> Floats:
    """Return where points are in one frame: features agree, and edges have only turned."""
    now, seen = start, np.any(sought.visible, axis=0)[:, None]  # who is not seen follows the others
    for level, (reach, spacing) in enumerate(LEVELS):
        lattice, center = _lattice(reach, spacing), now
        cost = compare_tokens(sought, center, lattice)
        cost += NEARNESS * seen * np.square(lattice).sum(1)
        if level == 0:  # from far away, neighbours choose together
            now = center + lattice[(cost + cost[near].mean(1)).argmin(1)]
        for stiffness in STIFFNESS:
            for _ in range(SWEEPS):
                wanted = _rigid_places(now, near, edges) - center
                apart = np.square(lattice[None] - wanted[:, None]).sum(-1)
                now = center + lattice[(cost + stiffness * apart).argmin(1)]
    return now


def _rigid_places(now: Floats, near: NDArray[np.int64], edges: Floats) -> Floats:
    """Return where each point's neighbours say that it is, their edges having only turned."""
    turns = rotations_between(edges, now[near] - now[:, None])
    own = np.einsum("mij,mkj->mki", turns, edges)
    theirs = np.einsum("mkij,mkj->mki", turns[near], edges)
    return (now[near] - 0.5 * (own + theirs)).mean(1).astype(np.float32)


def _lattice(reach: int, spacing: float) -> Floats:
    axis = np.arange(-reach, reach + 1, dtype=np.float32) * np.float32(spacing)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def _views(features: ClipFeatures) -> Views:
    grids, matrices = features.grids, []
    for view, camera in enumerate(features.cameras):
        across, down = grids.strides[view]
        to_tokens = np.array([[1 / across, 0, -0.5], [0, 1 / down, -0.5], [0, 0, 1]])
        matrices.append(to_tokens @ camera.K @ camera.viewmat[:3])
    sizes = np.stack([grids.heights, grids.widths], 1)
    offsets = np.asarray(grids.offsets)
    return Views(np.asarray(matrices, np.float32), offsets, sizes)


def read_tokens(tokens: Floats, views: Views, points: Floats) -> Floats:
    """Read tokens [P, c] bilinearly where `points` [M, 3] project -> [V, M, c]."""
    out = np.zeros((len(views.matrices), len(points), tokens.shape[1]), np.float32)
    _read(tokens, *views, points, out)
    return out


def compare_tokens(sought: Sought, centers: Floats, lattice: Floats) -> Floats:
    """Return how unlike tokens are at `centers` [M, 3] + `lattice` [L, 3] -> [M, L].

    The mean over the views that see a point of its distances to both of its known tokens.
    """
    out = np.zeros((len(centers), len(lattice)), np.float32)
    tokens, views, *known = sought
    _compare(tokens, *views, *known, centers, lattice, out)
    return out


@kernel
def _sample(tokens, matrix, offset, rows, columns, x, y, z, out):  # type: ignore[no-untyped-def]
    depth = max(matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3], 1e-2)
    u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / depth
    v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / depth
    u, v = min(max(u, 0.0), columns - 1.0), min(max(v, 0.0), rows - 1.0)
    left, top = int(u), int(v)
    right, bottom = min(left + 1, columns - 1), min(top + 1, rows - 1)
    fu, fv = u - left, v - top
    a = tokens[offset + top * columns + left]
    b = tokens[offset + top * columns + right]
    c = tokens[offset + bottom * columns + left]
    d = tokens[offset + bottom * columns + right]
    for k in range(len(out)):
        upper = a[k] + fu * (b[k] - a[k])
        lower = c[k] + fu * (d[k] - c[k])
        out[k] = upper + fv * (lower - upper)


@kernel
def _read(tokens, matrices, offsets, sizes, points, out):  # type: ignore[no-untyped-def]
    for v in range(len(matrices)):
        for m in range(len(points)):
            x, y, z = points[m]
            _sample(tokens, matrices[v], offsets[v], sizes[v, 0], sizes[v, 1], x, y, z, out[v, m])


@kernel
def _compare(  # type: ignore[no-untyped-def]
    tokens, matrices, offsets, sizes, visible, before, first, centers, lattice, out
):
    here = np.empty(tokens.shape[1], np.float32)
    for m in range(len(centers)):
        total = 0
        for v in range(len(matrices)):
            if not visible[v, m]:
                continue
            total += 1
            for i in range(len(lattice)):
                x = centers[m, 0] + lattice[i, 0]
                y = centers[m, 1] + lattice[i, 1]
                z = centers[m, 2] + lattice[i, 2]
                _sample(tokens, matrices[v], offsets[v], sizes[v, 0], sizes[v, 1], x, y, z, here)
                old = new = 0.0
                for k in range(len(here)):
                    old += (here[k] - first[v, m, k]) ** 2
                    new += (here[k] - before[v, m, k]) ** 2
                out[m, i] += 0.5 * (np.sqrt(old) + np.sqrt(new))
        if total:
            for i in range(len(lattice)):
                out[m, i] /= total
