# SPDX-License-Identifier: GPL-3.0-or-later
"""Cutting the object out of one generated picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..clip.plain import key, plain_background, soft_edge

Pixels = NDArray[np.uint8]


def cut_out(picture: Pixels) -> Pixels | None:
    """Return a picture [H,W,4] with the object's alpha; None if nothing tells the object apart.

    Its own alpha counts where it has one that is not opaque everywhere; else a plain background of
    any colour (white, Zero123++'s grey, black) is taken away.
    """
    if picture[..., 3].min() < 255:
        return picture
    rgb = np.ascontiguousarray(picture[..., :3])
    background = plain_background(rgb[None])
    if background is None:
        return None
    alpha = soft_edge(rgb, key(rgb, background), background)
    return np.dstack([rgb, alpha])
