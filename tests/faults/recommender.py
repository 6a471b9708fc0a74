"""Runs of the recommend job that die: ``python -m tests.faults.recommender MOMENT`` starts one for each of `POINTS`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime

from pathhits import PathHits
from pathhits.jobs import recommend
from pathhits.storage.sql.recommendations import Recommendations
from tests.faults.syncer import around

#: The steps of a run, in their order.
STEPS = ("position", "log", "baskets", "visitors", "sizes", "store", "commit", "move", "changed")
#: Where a run can die: before and after each step.
POINTS = tuple(f"{when} {step}" for step in STEPS for when in ("before", "after"))


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
    hits.recommend(moment)


if __name__ == "__main__":
    main(datetime.fromisoformat(sys.argv[1]))
