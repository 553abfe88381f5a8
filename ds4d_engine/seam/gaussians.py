# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians and their motion as plain numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import AssetError

F32 = NDArray[np.float32]
SH_BASES = (0, 3, 8, 15)  # K - 1 of degrees 0 to 3


@dataclass(eq=False)
class Gaussians:
    """Hold N Gaussians, all values activated, float32.

    means [N,3] world; quats [N,4] wxyz unit; scales [N,3] standard deviations in world units;
    opacities [N] 0..1; sh0 [N,1,3] and shN [N,K-1,3] spherical harmonics (a splat's colour is
    SH + 0.5, sRGB-encoded); dynamic_scores [N] 0..1, how much a Gaussian takes part in motion;
    observed [N] 0..1, how much of it a source picture shows (0 is invented; left out, all 1).
    Raises AssetError when the shapes disagree.
    """

    means: F32
    quats: F32
    scales: F32
    opacities: F32
    sh0: F32
    shN: F32
    dynamic_scores: F32
    observed: F32 = None  # type: ignore[assignment]  # an array once constructed

    def __post_init__(self) -> None:
        if self.observed is None:
            scores = np.shape(self.dynamic_scores)  # type: ignore[unreachable]
            self.observed = np.ones(scores, np.float32)
        for field in fields(self):
            setattr(self, field.name, _float32(getattr(self, field.name), field.name))
        count = self.means.shape[0] if self.means.ndim else 0
        bases = self.shN.shape[1] if self.shN.ndim == 3 else -1
        expected = {
            "means": (count, 3),
            "quats": (count, 4),
            "scales": (count, 3),
            "opacities": (count,),
            "sh0": (count, 1, 3),
            "shN": (count, bases, 3),
            "dynamic_scores": (count,),
            "observed": (count,),
        }
        _check_shapes(self, expected)
        if bases not in SH_BASES:
            raise AssetError(f"shN holds {bases} bases; degrees 0 to 3 have {SH_BASES}.")

    def __len__(self) -> int:
        return int(self.means.shape[0])

    @staticmethod
    def concatenate(a: Gaussians, b: Gaussians) -> Gaussians:
        """Join two sets, a first; both need the same spherical-harmonics degree."""
        if a.shN.shape[1] != b.shN.shape[1]:
            raise AssetError(
                f"Cannot join Gaussians with {a.shN.shape[1]} and {b.shN.shape[1]} "
                "higher spherical harmonics; use one degree."
            )
        joined = {
            field.name: np.concatenate([getattr(a, field.name), getattr(b, field.name)])
            for field in fields(a)
        }
        return Gaussians(**joined)


@dataclass(eq=False)
class Motion:
    """Hold what T frames change of Nd dynamic Gaussians, activated, float32.

    means [T,Nd,3]; quats [T,Nd,4] wxyz; scales [T,Nd,3]; opacities [T,Nd]; sh0 [T,Nd,1,3]. All but
    means are None where every dynamic Gaussian keeps its canonical value throughout.
    """

    means: F32
    quats: F32 | None = None
    scales: F32 | None = None
    opacities: F32 | None = None
    sh0: F32 | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                setattr(self, field.name, _float32(value, f"motion {field.name}"))
        frames, count = self.means.shape[:2] if self.means.ndim == 3 else (0, 0)
        expected: dict[str, tuple[int, ...]] = {
            "means": (frames, count, 3),
            "quats": (frames, count, 4),
            "scales": (frames, count, 3),
            "opacities": (frames, count),
            "sh0": (frames, count, 1, 3),
        }
        there = {name for name in expected if getattr(self, name) is not None}
        _check_shapes(self, {name: expected[name] for name in expected if name in there})


def _float32(value: Any, name: str) -> F32:
    try:
        return np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        raise AssetError(f"The {name} of the Gaussians are not numbers.") from None


def _check_shapes(owner: Gaussians | Motion, expected: dict[str, tuple[int, ...]]) -> None:
    for name, shape in expected.items():
        found = getattr(owner, name).shape
        if found != shape:
            raise AssetError(
                f"{type(owner).__name__}.{name} has shape {list(found)}, expected {list(shape)}."
            )
