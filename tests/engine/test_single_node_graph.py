# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes are spread over what moves; every point hangs on the nodes that move as it does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ds4d_engine.single.node_graph import (
    EDGES_PER_NODE,
    NODES_PER_POINT,
    build_graph,
    farthest_points,
    hang_on,
)

POINTS = np.random.default_rng(5).uniform(-1, 1, (400, 3)).astype(np.float32)


def test_chosen_points_are_distinct_and_start_in_the_middle() -> None:
    chosen = farthest_points(POINTS, 50)
    assert len(set(chosen.tolist())) == 50
    away = np.linalg.norm(POINTS - POINTS.mean(0), axis=1)
    assert away[chosen[0]] == away.min()


def test_each_chosen_point_is_the_farthest_from_those_before() -> None:
    chosen = farthest_points(POINTS, 12)
    for count in range(1, 12):
        gaps = np.linalg.norm(POINTS[:, None] - POINTS[chosen[:count]], axis=2).min(1)
        assert gaps[chosen[count]] == pytest.approx(gaps.max())


def test_no_point_is_far_from_all_nodes() -> None:
    chosen = farthest_points(POINTS, 60)
    spread = cKDTree(POINTS[chosen]).query(POINTS[chosen], 2)[0][:, 1].min()
    assert cKDTree(POINTS[chosen]).query(POINTS)[0].max() <= spread + 1e-6


def test_shares_are_positive_and_sum_to_1() -> None:
    graph = build_graph(POINTS, 40)
    assert graph.weights.shape == graph.ids.shape == (400, NODES_PER_POINT)
    assert (graph.weights >= 0).all()
    assert np.abs(graph.weights.sum(1) - 1).max() < 1e-6
    assert graph.ids.min() >= 0 and graph.ids.max() < 40


def test_points_hang_on_their_nearest_nodes_and_most_on_the_very_nearest() -> None:
    graph = build_graph(POINTS, 40)
    gaps = np.linalg.norm(POINTS[:, None] - POINTS[graph.chosen], axis=2)
    expected = np.sort(np.argsort(gaps, axis=1)[:, :NODES_PER_POINT], axis=1)
    assert (np.sort(graph.ids, axis=1) == expected).all()
    heaviest = graph.ids[np.arange(400), graph.weights.argmax(1)]
    assert (heaviest == gaps.argmin(1)).all()


def test_edges_lead_to_the_nearest_other_nodes() -> None:
    graph = build_graph(POINTS, 40)
    assert graph.near.shape == (40, EDGES_PER_NODE)
    nodes = POINTS[graph.chosen]
    gaps = np.linalg.norm(nodes[:, None] - nodes, axis=2) + 1e6 * np.eye(40)
    expected = np.argsort(gaps, axis=1)[:, :EDGES_PER_NODE]
    assert (np.sort(graph.near, axis=1) == np.sort(expected, axis=1)).all()


@pytest.mark.parametrize("points", [1, 2, 3, 7])
def test_fewer_points_than_nodes_are_all_nodes(points: int) -> None:
    graph = build_graph(POINTS[:points], 40)
    assert sorted(graph.chosen.tolist()) == list(range(points))
    assert graph.near.shape == (points, EDGES_PER_NODE)
    assert graph.near.max() < points and graph.ids.max() < points
    assert np.abs(graph.weights.sum(1) - 1).max() < 1e-6
    heaviest = graph.chosen[graph.ids[np.arange(points), graph.weights.argmax(1)]]
    assert (heaviest == np.arange(points)).all()


def test_points_that_coincide_hang_on_something_finite() -> None:
    graph = build_graph(np.zeros((6, 3), np.float32), 4)
    assert np.isfinite(graph.weights).all()
    assert np.abs(graph.weights.sum(1) - 1).max() < 1e-6


def test_parts_that_move_apart_share_hardly_any_node() -> None:
    """Two strips lie side by side, but one of them moves away."""
    rows, columns = np.mgrid[:12, :24]
    places = np.stack([columns, rows, 0 * rows], -1).reshape(-1, 3).astype(np.float32)
    right = places[:, 0] >= 12
    motion = np.where(right[:, None], [20.0, 0, 0], 0).astype(np.float32)
    graph = build_graph(np.concatenate([places, motion], 1), 24)
    foreign = right[graph.chosen][graph.ids] != right[:, None]
    assert (graph.weights * foreign).sum(1).max() < 0.02
    assert right[graph.chosen].any() and not right[graph.chosen].all()


def test_the_same_points_give_the_same_graph() -> None:
    first, second = build_graph(POINTS, 30), build_graph(POINTS.copy(), 30)
    assert (first.chosen == second.chosen).all() and (first.weights == second.weights).all()


def test_new_points_hang_on_nodes_as_old_ones_do() -> None:
    tree = cKDTree(POINTS[:20])
    ids, weights = hang_on(tree, POINTS[20:60])
    assert ids.shape == weights.shape == (40, NODES_PER_POINT)
    assert (ids[:, 0] == tree.query(POINTS[20:60])[1]).all()
