# SPDX-License-Identifier: GPL-3.0-or-later
"""Numba kernels that composite projected splats in 8x8 pixel tiles, forward and backward.

A tile's state lives in one flat workspace of 64-entry planes, and one flat loop runs over the
rows a splat touches: this is the form that the compiler vectorises.

Kernels are longer than other functions, and take more parameters, because every call and
every intermediate array inside them would cost more than the arithmetic.
"""

from __future__ import annotations

import numpy as np

from ds4d_engine.raster import conventions
from ds4d_engine.raster.binning_kernels import FUSED, PARAMETERS, SHIFT, TILE
from ds4d_engine.raster.jit import F32, HALF, ONE, U64, ZERO, inlined, kernel

PIXELS = TILE * TILE

ALPHA_MIN = F32(conventions.ALPHA_MIN)
ALPHA_MAX = F32(conventions.ALPHA_MAX)
STOP = F32(conventions.TRANSMITTANCE_STOP)

CHECK_EVERY = 16
"""Splats between two looks at whether a whole tile has become opaque."""

NEVER = np.int32(1 << 30)
FIRST = np.int32(0)
EIGHTH = F32(0.125)
QUARTER = F32(0.25)

THREE = U64(3)

# Planes of a workspace.
P1, P2, P3, P4, P5, P6, P7, P8, P9 = (U64(PIXELS * plane) for plane in range(1, 10))

# exp(4y) for -1.4 <= y <= 0 (below, at -ln 255 / 4 = -1.385, alpha is under the cut-off): a
# polynomial raised to the fourth power. Relative error below 3e-6 (of rounding).
Y_MIN = F32(-1.4)


def _exp_coefficients() -> list[np.float32]:
    low, high, degree = -1.42, 0.0, 7
    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    y = (nodes * (high - low) + high + low) / 2
    return [F32(c) for c in np.polynomial.polynomial.polyfit(y, np.exp(y), degree)]


E0, E1, E2, E3, E4, E5, E6, E7 = _exp_coefficients()


@inlined
def _exp4(y):  # type: ignore[no-untyped-def]
    """Return exp(4y). Above 0, where only rounding leads, it is right too."""
    y = y if y > Y_MIN else Y_MIN
    p = ((((((E7 * y + E6) * y + E5) * y + E4) * y + E3) * y + E2) * y + E1) * y + E0
    p = p * p
    return p * p


@inlined
def _pixel_range(row_start, row_stop):  # type: ignore[no-untyped-def]
    """Return the first and last+1 lane of a tile's rows: whole rows, so vectors leave no rest."""
    return U64(max(row_start, 0) * TILE), U64(min(row_stop, TILE) * TILE)


@inlined
def _slot(boxes, k, row, column):  # type: ignore[no-untyped-def]
    """Return where splat k leaves the gradient that it gets in one tile."""
    left = boxes[k, 0] >> SHIFT
    wide = ((boxes[k, 1] - 1) >> SHIFT) + 1 - left
    return boxes[k, 4] + (row - (boxes[k, 2] >> SHIFT)) * wide + column - left


@inlined
def _latest(stopped):  # type: ignore[no-untyped-def]
    latest = FIRST
    for i in range(PIXELS):
        latest = max(latest, stopped[U64(i)])
    return latest


@inlined
def _place_pixels(ws, stopped, top, left, height, width):  # type: ignore[no-untyped-def]
    """Start a tile: full transmittance, pixel centres; pixels outside the image have ended."""
    for i in range(PIXELS):
        row = top + i // TILE
        column = left + i % TILE
        stopped[U64(i)] = NEVER if (row < height and column < width) else FIRST
        ws[U64(i)] = ONE
        ws[P1 + U64(i)] = ZERO
        ws[P2 + U64(i)] = F32(column) + HALF
        ws[P3 + U64(i)] = F32(row) + HALF


@kernel
def composite_forward(  # type: ignore[no-untyped-def]
    from_tile, to_tile, packed, boxes, tile_ends, entries, width, height, colors, alphas, depths,
    stops,
):  # fmt: skip
    """Composite tiles from_tile..to_tile-1 front to back.

    Writes colors [H,W,C], alphas [H,W], depths [H,W] unless it is empty, and stops [H,W]: the
    entry of its tile at which a pixel became opaque, or NEVER.
    """
    across = (width + TILE - 1) // TILE
    planes = packed.shape[1] - PARAMETERS
    channels = colors.shape[2]
    flat_colors = colors.reshape(-1)
    flat_alphas = alphas.reshape(-1)
    flat_stops = stops.reshape(-1)
    # Planes: transmittance, weight, x, y, then the sum of each channel.
    ws = np.empty(PIXELS * (4 + planes), np.float32)
    stopped = np.empty(PIXELS, np.int32)
    for t in range(from_tile, to_tile):
        top = (t // across) * TILE
        left = (t % across) * TILE
        _place_pixels(ws, stopped, top, left, height, width)
        for i in range(PIXELS * planes):
            ws[P4 + U64(i)] = ZERO
        begin = tile_ends[t]
        for entry in range(begin, tile_ends[t + 1]):
            k = entries[entry]
            x = packed[k, 0]
            y = packed[k, 1]
            a = EIGHTH * packed[k, 2]
            b = QUARTER * packed[k, 3]
            c = EIGHTH * packed[k, 4]
            opacity = packed[k, 5]
            red = packed[k, 6]
            green = packed[k, 7]
            blue = packed[k, 8]
            start, stop = _pixel_range(boxes[k, 2] - top, boxes[k, 3] - top)
            e = np.int32(entry - begin)
            for i in range(start, stop):
                dx = x - ws[P2 + i]
                dy = y - ws[P3 + i]
                alpha = opacity * _exp4(-(dx * (a * dx + b * dy) + c * dy * dy))
                alpha = alpha if alpha < ALPHA_MAX else ALPHA_MAX
                left_over = ws[i]
                seen = alpha >= ALPHA_MIN
                ended = e if seen & (left_over * (ONE - alpha) <= STOP) else NEVER
                # A minimum of integers: one of floats, like an assignment under a condition, is
                # compiled to a masked store, which the next splat's load has to wait for.
                until = min(stopped[i], ended)
                weight = alpha * left_over if seen & (until > e) else ZERO
                stopped[i] = until
                ws[P1 + i] = weight
                ws[i] = left_over - weight
                ws[P4 + i] += weight * red
                ws[P5 + i] += weight * green
                ws[P6 + i] += weight * blue
            for p in range(FUSED, planes):
                value = packed[k, PARAMETERS + p]
                plane = P4 + U64(p * PIXELS)
                for i in range(start, stop):
                    ws[plane + i] += value * ws[P1 + i]
            if int(entry - begin) % CHECK_EVERY == CHECK_EVERY - 1 and _latest(stopped) < NEVER:
                break
        columns = U64(min(TILE, width - left))
        for row in range(min(TILE, height - top)):
            lane = U64(row * TILE)
            at = U64((top + row) * width + left)
            for j in range(columns):
                flat_alphas[at + j] = ONE - ws[lane + j]
                flat_stops[at + j] = stopped[lane + j]
            if channels == FUSED:  # a stride that the compiler knows
                for j in range(columns):
                    flat_colors[(at + j) * THREE] = ws[P4 + lane + j]
                    flat_colors[(at + j) * THREE + U64(1)] = ws[P5 + lane + j]
                    flat_colors[(at + j) * THREE + U64(2)] = ws[P6 + lane + j]
            else:
                for p in range(channels):
                    plane = P4 + U64(p * PIXELS) + lane
                    for j in range(columns):
                        flat_colors[(at + j) * U64(channels) + U64(p)] = ws[plane + j]
            if depths.shape[0] > 0:
                plane = P4 + U64(channels * PIXELS) + lane
                for j in range(columns):
                    depths[top + row, left + j] = ws[plane + j]


@kernel
def composite_backward(  # type: ignore[no-untyped-def]
    from_tile, to_tile, packed, boxes, tile_ends, entries, width, height, colors, alphas, depths,
    stops, g_colors, g_alphas, g_depths, gradients, with_absolute,
):  # fmt: skip
    """Write one row of `gradients` per entry of tiles from_tile..to_tile-1.

    Columns: x, y, conic (3), opacity, channels, and with `with_absolute` the sums over pixels
    of |x| and |y|. Runs front to back too: what lies behind a splat is the finished pixel
    minus what was composited so far.
    """
    across = (width + TILE - 1) // TILE
    planes = packed.shape[1] - PARAMETERS
    channels = colors.shape[2]
    flat_colors = colors.reshape(-1)
    flat_alphas = alphas.reshape(-1)
    flat_stops = stops.reshape(-1)
    flat_g_colors = g_colors.reshape(-1)
    flat_g_alphas = g_alphas.reshape(-1)
    # Planes: transmittance, gradient times what lies behind, x, y, weight, gradient of
    # the exponent, gradient times the channels beyond the third, then each channel's gradient.
    ws = np.empty(PIXELS * (7 + planes), np.float32)
    stopped = np.empty(PIXELS, np.int32)
    for t in range(from_tile, to_tile):
        begin = tile_ends[t]
        end = tile_ends[t + 1]
        if begin == end:
            continue
        top = (t // across) * TILE
        left = (t % across) * TILE
        _place_pixels(ws, stopped, top, left, height, width)
        for i in range(PIXELS * (1 + planes)):
            ws[P6 + U64(i)] = ZERO
        columns = U64(min(TILE, width - left))
        for row in range(min(TILE, height - top)):
            lane = U64(row * TILE)
            at = U64((top + row) * width + left)
            for j in range(columns):
                stopped[lane + j] = flat_stops[at + j]
                ws[P1 + lane + j] = (flat_alphas[at + j] - ONE) * flat_g_alphas[at + j]
            if channels == FUSED:  # a stride that the compiler knows
                for j in range(columns):
                    g_red = flat_g_colors[(at + j) * THREE]
                    g_green = flat_g_colors[(at + j) * THREE + U64(1)]
                    g_blue = flat_g_colors[(at + j) * THREE + U64(2)]
                    ws[P7 + lane + j] = g_red
                    ws[P8 + lane + j] = g_green
                    ws[P9 + lane + j] = g_blue
                    ws[P1 + lane + j] += (
                        g_red * flat_colors[(at + j) * THREE]
                        + g_green * flat_colors[(at + j) * THREE + U64(1)]
                        + g_blue * flat_colors[(at + j) * THREE + U64(2)]
                    )
            else:
                for p in range(channels):
                    plane = P7 + U64(p * PIXELS) + lane
                    for j in range(columns):
                        g = flat_g_colors[(at + j) * U64(channels) + U64(p)]
                        ws[plane + j] = g
                        ws[P1 + lane + j] += g * flat_colors[(at + j) * U64(channels) + U64(p)]
            if depths.shape[0] > 0:
                plane = P7 + U64(channels * PIXELS) + lane
                for j in range(columns):
                    g = g_depths[top + row, left + j]
                    ws[plane + j] = g
                    ws[P1 + lane + j] += g * depths[top + row, left + j]
        bound = min(end, begin + np.int64(_latest(stopped)))
        for entry in range(begin, bound):
            k = entries[entry]
            x = packed[k, 0]
            y = packed[k, 1]
            ca = packed[k, 2]
            cb = packed[k, 3]
            cc = packed[k, 4]
            a = EIGHTH * ca
            b = QUARTER * cb
            c = EIGHTH * cc
            opacity = packed[k, 5]
            red = packed[k, 6]
            green = packed[k, 7]
            blue = packed[k, 8]
            start, stop = _pixel_range(boxes[k, 2] - top, boxes[k, 3] - top)
            e = np.int32(entry - begin)
            if planes > FUSED:
                for i in range(start, stop):
                    ws[P6 + i] = ZERO
                for p in range(FUSED, planes):
                    value = packed[k, PARAMETERS + p]
                    plane = P7 + U64(p * PIXELS)
                    for i in range(start, stop):
                        ws[P6 + i] += value * ws[plane + i]
            sum_1 = ZERO
            sum_x = ZERO
            sum_y = ZERO
            sum_xx = ZERO
            sum_xy = ZERO
            sum_yy = ZERO
            sum_red = ZERO
            sum_green = ZERO
            sum_blue = ZERO
            for i in range(start, stop):
                dx = x - ws[P2 + i]
                dy = y - ws[P3 + i]
                raw = opacity * _exp4(-(dx * (a * dx + b * dy) + c * dy * dy))
                alpha = raw if raw < ALPHA_MAX else ALPHA_MAX
                left_over = ws[i]
                alive = (alpha >= ALPHA_MIN) & (stopped[i] > e)
                weight = alpha * left_over if alive else ZERO
                g_red = ws[P7 + i]
                g_green = ws[P8 + i]
                g_blue = ws[P9 + i]
                g_value = ws[P6 + i] + red * g_red + green * g_green + blue * g_blue
                behind = ws[P1 + i] - weight * g_value
                g_alpha = left_over * g_value - behind / (ONE - alpha)
                g_s = raw * g_alpha if alive & (raw <= ALPHA_MAX) else ZERO
                ws[i] = left_over - weight
                ws[P1 + i] = behind
                ws[P4 + i] = weight
                ws[P5 + i] = g_s
                sum_red += weight * g_red
                sum_green += weight * g_green
                sum_blue += weight * g_blue
                g_x = g_s * dx
                g_y = g_s * dy
                sum_1 += g_s
                sum_x += g_x
                sum_y += g_y
                sum_xx += g_x * dx
                sum_xy += g_x * dy
                sum_yy += g_y * dy
            slot = _slot(boxes, k, t // across, t % across)
            gradients[slot, 0] = -(ca * sum_x + cb * sum_y)
            gradients[slot, 1] = -(cb * sum_x + cc * sum_y)
            gradients[slot, 2] = -HALF * sum_xx
            gradients[slot, 3] = -sum_xy
            gradients[slot, 4] = -HALF * sum_yy
            gradients[slot, 5] = sum_1 / opacity
            gradients[slot, 6] = sum_red
            gradients[slot, 7] = sum_green
            gradients[slot, 8] = sum_blue
            for p in range(FUSED, planes):
                total = ZERO
                plane = P7 + U64(p * PIXELS)
                for i in range(start, stop):
                    total += ws[P4 + i] * ws[plane + i]
                gradients[slot, PARAMETERS + p] = total
            if with_absolute:
                abs_x = ZERO
                abs_y = ZERO
                for i in range(start, stop):
                    dx = x - ws[P2 + i]
                    dy = y - ws[P3 + i]
                    g_s = ws[P5 + i]
                    abs_x += abs(g_s * (ca * dx + cb * dy))
                    abs_y += abs(g_s * (cb * dx + cc * dy))
                gradients[slot, PARAMETERS + planes] = abs_x
                gradients[slot, PARAMETERS + planes + 1] = abs_y
        for entry in range(max(bound, begin), end):
            slot = _slot(boxes, entries[entry], t // across, t % across)
            for column in range(gradients.shape[1]):
                gradients[slot, column] = ZERO


@kernel
def gather_gradients(  # type: ignore[no-untyped-def]
    start,
    stop,
    splat_ids,
    slot_ends,
    gradients,
    g_means2d,
    g_conics,
    g_opacities,
    g_colors,
    g_depths,
    absgrad,
):
    """Sum the entries of drawn splats start..stop-1, always in the same order."""
    channels = g_colors.shape[1]
    columns = gradients.shape[1]
    total = np.empty(columns, np.float32)
    for k in range(start, stop):
        total[:] = ZERO
        for slot in range(slot_ends[k], slot_ends[k + 1]):
            for column in range(columns):
                total[column] += gradients[slot, column]
        i = splat_ids[k]
        g_means2d[i, 0] = total[0]
        g_means2d[i, 1] = total[1]
        g_conics[i, 0] = total[2]
        g_conics[i, 1] = total[3]
        g_conics[i, 2] = total[4]
        g_opacities[i] = total[5]
        for channel in range(channels):
            g_colors[i, channel] = total[PARAMETERS + channel]
        if g_depths.shape[0] > 0:
            g_depths[i] = total[PARAMETERS + channels]
        if absgrad.shape[0] > 0:
            absgrad[i, 0] = total[columns - 2]
            absgrad[i, 1] = total[columns - 1]
