# SPDX-License-Identifier: GPL-3.0-or-later
"""Write pictures and videos: whole files or none."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from .seam.errors import EngineError

Pixels = npt.NDArray[np.uint8]

# Players assume BT.709 for video without tags of its own; converted and tagged, colours hold.
_COLOR_OPTIONS = (
    *("-vf", "scale=out_color_matrix=bt709:out_range=tv"),
    *("-colorspace", "bt709", "-color_primaries", "bt709"),
    *("-color_trc", "iec61966-2-1", "-color_range", "tv"),
)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to, beside `path`; it becomes `path` only if the block succeeds."""
    part = path.with_name(f".{path.stem}.part-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        raise EngineError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            part.unlink()


def write_png(path: Path, image: Pixels) -> None:
    """Write an 8-bit picture [H,W,3] or [H,W,4] (straight alpha).

    Raises:
        EngineError: the file cannot be written.
    """
    with _replacing(path) as part:
        iio.imwrite(part, image, extension=".png")


class VideoWriter:
    """Write frames uint8 [H,W,3] to an H.264 mp4 (yuv420p), which appears only by `close`.

    Odd sizes grow by one repeated row or column, because yuv420p halves its colour planes.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self._fps = Fraction(fps).limit_denominator(100_000)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - abort() closes it
        self._ffmpeg: subprocess.Popen[bytes] | None = None

    def add(self, image: Pixels) -> None:
        """Append a frame; every frame has the first one's size.

        Raises:
            EngineError: there is no ffmpeg, it has no libx264, or it cannot write the file.
        """
        height, width = image.shape[:2]
        even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._ffmpeg is None:
            self._ffmpeg = self._start(even.shape[1], even.shape[0])
        assert self._ffmpeg.stdin is not None  # opened as a pipe
        try:
            self._ffmpeg.stdin.write(even.tobytes())
        except OSError as error:
            with suppress(OSError):
                self._ffmpeg.stdin.close()
            self._ffmpeg.wait()
            raise self._error() from error

    def close(self) -> None:
        """Finish the file.

        Raises:
            EngineError: ffmpeg failed, or no frame was added.
        """
        if self._ffmpeg is None:
            raise EngineError("The video would hold no frame; add at least one.")
        self._ffmpeg.communicate()
        if self._ffmpeg.returncode != 0:
            raise self._error()

    def abort(self) -> None:
        """Stop ffmpeg, whatever state it is in."""
        if self._ffmpeg is not None and self._ffmpeg.poll() is None:
            self._ffmpeg.kill()
            self._ffmpeg.communicate()
        self._log.close()

    def _start(self, width: int, height: int) -> subprocess.Popen[bytes]:
        try:
            executable = imageio_ffmpeg.get_ffmpeg_exe()
            return subprocess.Popen(
                [
                    *(executable, "-y", "-loglevel", "error"),
                    *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"),
                    *("-r", str(self._fps), "-i", "-", "-an"),
                    *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "16"),
                    *("-movflags", "+faststart", *_COLOR_OPTIONS, str(self.path)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
            )
        except (OSError, RuntimeError) as error:
            raise EngineError(
                "There is no ffmpeg to write videos with; `pip install imageio-ffmpeg`, "
                "or render to a folder of PNGs."
            ) from error

    def _error(self) -> EngineError:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else "it gave no reason"
        return EngineError(
            f"ffmpeg could not write the video ({reason}); "
            "run `ds4d doctor`, or render to a folder of PNGs."
        )


@contextmanager
def video_writer(path: Path, fps: float) -> Iterator[VideoWriter]:
    """Give a writer whose video appears at `path` when the block ends well, and not otherwise.

    Raises:
        EngineError: the video cannot be written.
    """
    with _replacing(path) as part:
        writer = VideoWriter(part, fps)
        try:
            yield writer
            writer.close()
        finally:
            writer.abort()
