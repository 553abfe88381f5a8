# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes move and turn in the picture as the tracks around them do, and rest where none is known."""

from __future__ import annotations

import numpy as np
import pytest

from ds4d_engine.motion.tracked import tracked_motion
from ds4d_engine.single.tracks import Tracks

ANGLE, SHIFT = 0.7, np.array([20.0, -5.0])
NODES = np.random.default_rng(1).uniform(10, 60, (5, 2)).astype(np.float32)


def turned(points: np.ndarray) -> np.ndarray:
    """Turn points [P, 2] from right to down about the corner, and move them."""
    cosine, sine = np.cos(ANGLE), np.sin(ANGLE)
    return points @ np.array([[cosine, sine], [-sine, cosine]]) + SHIFT


def test_a_rigid_motion_is_found_and_an_unknown_one_is_rest() -> None:
    rng = np.random.default_rng(2)
    pixels = rng.uniform(10, 60, (200, 2)).astype(np.float32)
    places = np.stack([turned(pixels), pixels]).astype(np.float32)
    trust = np.stack([np.full(200, 0.5), np.zeros(200)]).astype(np.float32)
    tracks = Tracks(pixels, places, trust)
    weights = rng.dirichlet(np.ones(4), 200).astype(np.float32)
    ids = rng.integers(0, 5, (200, 4))
    steps, angles = tracked_motion(tracks, np.arange(200), ids, weights, NODES)
    assert steps[0] == pytest.approx(turned(NODES) - NODES, abs=0.8)
    assert angles[0] == pytest.approx(ANGLE, abs=0.02)
    assert (steps[1] == 0).all() and (angles[1] == 0).all()
