# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of generated views: which picture or video shows which view at which frame.

The layouts are described in docs/views.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.images import read_rgba
from ..data.video_files import PICTURES, VIDEOS, probe_video, video_frames
from ..seam.errors import DatasetError

Pixels = NDArray[np.uint8]
GRID_ROWS, GRID_COLUMNS = 3, 2
"""Zero123++ lays its six views out so, row after row."""


@dataclass(frozen=True)
class Wanted:
    """What a folder must show: T frames of V views, by name."""

    folder: Path
    frames: int
    views: tuple[str, ...]


@dataclass(frozen=True)
class Contents:
    """What lies in a folder, each in natural order; hidden files are left out."""

    folders: tuple[Path, ...]
    pictures: tuple[Path, ...]
    videos: tuple[Path, ...]


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts "frame9" before "frame10"."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]


def contents(folder: Path) -> Contents:
    """List a folder; raise DatasetError where it cannot be read."""
    try:
        found = sorted(folder.iterdir(), key=natural_key)
    except OSError as error:
        raise DatasetError(
            f"Cannot read the folder of views {folder}: {error.strerror or error}."
        ) from None
    seen = [path for path in found if not path.name.startswith(".")]
    return Contents(
        tuple(path for path in seen if path.is_dir()),
        tuple(path for path in seen if path.suffix.lower() in PICTURES and path.is_file()),
        tuple(path for path in seen if path.suffix.lower() in VIDEOS and path.is_file()),
    )


def detect_layout(wanted: Wanted) -> str:
    """Tell "frames", "grids" and "videos" apart by what the folder holds and how many.

    Raises:
        DatasetError: it holds none of them, or could be two.
    """
    found = contents(wanted.folder)
    kinds = [
        name
        for name, there in (
            ("folders", found.folders),
            ("pictures", found.pictures),
            ("videos", found.videos),
        )
        if there
    ]
    if not kinds:
        raise DatasetError(
            f"{wanted.folder} holds no views: neither folders nor pictures nor videos."
        )
    if len(kinds) > 1:
        raise DatasetError(
            f"{wanted.folder} holds {' and '.join(kinds)}; leave only one kind there, or say which "
            "counts with --views-layout."
        )
    if kinds == ["pictures"]:
        return "grids"
    if kinds == ["videos"]:
        return "videos"
    return _folders_layout(wanted, found.folders)


def _folders_layout(wanted: Wanted, folders: Sequence[Path]) -> str:
    counts = {len(contents(folder).pictures) for folder in folders}
    by_frame = len(folders) == wanted.frames
    by_view = len(folders) == len(wanted.views)
    if by_frame and by_view:
        raise DatasetError(
            f"{wanted.folder} has as many folders as the clip has frames and as there are views "
            f"({wanted.frames}); say with --views-layout whether they are frames or videos (one "
            "folder per view)."
        )
    if not by_frame and not by_view:
        raise DatasetError(
            f"{wanted.folder} has {len(folders)} folders with "
            f"{' or '.join(map(str, sorted(counts)))} pictures each, but the clip has "
            f"{wanted.frames} frames and the cameras are {len(wanted.views)}; give one folder per "
            "frame or one per view."
        )
    return "frames" if by_frame else "videos"


def read_views(wanted: Wanted, layout: str) -> Iterator[list[tuple[str, Pixels]]]:
    """Yield for each frame its V pictures, RGBA uint8 [H,W,4], each with its name for messages.

    Raises:
        DatasetError: something is missing, unreadable, or has another shape.
    """
    if layout == "frames":
        return _read_frame_folders(wanted)
    if layout == "grids":
        return _read_grids(wanted)
    return _read_sequences(wanted)


def _read_frame_folders(wanted: Wanted) -> Iterator[list[tuple[str, Pixels]]]:
    folders = contents(wanted.folder).folders
    _require(len(folders), wanted.frames, f"{wanted.folder}", "folders, one per frame of the clip")
    listed = []
    for folder in folders:
        pictures = contents(folder).pictures
        if len(pictures) != len(wanted.views):
            named = {path.stem for path in pictures}
            missing = [str(v) for v in range(len(wanted.views)) if str(v) not in named]
            hint = f" ({', '.join(missing)} is missing)" if 0 < len(missing) < 4 else ""
            raise DatasetError(
                f"{folder} has {len(pictures)} pictures, but there are {len(wanted.views)} view "
                f"cameras{hint}; complete it, or name the cameras with --view-cameras."
            )
        listed.append(pictures)
    return ([_named(path) for path in pictures] for pictures in listed)


def _read_grids(wanted: Wanted) -> Iterator[list[tuple[str, Pixels]]]:
    if len(wanted.views) != GRID_ROWS * GRID_COLUMNS:
        raise DatasetError(
            f"A grid picture shows {GRID_ROWS * GRID_COLUMNS} views, but there are "
            f"{len(wanted.views)} view cameras; name the six with --view-cameras."
        )
    pictures = contents(wanted.folder).pictures
    _require(
        len(pictures), wanted.frames, f"{wanted.folder}", "grid pictures, one per frame of the clip"
    )
    return (
        [(f"view {v} of {path}", cell) for v, cell in enumerate(_cells(path))] for path in pictures
    )


def split_grid(grid: Pixels) -> list[Pixels]:
    """Cut a picture [3s,2s,C] into its six square cells, row after row."""
    side = grid.shape[1] // GRID_COLUMNS
    return [
        np.ascontiguousarray(grid[side * row : side * (row + 1), side * column :][:, :side])
        for row in range(GRID_ROWS)
        for column in range(GRID_COLUMNS)
    ]


def _cells(path: Path) -> list[Pixels]:
    grid = _named(path, square=False)[1]
    height, width = grid.shape[:2]
    if width * GRID_ROWS != height * GRID_COLUMNS or width % GRID_COLUMNS:
        raise DatasetError(
            f"{path} is {width} x {height} pixels, no grid of {GRID_ROWS} rows and {GRID_COLUMNS} "
            "columns of square views."
        )
    return split_grid(grid)


def _read_sequences(wanted: Wanted) -> Iterator[list[tuple[str, Pixels]]]:
    found = contents(wanted.folder)
    paths = found.videos or found.folders
    kind = "videos" if found.videos else "folders"
    _require(len(paths), len(wanted.views), f"{wanted.folder}", f"{kind}, one per view camera")
    readers: list[Iterator[tuple[str, Pixels]]] = []
    for path, view in zip(paths, wanted.views, strict=True):
        if path.is_dir():
            pictures = contents(path).pictures
            _require(len(pictures), wanted.frames, f"The view {view} in {path}", "frames")
            readers.append(_named(picture) for picture in pictures)
        else:
            _require(
                probe_video(path).frames, wanted.frames, f"The view {view} in {path}", "frames"
            )
            readers.append(_decode(path, wanted.frames))
    return ([next(reader) for reader in readers] for _ in range(wanted.frames))


def _decode(path: Path, frames: int) -> Iterator[tuple[str, Pixels]]:
    for index, frame in enumerate(video_frames(path, range(frames))):
        rgba = cv2.cvtColor(frame, cv2.COLOR_BGR2RGBA)
        yield _square(f"frame {index} of {path}", np.asarray(rgba, np.uint8))


def _named(path: Path, square: bool = True) -> tuple[str, Pixels]:
    rgba = read_rgba(path)[0]
    return _square(str(path), rgba) if square else (str(path), rgba)


def _square(name: str, rgba: Pixels) -> tuple[str, Pixels]:
    height, width = rgba.shape[:2]
    if height != width:
        raise DatasetError(f"{name} is {width} x {height} pixels; views must be square.")
    return name, rgba


def _require(count: int, wanted: int, where: str, what: str) -> None:
    if count != wanted:
        raise DatasetError(
            f"{where} has {count} {what}, but {wanted} are needed; take the same frames of the "
            "clip as the views were generated for, or complete them."
        )
