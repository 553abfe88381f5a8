# SPDX-License-Identifier: GPL-3.0-or-later
"""Numba kernels that composite projected splats in 8x8 pixel tiles, forward and backward.

A tile's state lives in one flat workspace of 64-entry planes, and one flat loop runs over the
rows a splat touches: this is the form that the compiler vectorises.

Kernels are longer than other functions, and take more parameters, because every call and
every intermediate array inside them would cost more than the arithmetic.
"""

from __future__ import annotations

import math

import numpy as np

from ds4d_engine.raster import conventions
from ds4d_engine.raster.jit import F32, HALF, ONE, TWO, U64, ZERO, inlined, kernel

TILE = 8
PIXELS = 64
PARAMETERS = 6
"""Columns of a packed splat before its channels: x, y, conic (3), opacity."""

ALPHA_MIN = F32(conventions.ALPHA_MIN)
ALPHA_MAX = F32(conventions.ALPHA_MAX)
STOP = F32(conventions.TRANSMITTANCE_STOP)

# Planes of the workspace.
P1 = U64(64)
P2 = U64(128)
P3 = U64(192)
P4 = U64(256)
P5 = U64(320)
P6 = U64(384)
P7 = U64(448)

# exp(-s) for 0 <= s <= 5.6 (beyond ln 255 = 5.54 alpha is below the cut-off): a polynomial in
# y = -s/4, raised to the fourth power. Relative error below 1e-6.
S_MAX = F32(5.6)
MINUS_QUARTER = F32(-0.25)


def _exp_coefficients() -> list[np.float32]:
    low, high, degree = -1.42, 0.0, 7
    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    y = (nodes * (high - low) + high + low) / 2
    return [F32(c) for c in np.polynomial.polynomial.polyfit(y, np.exp(y), degree)]


E0, E1, E2, E3, E4, E5, E6, E7 = _exp_coefficients()


@inlined
def _exp_minus(s):  # type: ignore[no-untyped-def]
    y = MINUS_QUARTER * (s if s < S_MAX else S_MAX)
    p = ((((((E7 * y + E6) * y + E5) * y + E4) * y + E3) * y + E2) * y + E1) * y + E0
    p = p * p
    return p * p


@kernel
def _order_by_key(keys):  # type: ignore[no-untyped-def]
    """Return the stable order of uint32 `keys`: a radix sort, 11 bits a pass."""
    n = keys.shape[0]
    source = np.empty(n, np.int32)
    target = np.empty(n, np.int32)
    for i in range(n):
        source[i] = i
    heads = np.empty(2048, np.int64)
    for step in range(3):
        shift = np.uint32(11 * step)
        heads[:] = 0
        for i in range(n):
            heads[(keys[i] >> shift) & np.uint32(2047)] += 1
        total = 0
        for b in range(2048):
            size = heads[b]
            heads[b] = total
            total += size
        for i in range(n):
            j = source[i]
            b = (keys[j] >> shift) & np.uint32(2047)
            target[heads[b]] = j
            heads[b] += 1
        source, target = target, source
    return source


@kernel
def bin_splats(  # type: ignore[no-untyped-def]
    means2d, conics, opacities, colors, depths, depth_bits, radii, with_depth, width, height
):
    """Sort the drawn splats front to back and list the tiles that each touches.

    `depth_bits` are the depths' bits as uint32: for positive floats the order is the same.

    Returns:
        splat_ids [n] of the n drawn splats, front to back; packed [n,6+channels];
        boxes [n,4] pixel columns and rows x0, x1, y0, y1; tile_ends [tiles+1]: tile t owns
        entries tile_ends[t]..tile_ends[t+1]-1 of `entries` (positions in splat_ids) and
        `slots` (where the entry's gradient goes); slot_ends [n+1]: splat k owns the slots
        slot_ends[k]..slot_ends[k+1]-1.
    """
    count = means2d.shape[0]
    across = (width + TILE - 1) // TILE
    down = (height + TILE - 1) // TILE
    drawn = np.empty(count, np.int32)
    n = 0
    for i in range(count):
        if radii[i, 0] > 0:
            drawn[n] = i
            n += 1
    keys = np.empty(n, np.uint32)
    for i in range(n):
        keys[i] = depth_bits[drawn[i]]
    order = _order_by_key(keys)
    channels = colors.shape[1]
    splat_ids = np.empty(n, np.int32)
    boxes = np.empty((n, 4), np.int32)
    packed = np.empty((n, PARAMETERS + channels + (1 if with_depth else 0)), np.float32)
    slot_ends = np.empty(n + 1, np.int64)
    slot_ends[0] = 0
    tile_ends = np.zeros(across * down + 1, np.int64)
    for k in range(n):
        i = drawn[order[k]]
        splat_ids[k] = i
        x = means2d[i, 0]
        y = means2d[i, 1]
        a = conics[i, 0]
        b = conics[i, 1]
        c = conics[i, 2]
        opacity = opacities[i]
        packed[k, 0] = x
        packed[k, 1] = y
        packed[k, 2] = a
        packed[k, 3] = b
        packed[k, 4] = c
        packed[k, 5] = opacity
        for channel in range(channels):
            packed[k, PARAMETERS + channel] = colors[i, channel]
        if with_depth:
            packed[k, PARAMETERS + channels] = depths[i]
        # The exact extent of alpha >= ALPHA_MIN, a little wider against rounding.
        reach = TWO * math.log(max(opacity / ALPHA_MIN, ONE)) * F32(1.0002) + F32(1e-5)
        reach /= a * c - b * b
        ex = math.sqrt(reach * c) + F32(1e-3)
        ey = math.sqrt(reach * a) + F32(1e-3)
        x0 = int(math.ceil(max(x - ex - HALF, ZERO)))
        x1 = int(math.floor(min(x + ex - HALF, F32(width - 1)))) + 1
        y0 = int(math.ceil(max(y - ey - HALF, ZERO)))
        y1 = int(math.floor(min(y + ey - HALF, F32(height - 1)))) + 1
        boxes[k, 0] = x0
        boxes[k, 1] = x1
        boxes[k, 2] = y0
        boxes[k, 3] = y1
        touched = 0
        if x1 > x0 and y1 > y0:
            for ty in range(y0 // TILE, (y1 - 1) // TILE + 1):
                for tx in range(x0 // TILE, (x1 - 1) // TILE + 1):
                    tile_ends[ty * across + tx + 1] += 1
                    touched += 1
        slot_ends[k + 1] = slot_ends[k] + touched
    for t in range(across * down):
        tile_ends[t + 1] += tile_ends[t]
    entries = np.empty(slot_ends[n], np.int32)
    slots = np.empty(slot_ends[n], np.int32)
    cursors = tile_ends[:-1].copy()
    slot = 0
    for k in range(n):
        x0 = boxes[k, 0]
        x1 = boxes[k, 1]
        y0 = boxes[k, 2]
        y1 = boxes[k, 3]
        if x1 > x0 and y1 > y0:
            for ty in range(y0 // TILE, (y1 - 1) // TILE + 1):
                for tx in range(x0 // TILE, (x1 - 1) // TILE + 1):
                    t = ty * across + tx
                    entries[cursors[t]] = k
                    slots[cursors[t]] = slot
                    cursors[t] += 1
                    slot += 1
    return splat_ids, packed, boxes, tile_ends, entries, slots, slot_ends


@kernel
def composite_forward(  # type: ignore[no-untyped-def]
    first, tiles, step, packed, boxes, tile_ends, entries, width, height, colors, alphas, depths
):
    """Composite tiles first, first+step, ... front to back.

    Writes colors [H,W,C], alphas [H,W] and, where a splat has one channel more than C,
    depths [H,W].
    """
    across = (width + TILE - 1) // TILE
    planes = packed.shape[1] - PARAMETERS
    channels = colors.shape[2]
    # Planes: transmittance, live (0 or 1), weight, column, row.
    ws = np.empty(PIXELS * 5, np.float32)
    for i in range(PIXELS):
        ws[192 + i] = F32(i % TILE)
        ws[256 + i] = F32(i // TILE)
    sums = np.empty(PIXELS * planes, np.float32)
    for t in range(first, tiles, step):
        top = (t // across) * TILE
        left = (t % across) * TILE
        for i in range(2 * PIXELS):
            ws[i] = ONE
        for i in range(PIXELS * planes):
            sums[i] = ZERO
        begin = tile_ends[t]
        for entry in range(begin, tile_ends[t + 1]):
            k = entries[entry]
            a = HALF * packed[k, 2]
            b = packed[k, 3]
            c = HALF * packed[k, 4]
            opacity = packed[k, 5]
            start = U64(max(boxes[k, 2] - top, 0) * TILE)
            stop = U64(min(boxes[k, 3] - top, TILE) * TILE)
            x = packed[k, 0] - F32(left) - HALF
            y = packed[k, 1] - F32(top) - HALF
            for i in range(start, stop):
                dx = x - ws[P3 + i]
                dy = y - ws[P4 + i]
                s = a * dx * dx + b * dx * dy + c * dy * dy
                alpha = opacity * _exp_minus(s)
                alpha = alpha if alpha < ALPHA_MAX else ALPHA_MAX
                left_over = ws[i]
                seen = (alpha >= ALPHA_MIN) & (s >= ZERO)
                ends = seen & (left_over * (ONE - alpha) <= STOP)
                live = ws[P1 + i]
                live = ZERO if ends else live
                weight = alpha * left_over * live if seen else ZERO
                ws[P1 + i] = live
                ws[P2 + i] = weight
                ws[i] = left_over - weight
            for channel in range(planes):
                value = packed[k, PARAMETERS + channel]
                plane = U64(channel * PIXELS)
                for i in range(start, stop):
                    sums[plane + i] += value * ws[P2 + i]
            if (entry - begin) & 15 == 15:
                most = ZERO
                for i in range(PIXELS):
                    most = max(most, ws[P1 + U64(i)])
                if most == ZERO:
                    break
        for row in range(min(TILE, height - top)):
            for column in range(min(TILE, width - left)):
                i = row * TILE + column
                alphas[top + row, left + column] = ONE - ws[i]
                for channel in range(channels):
                    colors[top + row, left + column, channel] = sums[channel * PIXELS + i]
                if planes > channels:
                    depths[top + row, left + column] = sums[channels * PIXELS + i]


@kernel
def composite_backward(  # type: ignore[no-untyped-def]
    first,
    tiles,
    step,
    packed,
    boxes,
    tile_ends,
    entries,
    slots,
    width,
    height,
    colors,
    alphas,
    depths,
    g_colors,
    g_alphas,
    g_depths,
    gradients,
    with_absolute,
):
    """Write one row of `gradients` per entry of tiles first, first+step, ...

    Columns: x, y, conic (3), opacity, channels, and with `with_absolute` the sums over pixels
    of |x| and |y|. Runs front to back too: what lies behind a splat is the finished pixel
    minus what was composited so far.
    """
    across = (width + TILE - 1) // TILE
    planes = packed.shape[1] - PARAMETERS
    channels = colors.shape[2]
    # Planes: transmittance, live, gradient times what lies behind, gradient times the
    # splat's channels, column, row, weight, gradient of the exponent.
    ws = np.empty(PIXELS * 8, np.float32)
    for i in range(PIXELS):
        ws[256 + i] = F32(i % TILE)
        ws[320 + i] = F32(i // TILE)
    g_planes = np.empty(PIXELS * planes, np.float32)
    for t in range(first, tiles, step):
        begin = tile_ends[t]
        end = tile_ends[t + 1]
        if begin == end:
            continue
        top = (t // across) * TILE
        left = (t % across) * TILE
        for i in range(PIXELS):
            ws[i] = ONE
        for i in range(PIXELS, 3 * PIXELS):
            ws[i] = ZERO
        for i in range(PIXELS * planes):
            g_planes[i] = ZERO
        for row in range(min(TILE, height - top)):
            for column in range(min(TILE, width - left)):
                i = row * TILE + column
                h = top + row
                w = left + column
                behind = (alphas[h, w] - ONE) * g_alphas[h, w]
                for channel in range(channels):
                    g = g_colors[h, w, channel]
                    g_planes[channel * PIXELS + i] = g
                    behind += g * colors[h, w, channel]
                if planes > channels:
                    g_planes[channels * PIXELS + i] = g_depths[h, w]
                    behind += g_depths[h, w] * depths[h, w]
                ws[64 + i] = ONE
                ws[128 + i] = behind
        entry = begin
        while entry < end:
            k = entries[entry]
            ca = packed[k, 2]
            b = packed[k, 3]
            cc = packed[k, 4]
            a = HALF * ca
            c = HALF * cc
            opacity = packed[k, 5]
            start = U64(max(boxes[k, 2] - top, 0) * TILE)
            stop = U64(min(boxes[k, 3] - top, TILE) * TILE)
            x = packed[k, 0] - F32(left) - HALF
            y = packed[k, 1] - F32(top) - HALF
            for i in range(start, stop):
                ws[P3 + i] = ZERO
            for channel in range(planes):
                value = packed[k, PARAMETERS + channel]
                plane = U64(channel * PIXELS)
                for i in range(start, stop):
                    ws[P3 + i] += value * g_planes[plane + i]
            sum_1 = ZERO
            sum_x = ZERO
            sum_y = ZERO
            sum_xx = ZERO
            sum_xy = ZERO
            sum_yy = ZERO
            for i in range(start, stop):
                dx = x - ws[P4 + i]
                dy = y - ws[P5 + i]
                s = a * dx * dx + b * dx * dy + c * dy * dy
                raw = opacity * _exp_minus(s)
                alpha = raw if raw < ALPHA_MAX else ALPHA_MAX
                left_over = ws[i]
                seen = (alpha >= ALPHA_MIN) & (s >= ZERO)
                ends = seen & (left_over * (ONE - alpha) <= STOP)
                live = ws[P1 + i]
                live = ZERO if ends else live
                weight = alpha * left_over * live if seen else ZERO
                g_value = ws[P3 + i]
                behind = ws[P2 + i] - weight * g_value
                g_alpha = left_over * g_value - behind / (ONE - alpha)
                g_s = -raw * g_alpha * live if (seen & (raw <= ALPHA_MAX)) else ZERO
                ws[P1 + i] = live
                ws[i] = left_over - weight
                ws[P2 + i] = behind
                ws[P6 + i] = weight
                ws[P7 + i] = g_s
                sum_1 += g_s
                sum_x += g_s * dx
                sum_xx += g_s * dx * dx
                sum_y += g_s * dy
                sum_xy += g_s * dx * dy
                sum_yy += g_s * dy * dy
            slot = slots[entry]
            gradients[slot, 0] = ca * sum_x + b * sum_y
            gradients[slot, 1] = b * sum_x + cc * sum_y
            gradients[slot, 2] = HALF * sum_xx
            gradients[slot, 3] = sum_xy
            gradients[slot, 4] = HALF * sum_yy
            gradients[slot, 5] = -sum_1 / opacity
            for channel in range(planes):
                total = ZERO
                plane = U64(channel * PIXELS)
                for i in range(start, stop):
                    total += ws[P6 + i] * g_planes[plane + i]
                gradients[slot, PARAMETERS + channel] = total
            if with_absolute:
                abs_x = ZERO
                abs_y = ZERO
                for i in range(start, stop):
                    dx = x - ws[P4 + i]
                    dy = y - ws[P5 + i]
                    g_s = ws[P7 + i]
                    abs_x += abs(g_s * (ca * dx + b * dy))
                    abs_y += abs(g_s * (b * dx + cc * dy))
                gradients[slot, PARAMETERS + planes] = abs_x
                gradients[slot, PARAMETERS + planes + 1] = abs_y
            entry += 1
            if (entry - begin) & 15 == 0:
                most = ZERO
                for i in range(PIXELS):
                    most = max(most, ws[P1 + U64(i)])
                if most == ZERO:
                    break
        while entry < end:
            slot = slots[entry]
            for column in range(gradients.shape[1]):
                gradients[slot, column] = ZERO
            entry += 1


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
        column = PARAMETERS + channels
        if g_depths.shape[0] > 0:
            g_depths[i] = total[column]
            column += 1
        if absgrad.shape[0] > 0:
            absgrad[i, 0] = total[column]
            absgrad[i, 1] = total[column + 1]
