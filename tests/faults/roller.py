"""Runs of the job of months that die: ``python -m tests.faults.roller MOMENT`` starts one for each of `POINTS`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime

from pathhits import PathHits
from pathhits.storage.sql import months
from tests.faults.dying import die_at_each, points_of
from tests.faults.syncer import around

#: The steps of a run, in their order.
STEPS = ("due", "mark", "sum", "commit")
#: Where a run can die: before and after each step.
POINTS = points_of(STEPS)


def instrument(hits: PathHits, reached: Callable[[str], None]) -> None:
    """Call ``reached`` with each of `POINTS` as a run gets there."""
    around(months.Months, "due", "due", reached)
    around(months, "upsert", "mark", reached)
    around(months, "_sum_up", "sum", reached)
    around(hits.engine.dialect, "do_commit", "commit", reached)


def main(moment: datetime) -> None:
    """Print the points where a process really died."""

    def run(point: str, reached: Callable[[str], None]) -> None:
        hits = PathHits()
        instrument(hits, reached)
        hits.roll_months(moment)

    die_at_each(POINTS, run)


if __name__ == "__main__":
    main(datetime.fromisoformat(sys.argv[1]))
