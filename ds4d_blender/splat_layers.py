# SPDX-License-Identifier: GPL-3.0-or-later
"""The attributes that an asset becomes in Blender, as plain arrays, one after another.

Nothing here touches Blender's data, so a thread may do it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import bpy
import numpy as np
from numpy.typing import NDArray

from .density_order import density_ranks
from .seam import Asset, Gaussians

SH_C0 = 0.28209479177387814
# What `radiance:base` is: FLOAT4 where Blender has it.
_KINDS = bpy.types.Attribute.bl_rna.properties["data_type"].enum_items.keys()
FOUR_FLOATS = "FLOAT4" if "FLOAT4" in _KINDS else "FLOAT_COLOR"

Part = Literal["static", "dynamic"]


@dataclass(frozen=True, eq=False)
class Layer:
    """One attribute of one of the two clouds; `values` float32, flat and a copy."""

    part: Part
    name: str
    kind: str
    values: NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """What is known of an asset before its arrays are read."""

    counts: dict[Part, int]
    frame_count: int
    moments: int
    """How many of the frames are stored; fewer where memory is short."""
    fps: float
    frame_start: int
    blend: str
    note: str = ""
    """A sentence for the artist on what was left out."""

    @property
    def floats(self) -> int:
        """Return about how many numbers its attributes have."""
        return 21 * sum(self.counts.values()) + 10 * self.moments * self.counts["dynamic"]


def clip_of(asset: Asset) -> Clip:
    """Return what an asset says of itself."""
    parts: dict[Part, Gaussians] = {"static": asset.static, "dynamic": asset.dynamic}
    return Clip(
        counts={part: len(gaussians) for part, gaussians in parts.items()},
        frame_count=asset.frame_count,
        moments=len(asset.motion.means),
        fps=asset.fps,
        frame_start=asset.frame_start,
        blend=asset.blend,
    )


def layers(asset: Asset) -> Iterator[Layer]:
    """Yield every attribute of both clouds; a part without Gaussians has none."""
    ranks = _ranks(asset)
    if len(asset.static):
        yield from _canonical("static", asset.static, asset.blend, ranks["static"])
    if len(asset.dynamic):
        yield from _canonical("dynamic", asset.dynamic, asset.blend, ranks["dynamic"])
        yield from _motion(asset)


def _ranks(asset: Asset) -> dict[Part, NDArray[np.float32]]:
    """Return the order in which splats are kept: one order for both clouds."""
    static, dynamic = asset.static, asset.dynamic
    over_time = asset.motion.opacities
    opacities = dynamic.opacities if over_time is None else np.mean(over_time, axis=0)
    ranks = density_ranks(
        np.concatenate([static.means, dynamic.means]),
        np.concatenate([static.opacities, opacities]),
    )
    return {"static": ranks[: len(static)], "dynamic": ranks[len(static) :]}


def _canonical(
    part: Part, gaussians: Gaussians, blend: str, ranks: NDArray[np.float32]
) -> Iterator[Layer]:
    """Yield the attributes of Blender's own splats, and those drawing needs."""

    def layer(name: str, kind: str, values: NDArray[np.floating]) -> Layer:
        return Layer(part, name, kind, _flat(values))

    yield layer("position", "FLOAT_VECTOR", gaussians.means)
    yield layer("scale", "FLOAT_VECTOR", gaussians.scales)
    yield layer("rotation", "QUATERNION", _unit(gaussians.quats))
    sh0 = gaussians.sh0[:, 0, :]
    yield layer("radiance:base", FOUR_FLOATS, np.column_stack([sh0, gaussians.opacities]))
    for k in range(gaussians.shN.shape[1]):
        yield layer(f"radiance:sh_{k}", "FLOAT_VECTOR", gaussians.shN[:, k, :])
    yield layer("opacity", "FLOAT", gaussians.opacities)
    yield layer("dynamic_score", "FLOAT", gaussians.dynamic_scores)
    yield layer("observed", "FLOAT", gaussians.observed)
    yield layer("density_rank", "FLOAT", ranks)
    colours = np.column_stack([splat_colors(sh0, blend), np.ones(len(gaussians))])
    yield layer("splat_color", "FLOAT_COLOR", colours)


def _motion(asset: Asset) -> Iterator[Layer]:
    motion = asset.motion

    def layer(name: str, kind: str, values: NDArray[np.floating]) -> Layer:
        return Layer("dynamic", name, kind, _flat(values))

    for frame in range(len(motion.means)):
        yield layer(f"pos_{frame}", "FLOAT_VECTOR", motion.means[frame])
        if motion.quats is not None:
            yield layer(f"rot_{frame}", "QUATERNION", _unit(motion.quats[frame]))
        if motion.scales is not None:
            yield layer(f"scl_{frame}", "FLOAT_VECTOR", motion.scales[frame])
        if motion.opacities is not None:
            yield layer(f"opa_{frame}", "FLOAT", motion.opacities[frame])
        if motion.sh0 is not None:
            # Encoded, and not yet cut off at 0: mixed in between frames like the coefficients.
            encoded = motion.sh0[frame][:, 0] * np.float32(SH_C0) + np.float32(0.5)
            yield layer(f"col_{frame}", "FLOAT_VECTOR", encoded)


def splat_colors(sh0: NDArray[np.float32], blend: str) -> NDArray[np.float32]:
    """Return the signed colours [N,3] that drawing starts from, from coefficients `sh0` [N,3].

    Linear light for "linear" assets; for "srgb" ones the encoded values themselves, which only
    the Raw view transform shows as they were fitted. Negative values are kept (the curve's linear
    segment goes on below 0): drawing adds the view-dependent part and then cuts off at 0.
    """
    encoded = sh0.astype(np.float64) * SH_C0 + 0.5
    if blend == "srgb":
        return encoded.astype(np.float32)
    curve = ((np.maximum(encoded, 0.0) + 0.055) / 1.055) ** 2.4
    linear = np.where(encoded <= 0.04045, encoded / 12.92, curve)
    return linear.astype(np.float32)


def _unit(quats: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.sqrt(np.einsum("ij,ij->i", quats, quats))[:, None]
    return quats / np.maximum(lengths, np.float32(1e-12))


def _flat(values: NDArray[np.floating]) -> NDArray[np.float32]:
    # A copy: the asset's arrays are a mapped file, and touching one may mean reading the disk.
    return np.array(values, np.float32, order="C").ravel()
