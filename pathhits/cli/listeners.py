"""``pathhits listeners`` and ``pathhits dead``: who is called with events, and what could not be delivered."""

from __future__ import annotations

from dataclasses import asdict

import click

from pathhits.app import PathHits
from pathhits.cli.options import json_option, with_hits
from pathhits.cli.output import moment, print_json, print_table


@click.command("listeners")
@click.option("--forget", metavar="NAME", help="Delete a listener that is no more, with what waits for it.")
@json_option
@with_hits
def listeners_command(hits: PathHits, forget: str | None, as_json: bool) -> None:
    """Print the listeners that events are kept for, with what waits for them."""
    deliveries = hits.deliveries
    if forget is not None:
        _check_known(hits, forget)
        click.echo(f"{forget} is forgotten, and {deliveries.forget(forget):,} deliveries with it.")
        return
    known = deliveries.listeners()
    if as_json:
        print_json([asdict(one) for one in known])
        return
    rows = [(one.name, one.pattern, moment(one.seen_at), one.due, one.dead) for one in known]
    headings = [("listener", "left"), ("events", "left"), ("last seen (UTC)", "left"), ("due", "right")]
    empty = "No listener is known yet: a worker with PATHHITS_APP makes them known."
    print_table("Listeners", [*headings, ("dead", "right")], rows, empty)


def _check_known(hits: PathHits, name: str) -> None:
    """Misuse where no listener has that name."""
    names = [one.name for one in hits.deliveries.listeners()]
    if name not in names:
        there = f"there are {', '.join(names)}" if names else "none is known yet"
        raise click.UsageError(f"no listener is called {name!r}: {there}")


@click.group()
def dead() -> None:
    """Deliveries to listeners that failed for good: look at them, make them anew."""


_listener_option = click.option("--listener", metavar="NAME", default="", help="Only those to this listener.")


@dead.command("list")
@_listener_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@json_option
@with_hits
def dead_list(hits: PathHits, listener: str, limit: int, as_json: bool) -> None:
    """Print deliveries that failed for good, with their last error, the last ones first."""
    if listener:
        _check_known(hits, listener)
    found = hits.dead_deliveries(listener, limit)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [(moment(one.moment), one.listener, one.event, one.item, one.attempts, one.error) for one in found]
    names = ("at (UTC)", "listener", "event", "item", "attempts", "error")
    print_table("Dead deliveries", [(name, "left") for name in names], rows, "No delivery is dead.")


@dead.command("retry")
@_listener_option
@with_hits
def dead_retry(hits: PathHits, listener: str) -> None:
    """Have the worker make dead deliveries anew, with all attempts ahead of them."""
    if listener:
        _check_known(hits, listener)
    click.echo(f"{hits.retry_dead(listener):,} deliveries are due again.")
