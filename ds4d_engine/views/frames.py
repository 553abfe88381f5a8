# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames that a generator must be given, so that its views fit the clip as it is fitted."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ..data import Dataset
from ..seam.errors import EngineError
from ..seam.events import Listener, Stage, silent
from ..video import write_png


def write_frames(clip: Dataset, output: Path, listener: Listener = silent) -> int:
    """Write camera 0's pictures as RGBA PNGs, named by their place in the clip; return the count.

    The folder appears whole or not at all.

    Raises:
        EngineError: the folder exists and holds something, or cannot be written.
    """
    output = Path(os.path.abspath(output))
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise EngineError(f"{output} exists already; name a new folder for the frames.")
    frames = clip.images[0]
    digits = max(4, len(str(len(frames) - 1)))
    stage = Stage(listener, "write frames", len(frames))
    part = None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{output.name}.part-", dir=output.parent))
        for t, frame in enumerate(frames):
            write_png(part / f"{t:0{digits}d}.png", frame)
            stage.update(t + 1)
        if output.exists():
            output.rmdir()
        os.replace(part, output)
    except OSError as error:
        raise EngineError(f"Cannot write {output}: {error.strerror or error}.") from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
    return len(frames)
