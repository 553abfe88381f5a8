# SPDX-License-Identifier: GPL-3.0-or-later
"""How much larger generated views show an object than the input camera would, from silhouettes.

Two silhouettes of one object agree: the ray through any pixel of the one meets a point inside the
other. Where the scale of a view is wrong, they do not: too large, and its upper and lower rims
find no place in the input's silhouette; too small, and the input's rims find none in it. So every
view has a scale at which most of both rims agree, and the median over views and frames is taken:
generated views differ in size, and demanding that all agree at once would favour small ones.
Unlike the heights of silhouettes, rays take the views' elevations into account.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..seam.cameras import Camera
from ..seam.errors import DatasetError
from ..seam.events import Listener, Stage, silent

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

FRAMES = 5
"""Frames that vote, spread evenly over the clip."""
RIM_POINTS = 96
DEPTHS = 48
REACH = 1.8
"""Rays are searched within this distance of the origin; the input camera stands at 2."""
FACTORS = np.geomspace(0.4, 2.5, 70)
"""Scales that are tried, 2.7 % apart."""
FLAT = 0.05
"""A view whose agreement with the input varies by less says nothing (it may stand opposite)."""
MOST_SPREAD = 1.5
"""The middle half of all votes may differ by this factor."""
INSIDE = 128
TOLERANCE = 0.01
"""Of a picture's side: by so much silhouettes may be missed."""
STRIP = 0.15
"""Of a picture's side: so far an object that is cut off is continued beyond the border."""


@dataclass(frozen=True)
class MeasuredScale:
    """The factor on the views' focal lengths: the median, the middle half, the number of votes."""

    factor: float
    low: float
    high: float
    votes: int

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        return (
            f"the views show the object {self.factor:.2f} times as large as the input camera would "
            f"(half of {self.votes} pictures lie between {self.low:.2f} and {self.high:.2f})"
        )


@dataclass(frozen=True, eq=False)
class Silhouette:
    """One camera's mask [H,W], grown by the tolerance, and pixels [P,2] along its true rim.

    Where the picture cuts the object off (`cut`) the border is no rim, and a strip beyond it may
    be object.
    """

    camera: Camera
    mask: NDArray[np.bool_]
    rim: Floats
    cut: bool


def measure_scale(
    cameras: Sequence[Camera],
    alphas: Sequence[Pixels],
    present: NDArray[np.bool_],
    listener: Listener = silent,
) -> MeasuredScale:
    """Measure the scale of cameras 1.. against camera 0 from their alphas [T,H_v,W_v].

    The last report to the listener says the result.

    Raises:
        DatasetError: no view shows the object together with camera 0, or they contradict another.
    """
    shown = np.stack([(a >= INSIDE).any(axis=(1, 2)) for a in alphas], axis=1) & present
    usable = np.flatnonzero(shown[:, 0] & shown[:, 1:].any(axis=1))
    if not len(usable):
        raise DatasetError(
            "No frame shows the object both in the input and in a view, so the views' scale cannot "
            "be measured; give it as a number."
        )
    chosen = np.unique(np.linspace(0, len(usable) - 1, min(FRAMES, len(usable))).round())
    stage = Stage(listener, "match the views' size", len(chosen) + 1)
    votes: list[float] = []
    for done, t in enumerate(usable[chosen.astype(int)]):
        stage.update(done)
        first = _silhouette(cameras[0], alphas[0][t])
        for v in range(1, len(cameras)):
            if shown[t, v]:
                votes += pair_scale(first, _silhouette(cameras[v], alphas[v][t]))
    if not votes:
        raise DatasetError(
            "The views' silhouettes say nothing of their scale; give it as a number."
        )
    low, median, high = (float(q) for q in np.percentile(votes, (25, 50, 75)))
    if high > MOST_SPREAD * low:
        raise DatasetError(
            f"The views contradict each other in size (between {low:.2f} and {high:.2f}), so their "
            "scale cannot be measured; check the view cameras, or give it as a number."
        )
    found = MeasuredScale(median, low, high, len(votes))
    stage.update(len(chosen) + 1, found.sentence, scale=median)
    return found


def pair_scale(first: Silhouette, view: Silhouette) -> list[float]:
    """Return the factor on the view's focal length that lets most rims agree, or nothing."""
    agreement = np.array([coherence(first, view, factor) for factor in FACTORS])
    if np.ptp(agreement) < FLAT:
        return []
    # Several factors may do equally well; their middle is as far as can be from being wrong.
    best = FACTORS[agreement >= agreement.max() - 1e-9]
    return [math.sqrt(best[0] * best[-1])]


def coherence(first: Silhouette, view: Silhouette, factor: float) -> float:
    """Return the share of both rims, 0..1, whose rays meet the other silhouette.

    `factor` multiplies the focal length of the view.
    """
    seen = [
        _covers(view, _along_rays(first, 1.0), factor),
        _covers(first, _along_rays(view, factor), 1.0),
    ]
    # A picture full of object has no rim and contradicts nothing.
    return 0.5 * sum(float(s.any(axis=1).mean()) if len(s) else 1.0 for s in seen)


def _silhouette(camera: Camera, alpha: Pixels) -> Silhouette:
    mask = (alpha >= INSIDE).astype(np.uint8)
    # Beyond the border counts as object, so that the border is no rim.
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero(mask & ~inner)
    step = max(1, len(rows) // RIM_POINTS)
    rim = np.stack([columns, rows], -1)[::step] + 0.5
    grow = max(1, round(TOLERANCE * camera.width))
    grown = cv2.dilate(mask, np.ones((2 * grow + 1, 2 * grow + 1), np.uint8))
    cut = bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())
    return Silhouette(camera, grown.astype(bool), rim.astype(np.float64), cut)


def _along_rays(silhouette: Silhouette, zoomed: float) -> Floats:
    """Return points [P, DEPTHS, 3] on the rays of the rim, in the world."""
    camera = silhouette.camera
    pose = camera.camtoworld
    focal = np.array([camera.K[0, 0], camera.K[1, 1]]) * zoomed
    plane = (silhouette.rim - camera.K[:2, 2]) / focal
    directions = np.concatenate([plane, np.ones((len(plane), 1))], axis=1) @ pose[:3, :3].T
    distance = float(np.linalg.norm(camera.position))
    depths = np.linspace(max(distance - REACH, 0.05), distance + REACH, DEPTHS)
    return camera.position + directions[:, None] * depths[None, :, None]


def _covers(silhouette: Silhouette, points: Floats, zoomed: float) -> NDArray[np.bool_]:
    """Return which points [...,3] of the world lie inside a silhouette [...]."""
    camera = silhouette.camera
    local = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    depth = np.maximum(local[..., 2:], 1e-6)
    focal = np.array([camera.K[0, 0], camera.K[1, 1]]) * zoomed
    pixels = np.floor(local[..., :2] / depth * focal + camera.K[:2, 2]).astype(int)
    last = np.array([camera.width - 1, camera.height - 1])
    nearest = np.clip(pixels, 0, last)
    beyond = np.abs(pixels - nearest).max(axis=-1)
    strip = STRIP * camera.width if silhouette.cut else 0
    ahead = local[..., 2] > 0
    return ahead & (beyond <= strip) & silhouette.mask[nearest[..., 1], nearest[..., 0]]
