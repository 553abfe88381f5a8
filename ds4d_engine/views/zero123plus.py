# SPDX-License-Identifier: GPL-3.0-or-later
"""Views generated here by Zero123++, frame by frame, kept on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..cache import user_cache
from ..data import Dataset
from ..data.images import read_rgba
from ..priors.diffusers_folder import DiffusersFolder, device_of, require_libraries
from ..seam.errors import EngineError
from ..seam.events import Listener, Stage, silent
from ..weights import Model, resolve_weights
from .assemble import join, require_single_clip, stack_views
from .cutout import cut_out
from .layouts import split_grid
from .presets import parse_cameras
from .provider import ViewOptions
from .reference_attention import Anchor
from .zero123plus_model import Sampling, check_zero123plus, load_zero123plus, on_grey

Pixels = NDArray[np.uint8]
CACHE_VERSION = 1
"""Part of a picture's key; changes whenever the same input would give other views."""


def _published(version: str, size: str) -> Model:
    repo_id = f"sudo-ai/zero123plus-v{version}"
    return Model(
        name=f"Zero123++ v{version}",
        repo_id=repo_id,
        licence="CC-BY-NC 4.0 (the model only for non-commercial use)",
        url=f"https://huggingface.co/{repo_id}",
        size=size,
        files=(
            "model_index.json",
            "feature_extractor_clip/preprocessor_config.json",
            "feature_extractor_vae/preprocessor_config.json",
            "scheduler/scheduler_config.json",
            "tokenizer/*.json",
            "tokenizer/merges.txt",
            *(
                f"{component}/{name}"
                for component, stem in (
                    ("unet", "diffusion_pytorch_model"),
                    ("vae", "diffusion_pytorch_model"),
                    ("text_encoder", "model"),
                    ("vision_encoder", "model"),
                )
                for name in ("config.json", f"{stem}.safetensors")
            ),
        ),
    )


MODELS = {
    "zero123plus-1.1": _published("1.1", "about 5.6 GB"),
    "zero123plus-1.2": _published("1.2", "5.6 GB"),
}


def build_zero123plus(options: ViewOptions) -> Zero123PlusViews:
    """Find the model's weights and check them.

    Raises:
        ConfigError: no weights and no consent to a download, or another model's folder.
    """
    model = MODELS[options.cameras]
    require_libraries(model.name)
    path = resolve_weights(model, options.weights, allow_download=options.allow_download)
    folder = DiffusersFolder(path, model.name, model.url)
    check_zero123plus(folder)
    device_of(options.device)
    return Zero123PlusViews(options, folder)


class Zero123PlusViews:
    """Generates six views of every frame; what was generated once is taken from the cache."""

    name = "zero123plus"
    least_size = 320

    def __init__(self, options: ViewOptions, folder: DiffusersFolder, cell: int = 320) -> None:
        """Take the options and the model's folder; `cell` is the side of a view in pixels."""
        self.options, self.folder = options, folder
        self.sampling = Sampling(options.steps, options.guidance, options.seed, cell)
        self.cache = options.cache or default_cache()

    def views(self, clip: Dataset, listener: Listener = silent) -> Dataset:
        """Return the clip with six views.

        Frames whose views show no plain background are left out of `present`, and counted to the
        listener.
        """
        require_single_clip(clip)
        angles = parse_cameras(self.options.cameras).angles
        grids = self.generate(clip.images[0], listener)
        stage = Stage(listener, "cut out views", len(grids))
        frames: list[list[Pixels | None]] = []
        lost = 0
        for grid in grids:
            opaque = np.dstack([grid, np.full(grid.shape[:2], 255, np.uint8)])
            frames.append([cut_out(cell) for cell in split_grid(opaque)])
            lost += sum(picture is None for picture in frames[-1])
            count = len(frames) * len(angles)
            stage.update(len(frames), f"{lost} of {count} without a plain background", lost=lost)
        return join(clip, stack_views(angles, frames), self.options.fixed_scale(), listener)

    def generate(self, pictures: Pixels, listener: Listener = silent) -> list[Pixels]:
        """Return the grids uint8 [3 cell, 2 cell, 3] of T pictures [T,S,S,4]."""
        paths = self._paths(pictures)
        missing = [t for t, path in enumerate(paths) if not path.exists()]
        if missing:
            self._generate_missing(pictures, paths, missing, listener)
            torch.cuda.empty_cache()  # the fit needs what the model held
        return [np.ascontiguousarray(read_rgba(path)[0][..., :3]) for path in paths]

    def _generate_missing(
        self, pictures: Pixels, paths: list[Path], missing: list[int], listener: Listener
    ) -> None:
        loading = Stage(listener, f"load {self.folder.model}", 1)
        loading.update(0)
        model = load_zero123plus(self.folder, device_of(self.options.device))
        loading.update(1)
        anchor = Anchor() if self.options.share_attention and len(pictures) > 1 else None
        # The first frame is what all others attend to: a resumed run needs it again.
        todo = missing if anchor is None else sorted({0, *missing})
        stage = Stage(listener, "generate views", len(todo) * self.sampling.steps)
        for number, t in enumerate(todo):
            on_step = _counted(stage, number * self.sampling.steps, f"frame {t}")
            grid = model.generate(pictures[t], self.sampling, anchor, on_step)
            if t in missing:
                _write_picture(paths[t], grid)

    def _paths(self, pictures: Pixels) -> list[Path]:
        """Return where each frame's grid is kept: the name is a hash of all it depends on."""
        settings = f"ds4d views {CACHE_VERSION} {self.sampling} {self.folder.digest()}"
        shared = self.options.share_attention and len(pictures) > 1
        first = on_grey(pictures[0]).tobytes()
        paths = []
        for t, picture in enumerate(pictures):
            digest = hashlib.sha256(settings.encode())
            digest.update(str(picture.shape).encode())
            digest.update(on_grey(picture).tobytes())
            # The first frame itself attends to nobody, but is drawn the same either way.
            if shared and t > 0:
                digest.update(first)
            paths.append(self.cache / f"zero123plus-{digest.hexdigest()[:32]}.png")
        return paths


def default_cache() -> Path:
    """Return the user's folder for generated pictures."""
    return user_cache("views")


def _counted(stage: Stage, before: int, message: str) -> Callable[[int], None]:
    def report(done: int) -> None:
        stage.update(before + done, message)

    return report


def _write_picture(path: Path, rgb: Pixels) -> None:
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    ok, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    assert ok
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(encoded.tobytes())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EngineError(f"Cannot write {path}: {error.strerror or error}.") from error
