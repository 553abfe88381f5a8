# SPDX-License-Identifier: GPL-3.0-or-later
"""New Gaussians where a frame shows what no other frame did: a turned head, a raised arm.

What one key frame shows is not all that a clip shows. Frames that the fit explains worst become
key frames of their own: their unexplained pixels turn into Gaussians on the surface as it is then,
hung on the nodes of what lies next to them, and seen at those times at which their colour fits.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.ndimage as ndi
import torch
from gsplat.strategy.ops import _update_param_with_optimizer
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import Parameter

from ..metrics import composite_source
from ..motion.nodes import NodeMotion
from ..photometric import encode_srgb
from ..raster import Render
from ..sampling import project
from ..single.surface import unproject
from ..spherical_harmonics import SH_C0
from .config import FitConfig
from .scene import Scene
from .schedule import Window
from .splats import activate, render_view

START, STOP = 0.12, 0.7  # part of the fit over which key frames are added
UNEXPLAINED = 0.06  # mean error of a pixel, of 1, from which on it calls for a Gaussian
MATCHING = 0.15  # largest difference of colour, of 1, at which a Gaussian is still in sight
HIDDEN = -6.0  # of the opacity logit, out of sight
LIFTED = 0.25  # pixels in front of the surface that new Gaussians lie
LOOKED_AT = 12  # frames compared each time, others the next time
BLUR = 1.0  # pixels: single stray pixels are noise
LOGIT = 2.5  # opacity of a new Gaussian
SIGMA = 0.35  # pixels


class Revealer:
    """Adds Gaussians a fixed number of times, at the frame that needs them most."""

    def __init__(self, config: FitConfig) -> None:
        self.config = config
        self.done = 0

    def due(self, part: float) -> bool:
        """Tell whether the part of the fit that has passed calls for another key frame."""
        times = self.config.reveal_times
        return self.done < times and part >= START + (STOP - START) * self.done / times

    @torch.no_grad()
    def reveal(
        self,
        parameters: dict[str, Parameter],
        optimizers: dict[str, torch.optim.Optimizer],
        motion: NodeMotion,
        scene: Scene,
        window: Window,
    ) -> int:
        """Add Gaussians at the worst explained frame of the window; return how many."""
        self.done += 1
        room = self.config.max_gaussians - len(parameters["means"])
        budget = room // max(1, self.config.reveal_times - self.done + 1)
        frames = [frame for frame in range(*window) if scene.present[frame, 0]]
        step = -(-len(frames) // LOOKED_AT)
        frames = frames[self.done % step :: step]
        looks = {frame: _look(parameters, motion, scene, frame) for frame in frames}
        worst = max(frames, key=lambda frame: float(np.square(looks[frame][0]).sum()))
        error, render = looks[worst]
        rows, columns = _worst_pixels(error, budget)
        if not len(rows):
            return 0
        depths = _surface_depths(render)
        born = _born(parameters, motion, scene, worst, rows, columns, depths)
        _append(parameters, optimizers, born)
        return len(rows)


def _look(
    parameters: Mapping[str, Tensor], motion: NodeMotion, scene: Scene, frame: int
) -> tuple[np.ndarray, Render]:
    """Return the error [H, W] inside the silhouette, and the render that has it."""
    view, picture = scene.views[0], scene.pictures[0][frame]
    splats = activate(parameters, motion, float(scene.times[frame]))
    render = render_view(parameters, splats, view, blend=scene.blend, backend="auto", depth=True)
    image = render.colors + (1 - render.alphas)[..., None]
    image = encode_srgb(image) if scene.blend == "linear" else image
    source = composite_source(picture, 1.0, scene.blend)
    error = np.abs(image.numpy() - source).mean(-1)
    return ndi.gaussian_filter(error, BLUR) * (picture[..., 3] > 127), render


def _surface_depths(render: Render) -> np.ndarray:
    """Return a render's depth [H, W]; where it draws little, that of the nearest pixel."""
    assert render.depths is not None
    alphas = render.alphas.numpy()
    nearest = ndi.distance_transform_edt(alphas < 0.5, return_distances=False, return_indices=True)
    depths = render.depths.numpy() / np.maximum(alphas, 1e-10)
    surface: np.ndarray = depths[nearest[0], nearest[1]]
    return surface


def _worst_pixels(error: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(error, axis=None)[::-1][:budget]
    order = order[error.flat[order] > UNEXPLAINED]
    rows, columns = np.unravel_index(order, error.shape)
    return rows, columns


def _born(
    parameters: Mapping[str, Tensor],
    motion: NodeMotion,
    scene: Scene,
    frame: int,
    rows: np.ndarray,
    columns: np.ndarray,
    depths: np.ndarray,
) -> dict[str, Tensor]:
    """Return the new Gaussians' tensors, named like the parameters."""
    time = float(scene.times[frame])
    depth = depths[rows, columns] - LIFTED * motion.pixel
    pixels = np.stack([columns + 0.5, rows + 0.5])
    points = torch.from_numpy(unproject(pixels, depth, scene.views[0].camera))
    now = activate(parameters, motion, time).means.numpy()
    parents = torch.from_numpy(cKDTree(now).query(points.numpy())[1])
    born = {name: value[parents].clone() for name, value in parameters.items()}
    colors = torch.from_numpy(scene.pictures[0][frame][rows, columns, :3].astype(np.float32) / 255)
    born["means"] = motion.adopt(parameters, points, parents, time)
    born["motion_anchor"] = born["means"].clone()
    born["sh0"] = ((colors.clamp(0.02, 0.98) - 0.5) / SH_C0)[:, None]
    born["scales"] = torch.full_like(born["scales"], float(np.log(SIGMA * motion.pixel)))
    born["opacities"] = torch.full_like(born["opacities"], LOGIT)
    born["motion_track"] = torch.full_like(born["motion_track"], -1)
    born["motion_gate"] = torch.ones_like(born["motion_gate"])
    born["motion_colors"] = torch.zeros_like(born["motion_colors"])
    born["motion_fade"] = _fade(born, motion, scene, frame, colors)
    return born


def _fade(
    born: Mapping[str, Tensor], motion: NodeMotion, scene: Scene, frame: int, colors: Tensor
) -> Tensor:
    """Return fade coefficients [B, K, 1]: in sight at the birth, and where the colour matches."""
    knots = motion.color_knots
    fade = torch.full((len(colors), knots, 1), HIDDEN)
    for knot in range(knots):
        time = min(max((knot - 1) / (knots - 3), 0.0), 1.0)  # where this knot weighs most
        at = int(np.abs(scene.times - time).argmin())
        places = motion.carry_some(born, float(scene.times[at]))
        pixels, _ = project(places, scene.views[0].camera)
        height, width = scene.pictures[0].shape[1:3]
        x = pixels[:, 0].long().clamp(0, width - 1)
        y = pixels[:, 1].long().clamp(0, height - 1)
        found = torch.from_numpy(scene.pictures[0][at])[y, x].float() / 255
        matches = ((found[:, :3] - colors).abs().amax(1) < MATCHING) & (found[:, 3] > 0.5)
        fade[matches, knot] = 0.0
    place = scene.times[frame] * (knots - 3)
    first = min(int(place), knots - 4)
    fade[:, first : first + 4] = 0.0
    return fade


def _append(
    parameters: dict[str, Parameter],
    optimizers: dict[str, torch.optim.Optimizer],
    born: Mapping[str, Tensor],
) -> None:
    """Append Gaussians to the parameters and zeros to their optimisers' state."""

    def longer(name: str, value: Tensor) -> Parameter:
        joined = torch.cat([value.detach(), born[name].to(value.device)])
        return Parameter(joined, requires_grad=value.requires_grad)

    def rested(key: str, value: Tensor) -> Tensor:
        count = len(born["means"])
        return torch.cat([value, value.new_zeros(count, *value.shape[1:])])

    _update_param_with_optimizer(longer, rested, parameters, optimizers)
