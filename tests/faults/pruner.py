"""Runs of prune and recount that die: ``python -m tests.faults.pruner MOMENT`` starts one for each of `POINTS`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime

from pathhits import PathHits
from pathhits.jobs import prune, recount
from pathhits.storage.sql import recount as recounting
from pathhits.storage.sql import retention
from tests.faults.syncer import around

#: The steps of a run, in their order.
STEPS = ("events", "ledger", "fold", "values", "commit", "step", "days", "item")
#: Where a run can die: before and after each step.
POINTS = tuple(f"{when} {step}" for step in STEPS for when in ("before", "after"))


def instrument(hits: PathHits, reached: Callable[[str], None]) -> None:
    """Call ``reached`` with each of `POINTS` as a run gets there; a few rows are a step."""
    prune.ROWS_A_STEP = recount.ITEMS_A_STEP = 2
    around(retention.Retention, "prune_events", "events", reached)
    around(retention.Retention, "fold_ledger", "ledger", reached)
    around(retention, "upsert", "fold", reached)
    around(retention.Retention, "prune_values", "values", reached)
    around(recounting, "_step", "step", reached)
    around(recounting, "_correct_days", "days", reached)
    around(recounting, "_correct_item", "item", reached)
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
    if point.rpartition(" ")[2] not in ("step", "days", "item"):
        hits.prune(moment)
    hits.recount()


if __name__ == "__main__":
    main(datetime.fromisoformat(sys.argv[1]))
