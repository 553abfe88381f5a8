# SPDX-License-Identifier: GPL-3.0-or-later
"""What OpenCV does not tell of a video: its alpha channel, and how many packets it holds."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from ..data.dataset import Pixels
from ..data.video_files import broken_off
from ..seam.errors import EngineError

# ffmpeg's own VP8 and VP9 decoders drop the alpha channel.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_ALPHA_FORMAT = re.compile(r"\b(yuva\d+|gbrap|rgba|argb|bgra|abgr|ya8|ya16|pal8)")


def alpha_decoder(path: Path) -> str | None:
    """Return how to decode a video's alpha channel: a decoder, "" for the usual, None for none."""
    said = _run(["-i", str(path)])
    stream = re.search(r"Stream #\S+.*: Video: (\w+).*", said)
    if stream is None:
        return None
    if re.search(r"alpha_mode\s*: 1", said):
        return _ALPHA_DECODERS.get(stream[1], "")
    return "" if _ALPHA_FORMAT.search(stream[0]) else None


def count_packets(path: Path) -> int:
    """Return how many pictures a video holds at most, without decoding any; 0 if that fails."""
    said = _run(["-i", str(path), "-map", "0:v:0", "-c", "copy", "-f", "null", "-"])
    counts = re.findall(r"frame=\s*(\d+)", said)
    return int(counts[-1]) if counts else 0


def rgba_frames(
    path: Path, decoder: str, wanted: Sequence[int], width: int, height: int
) -> Iterator[Pixels]:
    """Yield the wanted frames (ascending indices) as RGBA uint8 [H,W,4], straight alpha.

    Raises:
        DatasetError: the video ends before the last wanted frame.
    """
    chosen = ["-c:v", decoder] if decoder else []
    command = [_executable(), "-loglevel", "error", *chosen, "-i", str(path), "-map", "0:v:0"]
    command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    size = width * height * 4
    # A file, because a full pipe of complaints would block ffmpeg.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None  # opened as a pipe
        try:
            position = 0
            for index in wanted:
                while position <= index:
                    content = process.stdout.read(size)
                    if len(content) < size:
                        raise broken_off(path, position, index)
                    position += 1
                yield np.frombuffer(content, np.uint8).reshape(height, width, 4)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def _run(words: Sequence[str]) -> str:
    done = subprocess.run([_executable(), "-hide_banner", "-nostdin", *words], capture_output=True)
    return done.stderr.decode(errors="replace")


def _executable() -> str:
    try:
        executable: str = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        raise EngineError(
            "There is no ffmpeg to look for transparency in videos with; "
            "`pip install imageio-ffmpeg`."
        ) from None
    return executable
