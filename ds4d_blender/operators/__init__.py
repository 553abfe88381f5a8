# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of the add-on: from panels, menus, search and Python."""

from __future__ import annotations

from . import (
    asset,
    fit,
    following,
    jobs,
    looking,
    passes,
    proxy,
    render,
    show,
    together,
    upgrade,
)

CLASSES = (
    *asset.CLASSES,
    *fit.CLASSES,
    *jobs.CLASSES,
    *looking.CLASSES,
    *following.CLASSES,
    *show.CLASSES,
    *render.CLASSES,
    *proxy.CLASSES,
    *passes.CLASSES,
    *together.CLASSES,
    *upgrade.CLASSES,
)
