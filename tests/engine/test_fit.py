# SPDX-License-Identifier: GPL-3.0-or-later
"""The fit: it reconstructs, splits still from moving, repeats itself and resumes exactly."""

from __future__ import annotations

import numpy as np
import pytest

from ds4d_engine.evaluate import evaluate
from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.fit.files import checkpoint_path
from ds4d_engine.seam.asset import read_asset
from ds4d_engine.seam.errors import ConfigError, DatasetError, EngineError
from tests.engine.moving_blob import blob_positions, moving_blob

TINY = FitConfig(
    iterations=240,
    gaussians=250,
    max_gaussians=320,
    densify_times=4,
    checkpoint_seconds=0,
    threads=1,
    backend="cpu",
)


@pytest.fixture(scope="module")
def blob():
    return moving_blob()


@pytest.fixture(scope="module")
def fitted(blob, tmp_path_factory):
    path = tmp_path_factory.mktemp("fit") / "blob.ds4d"
    result = fit(blob, TINY.replace(iterations=900), path)
    return result, read_asset(path)


def test_fit_reconstructs_the_held_out_view(blob, fitted):
    _, asset = fitted
    summary = evaluate(asset, blob).summary
    assert summary["psnr_white"] > 27
    assert summary["psnr_black"] > 27


def test_still_gaussians_have_no_motion_and_lie_on_the_still_blob(fitted):
    _, asset = fitted
    assert len(asset.static) > 20
    assert len(asset.dynamic) > 20
    on_mover = asset.static.means[:, 1] > 0.15
    assert np.average(on_mover, weights=asset.static.opacities) < 0.05


def test_moving_gaussians_follow_the_moving_blob(fitted):
    _, asset = fitted
    weights = asset.dynamic.opacities * (asset.dynamic.means[:, 1] > 0.15)
    path = np.stack([np.average(frame, axis=0, weights=weights) for frame in asset.motion.means])
    assert np.abs(path - blob_positions(5)).max() < 0.12


def test_dynamic_score_is_higher_on_what_moves(fitted):
    _, asset = fitted
    assert asset.dynamic.dynamic_scores.mean() > 2 * asset.static.dynamic_scores.mean()


def test_asset_records_its_settings_and_blend(fitted):
    result, asset = fitted
    assert asset.blend == "linear"
    assert asset.fps == 12.0
    assert asset.frame_count == 5
    assert asset.provenance["config"]["gaussians"] == 250
    assert asset.provenance["gaussians"] == len(asset.static) + len(asset.dynamic)
    assert not result.stopped


def same_asset(first, second) -> bool:
    a, b = read_asset(first), read_asset(second)
    names = ("means", "quats", "scales", "opacities", "sh0")
    return all(
        np.array_equal(getattr(x, name), getattr(y, name))
        for x, y in ((a.static, b.static), (a.dynamic, b.dynamic))
        for name in names
    ) and np.array_equal(a.motion.means, b.motion.means)


@pytest.mark.parametrize("motion", ["ds4d", "spline", "ds4d-paper"])
def test_same_seed_gives_the_same_asset(blob, tmp_path, motion):
    config = TINY.replace(motion=motion, iterations=120)
    fit(blob, config, tmp_path / "a.ds4d")
    fit(blob, config.replace(threads=2), tmp_path / "b.ds4d")
    assert same_asset(tmp_path / "a.ds4d", tmp_path / "b.ds4d")


@pytest.mark.parametrize("motion", ["ds4d", "spline", "hexplane", "ds4d-paper"])
@pytest.mark.parametrize("stop_at", [37, 130])
def test_resuming_equals_an_uninterrupted_fit(blob, tmp_path, motion, stop_at):
    config = TINY.replace(motion=motion, iterations=160)
    fit(blob, config, tmp_path / "whole.ds4d")
    steps = iter(range(1, 1000))
    stopped = fit(
        blob, config, tmp_path / "halves.ds4d", should_stop=lambda: next(steps) == stop_at
    )
    assert stopped.stopped
    assert stopped.summary["steps"] == stop_at
    assert len(read_asset(tmp_path / "halves.ds4d").dynamic) > 0
    fit(blob, config, tmp_path / "halves.ds4d", resume=True)
    assert same_asset(tmp_path / "whole.ds4d", tmp_path / "halves.ds4d")


def test_resuming_without_a_checkpoint_says_so(blob, tmp_path):
    with pytest.raises(EngineError, match="no checkpoint"):
        fit(blob, TINY, tmp_path / "new.ds4d", resume=True)


def test_resuming_with_other_settings_names_them(blob, tmp_path):
    fit(blob, TINY.replace(iterations=5), tmp_path / "a.ds4d")
    with pytest.raises(EngineError, match="lr_means"):
        fit(blob, TINY.replace(iterations=5, lr_means=0.5), tmp_path / "a.ds4d", resume=True)


def test_a_damaged_checkpoint_is_one_sentence(blob, tmp_path):
    path = tmp_path / "a.ds4d"
    fit(blob, TINY.replace(iterations=5), path)
    whole = checkpoint_path(path).read_bytes()
    checkpoint_path(path).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EngineError, match="damaged"):
        fit(blob, TINY.replace(iterations=5), path, resume=True)


def test_random_start_fits_too(blob, tmp_path):
    fit(blob, TINY.replace(init="random", iterations=500), tmp_path / "a.ds4d")
    assert evaluate(read_asset(tmp_path / "a.ds4d"), blob).summary["psnr_white"] > 20


def test_srgb_blending_is_recorded(blob, tmp_path):
    fit(blob, TINY.replace(blend="srgb", iterations=300), tmp_path / "a.ds4d")
    asset = read_asset(tmp_path / "a.ds4d")
    assert asset.blend == "srgb"
    assert evaluate(asset, blob).summary["psnr_white"] > 22


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"motion": "magic"}, "choose one of"),
        ({"iterations": 0}, "at least 1"),
        ({"gaussians": 50, "max_gaussians": 10}, "max_gaussians"),
        ({"sh_degree": 4}, "0 to 3"),
        ({"static_part": 0.9}, "ascend"),
        ({"lr_means": -1.0}, "negative"),
    ],
)
def test_contradictory_settings_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        FitConfig().replace(**changes)


def test_empty_masks_are_named(blob, tmp_path):
    dark = moving_blob(frames=3)
    for pictures in dark.images:
        pictures[...] = 0
    with pytest.raises(DatasetError, match="opaque"):
        fit(dark, TINY, tmp_path / "a.ds4d")


def test_missing_start_file_is_named(blob, tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        fit(blob, TINY.replace(init=str(tmp_path / "no.ply")), tmp_path / "a.ds4d")


def test_mesh_start_keeps_its_colours(blob, tmp_path):
    import trimesh

    ball = trimesh.creation.icosphere(radius=0.2)
    ball.apply_translation([0, 0.45, 0.1])
    ball.visual.face_colors = [220, 80, 30, 255]
    ball.export(tmp_path / "ball.ply")
    fit(blob, TINY.replace(init=str(tmp_path / "ball.ply"), iterations=1), tmp_path / "a.ds4d")
    asset = read_asset(tmp_path / "a.ds4d")
    from ds4d_engine.seam.asset import Gaussians

    everything = Gaussians.concatenate(asset.static, asset.dynamic)
    color = everything.sh0[:, 0] * 0.28209479177387814 + 0.5
    assert np.abs(color.mean(0) - np.array([220, 80, 30]) / 255).max() < 0.05
    assert np.abs(everything.means.mean(0) - [0, 0.45, 0.1]).max() < 0.05
