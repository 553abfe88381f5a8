# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse spline coefficients: the sums, and Adam on the knots that took part."""

from __future__ import annotations

import numpy as np
import torch

from ds4d_engine.motion import knots
from ds4d_engine.motion.knots import KnotAdam, contract


def coefficients(knots: int = 6) -> torch.nn.Parameter:
    torch.manual_seed(1)
    return torch.nn.Parameter(torch.randn(11, knots, 4))


def test_contraction_agrees_with_einsum() -> None:
    values, weights = coefficients(), [0.0, 0.2, -0.7, 0.0, 1.1, 0.0]
    expected = torch.einsum("k,nkc->nc", torch.tensor(weights), values.detach())
    torch.testing.assert_close(contract(values, weights).detach(), expected)


def test_steps_on_every_knot_agree_with_torch_adam() -> None:
    sparse, dense = coefficients(), coefficients()
    mine = KnotAdam([sparse], lr=0.01)
    theirs = torch.optim.Adam([dense], lr=0.01, eps=1e-15)
    rng = np.random.default_rng(0)
    for _ in range(5):
        weights, other = rng.normal(size=6).tolist(), rng.normal(size=6).tolist()
        (contract(sparse, weights).square().sum() + contract(sparse, other).sum()).backward()
        first = torch.einsum("k,nkc->nc", torch.tensor(weights).float(), dense)
        second = torch.einsum("k,nkc->nc", torch.tensor(other).float(), dense)
        (first.square().sum() + second.sum()).backward()
        for optimizer in (mine, theirs):
            optimizer.step()
            optimizer.zero_grad()
    torch.testing.assert_close(sparse, dense, rtol=1e-4, atol=1e-5)


def test_damping_makes_small_steps_of_small_gradients_on_every_device(monkeypatch) -> None:
    gains = torch.ones(11, 4)
    gains[:5] = 0.01  # gradients a hundredth as large
    there = coefficients()
    here = torch.nn.Parameter(there.detach().clone())
    before = here.detach().clone()
    optimizers = {False: KnotAdam([here], 0.01, damping=1.0), True: KnotAdam([there], 0.01, 1.0)}
    weights = [0.0, 0.3, 0.7, 0.0, 0.0, 0.0]
    for _ in range(20):
        for on_device, values in ((False, here), (True, there)):
            (contract(values, weights) * gains).sum().backward()
            if on_device:  # the tensors' own arithmetic instead of the kernel
                with monkeypatch.context() as patch:
                    patch.setattr(knots, "on_cpu", lambda parameter: False)
                    optimizers[on_device].step()
            else:
                optimizers[on_device].step()
            optimizers[on_device].zero_grad()
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-5)
    moved = (here.detach() - before)[:, 2].abs()
    assert float(moved[:5].max()) < 0.05 * float(moved[5:].min())
    free = coefficients()
    plain = KnotAdam([free], 0.01)
    (contract(free, weights) * gains).sum().backward()
    plain.step()
    steps = (free.detach() - before)[:, 2].abs()
    torch.testing.assert_close(steps, torch.full_like(steps, 0.01), rtol=1e-3, atol=0)


def test_knots_without_weight_stay_where_they_are() -> None:
    values = coefficients()
    before = values.detach().clone()
    optimizer = KnotAdam([values], lr=0.1)
    contract(values, [0.0, 0.5, 0.5, 0.0, 0.0, 0.0]).sum().backward()
    optimizer.step()
    moved = (values.detach() != before).flatten(2).any(2).any(0)
    assert moved.tolist() == [False, True, True, False, False, False]


def test_forgotten_gradients_move_nothing() -> None:
    values = coefficients()
    before = values.detach().clone()
    optimizer = KnotAdam([values], lr=0.1)
    contract(values, [1.0] * 6).sum().backward()
    optimizer.zero_grad()
    optimizer.step()
    assert torch.equal(values, before)
