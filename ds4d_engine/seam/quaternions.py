# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit quaternions (w, x, y, z): normalisation, continuity over time, interpolation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import AssetError

FloatArray = NDArray[np.floating]


def normalize(quats: FloatArray) -> NDArray[np.float32]:
    """Scale quaternions [...,4] to unit length; raise AssetError where one has no length."""
    quats = np.asarray(quats, dtype=np.float64)
    lengths = np.linalg.norm(quats, axis=-1, keepdims=True)
    if not (lengths > 1e-12).all():
        raise AssetError("A rotation is the zero quaternion; every Gaussian needs a rotation.")
    unit: NDArray[np.float32] = (quats / lengths).astype(np.float32)
    return unit


def make_continuous(quats: FloatArray, reference: FloatArray) -> NDArray[np.float32]:
    """Choose the signs of quats [T,N,4] so that neighbours in time never oppose each other.

    The first frame takes the sign nearest to ``reference`` [N,4]. The rotations stay the same;
    only q or -q is chosen, so that a plain linear mix between frames takes the short way.
    """
    quats = np.asarray(quats, dtype=np.float32)
    before = np.concatenate([np.asarray(reference, dtype=np.float32)[None], quats[:-1]])
    flips = np.where((before * quats).sum(-1) < 0, np.float32(-1), np.float32(1))
    return quats * np.cumprod(flips, axis=0)[..., None]


def slerp(a: FloatArray, b: FloatArray, weight: float) -> NDArray[np.float32]:
    """Interpolate unit quaternions [...,4] along the shorter arc; 0 gives a, 1 gives b."""
    a = np.asarray(a, dtype=np.float64)
    b = np.asarray(b, dtype=np.float64)
    cosine = (a * b).sum(-1, keepdims=True)
    b = np.where(cosine < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    sine = np.sin(angle)
    # The arc formula divides by the sine; on tiny arcs the chord is the arc to 1e-8.
    curved = sine > 1e-4
    divisor = np.where(curved, sine, 1.0)
    weight_a = np.where(curved, np.sin((1.0 - weight) * angle) / divisor, 1.0 - weight)
    weight_b = np.where(curved, np.sin(weight * angle) / divisor, weight)
    mixed = weight_a * a + weight_b * b
    unit: NDArray[np.float64] = mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)
    return unit.astype(np.float32)
