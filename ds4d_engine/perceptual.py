# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures of how alike pictures look that take time, or weights that a user supplies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .metrics import FloatImage, flip
from .priors.clip_model import ClipImages
from .priors.lpips import Lpips

NOT_MEASURED = float("nan")


@dataclass(frozen=True)
class Likeness:
    """How alike two pictures look; NaN for what was not measured.

    `flip` and `lpips` are 0 for equal pictures, `clip` is at most 1, reached by equal ones.
    """

    flip: float = NOT_MEASURED
    lpips: float = NOT_MEASURED
    clip: float = NOT_MEASURED


class Perceptual:
    """Measure what was asked for: FLIP, LPIPS with weights (a file or folder), CLIP (a folder).

    Raises ConfigError where weights are missing or not those of such a model.
    """

    def __init__(
        self, *, flip: bool = False, lpips: Path | None = None, clip: Path | None = None
    ) -> None:
        self._flip = flip
        self._lpips = None if lpips is None else Lpips(lpips)
        self._clip = None if clip is None else ClipImages(clip)

    def measure(self, image: FloatImage, reference: FloatImage) -> Likeness:
        """Compare two pictures [H,W,3], sRGB in 0..1."""
        return Likeness(
            flip(image, reference) if self._flip else NOT_MEASURED,
            self._lpips.measure(image, reference) if self._lpips else NOT_MEASURED,
            self._clip.similarity(image, reference) if self._clip else NOT_MEASURED,
        )
