# SPDX-License-Identifier: GPL-3.0-or-later
"""An independent float64 splat renderer (Kerbl et al. 2023), written for reading, in numpy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ds4d_engine.seam import Camera, Gaussians

Array = NDArray[np.float64]
SH_C0 = 0.28209479177387814


def decode_srgb(x: Array) -> Array:
    return np.where(x <= 0.04045, x / 12.92, ((np.maximum(x, 0.0) + 0.055) / 1.055) ** 2.4)


def encode_srgb(x: Array) -> Array:
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 1e-12) ** (1 / 2.4) - 0.055)


def rotation_matrices(quats: Array) -> Array:
    """[N,4] wxyz -> [N,3,3]."""
    w, x, y, z = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)


def project(g: Gaussians, camera: Camera, *, parallel: bool = False) -> tuple[Array, Array, Array]:
    """Return pixel centres [N,2], 2D covariances [N,2,2] in pixels^2 and depths [N].

    Where rays are `parallel`, the camera's focal lengths are pixels per scene unit.
    """
    K, view = camera.K, camera.viewmat
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    x, y, z = (g.means.astype(np.float64) @ view[:3, :3].T + view[:3, 3]).T
    z_safe = np.where(np.abs(z) < 1e-9, 1e-9, z)
    margin_x, margin_y = 0.15 * camera.width / fx, 0.15 * camera.height / fy
    u = np.clip(x / z_safe, -cx / fx - margin_x, (camera.width - cx) / fx + margin_x)
    v = np.clip(y / z_safe, -cy / fy - margin_y, (camera.height - cy) / fy + margin_y)
    zero = np.zeros_like(z)
    if parallel:
        z_safe, u, v = np.ones_like(z), zero, zero
    J = np.array([[fx / z_safe, zero, -fx * u / z_safe], [zero, fy / z_safe, -fy * v / z_safe]])
    axes = rotation_matrices(g.quats.astype(np.float64)) * g.scales.astype(np.float64)[:, None, :]
    M = J.transpose(2, 0, 1) @ view[:3, :3] @ axes
    covariances = M @ M.transpose(0, 2, 1) + 0.3 * np.eye(2)
    centres = np.stack([fx * x / z_safe + cx, fy * y / z_safe + cy], axis=1)
    return centres, covariances, z


def encoded_colours(g: Gaussians, eye: Array) -> Array:
    """Return the signed colours [N,3] of Gaussians as seen from a point."""
    directions = g.means - eye
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    degree = round((g.shN.shape[1] + 1) ** 0.5) - 1
    seen = np.einsum("nk,nkc->nc", harmonics(directions, degree), g.shN.astype(np.float64))
    return g.sh0[:, 0, :].astype(np.float64) * SH_C0 + 0.5 + seen


def harmonics(directions: Array, degree: int) -> Array:
    """Real spherical harmonics [N,K-1] of degrees 1 to `degree`, with the Condon-Shortley phase.

    By the recurrence of associated Legendre polynomials, orders from -n to n in each degree n.
    """
    x, y, z = directions.T
    turns = [(x + 1j * y) ** m for m in range(degree + 1)]
    values = [np.zeros((len(x), 0))]
    legendre: dict[tuple[int, int], Array] = {}
    for m in range(degree + 1):
        legendre[m, m] = np.full_like(z, (-1.0) ** m * math.prod(range(1, 2 * m, 2)))
        below = np.zeros_like(z)
        for n in range(m + 1, degree + 1):
            before = legendre[n - 1, m]
            legendre[n, m] = ((2 * n - 1) * z * before - (n + m - 1) * below) / (n - m)
            below = before
    for n in range(1, degree + 1):
        for m in range(-n, n + 1):
            ratio = math.factorial(n - abs(m)) / math.factorial(n + abs(m))
            norm = math.sqrt((2 * n + 1) / (4 * math.pi) * ratio * (2 if m else 1))
            turn = turns[abs(m)].imag if m < 0 else turns[abs(m)].real
            values.append((norm * legendre[n, abs(m)] * turn)[:, None])
    return np.hstack(values)


def render(
    g: Gaussians, camera: Camera, *, blend: str = "linear", parallel: bool = False
) -> tuple[Array, Array]:
    """Return premultiplied colours [H,W,3], in the space that is blended, and alphas [H,W]."""
    centres, covariances, depths = project(g, camera, parallel=parallel)
    inverses = np.linalg.inv(covariances)
    reach = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2)) * 3.34
    colours = np.maximum(encoded_colours(g, -camera.viewmat[:3, :3].T @ camera.viewmat[:3, 3]), 0)
    if blend == "linear":
        colours = decode_srgb(colours)
    height, width = camera.height, camera.width
    image, transmittance = np.zeros((height, width, 3)), np.ones((height, width))
    finished = np.zeros((height, width), bool)
    for i in np.argsort(depths, kind="stable"):
        if depths[i] <= 0.01:
            continue
        low = np.maximum(np.floor(centres[i] - reach[i]).astype(int), 0)
        high = np.minimum(np.ceil(centres[i] + reach[i]).astype(int) + 1, (width, height))
        if (low >= high).any():
            continue
        dx = np.arange(low[0], high[0]) + 0.5 - centres[i, 0]
        dy = (np.arange(low[1], high[1]) + 0.5 - centres[i, 1])[:, None]
        (a, b), (_, c) = inverses[i]
        alpha = g.opacities[i] * np.exp(-0.5 * (a * dx * dx + 2 * b * dx * dy + c * dy * dy))
        alpha = np.where(alpha < 1 / 255, 0.0, np.minimum(alpha, 0.999))
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        # A pixel is finished before the splat that would leave next to no light through.
        finished[window] |= transmittance[window] * (1 - alpha) <= 1e-4
        alpha = np.where(finished[window], 0.0, alpha)
        image[window] += (transmittance[window] * alpha)[..., None] * colours[i]
        transmittance[window] *= 1 - alpha
    return image, 1 - transmittance


def psnr(a: Array, b: Array) -> float:
    """Return the peak signal-to-noise ratio in dB of two images in 0..1."""
    return float(-10 * np.log10(np.mean((np.asarray(a, np.float64) - b) ** 2)))
