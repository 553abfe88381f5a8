# SPDX-License-Identifier: GPL-3.0-or-later
"""The worst of three colour channels."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def largest_channel(colors: NDArray[Number]) -> NDArray[Number]:
    """Return the largest of the channels [...,3], several times faster than `max` over them."""
    result: NDArray[Number] = np.maximum(colors[..., 0], colors[..., 1])
    np.maximum(result, colors[..., 2], out=result)
    return result
