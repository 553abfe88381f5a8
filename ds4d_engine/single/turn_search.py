# SPDX-License-Identifier: GPL-3.0-or-later
"""The angle of a turning subject in every frame: the one that best explains outlines and colours.

A wrong angle carves parts away that outlines show, and puts different colours in one place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..seam.cameras import Camera
from ..seam.events import Listener, Stage, silent
from .carve import REACH, Views, clip_views, explained, grid, votes
from .turn import LEAST_TURN, Turn, turning_by_flow

FloatArray = NDArray[np.float64]

SIDE = 64
"""Width in pixels at which turns are compared."""
CELLS = 48
"""Cells along an edge of the cube that is carved."""
FRAMES = 36
"""Frames that are compared."""
KEPT = (0.95, 0.9, 0.8, 0.7)
"""Parts of all frames whose outlines must hold what is kept, of which the best is taken."""
NEARLY = 0.6
"""What of `KEPT` a cell must reach to be looked at again while a turn is refined."""
SEARCHED = (0.6, 2.2)
"""Between which multiples of what flow says the angle lies."""
HINTED = (0.92, 1.05)
"""The same of what the artist says."""
COARSE = math.radians(15)
"""Step of the first search."""
BENDS = 7
"""Knots of the angle and of the axis over the clip."""
LEANS = tuple(math.radians(degrees) for degrees in (-10, 10, 20, 30))
"""By how much the axis may lean towards a camera that looks down."""
STEADINESS = 0.5
"""Weight of an even speed, against the score of outlines and colours."""
STEPS = tuple(math.radians(degrees) for degrees in (8, 4, 2))
SHIFTS = (0.02, 0.01)
"""Steps of the angles at the knots, and of the axis in world units."""
ADVANTAGE = 0.15
"""How much better a turn must explain the clip than its mirror image and no turn at all."""


def find_turn(
    pictures: NDArray[np.uint8],
    camera: Camera,
    key: int,
    degrees: float | None = None,
    listener: Listener = silent,
) -> Turn | None:
    """Return how the subject of a clip, uint8 [T, H, W, 4], turns; None if it does not.

    Args:
        degrees: by how much the subject turns in either direction, if known; otherwise the clip
            must show it beyond doubt.
    """
    stage = Stage(listener, "turn", 3)
    flow = turning_by_flow(pictures)
    if degrees is None and not flow.sure:
        stage.update(3)
        return None
    search = _Search(pictures, camera, key)
    stage.update(1)
    low, high = SEARCHED if degrees is None else HINTED
    about = abs(flow.total) if degrees is None else math.radians(degrees)
    step = COARSE if degrees is None else STEPS[-1]
    sizes = np.arange(low * about, high * about + step, step)
    totals = math.copysign(1.0, flow.total) * sizes
    evenly = np.linspace(0, 1, len(pictures))
    shapes = [evenly, flow.angles / flow.total] if flow.total else [evenly]
    best = search.best(search.turning(total * shape) for shape in shapes for total in totals)
    best = search.leaning(best)
    stage.update(2)
    if degrees is None:
        rivals = (search.turning(0 * evenly), search.mirrored(best))
        doubt = ADVANTAGE + max(search.score(rival) for rival in rivals)
        if abs(math.radians(best.degrees)) < LEAST_TURN or search.score(best) < doubt:
            stage.update(3)
            return None
    search.narrow(best)
    best = search.refined(best, resize=degrees is None)
    best = replace(best, kept=search.kept[0])
    turned = abs(round(best.degrees))
    stage.update(
        3, f"the subject turns by about {turned} degrees; its shape is carved from all sides"
    )
    return best


class _Search:
    """Compares turns on a few small pictures of a clip."""

    def __init__(self, pictures: NDArray[np.uint8], camera: Camera, key: int) -> None:
        count = len(pictures)
        self.frames = np.linspace(0, count - 1, min(count, FRAMES)).round().astype(int)
        self.views = clip_views(pictures[self.frames], camera, min(SIDE, camera.width))
        self.count, self.key = count, key
        self.places = np.linspace(0, count - 1, BENDS)
        self.middle, radius = _extent(self.views)
        points, self.cell = grid(CELLS), 2 * REACH / CELLS
        self.points = points[np.hypot(points[:, 0], points[:, 1]) < radius]
        self.kept: tuple[float, ...] = KEPT
        self._scores: dict[Turn, float] = {}

    def turning(self, angles: FloatArray) -> Turn:
        """Return a turn by angles [T], radians, about an axis that stands still."""
        axis = np.tile([self.middle, 0.0, 0.0], (self.count, 1))
        return Turn(angles - angles[self.key], axis, axis[self.key], np.array([0.0, 0.0, 1.0]))

    def mirrored(self, turn: Turn) -> Turn:
        """Return the same turn the other way round."""
        return replace(turn, angles=-turn.angles)

    def leaning(self, turn: Turn) -> Turn:
        """Return the same turn about the axis that, leaning to the camera, explains most."""
        leans = (np.array([0.0, -math.sin(lean), math.cos(lean)]) for lean in LEANS)
        return self.best([turn, *(replace(turn, up=up) for up in leans)])

    def best(self, turns: Iterable[Turn]) -> Turn:
        """Return the turn that explains the clip best."""
        return max(turns, key=self.score)

    def score(self, turn: Turn) -> float:
        """Return how well a turn explains outlines and colours, 0..2."""
        if turn not in self._scores:
            self._scores[turn] = max(self._carved(turn)) - STEADINESS * self._bend(turn)
        return self._scores[turn]

    def _bend(self, turn: Turn) -> float:
        """Return the second differences of the angles at the knots, squared."""
        knots = np.interp(self.places, np.arange(self.count), turn.angles)
        return float(np.square(np.diff(knots, 2)).mean())

    def _carved(self, turn: Turn) -> list[float]:
        """Return the score for each of `kept`."""
        seen = self._sampled(turn)
        held = votes(self.points, self.views, seen)
        scores = []
        for part in self.kept:
            chosen = self.points[held >= part]
            enough = len(chosen) > 0
            scores.append(sum(explained(chosen, self.cell, self.views, seen)) if enough else 0.0)
        return scores

    def _sampled(self, turn: Turn) -> Turn:
        return replace(turn, angles=turn.angles[self.frames], axis=turn.axis[self.frames])

    def narrow(self, turn: Turn) -> None:
        """Compare from now on only what is close to the shape that a turn leaves."""
        self.kept = (KEPT[int(np.argmax(self._carved(turn)))],)
        held = votes(self.points, self.views, self._sampled(turn))
        self.points = self.points[held >= NEARLY * self.kept[0]]
        self._scores.clear()

    def refined(self, turn: Turn, resize: bool) -> Turn:
        """Return a turn with angles and axis at a few knots changed to the better.

        Where `resize` is not set, the first and the last frame keep their angles.
        """
        frames = np.arange(self.count)
        hats = np.stack([np.interp(frames, self.places, row) for row in np.eye(BENDS)])
        ramp = np.linspace(-0.5, 0.5, self.count)
        bends = (ramp, *hats) if resize else hats[1:-1]
        for step in STEPS:
            for shape in bends:
                turn = self.best([turn, *(self._bent(turn, shape * step * s) for s in (-1, 1))])
        for step in SHIFTS:
            for shape in (np.ones(self.count), *hats):
                turn = self.best([turn, *(self._moved(turn, shape * step * s) for s in (-1, 1))])
        return turn

    def _bent(self, turn: Turn, change: FloatArray) -> Turn:
        angles = turn.angles + change
        return replace(turn, angles=angles - angles[self.key])

    def _moved(self, turn: Turn, change: FloatArray) -> Turn:
        axis = turn.axis + change[:, None] * [1.0, 0.0, 0.0]
        return replace(turn, axis=axis, center=axis[self.key])


def _extent(views: Views) -> tuple[float, float]:
    """Return where the subject is on average, to the right, and its reach from there, in world."""
    columns = (np.arange(views.alphas.shape[2]) + 0.5 - views.camera.K[0, 2]) * views.pixel
    middle = float((views.alphas.sum((0, 1)) * columns).sum() / views.alphas.sum())
    filled = (views.alphas > 0.5).any((0, 1))
    return middle, float(np.abs(columns[filled] - middle).max()) + views.pixel
