# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of Gaussians and assets: numpy in, numpy out, no gradients."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from .data.orbit import orbit_rotation
from .photometric import decode_srgb, encode_srgb
from .raster import backends, rasterize
from .seam.asset import Asset, Gaussians
from .seam.cameras import Camera
from .seam.errors import AssetError, ConfigError
from .spherical_harmonics import sh_colors

FloatArray = npt.NDArray[np.float32]
Color = Sequence[float]

BACKGROUNDS: dict[str, tuple[float, float, float]] = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
}


@dataclass(frozen=True, eq=False)
class Rendered:
    """One picture before it is laid over a background; all float32."""

    premultiplied: FloatArray  # [H,W,3] in blend space (linear light, or encoded for "srgb")
    alphas: FloatArray  # [H,W]
    depths: FloatArray  # [H,W] expected depth along the camera's z axis; 0 where nothing is drawn


def render_gaussians(
    gaussians: Gaussians, camera: Camera, *, blend: str, backend: str = "auto"
) -> Rendered:
    """Draw Gaussians as one camera sees them, blended in the light `blend` names.

    Raises:
        EngineError: the rasteriser `backend` cannot run here.
    """
    device = _device(backend)

    def tensor(array: npt.NDArray[np.floating]) -> torch.Tensor:
        # A copy: arrays of an asset are read-only views of a file, which torch cannot wrap.
        return torch.from_numpy(np.array(array, np.float32)).to(device)

    means = tensor(gaussians.means)
    with torch.no_grad():
        position = tensor(camera.position)
        colors = sh_colors(tensor(gaussians.sh0), tensor(gaussians.shN), means, position)
        colors = colors.clamp_min(0.0).contiguous()
        if blend == "linear":
            colors = decode_srgb(colors)
        render = rasterize(
            means,
            tensor(gaussians.quats),
            tensor(gaussians.scales),
            tensor(gaussians.opacities),
            colors,
            camera.viewmat,
            camera.K,
            camera.width,
            camera.height,
            backend=backend,
            depth=True,
        )
        assert render.depths is not None  # asked for above
        depths = render.depths / render.alphas.clamp_min(1e-10)
    return Rendered(_array(render.colors), _array(render.alphas), _array(depths))


def composite(rendered: Rendered, background: Color | None, *, blend: str) -> FloatArray:
    """Lay a picture over an encoded sRGB colour; without one, return straight alpha.

    Returns:
        sRGB-encoded values clipped to 0..1: [H,W,3], or [H,W,4] when `background` is None.
    """
    alphas = rendered.alphas[..., None]
    if background is None:
        colors = rendered.premultiplied / np.maximum(alphas, 1e-10)
        encoded = _encode(np.where(alphas > 0, colors, 0.0), blend)
        return np.clip(np.concatenate([encoded, alphas], axis=-1), 0.0, 1.0)
    behind = np.asarray(background, np.float32)
    if blend == "linear":
        behind = decode_srgb(torch.from_numpy(behind)).numpy()
    return np.clip(_encode(rendered.premultiplied + (1.0 - alphas) * behind, blend), 0.0, 1.0)


def render_asset(
    asset: Asset,
    camera: Camera,
    frame: float,
    *,
    background: Color | None = BACKGROUNDS["white"],
    backend: str = "auto",
) -> FloatArray:
    """Draw an asset at a frame (fractions interpolate): sRGB [H,W,3], or [H,W,4] on no background.

    Raises:
        ConfigError: the frame lies outside the asset's 0..T-1.
    """
    gaussians = gaussians_at(asset, frame)
    rendered = render_gaussians(gaussians, camera, blend=asset.blend, backend=backend)
    return composite(rendered, background, blend=asset.blend)


def gaussians_at(asset: Asset, frame: float) -> Gaussians:
    """Return all Gaussians of an asset at a frame index 0..T-1; fractions interpolate.

    Raises:
        ConfigError: the frame lies outside the asset.
    """
    last = asset.frame_count - 1
    if not -1e-6 <= frame <= last + 1e-6:
        raise ConfigError(f"Frame {frame:g} is not in the asset; choose one of 0 to {last}.")
    nearest = round(frame)
    # Times read from files carry rounding; a whole frame must come back exactly as stored.
    return asset.frame(nearest) if abs(frame - nearest) < 1e-6 else asset.at(frame)


def to_uint8(image: FloatArray) -> npt.NDArray[np.uint8]:
    """Quantise 0..1 to 0..255, rounding to nearest."""
    return np.clip(np.rint(image * 255.0), 0, 255).astype(np.uint8)


def resize_camera(camera: Camera, width: int, height: int) -> Camera:
    """Return the camera at another image size, keeping its whole view in the picture.

    Where the shapes differ, the old view is centred and more of the world shows at two sides.
    """
    scale = min(width / camera.width, height / camera.height)
    K = np.array(camera.K, np.float64)
    K[:2] *= scale
    K[0, 2] += (width - camera.width * scale) / 2
    K[1, 2] += (height - camera.height * scale) / 2
    return Camera(camera.name, K, camera.viewmat, width, height, camera.split)


@dataclass(frozen=True, eq=False)
class Bounds:
    """A sphere around what an asset shows over its whole clip, world units."""

    center: npt.NDArray[np.float64]  # [3]
    radius: float


def asset_bounds(asset: Asset, *, frames: int = 8, opacity: float = 0.1) -> Bounds:
    """Return a sphere that holds nearly everything visible; stray Gaussians do not count.

    The box of the middle 98 % of centres at up to `frames` frames, grown by the median size.

    Raises:
        AssetError: the asset is empty.
    """
    last = asset.frame_count - 1
    points = []
    sizes = []
    for index in sorted({round(last * i / max(frames - 1, 1)) for i in range(frames)}):
        gaussians = asset.frame(index)
        opacities = np.asarray(gaussians.opacities)
        visible = opacities >= min(opacity, float(opacities.max(initial=0.0)))
        points.append(np.asarray(gaussians.means, np.float64)[visible])
        sizes.append(np.asarray(gaussians.scales)[visible].max(axis=-1))
    centers = np.concatenate(points)
    if not len(centers):
        raise AssetError("The asset holds no Gaussians, so there is nothing to look at; fit again.")
    low, high = np.percentile(centers, [1.0, 99.0], axis=0)
    center = (low + high) / 2
    distances = np.linalg.norm(centers - center, axis=-1)
    grow = 2.0 * float(np.median(np.concatenate(sizes)))
    return Bounds(center, max(float(np.percentile(distances, 99.0)) + grow, 1e-6))


def orbit_camera(
    bounds: Bounds,
    azimuth_degrees: float,
    elevation_degrees: float,
    *,
    width: int,
    height: int,
    fov_degrees: float = 35.0,
) -> Camera:
    """Return a camera that looks at the bounds' centre with +Z up and holds the whole sphere.

    Azimuth 0 looks along +Y from the front (-Y) and grows counter-clockwise seen from above;
    `fov_degrees` is the angle of the picture's shorter side.
    """
    rotation = orbit_rotation(azimuth_degrees, elevation_degrees)
    half = math.radians(fov_degrees) / 2
    position = bounds.center - rotation[2] * bounds.radius / math.sin(half)
    viewmat = np.eye(4)
    viewmat[:3, :3] = rotation
    viewmat[:3, 3] = -rotation @ position
    focal = min(width, height) / 2 / math.tan(half)
    K = np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
    return Camera(f"orbit {azimuth_degrees:g}", K, viewmat, width, height)


def turntable(
    bounds: Bounds,
    count: int,
    *,
    width: int,
    height: int,
    azimuth_degrees: float = 0.0,
    elevation_degrees: float = 15.0,
) -> list[Camera]:
    """Return `count` cameras spread evenly over one full turn about the bounds' centre."""
    return [
        orbit_camera(
            bounds,
            azimuth_degrees + 360.0 * index / count,
            elevation_degrees,
            width=width,
            height=height,
        )
        for index in range(count)
    ]


def _encode(values: FloatArray, blend: str) -> FloatArray:
    if blend == "srgb":
        return np.asarray(values, np.float32)
    contiguous = np.ascontiguousarray(values, np.float32)
    encoded: FloatArray = encode_srgb(torch.from_numpy(contiguous)).numpy()
    return encoded


def _device(backend: str) -> torch.device:
    """Where a back end wants its tensors; a missing GPU is the rasteriser's to complain of."""
    if not torch.cuda.is_available() or backend in ("cpu", "torch"):
        return torch.device("cpu")
    if backend == "auto" and _gsplat_state() != "ok":
        return torch.device("cpu")
    return torch.device("cuda")


@functools.cache
def _gsplat_state() -> str:
    return backends()["gsplat"]


def _array(tensor: torch.Tensor) -> FloatArray:
    array: FloatArray = tensor.detach().cpu().numpy().astype(np.float32, copy=False)
    return array
