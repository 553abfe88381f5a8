# SPDX-License-Identifier: GPL-3.0-or-later
"""The asset: an animated clip of Gaussians, and the .ds4d file that holds it."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import storage
from .cameras import Camera
from .errors import AssetError, DS4DError
from .gaussians import Gaussians, Motion
from .quaternions import make_continuous, normalize, slerp

__all__ = ["Asset", "Gaussians", "Motion", "read_asset", "write_asset"]

FORMAT = "ds4d"
# The newest version read. A file is written as the oldest one whose readers show it right.
VERSION = 2
AXES = "right-handed, +Z up"

Blend = Literal["linear", "srgb"]
StrPath = str | os.PathLike[str]


@dataclass(eq=False)
class Asset:
    """Hold a fitted clip: a static part, a dynamic part, its motion, and how to show it.

    ``times`` [T] run uniformly from 0 to 1; frame i of the clip is scene frame
    ``frame_start + i`` at ``fps``. ``blend`` says in which space splat colours are blended.
    ``provenance`` is free JSON. World: right-handed, +Z up, in ``units``.
    Raises AssetError when the parts contradict each other.
    """

    static: Gaussians
    dynamic: Gaussians
    motion: Motion
    cameras: tuple[Camera, ...]
    times: NDArray[np.float64]
    fps: float
    frame_start: int
    blend: Blend
    provenance: dict[str, Any] = field(default_factory=dict)
    units: str = "dataset units"

    def __post_init__(self) -> None:
        self.cameras = tuple(self.cameras)
        self.times = np.asarray(self.times, dtype=np.float64)
        frames, count = self.motion.means.shape[:2]
        if frames < 1 or self.times.shape != (frames,):
            raise AssetError(
                f"The motion has {frames} frames but there are {self.times.size} times; "
                "both must be equal and at least 1."
            )
        if not np.allclose(self.times, np.linspace(0.0, 1.0, frames), atol=1e-6):
            raise AssetError("The times of an asset must be spaced evenly from 0 to 1.")
        if count != len(self.dynamic):
            raise AssetError(
                f"The motion moves {count} Gaussians but the dynamic part has {len(self.dynamic)}."
            )
        if self.static.shN.shape[1] != self.dynamic.shN.shape[1]:
            raise AssetError("The static and dynamic parts differ in spherical-harmonics degree.")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise AssetError(f"The frame rate is {self.fps}; it must be positive.")
        if self.blend not in ("linear", "srgb"):
            raise AssetError(f"The blend space {self.blend!r} is unknown; use linear or srgb.")

    @property
    def frame_count(self) -> int:
        """The number of stored frames, T."""
        return int(self.times.shape[0])

    def frame(self, i: int) -> Gaussians:
        """Return static then dynamic Gaussians at stored frame i in 0..T-1."""
        return self.at(float(i))

    def at(self, frame: float) -> Gaussians:
        """Return static then dynamic Gaussians at a fractional frame in 0..T-1.

        Between frames means, scales, opacities and sh0 are mixed linearly and rotations along
        the shorter arc, as the Blender player does.
        """
        if not 0 <= frame <= self.frame_count - 1:
            raise AssetError(f"Frame {frame:g} is outside 0..{self.frame_count - 1}.")
        before = int(frame)
        weight = frame - before
        after = before + 1 if weight else before

        def mix(
            values: NDArray[np.float32] | None, canonical: NDArray[np.float32]
        ) -> NDArray[np.float32]:
            if values is None:
                return canonical
            mixed: NDArray[np.float32] = values[before]
            if weight:
                mixed = mixed * np.float32(1 - weight) + values[after] * np.float32(weight)
            return mixed

        motion, dynamic = self.motion, self.dynamic
        quats = dynamic.quats if motion.quats is None else motion.quats[before]
        if weight and motion.quats is not None:
            quats = slerp(quats, motion.quats[after], weight)
        moved = Gaussians(
            means=mix(motion.means, dynamic.means),
            quats=quats,
            scales=mix(motion.scales, dynamic.scales),
            opacities=mix(motion.opacities, dynamic.opacities),
            sh0=mix(motion.sh0, dynamic.sh0),
            shN=dynamic.shN,
            dynamic_scores=dynamic.dynamic_scores,
            observed=dynamic.observed,
        )
        return Gaussians.concatenate(self.static, moved)


def write_asset(path: StrPath, asset: Asset) -> None:
    """Write an asset so that it appears whole or not at all.

    Rotations are stored unit length, with signs continuous over time. Raises AssetError when a
    value is not finite, the provenance is not JSON, or the file cannot be written.
    """
    arrays = _arrays(asset)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise AssetError(f"Array {name} holds a value that is not finite; the fit diverged.")
    try:
        provenance = json.dumps(asset.provenance, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssetError(f"The provenance cannot be stored as JSON: {error}.") from None
    metadata = {
        "format": FORMAT,
        "version": _oldest_version(asset.motion),
        "fps": repr(float(asset.fps)),
        "frame_start": str(int(asset.frame_start)),
        "blend": asset.blend,
        "axes": AXES,
        "units": asset.units,
        "camera_names": json.dumps([camera.name for camera in asset.cameras]),
        "camera_splits": json.dumps([camera.split for camera in asset.cameras]),
        "provenance": provenance,
    }
    storage.write_arrays(Path(path), arrays, metadata)


def read_asset(path: StrPath, *, verify: bool = True) -> Asset:
    """Read an asset whose arrays are read-only views of the memory-mapped file.

    ``verify`` compares every checksum, which reads the file once; without it only the header is
    read, and frames come from disk when they are used. Raises AssetError, one sentence, for a
    missing, foreign, newer, truncated or corrupt file.
    """
    path = Path(path)
    header = storage.read_header(path)
    metadata = header.metadata
    if metadata.get("format") != FORMAT:
        raise AssetError(f"{path} is a safetensors file but not a DS4D asset.")
    _check_version(path, metadata.get("version", ""))
    arrays = storage.map_arrays(path, header)
    if verify:
        storage.verify_arrays(path, header, arrays)
    if metadata.get("axes") != AXES:
        raise AssetError(f"{path} uses the axes {metadata.get('axes')!r}; expected {AXES!r}.")
    try:
        return _build(arrays, metadata)
    except (KeyError, ValueError) as error:
        raise AssetError(f"{path} is corrupt: bad or missing field {error}.") from None
    except DS4DError as error:
        raise AssetError(f"{path} is corrupt: {error}") from None


def _check_version(path: Path, version: str) -> None:
    if not version.isdigit() or int(version) < 1:
        raise AssetError(f"{path} is corrupt: its version {version!r} is not a number.")
    if int(version) > VERSION:
        raise AssetError(
            f"{path} was written by a newer DS4D (asset version {version}, this one reads up to "
            f"{VERSION}); update DS4D."
        )


def _oldest_version(motion: Motion) -> str:
    """Return the oldest version whose readers show a motion right."""
    known = motion.sh0 is None and motion.quats is not None and motion.scales is not None
    return "1" if known else "2"


def _arrays(asset: Asset) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for part, gaussians in (("static", asset.static), ("dynamic", asset.dynamic)):
        for item in fields(gaussians):
            arrays[f"{part}.{item.name}"] = getattr(gaussians, item.name)
        arrays[f"{part}.quats"] = normalize(gaussians.quats)
        if (gaussians.observed == 1).all():
            del arrays[f"{part}.observed"]
    motion = asset.motion
    arrays["motion.means"] = motion.means
    for item in fields(motion):
        if (values := getattr(motion, item.name)) is not None:
            arrays[f"motion.{item.name}"] = values
    if motion.quats is not None:
        first = arrays["dynamic.quats"]
        arrays["motion.quats"] = make_continuous(normalize(motion.quats), first)
    cameras = asset.cameras
    arrays["cameras.Ks"] = np.array([c.K for c in cameras], np.float64).reshape(-1, 3, 3)
    viewmats = np.array([c.viewmat for c in cameras], np.float64)
    arrays["cameras.viewmats"] = viewmats.reshape(-1, 4, 4)
    sizes = [(c.width, c.height) for c in cameras]
    arrays["cameras.sizes"] = np.array(sizes, np.int32).reshape(-1, 2)
    arrays["times"] = asset.times
    return arrays


def _build(arrays: dict[str, NDArray[Any]], metadata: dict[str, str]) -> Asset:
    names = json.loads(metadata["camera_names"])
    splits = json.loads(metadata["camera_splits"])
    cameras = tuple(
        Camera(name, K, viewmat, int(width), int(height), split)
        for name, K, viewmat, (width, height), split in zip(
            names,
            arrays["cameras.Ks"],
            arrays["cameras.viewmats"],
            arrays["cameras.sizes"],
            splits,
            strict=True,
        )
    )
    return Asset(
        static=_gaussians(arrays, "static"),
        dynamic=_gaussians(arrays, "dynamic"),
        motion=Motion(
            arrays["motion.means"],
            arrays.get("motion.quats"),
            arrays.get("motion.scales"),
            arrays.get("motion.opacities"),
            arrays.get("motion.sh0"),
        ),
        cameras=cameras,
        times=arrays["times"],
        fps=float(metadata["fps"]),
        frame_start=int(metadata["frame_start"]),
        blend=metadata["blend"],  # type: ignore[arg-type]  # Asset refuses any other text
        provenance=json.loads(metadata["provenance"]),
        units=metadata["units"],
    )


def _gaussians(arrays: dict[str, NDArray[Any]], part: str) -> Gaussians:
    values = {
        item.name: arrays[f"{part}.{item.name}"]
        for item in fields(Gaussians)
        if item.name != "observed"
    }
    return Gaussians(**values, observed=arrays.get(f"{part}.observed"))  # type: ignore[arg-type]
