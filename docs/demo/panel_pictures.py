# SPDX-License-Identifier: GPL-3.0-or-later
"""Photograph the sidebar in a real Blender window while a clip is fitted: docs/images/panel.

    .nox/engine/bin/python docs/demo/panel_pictures.py       # Debian: blender xvfb xdotool

Needs any Blender that opens a window on X11. One older than 4.5 LTS shows the panels but cannot
show splats, so the fit is not followed in its viewport.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WINDOW = (1400, 1200)
CLIP_FRAMES = 16


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blender", default="blender", help="the program; default: blender")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images" / "panel")
    options = parser.parse_args()
    missing = [name for name in (options.blender, "xvfb-run", "xdotool") if not shutil.which(name)]
    if missing:
        sys.exit(
            f"Not installed: {', '.join(missing)}; on Debian: apt-get install blender xvfb "
            "xdotool python3-numpy."
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "pim"
        clip.mkdir()
        frames = sorted((HERE / "clip" / "test").glob("test_00_*.png"))[:CLIP_FRAMES]
        for frame in frames:
            shutil.copy(frame, clip)
        take(options.blender, folder)
        options.output.mkdir(parents=True, exist_ok=True)
        for picture in sorted(folder.glob("shot_*.png")):
            crop(picture, options.output / picture.name.removeprefix("shot_"))
    beside([options.output / f"{name}.png" for name in ("source", "running", "done")])
    return 0


def beside(pictures: list[Path]) -> None:
    """Lay pictures of one size side by side, as sidebar.png."""
    opened = [Image.open(picture) for picture in pictures]
    width, height = opened[0].size
    joined = Image.new("RGB", (width * len(opened), height))
    for index, picture in enumerate(opened):
        joined.paste(picture, (index * width, 0))
    joined.save(pictures[0].with_name("sidebar.png"), optimize=True)


def take(blender: str, folder: Path) -> None:
    """Run Blender on a screen of its own; it writes shot_NAME.png into `folder`."""
    shutil.copytree(ROOT / "ds4d_blender", folder / "ds4d_blender")
    for source in (folder / "ds4d_blender" / "panels").glob("*.py"):
        # Blender before 4.1 knows no placeholders.
        source.write_text(re.sub(r", placeholder=\w+\(\w+\)", "", source.read_text()))
    screen = f"-screen 0 {WINDOW[0]}x{WINDOW[1]}x24"
    window = ("--window-geometry", "0", "0", str(WINDOW[0]), str(WINDOW[1]))
    script = str(HERE / "panel_scene.py")
    subprocess.run(
        [
            *("xvfb-run", "-a", "-s", screen, blender, "--factory-startup", *window),
            *("--python", script, "--", str(folder), sys.executable),
        ],
        env={**os.environ, "LIBGL_ALWAYS_SOFTWARE": "1", "BLENDER_USER_RESOURCES": str(folder)},
        check=True,
        timeout=900,
    )


def crop(picture: Path, target: Path) -> None:
    """Keep the sidebar: its place stands in the file's name-sake with the suffix .txt."""
    left, top, right, bottom = map(int, picture.with_suffix(".txt").read_text().split())
    with Image.open(picture) as whole:
        whole.convert("RGB").crop((left, top, right, bottom)).save(target, optimize=True)
    print(f"wrote {target}")


if __name__ == "__main__":
    sys.exit(main())
