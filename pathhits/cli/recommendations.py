"""What goes with what: ``also-viewed`` and ``recommend``."""

from __future__ import annotations

from dataclasses import asdict

import click

from pathhits.app import PathHits
from pathhits.cli.options import json_option, with_hits
from pathhits.cli.output import print_json, print_table
from pathhits.core.recommending import KEPT
from pathhits.core.rules import check_type


@click.command("also-viewed")
@click.argument("item_type", metavar="TYPE")
@click.argument("item_id", metavar="ID")
@click.option("--limit", type=click.IntRange(1, KEPT), default=10, show_default=True, help="How many.")
@json_option
@with_hits
def also_viewed_command(hits: PathHits, item_type: str, item_id: str, limit: int, as_json: bool) -> None:
    """Print the items of the same type that visitors of this one viewed too, the likest first."""
    rows = hits.item_reads.also_viewed(check_type(item_type), item_id)[:limit]
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    cells = [(row.item_id, f"{row.score:.4f}", row.visitors) for row in rows]
    headings = [("item", "left"), ("score", "right"), ("visitors in common", "right")]
    empty = "Nothing goes with it yet: the recommend job looks at new views every hour, 'pathhits recommend' now."
    print_table(f"Also viewed: {item_type} {item_id}", headings, cells, empty)


@click.command("recommend")
@json_option
@with_hits
def recommend_command(hits: PathHits, as_json: bool) -> None:
    """Make the lists of items that go together anew, as the job does, for all that was viewed since the last run."""
    report = hits.recommend()
    if as_json:
        print_json(report.as_dict())
    else:
        more = ", more is left for the next run" if report.more else ""
        click.echo(f"{report.events:,} events looked at, {report.items:,} lists made, {report.seconds:.2f} s{more}")
