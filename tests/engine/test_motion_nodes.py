# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes carry Gaussians: rigidly where they move rigidly, back exactly, and only what moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from ds4d_engine.motion import build_motion
from ds4d_engine.motion.node_priors import stretch
from ds4d_engine.motion.rotations import rotations
from ds4d_engine.sampling import project
from ds4d_engine.seam.errors import ConfigError
from tests.engine.hung_splats import (
    FRAMES,
    MIDDLE,
    Seen,
    build,
    everything,
    move_rigidly,
    moved,
    once_round,
    prepared,
    see_square,
    wander,
)


@pytest.fixture(scope="module")
def seen() -> Seen:
    return see_square()


def test_started_motion_is_the_identity_at_the_key_frame(seen: Seen) -> None:
    model = build(seen)
    splats = prepared(seen, model, resting=False)
    deltas = model(splats, seen.clip.middle_time)
    assert deltas.d_means.abs().max() < 1e-5
    assert deltas.d_quats.abs().max() == 0 and deltas.d_scales.abs().max() == 0
    assert deltas.d_sh0 is not None and deltas.d_sh0.abs().max() == 0


def test_started_motion_already_leads_most_gaussians_along_their_tracks(
    seen: Seen,
) -> None:
    model = build(seen)
    splats = prepared(seen, model, resting=False)
    for frame in (0, FRAMES - 1):
        pixels, _ = project(moved(model, splats, float(model.times[frame])), model.camera)
        ends = torch.from_numpy(model.tracks.places[frame])
        resting = torch.from_numpy(model.tracks.pixels)
        off = (pixels.detach() - ends).norm(dim=1)
        assert off.median() < 0.5 * (ends - resting).norm(dim=1).max()
        assert off.mean() < 0.5 * (ends - resting).norm(dim=1).mean()


@pytest.mark.parametrize("time", [0.0, 0.4, 1.0])
def test_nodes_that_move_as_one_body_move_every_gaussian_with_it(seen: Seen, time: float) -> None:
    model = build(seen)
    splats = prepared(seen, model)
    vector, offset = torch.tensor([0.3, -0.2, 0.6]), torch.tensor([0.1, 0.05, -0.2])
    matrix = move_rigidly(model, vector, offset)
    expected = splats["means"] @ matrix.T + offset
    assert (moved(model, splats, time) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("time", [0.0, 0.33, 0.5, 1.0])
def test_adopting_a_carried_point_gives_back_where_it_came_from(seen: Seen, time: float) -> None:
    model = build(seen)
    splats = prepared(seen, model)
    wander(model, 0.05)
    parents = torch.arange(len(splats["means"]))
    carried = model.carry_some(splats, time)
    assert (model.adopt(splats, carried, parents, time) - splats["means"]).abs().max() < 1e-4


def test_gaussians_unknown_to_the_last_refresh_are_carried_like_the_others(
    seen: Seen,
) -> None:
    model = build(seen)
    splats = prepared(seen, model)
    wander(model)
    apart = model.carry_some(splats, 0.2) - moved(model, splats, 0.2)
    assert apart.abs().max() < 1e-5


def test_values_and_gradients_are_those_of_the_plain_formula(seen: Seen) -> None:
    """Each Gaussian: the mean, by its shares, of its nodes' rotations and offsets."""
    model = build(seen)
    splats = prepared(seen, model)
    wander(model)
    frame = 2
    weight = torch.randn(splats["means"].shape, generator=torch.Generator().manual_seed(4))

    (moved(model, splats, frame / (FRAMES - 1)) * weight).sum().backward()
    assert model.shifts.grad is not None and model.turns.grad is not None
    found = model.shifts.grad[frame].clone(), model.turns.grad[frame].clone()
    others = [f for f in range(FRAMES) if f != frame]
    assert model.shifts.grad[others].abs().max() < 1e-4

    shifts = model.shifts[frame].detach().double().requires_grad_()
    turns = model.turns[frame].detach().double().requires_grad_()
    nodes, means = model.node_means.double(), splats["means"].double()
    expected = torch.zeros_like(means)
    for slot in range(splats["motion_ids"].shape[1]):
        chosen = splats["motion_ids"][:, slot]
        generators = torch.linalg.matrix_exp(_cross(turns))[chosen]
        turned = (generators @ (means - nodes[chosen])[..., None])[..., 0]
        share = splats["motion_weights"][:, slot, None].double()
        expected = expected + share * (turned + nodes[chosen] + shifts[chosen])
    assert (moved(model, splats, frame / (FRAMES - 1)) - expected).abs().max() < 1e-5
    (expected * weight).sum().backward()
    assert shifts.grad is not None and turns.grad is not None
    for mine, true in zip(found, (shifts.grad, turns.grad), strict=True):
        assert true.abs().max() > 0.1
        assert (mine - true).abs().max() < 1e-3 * true.abs().max()


def _cross(turns: Tensor) -> Tensor:
    x, y, z = turns.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.stack(rows, -1).view(*turns.shape[:-1], 3, 3)


def test_between_frames_motion_lies_between_theirs(seen: Seen) -> None:
    model = build(seen)
    splats = prepared(seen, model)
    wander(model, 0.02)
    ends = [moved(model, splats, frame / (FRAMES - 1)) for frame in (1, 2)]
    half = moved(model, splats, 1.5 / (FRAMES - 1))
    assert (half - (ends[0] + ends[1]) / 2).abs().max() < 2e-3


def test_a_closed_gate_holds_a_gaussian(seen: Seen) -> None:
    model = build(seen)
    splats = prepared(seen, model)
    wander(model)
    splats["motion_gate"][::2] = 0
    deltas = model(splats, 0.1).d_means
    assert deltas[::2].abs().max() == 0 and deltas[1::2].abs().min(1).values.max() > 0


@pytest.mark.parametrize("place", [0, 1.5, MIDDLE, FRAMES - 1])
def test_nodes_at_rest_turn_with_the_subject(seen: Seen, place: float) -> None:
    model = build(seen, turn=once_round())
    splats = prepared(seen, model)
    matrix, offset = (torch.from_numpy(part).float() for part in once_round().at(place))
    expected = splats["means"] @ matrix.T + offset
    assert (moved(model, splats, place / (FRAMES - 1)) - expected).abs().max() < 1e-5


def test_tracks_are_believed_only_near_the_key_frame_of_a_turn(seen: Seen) -> None:
    trust = build(seen, turn=once_round()).tracks.confidence
    assert trust[MIDDLE].min() == 1 and trust[0].max() == 0 and trust[-1].max() == 0
    assert build(seen).tracks.confidence[0].max() > 0


def test_where_a_subject_turns_depth_is_free(seen: Seen) -> None:
    model = build(seen, turn=once_round())
    splats = prepared(seen, model)
    splats["means"] = splats["means"] + 0.05
    before = splats["means"].clone()
    model.constrain(splats)
    assert torch.equal(splats["means"], before)


def test_rotations_are_those_of_their_vectors() -> None:
    vectors = torch.randn(200, 3) * torch.logspace(-6, 0.5, 200)[:, None]
    matrices = rotations(vectors)
    expected = Rotation.from_rotvec(vectors.numpy()).as_matrix()
    assert np.abs(matrices.numpy() - expected).max() < 1e-5
    products = matrices @ matrices.transpose(-1, -2)
    assert (products - torch.eye(3)).abs().max() < 1e-5
    assert (torch.linalg.det(matrices) - 1).abs().max() < 1e-5


def test_turning_has_a_finite_gradient_at_rest() -> None:
    turns = torch.zeros(3, 3, requires_grad=True)
    (rotations(turns) * torch.randn(3, 3, 3)).sum().backward()
    assert turns.grad is not None and turns.grad.isfinite().all() and turns.grad.abs().max() > 0


def test_constraining_keeps_depth_and_makes_gaussians_round(seen: Seen) -> None:
    model = build(seen)
    splats = prepared(seen, model)
    torch.manual_seed(2)
    splats["means"] = splats["means"] + 0.05 * torch.randn_like(splats["means"])
    splats["scales"] = splats["scales"] + torch.randn_like(splats["scales"])
    before, _ = project(splats["means"], model.camera)
    model.constrain(splats)
    anchor = splats["motion_anchor"]
    strayed = splats["means"] - anchor
    rays = anchor - torch.tensor(model.camera.position).float()
    assert (strayed * rays).sum(1).abs().max() < 1e-5
    assert strayed.norm(dim=1).median() > 0.01  # across its ray a Gaussian may go
    after, _ = project(splats["means"], model.camera)
    assert (after - before).norm(dim=1).median() < 1
    assert (splats["scales"] == splats["scales"][:, :1]).all()
    assert splats["scales"].exp().max() < 2 * model.pixel
    again = {name: value.clone() for name, value in splats.items()}
    model.constrain(again)
    assert all(torch.allclose(again[name], splats[name], atol=1e-6) for name in splats)


def test_colours_change_over_time_only_against_the_key_frame(seen: Seen) -> None:
    model = build(seen, color_knots=6)
    splats = prepared(seen, model)
    splats["motion_colors"] = torch.randn_like(splats["motion_colors"])
    assert splats["motion_colors"].shape[1:] == (6, 3)
    middle = model(splats, seen.clip.middle_time).d_sh0
    assert middle is not None and middle.abs().max() < 1e-6
    first = model(splats, 0.0).d_sh0
    assert first is not None and first.shape == (len(splats["means"]), 1, 3)
    assert first.abs().mean() > 0.1
    splats["motion_colors"] = torch.randn_like(splats["motion_colors"][:, :1]).expand(-1, 6, -1)
    constant = model(splats, 0.8).d_sh0
    assert constant is not None and constant.abs().max() < 1e-5


def test_fades_add_up_to_their_coefficients(seen: Seen) -> None:
    model = build(seen, color_knots=6)
    splats = prepared(seen, model)
    level = torch.randn(len(splats["means"]))
    splats["motion_fade"] = level[:, None, None].expand(-1, 6, 1)
    for time in (0.0, 0.27, 1.0):
        fade = model(splats, time).d_opacities
        assert fade is not None and (fade - level).abs().max() < 1e-5
    late = torch.zeros(len(level), 6, 1)
    late[:, -1] = 1
    splats["motion_fade"] = late
    first, last = model(splats, 0.0).d_opacities, model(splats, 1.0).d_opacities
    assert first is not None and last is not None
    assert first.abs().max() < 1e-6 and last.min() > 0


def test_colours_and_opacities_begin_without_a_change(seen: Seen) -> None:
    model = build(seen)
    splats = prepared(seen, model)
    for time in (0.0, 0.7):
        deltas = model(splats, time)
        assert deltas.d_sh0 is not None and deltas.d_sh0.abs().max() == 0
        assert deltas.d_opacities is not None and deltas.d_opacities.abs().max() == 0
    assert set(model.per_gaussian_lr()) <= set(splats)


def test_what_rests_loses_its_motion_and_what_moves_keeps_it(seen: Seen) -> None:
    model = build(seen)
    splats = prepared(seen, model)
    upper = splats["means"][:, 2] > 0
    movers = torch.unique(splats["motion_ids"][upper])
    holders = torch.unique(splats["motion_ids"][~upper])
    alone = torch.tensor([node not in holders.tolist() for node in movers.tolist()])
    with torch.no_grad():
        model.shifts[0, movers[alone]] += torch.tensor([0.2, 0, 0])
    went = (model(splats, 0.0).d_means.detach() / model.pixel).norm(dim=1)
    model.settle(splats, 1 / model.pixel)
    gate = splats["motion_gate"]
    assert (went > 3).sum() > 50 and gate[went > 3].min() == 1
    assert (went < 1e-4).sum() > 50 and gate[went < 1e-4].max() == 0


def test_loaded_state_moves_as_the_saved_one(seen: Seen) -> None:
    model = build(seen)
    splats = prepared(seen, model)
    wander(model)
    resumed = build(seen)
    resumed.load_state_dict(model.state_dict())
    resumed.refresh(splats, everything(splats))
    assert torch.equal(resumed(splats, 0.15).d_means, model(splats, 0.15).d_means)
    assert torch.equal(stretch(resumed, torch.arange(3)), stretch(model, torch.arange(3)))


def test_a_fusion_that_learns_is_refused(seen: Seen) -> None:
    with pytest.raises(ConfigError, match="choose da, mean or off"):
        build_motion("nodes", seen.clip, tracks=seen.tracks, fuse="ga")
