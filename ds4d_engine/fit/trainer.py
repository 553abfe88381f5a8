# SPDX-License-Identifier: GPL-3.0-or-later
"""The fit itself: from a dataset to an asset."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from .. import __version__
from ..data import Dataset
from ..motion import Motion
from ..motion.nodes import NodeMotion
from ..raster import backends, set_threads
from ..raster.threads import MAX_THREADS
from ..raster.warmup import warm_up
from ..seam.asset import write_asset
from ..seam.events import Listener, Stage, silent
from .attention import Attention
from .checkpoint import (
    FitState,
    all_optimizers,
    dataset_key,
    load_checkpoint,
    save_checkpoint,
)
from .config import FitConfig
from .densify import Densifier
from .enough import with_enough
from .export import Told, export_asset
from .files import checkpoint_path
from .guidance import Guidance
from .losses import Losses
from .model import (
    build_motion_model,
    clip_features,
    dynamic_scores,
    normalised_scene,
    pixels_per_unit,
    refresh_motion,
    repeat_refresh,
    with_turn,
)
from .moment import Moment, Visitor
from .observed import observed_gaussians
from .quality import Quality
from .readings import Readings
from .reveal import Revealer
from .scene import Scene
from .schedule import Clock, Window, decay_learning_rates, draw, time_window
from .splats import clamp_colors, create_optimizers, create_parameters
from .start import Start, start_gaussians
from .strays import without_strays
from .views import GeneratedViews

SETTLE_PARTS = (0.5, 0.75)  # parts of the fit at which small motions are taken away
READ_TOGETHER = 25  # losses that are fetched together from a device


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
    allow_download: bool = False,
    visitor: Visitor | None = None,
) -> FitResult:
    """Fit dynamic Gaussians to the training cameras of a dataset and write the asset.

    Args:
        output: path of the asset; the checkpoint lies beside it.
        should_stop: asked every step; True ends the fit with a usable asset and checkpoint.
        resume: continue from the checkpoint of an earlier call with the same settings.
        allow_download: whether weights that are not on this machine may be fetched.
        visitor: looks at the fit; the time for which it makes it wait does not count.

    Raises:
        DS4DError: the dataset cannot be fitted, or the checkpoint does not belong to this fit.
    """
    visitor = visitor or Visitor()
    config = with_enough(config, dataset)
    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    set_threads(fit_threads(config))
    device = fit_device(config)
    if device.type == "cpu":
        warm_up(listener)
    scene = with_turn(normalised_scene(dataset, config, device), config, listener)
    guidance = Guidance(scene, config, allow_download, listener)
    start = start_gaussians(scene, config, listener)
    if not resume:
        visitor.begin(scene, start, config)
    features = clip_features(scene, config, listener, allow_download=allow_download)
    motion = build_motion_model(scene, config, features, listener).to(device)
    state = first_state(scene, config, motion, start)
    checkpoint, key = checkpoint_path(output), dataset_key(dataset)
    if resume:
        load_checkpoint(checkpoint, state, config, key)
        repeat_refresh(state)
    else:
        refresh_motion(state, features, config.backend)
        motion.start(state.parameters, listener)

    def keep() -> None:
        save_checkpoint(checkpoint, state, config, key)

    def refresh(grown: bool) -> None:
        refresh_motion(state, features, config.backend, grown=grown)

    losses = Losses(scene, state, config, guidance)
    calls = Calls(listener, should_stop, keep, refresh, visitor.visit)
    stopped = optimise(losses, calls)
    keep()
    if isinstance(motion, NodeMotion):
        state.parameters = without_strays(state.parameters, motion, scene)
    summary = _summary(state, scene, config, stopped)
    told = Told(
        dynamic_scores(state.parameters, features, scene.middle, config),
        observed_gaussians(state.parameters, motion, scene, config.backend, listener),
    )
    asset = export_asset(
        dataset, scene, state.parameters, motion, told, _provenance(dataset, state, config, summary)
    )
    write_asset(output, asset)
    return FitResult(output, stopped, summary)


class Calls(NamedTuple):
    """What the loop calls besides its own work."""

    listener: Listener
    should_stop: Callable[[], bool]
    keep: Callable[[], None]  # write the checkpoint
    refresh: Callable[[bool], None]  # renew what the motion caches, after growth or not
    visit: Callable[[Moment], float]


def first_state(scene: Scene, config: FitConfig, motion: Motion, start: Start) -> FitState:
    """Return the state of a fit before its first step."""
    parameters = create_parameters(start, config, motion)
    groups = motion.network_groups()
    # new Gaussians hang on nodes; where a subject turns, the carved shape has all its sides
    reveals = config.motion == "nodes" and scene.turn is None
    views = GeneratedViews(scene, config).to(scene.device)
    return FitState(
        parameters=parameters,
        optimizers=create_optimizers(parameters, config, motion),
        motion=motion,
        network_optimizer=torch.optim.Adam(groups, eps=1e-15, fused=True) if groups else None,
        densifier=Densifier(config),
        revealer=Revealer(config if reveals else config.replace(reveal_times=0)),
        views=views,
        pose_optimizer=views.optimizer(),
        attention=Attention(scene.frame_count),
        rng=np.random.default_rng(config.seed),
    )


def optimise(losses: Losses, calls: Calls) -> bool:
    """Run the loop from the state's step to the end of the budget; return whether it stopped."""
    scene, state, config = losses.scene, losses.state, losses.config
    clock = Clock(config, state.step, state.elapsed)
    stage = Stage(calls.listener, "fit", 1.0, initial=clock.part)
    quality = Quality(config.blend)
    optimizers = [*all_optimizers(state).values()]
    initial = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    motion, parameters = state.motion, state.parameters
    attention = state.attention if config.worst_frames else None
    readings = Readings(state.attention.note, READ_TOGETHER)
    saved, stopped = time.monotonic(), False

    def keep() -> None:
        readings.fetch()
        calls.keep()

    while not (clock.done or stopped):
        part = clock.part
        decay_learning_rates(optimizers, initial, config, part)
        window = time_window(scene, config, part)
        moving = part >= config.static_part and scene.frame_count > 1
        if window != state.window:
            motion.extend(parameters, scene.times[window.low], scene.times[window.high - 1])
            state.window = window
        idle = calls.visit(Moment(losses, window, moving, quality.psnr, keep))
        clock.leave_out(idle)
        stage.started += idle
        look = draw(state.rng, scene, window, moving, config, attention)
        loss = losses.of(look, window, part)
        loss.total.backward()
        readings.add(look.frame, loss.photometric)

        state.densifier.observe(loss.render, scene.views[look.view])
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            clamp_colors(parameters)
            motion.constrain(parameters)
        quality.note(state.step, loss.render, loss.target, look.background)
        _tend(losses, window, part, moving, calls.refresh)

        clock.step += 1
        state.step, state.elapsed = clock.step, clock.elapsed
        count = len(parameters["means"])
        stage.update(clock.part, loss=readings.last, gaussians=count, psnr=quality.psnr)
        if config.checkpoint_seconds and time.monotonic() - saved > config.checkpoint_seconds:
            keep()
            saved = time.monotonic()
        stopped = calls.should_stop()
    readings.fetch()
    return stopped


def _tend(
    losses: Losses, window: Window, part: float, moving: bool, refresh: Callable[[bool], None]
) -> None:
    """Add and remove Gaussians, renew caches and take small motions away, where it is time."""
    scene, state = losses.scene, losses.state
    motion, parameters = state.motion, state.parameters
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
    if moving and state.settled < len(SETTLE_PARTS) and part >= SETTLE_PARTS[state.settled]:
        motion.settle(parameters, pixels_per_unit(scene))
        state.settled += 1


def fit_device(config: FitConfig) -> torch.device:
    """Return where the fit runs: CUDA when gsplat is asked for or works, else the CPU.

    Nodes move on the CPU only: their kernels are compiled for it.
    """
    if config.motion == "nodes":
        return torch.device("cpu")
    if config.backend == "gsplat" or (config.backend == "auto" and backends()["gsplat"] == "ok"):
        return torch.device("cuda")
    return torch.device("cpu")


def fit_threads(config: FitConfig) -> int:
    """Return how many threads the kernels of a fit use."""
    return config.threads or min(os.cpu_count() or 1, MAX_THREADS)


def _provenance(
    dataset: Dataset, state: FitState, config: FitConfig, summary: dict[str, Any]
) -> dict[str, Any]:
    """Return what the asset tells of how it was made."""
    told = {"config": dataclasses.asdict(config), "dataset": dataset.name} | summary
    if made := state.views.summary():
        told["generated_views"] = made
    return told


def _summary(state: FitState, scene: Scene, config: FitConfig, stopped: bool) -> dict[str, Any]:
    gate = state.parameters.get("motion_gate")
    count = len(state.parameters["means"])
    turned = {} if scene.turn is None else {"turn_degrees": round(scene.turn.degrees, 1)}
    return turned | {
        "engine_version": __version__,
        "steps": state.step,
        "seconds": round(state.elapsed, 1),
        "stopped": stopped,
        "gaussians": count,
        "dynamic": count if gate is None else int((gate > 0).sum()),
        "frames": scene.frame_count,
    }
