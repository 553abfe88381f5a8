# SPDX-License-Identifier: GPL-3.0-or-later
"""Image features as token grids: extraction, layout, cache.

Tokens of all views lie flat in one axis of length P, view after view and row after row, so that
views of different sizes need no padding. `TokenGrids` says where each view's grid starts.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ds4d_engine.seam.cameras import Camera
from ds4d_engine.seam.errors import DatasetError
from ds4d_engine.seam.events import Listener, Stage, silent

CACHE_VERSION = 1
"""Part of the cache key; changes whenever the same images would give other tokens."""
BATCH_PIXELS = 2**20
"""Pixels per call of the extractor, which bounds its memory."""
BATCH_IMAGES = 16
"""Images per call of the extractor: a network needs seconds for them, and reports after each."""
ORIENTATIONS = 6
"""Bins of the gradient histogram over the full circle."""
POOLING = (2, 4)
"""Sides of the two pooling windows, in tokens."""


class FeatureExtractor(Protocol):
    """Turns images into dense tokens that tile the image evenly."""

    name: str
    """Identifies the extractor and its settings; part of the cache key."""
    channels: int
    """C, the length of a token."""

    def __call__(self, images: Tensor) -> Tensor:
        """Map straight-alpha sRGB images [B, H, W, 4] in 0..1 to tokens [B, h, w, C]."""
        ...


@dataclass(frozen=True)
class TokenGrids:
    """Where the tokens of each view lie in the flat token axis."""

    offsets: tuple[int, ...]
    """Index of the first token of each view."""
    heights: tuple[int, ...]
    """Rows of tokens of each view."""
    widths: tuple[int, ...]
    """Columns of tokens of each view."""
    strides: tuple[tuple[float, float], ...]
    """Image pixels per token along x and y, for each view."""

    @property
    def count(self) -> int:
        """Number of tokens P of all views together."""
        return self.offsets[-1] + self.heights[-1] * self.widths[-1]

    @property
    def views(self) -> int:
        """Number of views V."""
        return len(self.offsets)

    @staticmethod
    def tile(grids: Sequence[tuple[int, int]], images: Sequence[tuple[int, int]]) -> TokenGrids:
        """Lay out views whose grids (height, width) tile images (height, width)."""
        sizes = [height * width for height, width in grids]
        return TokenGrids(
            offsets=tuple(sum(sizes[:view]) for view in range(len(sizes))),
            heights=tuple(height for height, _ in grids),
            widths=tuple(width for _, width in grids),
            strides=tuple(
                (image[1] / grid[1], image[0] / grid[0])
                for grid, image in zip(grids, images, strict=True)
            ),
        )


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """Tokens of a clip and the cameras they were seen by."""

    tokens: Tensor
    """[T, P, C]."""
    grids: TokenGrids
    cameras: tuple[Camera, ...]
    """One per view, in the same (normalised) world as the means. The first is the front view."""


class DescriptorExtractor:
    """Describe patches by colour, coverage and gradient orientation; nothing is learned.

    A token holds, averaged over two windows around it: premultiplied colour and alpha, their
    squares, and orientation histograms of the gradients of luminance and of alpha.
    """

    def __init__(self, tokens: int = 36) -> None:
        """Set the approximate number of `tokens` along the longer side (32 at 128 pixels)."""
        if tokens < 1:
            raise ValueError(f"tokens must be at least 1, not {tokens}")
        self.tokens = tokens
        self.name = f"descriptor-{tokens}"
        self.channels = len(POOLING) * (8 + 2 * ORIENTATIONS)

    def stride(self, height: int, width: int) -> int:
        """Give the nominal pixels per token of an image; 4 at 128 pixels, at least 2."""
        return max(2, round(max(height, width) / self.tokens))

    def __call__(self, images: Tensor) -> Tensor:
        """Map straight-alpha sRGB images [B, H, W, 4] in 0..1 to tokens [B, h, w, 40]."""
        _, height, width, _ = images.shape
        stride = self.stride(height, width)
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        # Colour under alpha 0 is arbitrary; on black it vanishes.
        alpha = images[..., 3:]
        base = torch.cat([images[..., :3] * alpha, alpha], -1).permute(0, 3, 1, 2)
        dense = torch.cat(
            [
                base,
                orientation_histogram(base[:, :3].mean(1, keepdim=True)),
                orientation_histogram(base[:, 3:]),
                base.square(),
            ],
            1,
        )
        # Half tokens first: the windows then lie on token centres whatever the image size.
        halves = F.adaptive_avg_pool2d(dense, (2 * rows, 2 * columns))
        pooled = [F.avg_pool2d(halves, 2 * side, 2, padding=side - 1) for side in POOLING]
        return torch.cat(pooled, 1).permute(0, 2, 3, 1)


def orientation_histogram(image: Tensor) -> Tensor:
    """Split the gradient of an image [B, 1, H, W] softly over directions [B, 6, H, W].

    Bin k holds |g| max(0, cos(direction - angle_k))^2, with angles over the full circle.
    """
    gx = F.pad(image[..., :, 2:] - image[..., :, :-2], (1, 1, 0, 0))
    gy = F.pad(image[..., 2:, :] - image[..., :-2, :], (0, 0, 1, 1))
    length = (gx.square() + gy.square()).sqrt().clamp_min(1e-8)
    angles = [2 * math.pi * k / ORIENTATIONS for k in range(ORIENTATIONS)]
    along = [(gx * math.cos(angle) + gy * math.sin(angle)).clamp_min(0) for angle in angles]
    return torch.cat(along, 1).square() / length


def extract_tokens(
    images: Sequence[NDArray[np.uint8]],
    extractor: FeatureExtractor,
    *,
    present: NDArray[np.bool_] | None = None,
    cache: Path | None = None,
    device: torch.device | str = "cpu",
    listener: Listener = silent,
) -> tuple[Tensor, TokenGrids]:
    """Extract the tokens of a clip: float32 [T, P, C] on `device`, and their layout.

    `images` holds one uint8 [T, H, W, 4] straight-alpha sRGB array per view. Every channel is
    divided by its deviation over the clip and by sqrt(C), so that no channel dominates.
    Where `present` [T, V] is False, a view keeps the tokens of its nearest frame in time.
    `cache` is a folder: the result is stored there under the content's hash and read back.
    `listener` hears how many pictures are described.
    Raises DatasetError for a view with no image at all and for a damaged cache file.
    """
    if not images:
        raise DatasetError("Features need at least one view; the clip has none.")
    path = None
    if cache is not None:
        key = content_key(images, extractor.name, present)
        path = cache / f"tokens-{key[:32]}.safetensors"
        if path.exists():
            return _read_cache(path, images, device)
    stage = Stage(listener, "features", sum(len(frames) for frames in images))
    stage.update(0, f"describing {len(images)} views")
    views = []
    before = 0
    for view, frames in enumerate(images):
        tokens = _extract_view(frames, extractor, device, _counted(stage, before))
        before += len(frames)
        if present is not None:
            tokens = tokens[_nearest_present(present[:, view], view)]
        views.append(tokens)
    grids = _layout([(int(view.shape[1]), int(view.shape[2])) for view in views], images)
    tokens = normalise(torch.cat([view.flatten(1, 2) for view in views], 1))
    if path is not None:
        _write_cache(path, tokens, grids)
    return tokens, grids


def normalise(tokens: Tensor) -> Tensor:
    """Divide each channel of [T, P, C] by its deviation over the clip and by sqrt(C)."""
    deviation = tokens.flatten(0, 1).std(0, correction=0)
    return tokens / ((deviation + 1e-6) * math.sqrt(tokens.shape[2]))


def content_key(
    images: Sequence[NDArray[np.uint8]], extractor: str, present: NDArray[np.bool_] | None
) -> str:
    """Hash everything the tokens depend on: images, extractor, missing frames."""
    digest = hashlib.sha256(f"ds4d tokens {CACHE_VERSION} {extractor}".encode())
    for frames in images:
        digest.update(str(frames.shape).encode())
        digest.update(np.ascontiguousarray(frames).data)
    if present is not None:
        digest.update(np.packbits(present).tobytes())
    return digest.hexdigest()


def _extract_view(
    frames: NDArray[np.uint8],
    extractor: FeatureExtractor,
    device: torch.device | str,
    report: Callable[[int], None],
) -> Tensor:
    count, height, width, _ = frames.shape
    batch = max(1, min(BATCH_IMAGES, BATCH_PIXELS // (height * width)))
    parts = []
    with torch.no_grad():
        for first in range(0, count, batch):
            some = torch.from_numpy(frames[first : first + batch]).to(device).float() / 255
            parts.append(extractor(some))
            report(first + len(some))
    return torch.cat(parts)


def _counted(stage: Stage, before: int) -> Callable[[int], None]:
    return lambda done: stage.update(before + done)


def _nearest_present(present: NDArray[np.bool_], view: int) -> Tensor:
    frames = np.flatnonzero(present)
    if len(frames) == 0:
        raise DatasetError(f"View {view} has no image in the whole clip; leave the view out.")
    distance = np.abs(np.arange(len(present))[:, None] - frames[None])
    return torch.from_numpy(frames[distance.argmin(1)])


def _layout(grids: Sequence[tuple[int, int]], images: Sequence[NDArray[np.uint8]]) -> TokenGrids:
    return TokenGrids.tile(grids, [(frames.shape[1], frames.shape[2]) for frames in images])


def _write_cache(path: Path, tokens: Tensor, grids: TokenGrids) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    sizes = torch.tensor(list(zip(grids.heights, grids.widths, strict=True)), dtype=torch.int32)
    save_file({"tokens": tokens.cpu().contiguous(), "grids": sizes}, part)
    part.replace(path)


def _read_cache(
    path: Path, images: Sequence[NDArray[np.uint8]], device: torch.device | str
) -> tuple[Tensor, TokenGrids]:
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            tokens, sizes = file.get_tensor("tokens"), file.get_tensor("grids")
    except (SafetensorError, OSError) as error:
        raise DatasetError(f"The feature cache {path} is damaged; delete it.") from error
    return tokens, _layout([(int(h), int(w)) for h, w in sizes.tolist()], images)
