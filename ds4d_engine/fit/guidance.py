# SPDX-License-Identifier: GPL-3.0-or-later
"""Losses that learned models give: LPIPS against generated views, and score distillation.

The paper uses both beside the photometric loss. Neither model is loaded unless its weight is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..data.orbit import orbit_camera
from ..priors.lpips import Lpips
from ..raster import Render
from ..seam.errors import ConfigError
from ..seam.events import Listener, Stage
from .config import FitConfig
from .scene import Scene, View
from .splats import Splats, composite, render_view

if TYPE_CHECKING:
    from ..priors.sds import Reference

LPIPS_EVERY = 2
"""Of the steps that look at a generated view; their weight makes up for the others."""
SDS_EVERY = 4
"""Steps from one distillation to the next."""
SDS_SIZE = 256
"""Side in pixels of the renders that are distilled."""
SDS_ELEVATION = 20.0
"""Degrees above or below the clip's camera."""


class Guidance:
    """The models that the settings ask for, loaded, and their losses."""

    def __init__(
        self, scene: Scene, config: FitConfig, allow_download: bool, listener: Listener
    ) -> None:
        """Load the models.

        Raises:
            ConfigError: weights are missing or damaged, or the scene gives them nothing to do.
        """
        check_views(scene, config)
        self.scene, self.config = scene, config
        self.lpips: Lpips | None = None
        if config.lpips_weight:
            self.lpips = Lpips(Path(config.lpips_weights)).to(scene.device)
        self._distiller = None
        if config.sds_weight:
            self._distiller = _Distiller(scene, config, allow_download, listener)

    def likeness(
        self, step: int, view: int, render: Render, target: Tensor, background: float
    ) -> Tensor | None:
        """Return weighted LPIPS between a render and a generated view; None where it is not due.

        `target` is [H, W, 3], encoded, over the background.
        """
        if self.lpips is None or not self.scene.generated[view] or step % LPIPS_EVERY:
            return None
        image = composite(render, background, self.config.blend)
        distance = self.lpips(_batch(image), _batch(target))
        return self.config.lpips_weight * LPIPS_EVERY * distance.sum()

    def imagined(
        self,
        step: int,
        parameters: Mapping[str, Tensor],
        splats: Splats,
        frame: int,
        rng: np.random.Generator,
        part: float,
    ) -> Tensor | None:
        """Return the weighted distillation loss of a frame from a random side; None if not due."""
        if self._distiller is None or step % SDS_EVERY:
            return None
        loss = self._distiller.loss(parameters, splats, frame, rng, part)
        return self.config.sds_weight * SDS_EVERY * loss


class _Distiller:
    """Renders from random sides around the clip, pulled towards Zero123's idea of them."""

    def __init__(
        self, scene: Scene, config: FitConfig, allow_download: bool, listener: Listener
    ) -> None:
        from ..priors.sds import SdsSettings, Zero123Guidance

        stage = Stage(listener, "load Zero123", 1)
        stage.update(0)
        self.model = Zero123Guidance.load(
            Path(config.sds_weights) if config.sds_weights else None,
            allow_download=allow_download,
            device=scene.device.type,
            settings=SdsSettings(size=SDS_SIZE),
        )
        stage.update(1)
        self.scene, self.config = scene, config
        self._input = int(np.flatnonzero(~scene.generated)[0])
        self._references: dict[int, Reference] = {}

    def loss(
        self,
        parameters: Mapping[str, Tensor],
        splats: Splats,
        frame: int,
        rng: np.random.Generator,
        part: float,
    ) -> Tensor:
        from ..priors.sds import relative_cameras

        camera = orbit_camera(
            "imagined",
            SDS_SIZE,
            azimuth_degrees=float(rng.uniform(-180, 180)),
            elevation_degrees=float(rng.uniform(-SDS_ELEVATION, SDS_ELEVATION)),
        )
        device = self.scene.device
        view = View(
            camera,
            torch.tensor(camera.viewmat, dtype=torch.float32, device=device),
            torch.tensor(camera.K, dtype=torch.float32, device=device),
        )
        render = render_view(
            parameters, splats, view, blend=self.config.blend, backend=self.config.backend
        )
        image = composite(render, 1.0, self.config.blend)
        cameras = relative_cameras([camera])
        return self.model.step(_batch(image), self._reference(frame), cameras, part)

    def _reference(self, frame: int) -> Reference:
        """Return what the model knows of the clip's picture of a frame, encoded once."""
        if frame not in self._references:
            white, _ = self.scene.target(frame, self._input, 1.0)
            self._references[frame] = self.model.reference(_batch(white))
        return self._references[frame]


def check_views(scene: Scene, config: FitConfig) -> None:
    """Refuse settings for generated views where there are none, and distillation without a clip.

    Raises:
        ConfigError: a setting would change nothing, or could not work.
    """
    if not scene.generated.any():
        names = ("lpips_weight", "input_share", "view_confidence", "view_robust")
        for name in (*names, "camera_correction"):
            if getattr(config, name):
                raise ConfigError(
                    f"{name} is for views that a model generated of one clip, and there are none; "
                    "add --views or leave it out."
                )
    if config.sds_weight and (not scene.is_clip or scene.generated.all()):
        raise ConfigError(
            "sds_weight is for one clip and its own camera, and this dataset has several real "
            "cameras or none to fit; leave it out."
        )
    if config.sds_weight and not scene.has_alpha:
        raise ConfigError(
            "sds_weight needs an object without its background, and the clip has no masks; add "
            "masks or leave it out."
        )


def _batch(image: Tensor) -> Tensor:
    return image.permute(2, 0, 1)[None]
