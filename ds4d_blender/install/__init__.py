# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing the engine into a Python environment of its own, and telling how it is."""
