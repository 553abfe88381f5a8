# SPDX-License-Identifier: GPL-3.0-or-later
"""Skinning against plain torch, and on any number of threads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ds4d_engine.motion.skinning import skin
from ds4d_engine.raster import set_threads
from ds4d_engine.raster.threads import thread_count


def example(points: int = 301, nodes: int = 17) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(points, 4, generator=generator)
    return (
        torch.randn(points, 3, generator=generator),
        torch.randn(nodes, 12, generator=generator),
        torch.randint(nodes, (points, 4), generator=generator),
        weights / weights.sum(1, keepdim=True),
    )


def plain(points: Tensor, table: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    mixed = (table[ids] * weights[..., None]).sum(1)
    return (mixed[:, :9].view(-1, 3, 3) @ points[..., None])[..., 0] + mixed[:, 9:]


def test_skinning_and_its_gradients_equal_plain_torch() -> None:
    points, table, ids, weights = example()
    pull = torch.randn(len(points), 3, generator=torch.Generator().manual_seed(4))
    found = []
    for function in (skin, plain):
        p, t = points.clone().requires_grad_(), table.clone().requires_grad_()
        carried = function(p, t, ids, weights)
        (carried * pull).sum().backward()
        found.append((carried.detach(), p.grad, t.grad))
    for ours, reference in zip(*found, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-5, rtol=1e-5)


def test_double_precision_takes_the_plain_way() -> None:
    points, table, ids, weights = example()
    carried = skin(points.double(), table.double(), ids, weights.double())
    torch.testing.assert_close(
        carried.float(), skin(points, table, ids, weights), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("threads", [2, 3])
def test_gradients_do_not_depend_on_the_threads(threads: int) -> None:
    points, table, ids, weights = example()
    before = thread_count()
    gradients = []
    try:
        for count in (1, threads):
            set_threads(count)
            t = table.clone().requires_grad_()
            skin(points, t, ids, weights).square().sum().backward()
            gradients.append(t.grad)
    finally:
        set_threads(before)
    assert torch.equal(*gradients)


def test_fewer_points_than_blocks_are_all_carried() -> None:
    points, table, ids, weights = example(points=3)
    torch.testing.assert_close(
        skin(points, table, ids, weights), plain(points, table, ids, weights)
    )
