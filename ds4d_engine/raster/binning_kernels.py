# SPDX-License-Identifier: GPL-3.0-or-later
"""Numba kernels that hand projected splats to the tiles of the image, front to back."""

from __future__ import annotations

import numpy as np

from ds4d_engine.raster.jit import ZERO, kernel

TILE = 8
"""Width and height of a tile in pixels."""

SHIFT = 3
"""A pixel coordinate shifted right by this is that of its tile."""

PARAMETERS = 6
"""Columns of a packed splat before its channels: x, y, conic (3), opacity."""

FUSED = 3
"""Least number of channels of a packed splat, zero or not: the innermost loops count on them."""


@kernel
def _order_by_depth(depths):  # type: ignore[no-untyped-def]
    """Return the stable order of positive float32 `depths`: a radix sort.

    The bits of positive floats sort like the floats. Only the bits in which they differ from
    the nearest are sorted by, at most 12 a pass.
    """
    n = depths.shape[0]
    source = np.empty(n, np.uint64)
    target = np.empty(n, np.uint64)
    bits = depths.view(np.uint32)
    low = np.uint32(0xFFFFFFFF)
    high = np.uint32(0)
    for i in range(n):
        low = min(low, bits[i])
        high = max(high, bits[i])
    for i in range(n):
        source[i] = (np.uint64(bits[i] - low) << np.uint64(32)) | np.uint64(i)
    width = 0
    while n > 0 and (high - low) >> np.uint32(width) > 0:
        width += 1
    passes = (width + 11) // 12
    digit = -(-width // max(passes, 1))
    heads = np.empty(1 << digit, np.int32)
    mask = np.uint64((1 << digit) - 1)
    for step in range(passes):
        shift = np.uint64(32 + digit * step)
        heads[:] = 0
        for i in range(n):
            heads[(source[i] >> shift) & mask] += 1
        total = 0
        for b in range(1 << digit):
            size = heads[b]
            heads[b] = total
            total += size
        for i in range(n):
            b = (source[i] >> shift) & mask
            target[heads[b]] = source[i]
            heads[b] += 1
        source, target = target, source
    order = np.empty(n, np.int32)
    for i in range(n):
        order[i] = np.int32(source[i] & np.uint64(0xFFFFFFFF))
    return order


@kernel
def bin_splats(  # type: ignore[no-untyped-def]
    means2d, conics, opacities, colors, depths, all_boxes, with_depth, width, height
):
    """List for every tile the splats that touch it, front to back, ties by index.

    The n splats that touch any are stored by the tile of their first corner, so that a tile
    finds its splats, and leaves their gradients, close together in memory.

    `all_boxes` [N,4] are the pixel columns and rows x0, x1, y0, y1 of each splat, 0 if none.

    Returns:
        splat_ids [n]; packed [n,6+planes] (channels, depth, zeros up to three); boxes [n,5]
        (the splat's box and its first slot); tile_ends [tiles+1]: tile t owns `entries`
        tile_ends[t]..tile_ends[t+1]-1 (positions in splat_ids); slot_ends [n+1]: splat k leaves
        its gradients in the slots slot_ends[k]..slot_ends[k+1]-1, one a tile, row by row.
    """
    count = means2d.shape[0]
    across = (width + TILE - 1) // TILE
    tiles = across * ((height + TILE - 1) // TILE)
    found = np.empty(count, np.int32)
    found_depths = np.empty(count, np.float32)
    tile_ends = np.zeros(tiles + 1, np.int64)
    home_ends = np.zeros(tiles + 1, np.int64)
    n = 0
    for i in range(count):
        if all_boxes[i, 1] == 0:
            continue
        found[n] = i
        found_depths[n] = depths[i]
        n += 1
        left = all_boxes[i, 0] >> SHIFT
        right = (all_boxes[i, 1] - 1) >> SHIFT
        top = all_boxes[i, 2] >> SHIFT
        bottom = (all_boxes[i, 3] - 1) >> SHIFT
        home_ends[top * across + left + 1] += 1
        for ty in range(top, bottom + 1):
            for tx in range(left, right + 1):
                tile_ends[ty * across + tx + 1] += 1
    for t in range(tiles):
        tile_ends[t + 1] += tile_ends[t]
        home_ends[t + 1] += home_ends[t]
    channels = colors.shape[1]
    planes = max(channels + (1 if with_depth else 0), FUSED)
    splat_ids = np.empty(n, np.int32)
    boxes = np.empty((n, 5), np.int32)
    packed = np.empty((n, PARAMETERS + planes), np.float32)
    places = np.empty(n, np.int32)
    for j in range(n):
        i = found[j]
        t = (all_boxes[i, 2] >> SHIFT) * across + (all_boxes[i, 0] >> SHIFT)
        k = home_ends[t]
        home_ends[t] += 1
        places[j] = k
        splat_ids[k] = i
        for corner in range(4):
            boxes[k, corner] = all_boxes[i, corner]
        packed[k, 0] = means2d[i, 0]
        packed[k, 1] = means2d[i, 1]
        packed[k, 2] = conics[i, 0]
        packed[k, 3] = conics[i, 1]
        packed[k, 4] = conics[i, 2]
        packed[k, 5] = opacities[i]
        for p in range(channels):
            packed[k, PARAMETERS + p] = colors[i, p]
        for p in range(channels, planes):
            packed[k, PARAMETERS + p] = depths[i] if (with_depth and p == channels) else ZERO
    slot_ends = np.empty(n + 1, np.int64)
    slot_ends[0] = 0
    for k in range(n):
        tall = ((boxes[k, 3] - 1) >> SHIFT) + 1 - (boxes[k, 2] >> SHIFT)
        wide = ((boxes[k, 1] - 1) >> SHIFT) + 1 - (boxes[k, 0] >> SHIFT)
        boxes[k, 4] = slot_ends[k]
        slot_ends[k + 1] = slot_ends[k] + tall * wide
    entries = np.empty(slot_ends[n], np.int32)
    cursors = tile_ends[:-1].copy()
    for j in _order_by_depth(found_depths[:n]):
        k = places[j]
        for ty in range(boxes[k, 2] >> SHIFT, ((boxes[k, 3] - 1) >> SHIFT) + 1):
            for tx in range(boxes[k, 0] >> SHIFT, ((boxes[k, 1] - 1) >> SHIFT) + 1):
                t = ty * across + tx
                entries[cursors[t]] = k
                cursors[t] += 1
    return splat_ids, packed, boxes, tile_ends, entries, slot_ends
