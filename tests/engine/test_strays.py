# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians that drifted off alone are left out; surfaces, and what shows late, stay."""

from __future__ import annotations

import torch
from torch.nn import Parameter

from ds4d_engine.fit import FitConfig
from ds4d_engine.fit.model import build_motion_model, clip_features
from ds4d_engine.fit.scene import Scene
from ds4d_engine.fit.splats import create_parameters
from ds4d_engine.fit.start import start_gaussians
from ds4d_engine.fit.strays import without_strays
from ds4d_engine.motion.nodes import NodeMotion
from ds4d_engine.sampling import visible_views
from ds4d_engine.seam.events import silent
from tests.engine.moving_square import as_dataset, over
from tests.engine.test_reveal import GREEN, filled

CONFIG = FitConfig.preset_named("draft", "clip").replace(
    gaussians=1_500, max_gaussians=4_000, nodes=20, color_knots=6, backend="cpu"
)


def square() -> tuple[Scene, NodeMotion, dict[str, Parameter]]:
    """A green square that rests for six frames, before the first step of its fit."""
    from ds4d_engine.fit.model import normalised_scene

    picture = filled(GREEN, (10, 28, 10, 28))
    frames = over(picture, picture)[None].repeat(6, 0)
    scene = normalised_scene(as_dataset(frames), CONFIG, torch.device("cpu"))
    features = clip_features(scene, CONFIG, silent)
    motion = build_motion_model(scene, CONFIG, features, silent)
    assert isinstance(motion, NodeMotion)
    parameters = create_parameters(start_gaussians(scene, CONFIG, silent), CONFIG, motion)
    motion.refresh(parameters, visible_views(parameters, [scene.views[0].camera], backend="cpu"))
    motion.start(parameters)
    return scene, motion, parameters


def moved(parameters: dict[str, Parameter], row: int, by: float) -> None:
    with torch.no_grad():
        parameters["means"][row, 0] += by


def test_a_surface_at_rest_loses_nothing() -> None:
    scene, motion, parameters = square()
    kept = without_strays(parameters, motion, scene)
    assert len(kept["means"]) == len(parameters["means"])


def test_what_drifted_off_alone_is_left_out_of_every_tensor() -> None:
    scene, motion, parameters = square()
    count = len(parameters["means"])
    moved(parameters, 5, 1.5)
    kept = without_strays(parameters, motion, scene)
    assert {len(value) for value in kept.values()} == {count - 1}
    rest = torch.cat([parameters["means"][:5], parameters["means"][6:]])
    assert torch.equal(kept["means"], rest)


def test_what_never_shows_is_left_out_and_what_shows_once_stays() -> None:
    scene, motion, parameters = square()
    count = len(parameters["means"])
    with torch.no_grad():
        parameters["opacities"][7] = -9.0
        parameters["motion_fade"][8] = -20.0
        parameters["motion_fade"][8, :2] = 5.0
    kept = without_strays(parameters, motion, scene)
    assert len(kept["means"]) == count - 1
    assert (kept["means"] == parameters["means"][8]).all(1).any()


def test_a_fit_of_nothing_but_strays_keeps_what_it_has() -> None:
    scene, motion, parameters = square()
    with torch.no_grad():
        parameters["means"] *= 40.0
    assert len(without_strays(parameters, motion, scene)["means"]) == len(parameters["means"])
