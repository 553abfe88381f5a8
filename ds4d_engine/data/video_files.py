# SPDX-License-Identifier: GPL-3.0-or-later
"""Video files and folders of pictures as sequences of frames, read once from front to back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2

from ..seam.errors import DatasetError
from .dataset import Pixels
from .images import read_mask

# FFmpeg's own complaints would stand beside the one sentence that says it all.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")


@dataclass(frozen=True)
class Probe:
    """What a video says of itself; width and height are those of its first decoded frame."""

    path: Path
    width: int
    height: int
    frames: int
    fps: float


def probe_video(path: Path, *, count: bool = True) -> Probe:
    """Open a video and decode its first frame; raise DatasetError when that fails.

    Where the container does not say how many frames there are, they are counted, which decodes
    the whole video; with ``count`` False they are 0 then.
    """
    with _opened(path) as capture:
        ok, frame = capture.read()
        if not ok:
            raise DatasetError(
                f"{path} holds no frame that can be decoded; convert it to an H.264 .mp4."
            )
        frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        if frames < 1:  # some containers do not say
            frames = 1 + _grabbed(capture) if count else 0
    height, width = frame.shape[:2]
    return Probe(path, width, height, frames, fps)


def count_frames(path: Path) -> int:
    """Decode a whole video and return how many frames it holds."""
    with _opened(path) as capture:
        return _grabbed(capture)


def video_frames(path: Path, wanted: Sequence[int]) -> Iterator[Pixels]:
    """Yield the wanted frames (ascending indices) as BGR uint8 [H,W,3]; others are skipped.

    Raises DatasetError when the video ends before the last wanted frame.
    """
    with _opened(path) as capture:
        position = 0
        for index in wanted:
            while position < index and capture.grab():
                position += 1
            ok, frame = capture.read()
            if not ok:
                raise broken_off(path, position, index)
            position += 1
            yield frame


def broken_off(path: Path, position: int, index: int) -> DatasetError:
    """Return the error for a video that ends before a wanted frame."""
    remedy = f"take what is there with --end {position}" if position > 1 else "shorten the range"
    return DatasetError(
        f"{path} breaks off at frame {position}, frame {index} is wanted; "
        f"{remedy}, or convert the video again."
    )


class MaskFrames:
    """The masks of one camera: a video, or a folder with one picture per frame in name order."""

    def __init__(self, folder: Path, camera: str) -> None:
        self.path = _find_masks(folder, camera)
        self.pictures: list[Path] = []
        if self.path.is_dir():
            found = (p for p in self.path.iterdir() if p.suffix.lower() in PICTURES)
            self.pictures = sorted(found, key=lambda p: (len(p.stem), p.stem))
            if not self.pictures:
                raise DatasetError(f"The mask folder {self.path} holds no pictures.")
            self.count = len(self.pictures)
        else:
            self.count = probe_video(self.path).frames

    def frames(self, wanted: range) -> Iterator[Pixels]:
        """Yield the wanted masks, uint8 [H,W], 255 where the object is."""
        if self.pictures:
            yield from (read_mask(self.pictures[index]) for index in wanted)
        else:
            for frame in video_frames(self.path, wanted):
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)


def _find_masks(folder: Path, camera: str) -> Path:
    for path in (folder / camera, *(folder / f"{camera}{suffix}" for suffix in VIDEOS)):
        if path.exists():
            return path
    raise DatasetError(
        f"{folder} has no masks for camera {camera!r}; expected a folder {camera}/ or {camera}.mp4."
    )


def _grabbed(capture: cv2.VideoCapture) -> int:
    frames = 0
    while capture.grab():
        frames += 1
    return frames


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    if not path.is_file():
        raise DatasetError(f"There is no video {path}.")
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise DatasetError(
                f"{path} is not a video that can be decoded here; convert it to an H.264 .mp4."
            )
        yield capture
    finally:
        capture.release()
