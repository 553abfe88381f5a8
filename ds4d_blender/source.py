# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist's settings ask of the engine: its words, its files, and a plain sentence.

Settings are anything with the attributes of `properties.DS4D_Settings`. Everything here is quick
enough for drawing a panel.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy

from .seam import errors

VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".gif"}
_MATTES = {"ALPHA": "alpha", "PLAIN": "plain", "GRABCUT": "grabcut", "NONE": "none"}
_CLIP_SENTENCE = (
    "One view: the side that the camera sees is fitted, the depth is guessed and the back is "
    "invented."
)
_DATASET_SENTENCE = "Several views: every side that a camera sees is fitted; nothing is invented."
_SCENE_SENTENCE = (
    "A copy of this scene is rendered from {cameras} in the background, then fitted; you can go on "
    "working."
)


@dataclass(frozen=True)
class Request:
    """A fit, as the engine is asked for it."""

    name: str
    source: str
    words: tuple[str, ...]
    """Words of `ds4d fit` after the source."""
    reading: tuple[str, ...]
    """Those of them that say which frames are read and where the subject is."""
    inputs: tuple[str, ...]
    """Files and folders that the engine must be able to read."""
    output: str
    captures: bool
    """The source is rendered from the scene first."""
    one_view: bool


def chosen(settings: Any, given: dict[str, Any] | None = None) -> SimpleNamespace:
    """Return the settings' values, those in `given` in place of the scene's."""
    names = [item.identifier for item in settings.bl_rna.properties]
    values = {name: getattr(settings, name) for name in names if name not in ("rna_type", "name")}
    return SimpleNamespace(**(values | (given or {})))


def request(settings: Any, taken: Sequence[str] = ()) -> Request:
    """Return what the settings ask for; `taken` are outputs of other jobs.

    Raises:
        DatasetError: the source is missing, in one sentence.
        ConfigError: a setting is missing or does not fit.
    """
    captures = settings.source == "SCENE"
    source = "" if captures else _source(settings)
    name = _scene_name(settings) if captures else Path(source).stem
    output = _output(settings, source, name, taken)
    inputs = [] if captures else [source]
    reading: list[str] = []
    if not captures:
        reading += _frames(settings)
        reading += _masks(settings, inputs)
    else:
        source = str(capture_folder(output))
        inputs = [source]
    words = [*reading, "--preset", settings.preset.lower(), *_advanced(settings)]
    return Request(
        name=Path(output).stem,
        source=source,
        words=tuple(words),
        reading=tuple(reading),
        inputs=tuple(inputs),
        output=output,
        captures=captures,
        one_view=settings.source == "CLIP",
    )


def sentence(settings: Any) -> str:
    """Say plainly what will happen."""
    if settings.source == "CLIP":
        return _CLIP_SENTENCE
    if settings.source == "DATASET":
        return _DATASET_SENTENCE
    by_rig = settings.rig == "SCENE"
    cameras = "the scene's own cameras" if by_rig else f"{settings.cameras} cameras around it"
    return _SCENE_SENTENCE.format(cameras=cameras)


def capture_folder(output: str) -> Path:
    """Return where the pictures of a captured scene go."""
    return Path(f"{os.path.splitext(output)[0]}.capture")


def is_video(path: str) -> bool:
    """Tell whether a path looks like a video."""
    return Path(path).suffix.lower() in VIDEOS


def _source(settings: Any) -> str:
    if settings.source == "CLIP":
        text, what = settings.clip, "a video, or a folder of pictures"
    else:
        text, what = settings.dataset, "a folder with pictures of several cameras"
    if not text:
        raise errors.DatasetError(f"Choose {what}.")
    path = Path(bpy.path.abspath(text))
    if not path.exists():
        raise errors.DatasetError(f"There is nothing at {path}; choose {what}.")
    if settings.source == "DATASET" and path.is_file():
        path = path.parent
    # File browsers end a folder with a separator.
    return os.path.normpath(path)


def _scene_name(settings: Any) -> str:
    if settings.subject == "OBJECT":
        if settings.subject_object is None:
            raise errors.DatasetError("Choose the object to capture.")
        return str(settings.subject_object.name)
    if settings.subject == "COLLECTION":
        if settings.subject_collection is None:
            raise errors.DatasetError("Choose the collection to capture.")
        return str(settings.subject_collection.name)
    return str(Path(bpy.data.filepath).stem or "scene")


def _output(settings: Any, source: str, name: str, taken: Sequence[str]) -> str:
    if settings.output:
        path = Path(bpy.path.abspath(settings.output))
        if path.suffix.lower() != ".ds4d":
            path = path.with_name(f"{path.name}.ds4d")
    else:
        path = _free_output(source, bpy.path.clean_name(name), taken)
    if not path.parent.is_dir():
        raise errors.ConfigError(
            f"The folder {path.parent} for the output does not exist; choose another."
        )
    if not os.access(path.parent, os.W_OK):
        raise errors.ConfigError(
            f"The folder {path.parent} cannot be written to; choose another output."
        )
    return str(path)


def _free_output(source: str, name: str, taken: Sequence[str]) -> Path:
    if source:
        folder = Path(source).parent
    elif bpy.data.filepath:
        folder = Path(bpy.data.filepath).parent
    else:
        raise errors.ConfigError("Choose an output, or save the file first.")
    used = {os.path.normcase(path) for path in taken}
    count = 1
    while True:
        path = folder / (f"{name}.ds4d" if count == 1 else f"{name}-{count}.ds4d")
        if not path.exists() and os.path.normcase(path) not in used:
            return path
        count += 1


def _frames(settings: Any) -> list[str]:
    words = []
    if settings.frame_end and settings.frame_end <= settings.frame_start:
        raise errors.ConfigError(
            f"The frames end ({settings.frame_end}) before they begin ({settings.frame_start}); "
            "choose a later end."
        )
    if settings.frame_start:
        words += ["--start", str(settings.frame_start)]
    if settings.frame_end:
        words += ["--end", str(settings.frame_end)]
    if settings.stride > 1:
        words += ["--stride", str(settings.stride)]
    return words


def _masks(settings: Any, inputs: list[str]) -> list[str]:
    if settings.mask == "FOLDER":
        path = Path(bpy.path.abspath(settings.masks)) if settings.masks else None
        if path is None or not path.is_dir():
            raise errors.DatasetError("Choose the folder of mask pictures.")
        inputs.append(os.path.normpath(path))
        return ["--masks", inputs[-1]]
    if settings.source == "DATASET" or settings.mask == "AUTO":
        return []
    return ["--matte", _MATTES[settings.mask]]


def _advanced(settings: Any) -> list[str]:
    one_view = settings.source == "CLIP"
    words: list[str] = []
    if settings.device != "AUTO":
        words += ["--backend", settings.device.lower()]
    if settings.minutes > 0:
        words += ["--seconds", f"{settings.minutes * 60:g}"]
    if settings.splats:
        words += ["--max-gaussians", str(settings.splats)]
    if settings.pixels:
        words += ["--size" if one_view else "--max-side", str(settings.pixels)]
    if one_view and settings.thickness > 0:
        words += ["--thickness", f"{settings.thickness:g}"]
    if one_view and settings.back != "AUTO":
        words += ["--back", settings.back.lower()]
    if settings.config:
        words += _config_words(Path(bpy.path.abspath(settings.config)))
    return words


def _config_words(path: Path) -> list[str]:
    """Return the words for a file of settings: `name = value`, and a table [options] of flags."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise errors.ConfigError(
            f"The settings {path} cannot be read: {error.strerror or error}."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise errors.ConfigError(f"The settings {path.name} are no TOML: {error}.") from None
    words: list[str] = []
    options = content.pop("options", {})
    for name, value in content.items():
        words += ["--set", f"{name}={_text(value)}"]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, _text(value)]
    return words


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_text(item) for item in value)
    return str(value)
