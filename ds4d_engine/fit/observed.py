# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Gaussians a source picture shows, and which were only made up or guessed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..motion import Motion
from ..sampling import visible_views
from ..seam.events import Listener, Stage, silent
from .scene import Scene
from .splats import Splats, activate

FRAMES = 12
"""At most so many frames, spread over the clip, are looked at."""
PICTURES = 60
"""At most about so many pictures: with many cameras fewer frames do."""
TOLERANCE = 0.02
"""How far behind the surface a Gaussian still belongs to it: limbs are thin."""
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
        visible = visible_views(_raw(splats), cameras, tolerance=TOLERANCE, backend=backend)
        seen |= visible.any(0) & (splats.opacities > FAINTEST)
    stage.update(stage.total, f"{int(seen.sum())} of {len(seen)} are shown by the source")
    return seen.float()


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
