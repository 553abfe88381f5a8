# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fit builds from a dataset before its first step, and asks of DSFD after its last."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cache import user_cache
from ..data import Dataset, scene_bounds
from ..dsfd import decouple
from ..features import ClipFeatures, extract_tokens
from ..motion import Clip, Motion, build_motion
from ..motion.networks import NETWORKS
from ..priors.extractors import build_extractor
from ..sampling import TokenSampler, sample_scores, visible_views
from ..seam.errors import DatasetError
from ..seam.events import Listener
from ..single.key_frame import candidate_frames, choose_key_frame
from ..single.limb_paths import LimbPaths, limbs_of_clip, passing_limbs
from ..single.limb_tracks import follow_along_limbs
from ..single.stance import standing_slant
from ..single.tracks import Tracks, track_pixels
from ..single.turn_search import find_turn
from .checkpoint import FitState
from .config import FitConfig
from .hull import subject_bounds
from .scene import Scene, build_scene


def normalised_scene(dataset: Dataset, config: FitConfig, device: torch.device) -> Scene:
    """Return the training views with the subject in the unit ball.

    Raises:
        DatasetError: the dataset has no training picture.
    """
    if not dataset.train or not dataset.present[:, dataset.train].any():
        raise DatasetError(
            f"{dataset.name} has no training pictures; hold out fewer cameras or check its files."
        )
    if dataset.source == "clip":
        # its cameras stand around the origin, its subject in the unit ball
        seen = _key_frame(dataset) if config.motion == "nodes" else ()
        return build_scene(dataset, config.blend, np.zeros(3), 1.0, device, *seen)
    center, radius = scene_bounds(dataset)
    scene = build_scene(dataset, config.blend, center, radius, device)
    if not dataset.has_alpha:
        return scene
    bounds = subject_bounds(dataset, scene)
    if bounds is None:
        return scene
    return build_scene(dataset, config.blend, *bounds, device)


def with_turn(scene: Scene, config: FitConfig, listener: Listener) -> Scene:
    """Return a clip's scene with how its subject turns, where it does."""
    wanted = config.motion == "nodes" and config.turn != "off"
    if not wanted or not scene.has_alpha or len(scene.views) > 1:
        return scene
    camera, degrees = scene.views[0].camera, config.turn_degrees
    turn = find_turn(scene.pictures[0], camera, scene.middle, degrees, listener)
    limbs = scene.limbs if turn is None else None  # carved with the rest
    return dataclasses.replace(scene, turn=turn, limbs=limbs)


def _key_frame(dataset: Dataset) -> tuple[int, LimbPaths | None, float]:
    """Return a clip's key frame, its limbs where limbs pass each other, and how it is slanted."""
    pictures = dataset.images[0]
    limbs = limbs_of_clip(pictures)
    paths = passing_limbs(limbs, candidate_frames(len(pictures)))
    key = choose_key_frame(pictures, [*paths])
    return key, paths.get(key), standing_slant(pictures, limbs, dataset.cameras[0])


def clip_features(
    scene: Scene, config: FitConfig, listener: Listener, *, allow_download: bool = False
) -> ClipFeatures | None:
    """Return tokens of evenly chosen training views; None where no view shows time passing.

    Tokens of a network are kept in the user's cache, for other fits of the same pictures.

    Raises:
        ConfigError: weights are missing, damaged, or another model's.
    """
    full = [v for v in range(len(scene.views)) if scene.present[:, v].sum() > 1]
    if not full:
        return None
    chosen = [full[i] for i in _spread(len(full), config.feature_views)]
    weights = Path(config.feature_weights) if config.feature_weights else None
    tokens, grids = extract_tokens(
        [scene.pictures[v] for v in chosen],
        build_extractor(config.features, weights, allow_download),
        present=scene.present[:, chosen],
        cache=None if config.features == "builtin" else user_cache("tokens"),
        device=scene.device,
        listener=listener,
    )
    return ClipFeatures(tokens, grids, tuple(scene.views[v].camera for v in chosen))


def build_motion_model(
    scene: Scene,
    config: FitConfig,
    features: ClipFeatures | None,
    listener: Listener,
    tracks: Tracks | None = None,
) -> Motion:
    """Build the configured motion model on the scene's clip; `tracks` are found if not given."""
    clip = Clip(tuple(scene.times), scene.middle, features)
    knots = config.knots or max(4, scene.frame_count)
    settings: dict[str, Any]
    if config.motion == "spline":
        settings = {"knots": knots, "learning_rate": config.lr_motion}
    elif config.motion == "ds4d":
        settings = {
            "knots": knots,
            "learning_rate": config.lr_motion,
            "damping": config.damping,
            "reference": config.reference,
            "fuse": config.fuse,
            "gate": config.gate,
            "gate_score": config.gate_score,
            "gate_pixels": config.gate_pixels,
            "rigidity": config.rigidity,
            "stillness": config.stillness,
            "growth_score": config.growth_score,
            "likeness": config.likeness,
            "appearance": config.appearance,
            "search": config.search,
        }
    elif config.motion == "nodes":
        settings = {
            "tracks": tracks or _tracks(scene, listener),
            "turn": scene.turn,
            "nodes": config.nodes,
            "color_knots": config.color_knots or max(4, scene.frame_count // 4),
            "reference": config.reference,
            "fuse": config.fuse,
            "gate_pixels": config.gate_pixels,
            "learning_rate": config.lr_motion,
        }
    elif config.motion == "hexplane":
        settings = {**NETWORKS[config.network]}
    else:
        settings = {
            "reference": config.reference,
            "decoupled": config.decouple,
            "fuse": config.fuse,
            **NETWORKS[config.network],
        }
    return build_motion(config.motion, clip, **settings)


def _tracks(scene: Scene, listener: Listener) -> Tracks:
    tracks = track_pixels(scene.pictures[0], scene.middle, listener)
    return follow_along_limbs(tracks, scene.limbs, scene.middle) if scene.limbs else tracks


def refresh_motion(
    state: FitState, features: ClipFeatures | None, backend: str, *, grown: bool = False
) -> None:
    """Renew what the motion model caches per Gaussian, and keep what it was computed from.

    `grown` says that densification has just cloned and pruned. A resumed fit repeats the last
    refresh from the kept values, so that it continues exactly.
    """
    visible = None
    state.refreshed = {"means": state.parameters["means"].detach().clone()}
    if state.motion.needs_visibility and not (grown and state.motion.clones_keep_features):
        assert features is not None
        visible = _visible(state.parameters, features, backend)
        state.refreshed["visible"] = visible
    state.motion.refresh(state.parameters, visible)


def repeat_refresh(state: FitState) -> None:
    """Repeat the last refresh of a checkpoint."""
    splats = dict(state.parameters.items()) | {"means": state.refreshed["means"]}
    state.motion.refresh(splats, state.refreshed.get("visible"))


def dynamic_scores(
    parameters: Mapping[str, Tensor],
    features: ClipFeatures | None,
    middle: int,
    config: FitConfig,
) -> Tensor:
    """Return DSFD's dynamic score [N] of every Gaussian; 1 where no view shows time passing."""
    if features is None:
        return torch.ones(len(parameters["means"]))
    decoupled = decouple(features.tokens, middle, config.reference)
    visible = _visible(parameters, features, config.backend)
    sampler = TokenSampler(parameters["means"].detach(), features.cameras, features.grids)
    return sample_scores(decoupled.scores, sampler, visible)


@torch.no_grad()
def _visible(parameters: Mapping[str, Tensor], features: ClipFeatures, backend: str) -> Tensor:
    return visible_views(parameters, features.cameras, backend=backend)


def pixels_per_unit(scene: Scene) -> float:
    """Return the largest number of pixels that one unit at the world's centre spans in a view."""
    scales = [float(view.K[0, 0]) / max(float(view.position.norm()), 1e-6) for view in scene.views]
    return float(np.max(scales))


def _spread(count: int, wanted: int) -> list[int]:
    """Return up to `wanted` evenly spaced indices below `count`."""
    return sorted({int(i) for i in np.linspace(0, count, min(count, wanted), endpoint=False)})
