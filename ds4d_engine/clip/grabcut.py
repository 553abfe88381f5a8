# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects before a real background."""

from __future__ import annotations

from ..data.dataset import Pixels
from ..seam.errors import DatasetError
from .regions import Bools


class Room:
    """A real background."""

    @classmethod
    def of(cls, frames: Pixels) -> Room:
        raise DatasetError("The clip has no plain background; give --masks.")

    def mask(self, t: int, rgb: Pixels) -> Bools:
        raise NotImplementedError

    def refine(self, rgb: Pixels, coarse: Bools) -> Pixels:
        raise NotImplementedError
