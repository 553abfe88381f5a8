# SPDX-License-Identifier: GPL-3.0-or-later
"""Write 8-bit RGBA pictures as small PNGs, with nothing but zlib and numpy."""

from __future__ import annotations

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode(pixels: np.ndarray) -> bytes:
    """Return the PNG of uint8 pixels [H,W,4], each row filtered as it packs best."""
    height, width, _ = pixels.shape
    rows = _filtered(pixels.reshape(height, -1))
    # The filter whose residuals are smallest in sum is the usual guess at the best one.
    cost = np.minimum(rows, 256 - rows.astype(np.int16)).sum(axis=2)
    chosen = cost.argmin(axis=0)
    adaptive = _pack(rows, chosen)
    average = _pack(rows, np.full(height, 3))
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    data = min(adaptive, average, key=len)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _filtered(rows: np.ndarray) -> np.ndarray:
    """Return the rows [H,B] under the five PNG filters as uint8 [5,H,B]."""
    raw = rows.astype(np.int16)
    left = np.pad(raw, ((0, 0), (4, 0)))[:, :-4]
    above = np.pad(raw, ((1, 0), (0, 0)))[:-1]
    corner = np.pad(raw, ((1, 0), (4, 0)))[:-1, :-4]
    estimate = left + above - corner
    off_left, off_above = abs(estimate - left), abs(estimate - above)
    off_corner = abs(estimate - corner)
    paeth = np.where(
        (off_left <= off_above) & (off_left <= off_corner),
        left,
        np.where(off_above <= off_corner, above, corner),
    )
    predictions = (np.zeros_like(raw), left, above, (left + above) // 2, paeth)
    return np.stack([(raw - p) & 255 for p in predictions]).astype(np.uint8)


def _pack(rows: np.ndarray, chosen: np.ndarray) -> bytes:
    raw = b"".join(bytes([f]) + rows[f, i].tobytes() for i, f in enumerate(chosen))
    packed = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED):
        packer = zlib.compressobj(9, zlib.DEFLATED, 15, 9, strategy)
        packed.append(packer.compress(raw) + packer.flush())
    return min(packed, key=len)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
