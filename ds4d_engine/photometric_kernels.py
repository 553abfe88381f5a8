# SPDX-License-Identifier: GPL-3.0-or-later
"""Numba kernels of the sRGB transfer functions and of the photometric loss with its gradient.

The loss streams over image rows once: rings of eleven rows hold all that SSIM's windows and
their gradient reach back to, so that nothing of the image's size is written but the result.
A row holds its three colour planes one after the other, so that vertical filters are one
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


@inlined
def _not_finite(x):  # type: ignore[no-untyped-def]
    return x - x != ZERO


@inlined
def _encode(v):  # type: ignore[no-untyped-def]
    """Return the sRGB code of v; what is not finite stays as it is, to be seen."""
    curve = SCALE * _power(max(v, ENCODE_LIMIT), UNGAMMA) - OFFSET
    code = SLOPE * v if v <= ENCODE_LIMIT else curve
    return v if _not_finite(v) else code


@inlined
def _encode_slope(v, code):  # type: ignore[no-untyped-def]
    slope = UNGAMMA * (code + OFFSET) / max(v, ENCODE_LIMIT)
    return SLOPE if v <= ENCODE_LIMIT else slope


@kernel
def encode_forward(start, stop, x, y):  # type: ignore[no-untyped-def]
    """Write the sRGB code of linear x [n] to y [n]."""
    for i in range(start, stop):
        y[i] = _encode(x[i])


@kernel
def encode_backward(start, stop, x, y, g_y, g_x):  # type: ignore[no-untyped-def]
    """Write the gradient of `encode_forward` to g_x [n]."""
    for i in range(start, stop):
        g_x[i] = g_y[i] * _encode_slope(x[i], y[i])


@kernel
def decode_forward(start, stop, x, y):  # type: ignore[no-untyped-def]
    """Write the linear value of sRGB codes x [n] to y [n]."""
    for i in range(start, stop):
        v = x[i]
        curve = _power((max(v, DECODE_LIMIT) + OFFSET) * UNSCALE, GAMMA)
        linear = UNSLOPE * v if v <= DECODE_LIMIT else curve
        y[i] = v if _not_finite(v) else linear


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
        W0 * (a0 + a10)
        + W1 * (a1 + a9)
        + W2 * (a2 + a8)
        + W3 * (a3 + a7)
        + W4 * (a4 + a6)
        + W5 * a5
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
def _filter_down(ring, top, target):  # type: ignore[no-untyped-def]
    """Filter down the columns of a ring of 11 rows whose first row lies at `top` % 11."""
    r0 = ring[top % WINDOW]
    r1 = ring[(top + 1) % WINDOW]
    r2 = ring[(top + 2) % WINDOW]
    r3 = ring[(top + 3) % WINDOW]
    r4 = ring[(top + 4) % WINDOW]
    r5 = ring[(top + 5) % WINDOW]
    r6 = ring[(top + 6) % WINDOW]
    r7 = ring[(top + 7) % WINDOW]
    r8 = ring[(top + 8) % WINDOW]
    r9 = ring[(top + 9) % WINDOW]
    r10 = ring[(top + 10) % WINDOW]
    for x in range(target.shape[0]):
        target[x] = _taps(
            r0[x], r1[x], r2[x], r3[x], r4[x], r5[x], r6[x], r7[x], r8[x], r9[x], r10[x]
        )


@kernel
def _compose(premultiplied, alphas, target, background, linear, row, other, slopes):  # type: ignore[no-untyped-def]
    """Composite and encode one row; return its sum of |difference|.

    Writes row and other [3W] (encoded composite and target) and slopes [3W] (the derivative
    of the encoding). `background` is in the space of `premultiplied`.
    """
    width = alphas.shape[0]
    for c in range(3):
        base = c * width
        for x in range(width):
            row[base + x] = premultiplied[x, c] + (ONE - alphas[x]) * background
            other[base + x] = target[x, c]
    if linear:
        for x in range(3 * width):
            v = row[x]
            code = _encode(v)
            row[x] = code
            slopes[x] = _encode_slope(v, code)
    else:
        for x in range(3 * width):
            slopes[x] = ONE
    total = ZERO
    for x in range(3 * width):
        total += abs(row[x] - other[x])
    return total


@kernel
def _compare(filtered, spread):  # type: ignore[no-untyped-def]
    """Return the sum of SSIM over one row of windows.

    `filtered` [4,3(W-10)] are the means of a, b, a^2 + b^2 and ab. Writes to spread
    [3,3,W+10], between margins of ten zeros, SSIM's derivatives by the means of a, a^2, ab.
    """
    inner = filtered.shape[1] // 3
    total = ZERO
    for c in range(3):
        f0 = filtered[0, c * inner : (c + 1) * inner]
        f1 = filtered[1, c * inner : (c + 1) * inner]
        f2 = filtered[2, c * inner : (c + 1) * inner]
        f3 = filtered[3, c * inner : (c + 1) * inner]
        by_mean = spread[0, c, EDGE:]
        by_square = spread[1, c, EDGE:]
        by_product = spread[2, c, EDGE:]
        for x in range(inner):
            mean_a = f0[x]
            mean_b = f1[x]
            squares = mean_a * mean_a + mean_b * mean_b
            product = mean_a * mean_b
            a1 = TWO * product + SSIM_C1
            a2 = TWO * (f3[x] - product) + SSIM_C2
            b1 = squares + SSIM_C1
            b2 = f2[x] - squares + SSIM_C2
            inverse = ONE / (b1 * b2)
            s = a1 * a2 * inverse
            total += s
            g_square = -s * b1 * inverse
            g_product = TWO * a1 * inverse
            by_square[x] = g_square
            by_product[x] = g_product
            by_mean[x] = (
                TWO * inverse * (mean_b * a2 - mean_a * s * b2)
                - TWO * mean_a * g_square
                - mean_b * g_product
            )
    return total


@kernel
def _gather(  # type: ignore[no-untyped-def]
    row, other, slopes, gathered, background, l1_weight, ssim_weight, g_premultiplied, g_alphas
):
    """Write the gradient of one row from SSIM's derivatives [3,3W] by a, a^2 and ab."""
    width = g_alphas.shape[0]
    by_mean = gathered[0]
    by_square = gathered[1]
    by_product = gathered[2]
    for x in range(3 * width):
        a = row[x]
        b = other[x]
        sign = l1_weight if a > b else -l1_weight
        sign = ZERO if a == b else sign
        by_ssim = by_mean[x] + TWO * a * by_square[x] + b * by_product[x]
        row[x] = slopes[x] * (sign + ssim_weight * by_ssim)
    for x in range(width):
        red = row[x]
        green = row[width + x]
        blue = row[2 * width + x]
        g_premultiplied[x, 0] = red
        g_premultiplied[x, 1] = green
        g_premultiplied[x, 2] = blue
        g_alphas[x] = -background * (red + green + blue)


@kernel
def loss_rows(  # type: ignore[no-untyped-def]
    start, stop, premultiplied, alphas, target, background, linear, l1_weight, ssim_weight,
    absolute, similarity, g_premultiplied, g_alphas,
):  # fmt: skip
    """Compare rows start..stop-1 of a render with a target, and write the loss's gradient.

    The weights multiply the sums of |difference| and of SSIM; a `ssim_weight` of 0 leaves
    SSIM out, and an empty `g_alphas` the gradient. `background` is in the space of
    `premultiplied`. Writes absolute [H] (sum of |difference| of a row) and similarity [H-10]
    (sum of SSIM of a row of windows). Reads ten rows more on either side.
    """
    height, width = alphas.shape
    inner = width - EDGE
    with_ssim = ssim_weight != ZERO
    with_gradient = g_alphas.shape[0] > 0
    image = np.empty((WINDOW, 3 * width), np.float32)
    wanted = np.empty((WINDOW, 3 * width), np.float32)
    slopes = np.empty((WINDOW, 3 * width), np.float32)
    squares = np.empty(3 * width, np.float32)
    products = np.empty(3 * width, np.float32)
    across = 3 * inner if with_ssim else 0
    moments = np.empty((4, WINDOW, across), np.float32)
    filtered = np.empty((4, across), np.float32)
    spread = np.zeros((3, 3, inner + 2 * EDGE if with_ssim else 0), np.float32)
    influence = np.zeros((3, WINDOW, 3 * width), np.float32)
    gathered = np.zeros((3, 3 * width), np.float32)
    first = max(start - EDGE, 0) if with_ssim else start
    for y in range(first, stop + EDGE):
        slot = y % WINDOW
        if y < height:
            row = image[slot]
            other = wanted[slot]
            total = _compose(
                premultiplied[y], alphas[y], target[y], background, linear, row, other,
                slopes[slot],
            )  # fmt: skip
            if y >= start and y < stop:
                absolute[y] = total
        if with_ssim and y < height:
            for x in range(3 * width):
                a = row[x]
                b = other[x]
                squares[x] = a * a + b * b
                products[x] = a * b
            for c in range(3):
                here = slice(c * width, (c + 1) * width)
                there = slice(c * inner, (c + 1) * inner)
                _filter_along(row[here], moments[0, slot, there], inner)
                _filter_along(other[here], moments[1, slot, there], inner)
                _filter_along(squares[here], moments[2, slot, there], inner)
                _filter_along(products[here], moments[3, slot, there], inner)
        # The row of windows that this row completes; they begin ten rows up.
        window = y - EDGE
        if window < first:
            continue
        if with_ssim and y < height:
            for m in range(4):
                _filter_down(moments[m], window, filtered[m])
            total = _compare(filtered, spread)
            if window >= start:
                similarity[window] = total
            if with_gradient:
                for m in range(3):
                    for c in range(3):
                        _filter_along(
                            spread[m, c],
                            influence[m, window % WINDOW, c * width : (c + 1) * width],
                            width,
                        )
        elif with_ssim:
            influence[:, window % WINDOW] = ZERO
        if with_gradient and window >= start:
            if with_ssim:
                for m in range(3):
                    _filter_down(influence[m], window + 1, gathered[m])
            _gather(
                image[window % WINDOW], wanted[window % WINDOW], slopes[window % WINDOW],
                gathered, background, l1_weight, ssim_weight,
                g_premultiplied[window], g_alphas[window],
            )  # fmt: skip
