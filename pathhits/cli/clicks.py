"""Whether recommendations work: ``clicks``."""

from __future__ import annotations

from datetime import datetime

import click

from pathhits.app import PathHits
from pathhits.cli.options import json_option, period_options, with_hits
from pathhits.cli.output import print_json, print_table


@click.command("clicks")
@click.option("--items", "item_type", metavar="TYPE", help="Only recommendations of this type.")
@period_options
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
    empty = "None was shown or clicked yet: hits.track_recommendations_shown()."
    if since or until or item_type:
        empty = "None of these was shown or clicked."
    print_table("Recommendations", headings, cells, empty)


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
