# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporal-spatial similarity fusion."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from ds4d_engine.seam.errors import ConfigError
from ds4d_engine.tssf import TSSF, Fuse, masked_softmax

FUSIONS = get_args(Fuse)
C = 6


def point_features(views: int = 4, count: int = 30) -> torch.Tensor:
    return torch.randn(views, count, C, generator=torch.Generator().manual_seed(0))


def visibility(views: int = 4, count: int = 30) -> torch.Tensor:
    visible = torch.rand(views, count, generator=torch.Generator().manual_seed(1)) > 0.4
    visible[:, 0] = False
    visible[:, 1] = True
    return visible


def fusion(fuse: Fuse) -> TSSF:
    torch.manual_seed(2)
    return TSSF(C, fuse)


@pytest.mark.parametrize("fuse", ["ga", "da", "mean"])
@pytest.mark.parametrize("views", [1, 2, 4])
def test_shares_sum_to_one_over_visible_views(fuse: Fuse, views: int) -> None:
    visible = visibility(views)
    _, shares = fusion(fuse)(point_features(views), visible)
    torch.testing.assert_close(shares.sum(0), visible.any(0).float())
    assert (shares[~visible] == 0).all()
    assert (shares >= 0).all()


@pytest.mark.parametrize("fuse", FUSIONS)
def test_a_gaussian_that_no_view_sees_gets_zero(fuse: Fuse) -> None:
    fused, shares = fusion(fuse)(point_features(), visibility())
    assert torch.equal(fused[0], torch.zeros(C))
    assert torch.equal(shares[:, 0], torch.zeros(4))


@pytest.mark.parametrize("fuse", FUSIONS)
def test_hidden_views_do_not_influence_the_result(fuse: Fuse) -> None:
    visible = visibility()
    features = point_features()
    changed = torch.where(visible[..., None], features, 100.0)
    model = fusion(fuse)
    torch.testing.assert_close(model(features, visible)[0], model(changed, visible)[0])


@pytest.mark.parametrize("fuse", ["ga", "mean"])
def test_one_view_passes_its_feature_through(fuse: Fuse) -> None:
    features = point_features(1)
    fused, _ = fusion(fuse)(features, torch.ones(1, 30, dtype=torch.bool))
    torch.testing.assert_close(fused, features[0])


def test_da_of_one_view_joins_the_feature_with_itself() -> None:
    model, features = fusion("da"), point_features(1)
    assert model.join is not None
    fused, _ = model(features, torch.ones(1, 30, dtype=torch.bool))
    torch.testing.assert_close(fused, model.join(torch.cat([features[0]] * 2, -1)))


@pytest.mark.parametrize("fuse", ["ga", "mean"])
def test_fusion_does_not_depend_on_the_order_of_views(fuse: Fuse) -> None:
    model, features, visible = fusion(fuse), point_features(), visibility()
    order = torch.tensor([2, 0, 3, 1])
    fused, shares = model(features, visible)
    permuted, permuted_shares = model(features[order], visible[order])
    torch.testing.assert_close(fused, permuted)
    torch.testing.assert_close(shares[order], permuted_shares)


def test_mean_is_the_average_of_visible_views() -> None:
    features, visible = point_features(), visibility()
    fused, _ = fusion("mean")(features, visible)
    for gaussian in range(1, 30):
        seen = features[visible[:, gaussian], gaussian]
        expected = seen.mean(0) if len(seen) else torch.zeros(C)
        torch.testing.assert_close(fused[gaussian], expected)


def test_off_takes_the_front_view_alone() -> None:
    features, visible = point_features(), visibility()
    fused, _ = fusion("off")(features, visible)
    torch.testing.assert_close(fused, features[0] * visible[0, :, None])


def test_da_prefers_the_view_that_agrees_with_the_front() -> None:
    features = torch.zeros(3, 1, C)
    features[0] = features[1] = 1.0
    features[2] = -1.0
    _, shares = fusion("da")(features, torch.ones(3, 1, dtype=torch.bool))
    assert shares[0, 0] == pytest.approx(0.5)
    assert shares[1, 0] > 100 * shares[2, 0]


def test_da_of_a_gaussian_hidden_in_front_follows_the_views_that_see_it() -> None:
    features = torch.zeros(4, 1, C)
    features[1] = features[2] = 1.0
    visible = torch.tensor([[False], [True], [True], [False]])
    model = fusion("da")
    fused, shares = model(features, visible)
    torch.testing.assert_close(shares[:, 0], torch.tensor([0.0, 0.5, 0.5, 0.0]))
    assert model.join is not None
    torch.testing.assert_close(fused[0], model.join(torch.ones(2 * C)))


@pytest.mark.parametrize("fuse", FUSIONS)
def test_gradients_are_finite_and_reach_only_visible_views(fuse: Fuse) -> None:
    features, visible = point_features().requires_grad_(), visibility()
    fusion(fuse)(features, visible)[0].square().sum().backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
    assert (features.grad[~visible] == 0).all()
    assert features.grad[visible].abs().max() > 0


def test_masked_softmax_agrees_with_softmax_over_the_unmasked() -> None:
    scores = torch.randn(5, 1, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([True, False, True, True, False])[:, None]
    expected = scores[mask].softmax(0)
    torch.testing.assert_close(masked_softmax(scores, mask)[mask], expected)


def test_unknown_fusions_are_refused() -> None:
    with pytest.raises(ConfigError, match="Unknown fusion 'max'"):
        TSSF(C, "max")  # type: ignore[arg-type]
