# SPDX-License-Identifier: GPL-3.0-or-later
"""The background of a clip before which something moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Pixels
from .camera_motion import Affine, reach, warped
from .channels import largest_channel
from .moving_parts import largest_over_time
from .object_colors import Colors, reach_of
from .regions import Bools, closed, disc, grown, shrunk

Floats = NDArray[np.float32]

SAME = 5
"""How far the values of a still pixel lie apart, in 8-bit values."""
NEAR = 9.0
"""Differences from the background above this may be the object."""
_SAMPLES = 25
_MOVING_SAMPLES = 11
_SHADOW = 0.4
_MIN_SEEN = 3
_MIN_SEEN_SHARE = 0.12
_REPAIRS = 2
_MIN_GAIN = 0.5


@dataclass(eq=False)
class Room:
    """Small frames uint8 [T,h,w,3], where they show something, and the camera's motion.

    ``steady``: the frames are laid out so that the background stands still, to within ``slack``
    pixels.
    """

    frames: Pixels
    seen: Bools
    motions: list[Affine]
    steady: bool
    slack: int = 0

    def background(self, t: int) -> tuple[Floats, Bools]:
        """Return frame t's background [h,w,3], and where it is known [h,w].

        Of each pixel's colours over time it is the one that most of them agree on to within the
        noise: what moves is shaded and shows many.
        """
        return _densest(*self._seen(t))

    def behind(self, background: Floats, remains: Bools) -> tuple[Floats, Bools]:
        """Return each pixel's second most frequent colour, within `remains` [h,w], likewise."""
        colors, free = self._seen(0)
        unlike = largest_channel(np.abs(colors - background)) > 3 * SAME
        return _densest(colors, free & unlike & remains)

    def _seen(self, t: int) -> tuple[Pixels, Bools]:
        """Return colours [S,h,w,3] of frame t's pixels at other times, and which are seen."""
        if self.steady:
            chosen = _spread(0, len(self.frames) - 1, _SAMPLES)
            return self.frames[chosen], self.seen[chosen]
        colors, free = [], []
        whole = np.full(self.frames.shape[1:3], 255, np.uint8)
        for index in _spread(*reach(self.motions, t, self.frames.shape), _MOVING_SAMPLES):
            move = self.motions[t] @ np.linalg.inv(self.motions[index])
            colors.append(warped(self.frames[index], move))
            free.append(warped(whole, move) == 255)
        return np.stack(colors), np.stack(free)


def differences(room: Room, report: Callable[[float], None]) -> tuple[Floats, Bools]:
    """Return how unlike its background each frame is [T,h,w], and where that is known [T,h,w]."""
    count = len(room.frames)
    differences = np.empty(room.frames.shape[:3], np.float32)
    known = np.empty(room.frames.shape[:3], bool)
    if not room.steady:
        for t, frame in enumerate(room.frames):
            background, known[t] = room.background(t)
            differences[t] = _difference(frame, background, room.slack)
            report((t + 1) / count)
        return differences, known
    background, known[:] = room.background(0)
    known |= ~room.seen  # nothing to find there
    for turn in range(_REPAIRS + 1):
        for t, frame in enumerate(room.frames):
            differences[t] = np.where(room.seen[t], _difference(frame, background, room.slack), 0.0)
        report((turn + 1) / (_REPAIRS + 1))
        if turn < _REPAIRS:
            background, known[:] = _repaired(room, background, differences, known)
            known |= ~room.seen
    return differences, known


def _spread(first: int, last: int, count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(first, last, count).round().astype(np.int64))


def _repaired(
    room: Room, background: Floats, differences: Floats, known: Bools
) -> tuple[Floats, Bools]:
    """Return a steady camera's background without what the object left in it, by standing still.

    Where a pixel has a second frequent colour that looks less like the object it takes that;
    where it has none but looks like the object its background is unknown.
    """
    always: Bools = np.asarray(known.all(0))
    objects = changed_parts(differences, known)
    ever: Bools = np.asarray(objects.any(0))
    if not ever.any():
        return background, always
    inside = reach_of(ever)
    colors = Colors.learnt(room.frames, differences, known, objects)
    if colors is None:
        return background, always
    second, revealed = room.behind(background, inside)
    gain = colors.likeness(background) - colors.likeness(second)
    swapped = inside & revealed & (cv2.GaussianBlur(gain, (0, 0), 1.5) > _MIN_GAIN)
    repaired = np.where(swapped[..., None], second, background)
    labels = np.where(inside & ~swapped, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    hidden = colors.cut(np.clip(repaired, 0, 255).astype(np.uint8), labels)
    return repaired, always & ~(grown(hidden, 2) & inside & ~swapped)


def _difference(frame: Pixels, background: Floats, slack: int) -> Floats:
    """Return how unlike its background a frame is [h,w], wherever that lies within `slack`."""
    if slack:
        low, high = cv2.erode(background, disc(slack)), cv2.dilate(background, disc(slack))
        difference = largest_channel(np.maximum(np.maximum(low - frame, frame - high), 0.0))
    else:
        difference = largest_channel(np.abs(frame - background))
    difference[_shadow(frame, background)] *= _SHADOW
    blurred: Floats = cv2.GaussianBlur(difference, (0, 0), 0.7)
    return blurred


def changed_parts(differences: Floats, known: Bools) -> Bools:
    """Return the masks [T,h,w] of the largest thing that differs from its background."""
    changed = known & (differences > NEAR)
    return largest_over_time(np.stack([closed(shrunk(mask, 1), 3) for mask in changed]))


def _densest(colors: Pixels, free: Bools) -> tuple[Floats, Bools]:
    """Return each pixel's most frequent colour [h,w,3] of [S,h,w,3] where `free` [S,h,w] is True.

    Also return where enough of them agree, [h,w].
    """
    signed = colors.astype(np.int16)
    best = np.zeros(colors.shape[1:3], np.int32)
    mean = np.zeros(colors.shape[1:], np.float32)
    for index in range(len(colors)):
        near = (largest_channel(np.abs(signed - signed[index])) <= SAME) & free
        votes = near.sum(0) * free[index]
        better = votes > best
        if not better.any():
            continue
        weights = near[:, better].astype(np.float32)
        total = np.einsum("sp,spc->pc", weights, signed[:, better].astype(np.float32))
        mean[better] = total / votes[better][:, None]
        best[better] = votes[better]
    return mean, best >= max(_MIN_SEEN, _MIN_SEEN_SHARE * len(colors))


def _shadow(frame: Pixels, background: Floats) -> Bools:
    """Return where a frame shows the background's colour, only darker."""
    ratio = (frame.astype(np.float32) + 4) / (background + 4)
    level = ratio.mean(2)
    return (level > 0.45) & (level < 1.0) & (np.ptp(ratio, axis=2) < 0.12)
