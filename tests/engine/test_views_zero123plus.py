# SPDX-License-Identifier: GPL-3.0-or-later
"""Zero123++ on tiny random weights in its true folder layout: the path that a user's weights take.

The published weights were never run here (docs/views.md).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ds4d_engine.priors.diffusers_folder import quiet_libraries
from ds4d_engine.seam import events
from ds4d_engine.seam.errors import DatasetError
from ds4d_engine.seam.events import Progress
from ds4d_engine.views import ViewOptions
from ds4d_engine.views.reference_attention import Anchor, AttentionState, install
from ds4d_engine.views.zero123plus import Zero123PlusViews
from ds4d_engine.views.zero123plus_model import (
    Sampling,
    Zero123Plus,
    load_zero123plus,
    on_grey,
)
from tests.engine.view_scenes import disc, single_clip

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
from tests.engine.tiny_diffusers import folder_at, write_zero123plus

CELL = 16
SAMPLING = Sampling(steps=2, guidance=4.0, seed=3, cell=CELL)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zero123plus(tmp_path_factory.mktemp("zero123plus"))


@pytest.fixture
def own(weights: Path, tmp_path: Path) -> Path:
    """A copy of the weights that a test may damage."""
    return Path(shutil.copytree(weights, tmp_path / "own"))


@pytest.fixture(scope="module")
def model(weights: Path) -> Zero123Plus:
    return load_zero123plus(folder_at(weights), CPU)


def pictures(count: int = 3, size: int = 24) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    made = rng.integers(0, 255, (count, size, size, 4)).astype(np.uint8)
    for t in range(count):
        made[t, ..., 3] = disc(size, 0.4 + 0.1 * t, 0.5, 0.3)
    return made


def provider(weights: Path, cache: Path, **options: Any) -> Zero123PlusViews:
    chosen = {"provider": "zero123plus", "weights": weights, "cache": cache, "steps": 2, **options}
    return Zero123PlusViews(ViewOptions(**chosen), folder_at(weights), CELL)


def test_a_picture_becomes_a_grid_of_three_rows_and_two_columns(model: Zero123Plus) -> None:
    grid = model.generate(pictures()[0], SAMPLING)
    assert grid.shape == (3 * CELL, 2 * CELL, 3)
    assert grid.dtype == np.uint8
    assert grid.std() > 5


def test_the_same_seed_gives_the_same_views_and_another_seed_others(model: Zero123Plus) -> None:
    picture = pictures()[0]
    first = model.generate(picture, SAMPLING)
    assert np.array_equal(first, model.generate(picture, SAMPLING))
    other = model.generate(picture, Sampling(2, 4.0, 4, CELL))
    assert (first != other).mean() > 0.5


def test_views_depend_on_the_picture_and_the_guidance(model: Zero123Plus) -> None:
    first, second = pictures()[:2]
    views = model.generate(first, SAMPLING)
    assert (views != model.generate(second, SAMPLING)).mean() > 0.5
    assert (views != model.generate(first, Sampling(2, 1.0, 3, CELL))).mean() > 0.5


def test_the_input_lies_on_grey() -> None:
    picture = np.array([[[200, 100, 0, 255], [200, 100, 0, 0]]], np.uint8)
    assert on_grey(picture).tolist() == [[[200, 100, 0], [127, 127, 127]]]


def test_the_loop_agrees_with_diffusers_own(weights: Path, model: Zero123Plus) -> None:
    """An independent loop (StableDiffusionPipeline's) around a network that reads the input."""
    from diffusers import EulerAncestralDiscreteScheduler, StableDiffusionPipeline

    networks = model.networks
    noise = torch.Generator().manual_seed(SAMPLING.seed)
    rgb = on_grey(pictures()[0])
    scheduler = model._scheduler(SAMPLING.steps)
    assert isinstance(scheduler, EulerAncestralDiscreteScheduler)
    with torch.no_grad():
        condition = model._condition(rgb, noise)
        embeddings = model._embeddings(rgb)
    latents = torch.randn((1, 4, 3 * CELL // 2, 2 * CELL // 2), generator=noise)

    class Reading(torch.nn.Module):
        config, dtype, device = networks.unet.config, torch.float32, CPU

        def forward(self, sample: Any, time: Any, encoder_hidden_states: Any, **_: Any) -> Any:
            drawn = torch.randn(condition.shape, generator=noise)
            noisy = pipeline.scheduler.add_noise(condition, drawn, time.reshape(-1))
            scaled = pipeline.scheduler.scale_model_input(noisy, time)
            model._attend_to(scaled, time, encoder_hidden_states)
            return networks.unet(sample, time, encoder_hidden_states, return_dict=False)

    with quiet_libraries():
        pipeline = StableDiffusionPipeline(
            vae=networks.vae,
            text_encoder=networks.text_encoder,
            tokenizer=networks.tokenizer,
            unet=networks.unet,
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.unet = Reading()
        pipeline.set_progress_bar_config(disable=True)
        result = pipeline(
            prompt_embeds=embeddings[1:],
            negative_prompt_embeds=embeddings[:1],
            latents=latents,
            num_inference_steps=SAMPLING.steps,
            guidance_scale=SAMPLING.guidance,
            height=3 * CELL,
            width=2 * CELL,
            generator=noise,
            output_type="latent",
        ).images
    with torch.no_grad():
        expected = model._decode(result)
    found = model.generate(pictures()[0], SAMPLING)
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_reading_layers_attend_to_their_own_tokens_and_the_inputs() -> None:
    state = AttentionState()
    state.writing = True
    left = torch.randn(1, 3, 8)
    assert torch.equal(state.context("layer", left), left)
    state.writing = False
    own = torch.randn(1, 5, 8)
    assert torch.equal(state.context("layer", own), torch.cat([own, left], 1))
    assert not state.reference


def test_other_frames_attend_to_the_mean_of_their_tokens_and_the_first_frames() -> None:
    anchor = Anchor()
    state = AttentionState(anchor=anchor)
    first, second, left = (torch.randn(1, 5, 8) for _ in range(3))
    state.reference["layer"] = left
    assert torch.equal(state.context("layer", first)[:, :5], first)
    anchor.recording = False
    state.reference["layer"] = left
    assert torch.allclose(state.context("layer", second)[:, :5], (first + second) / 2)


def test_the_first_frame_attends_to_itself_unchanged(model: Zero123Plus) -> None:
    picture, other = pictures()[:2]
    alone, other_alone = (model.generate(p, SAMPLING) for p in (picture, other))
    anchor = Anchor()
    assert np.array_equal(model.generate(picture, SAMPLING, anchor), alone)
    assert len(anchor.tokens) == SAMPLING.steps
    again = model.generate(picture, SAMPLING, anchor)
    assert np.abs(again.astype(int) - alone.astype(int)).max() <= 1
    assert (model.generate(other, SAMPLING, anchor) != other_alone).any()


def test_half_precision_draws_nearly_the_same(weights: Path, model: Zero123Plus) -> None:
    halved = load_zero123plus(folder_at(weights), CPU, half=True)
    assert halved.dtype == torch.float16
    first, second = pictures()[:2]
    exact, anchor = model.generate(first, SAMPLING), Anchor()
    rounded = halved.generate(first, SAMPLING, anchor)
    assert np.abs(rounded.astype(int) - exact.astype(int)).mean() < 2
    assert halved.generate(second, SAMPLING, anchor).shape == exact.shape


def test_the_first_frame_keeps_108_megabytes_a_step_at_the_published_sizes() -> None:
    """The published network's shapes, without its numbers; docs/views.md states the figure."""
    from diffusers import UNet2DConditionModel

    class Counted(AttentionState):
        values = 0

        def context(self, layer: str, tokens: torch.Tensor) -> torch.Tensor:
            self.values += 0 if self.writing else tokens.numel()
            return super().context(layer, tokens)

    with torch.device("meta"):
        unet = UNet2DConditionModel(
            attention_head_dim=(5, 10, 20, 20),
            block_out_channels=(320, 640, 1280, 1280),
            cross_attention_dim=1024,
            use_linear_projection=True,
        )
        state = Counted()
        install(unet, state)
        prompt, time = torch.empty(2, 77, 1024), torch.tensor(1.0)
        state.writing = True
        unet(torch.empty(2, 4, 64, 64), time, prompt)
        state.writing = False
        views = unet(torch.empty(2, 4, 120, 80), time, prompt).sample
    assert views.shape == (2, 4, 120, 80)
    assert round(state.values * 2 / 1e6) == 108


def test_what_was_generated_is_taken_from_the_cache(weights: Path, tmp_path: Path) -> None:
    first: list[Progress] = []
    grids = provider(weights, tmp_path).generate(pictures(), first.append)
    assert {event.stage for event in first} == {"load Zero123++ v1.1", "generate views"}
    assert first[-1].done == first[-1].total == 3 * 2
    again: list[Progress] = []
    assert np.array_equal(provider(weights, tmp_path).generate(pictures(), again.append), grids)
    assert not again
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_killed_run_goes_on_to_the_same_views(weights: Path, tmp_path: Path, kept: int) -> None:
    whole = provider(weights, tmp_path / "whole").generate(pictures())

    def kill(event: Progress) -> None:
        if event.stage == "generate views" and event.done > 2 * kept:
            raise KeyboardInterrupt

    broken = provider(weights, tmp_path / "broken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "MIN_SECONDS_BETWEEN", 0.0)
        with pytest.raises(KeyboardInterrupt):
            broken.generate(pictures(), kill)
    left = sorted((tmp_path / "broken").glob("*")) if kept else []
    assert len(left) == kept
    assert np.array_equal(provider(weights, tmp_path / "broken").generate(pictures()), whole)


@pytest.mark.parametrize(
    "options",
    [{"seed": 1}, {"steps": 3}, {"guidance": 2.0}, {"share_attention": False}],
    ids=str,
)
def test_other_settings_have_pictures_of_their_own(
    weights: Path, tmp_path: Path, options: dict
) -> None:
    usual = provider(weights, tmp_path)._paths(pictures())
    assert usual[1] != provider(weights, tmp_path, **options)._paths(pictures())[1]


def test_other_weights_have_pictures_of_their_own(own: Path, tmp_path: Path) -> None:
    before = provider(own, tmp_path)._paths(pictures())
    path = own / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors["conv_in.weight"] = tensors["conv_in.weight"] + 1
    save_file(tensors, path, {"format": "pt"})
    assert not set(before) & set(provider(own, tmp_path)._paths(pictures()))


def test_colours_under_transparent_pixels_do_not_matter(weights: Path, tmp_path: Path) -> None:
    one = pictures()
    other = np.where(one[..., 3:] == 0, np.uint8(9), one)
    other[..., 3] = one[..., 3]
    made = provider(weights, tmp_path)
    assert made._paths(one) == made._paths(other)


def test_noise_instead_of_views_is_one_sentence(weights: Path, tmp_path: Path) -> None:
    """Random weights draw noise: no picture has a plain background."""
    clip = single_clip([disc(24, 0.5, 0.5, 0.3)] * 2)
    said: list[Progress] = []
    with pytest.raises(DatasetError, match=r"az30_el\+30 has no usable frame"):
        provider(weights, tmp_path).views(clip, said.append)
    assert said[-1].values["lost"] == 12


def test_views_on_plain_grey_join_the_clip(own: Path, tmp_path: Path) -> None:
    path = own / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    for name in ("decoder.conv_out.weight", "decoder.conv_out.bias"):
        tensors[name] = torch.zeros_like(tensors[name])
    save_file(tensors, path, {"format": "pt"})
    clip = single_clip([disc(24, 0.5, 0.5, 0.3)] * 2)
    result = provider(own, tmp_path).views(clip)
    assert len(result.cameras) == 7
    assert result.present.all()
    assert result.images[1].shape == (2, CELL, CELL, 4)
    assert (result.images[1][..., :3] == 128).all()
    assert (result.images[1][..., 3] == 0).all()
