# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Gaussians a source picture shows, and which were only made up or guessed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..motion import Motion
from ..raster import rasterize
from ..raster.conventions import LOW_PASS
from ..raster.oracle import rotation_matrices
from ..sampling import NEAR, visible_views
from ..seam.cameras import Camera
from ..seam.events import Listener, Stage, silent
from .scene import Scene
from .splats import Splats, activate

FRAMES = 12
"""At most so many frames, spread over the clip, are looked at."""
PICTURES = 60
"""At most about so many pictures: with many cameras fewer frames do."""
TOLERANCE = 0.02
"""How far behind the surface a Gaussian still belongs to it: limbs are thin."""
LEAST_SHARE = 0.15
"""Of a Gaussian's light that reaches the camera; what lies behind a surface lets less through."""
FAINTEST = 0.05
"""Below this opacity a Gaussian is not there to be seen."""


@torch.no_grad()
def observed_gaussians(
    parameters: Mapping[str, Tensor],
    motion: Motion,
    scene: Scene,
    backend: str,
    listener: Listener = silent,
) -> Tensor:
    """Return 1 where a source picture shows a Gaussian at one of a few times, else 0: float [N].

    Pictures of generated views are no source.
    """
    sources = np.flatnonzero(~scene.generated)
    seen = torch.zeros(len(parameters["means"]), dtype=torch.bool, device=scene.device)
    frames = _frames(scene, sources)
    stage = Stage(listener, "see", max(len(frames), 1))
    for done, frame in enumerate(frames):
        stage.update(done)
        splats = activate(parameters, motion, float(scene.times[frame]))
        cameras = [scene.views[view].camera for view in sources if scene.present[frame, view]]
        visible = visible_views(_raw(splats), cameras, tolerance=TOLERANCE, backend=backend).any(0)
        for camera in cameras:
            # On a steep rim the surface's mean depth lies too far in front for its own Gaussians.
            visible |= shown_share(splats, camera, backend) > LEAST_SHARE
        seen |= visible & (splats.opacities > FAINTEST)
    stage.update(stage.total, f"{int(seen.sum())} of {len(seen)} are shown by the source")
    return seen.float()


def shown_share(splats: Splats, camera: Camera, backend: str) -> Tensor:
    """Return how much of each Gaussian a camera sees past those in front of it [N], about 0..1.

    What a Gaussian adds to a picture is the gradient of the picture's sum by its colour; alone it
    would add its opacity times its area.
    """
    colors = torch.zeros(len(splats.means), 1, device=splats.means.device, requires_grad=True)
    viewmat, K = splats.means.new_tensor(camera.viewmat), splats.means.new_tensor(camera.K)
    with torch.enable_grad():
        render = rasterize(
            splats.means.detach(),
            splats.quats.detach(),
            splats.scales.detach(),
            splats.opacities.detach(),
            colors,
            viewmat,
            K,
            camera.width,
            camera.height,
            backend=backend,
        )
        (added,) = torch.autograd.grad(render.colors.sum(), colors)
    local = splats.means @ viewmat[:3, :3].T + viewmat[:3, 3]
    depth = local[:, 2].clamp_min(NEAR)
    slopes = torch.zeros(len(depth), 2, 3, device=depth.device)  # of pixels by camera axes
    slopes[:, 0, 0], slopes[:, 1, 1] = K[0, 0] / depth, K[1, 1] / depth
    slopes[:, :, 2] = -local[:, :2] * K.diagonal()[:2] / depth[:, None] ** 2
    axes = viewmat[:3, :3] @ rotation_matrices(splats.quats) * splats.scales[:, None]
    spread = slopes @ axes
    variance = spread @ spread.transpose(1, 2) + LOW_PASS * torch.eye(2, device=depth.device)
    area = 2 * math.pi * torch.linalg.det(variance).clamp_min(1e-12).sqrt()
    return added[:, 0] / (splats.opacities * area).clamp_min(1e-6)


def _frames(scene: Scene, sources: np.ndarray) -> list[int]:
    """Return frames that a source shows, evenly spread; the first and the last among them."""
    if not len(sources):
        return []
    usable = np.flatnonzero(scene.present[:, sources].any(1))
    wanted = max(2, min(FRAMES, PICTURES // len(sources)))
    places = np.linspace(0, len(usable) - 1, min(wanted, len(usable))).round()
    return sorted({int(usable[int(place)]) for place in places})


def _raw(splats: Splats) -> dict[str, Tensor]:
    """Return log scales and opacity logits again, as `visible_views` reads them."""
    return {
        "means": splats.means,
        "quats": splats.quats,
        "scales": splats.scales.log(),
        "opacities": torch.logit(splats.opacities, 1e-6),
    }
