# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known before the fit: features, perceptual distance, first geometry, diffusion."""
