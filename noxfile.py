# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check and the demo, each with its own set-up: `nox -s demo`, `nox -s tests`.

The engine (torch) and each Blender (bpy) live in environments of their own under .nox, shared by
the sessions that need them; they never meet in one process.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree, which

import nox

ROOT = Path(__file__).parent
ON_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}
# Blender release -> the Python that its bpy wheel is built for.
BLENDER_PYTHONS = {"4.5": "3.11", "5.2": "3.13"}
# The demo and the engine use the Python that runs nox where a Blender exists for it, so that one
# interpreter is enough for both.
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
ENGINE_PYTHON = RUNNING if RUNNING in BLENDER_PYTHONS.values() else "3.11"
DEMO_BLENDER = next(b for b, python in BLENDER_PYTHONS.items() if python == ENGINE_PYTHON)

# What bpy links to (X11, GL), and what EEVEE needs to draw on the CPU (Mesa, EGL).
DEBIAN_PACKAGES = (
    *("libegl1", "libgl1", "libgl1-mesa-dri", "libglx-mesa0", "libice6", "libsm6", "libx11-6"),
    *("libxext6", "libxfixes3", "libxi6", "libxkbcommon0", "libxrender1", "libxxf86vm1"),
)

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests"]


@dataclass(frozen=True)
class Environment:
    """A virtual environment under .nox, made on first use and again when its packages change."""

    name: str
    python: str
    requirements: tuple[str, ...]
    constrained: bool = True

    @property
    def folder(self) -> Path:
        return ROOT / ".nox" / self.name

    def executable(self, program: str) -> str:
        scripts, suffix = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")
        return str(self.folder / scripts / f"{program}{suffix}")

    def prepare(self, session: nox.Session) -> None:
        """Make the environment ready; skip the session (on CI: fail) without its Python."""
        interpreter = find_interpreter(self.python)
        if interpreter is None:
            lack = f"Python {self.python} is not installed: install it and run `nox` again"
            if ON_CI:
                session.error(lack)
            session.skip(lack)
        stamp = self.folder / "installed.sha256"
        wanted = self._fingerprint()
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        rmtree(self.folder, ignore_errors=True)
        session.run(
            *(sys.executable, "-m", "virtualenv", "--quiet", "--python", interpreter),
            str(self.folder),
            external=True,
        )
        constraints = ("-c", "constraints.txt") if self.constrained else ()
        session.run(
            *(self.executable("python"), "-m", "pip", "install", "--progress-bar", "off"),
            *("--disable-pip-version-check", *constraints, *self.requirements),
            external=True,
        )
        stamp.write_text(wanted)

    def run(self, session: nox.Session, program: str, *args: str, **options: object) -> None:
        """Run one of the environment's programs, without the caller's Python settings."""
        env = {"PYTHONPATH": None, "PYTHONHOME": None, **options.pop("env", {})}
        session.run(self.executable(program), *args, env=env, external=True, **options)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr((self.python, self.requirements)).encode())
        if self.constrained:
            for name in ("constraints.txt", "pyproject.toml"):
                digest.update((ROOT / name).read_bytes())
        return digest.hexdigest()


ENGINE = Environment("engine", ENGINE_PYTHON, ("-e", ".[lint,test,priors,bench]"))
BLENDERS = {
    # No constraints: each bpy wants a numpy of its own.
    release: Environment(
        *(f"blender-{release}", python),
        (f"bpy=={release}.*", "pytest", "pytest-xdist"),
        constrained=False,
    )
    for release, python in BLENDER_PYTHONS.items()
}


def find_interpreter(version: str) -> str | None:
    """Return a working `python<version>`; a version manager's empty shim does not count."""
    if version == RUNNING:
        return sys.executable
    program = which(f"python{version}")
    if program is None:
        return None
    works = subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0
    return program if works else None


def system_libraries(session: nox.Session) -> None:
    """Install what bpy links to, on Debian and its kin; say what to do where only a person can."""
    if which("apt-get") is None or which("dpkg") is None:
        return
    known = subprocess.run(["dpkg", "--status", *DEBIAN_PACKAGES], capture_output=True, check=False)
    if known.returncode == 0:
        return
    root: tuple[str, ...] = () if os.geteuid() == 0 else ("sudo", "-n")
    if root and subprocess.run([*root, "true"], capture_output=True, check=False).returncode:
        packages = " ".join(DEBIAN_PACKAGES)
        session.error(f"Blender lacks system libraries: run `sudo apt-get install -y {packages}`")
    session.run(*root, "apt-get", "update", "-qq", external=True)
    install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends")
    session.run(*root, *install, *DEBIAN_PACKAGES, external=True)


# What runs side by side; more than four need more memory than most machines have.
CORES = min(os.cpu_count() or 1, 4)


def threads(count: int = CORES) -> dict[str, str]:
    """Give the numeric libraries so many threads, unless told otherwise."""
    return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(count))}


def pytest(session: nox.Session, environment: Environment, *folders: str) -> None:
    """Run the folders' tests, file by file on every core; a user's selection runs in one process.

    That nothing was collected is an error unless the user selected.
    """
    present = [folder for folder in folders if (ROOT / folder).is_dir()]
    selected = bool(session.posargs)
    parallel = () if selected else ("--numprocesses", str(CORES), "--dist", "loadfile")
    environment.run(
        *(session, "python", "-m", "pytest", *parallel, *present, *session.posargs),
        env=threads(CORES if selected else 1),
        success_codes=[0, 5] if selected else [0],
    )


@nox.session
def tests(session: nox.Session) -> None:
    """Run everything: the static checks, the engine's tests and the add-on's in each Blender.

    On CI the engine is also installed for real, as an artist would from the preferences.
    """
    for name in ("lint", "tests_engine", *(f"tests_blender-{release}" for release in BLENDERS)):
        session.notify(name)
    if ON_CI:
        session.notify("tests_install")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, types and import borders."""
    ENGINE.prepare(session)
    ENGINE.run(session, "ruff", "check", ".")
    ENGINE.run(session, "ruff", "format", "--check", ".")
    ENGINE.run(session, "mypy")
    ENGINE.run(session, "lint-imports")


@nox.session
def tests_engine(session: nox.Session) -> None:
    """Test the engine, the seam and the import borders where torch is present."""
    ENGINE.prepare(session)
    pytest(session, ENGINE, "tests/engine", "tests/seam", "tests/borders")


def tests_blender(session: nox.Session, release: str) -> None:
    """Test the add-on, the seam, the borders and the extension inside one Blender."""
    environment = BLENDERS[release]
    system_libraries(session)
    environment.prepare(session)
    pytest(
        *(session, environment),
        *("tests/blender", "tests/seam", "tests/borders", "tests/extension"),
    )


@nox.session(name="tests_blender-4.5")
def tests_blender_4_5(session: nox.Session) -> None:
    """Test the add-on in Blender 4.5 LTS (Python 3.11)."""
    tests_blender(session, "4.5")


@nox.session(name="tests_blender-5.2")
def tests_blender_5_2(session: nox.Session) -> None:
    """Test the add-on in Blender 5.2 LTS (Python 3.13)."""
    tests_blender(session, "5.2")


@nox.session
def tests_install(session: nox.Session) -> None:
    """Install the engine for real from the built extension: minutes, half a gigabyte of packages.

    It takes them from wherever pip is set up to find them.
    """
    blender = BLENDERS[DEMO_BLENDER]
    system_libraries(session)
    blender.prepare(session)
    pytest(session, blender, "tests/install")


@nox.session
def demo(session: nox.Session) -> None:
    """Fit the embedded clip, import it into Blender and render it: see demo-output."""
    blender = BLENDERS[DEMO_BLENDER]
    system_libraries(session)
    ENGINE.prepare(session)
    blender.prepare(session)
    ENGINE.run(
        *(session, "python", "docs/demo/run_demo.py", "--blender", blender.executable("python")),
        *session.posargs,
        env=threads(),
    )


@nox.session
def build(session: nox.Session) -> None:
    """Build the Blender extension in dist/ and let Blender's own validator check it."""
    blender = BLENDERS[DEMO_BLENDER]
    system_libraries(session)
    blender.prepare(session)
    blender.run(session, "python", "build_addon.py", *session.posargs)
