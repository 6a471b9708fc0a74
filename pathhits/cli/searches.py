"""What visitors searched for: ``searches``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import click

from pathhits.app import PathHits
from pathhits.cli.options import json_option, period_options, with_hits
from pathhits.cli.output import print_json, print_table, told


@click.command("searches")
@click.option("--failed", is_flag=True, help="Searches that found nothing.")
@click.option("--entity-type", metavar="TYPE", help="Only searches for this type.")
@period_options
@click.option("--limit", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many.")
@json_option
@with_hits
def searches_command(
    hits: PathHits,
    failed: bool,
    entity_type: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the queries that were searched for most, as far as they are in SQL."""
    ask = hits.failed_searches if failed else hits.popular_searches
    rows = ask(since, limit, until=until, entity_type=entity_type)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    cells = [
        (
            row.query,
            row.entity_type or "-",
            row.searches,
            row.visitors,
            _average(row.average_results),
            told(row.last_at),
        )
        for row in rows
    ]
    names = ("searches", "visitors", "average results")
    headings = [("query", "left"), ("for", "left"), *((name, "right") for name in names), ("last (UTC)", "left")]
    empty = "No search was logged yet: hits.track_search(query, result_count=...)."
    if failed:
        empty = "No search failed."
    elif since or until or entity_type:
        empty = "No such search was logged."
    print_table("Failed searches" if failed else "Popular searches", headings, cells, empty)


def _average(results: float | None) -> str:
    return "-" if results is None else f"{results:,.1f}"
