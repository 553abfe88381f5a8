# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip of a striped ball that rolls, as transparent pictures, for fits in a test."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np


def write_clip(folder: Path, frames: int = 6, size: int = 48) -> Path:
    """Write a folder of RGBA pictures; return it."""
    folder.mkdir(parents=True)
    y, x = np.mgrid[:size, :size].astype(float)
    for frame in range(frames):
        across = x - size * 0.38 - 2.0 * frame
        inside = np.hypot(across, (y - size / 2) * 0.8) < size / 4
        pixels = np.zeros((size, size, 4), np.uint8)
        pixels[..., 0] = np.where(across // 4 % 2 == 0, 220, 60)
        pixels[..., 1] = 120 + (2 * y) % 100
        pixels[..., 2] = 60
        pixels[..., 3] = inside * 255
        write_png(folder / f"{frame:04d}.png", pixels)
    return folder


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write RGBA bytes [H,W,4] as a PNG file."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
