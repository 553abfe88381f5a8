# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import pytest

from ds4d_engine.seam import Camera, DS4DError

K = np.array([[100.0, 0, 32], [0, 100, 24], [0, 0, 1]])


def turned() -> np.ndarray:
    viewmat = np.eye(4)
    viewmat[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    viewmat[:3, 3] = (1, 2, 3)
    return viewmat


def test_camtoworld_is_the_inverse_of_the_viewmat() -> None:
    camera = Camera("a", K, turned(), 64, 48)
    np.testing.assert_allclose(camera.camtoworld @ camera.viewmat, np.eye(4), atol=1e-15)
    np.testing.assert_allclose(camera.camtoworld[:3, 3], camera.position)


def test_the_camera_sees_its_own_position_at_the_origin() -> None:
    camera = Camera("a", K, turned(), 64, 48)
    np.testing.assert_allclose(camera.viewmat @ [*camera.position, 1], [0, 0, 0, 1], atol=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": np.eye(4)}, r"K of camera 'a' has shape \[4, 4\]"),
        ({"K": "no"}, "not a matrix of numbers"),
        ({"K": np.diag([-1.0, 1, 1])}, "focal length"),
        ({"viewmat": 2 * np.eye(4)}, "not a rotation and a translation"),
        ({"viewmat": np.diag([1.0, 1, -1, 1])}, "mirroring"),
        ({"viewmat": np.full((4, 4), np.nan)}, "not finite"),
        ({"width": 0}, "0 x 48 pixels"),
    ],
)
def test_impossible_cameras_are_refused(change: dict, message: str) -> None:
    values = {"name": "a", "K": K, "viewmat": turned(), "width": 64, "height": 48}
    with pytest.raises(DS4DError, match=message):
        Camera(**{**values, **change})
