"""Whether recommendations work: ``clicks``."""

from __future__ import annotations

from datetime import datetime

import click

from pathhits.app import PathHits
from pathhits.cli.options import Moment, json_option, with_hits
from pathhits.cli.output import print_json, print_table


@click.command("clicks")
@click.option("--items", "item_type", metavar="TYPE", help="Only recommendations of this type.")
@click.option("--since", type=Moment(), help="From this moment on (24h, 7d, 2026-11-20), in whole UTC hours.")
@click.option("--until", type=Moment(), help="Up to this moment.")
@json_option
@with_hits
def clicks_command(
    hits: PathHits, item_type: str | None, since: datetime | None, until: datetime | None, as_json: bool
) -> None:
    """Print how often recommendations were shown and clicked, by reason, as far as that is in SQL."""
    rows = hits.click_rates(since, until, item_type=item_type)
    if as_json:
        print_json([row.as_dict() for row in rows])
        return
    cells = [(row.item_type, row.reason, row.shown, row.clicks, _percent(row.rate)) for row in rows]
    headings = [("items", "left"), ("reason", "left"), *((name, "right") for name in ("shown", "clicks", "rate"))]
    print_table(
        "Recommendations", headings, cells, "None was shown or clicked yet: hits.track_recommendations_shown()."
    )


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
