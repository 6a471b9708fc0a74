"""`python -m demo_app history`: a made-up past for the demo, so that a dashboard has something to show.

It ends with yesterday (UTC), and leaves alone each day on which pathhits has seen a request: running it again adds
nothing but the days that were not there. What it is about to make is written down first, so that the next run, with
``--first`` too, completes what an earlier one was not let end; a day is counted in one transaction, hence once.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from rich.console import Console
from rich.progress import track
from sqlalchemy import delete, select

from demo_app import create_app, running
from demo_app.history.replay import Replay
from demo_app.history.visits import midnight
from demo_app.models import Past, db
from pathhits import PathHits

#: More days than that nobody needs to see.
MOST_DAYS = 730


def add_arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    choices = range(1, MOST_DAYS + 1)
    parser.add_argument("--days", type=int, choices=choices, default=90, metavar="N", help="how many (90)")
    parser.add_argument("--first", action="store_true", help="only where nothing was counted before, or to complete it")


def run(options: Namespace, console: Console | None = None) -> int:
    """Make it, and say what was made; 0. Raises `PathHitsError` when a store is away."""
    console = console or Console()
    running.take_over()
    shop = create_app()
    hits: PathHits = shop.extensions["pathhits"]
    with shop.app_context():
        days = _planned(hits, options)
        replay, in_order = Replay(shop), _is_past(hits, days)
        made = 0
        progress = track(days, f"{len(days)} days", console=console, transient=True, disable=not console.is_terminal)
        for when in progress:
            made += replay.add(when)
            if in_order:
                # Items become hot and cool then. Beside changes that are known already they would be out of order.
                hits.refresh_items(midnight(when + timedelta(days=1)))
            _cross_off(when)
        _cross_off(None)
    if made:
        hits.refresh_popularity()
        hits.recommend()
    console.print(f"{len(days)} days of the past were added, {made:,} hits", highlight=False)
    return 0


def free_days(hits: PathHits, many: int) -> list[date]:
    """The last days before today (UTC) on which pathhits has seen no request, in their order."""
    today = midnight(datetime.now(UTC).date())
    seen = hits.series("requests", today - timedelta(days=many), today, by="day")
    return [point.start.date() for point in seen if not point.value]


def _planned(hits: PathHits, options: Namespace) -> list[date]:
    """The days to make, written down: what an earlier run left, and what is asked for now."""
    left = set(db.session.scalars(select(Past.day)))
    wanted = [] if options.first and hits.total("requests") else free_days(hits, options.days)
    db.session.add_all(Past(day=day) for day in wanted if day not in left)
    db.session.commit()
    return sorted({*wanted, *left.intersection(free_days(hits, MOST_DAYS) if left else ())})


def _is_past(hits: PathHits, days: Sequence[date]) -> bool:
    """Whether nothing was seen after the first of these days, in whose order items then become hot and cool."""
    first = midnight(min(days, default=datetime.now(UTC).date()))
    return not any(point.value for point in hits.series("requests", first, datetime.now(UTC), by="day"))


def _cross_off(day: date | None) -> None:
    """Note that a day is made; None: that nothing is left to do."""
    db.session.execute(delete(Past) if day is None else delete(Past).where(Past.day == day))
    db.session.commit()
