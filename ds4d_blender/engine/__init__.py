# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as a process of its own: where it is, how it is run, and what it says."""
