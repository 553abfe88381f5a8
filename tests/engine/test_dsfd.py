# SPDX-License-Identifier: GPL-3.0-or-later
"""Dynamic-static feature decoupling."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from ds4d_engine.dsfd import Reference, decouple
from ds4d_engine.seam.errors import ConfigError

REFERENCES = get_args(Reference)
MIDDLE = 3


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randn(7, 20, 12, generator=torch.Generator().manual_seed(0))


def reference_of(tokens: torch.Tensor, reference: str) -> torch.Tensor:
    middle, mean = tokens[MIDDLE], tokens.mean(0)
    return {"both": (middle + mean) / 2, "middle": middle, "mean": mean}[reference]


@pytest.mark.parametrize("reference", REFERENCES)
def test_static_and_dynamic_sum_to_the_token(tokens: torch.Tensor, reference: Reference) -> None:
    parts = decouple(tokens, MIDDLE, reference)
    torch.testing.assert_close(parts.static + parts.dynamic, tokens)


@pytest.mark.parametrize("reference", ["both", "middle", "mean"])
def test_dynamic_is_orthogonal_to_the_reference(tokens: torch.Tensor, reference: Reference) -> None:
    dynamic = decouple(tokens, MIDDLE, reference).dynamic
    inner = (dynamic * reference_of(tokens, reference)).sum(-1)
    torch.testing.assert_close(inner, torch.zeros_like(inner), atol=1e-5, rtol=0)


@pytest.mark.parametrize("reference", ["both", "middle", "mean"])
def test_static_is_the_published_projection(tokens: torch.Tensor, reference: Reference) -> None:
    r = reference_of(tokens, reference)
    length = r.norm(dim=-1, keepdim=True)
    expected = ((tokens * r).sum(-1, keepdim=True) / length) * r / length
    torch.testing.assert_close(decouple(tokens, MIDDLE, reference).static, expected)


def test_gram_schmidt_is_orthogonal_to_middle_and_mean(tokens: torch.Tensor) -> None:
    dynamic = decouple(tokens, MIDDLE, "gram-schmidt").dynamic
    for direction in (tokens[MIDDLE], tokens.mean(0)):
        inner = (dynamic * direction).sum(-1)
        torch.testing.assert_close(inner, torch.zeros_like(inner), atol=1e-5, rtol=0)


def test_gram_schmidt_survives_a_mean_parallel_to_the_middle(tokens: torch.Tensor) -> None:
    still = tokens[:1].expand(7, -1, -1) * torch.linspace(0.5, 2, 7)[:, None, None]
    parts = decouple(still, MIDDLE, "gram-schmidt")
    assert parts.dynamic.abs().max() < 1e-5


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_still_clip_has_no_dynamic_part(tokens: torch.Tensor, reference: Reference) -> None:
    parts = decouple(tokens[:1].expand(7, -1, -1), MIDDLE, reference)
    assert parts.dynamic.abs().max() < 1e-5
    assert parts.scores.max() < 1e-5


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_vanishing_reference_leaves_everything_dynamic(
    tokens: torch.Tensor, reference: Reference
) -> None:
    tokens = tokens.clone()
    tokens[MIDDLE, 0] = 0
    tokens[0, 0] -= tokens[:, 0].sum(0)
    parts = decouple(tokens, MIDDLE, reference)
    assert torch.isfinite(parts.static).all()
    torch.testing.assert_close(parts.dynamic[:, 0], tokens[:, 0], atol=1e-5, rtol=0)


def test_all_black_clips_score_zero() -> None:
    parts = decouple(torch.zeros(3, 4, 5), 1)
    assert torch.equal(parts.scores, torch.zeros(3, 4))
    assert torch.equal(parts.dynamic, torch.zeros(3, 4, 5))


def test_scores_rank_the_token_that_changes_first() -> None:
    tokens = torch.ones(5, 3, 8)
    tokens[2:, 1, :4] = -1
    tokens[:, 2] = 1e-4 * torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    scores = decouple(tokens, 2).scores.mean(0)
    assert scores.argmax() == 1
    assert scores[0] < 0.01
    # Nearly empty tokens change in every direction, yet hardly count.
    assert scores[2] < 0.01


def test_scores_stay_within_zero_and_one(tokens: torch.Tensor) -> None:
    scores = decouple(tokens, MIDDLE).scores
    assert scores.min() >= 0
    assert scores.max() < 1


def test_features_hold_the_token_and_its_dynamic_part(tokens: torch.Tensor) -> None:
    parts = decouple(tokens, MIDDLE)
    torch.testing.assert_close(parts.features[..., :12], tokens)
    torch.testing.assert_close(parts.features[..., 12:], parts.dynamic)


def test_unknown_references_are_refused(tokens: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match="Unknown reference 'first'"):
        decouple(tokens, MIDDLE, "first")  # type: ignore[arg-type]
