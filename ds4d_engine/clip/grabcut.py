# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects before a real background: found by their motion, completed by GrabCut.

What each pixel shows most constantly is the background, once the camera's own motion is undone;
the largest thing that differs from it over time is the object. GrabCut decides what is uncertain.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Pixels
from .camera_motion import Canvas, frame_motions, moving
from .moving_parts import in_one_place, largest_over_time
from .object_colors import FAR, Colors
from .regions import Bools, closed, grown, shrunk
from .room import NEAR, SAME, Room, changed_parts, differences

Floats = NDArray[np.float32]

SIDE = 288
"""The longer side of the frames that GrabCut runs on; `follow_edges` refines what it finds."""
_AROUND = 10
_SLACK = 1  # pixels by which a moving camera's frames are laid out wrongly


def room_masks(frames: Pixels, report: Callable[[float], None]) -> Pixels | None:
    """Return the masks [T,h,w] of the largest thing that moves in frames [T,h,w,4].

    None where nothing moves. `report` is told the share that is done.
    """
    _, height, width, _ = frames.shape
    shrink = min(1.0, SIDE / max(height, width))
    size = (max(8, round(width * shrink)), max(8, round(height * shrink)))
    small = np.stack([_small(frame, size) for frame in frames])
    motions = frame_motions(small, lambda share: report(0.2 * share))
    canvas = Canvas.of(small, motions)
    if canvas is None:
        room = Room(small, np.ones(small.shape[:3], bool), motions, False, _SLACK)
    else:
        slack = _SLACK if moving(motions, small.shape) else 0
        room = Room(canvas.frames, canvas.seen, motions, True, slack)
    objects = _objects(room, lambda share: report(0.2 + 0.8 * share))
    if objects is None:
        return None
    if canvas is None:
        found = objects.astype(np.uint8) * 255
    else:
        found = np.stack([canvas.back(t, mask, *size) for t, mask in enumerate(objects)])
    return np.stack([cv2.resize(mask, (width, height)) for mask in found])


def _objects(room: Room, report: Callable[[float], None]) -> Bools | None:
    """Return the masks [T,h,w] of the largest thing that moves in a room, or None."""
    frames = room.frames
    difference, known = differences(room, lambda share: report(0.5 * share))
    objects = changed_parts(difference, known)
    if not objects.any():
        return None
    colors = Colors.learnt(frames, difference, known, objects)
    if colors is not None:
        objects = largest_over_time(objects | _likely(frames, known, colors))
        for t, frame in enumerate(frames):
            objects[t] = colors.cut(frame, _trimap(difference[t], known[t], objects[t]))
            report(0.5 + 0.5 * (t + 1) / len(frames))
    return np.stack([in_one_place(mask) for mask in largest_over_time(objects)])


def _small(frame: Pixels, size: tuple[int, int]) -> Pixels:
    return cv2.resize(np.ascontiguousarray(frame[..., :3]), size, interpolation=cv2.INTER_AREA)


def _likely(frames: Pixels, known: Bools, colors: Colors) -> Bools:
    """Return where frames have the object's colours before an unknown background [T,h,w]."""
    likely = np.zeros(known.shape, bool)
    for t, frame in enumerate(frames):
        likeness = cv2.GaussianBlur(colors.likeness(frame.astype(np.float32)), (0, 0), 1.5)
        likely[t] = closed(~known[t] & (likeness > 0), 2) & ~known[t]
    return likely


def _trimap(difference: Floats, known: Bools, object_: Bools) -> Pixels:
    """Return GrabCut's labels [h,w] of one frame."""
    around = grown(object_, _AROUND)
    labels = np.full(difference.shape, cv2.GC_BGD, np.uint8)
    labels[around] = cv2.GC_PR_BGD
    labels[known & (difference < SAME)] = cv2.GC_BGD
    labels[object_ & ~known] = cv2.GC_PR_FGD
    labels[object_ & known & (difference > NEAR)] = cv2.GC_PR_FGD
    labels[shrunk(known & object_ & (difference > FAR), 1)] = cv2.GC_FGD
    return labels
