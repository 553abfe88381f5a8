# SPDX-License-Identifier: GPL-3.0-or-later
"""The CUDA back end: gsplat 1.5.3's projection and compositing kernels.

gsplat compiles its kernels at first use, so that any of the calls below may fail for want of
a compiler; every such failure becomes one sentence that says what to do.
"""

from __future__ import annotations

from typing import Any

import torch

from ds4d_engine.raster.conventions import FAR, LOW_PASS, NEAR
from ds4d_engine.raster.scene import DeviceView, Render, Splats
from ds4d_engine.seam.errors import EngineError

TILE = 16

REMEDY = (
    "install the CUDA toolkit that torch was built for (with nvcc) and a C++ compiler, or choose "
    'the "cpu" back end'
)


def load() -> Any:
    """Import gsplat and have it compile its kernels.

    Raises:
        EngineError: There is no CUDA device, or gsplat does not work on it.
    """
    if not torch.cuda.is_available():
        raise EngineError('The "gsplat" back end needs a CUDA device: choose the "cpu" back end.')
    try:
        import gsplat
        from gsplat.cuda._backend import _C
    except Exception as error:  # a failing build raises anything from ImportError to SystemError
        raise EngineError(f"gsplat cannot be used ({_reason(error)}): {REMEDY}.") from error
    if _C is None:
        raise EngineError(f"gsplat found no CUDA toolkit to compile its kernels: {REMEDY}.")
    return gsplat


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def rasterize(splats: Splats, view: DeviceView, *, depth: bool, absgrad: bool) -> Render:
    """Draw splats that lie on a CUDA device.

    Raises:
        EngineError: gsplat does not work here, or refuses the splats.
    """
    gsplat = load()
    try:
        return _draw(gsplat, splats, view, depth, absgrad)
    except torch.cuda.OutOfMemoryError as error:
        raise EngineError(
            "The CUDA device is out of memory: use fewer Gaussians or smaller images."
        ) from error
    except Exception as error:
        raise EngineError(f"gsplat failed ({_reason(error)}): {REMEDY}.") from error


def _draw(gsplat: Any, splats: Splats, view: DeviceView, depth: bool, absgrad: bool) -> Render:
    width, height = view.width, view.height
    viewmats, Ks = view.viewmat[None], view.K[None]  # [1,4,4], [1,3,3]
    radii, means2d, depths, conics, _ = gsplat.fully_fused_projection(
        splats.means,
        None,
        splats.quats,
        splats.scales,
        viewmats,
        Ks,
        width,
        height,
        eps2d=LOW_PASS,
        near_plane=NEAR,
        far_plane=FAR,
        opacities=splats.opacities,
    )
    across, down = -(-width // TILE), -(-height // TILE)
    _, tile_keys, flat_ids = gsplat.isect_tiles(means2d, radii, depths, TILE, across, down)
    offsets = gsplat.isect_offset_encode(tile_keys, 1, across, down)
    colors = splats.colors[None]  # [1,N,C]
    if depth:
        colors = torch.cat([colors, depths[..., None]], -1)
    # gsplat leaves undrawn centres unwritten. The graph goes through this very tensor, so that
    # it gets a gradient; gsplat hangs absgrad on the one that it is given.
    centres = torch.where((radii[0] > 0).all(-1, keepdim=True), means2d[0], 0.0)
    batched = centres[None]
    image, alphas = gsplat.rasterize_to_pixels(
        batched,
        conics,
        colors,
        splats.opacities[None],
        width,
        height,
        TILE,
        offsets.reshape(1, down, across),
        flat_ids,
        absgrad=absgrad,
    )
    drawn, image_depths = (image[0, ..., :-1], image[0, ..., -1]) if depth else (image[0], None)
    return Render(drawn, alphas[0, ..., 0], image_depths, centres, radii[0], batched)
