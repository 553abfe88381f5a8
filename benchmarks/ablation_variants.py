# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ablation compares: settings of a fit by name, in the order of their tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Variant:
    """One row of an ablation."""

    label: str  # as tables show it
    settings: dict[str, Any] = field(default_factory=dict)
    preset: str = ""  # its own; empty: the run's


def _network(**settings: Any) -> dict[str, Any]:
    """Return the settings of a published row: all seven views, a start on the hull."""
    return {"motion": "ds4d-paper", "init": "hull", "feature_views": 7} | settings


# The paper's rows A, B, D to H. It does not say how D and E choose among views; since F adds the
# mean over views, they are read here as the front view alone.
PAPER = {
    "A": Variant("A HexPlane, random start", {"motion": "hexplane", "init": "random"}),
    "B": Variant("B + points of the hull", {"motion": "hexplane", "init": "hull"}),
    "D": Variant("D + features, not decoupled", _network(decouple=False, fuse="off")),
    "E": Variant("E + DSFD", _network(fuse="off")),
    "F": Variant("F + mean over views", _network(fuse="mean")),
    "G": Variant("G TSSF, GA", _network(fuse="ga")),
    "H": Variant("H TSSF, DA", _network(fuse="da")),
}

MODELS = {
    "ds4d": Variant("ds4d"),
    "ds4d-small": Variant("ds4d, a third of the Gaussians", {"gaussians_per_side": 8.0}),
    "spline": Variant("spline", {"motion": "spline", "lr_motion": 7e-3}),
    "hexplane": Variant("hexplane", {"motion": "hexplane"}),
    "ds4d-paper": Variant("ds4d-paper", {"motion": "ds4d-paper"}),
    "4dgs": Variant("4dgs", {"gaussians": 2000}, preset="4dgs"),
}

DEFAULT = {
    "ds4d": Variant("ds4d"),
    "no-search": Variant("without the search", {"search": False}),
    "no-appearance": Variant("without changing looks", {"appearance": False}),
    "no-damping": Variant("without damping", {"damping": 0.0}),
    "no-gate": Variant("without the gate", {"gate": False}),
    "no-stillness": Variant("without stillness", {"stillness": 0.0}),
    "no-rigidity": Variant("without rigidity", {"rigidity": 0.0}),
    "no-likeness": Variant("rigid neighbours by distance alone", {"likeness": 0.0}),
    "fuse-mean": Variant("mean over views", {"fuse": "mean"}),
    "fuse-off": Variant("front view alone", {"fuse": "off"}),
    "middle": Variant("reference: middle frame", {"reference": "middle"}),
    "mean": Variant("reference: mean", {"reference": "mean"}),
    "gram-schmidt": Variant("reference: Gram-Schmidt", {"reference": "gram-schmidt"}),
}

GROUPS = {"paper": PAPER, "models": MODELS, "default": DEFAULT}
