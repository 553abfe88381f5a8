# SPDX-License-Identifier: GPL-3.0-or-later
"""Numba kernels that project 3D Gaussians to the image (EWA), forward and backward.

Each kernel is one long scalar loop body on purpose: a splat lives in registers from its
parameters to its gradient, and no intermediate array is written.
"""

from __future__ import annotations

import math

import numpy as np

from ds4d_engine.raster import conventions
from ds4d_engine.raster.jit import F32, HALF, ONE, TWO, ZERO, inlined, kernel

ALPHA_MIN = F32(conventions.ALPHA_MIN)
EXTENT = F32(conventions.EXTENT_SIGMAS)
LOW_PASS = F32(conventions.LOW_PASS)
NEAR = F32(conventions.NEAR)
FAR = F32(conventions.FAR)
MARGIN = F32(conventions.JACOBIAN_MARGIN)


@inlined
def _rotation(w, x, y, z):  # type: ignore[no-untyped-def]
    """Return the nine entries of a unit quaternion's rotation matrix, row by row."""
    return (
        ONE - TWO * (y * y + z * z),
        TWO * (x * y - w * z),
        TWO * (x * z + w * y),
        TWO * (x * y + w * z),
        ONE - TWO * (x * x + z * z),
        TWO * (y * z - w * x),
        TWO * (x * z - w * y),
        TWO * (y * z + w * x),
        ONE - TWO * (x * x + y * y),
    )


@inlined
def _clamp_limits(K, width, height):  # type: ignore[no-untyped-def]
    """Return the lower and upper limits of x/z and y/z inside the projection's Jacobian."""
    fx = K[0, 0]
    fy = K[1, 1]
    mx = MARGIN * F32(width) / fx
    my = MARGIN * F32(height) / fy
    return (
        -(K[0, 2] / fx + mx),
        (F32(width) - K[0, 2]) / fx + mx,
        -(K[1, 2] / fy + my),
        (F32(height) - K[1, 2]) / fy + my,
    )


@kernel
def project_forward(  # type: ignore[no-untyped-def]
    start,
    stop,
    means,
    quats,
    scales,
    opacities,
    viewmat,
    K,
    width,
    height,
    means2d,
    conics,
    depths,
    radii,
    boxes,
):
    """Project splats start..stop-1; a splat that is not drawn gets radius 0.

    Writes means2d [N,2] pixels, conics [N,3] (upper triangle of the inverse 2D covariance),
    depths [N], radii [N,2] int32 pixels, and boxes [N,4] int32: the columns x0, x1 and rows y0,
    y1 whose pixel centres lie in the extent of alpha >= ALPHA_MIN, all 0 where none do.
    """
    fx = K[0, 0]
    fy = K[1, 1]
    cx = K[0, 2]
    cy = K[1, 2]
    lx, hx, ly, hy = _clamp_limits(K, width, height)
    v00 = viewmat[0, 0]
    v01 = viewmat[0, 1]
    v02 = viewmat[0, 2]
    v10 = viewmat[1, 0]
    v11 = viewmat[1, 1]
    v12 = viewmat[1, 2]
    v20 = viewmat[2, 0]
    v21 = viewmat[2, 1]
    v22 = viewmat[2, 2]
    for i in range(start, stop):
        mx = means[i, 0]
        my = means[i, 1]
        mz = means[i, 2]
        x = v00 * mx + v01 * my + v02 * mz + viewmat[0, 3]
        y = v10 * mx + v11 * my + v12 * mz + viewmat[1, 3]
        z = v20 * mx + v21 * my + v22 * mz + viewmat[2, 3]
        radii[i, 0] = 0
        radii[i, 1] = 0
        for c in range(4):
            boxes[i, c] = 0
        means2d[i, 0] = ZERO
        means2d[i, 1] = ZERO
        conics[i, 0] = ONE
        conics[i, 1] = ZERO
        conics[i, 2] = ONE
        depths[i] = z
        opacity = opacities[i]
        # Written so that NaN, too, leaves the splat undrawn.
        if not (z >= NEAR and z <= FAR and opacity >= ALPHA_MIN):
            continue
        qw = quats[i, 0]
        qx = quats[i, 1]
        qy = quats[i, 2]
        qz = quats[i, 3]
        n = ONE / math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz)
        r00, r01, r02, r10, r11, r12, r20, r21, r22 = _rotation(qw * n, qx * n, qy * n, qz * n)
        rz = ONE / z
        ux = min(max(x * rz, lx), hx)
        uy = min(max(y * rz, ly), hy)
        # Rows of J V, with J the clamped Jacobian of the perspective projection.
        kx = fx * rz
        ky = fy * rz
        jx0 = kx * (v00 - ux * v20)
        jx1 = kx * (v01 - ux * v21)
        jx2 = kx * (v02 - ux * v22)
        jy0 = ky * (v10 - uy * v20)
        jy1 = ky * (v11 - uy * v21)
        jy2 = ky * (v12 - uy * v22)
        s0 = scales[i, 0]
        s1 = scales[i, 1]
        s2 = scales[i, 2]
        a0 = (jx0 * r00 + jx1 * r10 + jx2 * r20) * s0
        a1 = (jx0 * r01 + jx1 * r11 + jx2 * r21) * s1
        a2 = (jx0 * r02 + jx1 * r12 + jx2 * r22) * s2
        b0 = (jy0 * r00 + jy1 * r10 + jy2 * r20) * s0
        b1 = (jy0 * r01 + jy1 * r11 + jy2 * r21) * s1
        b2 = (jy0 * r02 + jy1 * r12 + jy2 * r22) * s2
        A = a0 * a0 + a1 * a1 + a2 * a2 + LOW_PASS
        B = a0 * b0 + a1 * b1 + a2 * b2
        C = b0 * b0 + b1 * b1 + b2 * b2 + LOW_PASS
        det = A * C - B * B
        if not det > ZERO:
            continue
        reach = TWO * math.log(opacity / ALPHA_MIN)
        extent = min(EXTENT, math.sqrt(reach))
        rx = math.ceil(extent * math.sqrt(A))
        ry = math.ceil(extent * math.sqrt(C))
        px = kx * x + cx
        py = ky * y + cy
        if not (
            rx > 0
            and ry > 0
            and px + rx > 0
            and px - rx < width
            and py + ry > 0
            and py - ry < height
        ):
            continue
        inverse = ONE / det
        means2d[i, 0] = px
        means2d[i, 1] = py
        conics[i, 0] = C * inverse
        conics[i, 1] = -B * inverse
        conics[i, 2] = A * inverse
        radii[i, 0] = np.int32(min(rx, F32(1 << 24)))
        radii[i, 1] = np.int32(min(ry, F32(1 << 24)))
        # A little wider than the exact extent, against rounding.
        reach = reach * F32(1.0002) + F32(1e-5)
        ex = math.sqrt(reach * A) + F32(1e-3)
        ey = math.sqrt(reach * C) + F32(1e-3)
        x0 = np.int32(math.ceil(max(px - ex - HALF, ZERO)))
        x1 = np.int32(math.floor(min(px + ex + HALF, F32(width))))
        y0 = np.int32(math.ceil(max(py - ey - HALF, ZERO)))
        y1 = np.int32(math.floor(min(py + ey + HALF, F32(height))))
        if x0 < x1 and y0 < y1:
            boxes[i, 0] = x0
            boxes[i, 1] = x1
            boxes[i, 2] = y0
            boxes[i, 3] = y1


@kernel
def project_backward(  # type: ignore[no-untyped-def]
    start,
    stop,
    means,
    quats,
    scales,
    viewmat,
    K,
    width,
    height,
    conics,
    radii,
    g_means2d,
    g_conics,
    g_depths,
    g_means,
    g_quats,
    g_scales,
):
    """Write the gradients of splats start..stop-1; a splat that was not drawn gets zero.

    The conic gradient is that of the three stored numbers (the off-diagonal one counts twice).
    """
    fx = K[0, 0]
    fy = K[1, 1]
    lx, hx, ly, hy = _clamp_limits(K, width, height)
    v00 = viewmat[0, 0]
    v01 = viewmat[0, 1]
    v02 = viewmat[0, 2]
    v10 = viewmat[1, 0]
    v11 = viewmat[1, 1]
    v12 = viewmat[1, 2]
    v20 = viewmat[2, 0]
    v21 = viewmat[2, 1]
    v22 = viewmat[2, 2]
    for i in range(start, stop):
        if radii[i, 0] == 0:
            for c in range(3):
                g_means[i, c] = ZERO
                g_scales[i, c] = ZERO
                g_quats[i, c] = ZERO
            g_quats[i, 3] = ZERO
            continue
        mx = means[i, 0]
        my = means[i, 1]
        mz = means[i, 2]
        x = v00 * mx + v01 * my + v02 * mz + viewmat[0, 3]
        y = v10 * mx + v11 * my + v12 * mz + viewmat[1, 3]
        z = v20 * mx + v21 * my + v22 * mz + viewmat[2, 3]
        qw = quats[i, 0]
        qx = quats[i, 1]
        qy = quats[i, 2]
        qz = quats[i, 3]
        n = ONE / math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz)
        qw *= n
        qx *= n
        qy *= n
        qz *= n
        r00, r01, r02, r10, r11, r12, r20, r21, r22 = _rotation(qw, qx, qy, qz)
        rz = ONE / z
        tx = x * rz
        ty = y * rz
        ux = min(max(tx, lx), hx)
        uy = min(max(ty, ly), hy)
        kx = fx * rz
        ky = fy * rz
        jx0 = kx * (v00 - ux * v20)
        jx1 = kx * (v01 - ux * v21)
        jx2 = kx * (v02 - ux * v22)
        jy0 = ky * (v10 - uy * v20)
        jy1 = ky * (v11 - uy * v21)
        jy2 = ky * (v12 - uy * v22)
        s0 = scales[i, 0]
        s1 = scales[i, 1]
        s2 = scales[i, 2]
        # e = J V R is the projection of the splat's own unit axes; times scale it is a and b.
        ex0 = jx0 * r00 + jx1 * r10 + jx2 * r20
        ex1 = jx0 * r01 + jx1 * r11 + jx2 * r21
        ex2 = jx0 * r02 + jx1 * r12 + jx2 * r22
        ey0 = jy0 * r00 + jy1 * r10 + jy2 * r20
        ey1 = jy0 * r01 + jy1 * r11 + jy2 * r21
        ey2 = jy0 * r02 + jy1 * r12 + jy2 * r22
        a0 = ex0 * s0
        a1 = ex1 * s1
        a2 = ex2 * s2
        b0 = ey0 * s0
        b1 = ey1 * s1
        b2 = ey2 * s2
        # Covariance [[A, B], [B, C]] from its inverse: dS = -S^-1 dS^-1 S^-1.
        ca = conics[i, 0]
        cb = conics[i, 1]
        cc = conics[i, 2]
        g0 = g_conics[i, 0]
        g1 = g_conics[i, 1]
        g2 = g_conics[i, 2]
        gA = -g0 * ca * ca - g1 * ca * cb - g2 * cb * cb
        gB = -TWO * g0 * ca * cb - g1 * (ca * cc + cb * cb) - TWO * g2 * cb * cc
        gC = -g0 * cb * cb - g1 * cb * cc - g2 * cc * cc
        ga0 = TWO * gA * a0 + gB * b0
        ga1 = TWO * gA * a1 + gB * b1
        ga2 = TWO * gA * a2 + gB * b2
        gb0 = gB * a0 + TWO * gC * b0
        gb1 = gB * a1 + TWO * gC * b1
        gb2 = gB * a2 + TWO * gC * b2
        g_scales[i, 0] = ga0 * ex0 + gb0 * ey0
        g_scales[i, 1] = ga1 * ex1 + gb1 * ey1
        g_scales[i, 2] = ga2 * ex2 + gb2 * ey2
        ga0 *= s0
        ga1 *= s1
        ga2 *= s2
        gb0 *= s0
        gb1 *= s1
        gb2 *= s2
        gjx0 = ga0 * r00 + ga1 * r01 + ga2 * r02
        gjx1 = ga0 * r10 + ga1 * r11 + ga2 * r12
        gjx2 = ga0 * r20 + ga1 * r21 + ga2 * r22
        gjy0 = gb0 * r00 + gb1 * r01 + gb2 * r02
        gjy1 = gb0 * r10 + gb1 * r11 + gb2 * r12
        gjy2 = gb0 * r20 + gb1 * r21 + gb2 * r22
        gux = -kx * (gjx0 * v20 + gjx1 * v21 + gjx2 * v22)
        guy = -ky * (gjy0 * v20 + gjy1 * v21 + gjy2 * v22)
        gx = g_means2d[i, 0] * kx
        gy = g_means2d[i, 1] * ky
        gz = g_depths[i] - gx * tx - gy * ty
        gz -= rz * (gjx0 * jx0 + gjx1 * jx1 + gjx2 * jx2 + gjy0 * jy0 + gjy1 * jy1 + gjy2 * jy2)
        if tx >= lx and tx <= hx:
            gx += gux * rz
            gz -= gux * tx * rz
        if ty >= ly and ty <= hy:
            gy += guy * rz
            gz -= guy * ty * rz
        g_means[i, 0] = v00 * gx + v10 * gy + v20 * gz
        g_means[i, 1] = v01 * gx + v11 * gy + v21 * gz
        g_means[i, 2] = v02 * gx + v12 * gy + v22 * gz
        # Gradient of the rotation matrix, then of the normalised and of the given quaternion.
        g00 = jx0 * ga0 + jy0 * gb0
        g01 = jx0 * ga1 + jy0 * gb1
        g02 = jx0 * ga2 + jy0 * gb2
        g10 = jx1 * ga0 + jy1 * gb0
        g11 = jx1 * ga1 + jy1 * gb1
        g12 = jx1 * ga2 + jy1 * gb2
        g20 = jx2 * ga0 + jy2 * gb0
        g21 = jx2 * ga1 + jy2 * gb1
        g22 = jx2 * ga2 + jy2 * gb2
        gqw = TWO * (qx * (g21 - g12) + qy * (g02 - g20) + qz * (g10 - g01))
        gqx = TWO * (
            qy * (g01 + g10) + qz * (g02 + g20) + qw * (g21 - g12) - TWO * qx * (g11 + g22)
        )
        gqy = TWO * (
            qx * (g01 + g10) + qz * (g12 + g21) + qw * (g02 - g20) - TWO * qy * (g00 + g22)
        )
        gqz = TWO * (
            qx * (g02 + g20) + qy * (g12 + g21) + qw * (g10 - g01) - TWO * qz * (g00 + g11)
        )
        along = qw * gqw + qx * gqx + qy * gqy + qz * gqz
        g_quats[i, 0] = (gqw - along * qw) * n
        g_quats[i, 1] = (gqx - along * qx) * n
        g_quats[i, 2] = (gqy - along * qy) * n
        g_quats[i, 3] = (gqz - along * qz) * n
