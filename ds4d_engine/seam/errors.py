# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors a person may see: each message is one sentence, what is wrong and what to do."""


class DS4DError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class DatasetError(DS4DError):
    """A dataset is missing, unreadable or contradicts itself."""


class AssetError(DS4DError):
    """An asset cannot be read, written or built."""


class ConfigError(DS4DError):
    """A setting is unknown or contradicts another."""


class EngineError(DS4DError):
    """The engine cannot run here, or stopped."""
