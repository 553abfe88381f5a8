# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare an asset with the source pictures of a dataset's cameras."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .metrics import (
    FloatImage,
    Mask,
    TemporalDeviation,
    TemporalSpan,
    composite_source,
    squared_error,
    ssim,
    ssim_map,
    temporal_error,
)
from .motion_error import Tracks, motion_error
from .perceptual import Perceptual
from .render import composite, gaussians_at, render_gaussians
from .scores import Evaluation, Flicker, ImageScore, finite
from .seam.asset import Asset
from .seam.cameras import Camera
from .seam.errors import ConfigError, DatasetError
from .seam.events import Listener, Stage, silent

if TYPE_CHECKING:
    from .data import Dataset

__all__ = ["Evaluation", "evaluate", "finite"]

WHITE, BLACK = 1.0, 0.0

Pair = tuple[FloatImage, FloatImage]
"""A render on white and the source on white."""


def evaluate(
    asset: Asset,
    dataset: Dataset,
    *,
    split: str = "test",
    backend: str = "auto",
    perceptual: Perceptual | None = None,
    tracks: Tracks | None = None,
    listener: Listener = silent,
) -> Evaluation:
    """Render an asset from a split's cameras at the dataset's times, and measure the difference.

    A dataset time t in 0..1 is the asset's frame t (T - 1), interpolated where it falls between
    two. Source and render are composited in the light the asset was fitted in. `perceptual`
    measures looks besides; `tracks`, the true surface at the dataset's times, the motion.

    Raises:
        ConfigError: `split` is neither "train" nor "test".
        DatasetError: the split has no cameras, or none of them has a picture, or the tracks are not
            at its times.
        EngineError: the rasteriser cannot run here.
    """
    indices = _split_cameras(dataset, split)
    total = int(sum(dataset.present[:, view].sum() for view in indices))
    if total == 0:
        raise DatasetError(f"{dataset.name}: no {split} camera has a picture to compare with.")
    motion = None if tracks is None else motion_error(asset, tracks, dataset.times, dataset.mid)
    perceptual = perceptual or Perceptual()
    stage = Stage(listener, "evaluate", total)
    images: list[ImageScore] = []
    flickers: list[tuple[FloatImage, FloatImage]] = []
    for view in indices:
        setting = _Setting(asset, dataset, view, backend, perceptual)
        scores, still = _evaluate_camera(setting, stage, len(images))
        images += scores
        flickers.append(still)
    return Evaluation(
        split=split,
        cameras=tuple(dataset.cameras[view].name for view in indices),
        images=tuple(images),
        flicker=_flicker(flickers),
        static_gaussians=len(asset.static),
        dynamic_gaussians=len(asset.dynamic),
        motion=motion,
    )


def _split_cameras(dataset: Dataset, split: str) -> list[int]:
    if split not in ("train", "test"):
        raise ConfigError(f"There is no split {split!r}; choose train or test.")
    indices = list(dataset.test if split == "test" else dataset.train)
    if not indices:
        remedy = (
            "fit with some held out, or measure the train split"
            if split == "test"
            else "measure the test split"
        )
        raise DatasetError(f"{dataset.name} has no {split} cameras; {remedy}.")
    return indices


@dataclass(frozen=True)
class _Setting:
    """What all pictures of one camera have in common."""

    asset: Asset
    dataset: Dataset
    view: int
    backend: str
    perceptual: Perceptual


def _evaluate_camera(
    setting: _Setting, stage: Stage, done: int
) -> tuple[list[ImageScore], tuple[FloatImage, FloatImage]]:
    dataset, view = setting.dataset, setting.view
    camera = dataset.cameras[view]
    frames = [int(index) for index in np.flatnonzero(dataset.present[:, view])]
    span, covered = _source_span(dataset, view, frames, setting.asset.blend)
    moving = span.moving if frames else np.zeros((camera.height, camera.width), bool)
    deviation = TemporalDeviation()
    scores: list[ImageScore] = []
    before: Pair | None = None
    for index in frames:
        if not scores or scores[-1].frame != index - 1:
            before = None
        score, before = _score_image(setting, index, moving, before)
        deviation.add(before[0])
        scores.append(score)
        stage.update(done + len(scores), f"{camera.name}, frame {index}")
    # One picture cannot flicker; its zero deviation would only dilute the other cameras'.
    if len(frames) < 2:
        return scores, (np.empty(0, np.float32), np.empty(0, np.float32))
    still = span.still
    values = deviation.deviation * np.float32(255.0)
    return scores, (values[still], values[still & covered])


def _source_span(
    dataset: Dataset, view: int, frames: Iterable[int], blend: str
) -> tuple[TemporalSpan, Mask]:
    """Return the white composites' span over time, and where the object always covers (alpha)."""
    span = TemporalSpan()
    covered = np.ones(dataset.images[view].shape[1:3], bool)
    for index in frames:
        rgba = dataset.images[view][index]
        span.add(composite_source(rgba, WHITE, blend))
        covered &= rgba[..., 3] >= 128
    return span, covered


def _score_image(
    setting: _Setting, index: int, moving: Mask, before: Pair | None
) -> tuple[ImageScore, Pair]:
    """Measure one picture; also return it and its source on white, for the next to compare."""
    asset, dataset = setting.asset, setting.dataset
    camera: Camera = dataset.cameras[setting.view]
    rgba = dataset.images[setting.view][index]
    time = float(dataset.times[index])
    gaussians = gaussians_at(asset, time * (asset.frame_count - 1))
    rendered = render_gaussians(gaussians, camera, blend=asset.blend, backend=setting.backend)
    white = composite(rendered, (WHITE,) * 3, blend=asset.blend)
    black = composite(rendered, (BLACK,) * 3, blend=asset.blend)
    source_white = composite_source(rgba, WHITE, asset.blend)
    source_black = composite_source(rgba, BLACK, asset.blend)
    ssim_white, similarity = ssim_map(white, source_white)
    now = (white, source_white)
    score = ImageScore(
        camera=camera.name,
        frame=index,
        time=time,
        pixels=camera.width * camera.height,
        error_white=squared_error(white, source_white),
        error_black=squared_error(black, source_black),
        moving_pixels=int(moving.sum()),
        moving_error=squared_error(white, source_white, moving),
        ssim_white=ssim_white,
        ssim_black=ssim(black, source_black),
        ssim_moving=_mean(similarity[moving]),
        change_error=_change_error(before, now, None),
        change_error_moving=_change_error(before, now, moving),
        likeness=setting.perceptual.measure(white, source_white),
    )
    return score, now


def _change_error(before: Pair | None, now: Pair, mask: Mask | None) -> float:
    """Return the error of the change between two frames in 1/255; NaN without the first."""
    if before is None:
        return float("nan")
    return 255.0 * temporal_error((before[0], now[0]), (before[1], now[1]), mask)


def _flicker(deviations: Sequence[tuple[FloatImage, FloatImage]]) -> Flicker:
    every = np.concatenate([still for still, _ in deviations])
    covered = np.concatenate([covered for _, covered in deviations])
    return Flicker(
        pixels=every.size,
        mean=_mean(every),
        p99=_percentile_99(every),
        object_pixels=covered.size,
        object_mean=_mean(covered),
        object_p99=_percentile_99(covered),
    )


def _mean(values: FloatImage) -> float:
    return float(np.mean(values, dtype=np.float64)) if values.size else float("nan")


def _percentile_99(values: FloatImage) -> float:
    return float(np.percentile(values, 99.0)) if values.size else float("nan")
