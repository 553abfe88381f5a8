# SPDX-License-Identifier: GPL-3.0-or-later
"""The limbs of a silhouette: thin parts that stick out of the body, with coordinates along them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.ndimage as ndi
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Mask = NDArray[np.bool_]

THIN = 0.5
"""Half the width of the thickest limb, of half the width of the thickest part of the subject."""
SLENDER = 2.0
"""Least length of a limb, of half its width."""
SMOOTHING = 1.5
"""Pixels over which the middle line of a limb is smoothed: its steps are those of the pixels."""


@dataclass(frozen=True, eq=False)
class Limb:
    """A part of a silhouette that sticks out of the body."""

    region: Mask
    """[H, W] where it is."""
    pixels: FloatArray
    """[P, 2] centres of its pixels at +0.5."""
    along: FloatArray
    """[P] distance from the tip through the limb, in pixels: the base may hide in the body."""
    aside: FloatArray
    """[P] distance from the middle line, in pixels, positive on one side."""
    line: FloatArray
    """[L, 2] the middle line, a point per pixel from the tip."""
    base: FloatArray
    """[2] the middle of where it meets the body."""
    length: float
    """Distance of the tip from the body, through the limb, in pixels."""
    half_width: float
    """Half the width of its thickest part, in pixels."""

    @property
    def slender(self) -> bool:
        """Tell whether it is longer than wide; two limbs that cross may not be."""
        return self.length >= SLENDER * self.half_width

    @property
    def tip(self) -> FloatArray:
        """The free end [2]."""
        tip: FloatArray = self.line[0]
        return tip

    def place(self, along: FloatArray, aside: FloatArray) -> tuple[FloatArray, Mask]:
        """Return the pixels [P, 2] at coordinates of this limb, and which it is long enough for."""
        last = len(self.line) - 1
        at = np.clip(along, 0, last)
        low = np.minimum(at.astype(np.int64), last)
        part = (at - low)[:, None]
        high = np.minimum(low + 1, last)
        middle = self.line[low] * (1 - part) + self.line[high] * part
        places = middle + aside[:, None] * _normals(self.line)[low]
        return places.astype(np.float32), along <= last


def find_limbs(mask: Mask) -> list[Limb]:
    """Return what sticks out of a silhouette [H, W]: what an opening by half its width removes."""
    if not mask.any():
        return []
    padded = np.pad(mask, 1).astype(np.uint8)  # the border of the picture ends the subject too
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    radius = THIN * float(depth.max())
    body = ndi.distance_transform_edt(depth <= radius) <= radius
    away = ndi.distance_transform_edt(~body)
    parts, _ = ndi.label(mask & ~body, np.ones((3, 3)))
    limbs = []
    for label, box in enumerate(ndi.find_objects(parts), 1):
        part = parts[box] == label
        roots = part & (away[box] < 2)
        if away[box][part].max() < depth[box][part].max() or not roots.any():
            continue
        from_body = np.where(part, 1 + _distances(part, roots), 0)
        branches = _branches(from_body, depth[box])
        for branch in np.unique(branches[branches > 0]):
            limbs.append(_limb(branches == branch, from_body, depth[box], box, mask.shape))
    return limbs


def _branches(from_body: FloatArray, depth: FloatArray) -> NDArray[np.int32]:
    """Number the branches [h, w] of a part: slender ends, each with a share of their stem."""
    from skimage.morphology import h_maxima
    from skimage.segmentation import watershed

    part = from_body > 0
    ends, _ = ndi.label(h_maxima(from_body.round().astype(np.uint16), 2), np.ones((3, 3)))
    while True:
        branches: NDArray[np.int32] = watershed(-from_body, ends, mask=part)
        blunt = {}
        for end in np.unique(branches[branches > 0]):
            own = branches == end
            border = own & ndi.binary_dilation(part & ~own, np.ones((3, 3)))
            if not border.any():
                continue
            stem = float(from_body[border].max())
            length = float(from_body[own].max()) - stem
            if length < SLENDER * depth[own & (from_body > stem)].max(initial=1.0):
                blunt[end] = length
        if not blunt:
            return branches
        ends[ends == min(blunt, key=lambda end: blunt[end])] = 0


def _limb(
    shape: Mask,
    from_body: FloatArray,
    depth: FloatArray,
    box: tuple[slice, slice],
    size: tuple[int, ...],
) -> Limb:
    """Measure a limb of some `shape` in a `box` of a picture of some `size`."""
    tip = from_body == from_body[shape].max()
    along = _distances(shape, shape & tip)[shape]
    rows, columns = np.nonzero(shape)
    corner = np.array([box[1].start, box[0].start]) + 0.5
    pixels = (np.stack([columns, rows], 1) + corner).astype(np.float32)
    line = _middle_line(pixels, along)
    nearest = np.minimum(along.round().astype(np.int64), len(line) - 1)
    aside = ((pixels - line[nearest]) * _normals(line)[nearest]).sum(1)
    away = from_body[shape]
    base = pixels[away <= away.min() + 1].mean(0)
    region = np.zeros(size, bool)
    region[box] = shape
    half_width = float(depth[shape].max())
    return Limb(region, pixels, along, aside, line, base, float(away.max()), half_width)


def _distances(region: Mask, starts: Mask) -> FloatArray:
    """Return the distance [h, w] of a region's pixels from the nearest start, through it; else 0.

    A piece without a start counts as far away as the farthest.
    """
    from skimage.graph import MCP_Geometric

    costs = np.where(region, 1.0, -1.0)  # negative is impassable
    found = MCP_Geometric(costs).find_costs(np.argwhere(starts).tolist())[0]
    farthest = found[np.isfinite(found)].max()
    distances: FloatArray = np.where(np.isfinite(found), found, farthest).astype(np.float32)
    return np.where(region, distances, np.float32(0))


def _middle_line(pixels: FloatArray, along: FloatArray) -> FloatArray:
    """Return a smooth line through the pixels of every distance from the tip."""
    bins = np.minimum(along.round().astype(np.int64), int(along.max()))
    count = np.bincount(bins)
    known = np.flatnonzero(count)
    columns = []
    for axis in range(2):
        means = np.bincount(bins, pixels[:, axis])[known] / count[known]
        columns.append(np.interp(np.arange(len(count)), known, means))
    line = ndi.gaussian_filter1d(np.stack(columns, 1), SMOOTHING, axis=0, mode="nearest")
    return line.astype(np.float32)


def _normals(line: FloatArray) -> FloatArray:
    """Return unit normals [L, 2] of a line."""
    if len(line) < 2:
        return np.tile(np.array([[1.0, 0.0]], np.float32), (len(line), 1))
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-6)
    return np.stack([-tangent[:, 1], tangent[:, 0]], 1).astype(np.float32)
