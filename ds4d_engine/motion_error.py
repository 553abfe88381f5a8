# SPDX-License-Identifier: GPL-3.0-or-later
"""How far an asset's Gaussians stray from the surface they lie on, where its motion is known.

Each Gaussian is tied at the middle frame to the nearest point of the true surface, at the offset
that it has there: centres lie a little below the surface, by their own radius. The offset turns
with the point's triangle. The error at a time is the distance between the Gaussian and where the
surface would have carried it. docs/cli.md defines every number.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from .render import gaussians_at
from .seam.asset import Asset
from .seam.errors import DatasetError

LEAST_OPACITY = 0.5
NEAR = 0.04
"""Gaussians farther from the surface than this fraction of the size lie on nothing known."""
MOVES, STANDS = 0.005, 0.001
"""A surface point moves if it gets this far from where it is at the middle frame, and stands if it
never gets farther than that; fractions of the size."""
SURFACE_POINTS = 200_000
"""Among so many points the nearest is sought; they say which triangle is nearest."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """The true surface: vertices [T,M,3] in the dataset's world at its times, triangles [F,3]."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]


@dataclass(frozen=True)
class MotionError:
    """Errors in percent of the size: the diagonal of the surface's box at the middle frame.

    Over all times but the middle one, of the Gaussians that are at least half opaque and within
    4 % of the surface. `moving` counts only those on surface that moves; `if_still` is what they
    would have if they stood still. `score_auc` is the chance that a Gaussian on moving surface has
    a higher dynamic score than one on standing surface. NaN where there are none.
    """

    gaussians: int
    moving_gaussians: int
    still_gaussians: int
    median: float
    p90: float
    moving_median: float
    if_still: float
    score_auc: float

    @property
    def summary(self) -> dict[str, float]:
        """The numbers under the names that an evaluation gives them."""
        return {
            "motion_error": self.median,
            "motion_error_p90": self.p90,
            "motion_error_moving": self.moving_median,
            "motion_error_if_still": self.if_still,
            "score_auc": self.score_auc,
            "tracked_gaussians": self.gaussians,
            "tracked_moving": self.moving_gaussians,
            "tracked_still": self.still_gaussians,
        }


def read_tracks(path: Path) -> Tracks:
    """Read `verts` [T,M,3] and `faces` [F,3] from an .npz file.

    Raises DatasetError when it is missing, damaged, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            vertices, faces = content["verts"], content["faces"]
    except FileNotFoundError:
        raise DatasetError(f"There is no file {path}.") from None
    except KeyError as error:
        raise DatasetError(
            f"{path} has no array {error}; tracks hold verts [T,M,3] and faces [F,3]."
        ) from None
    except (OSError, ValueError, zipfile.BadZipFile):
        raise DatasetError(f"{path} cannot be read as tracks; write it again.") from None
    whole = vertices.ndim == 3 and vertices.shape[2] == 3 and np.isfinite(vertices).all()
    tied = faces.ndim == 2 and faces.shape[1] == 3 and np.issubdtype(faces.dtype, np.integer)
    if not (whole and tied and faces.size and np.isin(faces, range(vertices.shape[1])).all()):
        raise DatasetError(
            f"{path} holds no surface: verts must be finite numbers [T,M,3], faces whole numbers "
            "[F,3] that count vertices."
        )
    return Tracks(vertices.astype(np.float32), faces.astype(np.int64))


def motion_error(
    asset: Asset, tracks: Tracks, times: NDArray[np.float64], middle: int
) -> MotionError:
    """Compare the paths of an asset's Gaussians with the surface's at `times` [T] in 0..1.

    `middle` is the index of the time at which Gaussians are tied to the surface.
    Raises DatasetError when the tracks were taken at another number of times.
    """
    if len(tracks.vertices) != len(times):
        raise DatasetError(
            f"The tracks hold {len(tracks.vertices)} times but {len(times)} were read of the "
            "dataset; give the tracks of this dataset, and no --start, --end or --stride."
        )
    frames = times * (asset.frame_count - 1)
    tied = gaussians_at(asset, float(frames[middle]))
    size = float(np.linalg.norm(np.ptp(tracks.vertices[middle], axis=0)))
    corners, weights, distances = nearest_surface(tied.means, tracks.vertices[middle], tracks.faces)
    chosen = np.flatnonzero((tied.opacities >= LEAST_OPACITY) & (distances <= NEAR * size))
    start = tied.means[chosen].astype(np.float64)
    tie = _Tie(corners[chosen], weights[chosen], start, tracks.vertices[middle])
    others = [time for time in range(len(times)) if time != middle]
    errors = np.zeros((len(others), len(chosen)))
    travels = np.zeros_like(errors)
    for row, time in enumerate(others):
        carried = tie.carried(tracks.vertices[time])
        moved = gaussians_at(asset, float(frames[time])).means[chosen]
        errors[row] = np.linalg.norm(moved - carried, axis=1) / size
        travels[row] = np.linalg.norm(carried - start, axis=1) / size
    return _summarise(errors, travels, tied.dynamic_scores[chosen])


class _Tie:
    """Points [N,3] held by triangles of a surface, each as it lies at the start."""

    def __init__(
        self,
        corners: NDArray[np.int64],
        weights: NDArray[np.float64],
        points: NDArray[np.float64],
        vertices: NDArray[np.float32],
    ) -> None:
        self.corners, self.weights = corners, weights
        surface, axes = self._on(vertices)
        self.offsets = np.einsum("nij,nj->ni", axes, points - surface)

    def carried(self, vertices: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return where a surface's vertices [M,3] have taken the points."""
        surface, axes = self._on(vertices)
        moved: NDArray[np.float64] = surface + np.einsum("nij,ni->nj", axes, self.offsets)
        return moved

    def _on(self, vertices: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return points on the surface [N,3], and axes of their triangles [N,3,3] as rows."""
        triangles = vertices[self.corners].astype(np.float64)
        along = _unit(triangles[:, 1] - triangles[:, 0])
        normal = _unit(np.cross(along, triangles[:, 2] - triangles[:, 0]))
        axes = np.stack([along, np.cross(normal, along), normal], axis=1)
        return np.einsum("nkc,nk->nc", triangles, self.weights), axes


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float64).tiny)


def _summarise(
    errors: NDArray[np.float64], travels: NDArray[np.float64], scores: NDArray[np.float32]
) -> MotionError:
    farthest = travels.max(axis=0, initial=0.0)
    moving, still = farthest > MOVES, farthest < STANDS
    return MotionError(
        gaussians=len(scores),
        moving_gaussians=int(moving.sum()),
        still_gaussians=int(still.sum()),
        median=_percentile(errors, 50),
        p90=_percentile(errors, 90),
        moving_median=_percentile(errors[:, moving], 50),
        if_still=_percentile(travels[:, moving], 50),
        score_auc=area_under_curve(scores[moving], scores[still]),
    )


def nearest_surface(
    points: NDArray[np.float32], vertices: NDArray[np.float32], faces: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the nearest surface points: corners [N,3], their weights [N,3], distances [N]."""
    triangles = vertices[faces].astype(np.float64)
    areas = trimesh.triangles.area(triangles)
    random = np.random.default_rng(0)
    drawn = random.choice(len(faces), SURFACE_POINTS, p=areas / areas.sum())
    mix = random.dirichlet((1.0, 1.0, 1.0), SURFACE_POINTS)
    samples = np.einsum("nkc,nk->nc", triangles[drawn], mix)
    hit = drawn[cKDTree(samples).query(points)[1]]
    nearest = trimesh.triangles.closest_point(triangles[hit], points)
    weights = trimesh.triangles.points_to_barycentric(triangles[hit], nearest)
    return faces[hit], weights, np.linalg.norm(nearest - points, axis=1)


def area_under_curve(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> float:
    """Return how often a positive exceeds a negative, ties counting half; NaN without either."""
    if not len(positive) or not len(negative):
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))
    wins = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(wins / (len(positive) * len(negative)))


def _percentile(values: NDArray[np.float64], percent: float) -> float:
    return float(100.0 * np.percentile(values, percent)) if values.size else float("nan")
