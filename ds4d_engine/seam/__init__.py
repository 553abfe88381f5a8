# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine and the Blender add-on share: errors, cameras, the asset, progress events.

Needs numpy and the standard library only, and may be copied elsewhere whole.
"""

from .asset import Asset, Gaussians, Motion, read_asset, write_asset
from .cameras import Camera
from .commands import Command, Do, command_from_json_line, command_to_json_line, common_version
from .errors import AssetError, ConfigError, DatasetError, DS4DError, EngineError
from .events import (
    Event,
    Failure,
    Heartbeat,
    Hello,
    Listener,
    Preview,
    Progress,
    Result,
    Stage,
    from_json_line,
    silent,
    to_json_line,
)

__all__ = [
    "Asset",
    "AssetError",
    "Camera",
    "Command",
    "ConfigError",
    "DS4DError",
    "DatasetError",
    "Do",
    "EngineError",
    "Event",
    "Failure",
    "Gaussians",
    "Heartbeat",
    "Hello",
    "Listener",
    "Motion",
    "Preview",
    "Progress",
    "Result",
    "Stage",
    "command_from_json_line",
    "command_to_json_line",
    "common_version",
    "from_json_line",
    "read_asset",
    "silent",
    "to_json_line",
    "write_asset",
]
