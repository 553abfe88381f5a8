# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip of a few pictures with alpha: a spotted disc that drifts to the right."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np


def write_film(folder: Path, frame_count: int = 4, size: int = 40) -> Path:
    """Write numbered RGBA pictures, `size` pixels square, into a new folder and return it."""
    folder.mkdir(parents=True)
    y, x = np.mgrid[0:size, 0:size]
    for frame in range(frame_count):
        centre = size * (0.4 + 0.2 * frame / max(frame_count - 1, 1))
        inside = (x - centre) ** 2 + (y - size / 2) ** 2 < (size / 4) ** 2
        spots = 60 * (((x - round(centre)) // 4 + y // 4) % 2)
        pixels = np.stack([200 - spots, 90 + spots, 3 * y, 255 * inside], -1).astype(np.uint8)
        (folder / f"{frame:03d}.png").write_bytes(_png(pixels))
    return folder


def _png(pixels: np.ndarray) -> bytes:
    """Encode RGBA uint8 [H,W,4]; neither Pillow nor OpenCV is in Blender."""
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
