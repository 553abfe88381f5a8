# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the Blender side of a benchmark in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def run_steps(script: str, steps: Sequence[str], plan: dict[str, Any], python: str) -> None:
    """Run `script STEP plan.json` for every step, isolated: no PYTHONPATH, no user's settings.

    The plan is written to its own `folder`. What the script prints after "@" is shown.
    """
    folder = Path(plan["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    plan_path = folder / "plan.json"
    plan_path.write_text(json.dumps(plan, indent=1))
    python = str(Path(python).absolute())
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(folder / "user")}
    for step in steps:
        command = [python, "-I", str(ROOT / "benchmarks" / script), step, str(plan_path)]
        with (
            (folder / f"{step}.log").open("w") as log,
            subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            assert process.stdout is not None  # opened as a pipe
            for line in process.stdout:
                log.write(line)
                if line.startswith("@"):
                    print(line[1:], end="", flush=True)
        if process.returncode:
            sys.exit(f"Blender's step {step} failed; its messages are in {log.name}.")
