"""The computed dashboard: ``snapshot``."""

from __future__ import annotations

from typing import Any

import click

from pathhits.app import PathHits
from pathhits.cli.options import json_option, with_hits
from pathhits.cli.output import print_json, print_table


@click.command("snapshot")
@click.option("--refresh", is_flag=True, help="Compute and store it anew first, as the job does.")
@json_option
@with_hits
def snapshot_command(hits: PathHits, refresh: bool, as_json: bool) -> None:
    """Print the dashboard as it was last computed, and how old that is."""
    if refresh:
        hits.refresh_snapshot()
    snapshot = hits.snapshot()
    if as_json:
        print_json(snapshot.as_dict())
        return
    click.echo(f"As of {snapshot.moment:%Y-%m-%d %H:%M:%S} UTC, {snapshot.age():.0f} s ago, from {snapshot.source}.")
    parts = snapshot.parts
    days = f"the last {parts['days']} days"
    print_table(f"Totals of {days}", [("", "left"), ("", "right")], _totals(parts["totals"]), "")
    _rows(f"Paths of {days}", parts["top_paths"], ("path", "hits", "visitors"))
    for kind, of_type in parts["items"].items():
        _rows(f"{kind}: most viewed of {days}", of_type["top"], ("item_id", "views", "visitors"))
        _rows(f"{kind}: hot", of_type["hot"], ("item_id", "recent_views", "views"))
    for kind, rows in parts["searches"].items():
        _rows(f"{kind.capitalize()} searches of {days}", rows, ("query", "searches", "visitors"))
    for kind, rows in parts["sources"].items():
        _rows(f"{kind.capitalize()} of {days}", rows, ("value", "hits"))
    _rows("Days", parts["daily"], ("day", "hits", "visitors", "visits", "bounces"))


def _totals(totals: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name.replace("_", " "), _plain(value)) for name, value in totals.items()]


def _rows(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if rows:
        headings = [(name.replace("_", " "), "left" if n == 0 else "right") for n, name in enumerate(columns)]
        print_table(title, headings, [[_plain(row[name]) for name in columns] for row in rows], "")


def _plain(value: Any) -> Any:
    return "-" if value is None else round(value, 1) if isinstance(value, float) else value
