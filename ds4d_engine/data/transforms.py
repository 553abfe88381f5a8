# SPDX-License-Identifier: GPL-3.0-or-later
"""Read D-NeRF / Blender datasets: transforms_{train,val,test}.json and RGBA pictures.

The format is described field by field in docs/datasets.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..seam.cameras import Camera
from ..seam.errors import DatasetError, DS4DError
from ..seam.events import Listener, Stage
from .dataset import Dataset, Pixels, Selection, hold_out, unit_times
from .documents import Record, read_json
from .frames import empty_pictures
from .images import read_rgba, scale_down
from .poses import viewmat_from_opengl

SPLITS = {"train": "train", "val": "test", "test": "test"}
DEFAULT_FPS = 24.0
DEFAULT_FRAME_START = 1
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
TIME_DECIMALS = 7


@dataclass(frozen=True)
class Shot:
    """One picture of one camera, before it is read."""

    path: Path
    time: float
    camera: int


@dataclass
class Rig:
    """The cameras and pictures collected from all files of a dataset."""

    cameras: list[Camera]
    shots: list[Shot]
    fps: float = DEFAULT_FPS
    frame_start: int = DEFAULT_FRAME_START


def load_transforms(
    folder: Path,
    holdout: Sequence[str],
    selection: Selection,
    picture_memory: int | None,
    listener: Listener,
) -> Dataset:
    """Load a folder of transforms files; raise DatasetError naming the file that is wrong."""
    rig = _rig(folder)
    cameras = hold_out(rig.cameras, holdout, folder.name)
    moments = sorted({shot.time for shot in rig.shots})
    chosen = selection.frames(len(moments), folder.name)
    index = {moments[i]: t for t, i in enumerate(chosen)}
    shots = [shot for shot in rig.shots if shot.time in index]
    sizes = [selection.size(camera.width, camera.height) for camera in cameras]
    needed = sum(4 * math.prod(sizes[shot.camera]) for shot in shots)
    shapes = [(len(index), h, w, 4) for w, h in sizes]
    images = empty_pictures(shapes, needed, picture_memory)
    present, has_alpha = _read_shots(cameras, shots, index, images, listener)
    return Dataset(
        name=folder.name,
        cameras=tuple(selection.scale_camera(camera) for camera in cameras),
        images=images,
        present=present,
        times=unit_times([moments[i] for i in chosen]),
        fps=rig.fps / selection.stride,
        frame_start=rig.frame_start + selection.start,
        has_alpha=has_alpha,
        source="transforms",
    )


def transforms_moments(folder: Path) -> int:
    """Return at how many times a folder's pictures were taken."""
    return len({shot.time for shot in _rig(folder).shots})


def _rig(folder: Path) -> Rig:
    rig = Rig([], [])
    for split in SPLITS:
        path = folder / f"transforms_{split}.json"
        if split == "train" or path.is_file():
            _collect(rig, path, split)
    return rig


def _collect(rig: Rig, path: Path, split: str) -> None:
    content = read_json(path)
    document = Record(content, str(path))
    frames = document.items("frames")
    if split == "train":
        rig.fps = document.positive("fps", DEFAULT_FPS)
        rig.frame_start = document.integer("frame_start", DEFAULT_FRAME_START)
    size = _document_size(document, path.parent)
    shared = {key: value for key, value in content.items() if key != "frames"} | size
    first = len(rig.cameras)
    known: dict[tuple[Any, ...], int] = {}
    taken: dict[tuple[int, float], Path] = {}
    for number, frame in enumerate(frames):
        where = f"frame {number} of {path}"
        # A frame's own keys override the document's.
        own = Record(frame, where)
        record = Record({**shared, **frame}, where)
        picture = _find_picture(path.parent, own.text("file_path"), where)
        time = round(own.number("time"), TIME_DECIMALS)
        camera = _camera(record, own, where)
        key = (camera.name, *_geometry(camera))
        if key not in known:
            known[key] = len(rig.cameras)
            rig.cameras.append(replace(camera, split=SPLITS[split]))
        view = known[key]
        if (view, time) in taken:
            raise DatasetError(
                f"{taken[view, time]} and {picture} show the same camera at the same time {time:g}."
            )
        taken[view, time] = picture
        rig.shots.append(Shot(picture, time, view))
    _name_cameras(rig.cameras, first, document, split)


def _document_size(document: Record, folder: Path) -> dict[str, int]:
    """Return w and h, measured on the first picture where the document names neither."""
    if "w" in document or "h" in document:
        return {"w": document.integer("w"), "h": document.integer("h")}
    where = f"frame 0 of {document.where}"
    first = Record(document.items("frames")[0], where)
    pixels, _ = read_rgba(_find_picture(folder, first.text("file_path"), where))
    return {"w": pixels.shape[1], "h": pixels.shape[0]}


def _camera(record: Record, own: Record, where: str) -> Camera:
    for key in DISTORTION:
        if record.number(key, 0.0) != 0.0:
            raise DatasetError(
                f"{where} has lens distortion ({key}), which this format does not undo here; "
                "undistort the pictures first."
            )
    width, height = record.integer("w"), record.integer("h")
    viewmat = viewmat_from_opengl(own.array("transform_matrix", (4, 4)), where)
    name = own.text("camera") if "camera" in own else ""
    try:
        return Camera(name, _intrinsics(record, width, height), viewmat, width, height)
    except DS4DError as error:
        raise DatasetError(f"{where}: {error}") from None


def _intrinsics(record: Record, width: int, height: int) -> NDArray[np.float64]:
    if "fl_x" in record:
        focal_x = record.positive("fl_x")
    elif "camera_angle_x" in record:
        focal_x = 0.5 * width / _half_tangent(record, "camera_angle_x")
    else:
        raise DatasetError(f"{record.where} has neither 'camera_angle_x' nor 'fl_x'.")
    if "fl_y" in record:
        focal_y = record.positive("fl_y")
    elif "fl_x" not in record and "camera_angle_y" in record:
        focal_y = 0.5 * height / _half_tangent(record, "camera_angle_y")
    else:
        focal_y = focal_x
    cx, cy = record.number("cx", 0.5 * width), record.number("cy", 0.5 * height)
    return np.array([[focal_x, 0.0, cx], [0.0, focal_y, cy], [0.0, 0.0, 1.0]])


def _half_tangent(record: Record, key: str) -> float:
    angle = record.positive(key)
    if angle >= math.pi:
        raise DatasetError(f"{key!r} of {record.where} must be in radians, below pi.")
    return math.tan(0.5 * angle)


def _find_picture(folder: Path, file_path: str, where: str) -> Path:
    given = folder / file_path
    for path in (given, given.with_name(given.name + ".png")):
        if path.is_file():
            return path
    raise DatasetError(f"{where} names a picture that does not exist: {given}.")


def _geometry(camera: Camera) -> tuple[Any, ...]:
    # Files repeat a pose with the same digits; the rounding only forgives a last one.
    pose = tuple(np.round(camera.viewmat.ravel(), 6) + 0.0)
    return (*pose, *np.round(camera.K.ravel(), 4), camera.width, camera.height)


def _name_cameras(cameras: list[Camera], first: int, document: Record, split: str) -> None:
    count = len(cameras) - first
    names = [f"{split}_{i:03d}" for i in range(count)]
    if "names" in document:
        names = document.items("names")
        if len(names) != count or not all(isinstance(name, str) for name in names):
            raise DatasetError(
                f"'names' of {document.where} must hold {count} texts, one per camera."
            )
    given = [camera.name for camera in cameras[first:]]
    for i, name in enumerate(given):
        if given.count(name) == 1:
            names[i] = name or names[i]
        elif name:  # one camera that moves: each pose becomes a camera of its own
            names[i] = f"{name}_{given[:i].count(name):03d}"
        cameras[first + i] = replace(cameras[first + i], name=names[i])


def _read_shots(
    cameras: Sequence[Camera],
    shots: Sequence[Shot],
    index: dict[float, int],
    images: Sequence[Pixels],
    listener: Listener,
) -> tuple[NDArray[np.bool_], bool]:
    """Read shots into `images`; return which were there, and whether any is not opaque.

    Frames that no camera took are never touched and cost nothing: a moving camera is hundreds of
    cameras of one frame each.
    """
    present = np.zeros((len(index), len(cameras)), bool)
    stage = Stage(listener, "read pictures", len(shots))
    with_alpha: dict[bool, Path] = {}
    has_alpha = False
    for done, shot in enumerate(shots, 1):
        camera = cameras[shot.camera]
        pixels, alpha = read_rgba(shot.path)
        with_alpha.setdefault(alpha, shot.path)
        if len(with_alpha) == 2:
            raise DatasetError(
                f"{with_alpha[True]} has an alpha channel but {with_alpha[False]} has none; "
                "give all pictures alpha or none."
            )
        if pixels.shape[:2] != (camera.height, camera.width):
            raise DatasetError(
                f"{shot.path} is {pixels.shape[1]} x {pixels.shape[0]} pixels, but its camera is "
                f"{camera.width} x {camera.height}."
            )
        has_alpha = has_alpha or bool(pixels[..., 3].min() < 255)
        t = index[shot.time]
        height, width = images[shot.camera].shape[1:3]
        images[shot.camera][t] = scale_down(pixels, width, height)
        present[t, shot.camera] = True
        stage.update(done)
    return present, has_alpha
