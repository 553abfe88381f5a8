# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare an asset with the source pictures of a dataset's cameras."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .metrics import (
    FloatImage,
    Mask,
    TemporalDeviation,
    TemporalSpan,
    composite_source,
    psnr_from_mse,
    psnr_mean_of_images,
    psnr_pooled,
    squared_error,
    ssim,
)
from .render import composite, gaussians_at, render_gaussians
from .seam.asset import Asset
from .seam.cameras import Camera
from .seam.errors import ConfigError, DatasetError
from .seam.events import Listener, Stage, silent

if TYPE_CHECKING:
    from .data import Dataset

WHITE, BLACK = 1.0, 0.0


@dataclass(frozen=True)
class ImageScore:
    """Errors of one picture: sums of squares of encoded values over `pixels` x 3 channels."""

    camera: str
    frame: int  # the dataset's
    time: float
    pixels: int
    error_white: float
    error_black: float
    moving_pixels: int  # pixels of this picture in its camera's moving mask
    moving_error: float  # their error on white
    ssim_white: float
    ssim_black: float


@dataclass(frozen=True)
class GroupScore:
    """Scores of several pictures that share a frame or a camera; PSNR pooled, dB; SSIM mean."""

    name: str
    psnr_white: float
    psnr_black: float
    psnr_moving: float  # on white; NaN where nothing moves
    ssim_white: float


@dataclass(frozen=True)
class Flicker:
    """Temporal standard deviation of the render at still source pixels, in 1/255, on white.

    A pixel is still when none of its source channels ever changes by more than 1/255; the
    deviation of a pixel is its largest channel's. `object_*` takes only still pixels whose
    source alpha never falls below one half: empty background cannot dilute it. NaN without pixels.
    """

    pixels: int
    mean: float
    p99: float
    object_pixels: int
    object_mean: float
    object_p99: float


@dataclass(frozen=True)
class Evaluation:
    """Everything measured; `summary` holds the headline numbers."""

    split: str
    cameras: tuple[str, ...]
    images: tuple[ImageScore, ...]
    flicker: Flicker
    static_gaussians: int
    dynamic_gaussians: int

    @property
    def summary(self) -> dict[str, float]:
        """Headline numbers. PSNR in dB from the MSE pooled over all pictures, unless named else."""
        images = self.images
        white = [image.error_white / (image.pixels * 3) for image in images]
        black = [image.error_black / (image.pixels * 3) for image in images]
        total = score_group("all", images)
        moving = sum(image.moving_pixels for image in images)
        return {
            "psnr_white": total.psnr_white,
            "psnr_black": total.psnr_black,
            "psnr_moving": total.psnr_moving,
            "psnr_white_mean_of_images": psnr_mean_of_images(white),
            "psnr_black_mean_of_images": psnr_mean_of_images(black),
            "ssim_white": total.ssim_white,
            "ssim_black": float(np.mean([image.ssim_black for image in images])),
            "moving_fraction": moving / sum(image.pixels for image in images),
            "flicker_mean": self.flicker.mean,
            "flicker_p99": self.flicker.p99,
            "flicker_object_mean": self.flicker.object_mean,
            "flicker_object_p99": self.flicker.object_p99,
            "images": len(images),
            "static_gaussians": self.static_gaussians,
            "dynamic_gaussians": self.dynamic_gaussians,
        }

    @property
    def frames(self) -> list[GroupScore]:
        """One score per frame, over all cameras."""
        indices = sorted({image.frame for image in self.images})
        return [
            score_group(str(index), [image for image in self.images if image.frame == index])
            for index in indices
        ]

    @property
    def by_camera(self) -> list[GroupScore]:
        """One score per camera, over all frames."""
        return [
            score_group(name, [image for image in self.images if image.camera == name])
            for name in self.cameras
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; numbers that do not exist (or are infinite) become None."""
        document = {
            "split": self.split,
            "summary": self.summary,
            "frames": [asdict(score) for score in self.frames],
            "cameras": [asdict(score) for score in self.by_camera],
            "images": [_image_json(image) for image in self.images],
        }
        plain: dict[str, Any] = finite(document)
        return plain


def evaluate(
    asset: Asset,
    dataset: Dataset,
    *,
    split: str = "test",
    backend: str = "auto",
    listener: Listener = silent,
) -> Evaluation:
    """Render an asset from a split's cameras at the dataset's times, and measure the difference.

    A dataset time t in 0..1 is the asset's frame t (T - 1), interpolated where it falls between
    two. Source and render are composited in the light the asset was fitted in.

    Raises:
        ConfigError: `split` is neither "train" nor "test".
        DatasetError: the split has no cameras, or none of them has a picture.
        EngineError: the rasteriser cannot run here.
    """
    indices = _split_cameras(dataset, split)
    total = int(sum(dataset.present[:, view].sum() for view in indices))
    if total == 0:
        raise DatasetError(f"{dataset.name}: no {split} camera has a picture to compare with.")
    stage = Stage(listener, "evaluate", total)
    images: list[ImageScore] = []
    flickers: list[tuple[FloatImage, FloatImage]] = []
    for view in indices:
        scores, still = _evaluate_camera(asset, dataset, view, backend, stage, len(images))
        images += scores
        flickers.append(still)
    return Evaluation(
        split=split,
        cameras=tuple(dataset.cameras[view].name for view in indices),
        images=tuple(images),
        flicker=_flicker(flickers),
        static_gaussians=len(asset.static),
        dynamic_gaussians=len(asset.dynamic),
    )


def score_group(name: str, images: Sequence[ImageScore]) -> GroupScore:
    """Pool the errors of several pictures."""
    counts = [image.pixels * 3 for image in images]
    return GroupScore(
        name=name,
        psnr_white=psnr_pooled((image.error_white for image in images), counts),
        psnr_black=psnr_pooled((image.error_black for image in images), counts),
        psnr_moving=psnr_pooled(
            (image.moving_error for image in images),
            (image.moving_pixels * 3 for image in images),
        ),
        ssim_white=float(np.mean([image.ssim_white for image in images])),
    )


def finite(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by None, all the way down."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


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


def _evaluate_camera(
    asset: Asset, dataset: Dataset, view: int, backend: str, stage: Stage, done: int
) -> tuple[list[ImageScore], tuple[FloatImage, FloatImage]]:
    camera = dataset.cameras[view]
    frames = [int(index) for index in np.flatnonzero(dataset.present[:, view])]
    span, covered = _source_span(dataset, view, frames, asset.blend)
    moving = span.moving if frames else np.zeros((camera.height, camera.width), bool)
    deviation = TemporalDeviation()
    scores = []
    for index in frames:
        score, white = _score_image(asset, dataset, view, index, moving, backend)
        deviation.add(white)
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
    asset: Asset, dataset: Dataset, view: int, index: int, moving: Mask, backend: str
) -> tuple[ImageScore, FloatImage]:
    camera: Camera = dataset.cameras[view]
    rgba = dataset.images[view][index]
    time = float(dataset.times[index])
    gaussians = gaussians_at(asset, time * (asset.frame_count - 1))
    rendered = render_gaussians(gaussians, camera, blend=asset.blend, backend=backend)
    white = composite(rendered, (WHITE,) * 3, blend=asset.blend)
    black = composite(rendered, (BLACK,) * 3, blend=asset.blend)
    source_white = composite_source(rgba, WHITE, asset.blend)
    source_black = composite_source(rgba, BLACK, asset.blend)
    score = ImageScore(
        camera=camera.name,
        frame=index,
        time=time,
        pixels=camera.width * camera.height,
        error_white=squared_error(white, source_white),
        error_black=squared_error(black, source_black),
        moving_pixels=int(moving.sum()),
        moving_error=squared_error(white, source_white, moving),
        ssim_white=ssim(white, source_white),
        ssim_black=ssim(black, source_black),
    )
    return score, white


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


def _image_json(image: ImageScore) -> dict[str, Any]:
    count = image.pixels * 3
    moving = image.moving_pixels * 3
    return {
        "camera": image.camera,
        "frame": image.frame,
        "time": image.time,
        "psnr_white": psnr_from_mse(image.error_white / count),
        "psnr_black": psnr_from_mse(image.error_black / count),
        "psnr_moving": psnr_from_mse(image.moving_error / moving) if moving else None,
        "ssim_white": image.ssim_white,
        "ssim_black": image.ssim_black,
    }
