# SPDX-License-Identifier: GPL-3.0-or-later
"""Constants that every rasteriser back end shares (gsplat 1.5.3's values)."""

ALPHA_MIN = 1.0 / 255.0
"""A splat is skipped where its alpha falls below this value."""

ALPHA_MAX = 0.999
"""Alpha is clamped to this value; no gradient flows through the clamp."""

TRANSMITTANCE_STOP = 1e-4
"""A splat that would bring the transmittance to this value or below ends its pixel, undrawn."""

LOW_PASS = 0.3
"""Added to the diagonal of the projected covariance, in square pixels."""

NEAR = 0.01
"""Nearest camera depth drawn, in world units."""

FAR = 1e10
"""Farthest camera depth drawn, in world units."""

EXTENT_SIGMAS = 3.33
"""Largest culling extent in standard deviations; beyond it alpha is below `ALPHA_MIN`."""

JACOBIAN_MARGIN = 0.15
"""The projection's Jacobian is clamped this far outside the image, as a fraction of its size."""
