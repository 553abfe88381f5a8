# SPDX-License-Identifier: GPL-3.0-or-later
"""A fit on another machine: its files go there, its asset, checkpoint and previews come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from ..seam import commands, errors, events
from .location import Engine, quoted
from .mailbox import Mailbox
from .process import LOOK_SECONDS, EngineProcess, Patience
from .transfer import SAID, STAMP, Link, fetch, place_of, send, signature, size_of

# A worker whose connection broke may still be writing its checkpoint; it is asked once more to end.
_END_WORKER = """
if [ -f worker.pid ]; then
  worker=$(cat worker.pid); waited=0
  if ps -ww -p "$worker" -o args= | grep -q ds4d_engine; then
    kill "$worker"
    while kill -0 "$worker" 2>/dev/null && [ $waited -lt 15 ]; do
      sleep 1; waited=$((waited + 1))
    done
    kill -9 "$worker" 2>/dev/null
  fi
  rm -f worker.pid
fi
"""


class RemoteRun:
    """Runs `ds4d fit` on another machine; looks like an `EngineProcess` that writes files here.

    Args:
        engine: an engine with a prefix.
        words: the words after `ds4d`, without -o.
        inputs: paths among the words; they are copied once and kept until the job is done.
        output: the .ds4d file to write here; its checkpoint and previews lie beside it.
        name: names the folder on the other machine, letters and digits.
        log: as of `EngineProcess`.
    """

    def __init__(
        self,
        engine: Engine,
        words: Sequence[str],
        inputs: Sequence[str],
        output: str,
        name: str,
        log: Path,
        patience: Patience = Patience(),  # noqa: B008  # frozen
    ) -> None:
        self.engine, self.words, self.inputs = engine, list(words), list(inputs)
        self.output, self.name, self.log = Path(output), name, Path(log)
        self.patience = patience
        self._link = Link(engine)
        self._mail = Mailbox()
        self._process: EngineProcess | None = None
        self._stopping = self._killed = False
        self._fitting = False  # a checkpoint may lie there
        self._last_moved = 0.0
        self._ended = threading.Event()
        self._fetching: threading.Thread | None = None
        self._previews: set[Path] = set()
        threading.Thread(target=self._live, name="ds4d-remote", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Tell whether anything still goes on."""
        return not self._ended.is_set()

    @property
    def stopping(self) -> bool:
        """Tell whether it was asked to end."""
        return self._stopping

    @property
    def pid(self) -> int:
        """Return the number of the process here that holds the connection, 0 without one."""
        return self._process.pid if self._process is not None else 0

    @property
    def exit_code(self) -> int | None:
        """Return how the engine ended, None while it runs or where it never ran."""
        return self._process.exit_code if self._process is not None else None

    @property
    def stray_line(self) -> str:
        """Return the first line that was no event."""
        return self._process.stray_line if self._process is not None else ""

    def poll(self) -> list[events.Event]:
        """Return what was said since the last call; at once."""
        return self._mail.take()

    def say(self, command: commands.Command) -> None:
        """Tell the engine something; at once."""
        if self._process is not None:
            self._process.say(command)

    def stop(self) -> None:
        """Ask the engine to end soon; what there is still comes back."""
        self._stopping = True
        if self._process is not None:
            self._process.stop()
        else:
            self._link.close()

    def release(self) -> None:
        """Close the engine's standard input; it ends by itself."""
        self._stopping = True
        if self._process is not None:
            self._process.release()
        else:
            self._link.close()

    def kill(self) -> None:
        """End everything here now; the engine there ends as its connection does."""
        self._stopping = self._killed = True
        self._link.close()
        if self._process is not None:
            self._process.kill()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, at most so long; return whether it has."""
        return self._ended.wait(seconds)

    def _live(self) -> None:
        last: events.Event | None = None
        try:
            base = self._send()
            last = self._work(base)
            last = self._bring_back(base, last)
        except errors.EngineError as error:
            last = events.Failure(str(error), "ConnectionLost", self._fitting)
        except (OSError, ValueError) as error:
            last = events.Failure(f"A file cannot be copied: {error}.", "DatasetError")
        finally:
            if self._fetching is not None:
                self._fetching.join(5.0)
            self._link.close()
            for path in self._previews:  # the engine's own are gone by now
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            if last is not None:
                self._mail.put(last)
            self._ended.set()

    def _send(self) -> str:
        """Copy the inputs there unless they are there; return the job's folder there."""
        folder = quoted(f"{self.engine.work_folder}/{self.name}")
        checkpoint = self.output.with_name(self.output.name + ".checkpoint")
        line = (
            f"mkdir -p {folder}/out && cd {folder} && {{ {_END_WORKER} }}; "
            f'echo "{SAID}$PWD"; echo "{SAID}$(cat in/{STAMP} 2>/dev/null)"; '
            f'echo "{SAID}$(ls out/{quoted(checkpoint.name)} 2>/dev/null)"'
        )
        base, stamp, kept, *_ = [*self._link.ask(line), "", "", ""]
        if not base:
            raise errors.EngineError(f"{self.engine.host} gives no folder for the files.")
        if self.inputs and stamp != signature(self.inputs):
            stage = events.Stage(self._mail.put, "send files", size_of(self.inputs) or 1)
            send(self._link, self.inputs, f"{base}/in", self._moved(stage))
        if "--resume" not in self.words or kept:
            return base
        if checkpoint.is_file():
            stage = events.Stage(self._mail.put, "send files", checkpoint.stat().st_size or 1)
            send(self._link, [str(checkpoint)], f"{base}/again", self._moved(stage))
            self._link.ask(f"cd {quoted(base)} && mv again/0/* out && rm -rf again")
        else:
            self.words.remove("--resume")
            with suppress(OSError), open(self.log, "a", encoding="utf-8") as log:
                log.write(f"There is no checkpoint on {self.engine.host}: it begins again.\n")
        return base

    def _work(self, base: str) -> events.Event | None:
        """Run the engine to its end; return its result or its error."""
        words = [self._there(word, base) for word in self.words]
        line = self.engine.line(*words, "-o", f"{base}/out/{self.output.name}")
        command = self.engine.shell(f"echo $$ > {quoted(base)}/worker.pid; {line}")
        if self._stopping:
            raise errors.EngineError("Cancelled.")
        self._process = process = EngineProcess(command, [], self.log, patience=self.patience)
        if self._stopping:  # asked for in this very moment
            process.stop()
        last: events.Event | None = None
        alive = True
        while alive:
            alive = process.alive
            for event in process.poll():
                if isinstance(event, events.Result | events.Failure):
                    last = event if last is None else last
                    process.release()
                elif isinstance(event, events.Preview):
                    self._fetch_preview(base, event)
                else:
                    self._fitting |= isinstance(event, events.Progress) and event.stage == "fit"
                    self._mail.put(event)
            process.wait(LOOK_SECONDS)
        return last

    def _bring_back(self, base: str, last: events.Event | None) -> events.Event | None:
        """Copy what the engine left; return what is to be said at the end."""
        if self._killed:
            return last or events.Failure("Ended.", "EngineKilled", self._fitting)
        if last is None and self.exit_code == 255:  # ssh's own
            raise errors.EngineError(
                f"The connection to {self.engine.host} was lost; Resume goes on from the last "
                "checkpoint there."
            )
        done = isinstance(last, events.Result)
        finished = done and not last.values.get("stopped") and not self._stopping
        names = [self.output.name] if done else []
        names += [] if finished else [f"{self.output.name}.checkpoint"]
        stage = events.Stage(self._mail.put, "fetch result", 1.0)
        stage.update(0.0)
        targets = {name: self.output.with_name(name) for name in names}
        try:
            found = fetch(self._link, f"{base}/out", targets, self._moved(stage, known=False))
        except errors.EngineError as error:
            raise errors.EngineError(f"{error} They lie in {base}/out there.") from error
        if done and self.output.name not in found:
            raise errors.EngineError(f"The asset is not on {self.engine.host} any more; try again.")
        if finished:
            with suppress(errors.EngineError):
                self._link.ask(f"rm -rf {quoted(base)}")
        if done:
            return events.Result({**last.files, "asset": str(self.output)}, last.values)
        return last

    def _there(self, word: str, base: str) -> str:
        """Return a word with its path, if it is or ends in one, as it is on the other machine."""
        for index, path in enumerate(self.inputs):
            if word == path or word.endswith(f"={path}"):
                return word.removesuffix(path) + f"{base}/in/{place_of(index, path)}"
        return word

    def _moved(self, stage: events.Stage, *, known: bool = True):
        """Return what tells a stage how much has gone, and now and then that something goes."""

        def moved(count: int) -> None:
            if known:
                stage.update(min(count, stage.total))
            if time.monotonic() - self._last_moved > 1.0:
                self._last_moved = time.monotonic()
                self._mail.put(events.Heartbeat())

        return moved

    def _fetch_preview(self, base: str, event: events.Preview) -> None:
        """Bring a preview here in a thread, unless an earlier one is still on its way."""
        if self._fetching is not None and self._fetching.is_alive():
            return
        names = {role: PurePosixPath(path).name for role, path in event.files.items()}
        targets = {name: self.output.with_name(name) for name in names.values()}
        self._previews.update(targets.values())

        def bring() -> None:
            with suppress(errors.EngineError):
                found = fetch(self._link, f"{base}/out", targets, lambda count: None, changing=True)
                files = {role: str(targets[n]) for role, n in names.items() if n in found}
                self._mail.put(events.Preview(files, event.values))

        self._fetching = threading.Thread(target=bring, daemon=True)
        self._fetching.start()


def forget(engine: Engine, name: str) -> None:
    """Remove a job's folder on the other machine, in a thread; nothing is said if that fails."""

    def remove() -> None:
        with suppress(errors.EngineError):
            Link(engine).ask(f"rm -rf {quoted(f'{engine.work_folder}/{name}')}")

    threading.Thread(target=remove, daemon=True).start()
