# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats hung on the nodes of a short clip, at rest or moved as a test wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from ds4d_engine.features import ClipFeatures, DescriptorExtractor, extract_tokens
from ds4d_engine.motion import Clip, build_motion
from ds4d_engine.motion.nodes import NodeMotion
from ds4d_engine.single.tracks import Tracks, track_pixels
from ds4d_engine.single.turn import Turn
from tests.engine.moving_square import as_dataset, square_clip

FRAMES, SIZE = 7, 40
MIDDLE = FRAMES // 2
Splats = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Seen:
    """A clip, its tracks, and what a motion was once `start` had placed its nodes."""

    clip: Clip
    tracks: Tracks
    nodes: dict[str, Tensor] = field(default_factory=dict)
    splats: Splats = field(default_factory=dict)


@cache
def see_square() -> Seen:
    """A square that moves, and where `start` puts the nodes that follow it."""
    dataset = as_dataset(square_clip(FRAMES, SIZE))
    tokens, grids = extract_tokens(
        dataset.images,
        DescriptorExtractor(),
        present=dataset.present,
        device=torch.device("cpu"),
    )
    features = ClipFeatures(tokens, grids, dataset.cameras)
    clip = Clip(tuple(dataset.times), MIDDLE, features)
    found = Seen(clip, track_pixels(dataset.images[0], MIDDLE))
    model = build(found)
    splats = splats_of(model)
    model.refresh(splats, everything(splats))
    model.start(splats)
    nodes = {name: value.clone() for name, value in model.state_dict().items()}
    return Seen(clip, found.tracks, nodes, splats)


def build(seen: Seen, **settings: Any) -> NodeMotion:
    given: dict[str, Any] = {"tracks": seen.tracks, "nodes": 24, "color_knots": 5, **settings}
    model = build_motion("nodes", seen.clip, **given)
    assert isinstance(model, NodeMotion)
    return model


def splats_of(model: NodeMotion) -> Splats:
    """A Gaussian on every opaque pixel of the key frame, a little before or behind the plane."""
    pixels = torch.from_numpy(model.tracks.pixels)
    torch.manual_seed(0)
    depth = 2 + 0.1 * torch.rand(len(pixels)) - 0.05
    homogeneous = torch.cat([pixels, torch.ones(len(pixels), 1)], 1)
    local = (torch.linalg.inv(torch.tensor(model.camera.K).float()) @ homogeneous.T).T
    pose = torch.tensor(model.camera.camtoworld).float()
    means = (local * depth[:, None]) @ pose[:3, :3].T + pose[:3, 3]
    count = len(means)
    return {
        "means": means,
        "scales": torch.full((count, 3), float(np.log(0.4 * model.pixel))),
        "quats": torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        "opacities": torch.full((count,), 2.0),
        "sh0": torch.rand(count, 1, 3) - 0.5,
        **model.per_gaussian(count),
    }


def everything(splats: Splats) -> Tensor:
    return torch.ones(1, len(splats["means"]), dtype=torch.bool)


def prepared(seen: Seen, model: NodeMotion, *, resting: bool = True) -> Splats:
    """Place nodes as `start` did and hang splats on them; let the nodes rest, or move as found."""
    splats = splats_of(model)
    for name in ("motion_ids", "motion_weights", "motion_anchor", "motion_track"):
        splats[name] = seen.splats[name].clone()
    model.load_state_dict(seen.nodes)
    model.refresh(splats, everything(splats))
    if not resting:
        return splats
    with torch.no_grad():
        model.shifts.zero_()
        model.turns.zero_()
    return splats


def wander(model: NodeMotion, size: float = 0.1) -> None:
    """Give every node some motion of its own in every frame."""
    torch.manual_seed(1)
    with torch.no_grad():
        model.shifts.copy_(size * torch.randn_like(model.shifts))
        model.turns.copy_(2 * size * torch.randn_like(model.turns))


def move_rigidly(model: NodeMotion, vector: Tensor, offset: Tensor) -> Tensor:
    """Let all nodes turn about the origin by `vector`, then move, in all frames; return [3, 3]."""
    matrix = torch.from_numpy(Rotation.from_rotvec(vector.numpy()).as_matrix()).float()
    with torch.no_grad():
        model.turns.copy_(vector.expand_as(model.turns))
        model.shifts.copy_(model.node_means @ matrix.T + offset - model.node_means)
    return matrix


def moved(model: NodeMotion, splats: Mapping[str, Tensor], time: float) -> Tensor:
    return splats["means"] + model(splats, time).d_means


def once_round() -> Turn:
    angles = np.linspace(-3, 3, FRAMES)
    axis = np.linspace((-0.1, 0, 0), (0.1, 0, 0), FRAMES)
    return Turn(angles, axis, axis[MIDDLE], np.array([0.0, 0.0, 1.0]))
