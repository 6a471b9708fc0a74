"""Whether all is well (``doctor``, ``verify``), and jobs called by hand: ``items``, ``recount``, ``prune`` ..."""

from __future__ import annotations

import click

from pathhits.app import PathHits
from pathhits.cli.options import json_option, with_hits
from pathhits.cli.output import print_json, print_table


@click.command("doctor")
@json_option
@with_hits
def doctor_command(hits: PathHits, as_json: bool) -> int:
    """Look at Redis, SQL, queue and clock; say what is wrong and what to do. Exit code 1 on an error."""
    findings = hits.doctor()
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        rows = [(finding.state, finding.what, finding.says) for finding in findings]
        print_table("Doctor", [("", "left"), ("", "left"), ("", "left")], rows, "")
    return 1 if any(finding.state == "error" for finding in findings) else 0


@click.command("verify")
@json_option
@with_hits
def verify_command(hits: PathHits, as_json: bool) -> int:
    """Check that all sums in SQL agree. Exit code 1 when one does not."""
    report = hits.verify()
    if as_json:
        print_json(report.as_dict())
    else:
        rows = [("ok" if check.holds else "differs", check.name, check.left, check.right) for check in report.checks]
        headings = [("", "left"), ("equation", "left"), ("left", "right"), ("right", "right")]
        print_table("Verify", headings, rows, "")
        if report.dead_letters:
            click.echo(f"{report.dead_letters} dead letters stand aside in pathhits_dead_letters.")
    return 0 if report.ok else 1


@click.command("items")
@click.option("--all", "all_items", is_flag=True, help="Every item, not only those that are due.")
@json_option
@with_hits
def items_command(hits: PathHits, all_items: bool, as_json: bool) -> None:
    """Count the recent views of items now, as the job does: items become hot and cool, mirrored columns are written."""
    report = hits.refresh_items(all_items=all_items)
    if as_json:
        print_json(report.as_dict())
    else:
        click.echo(
            f"{report.items:,} items: {report.became_hot:,} became hot, {report.cooled:,} cooled, "
            f"{report.seconds:.2f} s"
        )


@click.command("recount")
@json_option
@with_hits
def recount_command(hits: PathHits, as_json: bool) -> int:
    """Rebuild from the event log what it can say of items. Exit code 1 when it has other views than were counted."""
    report = hits.recount()
    if as_json:
        print_json(report.as_dict())
    elif report.since is None:
        click.echo("The event log is empty: there is nothing to recount from.")
    else:
        click.echo(
            f"{report.items:,} items recounted from the log, which begins on {report.since}: {report.corrected:,} "
            f"corrected, {report.views_differ:,} with other views than in the log, {report.seconds:.2f} s"
        )
    return 1 if report.views_differ else 0


@click.command("months")
@json_option
@with_hits
def months_command(hits: PathHits, as_json: bool) -> None:
    """Sum up the days that are over by month now, as the job does: lists of long periods are read from them."""
    report = hits.roll_months()
    if as_json:
        print_json(report.as_dict())
    else:
        click.echo(f"{report.months:,} months summed up, {report.seconds:.2f} s")


@click.command("prune")
@json_option
@with_hits
def prune_command(hits: PathHits, as_json: bool) -> None:
    """Delete events older than RETENTION_EVENTS, values of labels older than RETENTION_VALUES; counts stay."""
    report = hits.prune()
    if as_json:
        print_json(report.as_dict())
    else:
        click.echo(
            f"{report.events:,} events, {report.values:,} values of labels, {report.deliveries:,} deliveries and "
            f"{report.ledger:,} rows of the ledger deleted, {report.seconds:.2f} s"
        )


@click.command("forget")
@click.argument("user_id", metavar="[USER]", required=False)
@click.option("--ip", help="Forget the visitor of this address instead, with --user-agent.")
@click.option("--user-agent", help="What the visitor's browser called itself, to the letter.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@with_hits
def forget_command(
    hits: PathHits, user_id: str | None, ip: str | None, user_agent: str | None, yes: bool, as_json: bool
) -> None:
    """Take a user, or a visitor, out of the event log. The events stay, and every count, but they are nobody's."""
    if not user_id and not ip:
        raise click.UsageError("give a user's id, or --ip with --user-agent")
    if ip and user_agent is None:
        raise click.UsageError("--ip goes with --user-agent: a visitor is known by both, and to the letter")
    if not yes:
        click.confirm("What is known of whose events these are will be gone. Go on?", abort=True)
    report = hits.forget(user_id, ip=ip, user_agent=user_agent)
    if as_json:
        print_json(report.as_dict())
    else:
        click.echo(f"{report.events:,} events are nobody's now.")
