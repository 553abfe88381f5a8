# SPDX-License-Identifier: GPL-3.0-or-later
"""How many times a capture needs: measured on the evaluated vertices of the animation.

Frames are Blender's, with sub-frames. A fit follows motion well only where no vertex moves far
between two captured times, so `adaptive_frames` finds the fewest uniform times that ensure it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import bpy
import numpy as np

from .rig import Sphere
from .seam import errors

MESH_TYPES = {"MESH", "CURVE", "SURFACE", "META", "FONT"}
BOX_TYPES = {"CURVES", "POINTCLOUD", "VOLUME"}
# Neighbours move alike, so a part of a dense mesh tells its motion in bounded memory.
OBJECT_VERTICES = 20000
PROBED_VERTICES = 4000
MAX_PROBES = 400

Vertices = dict[tuple[object, ...], np.ndarray]
"""World-space vertices [M,3] float32 of every rendered object or instance, by its identity."""


@dataclass(frozen=True)
class FrameSpan:
    """The frames of the scene to capture.

    `count` fixes how many times are captured; otherwise the motion decides, between `minimum` and
    `maximum`. `loop` leaves the end out, because there the animation is back at its start.
    """

    start: float
    end: float
    count: int | None = None
    minimum: int = 2
    maximum: int = 240
    loop: bool = False

    def __post_init__(self) -> None:
        if not self.end > self.start and self.count != 1:
            raise errors.ConfigError(
                f"The frames to capture end ({self.end:g}) before they begin ({self.start:g}): "
                "give an end after the start."
            )
        if self.count is not None and self.count < 1:
            raise errors.ConfigError("The number of frames to capture must be at least 1.")
        if not 1 <= self.minimum <= self.maximum:
            raise errors.ConfigError(
                "The fewest frames must be at least 1 and at most the most frames."
            )

    def frames(self, count: int) -> np.ndarray:
        """Return the `count` scene frames [T] float64, uniform in time."""
        return np.linspace(self.start, self.end, count, endpoint=not self.loop)

    def rate(self, count: int, scene_fps: float) -> float:
        """Return the captured frames per second that keep the animation's real speed."""
        intervals = count if self.loop else count - 1
        seconds = (self.end - self.start) / scene_fps
        return intervals / seconds if intervals and seconds > 0 else scene_fps


@dataclass(frozen=True)
class Motion:
    """What a pass over the animation found.

    `largest_step` is the farthest any vertex moves within one interval, as a fraction of the
    subject's radius; `sphere` holds the subject at all times.
    """

    frames: np.ndarray
    sphere: Sphere
    largest_step: float


def set_frame(scene: bpy.types.Scene, frame: float) -> None:
    """Move the scene to a frame, sub-frame included."""
    whole = int(np.floor(frame))
    scene.frame_set(whole, subframe=float(frame - whole))


def visible_vertices(view_layer: bpy.types.ViewLayer) -> Vertices:
    """Return the world-space vertices of everything a render of the current frame would show.

    Strands, point clouds and volumes count with the corners of their boxes.
    """
    depsgraph = view_layer.depsgraph
    shown = rendered_names(view_layer)
    found: Vertices = {}
    for instance in depsgraph.object_instances:
        owner = instance.parent if instance.is_instance else instance.object
        if owner.original.name_full not in shown or owner.hide_render:
            continue
        if not instance.show_self or (instance.is_instance and instance.object.hide_render):
            continue
        points = _points(instance.object)
        if len(points):
            world = np.array(instance.matrix_world, dtype=np.float32)
            key = (owner.name_full, instance.object.name_full, *instance.persistent_id)
            found[key] = points @ world[:3, :3].T + world[:3, 3]
    return found


def rendered_names(view_layer: bpy.types.ViewLayer) -> set[str]:
    """Return the names of the objects whose collections and own switches let them render."""
    names: set[str] = set()
    pending = [view_layer.layer_collection]
    while pending:
        layer = pending.pop()
        if layer.exclude or layer.collection.hide_render:
            continue
        names.update(o.name_full for o in layer.collection.objects if not o.hide_render)
        pending.extend(layer.children)
    return names


def _points(evaluated: bpy.types.Object) -> np.ndarray:
    if evaluated.type in MESH_TYPES:
        mesh = evaluated.to_mesh()
        if mesh is None:
            return np.empty((0, 3), np.float32)
        flat = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", flat)
        evaluated.to_mesh_clear()
        return flat.reshape(-1, 3)
    if evaluated.type in BOX_TYPES:
        return np.array([tuple(corner) for corner in evaluated.bound_box], np.float32)
    return np.empty((0, 3), np.float32)


def measure(
    scene: bpy.types.Scene,
    view_layer: bpy.types.ViewLayer,
    span: FrameSpan,
    max_step: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Motion:
    """Choose the times of a capture and measure the subject over them.

    Without an explicit count, takes the smallest T for which no vertex strays more than
    `max_step` radii from where it is at either end of its interval, not even between them.
    Raises DatasetError if nothing is visible.
    """
    if not max_step > 0:
        raise errors.ConfigError("The largest step between frames must be greater than 0 radii.")
    probes = _probe_frames(span)
    steps: list[Vertices] = []
    for i, frame in enumerate(probes):
        set_frame(scene, frame)
        steps.append({key: _thin(p) for key, p in visible_vertices(view_layer).items()})
        progress(i + 1, len(probes))
    sphere, radius = _extent(steps)
    if len(probes) == 1:
        return Motion(probes, sphere, 0.0)
    tracks = _tracks(steps)
    counts = range(span.minimum, span.maximum + 1) if span.count is None else [span.count]
    for count in counts:
        frames = span.frames(count)
        largest = _largest_step(tracks, probes, frames, span) / radius
        if largest > max_step:
            continue
        # The tracks are straight between probes, and thinned: ask the scene itself.
        largest = max(largest, _true_step(scene, view_layer, frames) / radius)
        if largest <= max_step:
            break
    return Motion(frames, sphere, largest)


def _thin(points: np.ndarray) -> np.ndarray:
    return points[:: -(-len(points) // OBJECT_VERTICES)].copy()


def _probe_frames(span: FrameSpan) -> np.ndarray:
    if span.end == span.start:
        return np.array([span.start])
    # Twice a frame sees what happens between keys; long takes are probed more coarsely.
    wanted = int(np.ceil((span.end - span.start) * 2)) + 1
    return np.linspace(span.start, span.end, max(min(wanted, MAX_PROBES), 5))


def _extent(steps: list[Vertices]) -> tuple[Sphere, float]:
    """Return the sphere over all times and the largest radius at any single time."""
    if not any(steps):
        raise errors.DatasetError(
            "There is nothing to capture: no object of the subject is visible in renders."
        )
    boxes = np.array(
        [
            [np.min([p.min(0) for p in s.values()], 0), np.max([p.max(0) for p in s.values()], 0)]
            for s in steps
            if s
        ]
    )
    centre = (boxes[:, 0].min(0) + boxes[:, 1].max(0)) / 2
    overall, largest = 0.0, 0.0
    for step, (low, high) in zip((s for s in steps if s), boxes, strict=True):
        for points in step.values():
            overall = max(overall, float(np.linalg.norm(points - centre, axis=1).max()))
            middle = (low + high) / 2
            largest = max(largest, float(np.linalg.norm(points - middle, axis=1).max()))
    if not overall > 0:
        raise errors.DatasetError("The subject has no extent: it is a single point at all times.")
    return Sphere((float(centre[0]), float(centre[1]), float(centre[2])), overall), largest


def _tracks(steps: list[Vertices]) -> np.ndarray:
    """Return positions [P,M,3] of vertices that can be followed through all probes.

    An object whose vertex count changes is followed by the corners of its box. Of large subjects
    the vertices that travel farthest are kept.
    """
    parts = []
    for key in set.intersection(*(set(s) for s in steps)) if steps else set():
        series = [s[key] for s in steps]
        if len({len(p) for p in series}) > 1:
            series = [np.stack([p.min(0), p.max(0)]) for p in series]
        parts.append(np.stack(series))
    if not parts:
        return np.zeros((len(steps), 1, 3), np.float32)
    every = np.concatenate(parts, axis=1)
    if every.shape[1] > PROBED_VERTICES:
        travel = np.square(every.max(0) - every.min(0)).sum(-1)
        every = every[:, np.argpartition(-travel, PROBED_VERTICES)[:PROBED_VERTICES]]
    return every


def _largest_step(
    tracks: np.ndarray, probes: np.ndarray, frames: np.ndarray, span: FrameSpan
) -> float:
    """Return the farthest any vertex gets from either end of an interval, in world units."""
    ends = np.append(frames, span.end) if span.loop else frames
    if len(ends) < 2:
        ends = np.array([span.start, span.end])
    at_ends = _interpolate(tracks, probes, ends)
    farthest = 0.0
    for i in range(len(ends) - 1):
        inside = tracks[(probes > ends[i]) & (probes < ends[i + 1])]
        path = np.concatenate([at_ends[i : i + 2], inside])
        for end in at_ends[i : i + 2]:
            farthest = max(farthest, float(np.square(path - end).sum(-1).max()))
    return float(np.sqrt(farthest))


def _true_step(
    scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, frames: np.ndarray
) -> float:
    """Return the farthest any vertex moves between consecutive frames, in world units."""
    farthest = 0.0
    before: Vertices = {}
    for frame in frames:
        set_frame(scene, frame)
        now = visible_vertices(view_layer)
        for key in now.keys() & before.keys():
            if now[key].shape == before[key].shape:
                farthest = max(farthest, float(np.square(now[key] - before[key]).sum(-1).max()))
        before = now
    return float(np.sqrt(farthest))


def _interpolate(tracks: np.ndarray, probes: np.ndarray, frames: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(probes, frames), 1, len(probes) - 1)
    weight = (frames - probes[after - 1]) / (probes[after] - probes[after - 1])
    weight = weight[:, None, None].astype(np.float32)
    return tracks[after - 1] * (1 - weight) + tracks[after] * weight
