# SPDX-License-Identifier: GPL-3.0-or-later
"""Does TSSF choose among views? Fit the published network; print how its views share.

    python benchmarks/fusion_shares.py --clips paper/fox-walk damaged/fox-walk

The fits are rows F, G and H of `ablation.py paper`. For Gaussians that two views or more see, over
all frames: how many views see one; how many count, exp of the entropy of their shares (equal shares
count all); the largest share; and the share of views that damage_views.py left as they are, the
front, beside what equal shares give it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from ablation import CACHE
from ablation_variants import PAPER
from torch import Tensor

from ds4d_engine.data import load_dataset
from ds4d_engine.fit import FitConfig, fit
from ds4d_engine.motion.paper import PaperMotion

SETTINGS: dict[str, Any] = {"gaussians": 2500, "max_gaussians": 3000, "iterations": 1200}
SETTINGS |= {"threads": 1, "checkpoint_seconds": 0.0}
TITLES = ("views that see it", "that count", "largest share", "front's share", "equal share")


def fitted_network(clip: str, variant: str) -> PaperMotion:
    """Return the network of a fit as it was after its last step."""
    networks: list[PaperMotion] = []
    refresh = PaperMotion.refresh

    def remember(
        network: PaperMotion, splats: Mapping[str, Tensor], visible: Tensor | None
    ) -> None:
        networks.append(network)
        refresh(network, splats, visible)

    config = FitConfig.preset_named("draft").replace(**SETTINGS, **PAPER[variant].settings)
    PaperMotion.refresh = remember  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            fit(load_dataset(CACHE / clip), config, Path(folder) / "fit.ds4d")
    finally:
        PaperMotion.refresh = refresh  # type: ignore[method-assign]
    return networks[-1]


@torch.no_grad()
def shares_of(network: PaperMotion) -> tuple[float, ...]:
    """Return the figures under TITLES."""
    visible = network._visible
    assert visible is not None
    seen = visible.sum(0)
    chosen = seen >= 2
    found = []
    for time in network.times:
        shares = network.point_features(time)[1][:, chosen]
        entropy = -(shares * shares.clamp_min(1e-9).log()).sum(0)
        front = shares[0][visible[0, chosen]].mean()
        found.append([entropy.exp().mean(), shares.amax(0).mean(), front])
    count, largest, front = torch.tensor(found).mean(0).tolist()
    equal = (1.0 / seen[chosen])[visible[0, chosen]].mean().item()
    return seen[chosen].float().mean().item(), count, largest, front, equal


def main() -> None:
    """Print a table of the clips that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", nargs="+", default=["paper/fox-walk", "damaged/fox-walk"])
    clips = parser.parse_args().clips
    print("| clip | fusion | " + " | ".join(TITLES) + " |")
    print("|---" * (2 + len(TITLES)) + "|")
    for clip in clips:
        for variant in ("F", "G", "H"):
            cells = " | ".join(f"{value:.2f}" for value in shares_of(fitted_network(clip, variant)))
            print(f"| {clip} | {PAPER[variant].label} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
