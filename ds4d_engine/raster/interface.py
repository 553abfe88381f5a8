# SPDX-License-Identifier: GPL-3.0-or-later
"""One call for every rasteriser back end."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ds4d_engine.raster.scene import DeviceView, Render, Splats, View
from ds4d_engine.seam.errors import EngineError

NAMES = ("auto", "cpu", "gsplat", "torch")


def backends() -> dict[str, str]:
    """Return each back end's name with "ok", or with what to do to make it work."""
    found = {"cpu": "ok" if _has_numba() else "install numba", "gsplat": "ok", "torch": "ok"}
    try:
        from ds4d_engine.raster import cuda

        cuda.load()
    except EngineError as error:
        found["gsplat"] = str(error)
    return found


def _has_numba() -> bool:
    return "numba" in sys.modules or importlib.util.find_spec("numba") is not None


def _load_cpu() -> ModuleType:
    try:
        from ds4d_engine.raster import cpu
    except ImportError as error:
        raise EngineError(
            'The "cpu" back end needs numba: install it, or choose the "torch" back end.'
        ) from error
    except RuntimeError as error:
        raise EngineError(
            f"The compiled kernels cannot be kept ({error}): set NUMBA_CACHE_DIR to a folder "
            "that can be written."
        ) from error
    return cpu


def choose_backend(device: torch.device) -> str:
    """Name the back end that draws tensors on `device` fastest."""
    if device.type == "cuda":
        return "gsplat"
    return "cpu" if device.type == "cpu" and _has_numba() else "torch"


def rasterize(
    means: Tensor,  # [N,3]
    quats: Tensor,  # [N,4]
    scales: Tensor,  # [N,3]
    opacities: Tensor,  # [N]
    colors: Tensor,  # [N,C]
    viewmat: Tensor | np.ndarray,  # [4,4]
    K: Tensor | np.ndarray,  # [3,3]
    width: int,
    height: int,
    *,
    backend: str = "auto",
    depth: bool = False,
    absgrad: bool = False,
) -> Render:
    """Draw Gaussians by splatting, differentiable in everything but the camera.

    Conventions are gsplat 1.5.3's: `quats` wxyz of any length, `scales` and `opacities`
    activated, `viewmat` world-to-camera with OpenCV axes, `K` in pixels, pixel centres at
    +0.5. `colors` are blended as they are, whatever they mean; extra channels are welcome.
    Front to back by depth, ties by index.

    Args:
        backend: "cpu" (Numba, float32), "gsplat" (CUDA), "torch" (plain, slow, any dtype), or
            "auto": the fastest for the device that the splats are on.
        depth: Also accumulate camera depth into `Render.depths`.
        absgrad: Have the backward pass fill `Render.absgrad` (not with "torch").

    Raises:
        EngineError: Shapes do not fit together, or the back end cannot be used here.
    """
    splats = Splats(means, quats, scales, opacities, colors)
    _check(splats, width, height)
    name = choose_backend(means.device) if backend == "auto" else backend
    if name == "gsplat":
        from ds4d_engine.raster import cuda

        matrices = _camera_tensor(viewmat, 4, means), _camera_tensor(K, 3, means)
        there = DeviceView(*matrices, int(width), int(height))
        return cuda.rasterize(splats, there, depth=depth, absgrad=absgrad)
    view = View(_camera_array(viewmat, 4), _camera_array(K, 3), int(width), int(height))
    if name == "cpu":
        _check_for_cpu(splats)
        return _load_cpu().rasterize(splats, view, depth=depth, absgrad=absgrad)
    if name != "torch":
        raise EngineError(f'There is no back end "{backend}": choose one of {", ".join(NAMES)}.')
    if absgrad:
        raise EngineError('The "torch" back end has no absgrad: choose "cpu" or "gsplat".')
    from ds4d_engine.raster import oracle

    return oracle.rasterize(splats, view, depth=depth)


def _check(splats: Splats, width: int, height: int) -> None:
    count = splats.means.shape[0] if splats.means.ndim else 0
    if (
        splats.means.shape != (count, 3)
        or splats.quats.shape != (count, 4)
        or splats.scales.shape != (count, 3)
        or splats.opacities.shape != (count,)
        or splats.colors.ndim != 2
        or splats.colors.shape[0] != count
        or splats.colors.shape[1] < 1
    ):
        shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in vars(splats).items())
        raise EngineError(
            f"Shapes do not fit together ({shapes}): give means [N,3], quats [N,4], "
            "scales [N,3], opacities [N] and colors [N,C]."
        )
    if width < 1 or height < 1:
        raise EngineError(f"An image of {width} x {height} pixels is empty: give at least 1 x 1.")


def _check_for_cpu(splats: Splats) -> None:
    for name, x in vars(splats).items():
        if x.dtype != torch.float32 or x.device.type != "cpu":
            raise EngineError(
                f'The "cpu" back end draws float32 tensors in main memory, but {name} is '
                f'{x.dtype} on {x.device}: convert it, or choose the "torch" back end.'
            )


def _camera_array(matrix: Tensor | np.ndarray, size: int) -> np.ndarray:
    _check_camera(matrix, size)
    if isinstance(matrix, Tensor):
        matrix = matrix.cpu().numpy()
    array: np.ndarray[Any, Any] = np.ascontiguousarray(matrix, dtype=np.float64)
    return array


def _camera_tensor(matrix: Tensor | np.ndarray, size: int, like: Tensor) -> Tensor:
    """Return a camera matrix where `like` is: one that is there already is not copied."""
    _check_camera(matrix, size)
    return torch.as_tensor(matrix).to(like)


def _check_camera(matrix: Tensor | np.ndarray, size: int) -> None:
    if isinstance(matrix, Tensor) and matrix.requires_grad:
        raise EngineError("Cameras get no gradient: detach viewmat and K.")
    if tuple(np.shape(matrix)) != (size, size):
        raise EngineError(f"A camera matrix is {list(np.shape(matrix))}, not [{size},{size}].")
