# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's stages in a person's words, and how much of a job each of them is."""

from __future__ import annotations

from typing import NamedTuple

from ..seam import events


class Share(NamedTuple):
    """What a stage is called, and from where to where it brings the job, in parts of the whole."""

    label: str
    begin: float
    end: float


BEFORE = 0.25
"""Part of a job that a command takes which runs first."""

SHARES = {
    "send files": Share("Sending files", 0.0, 0.02),
    "compile": Share("Preparing the engine, once for this machine", 0.02, 0.05),
    "read clip": Share("Reading the clip", 0.0, 0.03),
    "read videos": Share("Reading the videos", 0.0, 0.05),
    "read pictures": Share("Reading the pictures", 0.0, 0.05),
    "find object": Share("Finding the subject", 0.03, 0.06),
    "cut out": Share("Cutting out the subject", 0.06, 0.07),
    "read views": Share("Reading the generated views", 0.05, 0.06),
    "generate views": Share("Generating views", 0.05, 0.10),
    "features": Share("Looking for what belongs together", 0.08, 0.10),
    "align geometry": Share("Placing the initial shape", 0.07, 0.09),
    "start": Share("Building the first shape", 0.08, 0.09),
    "track": Share("Following the motion", 0.09, 0.11),
    "lift tracks": Share("Following the motion in depth", 0.11, 0.13),
    "fit": Share("Fitting", 0.13, 0.96),
    "see": Share("Finding out what the camera saw", 0.96, 0.98),
    "fetch result": Share("Fetching the result", 0.98, 1.0),
}
# Stages of a capture, in parts of the command that runs first.
BEFORE_SHARES = {
    "measure motion": Share("Following the motion of the scene", 0.0, 0.1),
    "capture": Share("Rendering the scene", 0.1, 1.0),
}


def label(stage: str) -> str:
    """Return a stage in a person's words."""
    known = SHARES.get(stage) or BEFORE_SHARES.get(stage)
    return known.label if known else stage[:1].upper() + stage[1:]


def part_of_job(event: events.Progress, *, has_before: bool, in_before: bool) -> float:
    """Return how much of the whole job is done, 0..1; 0 where the stage is unknown."""
    done = min(max(event.done / event.total, 0.0), 1.0) if event.total > 0 else 1.0
    shares = BEFORE_SHARES if in_before else SHARES
    unknown = Share("", 0.0, 1.0) if in_before else Share("", 0.0, 0.0)
    share = shares.get(event.stage, unknown)
    part = share.begin + done * (share.end - share.begin)
    if not has_before:
        return part
    return BEFORE * part if in_before else BEFORE + (1.0 - BEFORE) * part


def seconds_left(event: events.Progress) -> float | None:
    """Return how long the whole job still takes, None while that cannot be told."""
    share = SHARES.get(event.stage)
    if share is None or event.eta_seconds is None or share.begin < SHARES["fit"].begin:
        return None
    if event.stage != "fit" or event.done <= 0:
        return event.eta_seconds
    # What comes after the fit takes as long for its share as the fit does for its own.
    return event.eta_seconds * (1.0 + (1.0 - share.end) / (share.end - share.begin))
