# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the nodes plausible: stretching and leaving the plane cost, moving as one does not."""

from __future__ import annotations

import pytest
import torch

from ds4d_engine.motion.node_priors import depth, stretch
from tests.engine.hung_splats import (
    FRAMES,
    Seen,
    build,
    move_rigidly,
    once_round,
    prepared,
    see_square,
    wander,
)


@pytest.fixture(scope="module")
def seen() -> Seen:
    return see_square()


def test_a_rigid_motion_stretches_nothing_and_a_stretch_does(seen: Seen) -> None:
    model = build(seen)
    prepared(seen, model)
    frames = torch.arange(FRAMES)
    assert stretch(model, frames) == 0
    move_rigidly(model, torch.tensor([0.3, -0.2, 0.6]), torch.tensor([0.1, 0.05, -0.2]))
    assert stretch(model, frames) < 1e-8
    penalties = []
    for share in (0.1, 0.2, 0.4):
        with torch.no_grad():
            model.turns.zero_()
            model.shifts.copy_((share * model.node_means).expand_as(model.shifts))
        penalties.append(stretch(model, frames).item())
    assert 0 < penalties[0] < penalties[1] < penalties[2]


def test_bending_is_a_stretch_too(seen: Seen) -> None:
    model = build(seen)
    prepared(seen, model)
    with torch.no_grad():
        model.turns[:, ::2, 2] = 0.5
    assert stretch(model, torch.arange(FRAMES)) > 1e-4


def test_a_turning_subject_is_neither_stretched_nor_moved_in_depth(seen: Seen) -> None:
    model = build(seen, turn=once_round())
    prepared(seen, model)
    assert stretch(model, torch.arange(FRAMES)) == 0
    assert depth(model) == 0
    axis = torch.tensor(model.camera.viewmat[2, :3]).float()
    with torch.no_grad():  # along the line of sight, as the subject has it in the first frame
        model.shifts[0] = torch.from_numpy(once_round().at(0)[0]).float().T @ axis
    assert depth(model) > 0.1
    across = torch.linalg.cross(model.shifts[0], torch.tensor([0.0, 0.0, 1.0]).expand(24, 3))
    with torch.no_grad():
        model.shifts[0] = across
    assert depth(model) < 1e-6


def test_priors_are_finite_and_pull_on_the_nodes(seen: Seen) -> None:
    model = build(seen)
    splats = prepared(seen, model)
    wander(model)
    pulled = torch.zeros_like(model.shifts)
    for frame in range(FRAMES):
        model(splats, float(model.times[frame]))
        penalty = model.regularisation(splats)
        assert penalty.isfinite() and penalty >= 0
        if penalty.requires_grad:
            penalty.backward()
            assert model.shifts.grad is not None
            pulled += model.shifts.grad.abs()
    assert pulled.max() > 0
