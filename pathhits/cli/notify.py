"""``pathhits notify``: who is told of events, whether that works, and what could not be told."""

from __future__ import annotations

from dataclasses import asdict

import click

from pathhits.app import PathHits
from pathhits.cli.options import json_option, with_hits
from pathhits.cli.output import print_json, print_table


@click.command("notify")
@click.option(
    "--test", is_flag=True, help="Tell everybody now that this is a test; exit code 1 when one did not take it."
)
@click.option("--retry", is_flag=True, help="Have the worker send again what failed for good.")
@json_option
@with_hits
def notify_command(hits: PathHits, test: bool, retry: bool, as_json: bool) -> int:
    """Print who is told of events, and the notifications that failed for good, with their last error."""
    if test:
        return _test(hits, as_json)
    if retry:
        click.echo(f"{hits.notifier.retry():,} notifications are in the queue again.")
        return 0
    found = hits.notifier.failed()
    if as_json:
        print_json({"recipients": _recipients(hits), "failed": [asdict(one) for one in found]})
        return 0
    _print_recipients(hits)
    if found:
        rows = [(one.subject, one.channel, one.error) for one in found]
        print_table("Failed for good", [("subject", "left"), ("to", "left"), ("error", "left")], rows, "")
    return 0


def _test(hits: PathHits, as_json: bool) -> int:
    results = hits.notifier.test()
    if as_json:
        print_json([{"kind": one.kind, "to": one.shown, "error": error} for one, error in results])
    else:
        rows = [(one.kind, one.shown, error or "ok") for one, error in results]
        print_table("Test", [("by", "left"), ("to", "left"), ("", "left")], rows, _NOBODY)
    return 1 if any(error for _, error in results) else 0


_NOBODY = "Nobody is told: set NOTIFY_TO, NOTIFY_WEBHOOKS or NOTIFY_FILE."


def _recipients(hits: PathHits) -> list[dict[str, str]]:
    from pathhits.notify.channels import channels

    return [{"kind": one.kind, "to": one.shown} for one in channels(hits.settings)]


def _print_recipients(hits: PathHits) -> None:
    rows = [(one["kind"], one["to"]) for one in _recipients(hits)]
    print_table("Recipients", [("by", "left"), ("to", "left")], rows, _NOBODY)
