"""Processes that sync without end, made to be killed: a nursery forks a new one for each that died.

``python -m tests.faults.syncer loop <file of Slot> ...`` keeps one alive for each file, in which it says which step
it is at. ``python -m tests.faults.syncer points`` syncs once for each of `POINTS` and dies exactly there.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event

from pathhits import PathHits
from pathhits.errors import PathHitsError
from pathhits.storage.sql import ledger, writing
from tests.faults.truth import Cells

#: The steps of a sync, in their order; the number in `Slot` is the place in here.
STEPS = ("between", "seal", "read", "claim", "write", "commit", "settle")
#: Where a sync can die: before and after each step.
POINTS = tuple(f"{when} {step}" for step in STEPS[1:] for when in ("before", "after"))


class Slot(Cells):
    """One syncer: its pid, the step it is at, and how often it succeeded and failed."""

    names = ("pid", "step", "done", "failed")


def slots(folder: Path, number: int) -> list[Slot]:
    """New files for so many syncers."""
    return [Slot.create(folder / f"syncer-{n}") for n in range(number)]


def instrument(hits: PathHits, reached: Callable[[str], None]) -> None:
    """Call ``reached`` with each of `POINTS` as a sync gets there."""

    for name in ("seal", "read", "settle"):
        around(hits.pending, name, name, reached)
    around(ledger, "_claim", "claim", reached)
    around(writing.Writer, "write", "write", reached)
    around(hits.engine.dialect, "do_commit", "commit", reached)
    event.listen(hits.engine, "checkin", lambda *_: reached("between"))


def around(owner: Any, name: str, step: str, reached: Callable[[str], None]) -> None:
    """Replace a method or function by one that calls ``reached`` before and after itself."""
    inner = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        reached(f"before {step}")
        value = inner(*args, **kwargs)
        reached(f"after {step}")
        return value

    setattr(owner, name, call)


def loop(slot: Slot) -> None:
    """Sync until killed."""
    slot["pid"] = os.getpid()
    hits = PathHits()

    def reached(point: str) -> None:
        slot["step"] = STEPS.index(point.rpartition(" ")[2]) if point.startswith("before") else 0

    instrument(hits, reached)
    while True:
        try:
            hits.sync(force=True)
            slot["done"] += 1
        except PathHitsError:
            slot["failed"] += 1


def nursery(paths: list[Path]) -> None:
    """Keep one syncer alive for each file; the group ends together."""
    places = {_fork(partial(loop, Slot(path))): path for path in paths}
    print("ready", flush=True)
    while True:
        pid, _ = os.wait()
        path = places.pop(pid)
        places[_fork(partial(loop, Slot(path)))] = path


def points() -> None:
    """Die at each of `POINTS`, three hits and three views at a time; print those where a process really died."""
    for point in POINTS:
        hits = PathHits(request_deadline=20.0)
        for number in range(3):
            hits.track_hit(point)
            assert hits.track_view("point", point, ip=f"203.0.113.{number}", user_agent="Firefox")
        assert hits.flush(10.0)
        hits.close()
        _, status = os.waitpid(_fork(partial(_die_at, point)), 0)
        print("died" if os.WIFSIGNALED(status) else "survived", point, flush=True)


def _die_at(point: str) -> None:
    hits = PathHits()
    instrument(hits, lambda reached: os.kill(os.getpid(), signal.SIGKILL) if reached == point else None)
    hits.sync(force=True)


def _fork(child: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(0)
    return pid


if __name__ == "__main__":
    if sys.argv[1] == "points":
        points()
    else:
        nursery([Path(path) for path in sys.argv[2:]])
