# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the demo's source, engine render and Blender render: `compare.py PLAN`.

Writes side_by_side.png, demo.mp4 and figures.json beside demo.blend, and prints the figures.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ds4d_engine.console import progress_listener
from ds4d_engine.data import Dataset, load_dataset
from ds4d_engine.evaluate import evaluate
from ds4d_engine.metrics import composite_source, psnr_pooled, squared_error
from ds4d_engine.render import render_asset, to_uint8
from ds4d_engine.seam import Asset, DS4DError, EngineError, read_asset
from ds4d_engine.video import video_writer, write_png

FloatImage = npt.NDArray[np.float32]
ByteImage = npt.NDArray[np.uint8]

WHITE = (1.0, 1.0, 1.0)
COLUMNS = ("source", "engine", "Blender (Cycles)")
ROWS = 4
TILE = 256
MARGIN = 6
HEADER = 30
LABELS = 150
TEXT_COLOR = (40, 40, 40)


@dataclass(frozen=True, eq=False)
class Comparison:
    """One held-out camera at one frame, three ways: sRGB-encoded [H,W,3] on white."""

    camera: str
    frame: int  # of the asset, from 0
    source: FloatImage
    engine: FloatImage
    blender: FloatImage


def main() -> int:
    try:
        compare(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    except DS4DError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 1
    return 0


def compare(plan: dict[str, Any]) -> None:
    """Make the pictures and the figures of a rendered plan."""
    output = Path(plan["output"])
    asset, dataset = read_asset(plan["asset"]), load_dataset(plan["dataset"])
    comparisons = [
        comparison
        for shot in plan["shots"]
        if shot["name"] == "held out"
        for comparison in compare_shot(shot, plan["frame_start"], asset, dataset)
    ]
    write_png(output / "side_by_side.png", side_by_side(pick_rows(comparisons), asset))
    turn = next(shot for shot in plan["shots"] if shot["name"] == "turn")
    write_movie(output / "demo.mp4", Path(turn["folder"]), plan["fps"])
    with progress_listener("bar") as listener:
        summary = evaluate(asset, dataset, listener=listener).summary
    figures = {
        "held_out_psnr": summary["psnr_white"],
        "held_out_psnr_moving": summary["psnr_moving"],
        "held_out_images": summary["images"],
        "gaussians_static": len(asset.static),
        "gaussians_dynamic": len(asset.dynamic),
        "compared_pictures": len(comparisons),
        "engine_against_source": pooled(comparisons, "engine", "source"),
        "blender_against_source": pooled(comparisons, "blender", "source"),
        "blender_against_engine": pooled(comparisons, "blender", "engine"),
    }
    write_json(output / "figures.json", figures)
    print(report(figures))


def compare_shot(
    shot: dict[str, Any], frame_start: int, asset: Asset, dataset: Dataset
) -> list[Comparison]:
    """Bring together what a camera's source, the engine and Blender show at the shot's frames."""
    names = [camera.name for camera in dataset.cameras]
    view = names.index(shot["camera"])
    comparisons = []
    for index, scene_frame in enumerate(shot["frames"]):
        frame = scene_frame - frame_start
        time = frame / max(asset.frame_count - 1, 1)
        nearest = int(np.argmin(np.abs(dataset.times - time)))
        if abs(dataset.times[nearest] - time) > 1e-3:
            raise EngineError(
                f"The clip has no picture at time {time:.3f}: the asset was fitted to another clip."
            )
        source = composite_source(dataset.images[view][nearest], 1.0, asset.blend)
        engine = render_asset(asset, dataset.cameras[view], frame, background=WHITE)
        blender = read_render(Path(shot["folder"]) / f"{index:04d}.png")
        comparisons.append(Comparison(shot["camera"], frame, source, engine, blender))
    return comparisons


def read_render(path: Path) -> FloatImage:
    """Read one of Blender's 16-bit PNGs as 0..1 [H,W,3]."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise EngineError(f"Blender left no picture at {path}; run the demo again.")
    return (image[..., 2::-1] / np.float32(np.iinfo(image.dtype).max)).astype(np.float32)


def pooled(comparisons: list[Comparison], a: str, b: str) -> float:
    """Return the PSNR, in dB, of the squared error pooled over all comparisons."""
    errors = [squared_error(getattr(c, a), getattr(c, b)) for c in comparisons]
    return psnr_pooled(errors, [c.source.size for c in comparisons])


def pick_rows(comparisons: list[Comparison]) -> list[Comparison]:
    """Take every time once, going through the cameras."""
    cameras = list(dict.fromkeys(c.camera for c in comparisons))
    frames = sorted({c.frame for c in comparisons})[:ROWS]
    found = {(c.camera, c.frame): c for c in comparisons}
    return [found[cameras[i % len(cameras)], frame] for i, frame in enumerate(frames)]


def side_by_side(rows: list[Comparison], asset: Asset) -> ByteImage:
    """Lay out a labelled sheet: one row a time, columns source, engine and Blender."""
    step = TILE + MARGIN
    sheet = Image.new("RGB", (LABELS + len(COLUMNS) * step, HEADER + len(rows) * step), "white")
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(18), ImageFont.load_default(14)
    for column, title in enumerate(COLUMNS):
        draw.text((LABELS + column * step + 4, 4), title, TEXT_COLOR, font)
    for row, comparison in enumerate(rows):
        top = HEADER + row * step
        seconds = comparison.frame / asset.fps
        label = f"{comparison.camera}\n(held out)\nframe {comparison.frame}\n{seconds:.2f} s"
        draw.multiline_text((8, top + 8), label, TEXT_COLOR, small, spacing=5)
        for column, image in enumerate((comparison.source, comparison.engine, comparison.blender)):
            sheet.paste(tile(image), (LABELS + column * step, top))
    return np.asarray(sheet)


def tile(image: FloatImage) -> Image.Image:
    """Enlarge a small picture without smoothing: its pixels are what is compared."""
    picture = Image.fromarray(to_uint8(image))
    picture.thumbnail((TILE, TILE))
    factor = max(1, TILE // max(picture.size))
    return picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )


def write_movie(target: Path, folder: Path, fps: float) -> None:
    """Join Blender's rendered turn into one video."""
    with video_writer(target, fps) as movie:
        for path in sorted(folder.glob("*.png")):
            movie.add(to_uint8(read_render(path)))


def write_json(target: Path, document: dict[str, float]) -> None:
    part = target.with_name(f".part-{target.name}")
    part.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    os.replace(part, target)


def report(figures: dict[str, float]) -> str:
    """Say the figures in words."""
    return "\n".join(
        [
            f"{figures['gaussians_static']} still and {figures['gaussians_dynamic']} moving "
            f"Gaussians; PSNR of the engine on all {figures['held_out_images']} held-out pictures: "
            f"{figures['held_out_psnr']:.2f} dB, "
            f"on their moving pixels {figures['held_out_psnr_moving']:.2f} dB",
            f"PSNR over {figures['compared_pictures']} held-out pictures, on white: "
            f"engine against source {figures['engine_against_source']:.2f} dB, "
            f"Blender against source {figures['blender_against_source']:.2f} dB, "
            f"Blender against engine {figures['blender_against_engine']:.2f} dB",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
