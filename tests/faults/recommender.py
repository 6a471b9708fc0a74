"""Runs of the recommend job that die: ``python -m tests.faults.recommender MOMENT`` starts one for each of `POINTS`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime

from pathhits import PathHits
from pathhits.jobs import recommend
from pathhits.storage.sql.recommendations import Recommendations
from tests.faults.dying import die_at_each, points_of
from tests.faults.syncer import around

#: The steps of a run, in their order.
STEPS = ("position", "log", "baskets", "visitors", "sizes", "store", "commit", "move", "changed")
#: Where a run can die: before and after each step.
POINTS = points_of(STEPS)


def instrument(hits: PathHits, reached: Callable[[str], None]) -> None:
    """Call ``reached`` with each of `POINTS` as a run gets there; one event is looked at at a time."""
    recommend.EVENTS_A_STEP = recommend.ITEMS_A_STEP = 1
    for method, step in (
        ("position", "position"), ("log_after", "log"), ("baskets", "baskets"), ("visitors_of", "visitors"),
        ("visitor_days", "sizes"), ("store", "store"), ("move_to", "move"),
    ):  # fmt: skip
        around(Recommendations, method, step, reached)
    around(hits.recommended_version, "changed", "changed", reached)
    around(hits.engine.dialect, "do_commit", "commit", reached)


def main(moment: datetime) -> None:
    """Print the points where a process really died."""

    def run(point: str, reached: Callable[[str], None]) -> None:
        hits = PathHits()
        instrument(hits, reached)
        hits.recommend(moment)

    die_at_each(POINTS, run)


if __name__ == "__main__":
    main(datetime.fromisoformat(sys.argv[1]))
