# SPDX-License-Identifier: GPL-3.0-or-later
"""Small arrays on their way to a device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def sent(values: np.ndarray | Sequence[float], like: Tensor) -> Tensor:
    """Return values where `like` is; floating-point ones have its dtype.

    A copy out of ordinary memory makes the host wait for a CUDA device; one out of pinned memory
    does not.
    """
    array = np.asarray(values)
    tensor = torch.from_numpy(array)
    if tensor.is_floating_point():
        tensor = tensor.to(like.dtype)
    if like.device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(like.device, non_blocking=True)
