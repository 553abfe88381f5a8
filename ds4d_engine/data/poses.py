# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera poses as files give them, brought to rigid OpenCV world-to-camera matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..seam.errors import DatasetError

# Files round their numbers; a rotation further from orthonormal than this is not one.
ROUNDING = 2e-3


def viewmat_from_opengl(pose: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Turn an OpenGL camera-to-world pose [4,4] (y up, looking along -z) into a viewmat."""
    if not np.allclose(pose[3], (0, 0, 0, 1), atol=1e-6):
        raise DatasetError(f"The last row of the pose of {where} must be 0, 0, 0, 1.")
    camtoworld = pose[:3, :3] * np.array([1.0, -1.0, -1.0])
    rotation = nearest_rotation(camtoworld, where).T
    return viewmat_from_rotation(rotation, -rotation @ pose[:3, 3], where)


def viewmat_from_rotation(
    rotation: NDArray[np.float64], translation: NDArray[np.float64], where: str
) -> NDArray[np.float64]:
    """Build a viewmat from an OpenCV world-to-camera rotation [3,3] and translation [3]."""
    viewmat = np.eye(4)
    viewmat[:3, :3] = nearest_rotation(rotation, where)
    viewmat[:3, 3] = translation
    return viewmat


def nearest_rotation(matrix: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Remove rounding from a rotation [3,3]; raise DatasetError for scale, shear or mirroring."""
    u, stretch, vt = np.linalg.svd(matrix)
    if np.abs(stretch - 1.0).max() > ROUNDING or np.linalg.det(matrix) < 0:
        raise DatasetError(
            f"The rotation of {where} scales, shears or mirrors; export the camera without scale."
        )
    rotation: NDArray[np.float64] = u @ vt
    return rotation
