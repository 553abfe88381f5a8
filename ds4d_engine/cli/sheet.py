# SPDX-License-Identifier: GPL-3.0-or-later
"""Show an asset from several sides at several times in one picture.

A row for each time, from first to last; a column for each azimuth, after one of the source if it
is given.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..seam.asset import Asset, read_asset
from ..seam.cameras import Camera
from ..seam.errors import ConfigError
from ..seam.events import Listener, Stage, silent
from .arguments import add_backend, add_progress, dataset_options, positive, use_threads
from .clip_arguments import given_clip_options
from .render import named_camera
from .sources import add_source_options, read_source
from .view_arguments import given_view_options

if TYPE_CHECKING:
    from ..data import Dataset

Pixels = npt.NDArray[np.uint8]

AZIMUTHS = tuple(float(azimuth) for azimuth in range(-60, 61, 15))
TIMES, SIZE = 4, 128
HEADER = 16  # pixels, for the azimuths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "ds4d sheet ASSET -o FILE.png [--source CLIP|DATASET] [options]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("asset", metavar="ASSET", help="a .ds4d file")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the .png to write"
    )
    parser.add_argument(
        "--azimuths",
        type=float,
        nargs="+",
        default=AZIMUTHS,
        metavar="DEGREES",
        help="sides to show; 0 is the camera's (default: -60 to 60 in steps of 15)",
    )
    parser.add_argument(
        "--times", type=positive(int), default=TIMES, metavar="N", help=f"rows (default: {TIMES})"
    )
    parser.add_argument(
        "--cell",
        type=positive(int),
        default=SIZE,
        metavar="PIXELS",
        help=f"side of every picture (default: {SIZE})",
    )
    parser.add_argument("--camera", metavar="NAME", help="one of the asset's (default: its first)")
    parser.add_argument(
        "--source",
        dest="dataset",
        metavar="CLIP|DATASET",
        help="what it was fitted to, read with the options below",
    )
    add_backend(parser)
    add_progress(parser)
    add_source_options(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.output.suffix.lower() != ".png":
        raise ConfigError(f"The output {arguments.output} must end in .png.")
    asset = read_asset(arguments.asset)

    from ..console import progress_listener
    from ..video import write_png

    use_threads(arguments)
    with progress_listener(arguments.progress) as listener:
        source = _source(arguments, asset, listener)
        picture = contact_sheet(
            asset,
            azimuths=arguments.azimuths,
            times=arguments.times,
            size=arguments.cell,
            camera=arguments.camera,
            source=source,
            backend=arguments.backend,
            listener=listener,
        )
        write_png(arguments.output, picture)
    return 0


def contact_sheet(
    asset: Asset,
    *,
    azimuths: Sequence[float] = AZIMUTHS,
    times: int = TIMES,
    size: int = SIZE,
    camera: str | None = None,
    source: Dataset | None = None,
    backend: str = "auto",
    listener: Listener = silent,
) -> Pixels:
    """Return one picture uint8 [H,W,3] of an asset, on white: rows are times, columns azimuths.

    Azimuth 0 is what the named or first camera of the asset sees; the others turn it about the
    vertical (+Z) through the point on its axis that is nearest to the asset's middle.

    Raises:
        ConfigError: the asset has no camera of this name.
    """
    from ..render import render_asset, to_uint8

    cameras = turned_cameras(asset, azimuths, size, camera)
    rows = [_header(azimuths, size, with_source=source is not None)]
    last = asset.frame_count - 1
    stage = Stage(listener, "draw", times * len(cameras))
    for row in range(times):
        moment = row / (times - 1) if times > 1 else 0.5
        cells = [] if source is None else [_source_cell(source, camera, moment, size, asset.blend)]
        for column, turned in enumerate(cameras):
            cells.append(to_uint8(render_asset(asset, turned, moment * last, backend=backend)))
            stage.update(row * len(cameras) + column + 1)
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows, axis=0)


def turned_cameras(
    asset: Asset, azimuths: Sequence[float], size: int, name: str | None = None
) -> list[Camera]:
    """Return square cameras that see an asset as one of its own does, turned about the vertical.

    An asset without cameras is seen from the front (-Y), at the height of its middle.
    """
    from ..render import asset_bounds, orbit_camera, resize_camera

    bounds = asset_bounds(asset)
    if asset.cameras or name is not None:
        front = resize_camera(named_camera(asset, name), size, size)
    else:
        front = orbit_camera(bounds, 0.0, 0.0, width=size, height=size)
    axis = front.viewmat[2, :3]
    pivot = front.position + axis * float(axis @ (bounds.center - front.position))
    return [_turn(front, azimuth, pivot) for azimuth in azimuths]


def _source(arguments: argparse.Namespace, asset: Asset, listener: Listener) -> Dataset | None:
    if arguments.dataset is not None:
        # The side of the asset's camera is that of the square that the fit cut out.
        size = asset.cameras[0].width if asset.cameras else None
        return read_source(arguments, listener, size=size)
    given = [f"--{name.replace('_', '-')}" for name in dataset_options(arguments)]
    given += given_clip_options(arguments) + given_view_options(arguments)
    if given:
        raise ConfigError(f"{given[0]} says how the source is read; add --source.")
    return None


def _turn(camera: Camera, azimuth_degrees: float, pivot: npt.NDArray[np.float64]) -> Camera:
    """Turn a camera about the vertical through a point, counter-clockwise seen from above."""
    angle = math.radians(azimuth_degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    turn[:3, 3] = pivot - turn[:3, :3] @ pivot
    viewmat = camera.viewmat @ np.linalg.inv(turn)
    return Camera(f"{azimuth_degrees:g}", camera.K, viewmat, camera.width, camera.height)


def _source_cell(
    source: Dataset, camera: str | None, moment: float, size: int, blend: str
) -> Pixels:
    """Return the source's picture nearest to a time 0..1, on white, fitted into a square."""
    import cv2

    from ..metrics import composite_source
    from ..render import to_uint8

    names = [item.name for item in source.cameras]
    view = names.index(camera) if camera in names else (source.train or [0])[0]
    present = np.flatnonzero(source.present[:, view])
    frame = present[np.argmin(np.abs(source.times[present] - moment))]
    picture = composite_source(source.images[view][frame], 1.0, blend)
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(picture, shape, interpolation=interpolation)
    cell = np.ones((size, size, 3), np.float32)
    top, left = (size - shape[1]) // 2, (size - shape[0]) // 2
    cell[top : top + shape[1], left : left + shape[0]] = scaled
    return to_uint8(cell)


def _header(azimuths: Sequence[float], size: int, *, with_source: bool) -> Pixels:
    import cv2

    titles = (["source"] if with_source else []) + [f"{azimuth:g}" for azimuth in azimuths]
    strip = np.full((HEADER, size * len(titles), 3), 255, np.uint8)
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.35
    for column, title in enumerate(titles):
        (width, height), _ = cv2.getTextSize(title, font, scale, 1)
        left = column * size + (size - width) // 2
        place = (left, (HEADER + height) // 2)
        cv2.putText(strip, title, place, font, scale, (90, 90, 90), 1, cv2.LINE_AA)
    return strip
