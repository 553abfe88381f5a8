# SPDX-License-Identifier: GPL-3.0-or-later
"""The default model: spline precision with DS4D's information.

Splines carry the motion, as in `spline`. What DSFD and TSSF know decides where there is motion at
all, where it leads, and which Gaussians belong together:

- the dynamic score gates motion: a Gaussian that DSFD finds still in every view that sees it has
  no coefficients, and one whose fitted motion stays under a fraction of a pixel loses them; what
  moves may change its color and opacity too;
- the splines start where the features of what moves are found again, in all views, at all times;
- neighbours for local rigidity are near in space *and* in how their fused dynamic features change
  over the clip, so that a still part does not hold back a moving one beside it;
- densification weighs image gradients by the dynamic score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from ..dsfd import Reference, decouple
from ..sampling import TokenSampler
from ..seam.errors import ConfigError
from ..seam.events import Listener, silent
from ..single.node_graph import farthest_points
from ..tssf import TSSF, Fuse
from . import Clip, Deltas
from .begin import begin_on_places
from .gate import SCORE_FLOOR, STILL_SCORE, close_still_gates, mean_deltas
from .knots import contract
from .search import search_places
from .spline import PLACES, SplineMotion

SIGNATURE_CHANNELS = 8
RIGIDITY_SAMPLES = 600
NEGLIGIBLE = 0.02  # under this weight rigidity no longer changes a fit, and costs time
SEARCHED, SEARCHED_LEAST = 300, 9  # points that are searched for in all frames
COLOR_RATE, FADE_RATE = 2, 10  # learning rates of colors and opacity logits, in that of places
FADING, VANISHING = 0.03, 1e-5  # what changed colors and opacity logits cost, squared
CANDIDATES = 4  # nearest in space considered for each neighbour that is chosen


class DS4DMotion(SplineMotion):
    """Per-Gaussian cubic B-splines, gated and tied together by decoupled features."""

    name: ClassVar[str] = "ds4d"
    needs_visibility = True
    clones_keep_features = True
    knot_names = (*PLACES, "motion_colors", "motion_fade")

    def __init__(
        self,
        clip: Clip,
        *,
        reference: Reference = "both",
        fuse: Fuse = "da",
        gate: bool = True,
        gate_score: float = 0.02,
        gate_pixels: float = 0.05,
        rigidity: float = 1.0,
        stillness: float = 2.0,
        likeness: float = 0.5,
        growth_score: float = 0.0,
        neighbours: int = 4,
        search: bool = True,
        appearance: bool = True,
        damping: float = 1.0,
        **spline: Any,
    ) -> None:
        """Set up splines and decouple the clip's features.

        `gate_score` is the dynamic score under which a Gaussian starts still, `gate_pixels` the
        largest image motion of a Gaussian that becomes still, `rigidity` the weight of local
        rigidity, `likeness` the weight of features against distance among neighbours. `search`
        starts from places found by features, `appearance` lets what moves change its looks.
        """
        super().__init__(clip, damping=damping, **spline)
        assert clip.features is not None
        if fuse == "ga":
            raise ConfigError(
                "fuse=ga learns its weights in a network, and ds4d has none; choose da, mean or "
                "off, or motion=ds4d-paper."
            )
        self.gate, self.gate_score, self.gate_pixels = gate, gate_score, gate_pixels
        self.growth_score, self.stillness = growth_score, stillness
        self.rigidity, self.likeness, self.neighbours = rigidity, likeness, neighbours
        self.search, self.appearance = search, appearance
        self.middle = clip.middle
        self._visible: Tensor | None = None
        self.refresh_interval = 4000
        self.features = clip.features
        self.times = tuple(float(time) for time in clip.times)
        decoupled = decouple(clip.features.tokens, clip.middle, reference)
        scores = decoupled.scores.mean(0)[:, None]
        # [P, 1 + S]: dynamic score and signature of every token, sampled together
        self._tokens = torch.cat([scores, token_signatures(decoupled.dynamic)], 1)
        self._fusion = TSSF(self._tokens.shape[1], fuse)
        self._near: Tensor | None = None
        self._last: Deltas | None = None

    def per_gaussian(self, count: int) -> dict[str, Tensor]:
        """Add the gate and the features, which are not trained, and changing looks, which are.

        `motion_gate` [N] is 1 where a Gaussian may move, 0 where it is still; `motion_features`
        [N, 1 + S] holds its dynamic score and its signature. `motion_colors` [N, K, 3] and
        `motion_fade` [N, K, 1] are added to colors and opacity logits.
        """
        state = super().per_gaussian(count) | {
            "motion_gate": torch.ones(count),
            "motion_features": torch.zeros(count, self._tokens.shape[1]),
        }
        if self.appearance:
            state["motion_colors"] = torch.zeros(count, self.knots, 3)
            state["motion_fade"] = torch.zeros(count, self.knots, 1)
        return state

    def per_gaussian_lr(self) -> dict[str, float]:
        """Give the coefficients' learning rates."""
        rates = {name: self.learning_rate for name in super().per_gaussian(0)}
        if self.appearance:
            rates["motion_colors"] = COLOR_RATE * self.learning_rate
            rates["motion_fade"] = FADE_RATE * self.learning_rate
        return rates

    def forward(self, splats: Mapping[str, Tensor], time: float) -> Deltas:
        """Evaluate the splines of the moving Gaussians; the still ones get zeros."""
        weights = self.weights(time)
        gate = splats["motion_gate"][:, None]
        self._last = Deltas(
            contract(splats["motion_means"], weights) * gate,
            contract(splats["motion_quats"], weights) * gate,
            torch.zeros_like(splats["means"], requires_grad=False),
        )
        if self.appearance:
            colors = contract(splats["motion_colors"], weights) * gate
            fade = contract(splats["motion_fade"], weights) * gate
            self._last = self._last._replace(d_sh0=colors[:, None], d_opacities=fade[:, 0])
        return self._last

    @torch.no_grad()
    def refresh(self, splats: Mapping[str, Tensor], visible: Tensor | None) -> None:
        """Search the neighbours; with `visible`, first sample the features where Gaussians lie."""
        means = splats["means"].detach()
        if visible is not None:
            self._visible = visible
            sampler = TokenSampler(means, self.features.cameras, self.features.grids)
            points = sampler.sample(self._tokens)
            # what no view sees is taken from all of them: hidden is not the same as still
            _, shares = self._fusion(points, visible | ~visible.any(0))
            splats["motion_features"].copy_((shares[..., None] * points).sum(0))
        self._near = self._neighbours(means, splats["motion_features"][:, 1:])

    def start(self, parameters: Mapping[str, Tensor], listener: Listener = silent) -> None:
        """Close the gate of every Gaussian whose dynamic score says that it is still."""
        if self.gate:
            score = parameters["motion_features"][:, 0]
            parameters["motion_gate"].copy_((score > self.gate_score).float())
        if self.search:
            self._begin(parameters, listener)

    def _begin(self, parameters: Mapping[str, Tensor], listener: Listener) -> None:
        """Let the moving Gaussians follow points that are searched for in all frames."""
        moving = parameters["motion_gate"].nonzero()[:, 0]
        if len(moving) < SEARCHED_LEAST or len(self.times) < 2:
            return
        assert self._visible is not None
        means, moving = parameters["means"].detach().cpu(), moving.cpu()
        chosen = moving[torch.from_numpy(farthest_points(means[moving].numpy(), SEARCHED))]
        places = search_places(
            self.features, means[chosen], self._visible.cpu()[:, chosen], self.middle, listener
        )
        basis = [self.weights(time) for time in self.times]
        begin_on_places(parameters, basis, means[chosen].numpy(), places.numpy())
        self._reached.copy_(torch.tensor([0, self.knots - 1]))

    def settle(self, parameters: Mapping[str, Tensor], pixels_per_unit: float) -> None:
        """Close the gate of every Gaussian that moves less than `gate_pixels` over the clip.

        `pixels_per_unit` converts lengths of the normalised world at the subject to pixels.
        """
        if self.gate:
            rest = mean_deltas(self, parameters, self.times)
            reach = self.gate_pixels / pixels_per_unit
            close_still_gates(self, parameters, self.times, reach, rest)

    def densify_weights(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Return 1 for still Gaussians up to 1 + growth_score for the most dynamic ones [N]."""
        if self.growth_score == 0:
            return None
        score = parameters["motion_features"][:, 0]
        return 1 + self.growth_score * score / score.amax().clamp_min(SCORE_FLOOR)

    def regularisation(self, splats: Mapping[str, Tensor], fade: float = 1.0) -> Tensor:
        """Hold neighbours together, fading, and to the end looks and what seems still in place."""
        near, last = self._near, self._last
        if near is None or last is None or len(near) != len(last.d_means):
            return splats["means"].new_zeros(())
        total = splats["means"].new_zeros(())
        if last.d_sh0 is not None and last.d_opacities is not None:
            total = total + FADING * last.d_sh0.square().sum(-1).mean()
            total = total + VANISHING * last.d_opacities.square().mean()
        if fade * self.rigidity > NEGLIGIBLE:
            total = total + fade * self.rigidity * self._apart(splats, near, last)
        if self.stillness:
            doubt = (1 - splats["motion_features"][:, 0] / STILL_SCORE).clamp_min(0)
            moved = (last.d_means.square().sum(-1) + 1e-12).sqrt()
            total = total + self.stillness * (doubt * moved).mean()
        return total

    def _apart(self, splats: Mapping[str, Tensor], near: Tensor, last: Deltas) -> Tensor:
        """Return how far, on average, neighbours are from moving as one rigid piece."""
        rows = torch.randint(len(near), (min(RIGIDITY_SAMPLES, len(near)),), device=near.device)
        near = near[rows]
        gate, quats, means = splats["motion_gate"], splats["quats"].detach(), splats["means"]
        edge = (means[near] - means[rows][:, None]).detach()  # [M, k, 3]
        spun = _relative_rotation(quats[rows], quats[rows] + last.d_quats[rows], edge)
        apart = edge + last.d_means[near] - last.d_means[rows][:, None] - spun
        both = gate[rows][:, None] * gate[near]
        return ((apart.square().sum(-1) + 1e-8).sqrt() * both).mean()

    def _neighbours(self, means: Tensor, signatures: Tensor) -> Tensor:
        """Return [N, k]: of the nearest in space, those nearest in space and in features."""
        spread = means.std(0).norm().clamp_min(1e-6)
        alike = signatures / signatures.std(0).norm().clamp_min(1e-6) * spread * self.likeness
        joint = torch.cat([means, alike], 1)
        points = means.cpu().numpy()
        count = min(CANDIDATES * self.neighbours, len(points) - 1)
        _, found = cKDTree(points).query(points, count + 1)
        candidates = torch.as_tensor(np.asarray(found)[:, 1:], device=means.device)
        distance = (joint[candidates] - joint[:, None]).square().sum(-1)
        chosen = distance.topk(min(self.neighbours, count), largest=False).indices
        return candidates.gather(1, chosen)


def token_signatures(dynamic: Tensor) -> Tensor:
    """Compress what changes at every token over the clip, [T, P, C] -> [P, S].

    The principal components of the dynamic features of all frames, in order: two tokens are alike
    when they change in the same way at the same times.
    """
    flat = dynamic.permute(1, 0, 2).flatten(1)
    rank = min(SIGNATURE_CHANNELS, *flat.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, _, components = torch.pca_lowrank(flat, rank, center=False)
    return flat @ components


def _relative_rotation(quats: Tensor, turned: Tensor, vectors: Tensor) -> Tensor:
    """Rotate vectors [M, k, 3] by the rotation from `quats` [M, 4] to `turned` [M, 4] (wxyz)."""
    a, b = F.normalize(quats, dim=-1), F.normalize(turned, dim=-1)
    # b * conjugate(a)
    w = (a * b).sum(-1, keepdim=True)
    axis = a[:, :1] * b[:, 1:] - b[:, :1] * a[:, 1:] - torch.linalg.cross(b[:, 1:], a[:, 1:])
    axis, w = axis[:, None], w[:, None]
    twist = 2 * torch.linalg.cross(axis.expand_as(vectors), vectors)
    return vectors + w * twist + torch.linalg.cross(axis.expand_as(twist), twist)
