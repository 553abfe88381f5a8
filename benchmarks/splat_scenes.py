# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drawing benchmarks look at: sets of splats, and cameras as an artist sets them up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ds4d_engine.seam import Asset, Camera, Gaussians, Motion
from tests.blender import synthetic
from tests.blender.reference import rotation_matrices

# An orthographic camera is a perspective one from so far away that 1e-6 of depth is left of it.
FAR_AWAY = 1e6


@dataclass(frozen=True)
class View:
    """A camera in Blender's own terms: `lens` and `sensor` in mm, `shift` in sensor sizes.

    `orthographic` is the scale of a parallel view, in scene units. `fit` says which side of the
    picture the sensor spans.
    """

    name: str
    position: tuple[float, float, float]
    target: tuple[float, float, float]
    lens: float = 50.0
    sensor: float = 36.0
    fit: str = "AUTO"
    shift: tuple[float, float] = (0.0, 0.0)
    orthographic: float | None = None
    size: tuple[int, int] = (256, 256)
    percentage: int = 100

    def plan(self) -> dict[str, Any]:
        """Return what Blender needs to set this camera up, as JSON holds it."""
        pose = self.pinhole(exact=True).camtoworld @ np.diag([1.0, -1.0, -1.0, 1.0])
        return asdict(self) | {"matrix": pose.tolist()}

    def pinhole(self, *, exact: bool = False) -> Camera:
        """Return the calibrated camera that sees the same, as Blender's manual defines it.

        `exact` keeps an orthographic camera where it stands.
        """
        width, height = (side * self.percentage // 100 for side in self.size)
        spanned = {"HORIZONTAL": width, "VERTICAL": height, "AUTO": max(width, height)}[self.fit]
        focal = self.lens / self.sensor * spanned
        centre = (width / 2 - self.shift[0] * spanned, height / 2 + self.shift[1] * spanned)
        view = synthetic.camera(
            self.name, self.position, width=width, height=height, centre=centre, target=self.target
        )
        viewmat = view.viewmat.copy()
        if self.orthographic is not None and not exact:
            viewmat[2, 3] += FAR_AWAY
            focal = spanned * FAR_AWAY / self.orthographic
        K = view.K.copy()
        K[0, 0] = K[1, 1] = focal
        return replace(view, K=K, viewmat=viewmat)


def views(centre: np.ndarray, radius: float) -> list[View]:
    """Return the cameras of the table, each far enough away to hold a sphere."""
    direction = np.array([0.56, -0.66, 0.5])
    direction /= np.linalg.norm(direction)

    def view(name: str, *, lens: float = 50.0, sensor: float = 36.0, **more: Any) -> View:
        x, y, z = centre + direction * (2.2 * radius * lens / sensor)
        return View(name, (x, y, z), tuple(centre), lens=lens, sensor=sensor, **more)

    return [
        view("50 mm"),
        *(view(f"{lens} mm", lens=float(lens)) for lens in (35, 85, 135)),
        view("shifted", shift=(0.21, -0.13)),
        view("orthographic", orthographic=2.2 * radius),
        view("50 % resolution", percentage=50),
        view("vertical sensor fit", size=(208, 256), fit="VERTICAL", lens=33.0, sensor=24.0),
    ]


def adversarial(seed: int = 0) -> Asset:
    """Return 1,500 moving and still splats: needles, faint and all but opaque ones, mixed."""
    still = synthetic.gaussians(750, seed=1 + 10 * seed)
    moving = synthetic.gaussians(750, seed=5 + 10 * seed, inner=seed == 0)
    return asset_of(still, moving, synthetic.motion(moving, 6, seed=2 + 10 * seed))


def smooth() -> Asset:
    """Return the still half of the adversarial splats with colors that change slowly."""
    still = synthetic.gaussians(1500, seed=1)
    colours = 0.5 + 0.3 * still.means / np.abs(still.means).max(axis=0)
    still.sh0 = ((colours - 0.5) / synthetic.SH_C0)[:, None, :].astype(np.float32)
    nothing = synthetic.gaussians(0)
    return asset_of(still, nothing, synthetic.motion(nothing, 1))


def fitted_like(fitted: Asset, count: int, seed: int = 0) -> Asset:
    """Return a still asset of `count` splats that is distributed as a fitted one.

    Every splat is drawn from a parent of the fit: its centre from the parent's own distribution,
    its axes shrunk so that all children cover the area of the parents together. What a fit
    decides (opacity, shape, orientation, neighbours) stays; colours vary by 2 %.
    """
    rng = np.random.default_rng(seed)
    whole = fitted.frame(fitted.frame_count // 2)
    parents = rng.permutation(np.arange(count) % len(whole))
    shrink = np.sqrt(len(whole) / count)
    scales = whole.scales[parents].astype(np.float64)
    axes = rotation_matrices(whole.quats[parents].astype(np.float64)) * scales[:, None, :]
    inside = rng.normal(size=(count, 3)) * np.sqrt(1 - shrink**2)
    children = Gaussians(
        means=whole.means[parents] + np.einsum("nij,nj->ni", axes, inside),
        quats=whole.quats[parents],
        scales=scales * shrink,
        opacities=whole.opacities[parents],
        sh0=whole.sh0[parents] + rng.normal(size=(count, 1, 3)) * 0.02 / synthetic.SH_C0,
        shN=np.zeros((count, 0, 3)),
        dynamic_scores=np.zeros(count),
    )
    nothing = synthetic.gaussians(0)
    return asset_of(children, nothing, synthetic.motion(nothing, 1))


def asset_of(still: Gaussians, moving: Gaussians, motion: Motion) -> Asset:
    """Return an asset without cameras at 24 frames a second from frame 1."""
    frames = len(motion.means)
    return Asset(
        static=still,
        dynamic=moving,
        motion=motion,
        cameras=(),
        times=np.linspace(0.0, 1.0, frames),
        fps=24.0,
        frame_start=1,
        blend="linear",
    )


def extent(gaussians: Gaussians) -> tuple[np.ndarray, float]:
    """Return the centre [3] and the radius of a sphere that holds nearly all splats."""
    low, high = np.percentile(gaussians.means.astype(np.float64), [1, 99], axis=0)
    centre = (low + high) / 2
    return centre, float(np.percentile(np.linalg.norm(gaussians.means - centre, axis=1), 99))


def statistics(gaussians: Gaussians) -> dict[str, float]:
    """Return medians that say how thin, how long and how opaque splats are."""
    scales = np.sort(gaussians.scales, axis=1)
    return {
        "median thickness over length": float(np.median(scales[:, 0] / scales[:, 2])),
        "median width over length": float(np.median(scales[:, 1] / scales[:, 2])),
        "median length": float(np.median(scales[:, 2])),
        "share of opacity above 0.9": float((gaussians.opacities > 0.9).mean()),
        "share of opacity below 0.1": float((gaussians.opacities < 0.1).mean()),
    }
