# SPDX-License-Identifier: GPL-3.0-or-later
"""The network motion models: HexPlane alone, and DS4D as published."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ds4d_engine.features import ClipFeatures, TokenGrids
from ds4d_engine.motion import Clip, Motion, build_motion
from ds4d_engine.motion.hexplane import HexPlane, PlanePenalty, encode
from ds4d_engine.motion.networks import NETWORKS
from ds4d_engine.motion.paper import PaperMotion, bracket, of_unit_size
from ds4d_engine.seam.cameras import Camera
from ds4d_engine.seam.errors import ConfigError, EngineError

FRAMES, COUNT = 5, 30


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tensors this small take a hundred times longer where threads must wait for each other."""
    torch.set_num_threads(1)


def features() -> ClipFeatures:
    cameras = []
    for turn in (1.0, -1.0):
        viewmat = np.diag([turn, 1.0, turn, 1.0])
        viewmat[2, 3] = 4
        K = np.array([[40.0, 0, 16], [0, 40.0, 16], [0, 0, 1]])
        cameras.append(Camera(f"camera {turn}", K, viewmat, 32, 32))
    grids = TokenGrids.tile([(8, 8)] * 2, [(32, 32)] * 2)
    tokens = torch.randn(FRAMES, grids.count, 6, generator=torch.Generator().manual_seed(0))
    return ClipFeatures(tokens, grids, tuple(cameras))


def clip() -> Clip:
    times = np.linspace(0, 1, FRAMES).tolist()
    return Clip(times=times, middle=FRAMES // 2, features=features())


def splats() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {"means": (torch.rand(COUNT, 3, generator=generator) - 0.5).requires_grad_()}


VISIBLE = torch.ones(2, COUNT, dtype=torch.bool)


def build(name: str, **settings: Any) -> Motion:
    torch.manual_seed(0)
    model = build_motion(name, clip(), **settings)
    model.refresh(splats(), VISIBLE)
    return model


def randomise(model: Motion) -> None:
    """Replace all parameters, as training would: zero layers hide everything before them."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))


MODELS = ["hexplane", "ds4d-paper"]


@pytest.mark.parametrize("name", MODELS)
def test_zero_initialised_deformation_is_identity(name: str) -> None:
    model = build(name)
    for time in (0.0, 0.37, 1.0):
        deltas = model(splats(), time)
        moved = (deltas.d_means, deltas.d_quats, deltas.d_scales)
        for delta, width in zip(moved, (3, 4, 3), strict=True):
            assert torch.equal(delta, torch.zeros(COUNT, width))
        assert deltas.d_sh0 is None and deltas.d_opacities is None


@pytest.mark.parametrize("name", MODELS)
def test_motion_is_continuous_in_time(name: str) -> None:
    model = build(name)
    randomise(model)
    with torch.no_grad():
        path = torch.stack([model(splats(), t).d_means for t in np.linspace(0, 1, 201)])
    steps = path.diff(dim=0).abs()
    assert steps.mean() > 0
    assert steps.max() < 0.1 * (path.amax() - path.amin())


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_has_one_group_and_a_gradient(name: str) -> None:
    model = build(name)
    grouped = [p for group in model.network_groups() for p in group["params"]]
    assert {id(p) for p in grouped} == {id(p) for p in model.parameters()}
    assert len(grouped) == len({id(p) for p in grouped})
    randomise(model)
    deltas = model(splats(), 0.3)
    sum(delta.square().sum() for delta in deltas if delta is not None).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_deformation_does_not_pull_on_the_canonical_means(name: str) -> None:
    model = build(name)
    randomise(model)
    values = splats()
    model(values, 0.3).d_means.sum().backward()
    assert values["means"].grad is None


@pytest.mark.parametrize("name", MODELS)
def test_adam_learns_a_translation(name: str) -> None:
    model = build(name)
    optimizer = torch.optim.Adam(model.network_groups())
    target = torch.tensor([0.1, -0.2, 0.05])
    for _ in range(60):
        loss = (model(splats(), 0.8).d_means - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05 * target.square().mean()


@pytest.mark.parametrize("name", MODELS)
def test_planes_are_penalised_only_when_asked(name: str) -> None:
    assert build(name).regularisation(splats()) == 0
    for weight in ("space_curvature", "time_curvature", "time_share"):
        model = build(name, **{weight: 0.1})
        randomise(model)
        assert model.regularisation(splats()) > 0


@pytest.mark.parametrize("name", MODELS)
def test_images_and_caches_stay_out_of_the_state(name: str) -> None:
    assert not {"tokens"} & set(build(name).state_dict())


def test_straight_planes_without_influence_of_time_cost_nothing() -> None:
    planes = HexPlane(bound=1, resolution=4, time_resolution=3, channels=2, scales=(1, 2))
    with torch.no_grad():
        for plane in planes.space:
            plane.copy_(torch.linspace(0, 1, plane.shape[-2])[:, None].expand_as(plane))
    torch.testing.assert_close(PlanePenalty(1, 1, 1).of(planes), torch.zeros(()))


def test_the_penalty_adds_up_the_means_of_all_planes() -> None:
    planes = HexPlane(bound=1, resolution=3, time_resolution=3, channels=1, scales=(1,))
    with torch.no_grad():
        planes.time[0][:, :, 1] = 1.5  # second difference -1 everywhere, a third is off by 0.5
    assert PlanePenalty(0, 1, 0).of(planes).item() == pytest.approx(3)
    assert PlanePenalty(0, 0, 1).of(planes).item() == pytest.approx(0.5)


def test_planes_multiply_their_bilinear_values() -> None:
    planes = HexPlane(bound=2.0, resolution=5, time_resolution=3, channels=1, scales=(1,))
    ramp = torch.linspace(-2, 2, 5)
    with torch.no_grad():
        planes.space[0][:] = ramp  # every plane of space holds its first axis
        planes.time[0][:] = torch.linspace(1, 3, 3)[:, None]
    point = torch.tensor([[0.7, -1.1, 1.9]])
    # Planes xy, xz, yz along their first axis: x * x * y; three planes of time: 1 + 2 t each.
    expected = 0.7 * 0.7 * -1.1 * (1 + 2 * 0.4) ** 3
    assert planes(point, 0.4).item() == pytest.approx(expected, rel=1e-5)


def test_the_published_sizes_build() -> None:
    field = build("hexplane", **NETWORKS["stag4d"]).field
    assert field.planes.channels == 128
    assert tuple(field.planes.space[0].shape) == (3, 32, 64, 64)
    assert field.join.in_features == 128
    field = build("hexplane", **NETWORKS["4dgs"]).field
    assert field.join.in_features == 64
    assert tuple(field.planes.time[1].shape) == (3, 32, FRAMES // 2, 128)


def test_encoding_has_the_announced_width() -> None:
    assert encode(torch.zeros(4, 3), 0.2, 3).shape == (4, 3 + 18 + 1 + 8)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        build("hexplane", resolution=0)
    with pytest.raises(ConfigError, match="no setting 'colour'"):
        build("hexplane", colour=1)


def test_features_between_frames_are_interpolated() -> None:
    model = build("ds4d-paper", fuse="mean")
    assert isinstance(model, PaperMotion)
    early, late = model.point_features(0.25)[0], model.point_features(0.5)[0]
    between = model.point_features(0.25 + 0.3 * 0.25)[0]
    torch.testing.assert_close(between, 0.7 * early + 0.3 * late)


@pytest.mark.parametrize("fuse", ["ga", "da", "mean", "off"])
@pytest.mark.parametrize("decoupled", [True, False])
def test_every_fusion_changes_with_the_images(fuse: str, decoupled: bool) -> None:
    model = build("ds4d-paper", fuse=fuse, decoupled=decoupled)
    assert isinstance(model, PaperMotion)
    randomise(model)
    before = model(splats(), 0.25).d_means
    model.tokens[1] += 1
    assert not torch.allclose(before, model(splats(), 0.25).d_means)


def test_channels_enter_the_network_alike_whatever_their_size() -> None:
    tokens = torch.randn(FRAMES, 50, 3) * torch.tensor([1.0, 1e-2, 0.0])
    scaled = of_unit_size(tokens).flatten(0, 1)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]))


def test_unseen_gaussians_move_by_place_and_time_alone() -> None:
    model = build("ds4d-paper")
    assert isinstance(model, PaperMotion)
    randomise(model)
    model.refresh(splats(), torch.zeros_like(VISIBLE))
    before = model(splats(), 0.25).d_means
    model.tokens[1] += 1
    assert torch.equal(before, model(splats(), 0.25).d_means)


def test_forgotten_refreshes_are_reported() -> None:
    model = build_motion("ds4d-paper", clip())
    with pytest.raises(EngineError, match="Refresh the motion model"):
        model(splats(), 0.1)
    model = build("ds4d-paper")
    with pytest.raises(EngineError, match="refreshed for 30 Gaussians but got 7"):
        model({"means": torch.zeros(7, 3)}, 0.1)


def test_features_of_another_clip_are_refused() -> None:
    times = np.linspace(0, 1, 9).tolist()
    with pytest.raises(ConfigError, match="cover 5 frames but the clip has 9"):
        build_motion("ds4d-paper", Clip(times=times, middle=4, features=features()))


def test_bracket_finds_the_frames_around_a_time() -> None:
    times = (0.0, 0.25, 1.0)
    assert bracket(times, -0.1) == (0, 0, 0.0)
    assert bracket(times, 0.25) == (1, 1, 0.0)
    assert bracket(times, 2.0) == (2, 2, 0.0)
    first, second, share = bracket(times, 0.55)
    assert (first, second) == (1, 2)
    assert share == pytest.approx(0.4)
    assert bracket((0.5,), 0.2) == (0, 0, 0.0)
