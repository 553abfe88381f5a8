# SPDX-License-Identifier: GPL-3.0-or-later
"""DS4D for Blender: import, play and render animated Gaussian splats."""


def register() -> None:
    """Register the add-on."""
    from . import addon

    addon.register()


def unregister() -> None:
    """Unregister the add-on."""
    from . import addon

    addon.unregister()
