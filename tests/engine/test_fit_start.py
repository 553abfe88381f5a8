# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a fit of one clip starts from a file, and which Gaussians it says the source showed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from ds4d_engine.data import Dataset
from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.fit.observed import observed_gaussians, shown_share
from ds4d_engine.fit.scene import build_scene
from ds4d_engine.fit.splats import activate
from ds4d_engine.fit.start import start_gaussians
from ds4d_engine.motion import Clip, build_motion
from ds4d_engine.seam.asset import read_asset
from ds4d_engine.seam.errors import DatasetError
from ds4d_engine.seam.events import Progress
from tests.engine.generated_clip import generated_clip
from tests.engine.view_scenes import disc, single_clip

SIZE = 64
CLIP = FitConfig.preset_named("draft", "clip").replace(
    iterations=60,
    gaussians=1500,
    max_gaussians=2500,
    nodes=20,
    threads=1,
    backend="cpu",
    checkpoint_seconds=0,
)


def ball_clip(frames: int = 3) -> Dataset:
    """An egg that moves to the right, as one clip."""
    return single_clip([disc(SIZE, 0.5 + 0.02 * (t - 1), 0.5, 0.3) for t in range(frames)])


def egg(path: Path) -> Path:
    """A red ball far from the origin, of another size, as another program may write it."""
    ball = trimesh.creation.icosphere(radius=7.0)
    ball.apply_translation([100, 20, -5])
    ball.visual.face_colors = [220, 80, 30, 255]
    ball.export(path)
    return path


def scene_of(clip: Dataset):
    return build_scene(clip, "linear", np.zeros(3), 1.0, torch.device("cpu"))


def test_a_file_is_laid_over_the_clips_middle_frame(tmp_path: Path) -> None:
    heard: list[Progress] = []
    config = CLIP.replace(init=str(egg(tmp_path / "egg.ply")))
    start = start_gaussians(scene_of(ball_clip()), config, heard.append)
    said = [event for event in heard if event.stage == "start"][-1]
    assert said.values["iou"] > 0.85 and "egg.ply overlaps the middle frame" in said.message
    radius = start.means.norm(dim=1)
    assert float(radius.max()) < 0.75 and float(radius.min()) > 0.35
    assert float(start.means.mean(0).norm()) < 0.06
    expected = torch.tensor([220, 80, 30]) / 255
    assert float((start.colors - expected).abs().max()) < 0.05
    pixel = 2 / scene_of(ball_clip()).views[0].camera.K[0, 0]
    assert 0.3 * pixel < float(start.sigmas[0]) < 1.2 * pixel


def test_a_doubtful_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trimesh.creation.box(extents=(10, 0.5, 0.5)).export(tmp_path / "bar.ply")
    monkeypatch.setattr("ds4d_engine.priors.geometry.DOUBTFUL_IOU", 0.95)
    heard: list[Progress] = []
    start_gaussians(
        scene_of(ball_clip()), CLIP.replace(init=str(tmp_path / "bar.ply")), heard.append
    )
    assert "another object or pose" in [e for e in heard if e.stage == "start"][-1].message


def test_a_file_needs_the_clips_own_masks(tmp_path: Path) -> None:
    clip = ball_clip()
    clip.has_alpha = False
    with pytest.raises(DatasetError, match="has no masks"):
        start_gaussians(scene_of(clip), CLIP.replace(init=str(egg(tmp_path / "egg.ply"))))


def test_nodes_move_geometry_from_a_file(tmp_path: Path) -> None:
    config = CLIP.replace(init=str(egg(tmp_path / "egg.ply")))
    fit(ball_clip(), config, tmp_path / "a.ds4d")
    asset = read_asset(tmp_path / "a.ds4d")
    assert len(asset.static) + len(asset.dynamic) >= 1500
    path = asset.motion.means.mean(1)
    assert path[-1, 0] - path[0, 0] > 0.02


def sphere(radius: float, count: int) -> torch.Tensor:
    torch.manual_seed(0)
    return radius * torch.nn.functional.normalize(torch.randn(count, 3), dim=-1)


def parameters_of(means: torch.Tensor) -> dict[str, torch.Tensor]:
    count = len(means)
    return {
        "means": means,
        "quats": torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1),
        "scales": torch.full((count, 3), 0.03).log(),
        "opacities": torch.full((count,), 4.0),
        "sh0": torch.zeros(count, 1, 3),
        "shN": torch.zeros(count, 0, 3),
    }


def observed_on_a_ball(clip: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """Observed [N] of a ball's Gaussians, and how much they face the clip's camera (1 to -1)."""
    scene, means = scene_of(clip), sphere(0.5, 4000)
    motion = build_motion("spline", Clip(tuple(scene.times), scene.middle), knots=4)
    parameters = parameters_of(means) | motion.per_gaussian(len(means))
    return observed_gaussians(parameters, motion, scene, "cpu"), -means[:, 1] / 0.5


def test_the_side_that_faces_the_clips_camera_is_observed_and_the_back_is_not() -> None:
    seen, facing = observed_on_a_ball(ball_clip())
    assert float(seen[facing > 0.7].mean()) == 1.0
    assert float(seen[facing < 0].mean()) == 0.0


def test_what_only_generated_views_show_is_not_observed() -> None:
    seen, facing = observed_on_a_ball(generated_clip(frames=2, size=SIZE))
    assert float(seen[facing > 0.7].mean()) == 1.0
    assert float(seen[facing < 0].mean()) == 0.0


def test_real_cameras_all_observe() -> None:
    clip = generated_clip(frames=2, size=SIZE)
    clip.source = "videos"
    seen, _ = observed_on_a_ball(clip)
    assert float(seen.mean()) > 0.8


def test_the_share_that_shows_is_whole_alone_and_little_behind_a_surface() -> None:
    means = torch.tensor([[0.0, 0.0, 0.0], [0.0, -0.5, 0.0], [0.5, 0.0, 0.5]])
    parameters = parameters_of(means)
    splats = activate(parameters, None, 0.0)
    shares = shown_share(splats, scene_of(ball_clip()).views[0].camera, "cpu")
    torch.testing.assert_close(shares[1:], torch.ones(2), atol=0.05, rtol=0)
    assert float(shares[0]) < 0.6


def test_the_asset_carries_what_was_observed(tmp_path: Path) -> None:
    fit(ball_clip(), CLIP.replace(iterations=5), tmp_path / "a.ds4d")
    asset = read_asset(tmp_path / "a.ds4d")
    observed = np.concatenate([asset.static.observed, asset.dynamic.observed])
    depths = np.concatenate([asset.static.means, asset.dynamic.means])[:, 1]
    assert observed[depths < -0.1].mean() > 0.9
    assert observed[depths > 0.1].mean() < 0.05
