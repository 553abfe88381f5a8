# SPDX-License-Identifier: GPL-3.0-or-later
"""How much larger generated views show an object than the input camera would, from silhouettes.

Silhouettes of one object agree: the ray through any pixel of one meets a point that lies inside
all others. Where the views' common scale is wrong they do not: too large, and their upper and
lower rims find no place in the input's silhouette; too small, and the input's rims find none in
theirs. The scale that lets most rims agree is the answer. Unlike the heights of the silhouettes,
it takes the views' elevations into account.
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
COARSE = np.geomspace(0.4, 2.5, 28)
FINE_STEPS = 9
INSIDE = 128
TOLERANCE = 0.01
"""Of a picture's side: by so much silhouettes may be missed."""
STRIP = 0.15
"""Of a picture's side: so far an object that is cut off is continued beyond the border."""


@dataclass(frozen=True)
class MeasuredScale:
    """The factor on the views' focal lengths: the frames' median, their range, their number."""

    factor: float
    low: float
    high: float
    frames: int

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        return (
            f"the views show the object {self.factor:.3f} times as large as the input camera would "
            f"({self.low:.3f} to {self.high:.3f} in {self.frames} frames)"
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
        DatasetError: no frame shows the object in camera 0 and two other views.
    """
    usable = [t for t in range(len(present)) if _shows(alphas, present, t)]
    if not usable:
        raise DatasetError(
            "No frame shows the object in the input and in two views, so their scale cannot be "
            "measured; give a number."
        )
    chosen = np.unique(np.linspace(0, len(usable) - 1, min(FRAMES, len(usable))).round())
    stage = Stage(listener, "match the views' size", len(chosen) + 1)
    factors: list[float] = []
    for done, index in enumerate(chosen.astype(int)):
        stage.update(done)
        t = usable[index]
        taken = [v for v in range(len(cameras)) if present[t, v] and alphas[v][t].any()]
        factors.append(_frame_scale([_silhouette(cameras[v], alphas[v][t]) for v in taken]))
    found = MeasuredScale(float(np.median(factors)), min(factors), max(factors), len(factors))
    stage.update(len(chosen) + 1, found.sentence, scale=found.factor)
    return found


def _shows(alphas: Sequence[Pixels], present: NDArray[np.bool_], frame: int) -> bool:
    seen = [
        bool(present[frame, v]) and bool((alphas[v][frame] >= INSIDE).any())
        for v in range(len(alphas))
    ]
    return seen[0] and sum(seen) >= 3


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


def _frame_scale(silhouettes: Sequence[Silhouette]) -> float:
    scores = [coherence(silhouettes, factor) for factor in COARSE]
    best = int(np.argmax(scores))
    low, high = COARSE[max(best - 1, 0)], COARSE[min(best + 1, len(COARSE) - 1)]
    fine = np.geomspace(low, high, FINE_STEPS)
    values = np.array([coherence(silhouettes, factor) for factor in fine])
    # Several factors may let all rims agree; their middle is as far as can be from being wrong.
    top = fine[values >= values.max() - 1e-9]
    return math.sqrt(top[0] * top[-1])


def coherence(silhouettes: Sequence[Silhouette], factor: float) -> float:
    """Return how well silhouettes agree, 0..1, if all but the first are zoomed by `factor`.

    It is the share of rim pixels whose ray meets a point inside every other silhouette; the first
    camera counts as much as all others together.
    """
    shares = []
    for index, own in enumerate(silhouettes):
        points = _along_rays(own, factor if index else 1.0)
        inside = np.ones(points.shape[:2], bool)
        for other_index, other in enumerate(silhouettes):
            if other_index != index:
                zoomed = factor if other_index else 1.0
                inside[inside] = _covers(other, points[inside], zoomed)
        # A picture full of object has no rim and contradicts nothing.
        shares.append(float(inside.any(axis=1).mean()) if len(points) else 1.0)
    return 0.5 * shares[0] + 0.5 * float(np.mean(shares[1:]))


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
    camera = silhouette.camera
    local = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    depth = np.maximum(local[:, 2], 1e-6)
    focal = np.array([camera.K[0, 0], camera.K[1, 1]]) * zoomed
    pixels = np.floor(local[:, :2] / depth[:, None] * focal + camera.K[:2, 2]).astype(int)
    ahead = local[:, 2] > 0
    last = np.array([camera.width - 1, camera.height - 1])
    nearest = np.clip(pixels, 0, last)
    beyond = np.abs(pixels - nearest).max(axis=1)
    strip = STRIP * camera.width if silhouette.cut else 0
    return ahead & (beyond <= strip) & silhouette.mask[nearest[:, 1], nearest[:, 0]]
