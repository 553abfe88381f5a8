# SPDX-License-Identifier: GPL-3.0-or-later
"""The fit itself: from a dataset to an asset."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import __version__
from ..data import Dataset
from ..motion.nodes import NodeMotion
from ..photometric import photometric_loss
from ..raster import backends, set_threads
from ..raster.warmup import warm_up
from ..seam.asset import write_asset
from ..seam.events import Listener, Stage, silent
from .checkpoint import FitState, checkpoint_path, dataset_key, load_checkpoint, save_checkpoint
from .config import FitConfig
from .densify import Densifier
from .export import export_asset
from .model import (
    build_motion_model,
    clip_features,
    dynamic_scores,
    normalised_scene,
    pixels_per_unit,
    refresh_motion,
    repeat_refresh,
)
from .reveal import Revealer
from .scene import Scene, TargetCache
from .schedule import Clock, decay_learning_rates, draw, time_window
from .splats import (
    Splats,
    activate,
    clamp_colors,
    create_optimizers,
    create_parameters,
    render_view,
)
from .start import start_gaussians

SETTLE_PARTS = (0.5, 0.75)  # parts of the fit at which small motions are taken away


@dataclass(frozen=True)
class FitResult:
    """What a fit leaves."""

    asset_path: Path
    stopped: bool  # stopped before its budget was used up
    summary: dict[str, Any]


def fit(
    dataset: Dataset,
    config: FitConfig,
    output: Path,
    *,
    listener: Listener = silent,
    should_stop: Callable[[], bool] = lambda: False,
    resume: bool = False,
) -> FitResult:
    """Fit dynamic Gaussians to the training cameras of a dataset and write the asset.

    Args:
        output: path of the asset; the checkpoint lies beside it.
        should_stop: asked every step; True ends the fit with a usable asset and checkpoint.
        resume: continue from the checkpoint of an earlier call with the same settings.

    Raises:
        DS4DError: the dataset cannot be fitted, or the checkpoint does not belong to this fit.
    """
    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    set_threads(config.threads or os.cpu_count() or 1)
    device = _device(config)
    if device.type == "cpu":
        warm_up(listener)
    scene = normalised_scene(dataset, config, device)
    features = clip_features(scene, config, listener)
    motion = build_motion_model(scene, config, features, listener).to(device)
    parameters = create_parameters(start_gaussians(scene, config), config, motion)
    groups = motion.network_groups()
    state = FitState(
        parameters=parameters,
        optimizers=create_optimizers(parameters, config, motion),
        motion=motion,
        network_optimizer=torch.optim.Adam(groups, eps=1e-15, fused=True) if groups else None,
        densifier=Densifier(config),
        revealer=Revealer(config),
        rng=np.random.default_rng(config.seed),
    )
    checkpoint, key = checkpoint_path(output), dataset_key(dataset)
    if resume:
        load_checkpoint(checkpoint, state, config, key)
        repeat_refresh(state)
    else:
        refresh_motion(state, features, config.backend)
        motion.start(parameters, listener)

    def keep() -> None:
        save_checkpoint(checkpoint, state, config, key)

    def refresh(grown: bool) -> None:
        refresh_motion(state, features, config.backend, grown=grown)

    stopped = _optimise(scene, state, config, listener, should_stop, keep, refresh)
    keep()
    scores = dynamic_scores(state.parameters, features, scene.middle, config)
    summary = _summary(state, scene, config, stopped)
    provenance = {"config": dataclasses.asdict(config), "dataset": dataset.name} | summary
    asset = export_asset(dataset, scene, state.parameters, motion, scores, provenance)
    write_asset(output, asset)
    return FitResult(output, stopped, summary)


def _optimise(
    scene: Scene,
    state: FitState,
    config: FitConfig,
    listener: Listener,
    should_stop: Callable[[], bool],
    keep: Callable[[], None],
    refresh: Callable[[bool], None],
) -> bool:
    """Run the loop from the state's step to the end of the budget; return whether it stopped."""
    targets = TargetCache(scene)
    clock = Clock(config, state.step, state.elapsed)
    stage = Stage(listener, "fit", 1.0)
    optimizers = [*state.optimizers.values()]
    if state.network_optimizer is not None:
        optimizers.append(state.network_optimizer)
    initial = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    motion, parameters = state.motion, state.parameters
    pixels = pixels_per_unit(scene)
    saved = time.monotonic()

    while not clock.done:
        part = clock.part
        decay_learning_rates(optimizers, initial, config, part)
        window = time_window(scene, config, part)
        moving = part >= config.static_part and scene.frame_count > 1
        if window != state.window:
            motion.extend(parameters, scene.times[window.low], scene.times[window.high - 1])
            state.window = window
        look = draw(state.rng, scene, window, moving, config.frontier)
        view = scene.views[look.view]
        moment = float(scene.times[look.frame])

        splats = activate(parameters, motion if look.moving else None, moment)
        render = render_view(parameters, splats, view, blend=config.blend, backend=config.backend)
        render.means2d.retain_grad()
        target, coverage = targets.target(look.frame, look.view, look.background)
        loss = photometric_loss(
            render.colors,
            render.alphas,
            target,
            look.background,
            blend=config.blend,
            ssim_weight=config.ssim_weight,
        )
        photometric = loss.detach()
        loss = loss + _priors(render.alphas, coverage, splats, config)
        if look.moving:
            loss = loss + motion.regularisation(parameters, config.prior_final**part)
        loss.backward()

        state.densifier.observe(render, view)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            clamp_colors(parameters)
            motion.constrain(parameters)
        if state.densifier.due(part):
            weights = motion.densify_weights(parameters)
            state.densifier.grow_and_prune(parameters, state.optimizers, weights)
            refresh(True)
        elif state.revealer.due(part):
            assert isinstance(motion, NodeMotion)
            state.revealer.reveal(parameters, state.optimizers, motion, scene, window)
            refresh(True)
        elif motion.refresh_interval and state.step % motion.refresh_interval == 0:
            refresh(False)
        if (
            look.moving
            and state.settled < len(SETTLE_PARTS)
            and part >= SETTLE_PARTS[state.settled]
        ):
            motion.settle(parameters, pixels)
            state.settled += 1

        clock.step += 1
        state.step, state.elapsed = clock.step, clock.elapsed
        stage.update(clock.part, loss=float(photometric), gaussians=len(parameters["means"]))
        if config.checkpoint_seconds and time.monotonic() - saved > config.checkpoint_seconds:
            keep()
            saved = time.monotonic()
        if should_stop():
            return True
    return False


def _device(config: FitConfig) -> torch.device:
    """Return where the fit runs: CUDA when gsplat is asked for or works, else the CPU."""
    if config.backend == "gsplat" or (config.backend == "auto" and backends()["gsplat"] == "ok"):
        return torch.device("cuda")
    return torch.device("cpu")


def _priors(alphas: Tensor, coverage: Tensor, splats: Splats, config: FitConfig) -> Tensor:
    """Coverage against the source's alpha (1 in a plain video), and pulls on opacity and scale."""
    total = alphas.new_zeros(())
    if config.alpha_weight:
        total = total + config.alpha_weight * (alphas - coverage).abs().mean()
    if config.opacity_weight:
        total = total + config.opacity_weight * splats.opacities.mean()
    if config.scale_weight:
        total = total + config.scale_weight * splats.scales.mean()
    return total


def _summary(state: FitState, scene: Scene, config: FitConfig, stopped: bool) -> dict[str, Any]:
    gate = state.parameters.get("motion_gate")
    count = len(state.parameters["means"])
    return {
        "engine_version": __version__,
        "steps": state.step,
        "seconds": round(state.elapsed, 1),
        "stopped": stopped,
        "gaussians": count,
        "dynamic": count if gate is None else int((gate > 0).sum()),
        "frames": scene.frame_count,
    }
