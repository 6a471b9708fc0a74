"""Runs of the items job that die: ``python -m tests.faults.refresher MOMENT`` starts one for each of `POINTS`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime

from pathhits import PathHits
from pathhits.jobs import items
from pathhits.storage.sql import hotness
from tests.faults.syncer import around

#: The steps of a run, in their order.
STEPS = ("due", "lock", "count", "store", "changing", "commit", "changed")
#: Where a run can die: before and after each step.
POINTS = tuple(f"{when} {step}" for step in STEPS for when in ("before", "after"))


def instrument(hits: PathHits, reached: Callable[[str], None]) -> None:
    """Call ``reached`` with each of `POINTS` as a run gets there; one item is refreshed at a time."""
    items.ITEMS_A_STEP = 1
    around(hotness.Hotness, "due", "due", reached)
    around(hotness.Hotness, "_refreshed", "lock", reached)
    around(hotness, "_recent_views", "count", reached)
    around(hotness, "_store", "store", reached)
    around(hits.hot_version, "changing", "changing", reached)
    around(hits.hot_version, "changed", "changed", reached)
    around(hits.engine.dialect, "do_commit", "commit", reached)


def main(moment: datetime) -> None:
    """Print the points where a process really died."""
    for point in POINTS:
        pid = os.fork()
        if pid == 0:
            _die_at(point, moment)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print("died" if os.WIFSIGNALED(status) else "survived", point, flush=True)


def _die_at(point: str, moment: datetime) -> None:
    hits = PathHits()
    instrument(hits, lambda reached: os.kill(os.getpid(), signal.SIGKILL) if reached == point else None)
    hits.refresh_items(moment)


if __name__ == "__main__":
    main(datetime.fromisoformat(sys.argv[1]))
