# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion nodes: few points that carry the motion, and which of them a Gaussian hangs on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

FloatArray = NDArray[np.float32]

NODES_PER_POINT = 4
EDGES_PER_NODE = 8


@dataclass(frozen=True, eq=False)
class NodeGraph:
    """M nodes among N points, their edges, and the points' shares in them."""

    chosen: NDArray[np.int64]
    """[M] which points are nodes."""
    near: NDArray[np.int64]
    """[M, 8] the nodes that move most like each node."""
    ids: NDArray[np.int64]
    """[N, 4] nodes of each point."""
    weights: FloatArray
    """[N, 4] their shares, summing to 1."""


def build_graph(likeness: FloatArray, count: int) -> NodeGraph:
    """Spread `count` nodes over points [N, D] whose distance says how differently they move."""
    chosen = farthest_points(likeness, count)
    tree = cKDTree(likeness[chosen])
    ids, weights = hang_on(tree, likeness)
    neighbours = min(EDGES_PER_NODE + 1, len(chosen))
    found = np.asarray(tree.query(likeness[chosen], neighbours)[1]).reshape(len(chosen), -1)[:, 1:]
    own = np.arange(len(chosen))[:, None]  # of few nodes, each is its own neighbour too
    near = np.concatenate([found, *[own] * (EDGES_PER_NODE - found.shape[1])], 1)
    return NodeGraph(chosen, near.astype(np.int64), ids, weights)


def hang_on(tree: cKDTree, points: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    """Return the nearest nodes [N, 4] of points and their shares [N, 4]."""
    distances, ids = tree.query(points, min(NODES_PER_POINT, tree.n))
    distances = np.asarray(distances).reshape(len(points), -1)
    ids = np.asarray(ids).reshape(len(points), -1)
    width = np.median(distances[:, min(1, distances.shape[1] - 1)]) + 1e-6
    weights = np.exp(-0.5 * (distances / width) ** 2) + 1e-8
    weights /= weights.sum(1, keepdims=True)
    missing = NODES_PER_POINT - ids.shape[1]
    ids = np.pad(ids, ((0, 0), (0, missing)))
    weights = np.pad(weights, ((0, 0), (0, missing)))
    return ids.astype(np.int64), weights.astype(np.float32)


def farthest_points(points: FloatArray, count: int) -> NDArray[np.int64]:
    """Choose points one by one, each the farthest from those before; the first is most central."""
    chosen = [int(np.square(points - points.mean(0)).sum(1).argmin())]
    distance = np.square(points - points[chosen[0]]).sum(1)
    for _ in range(min(count, len(points)) - 1):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.square(points - points[chosen[-1]]).sum(1))
    return np.array(chosen, np.int64)
