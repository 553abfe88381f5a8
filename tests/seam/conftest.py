# SPDX-License-Identifier: GPL-3.0-or-later
"""A small asset with a static and a dynamic part, and the file it is written to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ds4d_engine.seam import Asset, Camera, Gaussians, Motion, write_asset


def gaussians(rng: np.random.Generator, count: int, bases: int = 3) -> Gaussians:
    return Gaussians(
        means=rng.normal(size=(count, 3)),
        quats=rng.normal(size=(count, 4)),
        scales=rng.uniform(0.01, 0.1, (count, 3)),
        opacities=rng.uniform(0, 1, count),
        sh0=rng.normal(size=(count, 1, 3)),
        shN=rng.normal(size=(count, bases, 3)),
        dynamic_scores=rng.uniform(0, 1, count),
        observed=rng.uniform(0, 1, count),
    )


def build_asset(static: int = 7, dynamic: int = 5, frames: int = 4, **overrides: Any) -> Asset:
    rng = np.random.default_rng(3)
    viewmat = np.eye(4)
    viewmat[:3, 3] = (0.1, -0.2, 3.0)
    K = np.array([[100.0, 0, 32], [0, 100, 24], [0, 0, 1]])
    values: dict[str, Any] = {
        "static": gaussians(rng, static),
        "dynamic": gaussians(rng, dynamic),
        "motion": Motion(
            means=rng.normal(size=(frames, dynamic, 3)),
            quats=rng.normal(size=(frames, dynamic, 4)),
            scales=rng.uniform(0.01, 0.1, (frames, dynamic, 3)),
            opacities=rng.uniform(0, 1, (frames, dynamic)),
        ),
        "cameras": (
            Camera("front é", K, viewmat, 64, 48),
            Camera("back", K, viewmat, 64, 48, "test"),
        ),
        "times": np.linspace(0, 1, frames),
        "fps": 23.976,
        "frame_start": -3,
        "blend": "linear",
        "provenance": {"source": "a test", "steps": 12},
    }
    return Asset(**{**values, **overrides})


@pytest.fixture
def make_asset() -> Callable[..., Asset]:
    return build_asset


@pytest.fixture
def asset() -> Asset:
    return build_asset()


@pytest.fixture
def asset_file(asset: Asset, tmp_path: Path) -> Path:
    path = tmp_path / "clip.ds4d"
    write_asset(path, asset)
    return path
