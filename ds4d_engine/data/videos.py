# SPDX-License-Identifier: GPL-3.0-or-later
"""Read calibrated, synchronised videos: cameras.json and one video per camera.

The format is described field by field in docs/datasets.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ..seam.cameras import Camera
from ..seam.errors import DatasetError, DS4DError
from ..seam.events import Listener, Stage
from .dataset import Dataset, Pixels, Selection, hold_out
from .documents import Record, read_json
from .frames import empty_pictures
from .images import scale_down
from .lens import Lens
from .poses import viewmat_from_rotation
from .video_files import MaskFrames, Probe, probe_video, video_frames

CAMERAS_FILE = "cameras.json"
FORMAT = "ds4d-cameras"
VERSION = 1
DEFAULT_FRAME_START = 1
# Relative; 29.97 against 30 differs by twice this.
FPS_TOLERANCE = 5e-4


@dataclass(frozen=True)
class Source:
    """One camera of the file, its video, its masks."""

    camera: Camera
    lens: Lens
    probe: Probe
    fps: float
    masks: MaskFrames | None


def load_videos(
    folder: Path,
    holdout: Sequence[str],
    masks: Path | None,
    selection: Selection,
    picture_memory: int | None,
    listener: Listener,
) -> Dataset:
    """Load a folder with a cameras.json; raise DatasetError naming the file that is wrong.

    ``masks`` defaults to the folder's own masks/, where there is one.
    """
    document = Record(read_json(folder / CAMERAS_FILE), str(folder / CAMERAS_FILE))
    _check_version(document)
    if masks is None and (folder / "masks").is_dir():
        masks = folder / "masks"
    if masks is not None and not masks.is_dir():
        raise DatasetError(f"There is no masks folder {masks}.")
    sources = [
        _source(Record(item, f"camera {number} of {document.where}"), folder, masks)
        for number, item in enumerate(document.items("cameras"))
    ]
    _check_agreement(sources)
    cameras = hold_out([source.camera for source in sources], holdout, folder.name)
    wanted = selection.frames(sources[0].probe.frames, folder.name)
    stage = Stage(listener, "read videos", len(sources) * len(wanted))
    sizes = [selection.size(source.lens.width, source.lens.height) for source in sources]
    shapes = [(len(wanted), height, width, 4) for width, height in sizes]
    images = empty_pictures(shapes, sum(math.prod(shape) for shape in shapes), picture_memory)
    for v, (source, frames) in enumerate(zip(sources, images, strict=True)):
        _read(source, wanted, frames, partial(_report, stage, v * len(wanted)))
    return Dataset(
        name=folder.name,
        cameras=tuple(selection.scale_camera(camera) for camera in cameras),
        images=images,
        present=np.ones((len(wanted), len(cameras)), bool),
        times=np.linspace(0.0, 1.0, len(wanted)),
        fps=sources[0].fps / selection.stride,
        frame_start=document.integer("frame_start", DEFAULT_FRAME_START) + selection.start,
        has_alpha=masks is not None,
        source="videos",
    )


def video_moments(folder: Path) -> int:
    """Return how many frames a folder's first video has."""
    document = Record(read_json(folder / CAMERAS_FILE), str(folder / CAMERAS_FILE))
    _check_version(document)
    first = Record(document.items("cameras")[0], f"camera 0 of {document.where}")
    return probe_video(folder / first.text("video")).frames


def _check_version(document: Record) -> None:
    if document.text("format") != FORMAT:
        raise DatasetError(f"{document.where} is no cameras file: its format is not {FORMAT!r}.")
    version = document.integer("version")
    if version > VERSION:
        raise DatasetError(f"{document.where} has version {version}; this DS4D reads {VERSION}.")


def _source(record: Record, folder: Path, masks: Path | None) -> Source:
    name = record.text("name")
    record.where = f"camera {name!r} of {folder / CAMERAS_FILE}"
    probe = probe_video(folder / record.text("video"))
    width, height = record.integer("width"), record.integer("height")
    if (probe.width, probe.height) != (width, height):
        raise DatasetError(
            f"{probe.path} is {probe.width} x {probe.height} pixels, but {record.where} is "
            f"calibrated for {width} x {height}."
        )
    R, t = record.array("R", (3, 3)), record.array("t", (3,))
    viewmat = viewmat_from_rotation(R, t, record.where)
    K, distortion = record.array("K", (3, 3)), record.array("distortion", (4,), (5,))
    try:
        lens = Lens(K, distortion, width, height)
        # OpenCV counts pixel centres as whole numbers, a Camera's lie at +0.5.
        half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
        camera = Camera(name, lens.pinhole_K + half, viewmat, width, height)
    except DS4DError as error:
        raise DatasetError(f"{record.where}: {error}") from None
    return Source(
        camera=camera,
        lens=lens,
        probe=probe,
        fps=record.positive("fps") if "fps" in record else probe.fps,
        masks=MaskFrames(masks, name) if masks else None,
    )


def _check_agreement(sources: Sequence[Source]) -> None:
    first = sources[0]
    for source in sources:
        a, b = first.probe, source.probe
        if a.frames != b.frames:
            raise DatasetError(
                f"{a.path} has {a.frames} frames but {b.path} has {b.frames}; "
                "cut them to the same moments."
            )
        if not abs(first.fps - source.fps) <= FPS_TOLERANCE * first.fps:
            raise DatasetError(
                f"{a.path} runs at {first.fps:g} frames per second but {b.path} at "
                f"{source.fps:g}; convert them, or set 'fps' in {CAMERAS_FILE} if they are wrong."
            )
        if source.masks and source.masks.count != b.frames:
            raise DatasetError(
                f"{source.masks.path} has {source.masks.count} masks but {b.path} has "
                f"{b.frames} frames; there must be one mask per frame."
            )
    if first.fps <= 0:
        raise DatasetError(f"{first.probe.path} has no frame rate; set 'fps' in {CAMERAS_FILE}.")


def _report(stage: Stage, before: int, done: int) -> None:
    stage.update(before + done)


def _read(source: Source, wanted: range, images: Pixels, report: Callable[[int], None]) -> None:
    lens, probe = source.lens, source.probe
    height, width = images.shape[1:3]
    masks = source.masks.frames(wanted) if source.masks else None
    # Scaled one by one as they are read: a long 4K take never lies in memory whole.
    for t, frame in enumerate(video_frames(probe.path, wanted)):
        if frame.shape[:2] != (lens.height, lens.width):
            raise DatasetError(f"{probe.path} changes its picture size at frame {wanted[t]}.")
        rgba = cv2.cvtColor(lens.undistort(frame), cv2.COLOR_BGR2RGBA)
        if masks is not None and source.masks is not None:
            mask = next(masks)
            if mask.shape != frame.shape[:2]:
                raise DatasetError(
                    f"A mask in {source.masks.path} is {mask.shape[1]} x {mask.shape[0]} pixels, "
                    f"but {probe.path} is {lens.width} x {lens.height}."
                )
            rgba[..., 3] = lens.undistort(mask)
        images[t] = scale_down(rgba, width, height)
        report(t + 1)
