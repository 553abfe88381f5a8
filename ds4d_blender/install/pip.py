# SPDX-License-Identifier: GPL-3.0-or-later
"""pip inside the environment that is being made: what it would take, and taking it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine.location import Engine
from ..seam import errors
from . import child
from .places import packages_of, python_of

SIZES_SCRIPT = Path(__file__).with_name("sizes_of.py")
# What pip's own settings call a place to take packages from.
_OWN_SOURCE = re.compile(r"^\S*\b(index-url|extra-index-url|find-links|no-index)=", re.MULTILINE)
# A package that cannot be found, as pip says it, and as it says it when versions are constrained.
_MISSING = re.compile(r"No matching distribution found for (\S+)|^ +\S+ \S+ depends on (\S+)", re.M)
_SAYS = re.compile(r"^ERROR: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """A package that pip chose."""

    name: str
    version: str
    url: str
    bytes: int
    """What it takes to download, -1 if unknown."""
    is_file: bool
    """Whether it was asked for as a file, not by its name."""

    @property
    def requirement(self) -> str:
        """Return what makes pip choose just this one again."""
        return f"{self.name} @ {self.url}" if self.is_file else f"{self.name}=={self.version}"


Look = Callable[[bytes], None]


class Pip:
    """The pip of the environment in `folder`; only whole wheels, nothing is ever compiled.

    Args:
        folder: the environment; what pip needs for a while goes into its `tmp`.
        wheels: a folder of wheels to take instead of asking any index; None to ask.
        cancelled: asked all the while, see `child.run`.
    """

    def __init__(
        self, folder: Path, wheels: Path | None, log: Path, cancelled: Callable[[], bool]
    ) -> None:
        self.folder, self.wheels, self.log, self.cancelled = folder, wheels, log, cancelled
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self._ask = ["--only-binary=:all:", "--no-compile"]
        if wheels is not None:
            self._ask += ["--no-index", f"--find-links={wheels}"]

    def has_own_sources(self) -> bool:
        """Tell whether the user set up where packages come from."""
        code, text = self._run(["config", "list"])
        return code == 0 and _OWN_SOURCE.search(text) is not None

    def resolve(
        self,
        requirements: Sequence[str],
        constraints: Path,
        index: str,
        look: Look = child.no_look,
    ) -> list[Package]:
        """Return what the requirements come to, with sizes.

        Only descriptions are downloaded, except from an index that has none beside its packages:
        from there, those packages. ``look`` is called all the while.

        Raises:
            EngineError: pip finds nothing that fits, or no network.
        """
        report = self.temporary / "report.json"
        words = ["install", "--dry-run", "--ignore-installed", "--report", str(report)]
        words += [*self._ask, "-c", str(constraints)]
        words += ["--extra-index-url", index] if index else []
        self._checked([*words, *requirements], look)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
        code, text = self._python([str(SIZES_SCRIPT), str(report)])
        sizes = json.loads(text) if code == 0 else [-1] * len(found)
        return [_package(entry, size) for entry, size in zip(found, sizes, strict=True)]

    def install(self, packages: Sequence[Package], index: str, look: Look) -> None:
        """Install just these packages; `look` is called all the while."""
        chosen = self.temporary / "chosen.txt"
        lines = "".join(f"{package.requirement}\n" for package in packages)
        chosen.write_text(lines, encoding="utf-8")
        words = ["install", "--no-deps", *self._ask, "-r", str(chosen)]
        self._checked([*words, *(["--extra-index-url", index] if index else [])], look)

    def replace(self, wheel: Path) -> None:
        """Put the wheel in the place of its other version; all that it needs must be there.

        Raises:
            EngineError: something that it needs is missing.
        """
        self._checked(["install", "--no-deps", "--no-index", "--no-compile", str(wheel)])
        self._checked(["check"])

    def downloaded(self) -> int:
        """Return how many bytes of packages lie in the temporary folder now."""
        total = 0
        for folder, _, names in os.walk(self.temporary):
            for name in names:
                if name.endswith(".whl") or "pip-" in folder:
                    total += _size(os.path.join(folder, name))
        return total

    def installed(self) -> set[tuple[str, str]]:
        """Return name and version of the packages that are wholly installed."""
        records = packages_of(self.folder).glob("*.dist-info/RECORD")
        stems = (record.parent.name.removesuffix(".dist-info") for record in records)
        return {(common_name(stem.split("-")[0]), stem.split("-")[-1]) for stem in stems}

    def _checked(self, words: Sequence[str], look: Look = child.no_look) -> None:
        begin = _size(str(self.log))
        code, _ = self._run(words, look)
        if code:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                file.seek(begin)
                raise errors.EngineError(_why(file.read(), self.wheels))

    def _run(self, words: Sequence[str], look: Look = child.no_look) -> tuple[int, str]:
        return self._python(["-m", "pip", *words], look)

    def _python(self, words: Sequence[str], look: Look = child.no_look) -> tuple[int, str]:
        # -I: neither the folder Blender was started in nor the user's own packages count.
        command = [str(python_of(self.folder)), "-I", *words]
        return child.run(command, self._variables(), self.log, cancelled=self.cancelled, look=look)

    def _variables(self) -> Mapping[str, str]:
        """Return an environment in which pip writes into the folder only.

        Where packages come from stays as the user set it up, unless a folder of wheels is given.
        """
        kept = Engine("").variables()
        if self.wheels is not None:
            kept = {name: value for name, value in kept.items() if not name.startswith("PIP_")}
            kept["PIP_CONFIG_FILE"] = os.devnull
        temporary = str(self.temporary)
        return kept | {
            "TMPDIR": temporary,
            "TEMP": temporary,
            "TMP": temporary,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_NO_INPUT": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_PROGRESS_BAR": "off",
        }


def common_name(name: str) -> str:
    """Spell a package's name as all indexes understand it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(entry: Mapping[str, object], size: int) -> Package:
    metadata, download = entry["metadata"], entry["download_info"]
    assert isinstance(metadata, dict) and isinstance(download, dict)
    return Package(
        common_name(str(metadata["name"])),
        str(metadata["version"]),
        str(download["url"]),
        size,
        bool(entry.get("is_direct", False)),
    )


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _why(said: str, wheels: Path | None) -> str:
    """Return one sentence for what pip said when it failed."""
    if "No space left" in said or "Errno 28" in said:
        return "The disk is full: make room, then install again."
    missing = ["".join(found) for found in _MISSING.findall(said)]
    if missing and wheels is not None:
        return f"The folder has no package that fits for {missing[-1]}: add it, then install again."
    lost = ("NewConnectionError", "ConnectTimeout", "NameResolution", "ProxyError", "SSLError")
    if any(word in said for word in lost) or "ReadTimeout" in said:
        return "The package index cannot be reached: check the network, then install again."
    if missing:
        return f"The package index has nothing that fits this computer for {missing[-1]}."
    reasons = _SAYS.findall(said)
    reason = reasons[-1].strip()[:200] if reasons else "the log says more"
    return f"The packages cannot be installed ({reason.rstrip('.')}): look at the log."
