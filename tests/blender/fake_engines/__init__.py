# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that only pretend, each with one way of behaving; run as `python -m ds4d_engine`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from ds4d_blender.engine.location import Engine
from ds4d_blender.jobs.attempt import Limits
from ds4d_blender.jobs.job import State
from ds4d_blender.jobs.queue import JobQueue
from ds4d_engine.seam import Failure, Progress, to_json_line
from tests.blender.waiting import until

FOLDER = Path(__file__).parent
MAIN = """
import runpy, sys
sys.path.insert(0, {folder!r})
runpy.run_path({script!r}, run_name="__main__")
"""


def fake_engine(name: str, folder: Path, **environment: str) -> Engine:
    """Return an engine that behaves as the script `name` does; its package is made in a folder."""
    script = FOLDER / f"{name}.py"
    assert script.is_file(), f"there is no fake engine {name}"
    package = folder / f"fake-{name}" / "ds4d_engine"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    main = MAIN.format(folder=str(FOLDER), script=str(script))
    (package / "__main__.py").write_text(main)
    return Engine(sys.executable, environment={"PYTHONPATH": str(package.parent), **environment})


class Stepper:
    """A queue of jobs and somebody who steps it, as Blender's timer does."""

    def __init__(
        self, folder: Path, engine: Callable[[], Engine], limits: Limits | None = None
    ) -> None:
        self.queue = JobQueue(folder, engine, limits=limits or Limits())
        self.times: list[float] = []
        """How long each step took, seconds."""

    def step(self) -> None:
        """Step once."""
        begun = time.perf_counter()
        self.queue.step()
        self.times.append(time.perf_counter() - begun)

    def until(
        self, condition: Callable[[], object], seconds: float = 20.0
    ) -> list[tuple[State, float]]:
        """Step until a condition holds; return state and part of the first job at each step."""
        seen = []

        def look() -> object:
            self.step()
            seen.extend((job.state, job.part) for job in self.queue.jobs[:1])
            return condition()

        until(look, seconds)
        return seen

    def rest(self, seconds: float) -> None:
        """Step for so long."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end, seconds + 10.0)

    def end(self) -> None:
        """End what runs, and the queue."""
        if self.queue.current is not None:
            self.queue.kill(self.queue.current.id)
        self.queue.shutdown()

    def capture(self, marks: Path | None) -> list[str]:
        """Return a command to run first, which leaves a mark; without a file for it, it fails."""
        lines = [to_json_line(Progress("capture", done, 4)) for done in range(1, 5)]
        text = "import time\n" + "".join(f"print({line!r}); time.sleep(0.05)\n" for line in lines)
        if marks is None:
            failure = to_json_line(Failure("There is no camera; add one.", "DatasetError"))
            text += f"print({failure!r}); raise SystemExit(2)\n"
        else:
            text += f"open({str(marks)!r}, 'a').write('captured\\n')\n"
        return [sys.executable, "-c", text]
