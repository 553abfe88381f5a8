# SPDX-License-Identifier: GPL-3.0-or-later
"""A pinhole camera in OpenCV convention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DS4DError


@dataclass(frozen=True, eq=False)
class Camera:
    """Describe one pinhole camera: x right, y down, z forward, pixel centres at +0.5.

    ``K`` [3,3] in pixels; ``viewmat`` [4,4] rigid, world to camera, in the dataset's units;
    ``width`` and ``height`` in pixels; ``split`` is "train" or "test".
    Raises DS4DError when a shape, a size or the rotation is impossible.
    """

    name: str
    K: NDArray[np.float64]
    viewmat: NDArray[np.float64]
    width: int
    height: int
    split: str = "train"

    def __post_init__(self) -> None:
        K = _matrix(self.K, (3, 3), f"The K of camera {self.name!r}")
        viewmat = _matrix(self.viewmat, (4, 4), f"The viewmat of camera {self.name!r}")
        object.__setattr__(self, "K", K)
        object.__setattr__(self, "viewmat", viewmat)
        object.__setattr__(self, "width", int(self.width))
        object.__setattr__(self, "height", int(self.height))
        if self.width < 1 or self.height < 1:
            raise DS4DError(
                f"Camera {self.name!r} is {self.width} x {self.height} pixels; "
                "both sides must be at least 1."
            )
        if K[0, 0] <= 0 or K[1, 1] <= 0:
            raise DS4DError(f"Camera {self.name!r} has a focal length that is not positive.")
        rotation = viewmat[:3, :3]
        rigid = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4)
        if not rigid or np.linalg.det(rotation) < 0 or not np.allclose(viewmat[3], (0, 0, 0, 1)):
            raise DS4DError(
                f"The viewmat of camera {self.name!r} is not a rotation and a translation; "
                "remove scale, shear and mirroring from the pose."
            )

    @property
    def camtoworld(self) -> NDArray[np.float64]:
        """The pose [4,4], camera to world."""
        pose = np.eye(4)
        pose[:3, :3] = self.viewmat[:3, :3].T
        pose[:3, 3] = self.position
        return pose

    @property
    def position(self) -> NDArray[np.float64]:
        """The camera's centre [3] in the world."""
        centre: NDArray[np.float64] = -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]
        return centre


def _matrix(value: Any, shape: tuple[int, int], what: str) -> NDArray[np.float64]:
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise DS4DError(f"{what} is not a matrix of numbers.") from None
    if matrix.shape != shape:
        raise DS4DError(f"{what} has shape {list(matrix.shape)}, not {list(shape)}.")
    if not np.isfinite(matrix).all():
        raise DS4DError(f"{what} holds a value that is not finite.")
    matrix.flags.writeable = False
    return matrix
