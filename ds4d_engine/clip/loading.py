# SPDX-License-Identifier: GPL-3.0-or-later
"""Read one clip: find the object, cut it out, and see it with the standard camera."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.dataset import Dataset, Pixels
from ..data.orbit import orbit_camera
from ..seam.errors import DatasetError
from ..seam.events import Listener, Stage, silent
from .crop import Crop, plan_crop, square_crop
from .cutting import cut
from .finding import find_matte
from .footage import Footage, read_footage
from .mattes import Matte
from .options import ClipOptions
from .sources import open_source

CAMERA_NAME = "input"
DEFAULT_OPTIONS = ClipOptions()


@dataclass(frozen=True, eq=False)
class LoadedClip:
    """A clip as a dataset of one camera, and how it was made.

    ``indices`` are the source frames taken; ``matte`` is the method that found the object, as
    ClipOptions names it; ``width`` and ``height`` are the source's.
    """

    dataset: Dataset
    crop: Crop
    matte: str
    indices: tuple[int, ...]
    width: int
    height: int


def load_clip(
    path: str | os.PathLike[str],
    options: ClipOptions = DEFAULT_OPTIONS,
    listener: Listener = silent,
) -> Dataset:
    """Load a video or a folder of pictures as a dataset of one camera, named "input".

    ``images`` are uint8 [T,S,S,4], straight alpha, sRGB, S = ``options.size``. docs/clip-input.md
    says what is read and how the object is found.

    Raises:
        DatasetError: the clip cannot be read, or no object is found in it.
        EngineError: a program that it needs is missing.
    """
    return read_clip(path, options, listener).dataset


def read_clip(
    path: str | os.PathLike[str],
    options: ClipOptions = DEFAULT_OPTIONS,
    listener: Listener = silent,
) -> LoadedClip:
    """Load a clip as `load_clip` does, and also tell how the object was found and cut out."""
    footage = read_footage(open_source(Path(path)), options, listener)
    matte = find_matte(footage, options, listener)
    crop = _crop(footage, matte, options)
    images = _cut_frames(footage, matte, crop, options.size, listener)
    count = len(images)
    dataset = Dataset(
        name=Path(path).stem,
        cameras=(orbit_camera(CAMERA_NAME, options.size),),
        images=[images],
        present=np.ones((count, 1), bool),
        times=np.linspace(0.0, 1.0, count),
        fps=footage.fps,
        frame_start=1 + options.start,
        has_alpha=matte.name != "none",
        source="clip",
    )
    size = (footage.width, footage.height)
    return LoadedClip(dataset, crop, matte.name, tuple(footage.indices), *size)


def _crop(footage: Footage, matte: Matte, options: ClipOptions) -> Crop:
    width, height, count = footage.width, footage.height, len(footage.indices)
    if options.crop == "off":
        if width != height:
            raise DatasetError(
                f"{footage.name} is {width} x {height} pixels, and without a crop a clip must be "
                "square; drop --crop off."
            )
        return square_crop(width, height, count)
    if matte.name == "none":
        return square_crop(width, height, count)
    return plan_crop(matte.masks, footage.scale)


def _cut_frames(
    footage: Footage, matte: Matte, crop: Crop, size: int, listener: Listener
) -> Pixels:
    images = np.empty((len(footage.indices), size, size, 4), np.uint8)
    stage = Stage(listener, "cut out", len(images))
    message = "window follows the object" if crop.moves else "window stands still"
    for t, (rgba, alpha, clean) in enumerate(matte.cutouts(footage)):
        images[t] = cut(rgba, alpha, crop.window(t), size, clean=clean)
        stage.update(t + 1, message)
    return images
