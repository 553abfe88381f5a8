# SPDX-License-Identifier: GPL-3.0-or-later
"""Image measures, each with its one definition.

Images are float arrays [H,W,3] of sRGB-encoded values in 0..1 unless a docstring says otherwise.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch

from .photometric import decode_srgb, encode_srgb

FloatImage = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MOVING_THRESHOLD = 0.05
"""A pixel moves when its source value spans more than this (of 1) over time."""
STILL_THRESHOLD = 1.0 / 255.0
"""A pixel is still when its source value never spans more than this (of 1) over time."""


def psnr_from_mse(mse: float) -> float:
    """Return the peak signal-to-noise ratio in dB of a mean squared error; infinite for zero."""
    return float("inf") if mse <= 0.0 else float(-10.0 * np.log10(mse))


def psnr_pooled(squared_error_sums: Iterable[float], counts: Iterable[int]) -> float:
    """Return the PSNR of the error pooled over all images: one mean over all their values.

    This is the headline number. It is lower than `psnr_mean_of_images` (by Jensen's inequality),
    because easy images cannot make up for hard ones. NaN when there are no values.
    """
    total = float(sum(squared_error_sums))
    count = int(sum(counts))
    return psnr_from_mse(total / count) if count else float("nan")


def psnr_mean_of_images(mses: Iterable[float]) -> float:
    """Return the mean of the images' own PSNRs in dB; NaN when there are none."""
    values = [psnr_from_mse(mse) for mse in mses]
    return float(np.mean(values)) if values else float("nan")


def squared_error(image: FloatImage, reference: FloatImage, mask: Mask | None = None) -> float:
    """Return the sum of squared differences, over `mask` [H,W] pixels only when it is given."""
    difference = np.asarray(image, np.float64) - np.asarray(reference, np.float64)
    if mask is not None:
        difference = difference[mask]
    return float(np.sum(difference * difference))


def ssim(image: FloatImage, reference: FloatImage) -> float:
    """Return the structural similarity as torchmetrics defines it (Gaussian 11x11, sigma 1.5).

    NaN for images smaller than the window, where the measure is not defined.
    """
    return ssim_map(image, reference)[0]


def ssim_map(image: FloatImage, reference: FloatImage) -> tuple[float, FloatImage]:
    """Return `ssim` and the similarity about every pixel [H,W], the mean of its channels.

    `ssim` is the mean of the map without a border of five pixels, where windows reach outside.
    """
    if min(image.shape[:2]) < 11:
        return float("nan"), np.full(image.shape[:2], np.nan, np.float32)
    # Where transformers is installed torchmetrics imports it, which a fit should not wait for.
    from torchmetrics.functional.image import structural_similarity_index_measure

    def batch(pixels: FloatImage) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).permute(2, 0, 1)[None]

    value, full = structural_similarity_index_measure(
        batch(image), batch(reference), data_range=1.0, return_full_image=True
    )
    return float(value), full[0].mean(dim=0).numpy()


def flip(image: FloatImage, reference: FloatImage) -> float:
    """Return NVIDIA's FLIP, mean over the picture: 0 alike .. 1, seen at 67 pixels per degree.

    NaN where the package flip-evaluator is not installed.
    """
    if importlib.util.find_spec("flip_evaluator") is None:
        return float("nan")
    import flip_evaluator

    pictures = [np.ascontiguousarray(pixels, np.float32) for pixels in (reference, image)]
    _, mean, _ = flip_evaluator.evaluate(*pictures, "LDR", applyMagma=False)
    return float(mean)


def mask_iou(alphas: FloatImage, reference: FloatImage) -> float:
    """Return intersection over union of the pixels whose alpha [H,W] exceeds one half.

    1 where neither picture has any.
    """
    covered, expected = np.asarray(alphas) > 0.5, np.asarray(reference) > 0.5
    union = int((covered | expected).sum())
    return float((covered & expected).sum() / union) if union else 1.0


def temporal_error(
    images: tuple[FloatImage, FloatImage],
    references: tuple[FloatImage, FloatImage],
    mask: Mask | None = None,
) -> float:
    """Return how wrongly two consecutive pictures change: mean absolute error of the change.

    Unlike PSNR it forgives what is wrong but steady, and punishes what flickers or does not move.
    Over `mask` [H,W] pixels only when it is given; NaN where it holds none.
    """
    change = np.asarray(images[1], np.float64) - images[0]
    expected = np.asarray(references[1], np.float64) - references[0]
    wrong = np.abs(change - expected)
    if mask is not None:
        wrong = wrong[mask]
    return float(wrong.mean()) if wrong.size else float("nan")


def composite_source(rgba: npt.NDArray[np.uint8], background: float, blend: str) -> FloatImage:
    """Lay a straight-alpha sRGB image [H,W,4] uint8 over an encoded grey, in the given light.

    `blend` "linear" decodes, blends and encodes; "srgb" blends the encoded values. A measure is
    only fair when the source is composited in the same light as the render.
    """
    colors = rgba[..., :3].astype(np.float32) / np.float32(255.0)
    alphas = rgba[..., 3:].astype(np.float32) / np.float32(255.0)
    if blend == "srgb":
        return colors * alphas + (1.0 - alphas) * np.float32(background)
    linear = decode_srgb(torch.from_numpy(colors)).numpy() * alphas
    linear += (1.0 - alphas) * decode_srgb(torch.tensor(background)).numpy()
    return encode_srgb(torch.from_numpy(linear)).numpy()


class TemporalSpan:
    """Largest change of every pixel over time: running minimum and maximum of images [H,W,3]."""

    def __init__(self) -> None:
        self._low: FloatImage | None = None
        self._high: FloatImage | None = None

    def add(self, image: FloatImage) -> None:
        if self._low is None or self._high is None:
            self._low, self._high = image.copy(), image.copy()
            return
        np.minimum(self._low, image, out=self._low)
        np.maximum(self._high, image, out=self._high)

    @property
    def span(self) -> FloatImage:
        """[H,W]: maximum minus minimum over time, the largest of the three channels."""
        if self._low is None or self._high is None:
            raise ValueError("no image was added")
        return (self._high - self._low).max(axis=-1)

    @property
    def moving(self) -> Mask:
        """[H,W]: pixels whose span exceeds `MOVING_THRESHOLD`."""
        return self.span > MOVING_THRESHOLD

    @property
    def still(self) -> Mask:
        """[H,W]: pixels whose span never exceeds `STILL_THRESHOLD`."""
        # Composites are computed in float32: a step of exactly one code value must count as still.
        return self.span <= STILL_THRESHOLD + 1e-5


class TemporalDeviation:
    """Standard deviation of every pixel over time, accumulated image by image [H,W,3]."""

    def __init__(self) -> None:
        self._count = 0
        self._first: npt.NDArray[np.float64] | None = None
        self._sum: npt.NDArray[np.float64] | None = None
        self._squares: npt.NDArray[np.float64] | None = None

    def add(self, image: FloatImage) -> None:
        values = image.astype(np.float64)
        self._count += 1
        if self._first is None or self._sum is None or self._squares is None:
            self._first = values
            self._sum = np.zeros_like(values)
            self._squares = np.zeros_like(values)
            return
        # Deviations from the first image keep the subtraction below free of cancellation.
        values -= self._first
        self._sum += values
        self._squares += values * values

    @property
    def deviation(self) -> FloatImage:
        """[H,W]: population standard deviation, the largest of the three channels."""
        if self._sum is None or self._squares is None:
            raise ValueError("no image was added")
        mean = self._sum / self._count
        variance = np.maximum(self._squares / self._count - mean * mean, 0.0)
        return np.sqrt(variance).max(axis=-1).astype(np.float32)
