"""Runs of prune and recount that die: ``python -m tests.faults.pruner MOMENT`` starts one for each of `POINTS`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime

from pathhits import PathHits
from pathhits.jobs import prune, recount
from pathhits.storage.sql import recount as recounting
from pathhits.storage.sql import retention
from tests.faults.dying import die_at_each, points_of
from tests.faults.syncer import around

#: The steps of a run, in their order.
STEPS = ("events", "ledger", "fold", "values", "commit", "step", "days", "item")
#: Where a run can die: before and after each step.
POINTS = points_of(STEPS)


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

    def run(point: str, reached: Callable[[str], None]) -> None:
        hits = PathHits()
        instrument(hits, reached)
        if point.rpartition(" ")[2] not in ("step", "days", "item"):
            hits.prune(moment)
        hits.recount()

    die_at_each(POINTS, run)


if __name__ == "__main__":
    main(datetime.fromisoformat(sys.argv[1]))
