# SPDX-License-Identifier: GPL-3.0-or-later
"""Load any supported dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..seam.errors import DatasetError
from ..seam.events import Listener, silent
from .dataset import Dataset, Selection
from .transforms import load_transforms, transforms_moments
from .videos import CAMERAS_FILE, load_videos, video_moments


def count_moments(path: str | os.PathLike[str]) -> int:
    """Return how many moments a dataset shows, without reading its pictures.

    Raises:
        DatasetError: it is no dataset, or one of its files is wrong.
    """
    folder = _dataset_folder(path)
    if (folder / CAMERAS_FILE).is_file():
        return video_moments(folder)
    return transforms_moments(folder)


def load_dataset(
    path: str | os.PathLike[str],
    *,
    holdout: Sequence[str] = (),
    masks: str | os.PathLike[str] | None = None,
    start: int = 0,
    end: int | None = None,
    stride: int = 1,
    max_side: int | None = None,
    picture_memory: int | None = None,
    listener: Listener = silent,
) -> Dataset:
    """Load a dataset folder (docs/datasets.md): transforms files, or cameras.json with videos.

    ``holdout`` names cameras to keep for evaluation, besides the dataset's own test cameras;
    ``masks`` is a folder of masks for videos; frames [start, end) are taken in steps of ``stride``;
    ``max_side`` scales pictures down. ``picture_memory`` is the main memory in bytes for pictures
    and what is made of them: where they would take more than half of it, they are kept in a file,
    read by frame; None keeps them in main memory. ``path`` may also be the JSON file inside
    the folder.
    Raises DatasetError, one sentence that names the file.
    """
    folder = _dataset_folder(path)
    selection = Selection(start, end, stride, max_side)
    if (folder / CAMERAS_FILE).is_file():
        mask_folder = None if masks is None else Path(masks)
        return load_videos(folder, holdout, mask_folder, selection, picture_memory, listener)
    if masks is not None:
        raise DatasetError(
            f"{folder} takes its masks from the pictures' alpha; a masks folder is for videos."
        )
    return load_transforms(folder, holdout, selection, picture_memory, listener)


def _dataset_folder(path: str | os.PathLike[str]) -> Path:
    folder = Path(path)
    if folder.is_file() and folder.suffix == ".json":
        folder = folder.parent
    if not folder.is_dir():
        raise DatasetError(f"There is no dataset folder {folder}.")
    folder = folder.resolve()
    if any((folder / name).is_file() for name in (CAMERAS_FILE, "transforms_train.json")):
        return folder
    raise DatasetError(
        f"{folder} is no dataset: it has neither transforms_train.json nor {CAMERAS_FILE}."
    )
