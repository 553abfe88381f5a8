# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a command that say where more views of a single clip come from."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..seam.errors import ConfigError
from ..views.presets import PRESETS
from ..views.provider import LAYOUTS, PROVIDERS, ViewOptions
from .arguments import positive

_ASKING = (
    "views",
    "views_folder",
    "views_layout",
    "view_cameras",
    "view_scale",
    "view_weights",
    "view_steps",
    "view_guidance",
    "view_seed",
    "view_cache",
)


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """Add the group; every option defaults to None, so that a command sees what was given."""
    group = parser.add_argument_group("more views of a single clip (docs/views.md)")
    group.add_argument(
        "--views", choices=PROVIDERS, help="where more views come from (default: none)"
    )
    group.add_argument(
        "--views-folder", type=Path, metavar="DIR", help="views that were generated elsewhere"
    )
    group.add_argument(
        "--views-layout", choices=LAYOUTS, help="how they lie in the folder (default: auto)"
    )
    group.add_argument(
        "--view-cameras",
        metavar="PRESET|LIST",
        help=f"{', '.join(PRESETS)}, or 'azimuth,elevation[,radius[,fov]];...' in degrees "
        f"(default: {ViewOptions.cameras})",
    )
    group.add_argument(
        "--view-scale",
        metavar="preset|measure|N",
        help="how much larger the views show the object than the input (default: preset)",
    )
    group.add_argument(
        "--view-weights", type=Path, metavar="DIR", help="folder of the Zero123++ model"
    )
    group.add_argument(
        "--allow-download",
        action="store_true",
        help="fetch weights that are not on this machine; name, licence and size are said first",
    )
    group.add_argument(
        "--view-steps", type=positive(int), metavar="N", help="sampling steps (default: 75)"
    )
    group.add_argument(
        "--view-guidance", type=positive(float), metavar="X", help="guidance (default: 4)"
    )
    group.add_argument("--view-seed", type=int, metavar="N", help="seed (default: 0)")
    group.add_argument(
        "--no-view-sharing",
        action="store_true",
        help="generate each frame's views without regard to the first frame's",
    )
    group.add_argument("--view-cache", type=Path, metavar="DIR", help="folder for generated views")


def given_view_options(arguments: argparse.Namespace) -> list[str]:
    """Return the flags of `add_view_options` that ask for views, such as "--views"."""
    return [
        f"--{name.replace('_', '-')}" for name in _ASKING if getattr(arguments, name) is not None
    ]


def view_options(arguments: argparse.Namespace) -> ViewOptions:
    """Return what was given of `add_view_options`; a folder alone means --views folder.

    Takes `device` from the command where it has such an option. Raises ConfigError for what
    contradicts itself.
    """
    given = {
        "provider": arguments.views,
        "folder": arguments.views_folder,
        "layout": arguments.views_layout,
        "cameras": arguments.view_cameras,
        "scale": arguments.view_scale,
        "weights": arguments.view_weights,
        "steps": arguments.view_steps,
        "guidance": arguments.view_guidance,
        "seed": arguments.view_seed,
        "cache": arguments.view_cache,
        "device": getattr(arguments, "device", None),
    }
    if given["provider"] is None and given["folder"] is not None:
        given["provider"] = "folder"
    idle = given_view_options(arguments)
    if given["provider"] is None and idle:
        raise ConfigError(
            f"{idle[0]} says how views are made, but none are asked for; add --views or leave it "
            "out."
        )
    chosen = {name: value for name, value in given.items() if value is not None}
    return ViewOptions(
        **chosen,
        share_attention=not arguments.no_view_sharing,
        allow_download=arguments.allow_download,
    )
