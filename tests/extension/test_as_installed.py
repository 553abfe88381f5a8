# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's own tests once more, with the extension installed from its zip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# What a person sees and presses; the rest is the same code in another folder.
FILES = ("test_addon", "test_panels", "test_operators", "test_preferences", "test_session")
# These take long: they make whole environments, and fit.
NOT_AGAIN = "not from_nothing_to_ready and not failed_installation_says and not real_fit"


def test_the_installed_extension_passes_the_add_ons_tests(
    repository: Path, extension_zip: Path, tmp_path: Path
) -> None:
    files = [repository / "tests" / "blender" / f"{name}.py" for name in FILES]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = kept | {
        "DS4D_EXTENSION_ZIP": str(extension_zip),
        "BLENDER_USER_RESOURCES": str(tmp_path / "blender"),
    }
    words = ["-p", "tests.extension.as_installed", "-q", "-k", NOT_AGAIN]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *[str(file) for file in files if file.is_file()]],
        capture_output=True,
        text=True,
        env=environment,
        cwd=repository,
        timeout=600,
        check=False,
    )
    said = result.stdout + result.stderr
    assert result.returncode == 0, said[-6000:]
    assert " passed" in said


def test_the_plugin_really_tests_the_installed_one(
    repository: Path, extension_zip: Path, tmp_path: Path
) -> None:
    probe = tmp_path / "test_probe.py"
    probe.write_text(
        "import ds4d_blender, ds4d_blender.install.shipped as shipped\n"
        "def test_probe():\n"
        "    assert ds4d_blender.__name__ == 'bl_ext.user_default.ds4d_blender'\n"
        f"    assert {str(tmp_path)!r} in shipped.__file__ and shipped.wheel().is_file()\n"
        "    assert ds4d_blender.install.shipped is shipped\n"
    )
    environment = {
        **os.environ,
        "DS4D_EXTENSION_ZIP": str(extension_zip),
        "BLENDER_USER_RESOURCES": str(tmp_path / "blender"),
    }
    words = ["-p", "tests.extension.as_installed", "-q", "--rootdir", str(tmp_path)]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(probe)],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": str(repository)},
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
