# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep fewer moments of a clip where all of them would take too much of Blender's memory.

What plays lies in the file as attributes, so that it needs nothing beside the file; all of it is
in memory while the file is open. The moments that are kept are spaced evenly from the first to
the last frame and mixed from the frames around them, one at a time: the asset is a mapped file
and may be larger than the memory.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .seam import Asset, Motion, slerp

DEFAULT_LIMIT_MB = 1000
MEGABYTE = 1e6
# Bytes of a splat: position, scale, rotation, radiance:base, splat_color, four single numbers.
_BYTES = 12 + 12 + 16 + 16 + 16 + 4 * 4
# Bytes of a splat at a moment.
_MOMENT_BYTES = {"means": 12, "quats": 16, "scales": 12, "opacities": 4, "sh0": 12}


class FewerMoments:
    """An asset of which only so many moments are stored; all else is the asset's own."""

    def __init__(self, asset: Asset, count: int) -> None:
        self._asset = asset
        places = np.linspace(0.0, asset.frame_count - 1, count)
        self.motion = _Motion(asset.motion, places)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._asset, name)


def within(asset: Asset, limit_mb: float, name: str) -> tuple[Asset, str]:
    """Return an asset that takes about so much memory in Blender, and a sentence if it is less.

    `limit_mb` in millions of bytes; `name` is the file's, for the sentence, which is empty when
    everything was kept. Two moments are always kept.
    """
    frames, needed = asset.frame_count, bytes_of(asset, asset.frame_count)
    limit = limit_mb * MEGABYTE
    if needed <= limit or frames <= 2:
        return asset, ""
    per_moment = bytes_of(asset, 1) - bytes_of(asset, 0)
    count = int(np.clip((limit - bytes_of(asset, 0)) // max(per_moment, 1), 2, frames))
    if count == frames:
        return asset, ""
    sentence = (
        f"'{name}' would take {_size(needed)} in Blender; {count} of its {frames} moments were "
        f"kept ({_size(bytes_of(asset, count))}). Raise Memory Limit in the import options to "
        "keep all."
    )
    return FewerMoments(asset, count), sentence  # type: ignore[return-value]  # looks like one


def bytes_of(asset: Asset, moments: int) -> int:
    """Return what the attributes of an asset take in Blender with so many moments."""
    splats = len(asset.static) + len(asset.dynamic)
    always = splats * (_BYTES + 12 * asset.static.shN.shape[1])
    stored = [
        size for name, size in _MOMENT_BYTES.items() if getattr(asset.motion, name) is not None
    ]
    return always + moments * len(asset.dynamic) * sum(stored)


class _Motion:
    """A motion at places [K] between its frames."""

    def __init__(self, motion: Motion, places: NDArray[np.float64]) -> None:
        for item in fields(motion):
            values = getattr(motion, item.name)
            kept = None if values is None else _Moments(values, places, turns=item.name == "quats")
            setattr(self, item.name, kept)


class _Moments:
    """Values [K,N,...] at places between frames, mixed when they are asked for."""

    def __init__(
        self, values: NDArray[np.float32], places: NDArray[np.float64], *, turns: bool
    ) -> None:
        self._values, self._places, self._turns = values, places, turns

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, moment: int) -> NDArray[np.float32]:
        place = self._places[moment]
        before = min(int(place), len(self._values) - 1)
        after = min(before + 1, len(self._values) - 1)
        weight = np.float32(place - before)
        a, b = self._values[before], self._values[after]
        if self._turns:
            return slerp(a, b, float(weight))
        return a * (1 - weight) + b * weight


def _size(amount: float) -> str:
    return f"{amount / 1e9:.1f} GB" if amount >= 0.95e9 else f"{amount / 1e6:.0f} MB"
