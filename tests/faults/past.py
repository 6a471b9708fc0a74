"""Runs of the demo's `history` that die: ``python -m tests.faults.past DAYS`` starts one for each of `POINTS`."""

from __future__ import annotations

import sys
from collections.abc import Callable

from demo_app import __main__, history
from demo_app.history.replay import Replay
from pathhits import PathHits
from tests.faults.dying import die_at_each, points_of
from tests.faults.syncer import around

#: The steps of a run, in their order.
STEPS = ("plan", "day", "items", "note")
#: Where a run can die: before and after each step.
POINTS = points_of(STEPS)


def main(days: str) -> None:
    """Print the points where a process really died."""

    def run(_point: str, reached: Callable[[str], None]) -> None:
        around(history, "_planned", "plan", reached)
        around(Replay, "add", "day", reached)
        around(PathHits, "refresh_items", "items", reached)
        around(history, "_cross_off", "note", reached)
        __main__.main(["history", "--first", "--days", days])

    die_at_each(POINTS, run)


if __name__ == "__main__":
    main(sys.argv[1])
