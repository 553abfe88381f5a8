# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the engine is: a Python on this machine, or on another one that a command reaches."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

# Blender sets these for its own Python; the engine's would load the wrong libraries by them.
_BLENDERS_OWN = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE")
# What the engine says is read while it works, as UTF-8 on every system; and no file that happens to
# lie where Blender was started is taken for a module.
_ALWAYS = {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "PYTHONSAFEPATH": "1"}


@dataclass(frozen=True)
class Engine:
    """A Python that has the engine, and how it is reached."""

    python: str
    prefix: tuple[str, ...] = ()
    """Words that run a shell command on another machine, such as ("ssh", "host")."""
    folder: str = ""
    """Folder on the other machine for what is copied there; "" is ~/ds4d-jobs."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that the engine gets besides the usual ones."""

    @property
    def is_remote(self) -> bool:
        """Tell whether the engine is on another machine."""
        return bool(self.prefix)

    @property
    def host(self) -> str:
        """Name the other machine for a person."""
        return self.prefix[-1] if self.prefix else "this machine"

    @property
    def work_folder(self) -> str:
        """Return the folder on the other machine for what is copied there."""
        return self.folder or "~/ds4d-jobs"

    def command(self, *words: str) -> list[str]:
        """Return the command line that runs `ds4d WORDS` on the engine's machine."""
        if self.is_remote:
            return self.shell(self.line(*words))
        return [self.python, "-m", "ds4d_engine", *words]

    def line(self, *words: str) -> str:
        """Return the line of shell that turns into `ds4d WORDS` on the other machine."""
        variables = [f"{name}={value}" for name, value in (_ALWAYS | {**self.environment}).items()]
        return " ".join(
            ["exec env", *map(quoted, variables), quoted(self.python), "-m ds4d_engine"]
            + [quoted(word) for word in words]
        )

    def shell(self, line: str) -> list[str]:
        """Return the command line that runs a line of shell on the other machine."""
        # Whatever shell its user has, the line is for the plain one.
        return [*self.prefix, f"exec sh -c {shlex.quote(line)}"]

    def variables(self) -> dict[str, str]:
        """Return the environment of a process on this machine that runs the engine."""
        kept = {name: value for name, value in os.environ.items() if name not in _BLENDERS_OWN}
        return kept | _ALWAYS | ({} if self.is_remote else dict(self.environment))


def quoted(word: str) -> str:
    """Quote a word for a shell of another machine; a leading "~/" still means its home there."""
    if word.startswith("~/"):
        return f'"$HOME"/{shlex.quote(word[2:])}' if word[2:] else '"$HOME"'
    return '"$HOME"' if word == "~" else shlex.quote(word)
