# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw an asset: a picture (.png), a video (.mp4) or a folder of pictures."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..seam.asset import Asset, read_asset
from ..seam.cameras import Camera
from ..seam.errors import ConfigError
from ..seam.events import Stage
from .arguments import add_backend, add_progress, image_size, near_names, positive, use_threads

if TYPE_CHECKING:
    from ..render import FloatArray

DEFAULT_SIZE = (512, 512)
AZIMUTH, ELEVATION, TURN_SECONDS = 0.0, 15.0, 4.0


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture to draw: a camera, and a frame index of the asset (fractions interpolate)."""

    camera: Camera
    frame: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "ds4d render ASSET -o PATH [--camera NAME | --turntable] [options]"
    parser.add_argument("asset", metavar="ASSET", help="a .ds4d file")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="a .png (one picture), an .mp4, or a folder for numbered PNGs",
    )
    _add_view(parser)
    moment = parser.add_argument_group("time").add_mutually_exclusive_group()
    moment.add_argument(
        "--frame", type=float, metavar="N", help="frame 0 to T-1; 3.5 lies between two"
    )
    moment.add_argument("--time", type=float, metavar="t", help="0 (first frame) to 1 (last)")
    parser.add_argument(
        "--background",
        default="white",
        metavar="COLOUR",
        help="white, black, transparent or #rrggbb (default: white)",
    )
    parser.add_argument(
        "--fps", type=positive(float), metavar="FPS", help="of the video (default: the asset's)"
    )
    add_backend(parser)
    add_progress(parser)


def _add_view(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("view")
    view = group.add_mutually_exclusive_group()
    view.add_argument("--camera", metavar="NAME", help="one of the asset's (default: its first)")
    view.add_argument("--turntable", action="store_true", help="turn about the asset")
    for name, text in (
        ("--azimuth", f"where the turn starts (default: {AZIMUTH:g}, from -Y)"),
        ("--elevation", f"of the turn (default: {ELEVATION:g})"),
    ):
        group.add_argument(name, type=float, metavar="DEGREES", help=text)
    group.add_argument(
        "--turn-seconds",
        type=positive(float),
        metavar="S",
        help=f"length of one turn; the clip loops under it (default: {TURN_SECONDS:g})",
    )
    group.add_argument(
        "--size",
        type=image_size,
        metavar="SIZE",
        help="such as 512 or 640x360 (default: the camera's; turntable 512)",
    )


def run(arguments: argparse.Namespace) -> int:
    background = parse_background(arguments.background)
    kind = output_kind(arguments.output)
    if kind == "video" and background is None:
        raise ConfigError(
            "An .mp4 has no transparency; render to a folder of PNGs, or choose a --background."
        )
    asset = read_asset(arguments.asset)

    from ..console import progress_listener

    use_threads(arguments)
    shots = plan_shots(asset, arguments, kind)
    fps = arguments.fps or asset.fps
    with progress_listener(arguments.progress) as listener:
        stage = Stage(listener, "render", len(shots))
        images = _images(asset, shots, background, arguments.backend, stage)
        _write(arguments.output, kind, images, fps)
    return 0


def parse_background(text: str) -> tuple[float, float, float] | None:
    """Return a colour's sRGB values 0..1, or None for "transparent".

    Raises:
        ConfigError: the text is no colour.
    """
    named = {"white": "#ffffff", "black": "#000000"}
    if text == "transparent":
        return None
    pair = "([0-9a-fA-F]{2})"
    match = re.fullmatch(f"#?{pair}{pair}{pair}", named.get(text, text))
    if not match:
        raise ConfigError(
            f"The background {text!r} is no colour; use white, black, transparent or #rrggbb."
        )
    red, green, blue = (int(part, 16) / 255.0 for part in match.groups())
    return red, green, blue


def output_kind(output: Path) -> str:
    """Return "picture", "video" or "folder" for a path to write.

    Raises:
        ConfigError: the ending names a format that is not written.
    """
    suffix = output.suffix.lower()
    kinds = {".png": "picture", ".mp4": "video"}
    if suffix in kinds and not output.is_dir():
        return kinds[suffix]
    if output.is_file() or (suffix and not suffix[1:].isdigit() and not output.is_dir()):
        raise ConfigError(f"Cannot write {output}: name a .png, an .mp4 or a folder.")
    return "folder"


def plan_shots(asset: Asset, arguments: argparse.Namespace, kind: str) -> list[Shot]:
    """Return the pictures to draw, in order.

    Raises:
        ConfigError: the camera or the moment does not exist, or the two make no video.
    """
    moment = _moment(asset, arguments)
    turning = arguments.turntable or not (arguments.camera or asset.cameras)
    if turning:
        return _turntable_shots(asset, arguments, kind, moment)
    for name in ("azimuth", "elevation", "turn_seconds"):
        if getattr(arguments, name) is not None:
            raise ConfigError(f"--{name.replace('_', '-')} belongs to --turntable; add that.")
    camera = named_camera(asset, arguments.camera)
    if arguments.size:
        from ..render import resize_camera

        camera = resize_camera(camera, *arguments.size)
    if kind == "picture" or (kind == "folder" and moment is not None):
        return [Shot(camera, moment or 0.0)]
    if moment is not None:
        raise ConfigError(
            "A video of one frame from one camera stands still; drop --frame and --time, "
            "or add --turntable."
        )
    return [Shot(camera, float(index)) for index in range(asset.frame_count)]


def named_camera(asset: Asset, name: str | None) -> Camera:
    """Return an asset's camera by name, or its first one.

    Raises:
        ConfigError: no camera has this name.
    """
    if name is None:
        return asset.cameras[0]
    cameras = {camera.name: camera for camera in asset.cameras}
    if name in cameras:
        return cameras[name]
    raise ConfigError(
        f"The asset has no camera {name!r}; "
        + near_names(name, list(cameras), "ds4d info").replace("ds4d info --help", "ds4d info")
    )


def _moment(asset: Asset, arguments: argparse.Namespace) -> float | None:
    last = asset.frame_count - 1
    if arguments.time is not None:
        if not 0.0 <= arguments.time <= 1.0:
            raise ConfigError(f"--time {arguments.time:g} is not between 0 and 1.")
        return float(arguments.time * last)
    if arguments.frame is not None and not 0.0 <= arguments.frame <= last:
        raise ConfigError(f"Frame {arguments.frame:g} is not in the asset; choose 0 to {last}.")
    return None if arguments.frame is None else float(arguments.frame)


def _turntable_shots(
    asset: Asset, arguments: argparse.Namespace, kind: str, moment: float | None
) -> list[Shot]:
    from ..render import asset_bounds, turntable

    seconds = arguments.turn_seconds or TURN_SECONDS
    count = 1 if kind == "picture" else max(1, round(seconds * (arguments.fps or asset.fps)))
    width, height = arguments.size or DEFAULT_SIZE
    cameras = turntable(
        asset_bounds(asset),
        count,
        width=width,
        height=height,
        azimuth_degrees=AZIMUTH if arguments.azimuth is None else arguments.azimuth,
        elevation_degrees=ELEVATION if arguments.elevation is None else arguments.elevation,
    )
    return [
        Shot(camera, float(index % asset.frame_count) if moment is None else moment)
        for index, camera in enumerate(cameras)
    ]


def _images(
    asset: Asset, shots: list[Shot], background: Any, backend: str, stage: Stage
) -> Iterator[FloatArray]:
    from ..render import render_asset

    stage.update(0)
    for done, shot in enumerate(shots, start=1):
        yield render_asset(asset, shot.camera, shot.frame, background=background, backend=backend)
        stage.update(done)


def _write(output: Path, kind: str, images: Iterator[FloatArray], fps: float) -> None:
    from ..render import to_uint8
    from ..video import video_writer, write_png

    with ExitStack() as stack:
        video = stack.enter_context(video_writer(output, fps)) if kind == "video" else None
        for index, image in enumerate(images):
            pixels = to_uint8(image)
            if video is not None:
                video.add(pixels)
            else:
                write_png(output if kind == "picture" else output / f"{index:04d}.png", pixels)
