# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay a reconstructor's mesh or points over the subject of a picture: axes, pose, scale, place.

Reconstructors (InstantMesh and others) export in axes, units and poses of their own. Nothing of it
needs to be known: every way up and every azimuth is tried against the silhouette, and where file
and picture have colours these tell front from back, which a silhouette hardly does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from ..seam.cameras import Camera
from ..seam.errors import ConfigError, DatasetError
from ..seam.events import Listener, Stage, silent
from .point_files import MESH_SUFFIXES, SampledPoints, sample_file
from .silhouettes import Floats, Silhouette

DOUBTFUL_IOU = 0.6
USELESS_IOU = 0.3
SATISFYING_SCORE = 0.9
"""Below this the file may stand in no upright pose: any rotation is tried."""

AZIMUTH_STEPS = 36
TILTS_DEGREES = (0.0, -20.0, 20.0)
RANDOM_ROTATIONS = 2000
APART_DEGREES = 15.0
"""Between candidates, so that different guesses are refined and not one guess often."""

COLOR_WEIGHT = 0.7
"""Of the colour's difference (0..1) against the overlap (0..1)."""
UPRIGHT_BONUS, FRONT_BONUS = 0.015, 0.005
"""Where scores tie: glTF's or Blender's way up, and their front towards the camera."""
FREE_BONUS = -0.03
"""A pose that no exporter would choose must fit clearly better than one along the axes."""


@dataclass(frozen=True)
class Pass:
    """One round of refinement."""

    cells: int
    points: int
    candidates: int
    slack: float
    """Guesses that score this much less than the best one are given up."""
    evaluations: int


COARSE = Pass(cells=48, points=5000, candidates=16, slack=0.2, evaluations=90)
FINE = Pass(cells=96, points=16_000, candidates=4, slack=0.06, evaluations=200)

UPS = {
    "z": np.eye(3),
    "y": Rotation.from_euler("x", 90, degrees=True).as_matrix(),
    "-z": Rotation.from_euler("x", 180, degrees=True).as_matrix(),
    "-y": Rotation.from_euler("x", -90, degrees=True).as_matrix(),
    "x": Rotation.from_euler("y", -90, degrees=True).as_matrix(),
    "-x": Rotation.from_euler("y", 90, degrees=True).as_matrix(),
}
"""The file's axis that points up -> rotation into a world with +Z up. The rotations of the first
two bring the front of Blender's and glTF's models towards -Y, where the camera stands."""


@dataclass(frozen=True, eq=False)
class AlignedGeometry:
    """Points of a file, laid over the subject in the camera's world."""

    points: NDArray[np.float32]
    """[N, 3]."""
    normals: NDArray[np.float32] | None
    """[N, 3] of length 1."""
    colors: NDArray[np.float32] | None
    """[N, 3] encoded, 0..1."""
    area: float
    """Of the triangles, in the world's units; 0 for bare points."""
    transform: Floats
    """[4, 4], a rotation, one scale and a translation, from the file to the world."""
    iou: float
    """Intersection over union of the silhouettes, 0..1."""

    @property
    def doubtful(self) -> bool:
        """Whether the silhouettes agree so little that a user should be told."""
        return self.iou < DOUBTFUL_IOU


def align_geometry(
    path: Path,
    picture: NDArray[np.uint8],
    camera: Camera,
    *,
    count: int = 20_000,
    listener: Listener = silent,
) -> AlignedGeometry:
    """Align a file's geometry to the subject of a straight-alpha sRGB picture [H, W, 4].

    `camera` took the picture; its world has +Z up, and the subject's centre comes to lie at the
    origin's distance. `count` points are returned; bare points may be fewer.

    Raises:
        ConfigError: the file cannot be read.
        DatasetError: the picture shows nothing, or the file does not resemble what it shows.
    """
    if picture.shape != (camera.height, camera.width, 4):
        raise ValueError(
            f"the picture is {picture.shape}, the camera {camera.height, camera.width}"
        )
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise ConfigError(
            f"{path} is no geometry; give a file ending in {', '.join(MESH_SUFFIXES)}."
        )
    if not path.exists():
        raise ConfigError(f"There is no geometry {path}; check the path.")
    sampled = sample_file(path, max(count, FINE.points))
    search = Search(Shape.of(sampled), picture, camera, listener)
    guess = search.run()
    iou = search.iou(guess)
    if iou < USELESS_IOU:
        raise DatasetError(
            f"{path.name} does not look like the middle frame from any side (overlap {iou:.2f}); "
            "reconstruct it from that frame, or start without it."
        )
    return _place(sampled, count, search.transform(guess), iou)


def _place(sampled: SampledPoints, count: int, transform: Floats, iou: float) -> AlignedGeometry:
    linear = transform[:3, :3]
    scale = float(np.cbrt(np.linalg.det(linear)))
    normals, colors = sampled.normals, sampled.colors
    return AlignedGeometry(
        points=(sampled.points[:count] @ linear.T + transform[:3, 3]).astype(np.float32),
        normals=None
        if normals is None
        else (normals[:count] @ linear.T / scale).astype(np.float32),
        colors=None if colors is None else colors[:count].astype(np.float32),
        area=sampled.area * scale**2,
        transform=transform,
        iou=iou,
    )


@dataclass(frozen=True, eq=False)
class Shape:
    """A file's points, centred and of radius 1, one per column: long rows are summed fast."""

    points: Floats
    """[3, N]."""
    colors: Floats | None
    """[3, N]."""
    center: Floats
    radius: float

    @staticmethod
    def of(sampled: SampledPoints) -> Shape:
        """Centre sampled points at the middle of their box."""
        center = (sampled.points.min(0) + sampled.points.max(0)) / 2
        radius = float(np.linalg.norm(sampled.points - center, axis=1).max())
        if radius <= 0:
            raise ConfigError("The geometry's points all lie in one place; choose another file.")
        points = np.ascontiguousarray((sampled.points - center).T) / radius
        colors = None if sampled.colors is None else np.ascontiguousarray(sampled.colors.T)
        return Shape(points, colors, center, radius)

    def first(self, count: int) -> Shape:
        """Keep the first `count` points, which are drawn as evenly as all."""
        colors = None if self.colors is None else self.colors[:, :count]
        return replace(self, points=self.points[:, :count], colors=colors)


@dataclass(frozen=True, eq=False)
class Guess:
    """A pose of the shape in the camera's axes, at the origin's depth."""

    rotation: Floats
    scale: float
    shift: Floats
    """[2], along the camera's x and y."""
    bonus: float = 0.0
    score: float = -np.inf


class Search:
    """Find the pose of a shape that best covers a picture's subject, coarse to fine."""

    def __init__(
        self, shape: Shape, picture: NDArray[np.uint8], camera: Camera, listener: Listener
    ) -> None:
        self.shape, self.picture, self.camera = shape, picture, camera
        self.depth = float(camera.viewmat[2, 3])
        if self.depth <= 0:
            raise ValueError("the origin lies behind the camera")
        self.focal = np.array([camera.K[0, 0], camera.K[1, 1]])
        self.principal = np.array([camera.K[0, 2], camera.K[1, 2]])
        upright = len(UPS) * AZIMUTH_STEPS * len(TILTS_DEGREES)
        work = sum(step.candidates * step.evaluations for step in (COARSE, FINE))
        self.stage = Stage(listener, "align geometry", upright + RANDOM_ROTATIONS + work)
        self.done = 0

    def run(self) -> Guess:
        """Return the best guess."""
        guesses = self._try(COARSE, self._upright_rotations())
        best = self._refine(COARSE, guesses)
        if best[0].score < SATISFYING_SCORE:
            found = Rotation.from_quat(np.random.default_rng(0).normal(size=(RANDOM_ROTATIONS, 4)))
            free = self._try(COARSE, ((rotation, FREE_BONUS) for rotation in found.as_matrix()))
            best = sorted(best + self._refine(COARSE, free), key=_rank)
        best = self._refine(FINE, best)
        self.stage.update(self.stage.total, "aligned", iou=self.iou(best[0]))
        return best[0]

    def iou(self, guess: Guess) -> float:
        """Return the hard intersection over union of a guess, on the fine grid."""
        shape, silhouette = self._prepare(FINE)
        return silhouette.iou(self._project(shape, guess)[0])

    def transform(self, guess: Guess) -> Floats:
        """Return the matrix [4, 4] from the file to the world."""
        to_camera = np.eye(4)
        to_camera[:3, :3] = guess.rotation * (guess.scale / self.shape.radius)
        place = np.array([*guess.shift, self.depth])
        to_camera[:3, 3] = place - to_camera[:3, :3] @ self.shape.center
        return self.camera.camtoworld @ to_camera

    def _upright_rotations(self) -> Iterator[tuple[Floats, float]]:
        """Yield rotations from file to camera for every way up, azimuth and tilt; and bonuses."""
        view = self.camera.viewmat[:3, :3]
        for name, up in UPS.items():
            for tilt in TILTS_DEGREES:
                lean = Rotation.from_rotvec(np.radians(tilt) * view[0]).as_matrix()
                for azimuth in np.arange(AZIMUTH_STEPS) * 2 * np.pi / AZIMUTH_STEPS:
                    turn = Rotation.from_rotvec([0, 0, azimuth]).as_matrix()
                    bonus = 0.0
                    if name in ("y", "z"):
                        bonus = UPRIGHT_BONUS + FRONT_BONUS * float(np.cos(azimuth))
                    yield view @ lean @ turn @ up, bonus

    def _try(self, step: Pass, rotations: Iterator[tuple[Floats, float]]) -> list[Guess]:
        """Score rotations, scaled and placed by their boxes; return unlike ones, best first."""
        shape, silhouette = self._prepare(step)
        guesses = []
        for rotation, bonus in rotations:
            guess = self._fit_box(shape, silhouette, rotation)
            score = self._score(shape, silhouette, guess) + bonus
            guesses.append(replace(guess, bonus=bonus, score=score))
        kept: list[Guess] = []
        for guess in sorted(guesses, key=_rank):
            if all(_degrees_between(guess, other) > APART_DEGREES for other in kept):
                kept.append(guess)
            if len(kept) == step.candidates:
                break
        return kept

    def _refine(self, step: Pass, guesses: list[Guess]) -> list[Guess]:
        """Move the best guesses until they cover the subject best; return them, best first."""
        shape, silhouette = self._prepare(step)
        refined = [
            self._descend(shape, silhouette, guess, step.evaluations)
            for guess in guesses[: step.candidates]
            if guess.score > guesses[0].score - step.slack
        ]
        return sorted(refined, key=_rank)

    def _descend(
        self, shape: Shape, silhouette: Silhouette, guess: Guess, evaluations: int
    ) -> Guess:
        def moved(change: Floats) -> Guess:
            return replace(
                guess,
                rotation=Rotation.from_rotvec(change[:3]).as_matrix() @ guess.rotation,
                scale=min(guess.scale * float(np.exp(change[3])), 0.9 * self.depth),
                shift=guess.shift + change[4:],
            )

        def loss(change: Floats) -> float:
            return -self._score(shape, silhouette, moved(change))

        near = 0.04 * guess.scale
        steps = np.diag([0.1, 0.1, 0.1, 0.05, near, near])
        found = minimize(
            loss,
            np.zeros(6),
            method="Nelder-Mead",
            options={
                "initial_simplex": np.vstack([np.zeros(6), steps]),
                "maxfev": evaluations,
                "xatol": 1e-3,
                "fatol": 1e-4,
            },
        )
        return replace(moved(found.x), score=guess.bonus - float(found.fun))

    def _score(self, shape: Shape, silhouette: Silhouette, guess: Guess) -> float:
        self.done += 1
        self.stage.update(min(self.done, self.stage.total - 1))
        pixels, depth = self._project(shape, guess)
        score = silhouette.overlap(pixels)
        if shape.colors is not None:
            score -= COLOR_WEIGHT * silhouette.color_distance(pixels, depth, shape.colors)
        return score

    def _project(self, shape: Shape, guess: Guess) -> tuple[Floats, Floats]:
        """Return pixels [2, N] and depths [N] of the shape's points."""
        placed = (guess.scale * guess.rotation) @ shape.points
        depth = placed[2] + self.depth
        directions = (placed[:2] + guess.shift[:, None]) / depth
        return directions * self.focal[:, None] + self.principal[:, None], depth

    def _fit_box(self, shape: Shape, silhouette: Silhouette, rotation: Floats) -> Guess:
        """Choose scale and shift so that the projected box is the subject's."""
        wanted = silhouette.high - silhouette.low
        middle = (silhouette.high + silhouette.low) / 2
        spread = np.ptp(rotation[:2] @ shape.points, axis=1).sum()
        scale = float((wanted / self.focal).sum() * self.depth / spread)
        guess = Guess(
            rotation,
            min(scale, 0.9 * self.depth),
            (middle - self.principal) / self.focal * self.depth,
        )
        # Perspective enlarges what is near: a few rounds settle it.
        for _ in range(3):
            pixels, _depth = self._project(shape, guess)
            low, high = pixels.min(1), pixels.max(1)
            scale = guess.scale * float(wanted.sum() / (high - low).sum())
            shift = guess.shift + (middle - (low + high) / 2) / self.focal * self.depth
            guess = replace(guess, scale=min(scale, 0.9 * self.depth), shift=shift)
        return guess

    def _prepare(self, step: Pass) -> tuple[Shape, Silhouette]:
        """Return the points and the grid of a pass; few points need large cells to close."""
        shape = self.shape.first(step.points)
        cells = min(step.cells, max(24, 2 * int((shape.points.shape[1] / 6) ** 0.5)))
        return shape, Silhouette(self.picture, cells)


def _rank(guess: Guess) -> float:
    return -guess.score


def _degrees_between(first: Guess, second: Guess) -> float:
    cosine = (np.trace(first.rotation.T @ second.rotation) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
