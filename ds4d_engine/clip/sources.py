# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the frames of a clip come from: a video, an animated picture, a folder of pictures."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image, ImageSequence

from ..data.dataset import Pixels
from ..data.images import read_rgba
from ..data.video_files import PICTURES, VIDEOS, count_frames, probe_video, video_frames
from ..seam.errors import DatasetError
from .ffmpeg import alpha_decoder, count_packets, rgba_frames

ANIMATIONS = (".gif", ".webp", ".png", ".apng")
SHEET_NAME = "contact-sheet.png"
"""What `ds4d mask` writes beside the masks; never a frame of a clip."""
DATASET_FILES = ("transforms_train.json", "cameras.json")
# Containers that store no frame count: what is read from them is duration times rate.
_ESTIMATED = (".mkv", ".webm")
_TIMED = 8
_PLAUSIBLE_FPS = (0.1, 480.0)


class Source(Protocol):
    """A clip's frames; ``fps`` is None where the clip does not state it."""

    @property
    def path(self) -> Path: ...

    @property
    def count(self) -> int: ...

    @property
    def fps(self) -> float | None: ...

    def counted(self) -> Source:
        """Return this source with an exact count; `count` before may be an estimate."""

    def frames(self, wanted: Sequence[int]) -> Iterator[Pixels]:
        """Yield the wanted frames (ascending indices) as RGBA uint8 [H,W,4], straight alpha."""


def is_clip(path: str | Path) -> bool:
    """Tell whether a path is one clip: a video, or a folder of pictures that is no dataset."""
    path = Path(path)
    if path.is_dir():
        return not any((path / name).is_file() for name in DATASET_FILES) and bool(
            pictures_in(path)
        )
    return path.suffix.lower() in (*VIDEOS, *ANIMATIONS)


def open_source(path: Path) -> Source:
    """Open a clip without reading its frames.

    Raises:
        DatasetError: there is nothing at `path`, or nothing that can be decoded.
    """
    if path.is_dir():
        return PictureFolder.open(path)
    if not path.is_file():
        raise DatasetError(f"There is no clip {path}; name a video or a folder of pictures.")
    if path.suffix.lower() in ANIMATIONS:
        return Animation.open(path)
    return Video.open(path)


@dataclass(frozen=True)
class Video:
    """A video file; `decoder` is None where it has no alpha channel."""

    path: Path
    count: int
    fps: float | None
    width: int
    height: int
    decoder: str | None

    @classmethod
    def open(cls, path: Path) -> Video:
        probe = probe_video(path, count=False)
        low, high = _PLAUSIBLE_FPS
        return cls(
            path,
            probe.frames or count_packets(path),
            probe.fps if low <= probe.fps <= high else None,
            probe.width,
            probe.height,
            alpha_decoder(path),
        )

    def counted(self) -> Video:
        if self.path.suffix.lower() not in _ESTIMATED:
            return self
        exact = count_frames(self.path)
        return Video(self.path, exact, self.fps, self.width, self.height, self.decoder)

    def frames(self, wanted: Sequence[int]) -> Iterator[Pixels]:
        if self.decoder is not None:
            yield from rgba_frames(self.path, self.decoder, wanted, self.width, self.height)
            return
        for index, frame in zip(wanted, video_frames(self.path, wanted), strict=True):
            if frame.shape[:2] != (self.height, self.width):
                raise DatasetError(
                    f"{self.path} changes its picture size at frame {index}; convert it again."
                )
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGBA)


@dataclass(frozen=True)
class Animation:
    """An animated GIF, WebP or PNG."""

    path: Path
    count: int
    fps: float | None

    @classmethod
    def open(cls, path: Path) -> Animation:
        seconds = []
        try:
            with Image.open(path) as image:
                count = int(getattr(image, "n_frames", 1))
                for index in range(min(count, _TIMED)):
                    image.seek(index)
                    image.load()  # WebP tells a frame's duration only then
                    seconds.append(float(image.info.get("duration", 0)) / 1000)
        except (OSError, SyntaxError, ValueError, EOFError):
            raise DatasetError(f"{path} is not a readable picture.") from None
        # The last frame, often, is held for longer.
        usual = statistics.median(seconds)
        return cls(path, count, 1 / usual if usual > 0 else None)

    def counted(self) -> Animation:
        return self

    def frames(self, wanted: Sequence[int]) -> Iterator[Pixels]:
        last = -1
        try:
            with Image.open(self.path) as image:
                for index, frame in enumerate(ImageSequence.Iterator(image)):
                    if index in wanted:
                        yield np.asarray(frame.convert("RGBA"))
                        last = index
                    if index >= wanted[-1]:
                        return
        except (OSError, SyntaxError, ValueError, EOFError):
            raise DatasetError(
                f"{self.path} cannot be read after frame {max(last, 0)}; save it again."
            ) from None


@dataclass(frozen=True)
class PictureFolder:
    """A folder of pictures of one size, in the natural order of their names."""

    path: Path
    pictures: tuple[Path, ...]
    fps: float | None = None

    @classmethod
    def open(cls, path: Path) -> PictureFolder:
        pictures = pictures_in(path)
        if not pictures:
            raise DatasetError(
                f"{path} holds no pictures; name a video or a folder of "
                f"{', '.join(suffix[1:] for suffix in PICTURES)} files."
            )
        kinds = sorted({picture.suffix.lower() for picture in pictures})
        if len(kinds) > 1:
            raise DatasetError(
                f"{path} mixes {' and '.join(kinds)} files; keep the pictures of one kind."
            )
        return cls(path, tuple(pictures))

    @property
    def count(self) -> int:
        """The number of pictures."""
        return len(self.pictures)

    def counted(self) -> PictureFolder:
        return self

    def frames(self, wanted: Sequence[int]) -> Iterator[Pixels]:
        first = self.pictures[wanted[0]]
        shape: tuple[int, ...] | None = None
        for index in wanted:
            picture = self.pictures[index]
            rgba, _ = read_rgba(picture, upright=True)
            if shape is not None and rgba.shape != shape:
                raise DatasetError(
                    f"{first} is {shape[1]} x {shape[0]} pixels but {picture} is "
                    f"{rgba.shape[1]} x {rgba.shape[0]}; a clip's pictures must have one size."
                )
            shape = rgba.shape
            yield rgba


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key by which frame9 comes before frame10."""
    parts = re.split(r"(\d+)", path.stem.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder in the natural order of their names."""
    found = (
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in PICTURES
        and not entry.name.startswith(".")
        and entry.name != SHEET_NAME
        and entry.is_file()
    )
    return sorted(found, key=natural_key)
