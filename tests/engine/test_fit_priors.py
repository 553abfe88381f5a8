# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits with priors, on models of random weights in the published layouts: each has its effect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from ds4d_engine.data import Dataset
from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.seam.asset import read_asset
from ds4d_engine.seam.errors import ConfigError
from ds4d_engine.seam.events import Progress
from tests.engine.generated_clip import generated_clip
from tests.engine.moving_blob import moving_blob

TINY = FitConfig.preset_named("draft", "views").replace(
    iterations=24,
    gaussians=150,
    max_gaussians=150,
    densify_times=0,
    gate=False,
    checkpoint_seconds=0,
    threads=1,
    backend="cpu",
)


@pytest.fixture(scope="module")
def clip() -> Dataset:
    return generated_clip(frames=3, size=40)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def plain(clip: Dataset, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Where the Gaussians end without any prior."""
    path = tmp_path_factory.mktemp("plain") / "a.ds4d"
    fit(clip, TINY, path)
    return read_asset(path).dynamic.means


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.engine.test_lpips import random_weights

    path = tmp_path_factory.mktemp("lpips") / "alexnet.safetensors"
    save_file(random_weights("alex")[1], path)
    return path


@pytest.fixture(scope="module")
def zero123(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("diffusers")
    from tests.engine.tiny_diffusers import write_zero123

    return write_zero123(tmp_path_factory.mktemp("zero123") / "tiny")


def interrupted_and_whole(clip: Dataset, config: FitConfig, folder: Path) -> np.ndarray:
    """Fit at once, and again in two halves; both must agree. Returns the moving centres."""
    fit(clip, config, folder / "whole.ds4d")
    steps = iter(range(1, 1000))
    fit(clip, config, folder / "halves.ds4d", should_stop=lambda: next(steps) == 13)
    fit(clip, config, folder / "halves.ds4d", resume=True)
    whole, halves = read_asset(folder / "whole.ds4d"), read_asset(folder / "halves.ds4d")
    np.testing.assert_array_equal(whole.dynamic.means, halves.dynamic.means)
    np.testing.assert_array_equal(whole.dynamic.sh0, halves.dynamic.sh0)
    return whole.dynamic.means


def test_lpips_changes_the_fit_and_resumes(
    clip: Dataset, plain: np.ndarray, alexnet: Path, tmp_path: Path
) -> None:
    config = TINY.replace(lpips_weight=0.1, lpips_weights=str(alexnet))
    means = interrupted_and_whole(clip, config, tmp_path)
    assert np.abs(means - plain).max() > 1e-4


def test_score_distillation_changes_the_fit_and_resumes(
    clip: Dataset,
    plain: np.ndarray,
    zero123: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ds4d_engine.fit.guidance.SDS_SIZE", 32)  # the tiny network has no stages
    config = TINY.replace(sds_weight=1e-4, sds_weights=str(zero123))
    means = interrupted_and_whole(clip, config, tmp_path)
    assert np.abs(means - plain).max() > 1e-4


def test_dinov2_tokens_are_described_once_and_change_the_scores(
    clip: Dataset, tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    from tests.engine.test_dinov2 import save_tiny

    folder = save_tiny(tmp_path / "dinov2")
    config = TINY.replace(features="dinov2-base", feature_weights=str(folder))
    heard: list[Progress] = []
    fit(clip, config, tmp_path / "a.ds4d", listener=heard.append)
    described = [event for event in heard if event.stage == "features"]
    assert described[-1].done == described[-1].total == 3 * 6
    assert len(list((tmp_path / "cache" / "ds4d" / "tokens").iterdir())) == 1
    heard.clear()
    fit(clip, config, tmp_path / "b.ds4d", listener=heard.append)
    assert not [event for event in heard if event.stage == "features"]
    fit(clip, TINY, tmp_path / "c.ds4d")
    a, b, c = (read_asset(tmp_path / f"{name}.ds4d").dynamic for name in "abc")
    np.testing.assert_array_equal(a.dynamic_scores, b.dynamic_scores)
    assert np.abs(a.dynamic_scores - c.dynamic_scores).max() > 1e-3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"feature_weights": "folder"}, "built-in features use none"),
        ({"lpips_weights": "file"}, "lpips_weight is 0"),
        ({"sds_weights": "folder"}, "sds_weight is 0"),
        ({"lpips_weight": 0.1}, "needs lpips_weights"),
        ({"features": "clip"}, "choose one of"),
        ({"input_share": 1.0}, "below 1"),
    ],
)
def test_weights_without_their_loss_and_losses_without_weights_are_refused(
    changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        FitConfig().replace(**changes)


def test_a_missing_file_of_weights_is_one_sentence(clip: Dataset, tmp_path: Path) -> None:
    config = TINY.replace(lpips_weight=0.1, lpips_weights=str(tmp_path / "no.safetensors"))
    with pytest.raises(ConfigError, match="no LPIPS weights"):
        fit(clip, config, tmp_path / "a.ds4d")


def test_lpips_says_that_pictures_are_too_small(alexnet: Path, tmp_path: Path) -> None:
    config = TINY.replace(lpips_weight=0.1, lpips_weights=str(alexnet))
    with pytest.raises(ConfigError, match="at least 32 x 32"):
        fit(generated_clip(frames=2, size=24), config, tmp_path / "a.ds4d")


def test_distillation_is_for_a_clip(zero123: Path, tmp_path: Path) -> None:
    config = FitConfig(sds_weight=1e-4, sds_weights=str(zero123), threads=1, backend="cpu")
    with pytest.raises(ConfigError, match="several real cameras"):
        fit(moving_blob(frames=2), config, tmp_path / "a.ds4d")


def test_a_fit_without_priors_loads_no_network_library() -> None:
    code = (
        "import sys; import ds4d_engine.fit; "
        "print([name for name in ('diffusers', 'transformers') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
