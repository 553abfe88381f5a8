# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of pictures from cameras around an object that was filmed from the front only.

Drawings are a picture on white, sRGB [H,W,3] in 0..1, and its alphas [H,W]. Both the truth and the
drawings are laid on white in the light that the asset blends in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ds4d_engine.data.orbit import orbit_camera
from ds4d_engine.metrics import (
    composite_source,
    flip,
    mask_iou,
    psnr_from_mse,
    psnr_mean_of_images,
    ssim,
    temporal_error,
)
from ds4d_engine.photometric import decode_srgb
from ds4d_engine.render import Rendered, composite, gaussians_at, render_gaussians, to_uint8
from ds4d_engine.seam.asset import Asset
from ds4d_engine.seam.events import Stage

Drawing = tuple[np.ndarray, np.ndarray]
Draw = Callable[[int, int], Drawing]
"""Draw the object from an azimuth in degrees at a time 0..T-1."""

WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Clip:
    """The front clip [T] and the truth by (azimuth, time): RGBA uint8 [H,W,4], straight alpha."""

    name: str
    front: tuple[np.ndarray, ...]
    truth: dict[tuple[int, int], np.ndarray]

    @property
    def size(self) -> int:
        return self.front[0].shape[0]


def read_clip(folder: Path) -> Clip:
    """Read what benchmarks/capture_single.py wrote."""
    front = tuple(_read(path) for path in sorted((folder / "input").glob("[0-9]*.png")))
    truth = {}
    for path in sorted((folder / "truth").glob("az*.png")):
        match = re.fullmatch(r"az(-?\d+)_t(\d+)", path.stem)
        if match:
            truth[int(match[1]), int(match[2])] = _read(path)
    return Clip(folder.name, front, truth)


def draw_asset(asset: Asset, clip: Clip, held: bool = False) -> Draw:
    """Return how an asset looks; `held` shows its middle frame at all times."""
    last = len(clip.front) - 1

    def draw(azimuth: int, time: int) -> Drawing:
        moment = len(clip.front) // 2 if held else time
        gaussians = gaussians_at(asset, moment / last * (asset.frame_count - 1))
        camera = orbit_camera("truth", clip.size, azimuth_degrees=azimuth)
        rendered = render_gaussians(gaussians, camera, blend=asset.blend)
        return composite(rendered, WHITE, blend=asset.blend), rendered.alphas

    return draw


def draw_card(clip: Clip, blend: str) -> Draw:
    """Return how the clip looks printed on a flat card through the origin, facing its camera."""

    def draw(azimuth: int, time: int) -> Drawing:
        rgba = clip.front[time]
        alphas = rgba[..., 3:].astype(np.float32) / 255.0
        colors = rgba[..., :3].astype(np.float32) / 255.0
        if blend == "linear":
            colors = decode_srgb(torch.from_numpy(colors)).numpy()
        layers = np.concatenate([colors * alphas, alphas], axis=-1)
        size = (clip.size, clip.size)
        warped = cv2.warpPerspective(layers, card_homography(clip.size, azimuth), size)
        rendered = Rendered(warped[..., :3], warped[..., 3], np.zeros(size, np.float32))
        return composite(rendered, WHITE, blend=blend), warped[..., 3]

    return draw


def card_homography(size: int, azimuth: float) -> np.ndarray:
    """Return the map [3,3] of pixels from azimuth 0 to another, for points of the plane y = 0.

    Pixels count as OpenCV's do: the centre of the first one is 0, 0.
    """

    def projection(degrees: float) -> np.ndarray:
        camera = orbit_camera("card", size, azimuth_degrees=degrees)
        return np.asarray(camera.K) @ np.asarray(camera.viewmat)[:3][:, [0, 2, 3]]

    shift = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    plane = projection(azimuth) @ np.linalg.inv(projection(0.0))
    matrix: np.ndarray = shift @ plane @ np.linalg.inv(shift)
    return matrix


def score(draw: Draw, clip: Clip, blend: str, stage: Stage, done: int = 0) -> dict[str, Any]:
    """Compare drawings with the truth: `pictures`, and `changes` between consecutive ones."""
    pictures, changes, before = [], [], None
    for azimuth, time in sorted(clip.truth):
        rgba = clip.truth[azimuth, time]
        expected = composite_source(rgba, 1.0, blend)
        drawn, alphas = draw(azimuth, time)
        pictures.append(
            {
                "azimuth": azimuth,
                "time": time,
                "mse": float(np.mean((drawn - expected) ** 2, dtype=np.float64)),
                "ssim": ssim(drawn, expected),
                "flip": flip(drawn, expected),
                "iou": mask_iou(alphas, rgba[..., 3] / np.float32(255.0)),
            }
        )
        if before is not None and before[:2] == (azimuth, time - 1):
            error = temporal_error((before[2], drawn), (before[3], expected))
            changes.append({"azimuth": azimuth, "time": time, "error": error})
        before = (azimuth, time, drawn, expected)
        stage.update(done + len(pictures), f"{clip.name}, azimuth {azimuth}, time {time}")
    return {"pictures": pictures, "changes": changes}


def score_front(draw: Draw, clip: Clip, blend: str) -> dict[str, float]:
    """Compare the front view at all times: PSNR's mean and worst picture, and mean IoU."""
    values, overlaps = [], []
    for time, rgba in enumerate(clip.front):
        drawn, alphas = draw(0, time)
        expected = composite_source(rgba, 1.0, blend)
        values.append(psnr_from_mse(float(np.mean((drawn - expected) ** 2, dtype=np.float64))))
        overlaps.append(mask_iou(alphas, rgba[..., 3] / np.float32(255.0)))
    mean, worst = float(np.mean(values)), float(np.min(values))
    return {"psnr_mean": mean, "psnr_worst": worst, "iou": float(np.mean(overlaps))}


def summarise(scores: dict[str, Any], azimuths: Iterable[int]) -> dict[str, float]:
    """Return means over the pictures of some azimuths.

    `psnr` is the mean of the pictures' own PSNRs, `psnr_pooled` that of their mean squared error.
    `change` is the mean absolute error of the change between consecutive pictures, in 1/255.
    """
    chosen = set(azimuths)
    pictures = [row for row in scores["pictures"] if row["azimuth"] in chosen]
    changes = [row["error"] for row in scores["changes"] if row["azimuth"] in chosen]
    mses = [row["mse"] for row in pictures]
    return {
        "psnr": psnr_mean_of_images(mses),
        "psnr_pooled": psnr_from_mse(float(np.mean(mses))),
        **{key: float(np.mean([row[key] for row in pictures])) for key in ("ssim", "flip", "iou")},
        "change": 255.0 * float(np.mean(changes)),
    }


def comparison(rows: Iterable[Draw], clip: Clip, blend: str, time: int) -> np.ndarray:
    """Return a picture uint8 [H,W,3]: the truth in the first row, then drawings, by azimuth."""
    azimuths = sorted({azimuth for azimuth, moment in clip.truth if moment == time})
    truth = [composite_source(clip.truth[azimuth, time], 1.0, blend) for azimuth in azimuths]
    drawn = [[draw(azimuth, time)[0] for azimuth in azimuths] for draw in rows]
    lines = [np.concatenate(cells, axis=1) for cells in (truth, *drawn)]
    return to_uint8(np.concatenate(lines, axis=0))


def mean_of(summaries: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of several clips' summaries, number by number."""
    return {key: float(np.mean([row[key] for row in summaries])) for key in summaries[0]}


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4:
        raise SystemExit(f"{path} is no RGBA picture; run benchmarks/capture_single.py again.")
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
