# SPDX-License-Identifier: GPL-3.0-or-later
"""Numba kernels of the sRGB transfer functions and of the photometric loss with its gradient.

The loss runs in three passes over image rows, each of which may be shared between threads;
a row holds its three colour planes one after the other, so that vertical filters are one
long loop. SSIM needs four filtered images (not five): only the sum of the two variances
enters it.
"""

from __future__ import annotations

import numpy as np

from ds4d_engine.raster.jit import F32, HALF, ONE, TWO, ZERO, inlined, kernel

WINDOW = 11
"""Width of SSIM's Gaussian window, standard deviation 1.5 pixels."""

EDGE = WINDOW - 1

_window = np.exp(-((np.arange(WINDOW) - 5.0) ** 2) / (2 * 1.5**2))
W0, W1, W2, W3, W4, W5 = (F32(w) for w in (_window / _window.sum())[:6])
SSIM_C1 = F32(0.01**2)
SSIM_C2 = F32(0.03**2)

# log2(1 + t) / t for sqrt(1/2) <= 1 + t < sqrt(2), and 2^f for |f| <= 1/2.
_t = np.cos(np.pi * (np.arange(64) + 0.5) / 64)
_u = (_t * (2**0.5 - 0.5**0.5) + 2**0.5 + 0.5**0.5) / 2 - 1
L0, L1, L2, L3, L4, L5, L6, L7, L8 = (
    F32(c) for c in np.polynomial.polynomial.polyfit(_u, np.log2(1 + _u) / _u, 8)
)
X0, X1, X2, X3, X4, X5, X6 = (
    F32(c) for c in np.polynomial.polynomial.polyfit(_t / 2, np.exp2(_t / 2), 6)
)
SQRT_HALF_BITS = np.int32(np.float32(0.5**0.5).view(np.int32))
MANTISSA_BITS = np.int32(23)

ENCODE_LIMIT = F32(0.0031308)
DECODE_LIMIT = F32(0.04045)
SLOPE = F32(12.92)
UNSLOPE = F32(1 / 12.92)
SCALE = F32(1.055)
UNSCALE = F32(1 / 1.055)
OFFSET = F32(0.055)
GAMMA = F32(2.4)
UNGAMMA = F32(1 / 2.4)


@inlined
def _power(x, exponent):  # type: ignore[no-untyped-def]
    """Return x ** exponent for positive normal float32; relative error about 5e-7.

    The C library's pow would keep the loops from being vectorised.
    """
    bits = np.float32(x).view(np.int32)
    octave = (bits - SQRT_HALF_BITS) >> MANTISSA_BITS
    t = np.int32(bits - (octave << MANTISSA_BITS)).view(np.float32) - ONE
    p = (((((((L8 * t + L7) * t + L6) * t + L5) * t + L4) * t + L3) * t + L2) * t + L1) * t + L0
    y = exponent * (F32(octave) + t * p)
    whole = np.int32(np.floor(y + HALF))
    f = y - F32(whole)
    q = (((((X6 * f + X5) * f + X4) * f + X3) * f + X2) * f + X1) * f + X0
    return np.int32(np.float32(q).view(np.int32) + (whole << MANTISSA_BITS)).view(np.float32)


@kernel
def encode_forward(start, stop, x, y):  # type: ignore[no-untyped-def]
    """Write the sRGB code of linear x [n] to y [n]."""
    for i in range(start, stop):
        v = x[i]
        curve = SCALE * _power(max(v, ENCODE_LIMIT), UNGAMMA) - OFFSET
        y[i] = SLOPE * v if v <= ENCODE_LIMIT else curve


@kernel
def encode_backward(start, stop, x, y, g_y, g_x):  # type: ignore[no-untyped-def]
    """Write the gradient of `encode_forward` to g_x [n]."""
    for i in range(start, stop):
        v = x[i]
        slope = UNGAMMA * (y[i] + OFFSET) / max(v, ENCODE_LIMIT)
        g_x[i] = g_y[i] * (SLOPE if v <= ENCODE_LIMIT else slope)


@kernel
def decode_forward(start, stop, x, y):  # type: ignore[no-untyped-def]
    """Write the linear value of sRGB codes x [n] to y [n]."""
    for i in range(start, stop):
        v = x[i]
        curve = _power((max(v, DECODE_LIMIT) + OFFSET) * UNSCALE, GAMMA)
        y[i] = UNSLOPE * v if v <= DECODE_LIMIT else curve


@kernel
def decode_backward(start, stop, x, y, g_y, g_x):  # type: ignore[no-untyped-def]
    """Write the gradient of `decode_forward` to g_x [n]."""
    for i in range(start, stop):
        v = x[i]
        slope = GAMMA * y[i] / (max(v, DECODE_LIMIT) + OFFSET)
        g_x[i] = g_y[i] * (UNSLOPE if v <= DECODE_LIMIT else slope)


@inlined
def _taps(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10):  # type: ignore[no-untyped-def]
    return (
        W0 * (a0 + a10) + W1 * (a1 + a9) + W2 * (a2 + a8) + W3 * (a3 + a7) + W4 * (a4 + a6) + W5 * a5
    )


@kernel
def _filter_along(source, target, count):  # type: ignore[no-untyped-def]
    """Filter a row: target[x] from source[x..x+10], for x < count."""
    s = source
    for x in range(count):
        target[x] = _taps(
            s[x], s[x + 1], s[x + 2], s[x + 3], s[x + 4], s[x + 5],
            s[x + 6], s[x + 7], s[x + 8], s[x + 9], s[x + 10],
        )  # fmt: skip


@kernel
def _filter_down(rows, top, target):  # type: ignore[no-untyped-def]
    """Filter down the columns: target[x] from rows[top..top+10, x]."""
    r0 = rows[top]
    r1 = rows[top + 1]
    r2 = rows[top + 2]
    r3 = rows[top + 3]
    r4 = rows[top + 4]
    r5 = rows[top + 5]
    r6 = rows[top + 6]
    r7 = rows[top + 7]
    r8 = rows[top + 8]
    r9 = rows[top + 9]
    r10 = rows[top + 10]
    for x in range(target.shape[0]):
        target[x] = _taps(
            r0[x], r1[x], r2[x], r3[x], r4[x], r5[x], r6[x], r7[x], r8[x], r9[x], r10[x]
        )


@kernel
def compose_rows(  # type: ignore[no-untyped-def]
    start, stop, premultiplied, alphas, target, background, linear, image, wanted, slopes,
    moments, absolute,
):
    """Composite and encode rows start..stop-1, filter their moments along the row.

    `background` is in the space of `premultiplied`. Writes image and wanted [H,3W] (encoded
    composite and target, planar rows), slopes [H,3W] (derivative of the encoding), absolute
    [H] (sum of |image - wanted|), and moments [4,H,3(W-10)] unless it is empty.
    """
    width = alphas.shape[1]
    inner = width - EDGE
    squares = np.empty(3 * width, np.float32)
    products = np.empty(3 * width, np.float32)
    for y in range(start, stop):
        row = image[y]
        other = wanted[y]
        slope_row = slopes[y]
        for c in range(3):
            base = c * width
            for x in range(width):
                v = premultiplied[y, x, c] + (ONE - alphas[y, x]) * background
                row[base + x] = v
                other[base + x] = target[y, x, c]
        if linear:
            for x in range(3 * width):
                v = row[x]
                held = max(v, ENCODE_LIMIT)
                power = SCALE * _power(held, UNGAMMA)
                low = v <= ENCODE_LIMIT
                row[x] = SLOPE * v if low else power - OFFSET
                slope_row[x] = SLOPE if low else UNGAMMA * power / held
        else:
            for x in range(3 * width):
                slope_row[x] = ONE
        total = ZERO
        for x in range(3 * width):
            total += abs(row[x] - other[x])
        absolute[y] = total
        if moments.shape[0] == 0:
            continue
        for x in range(3 * width):
            a = row[x]
            b = other[x]
            squares[x] = a * a + b * b
            products[x] = a * b
        for c in range(3):
            base = c * width
            here = slice(c * inner, (c + 1) * inner)
            _filter_along(row[base : base + width], moments[0, y, here], inner)
            _filter_along(other[base : base + width], moments[1, y, here], inner)
            _filter_along(squares[base : base + width], moments[2, y, here], inner)
            _filter_along(products[base : base + width], moments[3, y, here], inner)


@kernel
def compare_rows(start, stop, moments, influence, similarity):  # type: ignore[no-untyped-def]
    """Finish the moments of window rows start..stop-1 and compare.

    Writes similarity [H-10] (sum of SSIM over the row) and influence [3,H+10,3W]: the
    derivatives by the mean, the mean square and the mean product, spread along the row;
    row y of the windows lies at y + 10, and the ten rows at either end stay zero.
    """
    across = moments.shape[2]
    inner = across // 3
    width = inner + EDGE
    filtered = np.empty((4, across), np.float32)
    spread = np.zeros((3, 3, inner + 2 * EDGE), np.float32)
    for y in range(start, stop):
        for m in range(4):
            _filter_down(moments[m], y, filtered[m])
        f0 = filtered[0]
        f1 = filtered[1]
        f2 = filtered[2]
        f3 = filtered[3]
        total = 0.0
        for c in range(3):
            by_mean = spread[0, c]
            by_square = spread[1, c]
            by_product = spread[2, c]
            base = c * inner
            part = ZERO
            for x in range(inner):
                mean_a = f0[base + x]
                mean_b = f1[base + x]
                squares = mean_a * mean_a + mean_b * mean_b
                product = mean_a * mean_b
                a1 = TWO * product + SSIM_C1
                a2 = TWO * (f3[base + x] - product) + SSIM_C2
                b1 = squares + SSIM_C1
                b2 = f2[base + x] - squares + SSIM_C2
                inverse = ONE / (b1 * b2)
                s = a1 * a2 * inverse
                part += s
                g_square = -s * b1 * inverse
                g_product = TWO * a1 * inverse
                by_square[x + EDGE] = g_square
                by_product[x + EDGE] = g_product
                by_mean[x + EDGE] = (
                    TWO * inverse * (mean_b * a2 - mean_a * s * b2)
                    - TWO * mean_a * g_square
                    - mean_b * g_product
                )
            total += part
            here = slice(c * width, (c + 1) * width)
            for m in range(3):
                _filter_along(spread[m, c], influence[m, y + EDGE, here], width)
        similarity[y] = total


@kernel
def gather_rows(  # type: ignore[no-untyped-def]
    start, stop, image, wanted, slopes, influence, background, l1_weight, ssim_weight,
    g_premultiplied, g_alphas,
):
    """Write the loss's gradient of rows start..stop-1.

    The weights multiply the sums of |difference| and of SSIM. An empty `influence` means
    that there is no SSIM.
    """
    width = g_alphas.shape[1]
    mean = np.zeros(3 * width, np.float32)
    square = np.zeros(3 * width, np.float32)
    product = np.zeros(3 * width, np.float32)
    for y in range(start, stop):
        if influence.shape[0] > 0:
            _filter_down(influence[0], y, mean)
            _filter_down(influence[1], y, square)
            _filter_down(influence[2], y, product)
        row = image[y]
        other = wanted[y]
        slope_row = slopes[y]
        for x in range(3 * width):
            a = row[x]
            b = other[x]
            sign = l1_weight if a > b else -l1_weight
            sign = ZERO if a == b else sign
            by_ssim = mean[x] + TWO * a * square[x] + b * product[x]
            mean[x] = slope_row[x] * (sign + ssim_weight * by_ssim)
        for x in range(width):
            red = mean[x]
            green = mean[width + x]
            blue = mean[2 * width + x]
            g_premultiplied[y, x, 0] = red
            g_premultiplied[y, x, 1] = green
            g_premultiplied[y, x, 2] = blue
            g_alphas[y, x] = -background * (red + green + blue)
