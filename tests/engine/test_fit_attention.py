# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames that a fit shows worse than the rest are looked at more often."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from ds4d_engine.fit import FitConfig
from ds4d_engine.fit.attention import Attention
from ds4d_engine.fit.scene import Scene, build_scene
from ds4d_engine.fit.schedule import Window, draw
from tests.engine.moving_square import as_dataset, square_clip

FRAMES = 5
CONFIG = FitConfig.preset_named("draft", "clip")


@pytest.fixture(scope="module")
def scene() -> Scene:
    clip = as_dataset(square_clip(FRAMES, 24))
    return build_scene(clip, "linear", np.zeros(3), 1.0, torch.device("cpu"))


def looks(scene: Scene, window: Window, attention: Attention | None) -> Counter[int]:
    rng = np.random.default_rng(0)
    return Counter(draw(rng, scene, window, True, CONFIG, attention).frame for _ in range(4000))


def attention_to(errors: list[float]) -> Attention:
    attention = Attention(len(errors))
    for frame, error in enumerate(errors):
        attention.note(frame, error)
    return attention


def test_frames_are_looked_at_in_proportion_to_their_errors(scene: Scene) -> None:
    errors = [0.4, 0.1, 0.1, 0.1, 0.3]
    counts = looks(scene, Window(0, FRAMES), attention_to(errors))
    assert [counts[f] / 4000 for f in range(FRAMES)] == pytest.approx(errors, abs=0.03)


def test_without_attention_all_frames_are_alike(scene: Scene) -> None:
    counts = looks(scene, Window(0, FRAMES), None)
    assert [counts[f] / 4000 for f in range(FRAMES)] == pytest.approx([0.2] * FRAMES, abs=0.03)


def test_a_growing_window_keeps_to_its_frontier(scene: Scene) -> None:
    window = Window(1, 4)
    attention = attention_to([9.0, 0.1, 9.0, 0.1, 9.0])
    assert looks(scene, window, attention) == looks(scene, window, None)


def test_what_was_never_looked_at_counts_as_the_worst() -> None:
    attention = Attention(3)
    assert attention.chances(np.arange(3)).tolist() == pytest.approx([1 / 3] * 3)
    attention.note(0, 0.2)
    attention.note(1, 0.1)
    assert attention.chances(np.arange(3)).tolist() == pytest.approx([0.4, 0.2, 0.4])


def test_new_looks_renew_a_frames_error_and_nothing_divides_by_zero() -> None:
    attention = attention_to([1.0, 0.0])
    for _ in range(40):
        attention.note(0, 0.0)
    assert attention.errors[0] < 1e-5
    attention.errors[:] = 0.0
    assert attention.chances(np.arange(2)).tolist() == [0.5, 0.5]


def test_only_a_clip_from_one_camera_is_attended_to() -> None:
    assert CONFIG.worst_frames
    assert not FitConfig.preset_named("draft").worst_frames
    assert not FitConfig.preset_named("draft", "views").worst_frames
