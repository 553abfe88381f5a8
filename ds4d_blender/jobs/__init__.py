# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits that wait, run and are done; they outlive panels, scenes and this Blender."""
