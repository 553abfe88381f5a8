# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab "DS4D", in the order of the work."""

from __future__ import annotations

from . import drawing, fit, result, running, source

CLASSES = (*source.CLASSES, *fit.CLASSES, *running.CLASSES, *result.CLASSES, *drawing.CLASSES)
