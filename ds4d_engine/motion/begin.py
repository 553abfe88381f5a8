# SPDX-License-Identifier: GPL-3.0-or-later
"""Start splines from where a few points of the subject were found at every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from torch import Tensor

from ..seam.quaternions import make_continuous
from ..single.node_graph import hang_on
from .search import Floats, neighbours, rotations_between

SMOOTHNESS = 1e-2
"""What large coefficients cost against missing the found places."""


@torch.no_grad()
def begin_on_places(
    splats: Mapping[str, Tensor], basis: Sequence[Sequence[float]], rest: Floats, places: Floats
) -> None:
    """Set `motion_means` and `motion_quats` of all Gaussians so that they follow the points.

    `rest` [M, 3] are the points in the canonical frame, `places` [T, M, 3] where they were found,
    `basis` [T, K] the spline basis at those times. Every Gaussian hangs on its nearest points,
    each of which moves and turns with its neighbours.
    """
    means = splats["means"].cpu().numpy()
    ids, weights = hang_on(cKDTree(rest), means)
    near = neighbours(rest)
    edges = rest[near] - rest[:, None]
    moved, turned = np.empty((len(places), len(means), 3)), np.empty((len(places), len(means), 4))
    for frame, now in enumerate(places):
        turns = rotations_between(edges, now[near] - now[:, None])
        arms = np.einsum("nkij,nkj->nki", turns[ids], means[:, None] - rest[ids])
        moved[frame] = (weights[..., None] * (now[ids] + arms)).sum(1) - means
        turned[frame] = _mixed(turns, ids, weights)
    own = torch.nn.functional.normalize(splats["quats"], dim=-1).cpu().numpy()
    spun = make_continuous(np.stack([_product(turn, own) for turn in turned]), own) - own
    solve = _least_squares(np.asarray(basis))
    for name, course in (("motion_means", moved), ("motion_quats", spun)):
        found = np.einsum("kt,tnc->nkc", solve, course)
        splats[name].copy_(torch.from_numpy(found.astype(np.float32)))


def _least_squares(basis: np.ndarray) -> np.ndarray:
    """Return the [K, T] matrix that turns courses into coefficients."""
    square = basis.T @ basis + SMOOTHNESS * np.eye(basis.shape[1])
    return np.linalg.solve(square, basis.T)


def _mixed(turns: Floats, ids: np.ndarray, weights: Floats) -> np.ndarray:
    """Return the mean rotation [N, 4] (wxyz) of each Gaussian's points."""
    quats = np.roll(Rotation.from_matrix(turns).as_quat(), 1, axis=1)[ids]  # [N, k, 4]
    sides = np.sign((quats * quats[:, :1]).sum(-1, keepdims=True))
    mean = (weights[..., None] * sides * quats).sum(1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True).clip(1e-9)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the products of quaternions [N, 4] (wxyz)."""
    w = a[:, :1] * b[:, :1] - (a[:, 1:] * b[:, 1:]).sum(1, keepdims=True)
    axis = a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:] + np.cross(a[:, 1:], b[:, 1:])
    return np.concatenate([w, axis], 1)
