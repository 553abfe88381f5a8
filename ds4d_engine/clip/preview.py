# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the masks of a clip as pictures, with a sheet to look them over."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..data.dataset import Pixels
from ..seam.errors import EngineError
from ..seam.events import Listener, Stage, silent
from ..video import write_png
from .finding import find_matte
from .footage import read_footage
from .options import ClipOptions
from .sources import SHEET_NAME, open_source, pictures_in

SHEET_FRAMES = 24
_CELL = 240
_COLUMNS = 6
_COLOR = (255, 0, 200)
_VEIL = 0.65


def write_masks(
    path: Path, output: Path, options: ClipOptions, listener: Listener = silent
) -> tuple[str, int]:
    """Write one mask per chosen frame, named by its source frame, and a contact sheet.

    The folder appears whole or not at all. Returns how the object was found, as ClipOptions.matte
    names it, and the number of masks.

    Raises:
        DatasetError: the clip cannot be read, or no object is found in it.
        EngineError: the folder exists and holds something, or cannot be written.
    """
    output = Path(os.path.abspath(output))
    _check_free(output)
    footage = read_footage(open_source(path), options, listener)
    matte = find_matte(footage, options, listener)
    digits = max(4, len(str(footage.indices[-1])))
    shown = _spread(len(footage.indices), SHEET_FRAMES)
    cells = []
    stage = Stage(listener, "write masks", len(footage.indices))
    part = _part_folder(output)
    try:
        for t, (rgba, alpha, _) in enumerate(matte.cutouts(footage)):
            write_png(part / f"{footage.indices[t]:0{digits}d}.png", alpha)
            if t in shown:
                cells.append(sheet_cell(rgba, alpha, str(footage.indices[t])))
            stage.update(t + 1)
        write_png(part / SHEET_NAME, contact_sheet(cells))
        if output.exists():
            output.rmdir()
        os.replace(part, output)
    except OSError as error:
        raise EngineError(f"Cannot write {output}: {error.strerror or error}.") from error
    except EngineError as error:  # of a picture, in a folder whose name nobody knows
        raise EngineError(str(error).replace(str(part), str(output))) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return matte.name, len(footage.indices)


def sheet_cell(rgba: Pixels, alpha: Pixels, label: str) -> Pixels:
    """Return a small frame whose background is veiled in a colour, its number in a corner."""
    height, width = alpha.shape
    scale = _CELL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = cv2.resize(rgba[..., :3], size, interpolation=cv2.INTER_AREA).astype(np.float32)
    opacity = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)
    veiled = picture * (1 - _VEIL) + np.asarray(_COLOR, np.float32) * _VEIL
    shown = np.round(picture * opacity + veiled * (1 - opacity)).astype(np.uint8)
    for color, thickness in ((0, 3), (255, 1)):
        cv2.putText(shown, label, (5, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (color,) * 3, thickness)
    return shown


def contact_sheet(cells: Sequence[Pixels]) -> Pixels:
    """Return pictures of one size in rows, on grey."""
    columns = min(_COLUMNS, len(cells))
    rows = math.ceil(len(cells) / columns)
    height, width = cells[0].shape[:2]
    sheet = np.full((rows * (height + 4), columns * (width + 4), 3), 64, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // columns * (height + 4), index % columns * (width + 4)
        sheet[top : top + height, left : left + width] = cell
    return sheet


def _check_free(output: Path) -> None:
    """Refuse to replace anything but masks that this command wrote."""
    if not output.exists():
        return
    if not output.is_dir():
        raise EngineError(f"{output} is a file; name a folder for the masks.")
    if any(output.iterdir()):
        again = (output / SHEET_NAME).is_file() and len(pictures_in(output)) > 0
        hint = "delete the masks in it first" if again else "name a new one"
        raise EngineError(f"The folder {output} is not empty; {hint}.")


def _part_folder(output: Path) -> Path:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{output.name}.part-", dir=output.parent))
    except OSError as error:
        raise EngineError(f"Cannot write {output}: {error.strerror or error}.") from error


def _spread(count: int, wanted: int) -> set[int]:
    return {int(i) for i in np.linspace(0, count - 1, min(count, wanted)).round()}
