# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit animated 4D Gaussians to multi-view clips."""

__version__ = "0.1.0"
