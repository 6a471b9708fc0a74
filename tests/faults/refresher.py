"""Runs of the items job that die: ``python -m tests.faults.refresher MOMENT`` starts one for each of `POINTS`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime

from pathhits import PathHits
from pathhits.jobs import items
from pathhits.storage.sql import hotness
from tests.faults.dying import die_at_each, points_of
from tests.faults.syncer import around

#: The steps of a run, in their order.
STEPS = ("due", "lock", "count", "store", "changing", "commit", "changed")
#: Where a run can die: before and after each step.
POINTS = points_of(STEPS)


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

    def run(point: str, reached: Callable[[str], None]) -> None:
        hits = PathHits()
        instrument(hits, reached)
        hits.refresh_items(moment)

    die_at_each(POINTS, run)


if __name__ == "__main__":
    main(datetime.fromisoformat(sys.argv[1]))
