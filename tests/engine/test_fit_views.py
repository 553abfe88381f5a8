# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated views: those that contradict count less, wrong cameras are put right, fits resume."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ds4d_engine.data import Dataset
from ds4d_engine.evaluate import evaluate
from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.fit.scene import build_scene
from ds4d_engine.fit.schedule import Window, draw
from ds4d_engine.fit.splats import Splats, render_view
from ds4d_engine.fit.views import GeneratedViews
from ds4d_engine.photometric import encode_srgb
from ds4d_engine.seam.asset import Asset, read_asset
from ds4d_engine.seam.errors import ConfigError
from tests.engine.generated_clip import ELEVATIONS, figure, generated_clip
from tests.engine.moving_blob import moving_blob

TEST_AZIMUTHS = (-75.0, 15.0, 105.0, 195.0)
TINY = FitConfig.preset_named("draft", "views").replace(
    iterations=400,
    gaussians=400,
    max_gaussians=600,
    densify_times=4,
    checkpoint_seconds=0,
    threads=1,
    backend="cpu",
)
ALONE = TINY.replace(view_confidence=False, view_robust=False, camera_correction=False)


def fitted(dataset: Dataset, config: FitConfig, path: Path) -> tuple[Asset, float]:
    """The asset and its mean PSNR on white at the test cameras."""
    fit(dataset, config, path)
    asset = read_asset(path)
    return asset, float(evaluate(asset, dataset, backend="cpu").summary["psnr_white"])


def test_exact_views_give_every_side(tmp_path: Path) -> None:
    clip = generated_clip(held_out=TEST_AZIMUTHS)
    asset, psnr = fitted(clip, TINY, tmp_path / "a.ds4d")
    assert psnr > 26
    told = asset.provenance["generated_views"]
    assert set(told) == {f"view{v}" for v in range(1, 7)}
    assert all(view["confidence"] > 0.5 for view in told.values())


def test_a_repainted_view_counts_less_and_hurts_less(tmp_path: Path) -> None:
    clip = generated_clip(held_out=TEST_AZIMUTHS, repainted=(3,))
    config = ALONE.replace(iterations=600)
    _, without = fitted(clip, config, tmp_path / "a.ds4d")
    asset, psnr = fitted(clip, config.replace(view_confidence=True), tmp_path / "b.ds4d")
    told = {k: view["confidence"] for k, view in asset.provenance["generated_views"].items()}
    assert told.pop("view3") < 0.5 < min(told.values())
    assert psnr > without + 0.7


def test_what_single_views_add_on_their_own_hurts_less_if_it_is_not_believed(
    tmp_path: Path,
) -> None:
    clip = generated_clip(held_out=TEST_AZIMUTHS, patched=(1, 3, 5))
    config = ALONE.replace(iterations=600)
    _, without = fitted(clip, config, tmp_path / "a.ds4d")
    _, psnr = fitted(clip, config.replace(view_robust=True), tmp_path / "b.ds4d")
    assert psnr > without + 0.5


def test_a_camera_that_stands_elsewhere_is_put_right(tmp_path: Path) -> None:
    off_by = 8.0
    clip = generated_clip(held_out=TEST_AZIMUTHS, really={2: (90 + off_by, ELEVATIONS[1])})
    config = ALONE.replace(iterations=900)
    _, without = fitted(clip, config, tmp_path / "a.ds4d")
    asset, psnr = fitted(clip, config.replace(camera_correction=True), tmp_path / "b.ds4d")
    turned = {k: v["turned_degrees"] for k, v in asset.provenance["generated_views"].items()}
    assert abs(turned.pop("view2") - off_by) < 0.6 * off_by
    assert max(turned.values()) < 1.0
    assert psnr > without + 1.5


def test_resuming_equals_an_uninterrupted_fit(tmp_path: Path) -> None:
    clip = generated_clip(frames=3, size=32, repainted=(3,))
    config = TINY.replace(iterations=160)
    fit(clip, config, tmp_path / "whole.ds4d")
    steps = iter(range(1, 1000))
    fit(clip, config, tmp_path / "halves.ds4d", should_stop=lambda: next(steps) == 90)
    fit(clip, config, tmp_path / "halves.ds4d", resume=True)
    whole, halves = read_asset(tmp_path / "whole.ds4d"), read_asset(tmp_path / "halves.ds4d")
    for name in ("means", "sh0", "opacities", "observed"):
        np.testing.assert_array_equal(getattr(whole.dynamic, name), getattr(halves.dynamic, name))
    assert whole.provenance["generated_views"] == halves.provenance["generated_views"]


@pytest.mark.parametrize(
    "name", ["input_share", "view_confidence", "view_robust", "camera_correction"]
)
def test_settings_for_generated_views_are_refused_where_there_are_none(
    name: str, tmp_path: Path
) -> None:
    value = 0.3 if name == "input_share" else True
    config = FitConfig(threads=1, backend="cpu").replace(**{name: value})
    with pytest.raises(ConfigError, match=f"{name} is for views"):
        fit(moving_blob(frames=2), config, tmp_path / "a.ds4d")


# ------------------------------------------------------------------ the parts


def views_of(clip: Dataset, config: FitConfig = TINY) -> GeneratedViews:
    return GeneratedViews(scene_of(clip), config)


def scene_of(clip: Dataset):
    return build_scene(clip, "linear", np.zeros(3), 1.0, torch.device("cpu"))


def splats_of(frame: int = 0) -> Splats:
    means, quats, scales, opacities, colors = figure(frame, 3)
    sh0 = (encode_srgb(colors) - 0.5) / 0.28209479177387814
    return Splats(means, quats, scales, opacities, sh0[:, None])


def test_only_views_beside_the_clip_are_generated() -> None:
    assert generated_clip(frames=2, size=16).generated.tolist() == [False] + [True] * 6
    assert not moving_blob(frames=2).generated.any()


def test_no_correction_changes_nothing_and_none_reaches_the_clip() -> None:
    views = views_of(generated_clip(frames=2, size=16))
    splats = splats_of()
    assert views.corrected(splats, 0) is splats and views.prior(0) is None
    same = views.corrected(splats, 1)
    torch.testing.assert_close(same.means, splats.means)
    torch.testing.assert_close(same.quats, splats.quats)


def test_a_correction_draws_what_the_camera_moved_the_other_way_sees() -> None:
    clip = generated_clip(frames=2, size=48)
    views, scene = views_of(clip), scene_of(clip)
    pose = torch.tensor([0.1, -0.2, 0.15, 0.05, 0.02, -0.03])
    views.poses[0].data.copy_(pose)
    moved = views.corrected(splats_of(), 1)
    from scipy.spatial.transform import Rotation

    rigid = np.eye(4)
    rigid[:3, :3] = Rotation.from_rotvec(pose[:3].numpy()).as_matrix()
    rigid[:3, 3] = pose[3:].numpy()
    camera = dataclasses.replace(
        scene.views[1].camera, viewmat=scene.views[1].camera.viewmat @ rigid
    )
    other = dataclasses.replace(
        scene.views[1], viewmat=torch.tensor(camera.viewmat, dtype=torch.float32)
    )
    nothing = {"shN": torch.zeros(len(moved.means), 0, 3)}

    def drawn(splats: Splats, view) -> torch.Tensor:
        with torch.no_grad():
            parameters = nothing | {"sh0": splats.sh0}
            return render_view(parameters, splats, view, blend="linear", backend="cpu").colors

    torch.testing.assert_close(
        drawn(moved, scene.views[1]), drawn(splats_of(), other), atol=1e-4, rtol=1e-3
    )


def test_the_clip_is_looked_at_as_often_as_asked() -> None:
    scene = scene_of(generated_clip(frames=3, size=16))
    rng = np.random.default_rng(0)
    config = TINY.replace(input_share=0.4)
    looks = [draw(rng, scene, Window(0, 3), True, config).view for _ in range(2000)]
    assert np.mean(np.array(looks) == 0) == pytest.approx(0.4, abs=0.04)
    assert set(looks) == set(range(7))


def test_confidence_is_the_median_residual_over_a_views_own() -> None:
    views = views_of(generated_clip(frames=2, size=16))
    for view, residual in enumerate((0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4)):
        if view:
            views._note(view, residual)
    assert views.confidence(6) == pytest.approx(0.25)
    assert [views.confidence(v) for v in range(6)] == [1.0] * 6
