# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person may choose about a clip, and which of its frames that selects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..seam.errors import ConfigError, DatasetError

Crop = Literal["auto", "off"]
Matte = Literal["auto", "alpha", "masks", "plain", "grabcut", "rembg", "none"]

SEQUENCE_FPS = 24.0
"""Frames per second of a folder of pictures, which states none."""
MAX_FRAMES = 600
SIZES = (16, 2048)


@dataclass(frozen=True)
class ClipOptions:
    """Say which frames of a clip to take, how the object is found, and how it is cut out.

    Frames [start, end) are taken in steps of ``stride``, or the nearest ones to ``fps`` frames per
    second. ``source_fps`` replaces the frame rate that the clip states. ``size`` is the side of
    the square pictures in pixels. ``crop`` "off" scales a clip that is square already and was seen
    by the standard camera. ``masks`` is a folder of masks or a mask video, ``rembg_model`` an
    .onnx file. A clip of more than ``max_frames`` chosen frames is refused.

    Raises:
        ConfigError: a value is out of range, or two contradict each other.
    """

    start: int = 0
    end: int | None = None
    stride: int = 1
    fps: float | None = None
    source_fps: float | None = None
    size: int = 128
    crop: Crop = "auto"
    matte: Matte = "auto"
    masks: Path | None = None
    rembg_model: Path | None = None
    max_frames: int = MAX_FRAMES

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end < 0):
            raise ConfigError(
                f"The frame range {self.start}..{self.end} is negative; count frames from 0."
            )
        if self.stride < 1:
            raise ConfigError(f"The stride is {self.stride}; it must be at least 1.")
        if self.fps is not None and self.stride != 1:
            raise ConfigError("A stride and a target frame rate exclude each other; give one.")
        for name, rate in (("fps", self.fps), ("source_fps", self.source_fps)):
            if rate is not None and not (math.isfinite(rate) and rate > 0):
                raise ConfigError(f"The {name} is {rate:g}; it must be above zero.")
        if not SIZES[0] <= self.size <= SIZES[1]:
            raise ConfigError(f"The size is {self.size}; choose {SIZES[0]} to {SIZES[1]} pixels.")
        if self.max_frames < 2:
            raise ConfigError(f"max_frames is {self.max_frames}; a clip needs at least 2 frames.")
        self._check_matte()

    def _check_matte(self) -> None:
        for name, value, known in (
            ("crop", self.crop, get_args(Crop)),
            ("matte", self.matte, get_args(Matte)),
        ):
            if value not in known:
                raise ConfigError(f"The {name} is {value!r}; choose {', '.join(known)}.")
        if self.matte == "masks" and self.masks is None:
            raise ConfigError("The matte 'masks' needs masks; say where they lie with --masks.")
        if self.masks is not None and self.matte not in ("auto", "masks"):
            raise ConfigError(f"Masks are given, but the matte is {self.matte!r}; drop one.")
        if self.matte == "rembg" and self.rembg_model is None:
            raise ConfigError(
                "The matte 'rembg' needs a model that you have; name its .onnx file with "
                "--rembg-model."
            )
        if self.rembg_model is not None and self.matte not in ("auto", "rembg"):
            raise ConfigError(f"A model is given, but the matte is {self.matte!r}; drop one.")

    def frames(self, count: int, fps: float, name: str) -> list[int]:
        """Return the indices to take of `count` frames at `fps` per second, ascending.

        Raises:
            DatasetError: fewer than two or too many frames would be taken.
        """
        end = count if self.end is None else self.end
        if count < 2:
            found = "no frames" if count < 1 else "one frame"
            raise DatasetError(f"{name} has {found}; a clip needs at least 2 frames.")
        if end > count:
            raise DatasetError(
                f"{name} has {count} frames, but the range ends at {end}; choose an end up to "
                f"{count}."
            )
        if self.start >= end:
            raise DatasetError(
                f"The frame range {self.start}..{end} of {name} is empty; it has {count} frames."
            )
        chosen = self._in_range(end, fps, name)
        if len(chosen) < 2:
            raise DatasetError(
                f"Only one frame of {name} is chosen, a clip needs at least 2 frames; widen "
                "--start and --end, or take them more densely with --stride or --fps."
            )
        if len(chosen) > self.max_frames:
            raise DatasetError(self._too_many(len(chosen), fps, name))
        return chosen

    def taken_fps(self, fps: float) -> float:
        """Return the frames per second of what is taken of a clip with `fps`."""
        return fps / self.stride if self.fps is None else self.fps

    def _in_range(self, end: int, fps: float, name: str) -> list[int]:
        if self.fps is None:
            return list(range(self.start, end, self.stride))
        if self.fps > fps * (1 + 1e-6):
            raise DatasetError(
                f"{name} has {fps:g} frames per second, fewer than the {self.fps:g} wanted; "
                f"choose --fps up to {fps:g}."
            )
        count = math.ceil((end - self.start) * self.fps / fps)
        indices = (self.start + round(k * fps / self.fps) for k in range(count))
        return [index for index in indices if index < end]

    def _too_many(self, count: int, fps: float, name: str) -> str:
        thinner = math.ceil(count / self.max_frames) * self.stride
        rate = self.taken_fps(fps) * self.max_frames / count
        rate = math.floor(rate * 10) / 10 or rate
        return (
            f"{name} has {count} frames to take, more than the {self.max_frames} that one fit "
            f"holds; take fewer with --stride {thinner} or --fps {rate:.4g}, or a part with "
            f"--end {self.start + self.max_frames * self.stride}."
        )
