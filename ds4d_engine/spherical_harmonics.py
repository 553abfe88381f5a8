# SPDX-License-Identifier: GPL-3.0-or-later
"""Real spherical harmonics as 3D Gaussian splatting orders them, degrees 0 to 3."""

from __future__ import annotations

import torch
from torch import Tensor

SH_C0 = 0.28209479177387814
_C1 = 0.4886025119029199
_C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
_C3 = (0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154)
_C3_EVEN = 1.445305721320277


def sh_basis(directions: Tensor, degree: int) -> Tensor:
    """Evaluate the basis above degree 0.

    Args:
        directions: [N, 3] unit vectors from the camera to each Gaussian, world frame.
        degree: 1 to 3.

    Returns:
        [N, (degree + 1)^2 - 1].
    """
    x, y, z = directions.unbind(-1)
    basis = [-_C1 * y, _C1 * z, -_C1 * x]
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        basis += [
            _C2[0] * x * y,
            -_C2[0] * y * z,
            _C2[1] * (2 * zz - xx - yy),
            -_C2[0] * x * z,
            _C2[2] * (xx - yy),
        ]
    if degree > 2:
        basis += [
            -_C3[0] * y * (3 * xx - yy),
            _C3[1] * x * y * z,
            -_C3[2] * y * (4 * zz - xx - yy),
            _C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            -_C3[2] * x * (4 * zz - xx - yy),
            _C3_EVEN * z * (xx - yy),
            -_C3[0] * x * (xx - 3 * yy),
        ]
    return torch.stack(basis, -1)


def sh_colors(sh0: Tensor, shN: Tensor, means: Tensor, camera_position: Tensor) -> Tensor:
    """Return each Gaussian's colour as one camera sees it.

    Args:
        sh0: [N, 1, 3] degree-0 coefficients.
        shN: [N, K - 1, 3] higher coefficients; K is 1, 4, 9 or 16.
        means: [N, 3] centres, world frame.
        camera_position: [3] world frame.

    Returns:
        [N, 3] encoded colour, SH + 0.5, not clamped.
    """
    colors = sh0[:, 0] * SH_C0 + 0.5
    if shN.shape[1] == 0:
        return colors
    degree = int((shN.shape[1] + 1) ** 0.5) - 1
    directions = torch.nn.functional.normalize(means - camera_position, dim=-1)
    return colors + torch.einsum("nk,nkc->nc", sh_basis(directions.detach(), degree), shN)
