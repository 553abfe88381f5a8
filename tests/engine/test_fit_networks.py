# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits with the published networks: what their presets and settings mean."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.fit.schedule import time_window
from ds4d_engine.seam.asset import read_asset
from ds4d_engine.seam.errors import ConfigError
from tests.engine.moving_blob import moving_blob

TINY = {
    "iterations": 60,
    "gaussians": 150,
    "max_gaussians": 200,
    "densify_times": 4,
    "checkpoint_seconds": 0,
    "threads": 1,
    "backend": "cpu",
}


def test_the_4dgs_preset_looks_at_all_frames_before_anything_moves() -> None:
    config = FitConfig.preset_named("4dgs")
    assert config.motion == "hexplane"
    scene = SimpleNamespace(middle=16, frame_count=32)
    assert time_window(scene, config, 0.0) == (0, 32)
    assert time_window(scene, config, config.static_part) == (0, 32)
    assert time_window(scene, config.replace(static_frames="middle"), 0.0) == (16, 17)


def test_the_4dgs_preset_fits(tmp_path) -> None:
    result = fit(moving_blob(), FitConfig.preset_named("4dgs").replace(**TINY), tmp_path / "a.ds4d")
    asset = read_asset(tmp_path / "a.ds4d")
    assert result.summary["steps"] == 60
    assert asset.provenance["config"]["network"] == "4dgs"
    assert len(asset.dynamic) > 0


def test_features_that_are_not_decoupled_give_another_fit(tmp_path) -> None:
    config = FitConfig(motion="ds4d-paper", fuse="mean", **TINY)
    means = []
    for name, decouple in (("on", True), ("off", False)):
        fit(moving_blob(), config.replace(decouple=decouple), tmp_path / f"{name}.ds4d")
        means.append(read_asset(tmp_path / f"{name}.ds4d").motion.means)
    assert means[0].shape != means[1].shape or (means[0] != means[1]).any()


def test_models_that_need_dsfd_refuse_to_do_without() -> None:
    with pytest.raises(ConfigError, match="Only motion=ds4d-paper can do without DSFD"):
        FitConfig(decouple=False)
