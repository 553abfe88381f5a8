# SPDX-License-Identifier: GPL-3.0-or-later
"""What only some frames show gets Gaussians of its own, which hide where it is not to be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from ds4d_engine.fit import FitConfig
from ds4d_engine.fit.model import build_motion_model, clip_features
from ds4d_engine.fit.reveal import Revealer
from ds4d_engine.fit.scene import Scene, build_scene
from ds4d_engine.fit.schedule import Window
from ds4d_engine.fit.splats import activate, create_optimizers, create_parameters, render_view
from ds4d_engine.fit.start import start_gaussians
from ds4d_engine.metrics import composite_source
from ds4d_engine.motion.nodes import NodeMotion
from ds4d_engine.photometric import encode_srgb, photometric_loss
from ds4d_engine.sampling import project, visible_views
from ds4d_engine.seam.events import silent
from tests.engine.moving_square import Box, Pixels, as_dataset, over

FRAMES, SIZE, APPEARS = 8, 40, 5
GREEN, BLUE = (60, 160, 80), (20, 40, 230)
BESIDE, WITHIN = (28, 36, 12, 24), (15, 23, 14, 22)
CONFIG = FitConfig.preset_named("draft", "clip").replace(
    gaussians=1_000, max_gaussians=4_000, nodes=20, reveal_times=1, color_knots=14, backend="cpu"
)


def filled(color: tuple[int, int, int], box: Box) -> Pixels:
    picture = np.zeros((SIZE, SIZE, 4), np.uint8)
    left, right, top, bottom = box
    picture[top:bottom, left:right] = (*color, 255)
    return picture


def clip(box: Box) -> Pixels:
    """A square that rests; from frame APPEARS on there is a blue one too, in a box."""
    square, blue = filled(GREEN, (10, 28, 10, 28)), filled(BLUE, box)
    return np.stack([over(blue, square) if t >= APPEARS else square for t in range(FRAMES)])


@dataclass(eq=False)
class Fit:
    """What a fit holds just before its first step."""

    config: FitConfig
    scene: Scene
    motion: NodeMotion
    parameters: dict[str, Parameter]
    optimizers: dict[str, torch.optim.Optimizer]

    def reveal(self, revealer: Revealer | None = None, window: Window | None = None) -> int:
        revealer = revealer or Revealer(self.config)
        window = window or Window(0, FRAMES)
        count = revealer.reveal(self.parameters, self.optimizers, self.motion, self.scene, window)
        self.motion.refresh(self.parameters, None)
        return count

    def error(self, frame: int) -> float:
        """Return the mean error of a frame on white, 0..1."""
        splats = activate(self.parameters, self.motion, float(self.scene.times[frame]))
        view = self.scene.views[0]
        with torch.no_grad():
            render = render_view(
                self.parameters, splats, view, blend=self.scene.blend, backend="cpu"
            )
        image = encode_srgb(render.colors + (1 - render.alphas)[..., None]).numpy()
        source = composite_source(self.scene.pictures[0][frame], 1.0, self.scene.blend)
        return float(np.abs(image - source).mean())


def build(box: Box) -> Fit:
    torch.manual_seed(0)
    dataset = as_dataset(clip(box))
    scene = build_scene(dataset, "linear", np.zeros(3), 1.0, torch.device("cpu"), middle=2)
    features = clip_features(scene, CONFIG, silent)
    assert features is not None
    motion = build_motion_model(scene, CONFIG, features, silent)
    assert isinstance(motion, NodeMotion)
    parameters = create_parameters(start_gaussians(scene, CONFIG), CONFIG, motion)
    optimizers = create_optimizers(parameters, CONFIG, motion)
    motion.refresh(parameters, visible_views(parameters, features.cameras, backend="cpu"))
    return Fit(CONFIG, scene, motion, parameters, optimizers)


@cache
def started(box: Box) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the nodes and Gaussians that explain the key frame; finding them takes seconds."""
    fit = build(box)
    fit.motion.start(fit.parameters)
    view = fit.scene.views[0]
    target, _ = fit.scene.target(fit.scene.middle, 0, 1.0)
    for _ in range(80):
        splats = activate(fit.parameters, None, 0.0)
        render = render_view(fit.parameters, splats, view, blend="linear", backend="cpu")
        loss = photometric_loss(render.colors, render.alphas, target, 1.0, blend="linear")
        loss.backward()
        for optimizer in fit.optimizers.values():
            optimizer.step()
            optimizer.zero_grad()
    return fit.motion.state_dict(), dict(fit.parameters)


def begin(box: Box) -> Fit:
    fit = build(box)
    nodes, gaussians = started(box)
    fit.motion.load_state_dict(nodes)
    with torch.no_grad():
        for name, value in gaussians.items():
            fit.parameters[name].copy_(value)
    fit.motion.refresh(fit.parameters, None)
    return fit


def newest(fit: Fit, count: int) -> dict[str, Tensor]:
    return {name: value[-count:].detach() for name, value in fit.parameters.items()}


def opacities(fit: Fit, born: Mapping[str, Tensor], frame: int) -> Tensor:
    time = float(fit.scene.times[frame])
    everything = activate(fit.parameters, fit.motion, time).opacities
    return everything[-len(born["means"]) :].detach()


@pytest.mark.parametrize("box", [BESIDE, WITHIN])
def test_what_appears_gets_gaussians_of_its_colour_and_in_its_place(
    box: Box,
) -> None:
    fit = begin(box)
    count = fit.reveal()
    assert count > 20
    born = newest(fit, count)
    time = float(fit.scene.times[-1])
    places = activate(fit.parameters, fit.motion, time).means[-count:].detach()
    pixels, _ = project(places, fit.scene.views[0].camera)
    left, right, top, bottom = box
    low, high = torch.tensor([left, top]) - 2, torch.tensor([right, bottom]) + 2
    assert ((pixels > low) & (pixels < high)).all(1).float().mean() > 0.9
    colors = born["sh0"][:, 0] * 0.28209479177387814 + 0.5
    near = (colors - torch.tensor(BLUE) / 255).abs().amax(1) < 0.1
    assert near.float().mean() > 0.6


@pytest.mark.parametrize("box", [BESIDE, WITHIN])
def test_the_frames_error_falls_and_the_key_frames_does_not_rise(
    box: Box,
) -> None:
    fit = begin(box)
    late, key = fit.error(FRAMES - 1), fit.error(fit.scene.middle)
    fit.reveal()
    assert fit.error(FRAMES - 1) < 0.6 * late
    assert fit.error(fit.scene.middle) < key + 0.01


def test_new_gaussians_are_out_of_sight_where_their_colour_does_not_fit() -> None:
    fit = begin(BESIDE)
    born = newest(fit, fit.reveal())
    assert opacities(fit, born, FRAMES - 1).median() > 0.5
    assert opacities(fit, born, 0).median() < 0.1


def test_nothing_is_added_where_every_frame_is_explained() -> None:
    fit = begin((0, 1, 0, 1))  # a single pixel is noise
    before = len(fit.parameters["means"])
    count = fit.reveal()
    assert count < 12 and len(fit.parameters["means"]) == before + count


def test_frames_that_the_window_has_not_reached_are_left_alone() -> None:
    fit = begin(BESIDE)
    assert fit.reveal(window=Window(0, APPEARS)) < 12


@pytest.mark.parametrize("room", [0, 1, 15])
def test_there_are_never_more_gaussians_than_allowed(room: int) -> None:
    fit = begin(BESIDE)
    begun = len(fit.parameters["means"])
    config = CONFIG.replace(gaussians=1, max_gaussians=begun + room, reveal_times=3)
    revealer = Revealer(config)
    for _ in range(3):
        fit.reveal(revealer)
        assert len(fit.parameters["means"]) <= begun + room


def test_every_tensor_and_its_optimiser_grow_together() -> None:
    fit = begin(BESIDE)
    for name, optimizer in fit.optimizers.items():  # states that have seen a step
        fit.parameters[name].grad = torch.zeros_like(fit.parameters[name])
        optimizer.step()
    before = {name: value.detach().clone() for name, value in fit.parameters.items()}
    count = fit.reveal()
    for name, value in fit.parameters.items():
        assert len(value) == len(before[name]) + count
        assert torch.equal(value[:-count].detach(), before[name])
    for name, optimizer in fit.optimizers.items():
        (parameter,) = optimizer.param_groups[0]["params"]
        assert parameter is fit.parameters[name]
        for key, value in optimizer.state[parameter].items():
            assert key == "step" or value.shape == parameter.shape


def test_a_reveal_is_due_as_often_as_asked_and_within_the_fit() -> None:
    revealer = Revealer(CONFIG.replace(reveal_times=3))
    fit = begin(BESIDE)
    times = []
    for part in np.linspace(0, 1, 201):
        if revealer.due(float(part)):
            times.append(float(part))
            fit.reveal(revealer)
    assert len(times) == 3 and times[0] > 0.02 and times[-1] < 0.9


def test_without_reveals_none_is_due() -> None:
    revealer = Revealer(CONFIG.replace(reveal_times=0))
    assert not any(revealer.due(part) for part in (0.0, 0.5, 1.0))
