# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks that the user has: a folder of pictures, or a video."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..data.dataset import Pixels
from ..data.images import read_mask
from ..data.video_files import count_frames, video_frames
from ..seam.errors import DatasetError
from .sources import pictures_in

_FRAME_NUMBER = re.compile(r"(\d+)$")


@dataclass(frozen=True, eq=False)
class GivenMasks:
    """One mask per source frame, or pictures named by the source frames that they belong to."""

    path: Path
    pictures: dict[int, Path] | None

    @classmethod
    def open(cls, path: Path, frame_count: int, indices: Sequence[int]) -> GivenMasks:
        """Find the masks of the chosen source frames `indices` of a clip of `frame_count`.

        Raises:
            DatasetError: there are none, or some are missing.
        """
        if not path.exists():
            raise DatasetError(f"There are no masks at {path}; name a folder or a video.")
        if path.is_dir():
            return cls(path, _by_frame(path, frame_count, indices))
        count = count_frames(path)
        if count != frame_count:
            raise _wrong_count(path, count, frame_count)
        return cls(path, None)

    def frames(self, indices: Sequence[int], size: tuple[int, int]) -> Iterator[Pixels]:
        """Yield the masks of source frames, uint8 [H,W], 255 on the object.

        Raises:
            DatasetError: a mask cannot be read, or has another size than (width, height).
        """
        for mask in self._read(indices):
            if mask.shape != (size[1], size[0]):
                raise DatasetError(
                    f"A mask in {self.path} is {mask.shape[1]} x {mask.shape[0]} pixels, but the "
                    f"clip is {size[0]} x {size[1]}; masks must have the clip's size."
                )
            # Label pictures call the object 1.
            yield mask * np.uint8(255) if mask.max() == 1 else mask

    def _read(self, indices: Sequence[int]) -> Iterator[Pixels]:
        if self.pictures is not None:
            yield from (read_mask(self.pictures[index]) for index in indices)
            return
        for frame in video_frames(self.path, indices):
            grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            # Codecs leave black at 1 or 2 and white at 253.
            yield cv2.convertScaleAbs(np.clip(grey, 8, 247) - np.uint8(8), alpha=255 / 239)


def _by_frame(folder: Path, frame_count: int, indices: Sequence[int]) -> dict[int, Path]:
    pictures = pictures_in(folder)
    if not pictures:
        raise DatasetError(f"The mask folder {folder} holds no pictures.")
    if len(pictures) == frame_count:
        return dict(enumerate(pictures))
    numbered = {
        int(match[1]): picture
        for picture in pictures
        if (match := _FRAME_NUMBER.search(picture.stem))
    }
    missing = [index for index in indices if index not in numbered]
    if len(missing) == len(indices):
        raise _wrong_count(folder, len(pictures), frame_count)
    if missing:
        raise DatasetError(
            f"{folder} has no mask for frame {missing[0]}; make the masks with the same --start, "
            "--end, --stride and --fps."
        )
    return {index: numbered[index] for index in indices}


def _wrong_count(path: Path, count: int, frame_count: int) -> DatasetError:
    return DatasetError(
        f"{path} has {count} masks but the clip has {frame_count} frames; there must be one mask "
        "per frame, or pictures named by the number of their frame."
    )
