# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the deformation network: one for a CPU, and those that others published.

Rates are per unit of a subject of radius 1. Both codes multiply theirs by the cameras' extent,
which is put in here: about 5 for 4DGaussians on D-NeRF, 10 for STAG4D.
"""

from __future__ import annotations

from typing import TypedDict


class Network(TypedDict, total=False):
    """Settings of `HexPlaneMotion` and `PaperMotion`; what is left out keeps their defaults."""

    bound: float
    resolution: int
    time_resolution: int
    channels: int
    scales: tuple[int, ...]
    width: int
    frequencies: int
    learning_rate: float
    grid_learning_rate: float
    space_curvature: float
    time_curvature: float
    time_share: float


NETWORKS: dict[str, Network] = {
    "light": {},
    # arguments/__init__.py and arguments/dnerf of hustvl/4DGaussians. Its planes cover the box of
    # the points that it starts from; their resolution in time is half the frames.
    "4dgs": {
        "resolution": 64,
        "time_resolution": 0,
        "channels": 32,
        "scales": (1, 2),
        "width": 64,
        "frequencies": 0,
        "learning_rate": 8e-4,
        "grid_learning_rate": 8e-3,
        "space_curvature": 1e-4,
        "time_curvature": 1e-2,
        "time_share": 1e-4,
    },
    # What DS4D most likely keeps. Its weights of rough planes stand against losses of another size.
    "stag4d": {
        "bound": 1.6,
        "resolution": 64,
        "time_resolution": 25,
        "channels": 32,
        "scales": (1, 2, 4, 8),
        "width": 64,
        "frequencies": 0,
        "learning_rate": 1.6e-3,
        "grid_learning_rate": 1.6e-2,
    },
}
