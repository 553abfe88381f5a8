# SPDX-License-Identifier: GPL-3.0-or-later
"""A multi-view clip in memory, and which of its frames to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..seam.cameras import Camera
from ..seam.errors import DatasetError

Pixels = NDArray[np.uint8]


@dataclass(eq=False)
class Dataset:
    """Hold T frames of V cameras.

    ``images[v]`` is uint8 [T,H_v,W_v,4], straight alpha, sRGB-encoded; frames that camera v did
    not take are zero, and False in ``present`` [T,V]. ``times`` [T] run from 0 to 1, not always
    evenly. ``has_alpha`` is False where every pixel is opaque: nothing tells the object apart.
    Frame i is scene frame ``frame_start + i`` at ``fps``. ``source`` is the kind of
    source: "transforms", "videos", or "clip" for one clip, whose camera is the first.
    """

    name: str
    cameras: tuple[Camera, ...]
    images: list[Pixels]
    present: NDArray[np.bool_]
    times: NDArray[np.float64]
    fps: float
    frame_start: int
    has_alpha: bool
    source: str

    @property
    def frame_count(self) -> int:
        """The number of frames, T."""
        return len(self.times)

    @property
    def mid(self) -> int:
        """The index of the frame nearest to the middle of the clip."""
        return int(np.argmin(np.abs(self.times - 0.5)))

    @property
    def train(self) -> list[int]:
        """The indices of the cameras to fit."""
        return [v for v, camera in enumerate(self.cameras) if camera.split == "train"]

    @property
    def test(self) -> list[int]:
        """The indices of the cameras held out."""
        return [v for v, camera in enumerate(self.cameras) if camera.split == "test"]

    @property
    def generated(self) -> NDArray[np.bool_]:
        """Whether a model made up each camera's pictures, bool [V]: all but a clip's own."""
        views = np.arange(len(self.cameras))
        return (views > 0) & (self.source == "clip")

    def at_most(self, size: int) -> Dataset:
        """Return the dataset with pictures of at most ``size`` pixels along their longer side."""
        from .images import scale_down  # which takes its types from here

        selection = Selection(max_side=size)
        cameras = tuple(selection.scale_camera(camera) for camera in self.cameras)
        images = [
            np.stack([scale_down(frame, camera.width, camera.height) for frame in frames])
            for camera, frames in zip(cameras, self.images, strict=True)
        ]
        return replace(self, cameras=cameras, images=images)


@dataclass(frozen=True)
class Selection:
    """Say which frames to take, [start, end) in steps of ``stride``, and how large.

    ``max_side`` scales each picture down until no side is longer; None keeps every pixel.
    """

    start: int = 0
    end: int | None = None
    stride: int = 1
    max_side: int | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end < 0):
            raise DatasetError(
                f"The frame range {self.start}..{self.end} is negative; count frames from 0."
            )
        if self.stride < 1:
            raise DatasetError(f"The stride is {self.stride}; it must be at least 1.")
        if self.max_side is not None and self.max_side < 1:
            raise DatasetError(f"max_side is {self.max_side}; it must be at least 1 pixel.")

    def frames(self, count: int, name: str) -> range:
        """Return the indices to take of ``count`` frames; raise DatasetError for an empty range."""
        end = count if self.end is None else self.end
        if end > count:
            raise DatasetError(f"{name} has {count} frames, but the range ends at {end}.")
        if self.start >= end:
            raise DatasetError(
                f"The frame range {self.start}..{end} of {name} is empty; it has {count} frames."
            )
        return range(self.start, end, self.stride)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height to scale a picture to."""
        if self.max_side is None or max(width, height) <= self.max_side:
            return width, height
        scale = self.max_side / max(width, height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def scale_camera(self, camera: Camera) -> Camera:
        """Return the camera that takes the scaled picture."""
        width, height = self.size(camera.width, camera.height)
        scale = np.diag([width / camera.width, height / camera.height, 1.0])
        return replace(camera, K=scale @ camera.K, width=width, height=height)


def hold_out(cameras: Sequence[Camera], holdout: Sequence[str], name: str) -> tuple[Camera, ...]:
    """Move the named cameras to the test split; raise DatasetError for an unknown name."""
    names = [camera.name for camera in cameras]
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise DatasetError(f"{name} has two cameras named {min(twice)!r}; give each its own name.")
    for wanted in holdout:
        if wanted not in names:
            raise DatasetError(
                f"{name} has no camera {wanted!r} to hold out; it has {', '.join(names)}."
            )
    return tuple(replace(c, split="test") if c.name in holdout else c for c in cameras)


def unit_times(times: Sequence[float]) -> NDArray[np.float64]:
    """Map ascending times onto 0..1, the first to 0 and the last to 1; one alone becomes 0."""
    values = np.asarray(times, dtype=np.float64)
    span = values[-1] - values[0]
    return (values - values[0]) / span if span > 0 else np.zeros(len(values))
