# SPDX-License-Identifier: GPL-3.0-or-later
"""A few steps of a fit, timed on this machine, from a few frames of what it would fit."""

from __future__ import annotations

import dataclasses
import time
from typing import NamedTuple

import numpy as np
import torch

from ..data import Dataset
from ..features import ClipFeatures
from ..motion import Motion
from ..motion.nodes import NodeMotion
from ..raster import set_threads
from ..raster.warmup import warm_up
from ..seam.events import silent
from ..single.tracks import Tracks, track_pixels
from .checkpoint import FitState, state_tensors
from .config import FitConfig
from .export import unless_constant
from .guidance import Guidance
from .losses import Losses
from .model import build_motion_model, clip_features, normalised_scene, refresh_motion
from .moment import Moment
from .scene import Scene
from .splats import activate
from .start import Start, start_gaussians
from .trainer import Calls, first_state, fit_device, fit_threads, optimise

STEPS = 400
"""At most so many are timed."""
FIRST = 8
"""Steps that are not timed: they make pictures ready that later ones find."""
VIEWS = 2
"""Views that the steps look at, so that they soon find their pictures ready."""


class Rehearsal(NamedTuple):
    """What a fit costs on this machine."""

    gaussians: int  # that it starts with
    set_up_at: float  # processor time of this process at its first step
    step_seconds: float  # of one step with them
    step_seconds_per_gaussian: float  # that one more Gaussian adds to a step
    track_seconds: float  # to follow the subject through one frame; 0 where it is not followed
    bytes_per_gaussian: int  # of a checkpoint
    bytes_beside: int  # of a checkpoint, whatever the number of Gaussians
    baked_floats: int  # that an asset holds per moving Gaussian and frame


def rehearse(
    sample: Dataset, frame_count: int, config: FitConfig, *, gaussians: int, seconds: float
) -> Rehearsal:
    """Time steps of a fit of `frame_count` frames, of which `sample` holds a few.

    The frames in between are those of the sample again. The step is timed twice, with all and
    with half of the Gaussians, for about `seconds` each.

    Args:
        gaussians: at the start; where a clip's own outline decides, no more than that.

    Raises:
        DS4DError: the fit could not begin either.
    """
    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    set_threads(fit_threads(config))
    device = fit_device(config)
    if device.type == "cpu":
        warm_up(silent)
    config = _undisturbed(config, frame_count, gaussians)
    short = normalised_scene(sample, config, device)
    guidance = Guidance(short, config, False, silent)
    features = clip_features(short, config, silent)
    rows = np.linspace(0, sample.frame_count - 1, frame_count).round().astype(int)
    scene = _stretched(short, rows)
    tracks, track_seconds = _tracks(short, rows, config)
    motion = build_motion_model(scene, config, _repeated(features, rows), silent, tracks)
    motion = motion.to(device)
    start = start_gaussians(scene, config)
    timed: list[tuple[int, float, FitState]] = []
    set_up_at = 0.0
    for part in (1, 2):
        some = _thinned(start, part)
        state = first_state(scene, config, motion, some)
        refresh_motion(state, features, config.backend)
        _hang(motion, state)
        losses = Losses(scene, state, config, guidance)
        if not timed:
            # processor time: waiting for others is not setting up
            set_up_at = time.process_time()
        timed.append((len(some.means), _step_seconds(losses, seconds), state))
    (many, slow, state), (few, fast, _) = timed
    per_gaussian = max(slow - fast, 0.0) / max(many - few, 1)
    per_row, beside = _sizes(state)
    baked = _baked_floats(state, scene)
    return Rehearsal(many, set_up_at, slow, per_gaussian, track_seconds, per_row, beside, baked)


@torch.no_grad()
def _baked_floats(state: FitState, scene: Scene) -> int:
    """Count the numbers of a Gaussian that change over time, after a few steps."""
    names = state.parameters
    ends = (float(time) for time in scene.times[[0, scene.frame_count // 2, -1]])
    shown = [activate(names, state.motion, time) for time in ends]
    turns, grows = (
        unless_constant(np.stack([value.cpu().numpy() for value in values])) is not None
        for values in ([s.quats for s in shown], [s.scales for s in shown])
    )
    return 3 + 4 * turns + 3 * grows + ("motion_fade" in names) + 3 * ("motion_colors" in names)


def _undisturbed(config: FitConfig, frame_count: int, gaussians: int) -> FitConfig:
    """Return settings with which every step is a usual one, as many knots as the clip gives."""
    return config.replace(
        gaussians=gaussians,
        max_gaussians=max(gaussians, config.max_gaussians),
        seconds=0.0,
        iterations=1_000_000,
        static_part=0.0,
        window_part=0.0,
        densify_start=1.0,
        densify_stop=1.0,
        reveal_times=0,
        checkpoint_seconds=0.0,
        knots=config.knots or max(4, frame_count),
        color_knots=config.color_knots or max(4, frame_count // 4),
    )


def _stretched(scene: Scene, rows: np.ndarray) -> Scene:
    """Return a scene whose frame t shows frame `rows[t]`; only two frames are to be looked at."""
    count = len(rows)
    middle = int(np.abs(rows - scene.middle).argmin())
    present = np.zeros((count, scene.present.shape[1]), bool)
    looked_at = sorted({middle, min(middle + 1, count - 1)})
    seen = np.flatnonzero(scene.present.any(0))[:VIEWS]
    for frame in looked_at:
        present[frame, seen] = scene.present[rows[frame], seen]
    if not present.any():
        present[middle] = scene.present[rows[middle]]
    return dataclasses.replace(
        scene,
        pictures=tuple(_still(some[scene.middle], count) for some in scene.pictures),
        present=present,
        times=np.linspace(0, 1, count) if count > 1 else np.zeros(1),
        middle=middle,
    )


def _still(picture: np.ndarray, count: int) -> np.ndarray:
    """Return a picture as so many frames, which take no memory."""
    shape, strides = (count, *picture.shape), (0, *picture.strides)
    return np.lib.stride_tricks.as_strided(picture, shape, strides)


def _repeated(features: ClipFeatures | None, rows: np.ndarray) -> ClipFeatures | None:
    if features is None:
        return None
    return dataclasses.replace(features, tokens=features.tokens[torch.from_numpy(rows)])


def _tracks(scene: Scene, rows: np.ndarray, config: FitConfig) -> tuple[Tracks | None, float]:
    """Return the tracks of the stretched clip, and the seconds that a frame of it takes."""
    if config.motion != "nodes":
        return None, 0.0
    started = time.perf_counter()
    found = track_pixels(scene.pictures[0], scene.middle)
    seconds = (time.perf_counter() - started) / max(scene.frame_count - 1, 1)
    return Tracks(found.pixels, found.places[rows], found.confidence[rows]), seconds


def _thinned(start: Start, part: int) -> Start:
    return Start(start.means[::part], start.colors[::part], start.sigmas[::part], start.opacity)


def _hang(motion: Motion, state: FitState) -> None:
    """Set up what the motion needs to be evaluated; nodes are not placed, which takes seconds."""
    if isinstance(motion, NodeMotion):
        state.parameters["motion_weights"].data.fill_(
            1 / state.parameters["motion_weights"].shape[1]
        )
        state.parameters["motion_anchor"].data.copy_(state.parameters["means"].detach())
        state.parameters["motion_track"].data.fill_(0)
    else:
        motion.start(state.parameters)


def _step_seconds(losses: Losses, seconds: float) -> float:
    """Return the mean time of a step, without the slowest tenth: others use the machine too."""
    moments: list[float] = []

    def visit(moment: Moment) -> float:
        moments.append(time.perf_counter())
        return 0.0

    def enough() -> bool:
        count = len(moments) - FIRST
        return count >= STEPS or (count >= 4 and moments[-1] - moments[FIRST] > seconds)

    def nothing(grown: bool) -> None:
        pass

    optimise(losses, Calls(silent, enough, lambda: None, nothing, visit))
    steps = np.sort(np.diff(moments[FIRST:]))
    return float(steps[: max(1, round(0.9 * len(steps)))].mean())


def _sizes(state: FitState) -> tuple[int, int]:
    """Return the bytes of a checkpoint per Gaussian, and beside them."""
    count = len(state.parameters["means"])
    per_row = beside = 0
    for name, tensor in state_tensors(state).items():
        size = tensor.numel() * tensor.element_size()
        rows = tensor.shape[-1:] if name == "refreshed.visible" else tensor.shape[:1]
        if tuple(rows) == (count,):
            per_row += size
        else:
            beside += size
    return per_row // count, beside
