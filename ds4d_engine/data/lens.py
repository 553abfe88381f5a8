# SPDX-License-Identifier: GPL-3.0-or-later
"""Lens distortion: turning what a lens saw into what a pinhole camera would have seen."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..seam.errors import DatasetError
from .dataset import Pixels

MAX_ZOOM = 2.0  # a lens that needs more has no use as a pinhole camera


class Lens:
    """Undistort the pictures of one camera, keeping their size.

    ``K`` [3,3] counts pixel centres as whole numbers, as OpenCV does; ``distortion`` is k1, k2,
    p1, p2 and perhaps k3. The pinhole camera ``pinhole_K`` has the same centre and the focal
    length that just keeps every pixel inside the lens's picture, so that none is invented.
    """

    def __init__(
        self, K: NDArray[np.float64], distortion: NDArray[np.float64], width: int, height: int
    ) -> None:
        self.K = K
        self.distortion = distortion
        self.width = width
        self.height = height
        self.straight = not distortion.any()
        self.pinhole_K = K if self.straight else self._zoomed(self._smallest_zoom())
        self.maps: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def undistort(self, image: Pixels) -> Pixels:
        """Return the picture [H,W,C] or mask [H,W] as the pinhole camera sees it."""
        if self.straight:
            return image
        if self.maps is None:
            size = (self.width, self.height)
            self.maps = cv2.initUndistortRectifyMap(
                self.K, self.distortion, None, self.pinhole_K, size, cv2.CV_32FC1
            )
        return cv2.remap(image, *self.maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _zoomed(self, zoom: float) -> NDArray[np.float64]:
        return self.K * np.array([[zoom, 1.0, 1.0], [1.0, zoom, 1.0], [1.0, 1.0, 1.0]])

    def _smallest_zoom(self) -> float:
        low, high = 1.0 / MAX_ZOOM, MAX_ZOOM
        if not self._sees_only_the_picture(high):
            raise DatasetError(
                f"The distortion {self.distortion.tolist()} folds the picture; "
                "only moderate k1 k2 p1 p2 k3 lenses can be undone."
            )
        for _ in range(40):
            zoom = (low * high) ** 0.5
            low, high = (low, zoom) if self._sees_only_the_picture(zoom) else (zoom, high)
        return high

    def _sees_only_the_picture(self, zoom: float) -> bool:
        """Tell whether the zoomed view's border lies inside the picture, in the right order."""
        x = np.linspace(-0.5, self.width - 0.5, 65)
        y = np.linspace(-0.5, self.height - 0.5, 65)
        edges = [(x, 0 * x + y[0]), (x, 0 * x + y[-1]), (0 * y + x[0], y), (0 * y + x[-1], y)]
        for axis, (u, v) in zip((0, 0, 1, 1), edges, strict=True):
            seen = self._distort(np.stack([u, v], -1), zoom)
            if (np.diff(seen[:, axis]) <= 0).any():  # the lens model folds back here
                return False
            inside = (seen >= -0.5 - 1e-6) & (seen <= (self.width - 0.5, self.height - 0.5))
            if not inside.all():
                return False
        return True

    def _distort(self, pixels: NDArray[np.float64], zoom: float) -> NDArray[np.float64]:
        K = self._zoomed(zoom)
        rays = np.c_[pixels, np.ones(len(pixels))] @ np.linalg.inv(K).T
        zero = np.zeros(3)
        seen, _ = cv2.projectPoints(rays[:, None], zero, zero, self.K, self.distortion)
        return np.asarray(seen[:, 0], dtype=np.float64)
