# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated pictures and their cameras, joined with the clip into one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..data.images import scale_down
from ..seam.cameras import Camera
from ..seam.errors import DatasetError
from ..seam.events import Listener
from .calibrate import measure_scale
from .presets import ViewAngle, cameras_of

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class GeneratedViews:
    """V views of T frames: pictures uint8 [T,s,s,4] per view, straight alpha, `present` [T,V]."""

    angles: tuple[ViewAngle, ...]
    images: list[Pixels]
    present: NDArray[np.bool_]


def require_single_clip(clip: Dataset) -> None:
    """Raise DatasetError unless the clip has one square camera and an alpha channel."""
    if len(clip.cameras) != 1 or clip.cameras[0].width != clip.cameras[0].height:
        raise DatasetError(
            f"{clip.name} has {len(clip.cameras)} cameras; views are added to a clip of one "
            "camera with square pictures."
        )
    if not clip.has_alpha:
        raise DatasetError(
            f"Nothing tells the object of {clip.name} from its background; give masks first."
        )


def join(clip: Dataset, views: GeneratedViews, scale: float | None, listener: Listener) -> Dataset:
    """Return the clip with the views as further cameras.

    Pictures larger than the clip's are scaled down to its size. `scale` multiplies the focal
    lengths of all views; None measures it from the silhouettes and reports it.
    """
    size = clip.cameras[0].width
    images = [_at_most(frames, size) for frames in views.images]
    # Every view of a set has pictures of one size; sets that were written by hand may not.
    cameras = [
        cameras_of([angle], frames.shape[1])[0]
        for angle, frames in zip(views.angles, images, strict=True)
    ]
    present = np.concatenate([clip.present[:, :1], views.present], axis=1)
    if scale is None:
        scale = measure_scale(
            [clip.cameras[0], *cameras],
            [clip.images[0][..., 3], *(frames[..., 3] for frames in images)],
            present,
            listener,
        ).factor
    return replace(
        clip,
        cameras=(clip.cameras[0], *(zoom(camera, scale) for camera in cameras)),
        images=[clip.images[0], *images],
        present=present,
    )


def zoom(camera: Camera, factor: float) -> Camera:
    """Return the camera with `factor` times its focal length."""
    K = camera.K.copy()
    K[0, 0] *= factor
    K[1, 1] *= factor
    return replace(camera, K=K)


def stack_views(
    angles: Sequence[ViewAngle], frames: Sequence[Sequence[Pixels | None]]
) -> GeneratedViews:
    """Stack pictures frames[t][v], None where a view lacks a frame; sizes must agree per view."""
    images = []
    present = np.array([[picture is not None for picture in row] for row in frames])
    for v, angle in enumerate(angles):
        found = [row[v] for row in frames if row[v] is not None]
        sizes = {picture.shape[:2] for picture in found if picture is not None}
        if not found:
            raise DatasetError(
                f"The view {angle.name} has no usable frame: nothing in it tells the object from "
                "the background."
            )
        if len(sizes) > 1:
            raise DatasetError(
                f"The pictures of the view {angle.name} have different sizes; make them equal."
            )
        height, width = sizes.pop()
        stacked = np.zeros((len(frames), height, width, 4), np.uint8)
        for t, row in enumerate(frames):
            picture = row[v]
            if picture is not None:
                stacked[t] = picture
        images.append(stacked)
    return GeneratedViews(tuple(angles), images, present)


def _at_most(frames: Pixels, size: int) -> Pixels:
    if frames.shape[1] <= size:
        return frames
    return np.stack([scale_down(frame, size, size) for frame in frames])
