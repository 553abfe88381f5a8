# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the scene from many cameras into a dataset: D-NeRF transforms and RGBA pictures.

The folder holds `transforms_train.json`, `transforms_test.json` (where the rig holds cameras out)
and straight-alpha sRGB PNGs in `train/` and `test/`. Each frame gives `file_path` (without .png),
`time` 0..1, `transform_matrix` (camera-to-world, OpenGL axes) and `camera`; the intrinsics
`w, h, fl_x, fl_y, cx, cy, camera_angle_x` stand at the top, and with each frame where cameras
differ. `fps`, `frame_start`, `loop` and `scene_frames` tie the times to the source.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .capture_settings import changed, render_settings
from .rig import Dome, Rig, SceneCameras, camtoworld, intrinsics
from .seam import errors, events
from .time_sampling import FrameSpan, Motion, measure, set_frame

Subject = bpy.types.Collection | Iterable[bpy.types.Object] | None
Intrinsics = dict[str, float]


@dataclass(frozen=True)
class Capture:
    """What was captured: the folder, the cameras' names, and how the animation was sampled.

    `fps` is the rate at which the captured frames play in real time. See `Motion` for the rest.
    """

    path: Path
    cameras: tuple[str, ...]
    fps: float
    motion: Motion


@dataclass(frozen=True)
class _View:
    """A camera object of the scene that takes part; `moves` if its pose changes over time."""

    camera: bpy.types.Object
    name: str
    split: str
    moves: bool = False


def capture_dataset(out: str | Path, **options: Any) -> Capture:
    """Render a multi-view dataset into the folder `out`; see `capture_steps` for the options."""
    steps = capture_steps(out, **options)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def capture_steps(
    out: str | Path,
    *,
    subject: Subject = None,
    rig: Rig | None = None,
    frames: FrameSpan | int | None = None,
    size: int | tuple[int, int] = 128,
    samples: int = 32,
    max_step: float = 0.25,
    threads: int | None = None,
    overwrite: bool = False,
    listener: events.Listener = events.silent,
) -> Generator[None, None, Capture]:
    """Render a multi-view dataset step by step: yields after each picture, returns the Capture.

    `subject` is a collection or objects (with their children); everything else but lights is
    hidden. None captures all that renders. `rig` defaults to a `Dome`. `frames` is a span, a
    count over the scene's frame range, or None for as many as the motion needs: no vertex moves
    more than `max_step` of the subject's radius from one to the next. `size` in pixels is the
    longer side, or width and height. `samples` a pixel are Cycles'.

    The folder appears when it is complete; closing the generator early leaves nothing behind. The
    scene is afterwards as it was. Raises ConfigError and DatasetError.
    """
    out = Path(out).absolute()
    _check_target(out, overwrite)
    rig = rig or Dome()
    scene, view_layer = bpy.context.scene, bpy.context.view_layer
    span = _span(scene, frames)
    width, height = _size(scene, rig, size)
    if isinstance(rig, SceneCameras):
        rig.objects(scene)  # says now, not after the measuring, that a camera is missing
    with ExitStack() as stack:
        stack.enter_context(_restored_frame(scene))
        stack.enter_context(_only(subject, scene))
        settings = render_settings(scene, view_layer, width, height, samples, threads)
        stack.enter_context(changed(settings))
        measuring = events.Stage(listener, "measure motion", 1.0)
        motion = measure(scene, view_layer, span, max_step, lambda i, n: measuring.update(i / n))
        views = stack.enter_context(_views(scene, rig, motion, (width, height)))
        folder = stack.enter_context(_part_folder(out))
        records = yield from _render_all(scene, views, motion, folder, listener)
        fps = span.rate(len(motion.frames), scene.render.fps / scene.render.fps_base)
        shared = {
            "fps": fps,
            "frame_start": round(span.start),
            "loop": span.loop,
            "scene_frames": [float(f) for f in motion.frames],
        }
        for split, items in records.items():
            _write_transforms(folder / f"transforms_{split}.json", items, shared)
    return Capture(out, tuple(v.name for v in views), fps, motion)


def _check_target(out: Path, overwrite: bool) -> None:
    if not out.exists():
        return
    if not overwrite:
        raise errors.DatasetError(
            f"{out} exists already: choose another folder, or allow overwriting."
        )
    # Overwriting removes the folder whole, so it must be one that a capture wrote.
    if not (out / "transforms_train.json").is_file() and (out.is_file() or any(out.iterdir())):
        raise errors.DatasetError(
            f"{out} holds something other than a dataset: choose another folder."
        )


def _span(scene: bpy.types.Scene, frames: FrameSpan | int | None) -> FrameSpan:
    if isinstance(frames, FrameSpan):
        return frames
    return FrameSpan(float(scene.frame_start), float(scene.frame_end), count=frames)


def _size(scene: bpy.types.Scene, rig: Rig, size: int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(size, tuple):
        width, height = size
    else:
        width = height = size
        if isinstance(rig, SceneCameras):
            render = scene.render
            longer = max(render.resolution_x, render.resolution_y)
            width = max(round(size * render.resolution_x / longer), 1)
            height = max(round(size * render.resolution_y / longer), 1)
    if min(width, height) < 4:
        raise errors.ConfigError("Captured pictures must be at least 4 pixels wide and high.")
    return width, height


@contextmanager
def _restored_frame(scene: bpy.types.Scene) -> Iterator[None]:
    frame = scene.frame_current_final
    # Markers bound to cameras would switch the camera of the render at every frame.
    bound = [(marker, marker.camera) for marker in scene.timeline_markers if marker.camera]
    camera = scene.camera
    for marker, _ in bound:
        marker.camera = None
    try:
        yield
    finally:
        set_frame(scene, frame)
        for marker, owner in bound:
            marker.camera = owner
        scene.camera = camera


@contextmanager
def _only(subject: Subject, scene: bpy.types.Scene) -> Iterator[None]:
    """Hide what is not the subject from renders, lights excepted."""
    if subject is None:
        wanted = set(scene.objects)
    elif isinstance(subject, bpy.types.Collection):
        wanted = set(subject.all_objects)
    else:
        wanted = {part for owner in subject for part in (owner, *owner.children_recursive)}
    others = [o for o in scene.objects if o not in wanted and o.type not in {"LIGHT", "CAMERA"}]
    with changed([(owner, {"hide_render": True}) for owner in others]):
        yield


@contextmanager
def _views(
    scene: bpy.types.Scene, rig: Rig, motion: Motion, size: tuple[int, int]
) -> Iterator[list[_View]]:
    """Give the cameras of the rig; those that stand in the scene for this alone leave it after."""
    if isinstance(rig, SceneCameras):
        pairs = rig.objects(scene)
        views = [
            _View(camera, camera.name, split, _moves(scene, camera, motion.frames))
            for camera, split in pairs
        ]
        lenses = {camera.data for camera, _ in pairs}
        with changed([(lens.dof, {"use_dof": False}) for lens in lenses]):
            yield views
        return
    views = []
    try:
        for placement in rig.placements(motion.sphere):
            data = bpy.data.cameras.new(placement.name)
            data.sensor_fit = "VERTICAL" if size[0] >= size[1] else "HORIZONTAL"
            data.sensor_width = data.sensor_height = 36.0
            data.angle = math.radians(rig.fov_degrees)
            distance = rig.distance(motion.sphere)
            data.clip_start, data.clip_end = distance * 1e-3, distance * 1e3
            camera = bpy.data.objects.new(placement.name, data)
            scene.collection.objects.link(camera)
            camera.matrix_world = placement.camtoworld
            views.append(_View(camera, placement.name, placement.split))
        yield views
    finally:
        for view in views:
            bpy.data.cameras.remove(view.camera.data)


def _moves(scene: bpy.types.Scene, camera: bpy.types.Object, frames: np.ndarray) -> bool:
    poses = []
    for frame in frames:
        set_frame(scene, frame)
        lens = camera.data
        poses.append((camtoworld(camera), lens.angle, lens.shift_x, lens.shift_y))
    return any(
        not np.allclose(pose[0], poses[0][0], atol=1e-6) or pose[1:] != poses[0][1:]
        for pose in poses
    )


@contextmanager
def _part_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` that takes its place if all goes well, and goes otherwise."""
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if out.exists():
            shutil.rmtree(out)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _render_all(
    scene: bpy.types.Scene,
    views: list[_View],
    motion: Motion,
    folder: Path,
    listener: events.Listener,
) -> Generator[None, None, dict[str, list[dict[str, Any]]]]:
    records: dict[str, list[dict[str, Any]]] = {v.split: [] for v in views}
    count = len(motion.frames)
    stage = events.Stage(listener, "capture", count * len(views))
    done = 0
    for i, frame in enumerate(motion.frames):
        set_frame(scene, frame)
        for view in views:
            name = f"{view.name}@{i:04d}" if view.moves else view.name
            file = f"{view.split}/{_file_name(view.name)}_{i:04d}"
            # A seed of its own for every picture: one seed would lock the grain to the screen.
            scene.cycles.seed = done
            _render(scene, view.camera, folder / f"{file}.png")
            record: dict[str, Any] = {
                "file_path": f"./{file}",
                "time": i / (count - 1) if count > 1 else 0.0,
                "camera": name,
                "transform_matrix": camtoworld(view.camera).tolist(),
            }
            record |= _intrinsics_record(scene, view.camera)
            records[view.split].append(record)
            done += 1
            stage.update(done, f"frame {i + 1} of {count}, {view.name}")
            yield
    return records


def _render(scene: bpy.types.Scene, camera: bpy.types.Object, path: Path) -> None:
    scene.camera = camera
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True, scene=scene.name)
    if not path.is_file():
        raise errors.DatasetError(
            f"Blender wrote no picture to {path}: is the disk full or write-only?"
        )


def _intrinsics_record(scene: bpy.types.Scene, camera: bpy.types.Object) -> Intrinsics:
    width, height = scene.render.resolution_x, scene.render.resolution_y
    K = intrinsics(camera, bpy.context.evaluated_depsgraph_get(), width, height)
    return {
        "w": width,
        "h": height,
        "fl_x": float(K[0, 0]),
        "fl_y": float(K[1, 1]),
        "cx": float(K[0, 2]),
        "cy": float(K[1, 2]),
        "camera_angle_x": 2.0 * math.atan(width / (2.0 * float(K[0, 0]))),
    }


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)


def _write_transforms(path: Path, frames: list[dict[str, Any]], shared: dict[str, Any]) -> None:
    keys = ("camera_angle_x", "w", "h", "fl_x", "fl_y", "cx", "cy")
    common = {k: frames[0][k] for k in keys if len({f[k] for f in frames}) == 1}
    listed = [{k: v for k, v in f.items() if k not in common} for f in frames]
    text = json.dumps({**common, **shared, "frames": listed}, indent=1)
    # One matrix row a line reads well and diffs well.
    text = re.sub(r"\[\s+(-?[\d.e+-]+(?:,\s+-?[\d.e+-]+)*)\s+\]", _one_line, text)
    path.write_text(text + "\n", encoding="utf-8")


def _one_line(match: re.Match[str]) -> str:
    return "[" + re.sub(r"\s+", " ", match.group(1)) + "]"
