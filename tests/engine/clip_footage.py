# SPDX-License-Identifier: GPL-3.0-or-later
"""Small clips whose object is known, and the files that hold them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from ds4d_engine.video import video_writer

Pixels = NDArray[np.uint8]
WIDTH, HEIGHT, COUNT = 160, 120, 6
RED = (200, 40, 30)
_OVER = 4


def disc_alpha(
    center: tuple[float, float], radius: float, width: int = WIDTH, height: int = HEIGHT
) -> Pixels:
    """Return an anti-aliased disc, 255 inside, [H,W]."""
    ys, xs = np.mgrid[0 : height * _OVER, 0 : width * _OVER] + 0.5
    inside = np.hypot(xs / _OVER - center[0], ys / _OVER - center[1]) < radius
    fine = inside.astype(np.float32) * 255
    return np.round(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)).astype(
        np.uint8
    )


def moving_alphas(
    count: int = COUNT, radius: float = 25, step: float = 4.0, **size: int
) -> list[Pixels]:
    """Return a disc that moves to the right by `step` pixels a frame."""
    return [disc_alpha((55 + step * t, 60), radius, **size) for t in range(count)]


def over(
    alpha: Pixels, color: Sequence[int] | Pixels, background: Sequence[int] | Pixels
) -> Pixels:
    """Lay a colour (or picture) over a background: RGB [H,W,3]."""
    weight = alpha[..., None] / 255.0
    mixed = np.asarray(color) * weight + np.asarray(background) * (1 - weight)
    return np.round(mixed).astype(np.uint8)


def with_alpha(alpha: Pixels, color: Sequence[int] = RED) -> Pixels:
    """Return RGBA [H,W,4] of one colour."""
    rgb = np.broadcast_to(np.asarray(color, np.uint8), (*alpha.shape, 3))
    return np.dstack([rgb, alpha])


def write_mp4(path: Path, frames: Sequence[Pixels], fps: float = 25.0) -> Path:
    """Write RGB frames as H.264, with its noise."""
    with video_writer(path, fps) as writer:
        for frame in frames:
            writer.add(frame)
    return path


def write_ffmpeg(path: Path, frames: Sequence[Pixels], *options: str, fps: float = 25.0) -> Path:
    """Write RGB or RGBA frames with ffmpeg's own options."""
    height, width, channels = frames[0].shape
    layout = {3: "rgb24", 4: "rgba"}[channels]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "rawvideo"]
    command += ["-pix_fmt", layout, "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    content = b"".join(np.ascontiguousarray(frame).tobytes() for frame in frames)
    subprocess.run([*command, *options, str(path)], input=content, check=True)
    return path


def write_pictures(folder: Path, frames: Sequence[Pixels], name: str = "{}.png") -> Path:
    """Write RGB, RGBA or grey frames as numbered pictures, not zero-padded."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames):
        codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
        stored = frame if frame.ndim == 2 else cv2.cvtColor(frame, codes[frame.shape[2]])
        assert cv2.imwrite(str(folder / name.format(index)), stored)
    return folder


def overlap(found: Pixels, expected: Pixels) -> float:
    """Return the intersection over union of two masks."""
    a, b = found >= 128, expected >= 128
    return float((a & b).sum() / max(1, (a | b).sum()))
