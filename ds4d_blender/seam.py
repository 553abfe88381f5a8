# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's numpy-only border, wherever it lies.

The packaged extension carries a copy of the seam inside itself; a source checkout has it beside
the add-on. Nothing else in the add-on imports the engine.
"""

# ruff: noqa: F401

if (__package__ or "").startswith("bl_ext."):
    from .ds4d_engine.seam import asset, cameras, commands, errors, events, quaternions
else:
    from ds4d_engine.seam import asset, cameras, commands, errors, events, quaternions

Asset = asset.Asset
Gaussians = asset.Gaussians
Motion = asset.Motion
read_asset = asset.read_asset
write_asset = asset.write_asset
Camera = cameras.Camera
AssetError = errors.AssetError
DS4DError = errors.DS4DError
slerp = quaternions.slerp
