# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what is left of fitted clips when few of their splats are drawn:

PYTHONPATH=. .nox/engine/bin/python benchmarks/density.py clip.ds4d ...

For each density the pictures of the splats that Blender's Density keeps, enlarged as it does, are
held against those of all splats, from six sides at two times: PSNR on white, and how well the
silhouettes cover each other (IoU). Beside it stand a random order and the one by opacity x area.
Clips of one camera, as `ds4d fit clip.mp4` makes them, are seen as their camera saw them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from ds4d_blender.density_order import GROWTH, density_ranks
from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.metrics import mask_iou
from ds4d_engine.render import composite, render_gaussians
from ds4d_engine.seam import Asset, Gaussians, read_asset

DENSITIES = (0.5, 0.25, 0.1, 0.05)
SIDES = ((0, 10), (60, 30), (130, -15), (200, 15), (270, 40), (320, 0))

Floats = NDArray[np.floating]


def orders(asset: Asset) -> dict[str, Floats]:
    """Return the rank of each splat, 0..1, in the orders to compare."""
    static, dynamic = asset.static, asset.dynamic
    over_time = asset.motion.opacities
    faded = dynamic.opacities if over_time is None else over_time.mean(axis=0)
    opacities = np.concatenate([static.opacities, faded])
    splats = Gaussians.concatenate(static, dynamic)
    a, b, c = splats.scales.T
    largest_first = np.argsort(-opacities * (a * b + b * c + c * a))
    ranks = np.arange(len(splats)) / len(splats)
    by_size = np.empty_like(ranks)
    by_size[largest_first] = ranks
    at_random = np.random.default_rng(0).permutation(ranks)
    ours = density_ranks(splats.means, opacities)
    return {"DS4D": ours, "random": at_random, "opacity x area": by_size}


def thinned(splats: Gaussians, kept: NDArray[np.bool_], density: float, grow: bool) -> Gaussians:
    """Return the splats that are kept, enlarged if `grow` says so."""
    sizes = np.linalg.norm(splats.scales, axis=1, keepdims=True)
    factor = 1 + (density**-GROWTH - 1) * sizes.mean() / sizes if grow else 1.0
    larger = replace(splats, scales=splats.scales * factor)
    return Gaussians(**{item.name: getattr(larger, item.name)[kept] for item in fields(larger)})


def pictures(splats: Gaussians, blend: str, size: int) -> Iterator[tuple[Floats, Floats]]:
    """Yield the picture on white and the alphas from each side."""
    for azimuth, elevation in SIDES:
        camera = orbit_camera("side", size, azimuth_degrees=azimuth, elevation_degrees=elevation)
        rendered = render_gaussians(splats, camera, blend=blend)
        yield composite(rendered, (1, 1, 1), blend=blend), rendered.alphas


def scores(asset: Asset, ranks: Floats, density: float, grow: bool, size: int) -> Floats:
    """Return the mean PSNR and IoU of a density against all splats."""
    found = []
    for part in (0.2, 0.8):
        splats = asset.at(part * (asset.frame_count - 1))
        fewer = thinned(splats, ranks < density, density, grow)
        pairs = zip(
            pictures(splats, asset.blend, size), pictures(fewer, asset.blend, size), strict=True
        )
        for (full, alphas), (picture, thin) in pairs:
            psnr = -10 * np.log10(np.mean((full - picture) ** 2))
            found.append((psnr, mask_iou(thin, alphas)))
    return np.mean(found, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("assets", nargs="+", help=".ds4d files")
    parser.add_argument("--size", type=int, default=128, help="width and height of the pictures")
    arguments = parser.parse_args()
    table: dict[tuple[str, bool, float], list[Floats]] = {}
    for path in arguments.assets:
        asset = read_asset(path)
        for name, ranks in orders(asset).items():
            for grow in (True, False):
                for density in DENSITIES:
                    found = scores(asset, ranks, density, grow, arguments.size)
                    table.setdefault((name, grow, density), []).append(found)
    print(f"{len(arguments.assets)} assets; mean PSNR in dB and IoU, in brackets the worst asset's")
    print(" " * 24, *(f"{density:>26.0%}" for density in DENSITIES))
    for name in ("DS4D", "random", "opacity x area"):
        for grow in (True, False):
            row = []
            for density in DENSITIES:
                found = np.array(table[name, grow, density])
                (psnr, iou), (worst_psnr, worst_iou) = found.mean(axis=0), found.min(axis=0)
                row.append(f"{psnr:6.2f} {iou:.3f} ({worst_psnr:.1f} {worst_iou:.3f})")
            print(f"{name:<15}{'enlarged' if grow else 'as it is':>9}", *(f"{x:>26}" for x in row))


if __name__ == "__main__":
    main()
