# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn a Qualisys calibration (.qca.txt) and its videos into a dataset of calibrated videos."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ..seam.errors import DatasetError
from .poses import nearest_rotation
from .video_files import VIDEOS, probe_video
from .videos import CAMERAS_FILE, FORMAT, VERSION

StrPath = str | os.PathLike[str]

SUBPIXELS = 64.0  # the file counts in 1/64 of a pixel
MILLIMETRES = 1000.0
CODEC_BLOCK = 16  # encoders crop pictures to a multiple of a block, at the right and bottom
DISTORTION = (
    "radialDistortion1",
    "radialDistortion2",
    "tangentalDistortion1",
    "tangentalDistortion2",
    "radialDistortion3",
)


def convert_qualisys(calibration: StrPath, videos: StrPath, out: StrPath) -> Path:
    """Write ``out``/cameras.json for the videos in a folder and return its path.

    A video belongs to the camera whose serial is its file name; cameras without a video are left
    out. Lengths become metres. Raises DatasetError when the calibration is unreadable or a
    video's size cannot be reconciled with it.
    """
    calibration, folder, out = Path(calibration), Path(videos), Path(out)
    if not folder.is_dir():
        raise DatasetError(f"There is no videos folder {folder}.")
    found = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in VIDEOS}
    elements = _camera_elements(calibration)
    serials = {element.get("serial", ""): element for element in elements}
    unknown = sorted(found.keys() - serials.keys())
    if not found or unknown:
        which = found[unknown[0]] if unknown else f"The folder {folder}"
        raise DatasetError(
            f"{which} has no camera in {calibration}; name each video after its camera's serial: "
            f"{', '.join(serials)}."
        )
    cameras = [_convert(serials[name], found[name], out, calibration) for name in sorted(found)]
    document = {"format": FORMAT, "version": VERSION, "units": "m", "cameras": cameras}
    target = out / CAMERAS_FILE
    try:
        out.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        part.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        os.replace(part, target)
    except OSError as error:
        raise DatasetError(f"Cannot write {target}: {error.strerror or error}.") from None
    return target


def _camera_elements(calibration: Path) -> list[ElementTree.Element]:
    try:
        root = ElementTree.fromstring(calibration.read_bytes())
    except FileNotFoundError:
        raise DatasetError(f"There is no calibration {calibration}.") from None
    except OSError as error:
        raise DatasetError(f"Cannot read {calibration}: {error.strerror or error}.") from None
    except ElementTree.ParseError as error:
        raise DatasetError(f"{calibration} is no Qualisys calibration: {error}.") from None
    elements = root.findall("cameras/camera")
    if not elements:
        raise DatasetError(f"{calibration} is no Qualisys calibration: it holds no cameras.")
    return elements


def _convert(
    element: ElementTree.Element, video: Path, out: Path, calibration: Path
) -> dict[str, Any]:
    where = f"camera {element.get('serial')!r} of {calibration}"
    if float(element.get("viewrotation", "0")) != 0:
        raise DatasetError(f"{where} has a view rotation, which is not supported; set it to 0.")
    K = np.array(
        [
            [_number(element, "intrinsic", "focalLengthU", where), 0.0, 0.0],
            [0.0, _number(element, "intrinsic", "focalLengthV", where), 0.0],
            [0.0, 0.0, SUBPIXELS],
        ]
    )
    K[0, 2] = _number(element, "intrinsic", "centerPointU", where)
    K[1, 2] = _number(element, "intrinsic", "centerPointV", where)
    fov = {key: _number(element, "fov_video", key, where) for key in _SIDES}
    K = K / SUBPIXELS
    K[:2, 2] -= fov["left"], fov["top"]
    calibrated = int(fov["right"] - fov["left"]) + 1, int(fov["bottom"] - fov["top"]) + 1
    probe = probe_video(video)
    K = _reconcile(K, calibrated, (probe.width, probe.height), video, where)
    rotation, translation = _pose(element, where)
    return {
        "name": element.get("serial"),
        "video": _relative(video, out),
        "width": probe.width,
        "height": probe.height,
        "K": K.tolist(),
        "distortion": [_number(element, "intrinsic", key, where) / SUBPIXELS for key in DISTORTION],
        "R": rotation.tolist(),
        "t": translation.tolist(),
    }


_SIDES = ("left", "right", "top", "bottom")


def _pose(
    element: ElementTree.Element, where: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read the pose as OpenCV world-to-camera rotation and translation in metres."""
    # The file lists a matrix by columns, of a camera that looks along -z with y up.
    listed = [
        [_number(element, "transform", f"r{i}{j}", where) for j in (1, 2, 3)] for i in (1, 2, 3)
    ]
    axes = nearest_rotation(np.array(listed).T, where)
    center = np.array([_number(element, "transform", axis, where) for axis in "xyz"]) / MILLIMETRES
    rotation = np.diag([1.0, -1.0, -1.0]) @ axes.T
    return rotation, -rotation @ center


def _reconcile(
    K: NDArray[np.float64],
    calibrated: tuple[int, int],
    found: tuple[int, int],
    video: Path,
    where: str,
) -> NDArray[np.float64]:
    """Return the K of the video's own pixels, where it was scaled or cropped by its encoder."""
    lost = calibrated[0] - found[0], calibrated[1] - found[1]
    # Cropping by an encoder takes columns at the right and rows at the bottom: K stays.
    if min(lost) >= 0 and max(lost) < CODEC_BLOCK:
        return K
    scale = found[0] / calibrated[0], found[1] / calibrated[1]
    if abs(scale[0] / scale[1] - 1.0) > 0.5 / min(found):
        raise DatasetError(
            f"{video} is {found[0]} x {found[1]} pixels, which is neither the {calibrated[0]} x "
            f"{calibrated[1]} of {where} nor that scaled evenly."
        )
    scaled = K.copy()
    # Whole numbers are pixel centres here, so scaling works on positions half a pixel further.
    scaled[:2, 2] += 0.5
    scaled = np.diag([*scale, 1.0]) @ scaled
    scaled[:2, 2] -= 0.5
    return scaled


def _number(element: ElementTree.Element, child: str, key: str, where: str) -> float:
    found = element.find(child)
    text = None if found is None else found.get(key)
    try:
        return float(text or "")
    except ValueError:
        raise DatasetError(f"{where} has no number {key!r} in <{child}>.") from None


def _relative(video: Path, out: Path) -> str:
    try:
        return Path(os.path.relpath(video.resolve(), out.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return video.resolve().as_posix()
