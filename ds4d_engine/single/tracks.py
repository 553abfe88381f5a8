# SPDX-License-Identifier: GPL-3.0-or-later
"""Where every pixel of the key frame goes over the clip, from optical flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..seam.events import Listener, Stage, silent

FloatArray = NDArray[np.float32]

FLOW_SIDE = 384
"""Frames are enlarged to this side before the flow: it finds small motions of small pictures."""
TOLERANCE = 1.5
"""Squared disagreement, in pixels, of forward and backward flow at which confidence is 1/e."""
STEP_TRUST = 0.99
"""What a chain of flows keeps of its confidence from frame to frame."""
ANCHOR_SPACING = 8
"""Frames between anchors."""
LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)
FAINT = 0.02
"""Confidence kept where a track ends outside the mask."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """Paths of pixels of the key frame."""

    pixels: FloatArray
    """[P, 2] where they are in the key frame, centres at +0.5."""
    places: FloatArray
    """[T, P, 2] where they are in every frame."""
    confidence: FloatArray
    """[T, P] 0..1: how well forward and backward flow agree, and whether the end is inside."""
    led: bool = False
    """Whether some follow limbs that pass each other, where flow alone would lose them."""


def track_pixels(pictures: NDArray[np.uint8], key: int, listener: Listener = silent) -> Tracks:
    """Track the opaque pixels of frame `key` through a clip, uint8 [T, H, W, 4] straight alpha.

    Of several estimates the most confident wins, per pixel and frame: the chain of flows from
    frame to frame, the direct flow from the key frame, and the direct flow from the nearest anchor
    frame, to which the pixel was tracked before.
    """
    flow = _Flow(pictures)
    rows, columns = np.nonzero(pictures[key, ..., 3] > 127)
    start = np.stack([columns + 0.5, rows + 0.5], 1).astype(np.float32)
    frames = len(pictures)
    places = np.repeat(start[None], frames, 0)
    confidence = np.zeros((frames, len(start)), np.float32)
    confidence[key] = 1.0
    stage = Stage(listener, "track", 2 * frames)
    done = 0
    for direction in (1, -1):
        chained, trust = start, np.ones(len(start), np.float32)
        anchors = [(start, np.ones(len(start), np.float32), key)]
        for frame in range(key + direction, frames if direction > 0 else -1, direction):
            chained, step = flow.follow(chained, frame - direction, frame)
            trust = trust * step * STEP_TRUST
            options = [(chained, trust)]
            for place, known, anchor in anchors[:1] + anchors[1:][-1:]:
                if frame - direction != anchor:
                    found, agreement = flow.follow(place, anchor, frame)
                    options.append((found, known * agreement))
            best = np.argmax([option[1] for option in options], 0)
            pick = (best, np.arange(len(start)))
            places[frame] = np.stack([option[0] for option in options])[pick]
            confidence[frame] = np.stack([option[1] for option in options])[pick]
            chained, trust = places[frame], confidence[frame]
            if abs(frame - key) % ANCHOR_SPACING == 0:
                anchors.append((places[frame], confidence[frame], frame))
            done += 1
            stage.update(2 * done)
    stage.update(2 * frames)
    return Tracks(start, places, confidence)


def reach(pictures: NDArray[np.uint8], keys: Sequence[int], targets: Sequence[int]) -> list[float]:
    """Return, for each of the frames `keys`, how well flow leads from it to `targets`, 0..1."""
    flow = _Flow(pictures)
    found = []
    for key in keys:
        rows, columns = np.nonzero(pictures[key, ..., 3] > 127)
        if not len(rows):  # the subject is not there, and OpenCV samples no empty list
            found.append(0.0)
            continue
        start = np.stack([columns + 0.5, rows + 0.5], 1).astype(np.float32)
        trust = [flow.follow(start, key, frame)[1].mean() for frame in targets if frame != key]
        found.append(float(np.mean(trust)) if trust else 0.0)
    return found


class _Flow:
    """Dense flow between any two frames of a clip, on enlarged grey pictures, few kept."""

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self.scale = max(1.0, FLOW_SIDE / max(pictures.shape[1:3]))
        self.alpha = pictures[..., 3]
        self.greys = [self._grey(picture) for picture in pictures]
        self.solver = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.solver.setFinestScale(1)
        self.solver.setVariationalRefinementIterations(5)

    def _grey(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        alpha = picture[..., 3:].astype(np.float32) / 255
        # the subject stands out from its grey surroundings, whatever its own brightness
        colors = picture[..., :3] * alpha + 127.5 * (1 - alpha)
        grey = colors @ LUMINANCE * (200 / 255) + 40 * alpha[..., 0]
        height, width = grey.shape
        size = (round(width * self.scale), round(height * self.scale))
        large = cv2.resize(grey, size, interpolation=cv2.INTER_CUBIC)
        return np.clip(large, 0, 255).astype(np.uint8)

    def follow(self, points: FloatArray, source: int, target: int) -> tuple[FloatArray, FloatArray]:
        """Move points [P, 2] of one frame to another; return places and confidence [P]."""
        there = self.solver.calc(self.greys[source], self.greys[target], None)
        back = self.solver.calc(self.greys[target], self.greys[source], None)
        enlarged = points * self.scale
        step = _sample(there, enlarged)
        moved = enlarged + step
        disagreement = (step + _sample(back, moved)) / self.scale
        places = (moved / self.scale).astype(np.float32)
        inside = _sample(self.alpha[target].astype(np.float32) / 255, places)
        confidence = np.exp(-np.square(disagreement).sum(1) / TOLERANCE)
        return places, (confidence * np.clip(2 * inside, FAINT, 1)).astype(np.float32)


def _sample(image: FloatArray, points: FloatArray) -> FloatArray:
    """Sample an image [H, W(, C)] bilinearly at points [P, 2], pixel centres at +0.5."""
    sampled: FloatArray = cv2.remap(
        image,
        (points[:, 0] - 0.5).astype(np.float32)[:, None],
        (points[:, 1] - 0.5).astype(np.float32)[:, None],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return sampled[:, 0]


def follow_steps(
    pictures: NDArray[np.uint8], frames: Sequence[int]
) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
    """Give opaque pixels [P, 2] of each frame, their places a frame later and confidences [P]."""
    flow = _Flow(pictures)
    for frame in frames:
        rows, columns = np.nonzero(pictures[frame, ..., 3] > 127)
        start = np.stack([columns + 0.5, rows + 0.5], 1).astype(np.float32)
        if not len(start):  # the subject is not there, and OpenCV samples no empty list
            yield start, start, start[:, 0]
            continue
        yield start, *flow.follow(start, frame, frame + 1)
