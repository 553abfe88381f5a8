# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose how the object is told from the background, and do it for every frame."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ..data.dataset import Pixels
from ..seam.errors import DatasetError
from ..seam.events import Listener, Stage
from .footage import Footage
from .grabcut import room_masks
from .guided import follow_edges
from .masks import GivenMasks
from .mattes import AlphaMatte, FoundMatte, MaskMatte, Matte, NoMatte, Refine
from .options import ClipOptions
from .plain import Background, key, plain_background, soft_edge
from .regions import Bools, grown, shrunk
from .rembg_model import RembgModel
from .steady import steadied

STAGE = "find object"
MAX_SHARE = 0.97
_BAND = 6
_FAINT = 16  # ghosts and glass are translucent everywhere


def find_matte(footage: Footage, options: ClipOptions, listener: Listener) -> Matte:
    """Find the object in every frame, as `options.matte` says.

    "auto" takes the first of: masks that are given, the clip's alpha channel, a plain background,
    a rembg model that is given, GrabCut.

    Raises:
        DatasetError: no object is found, or nothing but the object.
        EngineError: rembg is asked for and cannot run.
    """
    matte = _matte(footage, options, listener)
    if matte.name != "none":
        _check(matte, footage)
    return matte


def _matte(footage: Footage, options: ClipOptions, listener: Listener) -> Matte:
    wanted, count = options.matte, len(footage.small)
    if wanted == "none":
        return NoMatte(np.full(footage.small.shape[:3], 255, np.uint8))
    if options.masks is not None:
        return _given(footage, options, listener)
    if wanted in ("auto", "alpha"):
        alpha = AlphaMatte.of(footage)
        if alpha is not None:
            Stage(listener, STAGE, count).update(count, "the clip's own alpha channel")
            return alpha
        if wanted == "alpha":
            raise DatasetError(
                f"{footage.name} is opaque everywhere, it has no alpha to use; choose another "
                "--matte, or give --masks."
            )
    background = plain_background(footage.small) if wanted in ("auto", "plain") else None
    if background is not None:
        return _plain(footage, background, listener)
    if wanted == "plain":
        raise DatasetError(
            f"{footage.name} has no plain background; choose --matte grabcut, or give --masks."
        )
    if options.rembg_model is not None:
        model = RembgModel.load(options.rembg_model)
        return _found(footage, "rembg", model.mask, None, "rembg's model", listener)
    return _room(footage, listener)


def _given(footage: Footage, options: ClipOptions, listener: Listener) -> MaskMatte:
    assert options.masks is not None  # asked by the caller
    given = GivenMasks.open(options.masks, footage.source.count, footage.indices)
    count, height, width, _ = footage.small.shape
    small = np.empty((count, height, width), np.uint8)
    stage = Stage(listener, STAGE, count)
    masks = given.frames(footage.indices, (footage.width, footage.height))
    for t, mask in enumerate(masks):
        small[t] = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
        stage.update(t + 1, f"masks from {options.masks}")
    return MaskMatte(small, given)


def _plain(footage: Footage, background: Background, listener: Listener) -> Matte:
    color = ", ".join(f"{value:.0f}" for value in background.color)

    def mask(rgb: Pixels) -> Pixels:
        return soft_edge(rgb, key(rgb, background), background)

    def sharpened(rgb: Pixels, coarse: Bools) -> Pixels:
        # What is a hole and what is a white face was decided on the whole picture.
        band = grown(coarse, _BAND) & ~shrunk(coarse, _BAND)
        return soft_edge(rgb, np.where(band, key(rgb, background), coarse), background)

    message = f"plain background of colour {color}"
    return _found(footage, "plain", mask, sharpened, message, listener)


def _room(footage: Footage, listener: Listener) -> Matte:
    stage = Stage(listener, STAGE, 1)
    message = "GrabCut on what moves"
    masks = room_masks(footage.small, lambda share: stage.update(0.99 * share, message))
    if masks is None:
        raise DatasetError(
            f"{footage.name} has neither a plain background nor anything that moves; give --masks."
        )
    masks, message = _steadied(masks, footage, message)
    stage.update(1, message)
    return FoundMatte("grabcut", masks, follow_edges)


def _found(
    footage: Footage,
    name: str,
    mask: Callable[[Pixels], Pixels],
    sharpen: Refine | None,
    message: str,
    listener: Listener,
) -> FoundMatte:
    masks = np.empty(footage.small.shape[:3], np.uint8)
    stage = Stage(listener, STAGE, len(masks))
    for t, rgba in enumerate(footage.small):
        masks[t] = mask(np.ascontiguousarray(rgba[..., :3]))
        stage.update(t, message)
    masks, message = _steadied(masks, footage, message)
    stage.update(len(masks), message)
    return FoundMatte(name, masks, sharpen)


def _steadied(masks: Pixels, footage: Footage, message: str) -> tuple[Pixels, str]:
    masks, replaced = steadied(masks)
    if replaced:
        frames = ", ".join(str(footage.indices[t]) for t in replaced[:5])
        message += f"; the masks of frames {frames} are their neighbours'"
    return masks, message


def _check(matte: Matte, footage: Footage) -> None:
    given = matte.name in ("alpha", "masks")
    shares = (matte.masks >= (_FAINT if given else 128)).mean((1, 2))
    remedy = "give --masks, or look at `ds4d mask` and try another --matte"
    if shares.max() == 0:
        what = {
            "alpha": "is transparent everywhere; export it with the object opaque",
            "masks": "has masks without an object; make the object white in them",
        }.get(matte.name, f"shows no object that differs from its background; {remedy}")
        raise DatasetError(f"{footage.name} {what}.")
    if np.median(shares) > MAX_SHARE:
        raise DatasetError(
            f"The object fills the whole picture of {footage.name}; film it with background "
            f"around it, or {remedy}."
        )
    if given:
        return  # an object may enter late where a person says so
    empty = np.flatnonzero(shares == 0)
    if len(empty):
        raise DatasetError(
            f"No object is found in frame {footage.indices[empty[0]]} of {footage.name}; leave "
            f"it out with --start and --end, or {remedy}."
        )
