# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion of a clip seen by one camera: few nodes that turn and move, and Gaussians hung on them.

One camera cannot tell how a single Gaussian moves in depth. Nodes make neighbours move alike and
carry along what the camera never sees; priors keep them near the picture plane. DSFD's dynamic
score, fused by TSSF, says how much it takes to believe that a Gaussian moves at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

from ..dsfd import Reference, decouple
from ..sampling import TokenSampler, project
from ..seam.errors import ConfigError
from ..seam.events import Listener, silent
from ..single.node_graph import EDGES_PER_NODE, NODES_PER_POINT, build_graph
from ..single.tracks import Tracks
from ..single.turn import Turn
from ..tssf import TSSF, Fuse
from . import Clip, Deltas, Motion
from .ds4d import token_signatures
from .gate import close_still_gates
from .knots import contract
from .lift import begin_on_tracks, lift_tracks
from .node_priors import NodePriors, depth, jerk, some_off_track, stretch, surface
from .rotations import rotations
from .skinning import skin
from .spline import bspline_basis

TRACKED_TIMES = 8
"""Frames whose tracks tell which Gaussians move alike."""
TRACK_SHARE = 2.0
"""How much differing tracks count against distance, when nodes are placed."""
CROWD = 12
"""Neighbours over which tracks are averaged."""
LIKE_COLORED = 5
"""Neighbours that should have one colour."""
FAINT_GRADIENTS = {"means": 0.5, "scales": 2e-3, "opacities": 1e-3, "sh0": 0.016}
"""What reaches a Gaussian through the surface in front of it, times the pixels of a picture.

Adam takes steps of equal length however small a gradient is: without this floor the hidden side
would slowly take on whatever the surface in front of it lacks.
"""
FAINT_PULLS = {"shifts": 5.0, "turns": 0.08}
"""The same of a node, a few times its median gradient.

A node is free at every frame, so that most of its gradients are small and come rarely: at full
length their steps would let it wander about, out of the picture's plane above all.
"""
PRIORS_EVERY = 2
"""Steps from one evaluation of the priors to the next: they cost as much as drawing."""
TRACKED_TURN = math.radians(45)
"""How far a subject may have turned that tracks from the key frame are believed."""


class NodeMotion(Motion):
    """Skin Gaussians to nodes that have a translation and a rotation in every frame."""

    name: ClassVar[str] = "nodes"
    needs_visibility = True
    clones_keep_features = True
    knot_names = ("motion_colors", "motion_fade")
    node_means: Tensor
    near_nodes: Tensor
    asked: Tensor

    def __init__(
        self,
        clip: Clip,
        *,
        tracks: Tracks,
        nodes: int = 400,
        color_knots: int = 8,
        reference: Reference = "both",
        fuse: Fuse = "da",
        gate_pixels: float = 0.15,
        learning_rate: float = 2e-3,
        turn: Turn | None = None,
    ) -> None:
        """Set up `nodes` nodes that rest until `start` places them.

        `tracks` are those of the features' first view; `color_knots` is the number of control
        points, at least 4, of a Gaussian's colour and opacity over the clip. A subject that
        turns as a whole moves with `turn`; nodes then say what differs from that.
        """
        super().__init__()
        assert clip.features is not None
        if fuse == "ga":
            raise ConfigError("fuse=ga learns its weights in a network; choose da, mean or off.")
        self.learning_rate, self.gate_pixels = learning_rate, gate_pixels
        self.priors = NodePriors()
        self.color_knots = color_knots
        self.middle, self.times = clip.middle, np.asarray(clip.times)
        self.features, self.turn = clip.features, turn
        self.tracks = tracks if turn is None else _near_key(tracks, turn)
        self.camera = clip.features.cameras[0]
        decoupled = decouple(clip.features.tokens, clip.middle, reference)
        scores = decoupled.scores.mean(0)[:, None]
        self._tokens = torch.cat([scores, token_signatures(decoupled.dynamic)], 1)
        self._fusion = TSSF(self._tokens.shape[1], fuse)
        frames = clip.frame_count
        self.shifts = nn.Parameter(torch.zeros(frames, nodes, 3))
        self.turns = nn.Parameter(torch.zeros(frames, nodes, 3))
        self.register_buffer("node_means", torch.zeros(nodes, 3))
        self.register_buffer("asked", torch.zeros((), dtype=torch.int64))
        self.register_buffer("near_nodes", torch.zeros(nodes, EDGES_PER_NODE, dtype=torch.int64))
        self.forward_axes = self._forward_axes()
        area = self.camera.width * self.camera.height
        self.adam_epsilons = {name: value / area for name, value in FAINT_GRADIENTS.items()}
        self.camera_position = torch.tensor(self.camera.position, dtype=torch.float32)
        self.pixel = float(np.linalg.norm(self.camera.position) / self.camera.K[0, 0])
        self._colors_at_middle = bspline_basis(color_knots, clip.middle_time)
        self._visible: Tensor | None = None
        self._near: Tensor | None = None
        self._last: tuple[float, Deltas] | None = None

    def per_gaussian(self, count: int) -> dict[str, Tensor]:
        """Create what hangs a Gaussian on its nodes, its gate and its features; none is trained.

        `motion_ids` and `motion_weights` [N, 4]; `motion_anchor` [N, 3] where it began;
        `motion_track` [N] its row in the tracks, -1 for none; `motion_gate`, `motion_features` as
        in `ds4d`. Trained: `motion_colors` [N, K, 3] and `motion_fade` [N, K, 1], added to
        colours and opacity logits over time.
        """
        return {
            "motion_ids": torch.zeros(count, NODES_PER_POINT, dtype=torch.int64),
            "motion_weights": torch.zeros(count, NODES_PER_POINT),
            "motion_anchor": torch.zeros(count, 3),
            "motion_track": torch.full((count,), -1),
            "motion_gate": torch.ones(count),
            "motion_features": torch.zeros(count, self._tokens.shape[1]),
            "motion_colors": torch.zeros(count, self.color_knots, 3),
            "motion_fade": torch.zeros(count, self.color_knots, 1),
        }

    def per_gaussian_lr(self) -> dict[str, float]:
        """Give the learning rates of the colours and opacities over time."""
        return {"motion_colors": 2 * self.learning_rate, "motion_fade": 10 * self.learning_rate}

    def network_groups(self) -> list[dict[str, Any]]:
        """Give the nodes' motion."""
        area, rate = self.camera.width * self.camera.height, self.learning_rate
        return [
            {"params": [getattr(self, name)], "lr": rate, "eps": pull / area, "name": name}
            for name, pull in FAINT_PULLS.items()
        ]

    def forward(self, splats: Mapping[str, Tensor], time: float) -> Deltas:
        """Carry the Gaussians with their nodes to a time in 0..1, between frames too."""
        means, gate = splats["means"], splats["motion_gate"][:, None]
        carried = skin(means, self.table(time), splats["motion_ids"], splats["motion_weights"])
        basis = bspline_basis(self.color_knots, time)
        changes = [now - then for now, then in zip(basis, self._colors_at_middle, strict=True)]
        deltas = Deltas(
            (carried - means) * gate,
            torch.zeros_like(splats["quats"], requires_grad=False),
            torch.zeros_like(means, requires_grad=False),
            d_sh0=contract(splats["motion_colors"], changes)[:, None],
            d_opacities=contract(splats["motion_fade"], basis)[:, 0],
        )
        self._last = (time, deltas)
        return deltas

    @torch.no_grad()
    def refresh(self, splats: Mapping[str, Tensor], visible: Tensor | None) -> None:
        """Search the neighbours; with `visible`, first sample the features."""
        means = splats["means"].detach()
        if visible is not None:
            self._visible = visible
            sampler = TokenSampler(means, self.features.cameras, self.features.grids)
            points = sampler.sample(self._tokens)
            _, shares = self._fusion(points, visible | ~visible.any(0))
            splats["motion_features"].copy_((shares[..., None] * points).sum(0))
        places = means.cpu().numpy()
        near = cKDTree(places).query(places, min(LIKE_COLORED + 1, len(places)))[1]
        self._near = torch.as_tensor(np.asarray(near).reshape(len(places), -1)[:, 1:])

    def start(self, parameters: Mapping[str, Tensor], listener: Listener = silent) -> None:
        """Place the nodes by position and tracks, and lift the tracks into space."""
        means = parameters["means"].detach()
        with torch.no_grad():
            parameters["motion_anchor"].copy_(means)
            rows = self._track_rows(means)
            assert self._visible is not None
            parameters["motion_track"].copy_(torch.where(self._visible[0], rows, -1))
            likeness = self._likeness(means.numpy(), rows.numpy())
            graph = build_graph(likeness, len(self.node_means))
            count = len(graph.chosen)
            self.node_means[:count] = means[torch.from_numpy(graph.chosen)]
            self.near_nodes[:count] = torch.from_numpy(graph.near)
            parameters["motion_ids"].copy_(torch.from_numpy(graph.ids))
            parameters["motion_weights"].copy_(torch.from_numpy(graph.weights))
            if self.tracks.led:
                begin_on_tracks(self, rows.numpy(), graph)
        lift_tracks(self, parameters, listener)

    def constrain(self, parameters: Mapping[str, Tensor]) -> None:
        """Keep Gaussians round, about a pixel in size, and as deep as they began.

        Where a Gaussian lies on its ray, one camera can hardly tell; an optimiser that takes equal
        steps in every direction would let it wander.
        """
        anchor, means = parameters["motion_anchor"], parameters["means"]
        if self.turn is None:  # else other frames look from elsewhere
            rays = torch.nn.functional.normalize(anchor - self.camera_position, dim=-1)
            strayed = means - anchor
            means.copy_(anchor + strayed - (strayed * rays).sum(-1, keepdim=True) * rays)
        sizes = parameters["scales"]
        mean = sizes.mean(1, keepdim=True)
        low, high = math.log(0.2 * self.pixel), math.log(1.2 * self.pixel)
        sizes.copy_(mean.clamp(low, high).expand_as(sizes))
        parameters["opacities"].clamp_(-3, 6)

    @torch.no_grad()
    def settle(self, parameters: Mapping[str, Tensor], pixels_per_unit: float) -> None:
        """Close the gate of every Gaussian that neither moves nor changes colour.

        Nodes are free in the canonical frame too, so that what is still may be so beside its
        canonical place: it is put where it is on average.
        """
        moved = [self(parameters, float(time)).d_means for time in self.times]
        rest = torch.stack(moved).mean(0)
        reach = self.gate_pixels / pixels_per_unit
        before = parameters["means"].clone()
        nothing = torch.zeros_like(rest)
        offsets = Deltas(rest, torch.zeros_like(parameters["quats"]), nothing)
        close_still_gates(self, parameters, self.times, reach, offsets)
        parameters["motion_anchor"] += parameters["means"] - before

    def regularisation(self, splats: Mapping[str, Tensor], fade: float = 1.0) -> Tensor:
        """Return rigidity, steadiness, flatness, tracks, and what keeps surfaces whole."""
        self.asked += 1
        if self._last is None or self.asked % PRIORS_EVERY:
            return splats["means"].new_zeros(())
        time, deltas = self._last
        assert self._near is not None
        priors, frame = self.priors, self._nearest_frame(time)
        around = torch.arange(max(0, frame - 1), min(len(self.times), frame + 2))
        total = priors.rigidity * stretch(self, around)
        total = total + priors.steadiness * jerk(self, frame)
        total = total + priors.flatness * depth(self)
        total = total + priors.tracks * some_off_track(self, splats, deltas.d_means, frame)
        total = total + surface(self, splats, self._near)
        assert deltas.d_opacities is not None and deltas.d_sh0 is not None
        total = total + priors.vanishing * deltas.d_opacities.clamp(-4, 4).square().mean()
        total = total + priors.fading * deltas.d_sh0.square().sum(-1).mean()
        return total * PRIORS_EVERY

    # ------------------------------------------------------------------ nodes

    def table(self, time: float) -> Tensor:
        """Return every node's rotation and translation at a time as one row [M, 12]."""
        place = min(max(time, 0.0), 1.0) * (len(self.times) - 1)
        before = min(int(place), len(self.times) - 1)
        part = place - before
        shifts, turns = self.shifts[before], self.turns[before]
        if part > 1e-6:
            shifts = shifts * (1 - part) + self.shifts[before + 1] * part
            turns = turns * (1 - part) + self.turns[before + 1] * part
        rotation = rotations(turns)
        offset = self.node_means + shifts - (rotation @ self.node_means[..., None])[..., 0]
        if self.turn is not None:
            matrix, carried = (torch.from_numpy(part).float() for part in self.turn.at(place))
            rotation, offset = matrix @ rotation, offset @ matrix.T + carried
        return torch.cat([rotation.flatten(1), offset], 1)

    def _forward_axes(self) -> Tensor:
        """Return where the camera looks, as the subject sees it: [3, 1], or [T, 3, 1] in a turn."""
        forward = self.camera.viewmat[2, :3]
        if self.turn is not None:
            turns = (self.turn.at(frame)[0] for frame in range(len(self.times)))
            forward = np.stack([forward @ matrix for matrix in turns])
        return torch.from_numpy(forward[..., None].copy()).float()

    @torch.no_grad()
    def carry_some(self, splats: Mapping[str, Tensor], time: float) -> Tensor:
        """Return where Gaussians that `refresh` does not know yet are at a time [B, 3]."""
        ids, weights = splats["motion_ids"], splats["motion_weights"]
        return skin(splats["means"], self.table(time), ids, weights)

    @torch.no_grad()
    def adopt(
        self, splats: Mapping[str, Tensor], points: Tensor, parents: Tensor, time: float
    ) -> Tensor:
        """Return where points [B, 3] of a time lie canonically, if they move with `parents` [B]."""
        ids, weights = splats["motion_ids"][parents], splats["motion_weights"][parents]
        mixed = (self.table(time)[ids] * weights[..., None]).sum(1)
        matrices, offsets = mixed[:, :9].view(-1, 3, 3), mixed[:, 9:]
        return torch.linalg.solve(matrices, points - offsets)

    # ------------------------------------------------------------------ Gaussians

    def _track_rows(self, means: Tensor) -> Tensor:
        """Return the track [N] of the pixel nearest to each Gaussian's."""
        pixels, _ = project(means, self.camera)
        return torch.from_numpy(cKDTree(self.tracks.pixels).query(pixels.numpy())[1])

    def _likeness(self, means: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return [N, D]: positions, and where tracks lead at a few times."""
        frames = np.linspace(0, len(self.times) - 1, TRACKED_TIMES).astype(int)
        crowd = cKDTree(means).query(means, min(CROWD, len(means)))[1]
        moved = (self.tracks.places[frames] - self.tracks.pixels)[:, rows]
        trust = self.tracks.confidence[frames][:, rows]
        weight = trust[:, crowd]
        mean = (moved[:, crowd] * weight[..., None]).sum(2)
        mean /= np.maximum(weight.sum(2), 1e-3)[..., None]
        scale = TRACK_SHARE * self.pixel / math.sqrt(len(frames))
        return np.concatenate([means, *(scale * mean)], 1).astype(np.float32)

    def _nearest_frame(self, time: float) -> int:
        return int(np.abs(self.times - time).argmin())


def _near_key(tracks: Tracks, turn: Turn) -> Tracks:
    """Return tracks that nobody trusts where the subject has turned far from the key frame."""
    near = np.abs(turn.angles) < TRACKED_TURN
    return replace(tracks, confidence=tracks.confidence * near[:, None].astype(np.float32))
