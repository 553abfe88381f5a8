# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures: reading, and scaling down in linear light."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..seam.errors import DatasetError
from .dataset import Pixels

Channels = NDArray[np.uint16]
LINEAR_MAX = 65535


def read_rgba(path: Path, *, upright: bool = False) -> tuple[Pixels, bool]:
    """Read a picture as RGBA uint8 [H,W,4]; also tell whether the file has an alpha channel.

    ``upright`` turns a JPEG as its camera noted; calibrated pictures must not be turned.
    """
    photo = upright and path.suffix.lower() in (".jpg", ".jpeg")
    image = _decode(path, cv2.IMREAD_COLOR if photo else cv2.IMREAD_UNCHANGED)
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA), True
    code = cv2.COLOR_BGR2RGBA if channels == 3 else cv2.COLOR_GRAY2RGBA
    return cv2.cvtColor(image, code), False


def read_mask(path: Path) -> Pixels:
    """Read a mask [H,W] uint8: the alpha channel where there is one, else the brightness."""
    image = _decode(path)
    if image.ndim == 2:
        return image
    if image.shape[2] == 4:
        return np.ascontiguousarray(image[..., 3])
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def scale_down(rgba: Pixels, width: int, height: int) -> Pixels:
    """Average the pixels of an RGBA picture into a smaller one, in linear light.

    Colours are weighted by alpha, so that what is transparent does not bleed in.
    """
    if rgba.shape[:2] == (height, width):
        return rgba
    size = (width, height)
    alpha = rgba[..., 3]
    linear = cv2.LUT(rgba[..., :3], _DECODE)
    if alpha.min() == 255:
        small = cv2.resize(linear, size, interpolation=cv2.INTER_AREA)
        return np.dstack([_ENCODE[small], np.full((height, width), 255, np.uint8)])
    weight = alpha.astype(np.float32)[..., None] / 255.0
    premultiplied = cv2.resize(linear * weight, size, interpolation=cv2.INTER_AREA)
    coverage = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)[..., None]
    straight = premultiplied / np.maximum(coverage, 1e-6)
    colour = _ENCODE[np.clip(straight + 0.5, 0, LINEAR_MAX).astype(np.uint16)]
    return np.dstack([colour, (coverage * 255.0 + 0.5).astype(np.uint8)])


def to_linear(srgb: Pixels) -> NDArray[np.float32]:
    """Decode sRGB values to linear light 0..1, of the same shape."""
    linear: NDArray[np.float32] = _DECODE_FLOAT[srgb]
    return linear


def from_linear(linear: NDArray[np.float32]) -> Pixels:
    """Encode linear light, clipped to 0..1, as sRGB values."""
    return _ENCODE[(np.clip(linear, 0.0, 1.0) * LINEAR_MAX + 0.5).astype(np.uint16)]


def _decode(path: Path, flags: int = cv2.IMREAD_UNCHANGED) -> Pixels:
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError:
        raise DatasetError(f"There is no picture {path}.") from None
    except OSError as error:
        raise DatasetError(f"Cannot read {path}: {error.strerror or error}.") from None
    try:
        image = cv2.imdecode(content, flags) if content.size else None
    except cv2.error:
        image = None
    if image is None:
        raise DatasetError(f"{path} is not a readable picture.")
    if image.dtype == np.uint16:
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if image.dtype != np.uint8:
        raise DatasetError(f"{path} has {image.dtype} pixels; save it as an 8-bit PNG.")
    return image


def _srgb_tables() -> tuple[Channels, Pixels]:
    encoded = np.arange(256) / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    values = np.arange(LINEAR_MAX + 1) / LINEAR_MAX
    back = np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
    return (
        np.round(linear * LINEAR_MAX).astype(np.uint16),
        np.round(back * 255.0).astype(np.uint8),
    )


_DECODE, _ENCODE = _srgb_tables()
_DECODE_FLOAT = _DECODE.astype(np.float32) / np.float32(LINEAR_MAX)
