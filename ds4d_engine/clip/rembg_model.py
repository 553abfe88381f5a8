# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks from a segmentation network that the user has, run by the package rembg."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import Pixels
from ..seam.errors import EngineError
from .regions import grown, without_specks


@dataclass(frozen=True)
class RembgModel:
    """A loaded U2-Net-like .onnx model; nothing is ever downloaded."""

    remove: Any
    session: Any

    @classmethod
    def load(cls, path: Path) -> RembgModel:
        """Load a model file.

        Raises:
            EngineError: rembg is not installed, or the file is no model that it can run.
        """
        if not path.is_file():
            raise EngineError(f"There is no model {path}; name the .onnx file that you have.")
        try:
            # rembg exits the whole process where onnxruntime is missing.
            importlib.import_module("onnxruntime")
            rembg = importlib.import_module("rembg")
        except ImportError:
            raise EngineError(
                'rembg is not installed; `pip install "rembg[cpu]"`, or choose another --matte.'
            ) from None
        try:
            with _models_beside(path):
                session = rembg.new_session("u2net_custom", model_path=str(path.resolve()))
        except Exception as error:  # onnxruntime's own classes, which differ between versions
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else "?"
            raise EngineError(
                f"rembg cannot load {path} ({reason}); name a U2-Net-like .onnx model."
            ) from None
        return cls(rembg.remove, session)

    def mask(self, rgb: Pixels) -> Pixels:
        """Return the object in a picture [H,W,3], as alpha [H,W]."""
        found = np.asarray(self.remove(rgb, session=self.session, only_mask=True))
        found = found.astype(np.uint8).reshape(rgb.shape[:2])
        return np.where(grown(without_specks(found >= 128), 3), found, np.uint8(0))


@contextmanager
def _models_beside(path: Path) -> Iterator[None]:
    """Let rembg load a model from its own folder; it refuses any but its home's."""
    before = os.environ.get("U2NET_HOME")
    os.environ["U2NET_HOME"] = str(path.resolve().parent)
    try:
        yield
    finally:
        if before is None:
            del os.environ["U2NET_HOME"]
        else:
            os.environ["U2NET_HOME"] = before
