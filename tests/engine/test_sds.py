# SPDX-License-Identifier: GPL-3.0-or-later
"""Score distillation: its gradient against formulas, and the true folder layouts in miniature."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.priors.diffusers_folder import DiffusersFolder, PictureInput
from ds4d_engine.priors.sds import (
    Reference,
    SdsSettings,
    Zero123Guidance,
    Zero123Networks,
    check_zero123,
    load_zero123,
    relative_cameras,
)
from ds4d_engine.seam.errors import ConfigError

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
from tests.engine.tiny_diffusers import save_unet, write_json, write_zero123

ALPHAS = torch.linspace(0.99, 0.01, 1000)
SIDE = 8


class PlainVae:
    """Latents are the picture's values in -1..1, with a fourth channel of zeros."""

    config = SimpleNamespace(scaling_factor=1.0)

    def encode(self, pixels: Tensor) -> Any:
        latents = torch.cat([pixels, torch.zeros_like(pixels[:, :1])], 1)
        kind = SimpleNamespace(sample=lambda generator=None: latents, mode=lambda: latents)
        return SimpleNamespace(latent_dist=kind)


class Denoiser:
    """Predicts the noise that would lie on `goal`; without a condition, that on zero."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, goal: Tensor) -> None:
        self.goal = goal

    def __call__(self, inputs: Tensor, levels: Tensor, told: Tensor) -> Any:
        alphas = ALPHAS[levels].view(-1, 1, 1, 1)
        half = len(inputs) // 2
        goal = torch.cat([self.goal.expand(half, -1, -1, -1), torch.zeros_like(inputs[half:, :4])])
        noise = (inputs[:, :4] - alphas.sqrt() * goal) / (1 - alphas).sqrt()
        return SimpleNamespace(sample=noise)


def guidance(goal: Tensor, amount: float = 1.0) -> Zero123Guidance:
    layer = torch.nn.Linear(8 + 4, 8)
    layer.weight.data = torch.eye(8, 12).roll(4, 1)
    layer.bias.data.zero_()
    networks = Zero123Networks(
        unet=Denoiser(goal),
        vae=PlainVae(),
        image_encoder=None,
        projection=layer,
        alphas=ALPHAS,
        for_clip=PictureInput(8, (0.5,) * 3, (0.5,) * 3, 3),
    )
    return Zero123Guidance(networks, SdsSettings(guidance=amount, size=SIDE))


def reference() -> Reference:
    return Reference(torch.zeros(1, 1, 8), torch.zeros(1, 4, SIDE, SIDE))


def latents_of(render: Tensor) -> Tensor:
    return PlainVae().encode(render * 2 - 1).latent_dist.sample()


def gradient(guide: Zero123Guidance, render: Tensor, seed: int = 0, part: float = 0.5) -> Tensor:
    render = render.clone().requires_grad_(True)
    generator = torch.Generator().manual_seed(seed)
    guide.step(render, reference(), torch.zeros(len(render), 3), part, generator).backward()
    assert render.grad is not None
    return render.grad


def test_a_render_that_is_what_the_model_expects_is_left_alone() -> None:
    render = torch.rand(2, 3, SIDE, SIDE)
    guide = guidance(latents_of(render))
    guide.networks.unet.goal = latents_of(render)
    # float32 leaves rounding of noise divided by small sigmas
    assert gradient(guide, render).abs().max() < 1e-4


def test_the_gradient_is_weight_times_predicted_minus_added_noise() -> None:
    render, wish = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 3, SIDE, SIDE)
    found = gradient(guidance(latents_of(wish)), render, seed=4)
    low, high = SdsSettings().levels(0.5, 1000)
    level = torch.randint(low, high + 1, (1,), generator=torch.Generator().manual_seed(4))
    alpha = ALPHAS[level]
    # predicted - added = sqrt(a / (1 - a)) (x - goal), weight 1 - a; latents are twice the render
    expected = (1 - alpha) * (alpha / (1 - alpha)).sqrt() * 2 * (render - wish) * 2
    assert torch.allclose(found, expected, atol=1e-4)


def test_guidance_goes_beyond_the_condition() -> None:
    render, wish = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 3, SIDE, SIDE)
    goal = latents_of(wish)
    amplified = guidance(3.0 * goal)
    assert torch.allclose(
        gradient(guidance(goal, amount=3.0), render), gradient(amplified, render), atol=1e-3
    )


def test_descending_the_gradient_leads_to_the_expected_picture() -> None:
    torch.manual_seed(0)
    render, wish = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 3, SIDE, SIDE)
    guide = guidance(latents_of(wish))
    for step in range(60):
        render = render - 0.2 * gradient(guide, render, step, step / 60)
    assert (render - wish).abs().max() < 0.01


@pytest.mark.parametrize(
    ("part", "levels"), [(-1, (500, 950)), (0, (500, 950)), (0.5, (260, 725)), (1, (20, 500))]
)
def test_noise_levels_fall_with_the_fit(part: float, levels: tuple[int, int]) -> None:
    assert SdsSettings().levels(part, 1000) == levels


def test_the_camera_is_told_as_the_model_counts_it() -> None:
    """Up is a smaller polar angle; azimuth arrives as sine and cosine; the radius as it is."""
    guide = guidance(torch.zeros(1, 4, SIDE, SIDE))
    told = guide.condition(
        Reference(torch.zeros(1, 1, 8), torch.zeros(1, 4, SIDE, SIDE)),
        torch.tensor([[90.0, 30.0, 0.2]]),
    )
    # the fake projection puts the four camera numbers first
    embedded = guide.networks.projection(torch.eye(12)[8:])
    numbers = torch.linalg.lstsq(embedded.T, told[0, 0][:, None]).solution[:, 0]
    wanted = torch.tensor([-math.pi / 6, 1.0, 0.0, 0.2])
    assert torch.allclose(numbers, wanted, atol=1e-5)


def test_relative_cameras_undo_the_orbit() -> None:
    angles = [(30.0, 20.0, 2.0), (-90.0, -10.0, 2.5), (0.0, 0.0, 2.0), (170.0, 60.0, 1.5)]
    cameras = [
        orbit_camera(str(i), 8, azimuth_degrees=a, elevation_degrees=e, radius=r)
        for i, (a, e, r) in enumerate(angles)
    ]
    wanted = torch.tensor(angles) - torch.tensor([0.0, 0.0, 2.0])
    assert torch.allclose(relative_cameras(cameras), wanted, atol=1e-4)


# --- Tiny random weights in the published layouts; the published weights were never run here.


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zero123(tmp_path_factory.mktemp("zero123"))


@pytest.fixture
def own(weights: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(weights, tmp_path / "own"))


def load(folder: Path) -> Zero123Guidance:
    return Zero123Guidance.load(folder, device="cpu", settings=SdsSettings(size=16))


def checked(folder: Path) -> None:
    check_zero123(DiffusersFolder(folder, "Zero123-XL", "https://example.org/zero123"))


CAMERAS = torch.tensor([[30.0, 10.0, 0.0], [200.0, -20.0, 0.0]])


@pytest.mark.parametrize("projection", ["clip_camera_projection", "cc_projection"])
def test_both_published_layouts_load_and_give_a_gradient(projection: str, tmp_path: Path) -> None:
    guide = load(write_zero123(tmp_path / "weights", projection))
    known = guide.reference(torch.rand(2, 3, 20, 20))
    assert known.embeddings.shape == (2, 1, 32)
    assert known.latents.shape == (2, 4, 8, 8)
    render = torch.rand(2, 3, 24, 24, requires_grad=True)
    value = guide.step(render, known, CAMERAS, 0.3, torch.Generator().manual_seed(0))
    value.backward()
    assert value.shape == ()
    assert render.grad is not None
    assert torch.isfinite(render.grad).all()
    assert (render.grad != 0).float().mean() > 0.9


def test_the_same_generator_gives_the_same_value(weights: Path) -> None:
    guide = load(weights)
    known = guide.reference(torch.rand(1, 3, 20, 20))
    render = torch.rand(2, 3, 24, 24)

    def value(seed: int, cameras: Tensor = CAMERAS, part: float = 0.3) -> float:
        generator = torch.Generator().manual_seed(seed)
        return float(guide.step(render, known, cameras, part, generator))

    assert value(0) == value(0)
    assert value(0) != value(1)
    assert value(0) != value(0, CAMERAS + 40)
    assert value(0) != value(0, part=0.9)


def test_half_precision_gives_a_finite_gradient_in_the_renders_own(weights: Path) -> None:
    folder = DiffusersFolder(weights, "Zero123-XL", "")
    networks = load_zero123(folder, torch.device("cpu"), half=True)
    guide = Zero123Guidance(networks, SdsSettings(size=16))
    render = torch.rand(2, 3, 24, 24, requires_grad=True)
    known = guide.reference(torch.rand(1, 3, 20, 20))
    guide.step(render, known, CAMERAS, 0.3, torch.Generator().manual_seed(0)).backward()
    assert guide.dtype == torch.float16
    assert render.grad is not None
    assert render.grad.dtype == torch.float32
    assert torch.isfinite(render.grad).all()


def test_a_reference_may_be_picked_per_render(weights: Path) -> None:
    guide = load(weights)
    known = guide.reference(torch.rand(3, 3, 20, 20))
    picked = known.pick([2, 0])
    assert torch.equal(picked.latents[0], known.latents[2])
    assert torch.equal(picked.embeddings[1], known.embeddings[0])


def test_a_unet_of_four_channels_is_one_sentence(own: Path) -> None:
    shutil.rmtree(own / "unet")
    save_unet(own / "unet", 4, False)
    with pytest.raises(ConfigError, match=r"takes 4 channels, but that of Zero123-XL takes 8"):
        checked(own)


def test_a_folder_without_camera_layer_is_one_sentence(own: Path) -> None:
    shutil.rmtree(own / "clip_camera_projection")
    with pytest.raises(ConfigError, match=r"has no clip_camera_projection"):
        checked(own)


def test_a_camera_layer_of_another_width_is_one_sentence(own: Path) -> None:
    from safetensors.torch import save_file

    layer = torch.nn.Linear(20, 16)
    save_file(
        {"proj.weight": layer.weight.data, "proj.bias": layer.bias.data},
        own / "clip_camera_projection" / "diffusion_pytorch_model.safetensors",
    )
    with pytest.raises(ConfigError, match=r"is 16 x 20, not 32 x 36"):
        load(own)


def test_a_model_that_predicts_velocity_is_one_sentence(own: Path) -> None:
    name = "scheduler/scheduler_config.json"
    settings = DiffusersFolder(own, "Zero123-XL", "").settings(name)
    write_json(own / name, {**settings, "prediction_type": "v_prediction"})
    with pytest.raises(ConfigError, match=r"predicts 'v_prediction', but Zero123-XL"):
        checked(own)


def test_a_pickle_is_refused(own: Path) -> None:
    path = own / "clip_camera_projection" / "diffusion_pytorch_model.safetensors"
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(ConfigError, match=r"never loaded; convert it"):
        load(own)


def test_another_models_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model_index.json, so it is no folder of Zero123-XL"):
        load(tmp_path)
