# SPDX-License-Identifier: GPL-3.0-or-later
"""A dataset as the fit sees it: cameras in a unit-sized world, targets composited and ready."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..data import Dataset
from ..data.frames import SHARE
from ..photometric import decode_srgb, encode_srgb
from ..seam.cameras import Camera
from ..single.limb_paths import LimbPaths
from ..single.turn import Turn

DEVICE_SHARE = 0.5
"""Part of a device's free memory that pictures and composites may take: Gaussians need the rest."""


@dataclass(frozen=True, eq=False)
class View:
    """One camera in the normalised world."""

    camera: Camera  # in the normalised world
    viewmat: Tensor  # [4, 4] world to camera, OpenCV
    K: Tensor  # [3, 3] pixels

    @property
    def width(self) -> int:
        """Picture width in pixels."""
        return self.camera.width

    @property
    def height(self) -> int:
        """Picture height in pixels."""
        return self.camera.height

    @property
    def position(self) -> Tensor:
        """Camera centre [3], normalised world."""
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]


@dataclass(frozen=True, eq=False)
class Scene:
    """Training views and their pictures. Normalised world: x' = (x - center) / radius."""

    views: tuple[View, ...]  # V training cameras
    pictures: tuple[np.ndarray, ...]  # V arrays uint8 [T, H, W, 4], straight alpha, encoded
    present: np.ndarray  # bool [T, V]
    times: np.ndarray  # [T] in 0..1
    has_alpha: bool
    blend: Literal["linear", "srgb"]
    center: np.ndarray  # [3]
    radius: float
    device: torch.device
    middle: int  # index of the frame the canonical Gaussians belong to
    generated: np.ndarray  # bool [V], pictures that a model made up
    is_clip: bool  # one clip, with or without generated views: its camera looks at the origin
    limbs: LimbPaths | None  # of the middle frame of a clip whose limbs pass each other
    slant: float = 0.0  # how the subject of a clip stands: what is right is farther by so much
    turn: Turn | None = None  # how the subject of a clip turns, if it does

    @property
    def frame_count(self) -> int:
        """T."""
        return len(self.times)

    def target(self, frame: int, view: int, background: float) -> tuple[Tensor, Tensor]:
        """Return the encoded composite [H, W, 3] over a grey background, and alpha [H, W]."""
        picture = torch.from_numpy(self.pictures[view][frame]).to(self.device)
        return self.composite(picture, background)

    def composite(self, picture: Tensor, background: float) -> tuple[Tensor, Tensor]:
        """Return what `target` does of a picture uint8 [H, W, 4] on the scene's device."""
        picture = picture.float().div_(255)
        colors, alphas = picture[..., :3], picture[..., 3]
        if not self.has_alpha:
            return colors.contiguous(), alphas
        if self.blend == "srgb":
            blended = colors * alphas[..., None] + (1 - alphas[..., None]) * background
            return blended, alphas
        # 0 and 1 are their own encodings, and the fit uses no other grey
        linear = decode_srgb(colors.contiguous())
        blended = linear * alphas[..., None] + (1 - alphas[..., None]) * background
        return encode_srgb(blended), alphas


def build_scene(
    dataset: Dataset,
    blend: Literal["linear", "srgb"],
    center: np.ndarray,
    radius: float,
    device: torch.device,
    middle: int | None = None,
    limbs: LimbPaths | None = None,
    slant: float = 0.0,
) -> Scene:
    """Return the training part of a dataset in the world normalised by `center` and `radius`.

    `middle` is the canonical frame, by default half-way; `limbs` are those of that frame, and
    `slant` is that of a clip's subject.
    """
    views = []
    for index in dataset.train:
        camera = dataset.cameras[index]
        viewmat = camera.viewmat.copy()
        viewmat[:3, 3] = (viewmat[:3, :3] @ center + viewmat[:3, 3]) / radius
        views.append(
            View(
                dataclasses.replace(camera, viewmat=viewmat),
                torch.tensor(viewmat, dtype=torch.float32, device=device),
                torch.tensor(camera.K, dtype=torch.float32, device=device),
            )
        )
    return Scene(
        views=tuple(views),
        pictures=tuple(dataset.images[index] for index in dataset.train),
        present=dataset.present[:, dataset.train],
        times=np.asarray(dataset.times, dtype=np.float64),
        has_alpha=dataset.has_alpha,
        blend=blend,
        center=np.asarray(center, dtype=np.float64),
        radius=float(radius),
        device=device,
        middle=dataset.frame_count // 2 if middle is None else middle,
        generated=dataset.generated[dataset.train],
        is_clip=dataset.source == "clip",
        limbs=limbs,
        slant=slant,
    )


class TargetCache:
    """Composites computed once and kept while they fit into a budget.

    On a device of its own memory the pictures lie there as well, if they fit: no step waits for
    one to be copied.
    """

    def __init__(self, scene: Scene, picture_memory: int) -> None:
        """Keep composites in `picture_memory` bytes of main memory, or in what a device has free.

        A device is filled to no more than `DEVICE_SHARE` of what is free of it.
        """
        self.scene = scene
        self.left = int(picture_memory * (1 - SHARE))
        self._kept: dict[tuple[int, int, float], tuple[Tensor, Tensor]] = {}
        self._resident: tuple[Tensor, ...] = ()
        if scene.device.type == "cuda":
            self.left = int(torch.cuda.mem_get_info(scene.device)[0] * DEVICE_SHARE)
            size = sum(pictures.nbytes for pictures in scene.pictures)
            if size <= self.left:
                self.left -= size
                self._resident = tuple(_copied(p, scene.device) for p in scene.pictures)

    def target(self, frame: int, view: int, background: float) -> tuple[Tensor, Tensor]:
        """Return what `Scene.target` returns."""
        key = (frame, view, background if self.scene.has_alpha else 0.0)
        if key in self._kept:
            return self._kept[key]
        if self._resident:
            made = self.scene.composite(self._resident[view][frame], background)
        else:
            made = self.scene.target(frame, view, background)
        size = sum(part.numel() * part.element_size() for part in made)
        if size <= self.left:
            self.left -= size
            self._kept[key] = made
        return made


def _copied(pictures: np.ndarray, device: torch.device) -> Tensor:
    """Copy pictures [T, H, W, 4] to a device frame by frame: they may lie in a file."""
    copied = torch.empty(pictures.shape, dtype=torch.uint8, device=device)
    for frame in range(len(pictures)):
        copied[frame] = torch.from_numpy(pictures[frame])
    return copied
