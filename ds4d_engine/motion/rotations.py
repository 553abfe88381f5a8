# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotation vectors as matrices, with gradients."""

from __future__ import annotations

import torch
from torch import Tensor


def rotations(turns: Tensor) -> Tensor:
    """Return the matrices [..., 3, 3] of rotation vectors [..., 3] in radians."""
    squared = turns.square().sum(-1, keepdim=True)
    angle = (squared + 1e-12).sqrt()
    sine = (torch.sin(angle) / angle)[..., None]
    cosine = ((1 - torch.cos(angle)) / (squared + 1e-12))[..., None]
    x, y, z = turns.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(*turns.shape[:-1], 3, 3)
    return torch.eye(3) + sine * cross + cosine * (cross @ cross)
