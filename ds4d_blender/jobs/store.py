# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on disk: one JSON file each, written whole or not at all."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

from ..seam import errors
from .job import Job, job_from_dict, job_to_dict

SUFFIX = ".job.json"


def save_job(folder: Path, job: Job) -> None:
    """Write a job.

    Raises:
        EngineError: it cannot be written.
    """
    path = job_path(folder, job.id)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(job_to_dict(job), indent=1), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        why = error.strerror or error
        raise errors.EngineError(f"The list of jobs cannot be saved in {folder}: {why}.") from error


def load_jobs(folder: Path) -> tuple[list[Job], list[str]]:
    """Return the jobs of a folder in their order, and a sentence for each file that is none."""
    jobs, sentences = [], []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            job = job_from_dict(json.loads(path.read_text(encoding="utf-8")))
            if path.name != job_path(folder, job.id).name:
                raise errors.EngineError("Its name is another job's.")
            jobs.append(job)
        except (OSError, ValueError, errors.EngineError):
            sentences.append(f"A job could not be read and is left out; its file is {path}.")
    return sorted(jobs, key=lambda job: job.place), sentences


def delete_job(folder: Path, job: Job) -> None:
    """Remove a job's file, its log and the folder of its name, that one in a thread."""
    for path in (job_path(folder, job.id), log_path(folder, job.id)):
        with suppress(OSError):
            path.unlink(missing_ok=True)
    # A capture leaves thousands of pictures there.
    if (folder / job.id).is_dir():
        threading.Thread(target=rmtree, args=(folder / job.id, True), daemon=True).start()


def job_path(folder: Path, job_id: str) -> Path:
    """Return where a job is kept."""
    return folder / f"{job_id}{SUFFIX}"


def log_path(folder: Path, job_id: str) -> Path:
    """Return where a job's log is."""
    return folder / f"{job_id}.log"
