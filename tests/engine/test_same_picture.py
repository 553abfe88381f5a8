# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine draws what the add-on's tests hold Blender's renders against."""

from __future__ import annotations

import pytest

from ds4d_engine.render import render_gaussians
from ds4d_engine.seam import Camera
from tests.blender import reference, synthetic


@pytest.mark.parametrize("blend", ["linear", "srgb"])
@pytest.mark.parametrize("camera", synthetic.CAMERAS, ids=lambda camera: camera.name)
@pytest.mark.parametrize("bases", [0, 3, 8, 15])  # degrees of spherical harmonics: 0 to 3
def test_engine_agrees_with_the_reference_that_blender_is_compared_with(
    blend: str, camera: Camera, bases: int
) -> None:
    splats = synthetic.gaussians(400, bases=bases)
    drawn = render_gaussians(splats, camera, blend=blend, backend="cpu")
    colors, alphas = reference.render(splats, camera, blend=blend)
    assert reference.psnr(drawn.premultiplied, colors) > 100
    assert reference.psnr(drawn.alphas, alphas) > 100
