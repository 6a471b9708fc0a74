"""`python -m demo_app history`: a made-up past for the demo, so that a dashboard has something to show.

It ends with yesterday (UTC), and leaves alone each day on which pathhits has seen a request: running it again adds
nothing but the days that were not there.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import UTC, date, datetime, timedelta

from rich.console import Console
from rich.progress import track

from demo_app import create_app, running
from demo_app.history.replay import Replay
from demo_app.history.visits import midnight
from pathhits import PathHits

#: More days than that nobody needs to see.
MOST_DAYS = 730


def add_arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    choices = range(1, MOST_DAYS + 1)
    parser.add_argument("--days", type=int, choices=choices, default=90, metavar="N", help="how many (90)")
    parser.add_argument("--first", action="store_true", help="only where nothing was counted before")


def run(options: Namespace, console: Console | None = None) -> int:
    """Make it, and say what was made; 0. Raises `PathHitsError` when a store is away."""
    console = console or Console()
    running.take_over()
    shop = create_app()
    hits: PathHits = shop.extensions["pathhits"]
    is_new = hits.total("requests") == 0
    days = [] if options.first and not is_new else free_days(hits, options.days)
    replay = Replay(shop)
    made = 0
    for when in track(days, f"{len(days)} days", console=console, transient=True):
        made += replay.add(when)
        if is_new:
            # Items become hot and cool then. Beside changes that are known already they would be out of order.
            hits.refresh_items(midnight(when + timedelta(days=1)))
    console.print(f"{len(days)} days of the past were added, {made:,} hits", highlight=False)
    return 0


def free_days(hits: PathHits, many: int) -> list[date]:
    """The last days before today (UTC) on which pathhits has seen no request, in their order."""
    today = midnight(datetime.now(UTC).date())
    seen = hits.series("requests", today - timedelta(days=many), today, by="day")
    return [point.start.date() for point in seen if not point.value]
