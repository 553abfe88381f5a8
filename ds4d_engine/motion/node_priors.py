# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the motion of nodes plausible: rigid, steady, flat, along its tracks, and whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..sampling import project
from .rotations import rotations

if TYPE_CHECKING:
    from .nodes import NodeMotion

SAMPLES = 1500
"""Gaussians a step looks at for each prior."""


@dataclass(frozen=True)
class NodePriors:
    """Weights of what keeps the motion plausible, against a photometric loss of about 0.01."""

    rigidity: float = 0.2
    steadiness: float = 2e-4
    flatness: float = 2e-3
    tracks: float = 1e-3
    colors: float = 0.05
    anchor: float = 2e-4
    opacity: float = 1e-3
    fading: float = 0.03
    vanishing: float = 1e-5


def stretch(motion: NodeMotion, frames: Tensor) -> Tensor:
    """Return how far edges are from turning rigidly with their nodes, squared, of 1."""
    turns, places = motion.turns[frames], motion.node_means + motion.shifts[frames]
    count, near = len(motion.node_means), motion.near_nodes.flatten()
    rest = motion.node_means[motion.near_nodes] - motion.node_means[:, None]  # [M, 8, 3]
    # index_select: its backward pass adds up rows, where that of indexing sorts first
    there = places.index_select(1, near).view(len(frames), count, -1, 3)
    turned = torch.einsum("fmij,mkj->fmki", rotations(turns), rest)
    gap = (there - places[:, :, None] - turned).square().sum(-1)
    neighbours = turns.index_select(1, near).view(len(frames), count, -1, 3)
    bent = (turns[:, :, None] - neighbours).square().sum(-1).mean()
    return (gap / (rest.square().sum(-1) + (0.5 * motion.pixel) ** 2)).mean() + 0.05 * bent


def jerk(motion: NodeMotion, frame: int) -> Tensor:
    """Return the second differences around a frame, in pixels and radians squared."""
    low, high = max(0, frame - 2), min(len(motion.times), frame + 3)
    if high - low < 3:
        return motion.shifts.new_zeros(())
    shifts, turns = motion.shifts[low:high], motion.turns[low:high]
    bend = (shifts[2:] - 2 * shifts[1:-1] + shifts[:-2]).square().sum(-1).mean()
    twist = (turns[2:] - 2 * turns[1:-1] + turns[:-2]).square().sum(-1).mean()
    return bend / motion.pixel**2 + 25 * twist


def depth(motion: NodeMotion) -> Tensor:
    """Return motion in depth, and turning about axes in the picture plane."""
    axes = motion.forward_axes
    deep = (motion.shifts @ axes)[..., 0].square().mean()
    spin = motion.turns - (motion.turns @ axes) * axes.transpose(-1, -2)
    return 0.01 * deep / motion.pixel**2 + spin.square().mean()


def off_track(motion: NodeMotion, places: Tensor, tracks: Tensor, frame: int) -> Tensor:
    """Return how far places [B, 3] are from where tracks [B] lead, in pixels, as trusted."""
    chosen = tracks.numpy()
    ends = torch.from_numpy(motion.tracks.places[frame, chosen])
    trust = torch.from_numpy(motion.tracks.confidence[frame, chosen])
    pixels, _ = project(places, motion.camera)
    off = ((pixels - ends).square().sum(1) + 0.25).sqrt() - 0.5
    return (trust * off).sum() / (trust.sum() + 20)


def some_off_track(
    motion: NodeMotion, splats: Mapping[str, Tensor], d_means: Tensor, frame: int
) -> Tensor:
    """Return `off_track` of some of the Gaussians that have a track, moved by `d_means` [N, 3]."""
    tracked = (splats["motion_track"] >= 0).nonzero()[:, 0]
    if frame == motion.middle or not len(tracked):
        return d_means.new_zeros(())
    rows = tracked[torch.randint(len(tracked), (min(SAMPLES, len(tracked)),))]
    places = splats["means"].index_select(0, rows) + d_means.index_select(0, rows)
    return off_track(motion, places, splats["motion_track"][rows], frame)


def surface(motion: NodeMotion, splats: Mapping[str, Tensor], near: Tensor) -> Tensor:
    """Keep neighbours `near` [N, k] of one colour, Gaussians near their start, surfaces opaque."""
    count = len(splats["means"])
    rows = torch.randint(count, (min(SAMPLES, count),))
    colors = splats["sh0"][:, 0]
    around = colors.index_select(0, near[rows].flatten()).view(len(rows), -1, 3)
    apart = (colors.index_select(0, rows)[:, None] - around).square().sum(-1).mean()
    strayed = (splats["means"] - splats["motion_anchor"]).square().sum(1).mean()
    clear = (1 - splats["opacities"].sigmoid()).mean()
    weights = motion.priors
    total = weights.colors * apart * 0.08 + weights.anchor * strayed / motion.pixel**2
    return total + weights.opacity * clear
