# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes and seconds as a person would say them."""


def megabytes(count: float) -> str:
    """Say a number of bytes."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    """Say a number of seconds."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min"
