# SPDX-License-Identifier: GPL-3.0-or-later
"""What the loop does on a device of its own memory: it does not wait for it at every step."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ds4d_engine.fit import scene as fit_scene
from ds4d_engine.fit.readings import Readings
from ds4d_engine.fit.scene import TargetCache, build_scene
from ds4d_engine.sending import sent
from tests.engine.moving_blob import moving_blob


class OnDevice:
    """A scalar that claims to lie on a CUDA device."""

    device = torch.device("cuda")

    def __init__(self, value: float) -> None:
        self.value = value


def test_numbers_in_main_memory_arrive_at_once() -> None:
    arrived: list[tuple[int, float]] = []
    readings = Readings(lambda label, value: arrived.append((label, value)), 10)
    assert math.isnan(readings.last)
    readings.add(3, torch.tensor(0.5))
    assert arrived == [(3, 0.5)] and readings.last == 0.5


def test_numbers_on_a_device_arrive_together_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    fetches = []

    def stack(values: list[OnDevice]) -> torch.Tensor:
        fetches.append(len(values))
        return torch.tensor([value.value for value in values])

    monkeypatch.setattr("ds4d_engine.fit.readings.torch.stack", stack)
    arrived: list[int] = []
    readings = Readings(lambda label, value: arrived.append(label), 4)
    for step in range(6):
        readings.add(step, OnDevice(float(step)))  # type: ignore[arg-type]
    assert arrived == [0, 1, 2, 3] and fetches == [4]
    readings.fetch()
    readings.fetch()
    assert arrived == [0, 1, 2, 3, 4, 5] and fetches == [4, 2]


def test_small_arrays_arrive_with_the_values_and_the_dtype_that_is_wanted() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    assert sent(np.float32([0.5, 2]), like).dtype == torch.float64
    assert sent(np.array([3, 1]), like).tolist() == [3, 1]
    assert sent([0.1], like).tolist() == [0.1]


@pytest.mark.parametrize("free", [0, 1 << 30])
def test_targets_are_the_same_wherever_pictures_lie(
    monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    dataset = moving_blob()
    scene = build_scene(dataset, "linear", np.zeros(3), 1.0, torch.device("cpu"))
    claimed = dataclasses.replace(scene, device=torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2 * free))
    # nothing is on the device that is claimed: copies to it stay where they are
    monkeypatch.setattr(fit_scene, "_copied", lambda pictures, device: torch.from_numpy(pictures))
    cache = TargetCache(claimed, picture_memory=0)
    assert bool(cache._resident) == bool(free)
    cache.scene = SimpleNamespace(  # type: ignore[assignment]
        has_alpha=scene.has_alpha, composite=scene.composite, target=scene.target
    )
    for _ in range(2):
        for made, plain in zip(cache.target(1, 0, 1.0), scene.target(1, 0, 1.0), strict=True):
            assert torch.equal(made, plain)
