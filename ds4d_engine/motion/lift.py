# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes' motion before the first look at a picture: where tracks lead, rigid and flat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..sampling import project
from ..seam.events import Listener, Stage
from ..single.node_graph import NodeGraph
from .node_priors import depth, jerk, off_track, stretch
from .skinning import skin
from .tracked import tracked_motion

if TYPE_CHECKING:
    from .nodes import NodeMotion

STEPS = 200
LEARNING_RATE, LAST_LEARNING_RATE = 1e-2, 5e-4
RIGIDITY, FLATNESS, STEADINESS = 20.0, 0.2, 0.02
"""Weights against a track's error of a pixel."""
FRAMES, SAMPLES = 4, 600
"""Frames that a step looks at, and Gaussians of each."""


@torch.no_grad()
def begin_on_tracks(motion: NodeMotion, rows: np.ndarray, graph: NodeGraph) -> None:
    """Put every node where the tracks `rows` [N] of its Gaussians lead, in the picture plane.

    Limbs that pass each other go far, past one another: a lift from rest would not get there.
    """
    pixels = project(motion.node_means, motion.camera)[0].numpy()
    steps, angles = tracked_motion(motion.tracks, rows, graph.ids, graph.weights, pixels)
    axes = torch.tensor(motion.camera.viewmat[:2, :3], dtype=torch.float32)
    motion.shifts.copy_(motion.pixel * torch.from_numpy(steps) @ axes)
    motion.turns.copy_(torch.from_numpy(angles)[..., None] * motion.forward_axes[:, 0])


def lift_tracks(motion: NodeMotion, splats: Mapping[str, Tensor], listener: Listener) -> None:
    """Find the motion that follows the tracks and stays rigid and flat, from where it is."""
    tracked = (splats["motion_track"] >= 0).nonzero()[:, 0]
    frames = [frame for frame in range(len(motion.times)) if frame != motion.middle]
    if not len(tracked) or not frames:
        return
    means = splats["means"].detach()
    optimizer = torch.optim.Adam([motion.shifts, motion.turns], lr=LEARNING_RATE, fused=True)
    stage = Stage(listener, "lift tracks", STEPS)
    for step in range(STEPS):
        fallen = (LAST_LEARNING_RATE / LEARNING_RATE) ** (step / STEPS)
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * fallen
        several = torch.randperm(len(motion.times))[:6]
        loss = RIGIDITY * stretch(motion, several) + FLATNESS * depth(motion)
        for pick in torch.randperm(len(frames))[:FRAMES].tolist():
            frame = frames[pick]
            rows = tracked[torch.randint(len(tracked), (min(SAMPLES, len(tracked)),))]
            table = motion.table(frame / (len(motion.times) - 1))
            ids, weights = splats["motion_ids"][rows], splats["motion_weights"][rows]
            places = skin(means[rows], table, ids, weights)
            loss = loss + off_track(motion, places, splats["motion_track"][rows], frame)
            loss = loss + STEADINESS * jerk(motion, frame)
        optimizer.zero_grad()
        loss.backward()
        for parameter in (motion.shifts, motion.turns):
            assert parameter.grad is not None
            parameter.grad[motion.middle] = 0  # there nodes rest
        optimizer.step()
        stage.update(step + 1)
    optimizer.zero_grad()  # the fit's own optimiser must not step along the last of these
