# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into a rasteriser back end, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Splats:
    """Gaussians in world space.

    means [N,3], quats [N,4] wxyz of any length, scales [N,3] and opacities [N] activated,
    colors [N,C].
    """

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor


@dataclass(frozen=True, eq=False)
class View:
    """A pinhole camera: viewmat [4,4] world-to-camera (OpenCV axes) and K [3,3] in pixels."""

    viewmat: np.ndarray
    K: np.ndarray
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class DeviceView:
    """A `View` whose matrices are tensors where the splats are, of their dtype."""

    viewmat: Tensor
    K: Tensor
    width: int
    height: int


@dataclass(eq=False)
class Render:
    """An image of splats over nothing.

    Attributes:
        colors: [H,W,C], premultiplied: the background's share is 1 - alphas.
        alphas: [H,W].
        depths: [H,W] accumulated camera depth, or None; the expected depth is
            depths / alphas.clamp_min(1e-10).
        means2d: [N,2] projected centres in pixels, part of the graph: after `retain_grad()`
            the backward pass leaves their gradient here. 0 where the splat is not drawn.
        radii: [N,2] int32 half extents in pixels, 0 where the splat is not drawn.
        absgrad_holder: The tensor that the backward pass leaves `absgrad` on: `means2d`, or
            the same with a leading axis of one camera.
    """

    colors: Tensor
    alphas: Tensor
    depths: Tensor | None
    means2d: Tensor
    radii: Tensor
    absgrad_holder: Tensor | None = None

    @property
    def absgrad(self) -> Tensor | None:
        """The sums over pixels of |gradient of means2d| [N,2].

        None before the backward pass, or if it was not asked for.
        """
        holder = self.means2d if self.absgrad_holder is None else self.absgrad_holder
        absgrad: Tensor | None = getattr(holder, "absgrad", None)
        return absgrad if absgrad is None else absgrad.reshape(self.means2d.shape)
