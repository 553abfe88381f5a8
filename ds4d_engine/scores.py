# SPDX-License-Identifier: GPL-3.0-or-later
"""What an evaluation measured, picture by picture, and what follows from it.

docs/cli.md defines every number of the summary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .metrics import psnr_from_mse, psnr_mean_of_images, psnr_pooled
from .motion_error import MotionError
from .perceptual import Likeness


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
    ssim_moving: float  # on white, mean over the moving pixels; NaN where nothing moves
    change_error: float  # 1/255, of the change since the frame before; NaN where there is none
    change_error_moving: float
    likeness: Likeness  # on white


@dataclass(frozen=True)
class GroupScore:
    """Scores of several pictures that share a frame or a camera; PSNR pooled, dB; SSIM mean."""

    name: str
    psnr_white: float
    psnr_black: float
    psnr_moving: float  # on white; NaN where nothing moves
    ssim_white: float
    ssim_moving: float


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
    motion: MotionError | None = None

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
            "psnr_moving_mean_of_images": psnr_mean_of_images(
                image.moving_error / (image.moving_pixels * 3)
                for image in images
                if image.moving_pixels
            ),
            "psnr_white_mean_of_images": psnr_mean_of_images(white),
            "psnr_black_mean_of_images": psnr_mean_of_images(black),
            "ssim_white": total.ssim_white,
            "ssim_black": float(np.mean([image.ssim_black for image in images])),
            "ssim_moving": total.ssim_moving,
            "flip_white": _known_mean([image.likeness.flip for image in images]),
            "lpips_white": _known_mean([image.likeness.lpips for image in images]),
            "clip_white": _known_mean([image.likeness.clip for image in images]),
            "moving_fraction": moving / sum(image.pixels for image in images),
            "temporal_error": _known_mean([image.change_error for image in images]),
            "temporal_error_moving": _known_mean([image.change_error_moving for image in images]),
            "flicker_mean": self.flicker.mean,
            "flicker_p99": self.flicker.p99,
            "flicker_object_mean": self.flicker.object_mean,
            "flicker_object_p99": self.flicker.object_p99,
            "images": len(images),
            "static_gaussians": self.static_gaussians,
            "dynamic_gaussians": self.dynamic_gaussians,
            **({} if self.motion is None else self.motion.summary),
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
        ssim_moving=_pooled_mean(
            [image.ssim_moving for image in images], [image.moving_pixels for image in images]
        ),
    )


def _pooled_mean(values: Sequence[float], counts: Sequence[int]) -> float:
    """Return the mean over all pixels of what are means over `counts` of them."""
    there = np.array(counts) > 0
    if not there.any():
        return float("nan")
    return float(np.average(np.array(values)[there], weights=np.array(counts)[there]))


def _known_mean(values: Sequence[float]) -> float:
    """Return the mean of the values that exist; NaN where none does."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def finite(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by None, all the way down."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


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
        "ssim_moving": image.ssim_moving,
        "temporal_error": image.change_error,
        "temporal_error_moving": image.change_error_moving,
        "flip_white": image.likeness.flip,
        "lpips_white": image.likeness.lpips,
        "clip_white": image.likeness.clip,
    }
