"""What makes items popular, sent to columns and search engines: ``popularity``."""

from __future__ import annotations

import click

from pathhits.app import PathHits
from pathhits.cli.options import json_option, with_hits
from pathhits.cli.output import print_json, print_table


@click.command("popularity")
@click.option("--all", "all_items", is_flag=True, help="Every item, not only those that changed.")
@click.option("--sink", metavar="NAME", default="", help="Only this sink.")
@json_option
@with_hits
def popularity_command(hits: PathHits, all_items: bool, sink: str, as_json: bool) -> int:
    """Send the popularity of items to the sinks now, as the job does. Exit code 1 when one did not take it."""
    report = hits.refresh_popularity(all_items=all_items, sink=sink)
    if as_json:
        print_json(report.as_dict())
    else:
        rows = [(one.name, one.items, one.error or "-") for one in report.sinks]
        columns = [("sink", "left"), ("items", "right"), ("error", "left")]
        print_table(
            "Popularity", columns, rows, "no popularity sink: PATHHITS_APP has to name the app that declares one"
        )
    return 1 if report.failed else 0
