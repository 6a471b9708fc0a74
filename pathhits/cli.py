"""The command line: one click group, run as ``pathhits``, ``flask pathhits`` or ``manage.py pathhits``.

Exit codes: 0 done, 1 done with errors or a store is away, 2 misuse or an impossible setting.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from redis import RedisError
from rich.console import Console
from rich.table import Table

from pathhits import __version__
from pathhits.app import PathHits, load
from pathhits.core.hotness import RECENT_DAYS
from pathhits.core.rules import check_type
from pathhits.errors import PathHitsError, SettingsError, StoreUnavailable
from pathhits.logs import log_to_stderr
from pathhits.settings import redact
from pathhits.storage.redis.client import explain

if TYPE_CHECKING:
    from pathhits.core.itemstats import HotRow, ItemStats
    from pathhits.stats import ItemRow, PathRow

#: Syncs shown by ``pathhits stats``.
SYNCS_SHOWN = 5
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class Moment(click.ParamType[datetime]):
    """A moment: an ISO date or time (UTC unless it says otherwise), or how long ago, such as 30m, 24h, 7d, 4w."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        ago = re.fullmatch(r"(\d{1,6})([mhdw])", value)
        try:
            if ago:
                return datetime.now(UTC) - int(ago[1]) * _UNITS[ago[2]]
            found = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no moment: give 24h, 7d, 2026-11-20 or 2026-11-20T14:00+01:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pathhits")
@click.option("-v", "--verbose", is_flag=True, help="Say in the log what is being done.")
def group(verbose: bool) -> None:
    """Who looks at what on your site, counted in your own database.

    REDIS_URL and DATABASE_URL say where the counts are; PATHHITS_APP names your app's PathHits object, if you have one.
    """
    if verbose:
        log_to_stderr()
    else:
        # What goes wrong is said once, as the command's own line.
        logging.getLogger("pathhits").addHandler(logging.NullHandler())


def main(arguments: Sequence[str] | None = None, hits: PathHits | None = None, prog_name: str = "pathhits") -> None:
    """Run the command line with ``arguments`` (by default the process's) and end the process.

    ``hits`` is the object to ask; None takes the one of PATHHITS_APP, else one made from the environment.
    """
    if os.getcwd() not in sys.path:
        # Where gunicorn, flask and uvicorn look for an app, its PATHHITS_APP is found by a console script too.
        sys.path.insert(0, os.getcwd())
    group.main(args=arguments, obj=hits, prog_name=prog_name)


def _with_hits(command: Callable[..., int | None]) -> Callable[..., None]:
    """Give ``command`` the PathHits as its first argument; its int is the exit code, an error of ours one line."""

    @wraps(command)
    @click.pass_context
    def run(ctx: click.Context, /, *args: Any, **options: Any) -> None:
        hits: PathHits | None = None
        try:
            hits = _find_hits(ctx)
            code = command(hits, *args, **options) or 0
        except SettingsError as error:
            _fail(error, 2)
        except PathHitsError as error:
            _fail(error, 1)
        else:
            ctx.exit(code)
        finally:
            if hits is not None:
                hits.close()

    return run


def _find_hits(ctx: click.Context) -> PathHits:
    given = ctx.find_object(PathHits)
    if given is not None:
        return given
    if "flask.cli" in sys.modules:
        info = ctx.find_object(sys.modules["flask.cli"].ScriptInfo)
        if info is not None:
            app = info.load_app()
            if "pathhits" not in app.extensions:
                raise SettingsError("this Flask app is not counted: call hits.init_app(app) first")
            found: PathHits = app.extensions["pathhits"]
            return found
    return load()


def _fail(error: Exception, code: int) -> None:
    click.echo(f"pathhits: {error}", err=True)
    sys.exit(code)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def _print_table(title: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]], empty: str) -> None:
    """A table on the terminal; ``columns`` are (heading, "left" or "right")."""
    console = Console()
    if not rows:
        console.print(empty, markup=False, highlight=False)
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading, justify in columns:
        table.add_column(heading, justify="right" if justify == "right" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def _cell(value: Any) -> Any:
    from rich.text import Text

    # Text, not markup: a path may hold brackets.
    return Text(f"{value:,}" if isinstance(value, int) else str(value))


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@group.group()
def db() -> None:
    """The tables: create, change, remove."""


@db.command("upgrade")
@click.argument("revision", default="head")
@_with_hits
def db_upgrade(hits: PathHits, revision: str) -> None:
    """Create or change the tables as this version needs them."""
    _migrate(hits, "upgrade", revision)


@db.command("downgrade")
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_with_hits
def db_downgrade(hits: PathHits, revision: str, yes: bool) -> None:
    """Take the tables back to REVISION; "base" removes them with all counts."""
    if not yes:
        click.confirm("Counts may be lost. Go on?", abort=True)
    _migrate(hits, "downgrade", revision)


@db.command("current")
@_with_hits
def db_current(hits: PathHits) -> int:
    """Print the revision of the database; exit code 1 when it is not the newest."""
    from pathhits.storage.sql import migrate

    at, wanted = migrate.current(hits.engine), migrate.head(hits.engine)
    click.echo(f"{at or 'nothing'} (this version needs {wanted})")
    return 0 if at == wanted else 1


def _migrate(hits: PathHits, direction: str, revision: str) -> None:
    from pathhits.storage.sql import migrate

    getattr(migrate, direction)(hits.engine, revision)
    click.echo(f"The database is at revision {migrate.current(hits.engine) or 'nothing'}.")


@group.command("sync")
@click.option("--force", is_flag=True, help="Do not wait for another sync that seems to run.")
@click.option("--stats", "show_stats", is_flag=True, help="Print the totals afterwards.")
@_json_option
@_with_hits
def sync_command(hits: PathHits, force: bool, show_stats: bool, as_json: bool) -> int:
    """Move what is in Redis into SQL, exactly once."""
    report = hits.sync(force=force)
    summary = _summary(hits) if show_stats else None
    if as_json:
        _print_json(report.as_dict() | ({"stats": summary} if summary else {}))
    elif report.skipped:
        click.echo("Another sync is running; --force goes ahead all the same.")
    else:
        click.echo(
            f"{report.hits:,} hits of {report.paths:,} paths in {report.batches} batches, "
            f"{report.errors} errors, {report.seconds:.2f} s"
        )
    if summary and not as_json:
        _print_summary(summary)
    return 1 if report.errors else 0


@group.command("stats")
@_json_option
@_with_hits
def stats_command(hits: PathHits, as_json: bool) -> None:
    """Print totals, drops by reason, the rules of items with their refusals, and the last syncs."""
    summary = _summary(hits)
    if as_json:
        _print_json(summary)
    else:
        _print_summary(summary)


def _summary(hits: PathHits) -> dict[str, Any]:
    now = datetime.now(UTC)
    count, age = hits.stats.waiting()
    return {
        "requests": hits.total("requests"),
        "hits": hits.total("hits"),
        "pending_hits": hits.stats.pending_total(),
        "visitors_today": hits.stats.visitors(now.replace(hour=0, minute=0, second=0, microsecond=0), now),
        "active_visitors": hits.active_visitors(),
        "visits": hits.visits().as_dict(),
        "drops": hits.drops(),
        "rules": _rule_stats(hits),
        "generations_waiting": count,
        "oldest_waits_seconds": None if age is None else round(age, 1),
        "deliveries": hits.deliveries.counts(),
        "syncs": [dict(row) for row in hits.reads.last_syncs(SYNCS_SHOWN)],
    }


def _seconds(duration: float | None) -> str:
    return "-" if duration is None else f"{duration:.1f}"


def _rule_stats(hits: PathHits) -> dict[str, Any]:
    try:
        return hits.rule_stats()
    except RedisError as error:
        raise StoreUnavailable(explain(error, hits.settings.redis_url)) from error


def _print_summary(summary: dict[str, Any]) -> None:
    drops = summary["drops"]
    rows = [
        ("requests seen", summary["requests"]),
        ("hits", summary["hits"]),
        ("  of these not yet in SQL", summary["pending_hits"]),
        ("visitors today (UTC)", summary["visitors_today"]),
        ("visitors in the last 5 minutes", summary["active_visitors"]),
        ("visits", summary["visits"]["visits"]),
        ("  of one hit (bounces)", summary["visits"]["bounces"]),
        ("average visit, seconds", _seconds(summary["visits"]["average_duration"])),
        ("  without bounces", _seconds(summary["visits"]["average_duration_without_bounces"])),
        ("deliveries to listeners, due", summary["deliveries"]["due"]),
        ("  dead", summary["deliveries"]["dead"]),
        *((f"dropped: {reason}", n) for reason, n in drops.items()),
    ]
    _print_table("Totals", [("", "left"), ("", "right")], rows, "")
    click.echo()
    _print_rules(summary["rules"])
    click.echo()
    syncs = [
        (f"{row['applied_at']:%Y-%m-%d %H:%M:%S}", row["paths"], row["hits"], row["errors"], f"{row['seconds']:.3f}")
        for row in summary["syncs"]
    ]
    headings = [("at (UTC)", "left"), *((name, "right") for name in ("paths", "hits", "errors", "seconds"))]
    _print_table("Last syncs", headings, syncs, "Nothing was synced yet: run 'pathhits sync'.")


def _print_rules(rules: dict[str, Any]) -> None:
    """The limits in force by item type, and what the rules remember and have refused."""
    limits = [
        (name, *(_limit(one[key]) for key in ("cooldown", "per_session", "session", "per_day")), _limit(once))
        for name, one in rules["limits"].items()
        for once in ["yes" if one["once_per_day"] else 0]
    ]
    names = ("cooldown (s)", "per session", "session (s)", "per day", "once a day")
    headings = [("item type", "left"), *((name, "right") for name in names)]
    _print_table("Limits in force", headings, limits, "No item types are declared here: PATHHITS_APP names your app's.")
    click.echo()
    live = rules["live_keys"]
    rows = [
        ("live keys: views", live["views"]),
        ("live keys: sessions", live["sessions"]),
        ("live keys: daily limits", live["daily_limits"]),
        *((f"refused: {reason}", n) for reason, n in rules["refusals"].items()),
    ]
    _print_table("Rules of items", [("", "left"), ("", "right")], rows, "")


def _limit(number: int | str) -> int | str:
    return number or "off"


@group.command("top")
@click.option("--items", "item_type", metavar="TYPE", help="Items of this type by views, instead of paths by hits.")
@click.option("--hot", is_flag=True, help="With --items: only those that are hot, by their recent views.")
@click.option("--since", type=Moment(), help="From this moment on (24h, 7d, 2026-11-20), in whole UTC hours.")
@click.option("--until", type=Moment(), help="Up to this moment.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many.")
@_json_option
@_with_hits
def top_command(
    hits: PathHits,
    item_type: str | None,
    hot: bool,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the paths with the most hits, or the items of a type with the most views."""
    rows: Sequence[PathRow | ItemRow | HotRow]
    empty = "Nothing was counted yet: open a page, then look again."
    if hot:
        if item_type is None or since or until:
            raise click.UsageError("--hot goes with --items and not with --since or --until")
        rows, title = hits.item_reads.hot_items(check_type(item_type), limit), f"Hot items: {item_type}"
        names: tuple[str, ...] = ("item_id", "recent_views", "views", "visitors", "hot_since")
        empty = f"No {item_type} is hot now."
    elif item_type is None:
        rows, title, names = hits.top_paths(since, until, limit), "Top paths", ("path", "hits", "visitors")
    else:
        rows, title = hits.top_items(check_type(item_type), since, until, limit), f"Top items: {item_type}"
        names = ("item_id", "views", "visitors")
    if as_json:
        _print_json([asdict(row) for row in rows])
        return
    cells = [tuple(_told(getattr(row, name)) for name in names) for row in rows]
    headings = [(names[0].removesuffix("_id"), "left"), *((name.replace("_", " "), "right") for name in names[1:])]
    _print_table(title, headings, cells, empty)


@group.command("item")
@click.argument("item_type", metavar="TYPE")
@click.argument("item_id", metavar="ID")
@_json_option
@_with_hits
def item_command(hits: PathHits, item_type: str, item_id: str, as_json: bool) -> None:
    """Print what is known of one item: views, visitors, visits, time, whether it is hot, and its last seven days."""
    found = _item(hits, item_type, item_id)
    counts = hits.stats.counters(item_type, [(item_id, name) for name in hits.event_types.counters])
    counters = {name: int(n) for name, n in zip(hits.event_types.counters, counts, strict=True) if n}
    today, recent = found.days[-1].visitors, sum(day.visitors for day in found.days)
    if as_json:
        _print_json(found.as_dict() | {"visitors_today": today, "recent_visitors": recent, "counters": counters})
        return
    rows = [
        ("views", int(found.views)),
        ("  of these stored in SQL", found.views.stored),
        ("  of these pending in Redis", found.views.pending),
        ("visitors, each once a salt period", found.visitors),
        ("  of these today (UTC)", today),
        ("visits", found.visits),
        ("average time on the page", "-" if found.average_duration is None else f"{found.average_duration:.1f} s"),
        (f"views in the last {RECENT_DAYS} days, to the moment", found.recent_views),
        ("hot", "yes" if found.is_hot else "no"),
        ("  since" if found.is_hot else "  cooled", _told(found.hot_changed_at)),
        ("first seen (UTC)", _told(found.first_seen)),
        ("last seen (UTC)", _told(found.last_seen)),
        *((name.replace("_", " "), n) for name, n in counters.items()),
    ]
    _print_table(f"{item_type} {item_id}", [("", "left"), ("", "right")], rows, "")
    click.echo()
    names = ("day", "views", "visitors", "visits", "seconds")
    days = [tuple(_told(getattr(one, name)) for name in names) for one in found.days]
    _print_table("By day (UTC)", [("day", "left"), *((name, "right") for name in names[1:])], days, "")


def _item(hits: PathHits, item_type: str, item_id: str) -> ItemStats:
    found = hits.item_reads.item_stats(check_type(item_type), item_id)
    if found.partial:
        raise StoreUnavailable(f"Redis at {redact(hits.settings.redis_url)} did not answer: its part is missing")
    return found


def _told(value: Any) -> Any:
    """A value as a table has it: moments to the second, a dash for none."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "-" if value is None else value


@group.command("doctor")
@_json_option
@_with_hits
def doctor_command(hits: PathHits, as_json: bool) -> int:
    """Look at Redis, SQL, queue and clock; say what is wrong and what to do. Exit code 1 on an error."""
    findings = hits.doctor()
    if as_json:
        _print_json([finding.as_dict() for finding in findings])
    else:
        rows = [(finding.state, finding.what, finding.says) for finding in findings]
        _print_table("Doctor", [("", "left"), ("", "left"), ("", "left")], rows, "")
    return 1 if any(finding.state == "error" for finding in findings) else 0


@group.command("verify")
@_json_option
@_with_hits
def verify_command(hits: PathHits, as_json: bool) -> int:
    """Check that all sums in SQL agree. Exit code 1 when one does not."""
    report = hits.verify()
    if as_json:
        _print_json(report.as_dict())
    else:
        rows = [("ok" if check.holds else "differs", check.name, check.left, check.right) for check in report.checks]
        headings = [("", "left"), ("equation", "left"), ("left", "right"), ("right", "right")]
        _print_table("Verify", headings, rows, "")
        if report.dead_letters:
            click.echo(f"{report.dead_letters} dead letters stand aside in pathhits_dead_letters.")
    return 0 if report.ok else 1


@group.command("items")
@click.option("--all", "all_items", is_flag=True, help="Every item, not only those that are due.")
@_json_option
@_with_hits
def items_command(hits: PathHits, all_items: bool, as_json: bool) -> None:
    """Count the recent views of items now, as the job does: items become hot and cool, mirrored columns are written."""
    report = hits.refresh_items(all_items=all_items)
    if as_json:
        _print_json(report.as_dict())
    else:
        click.echo(
            f"{report.items:,} items: {report.became_hot:,} became hot, {report.cooled:,} cooled, "
            f"{report.seconds:.2f} s"
        )


@group.command("recount")
@_json_option
@_with_hits
def recount_command(hits: PathHits, as_json: bool) -> int:
    """Rebuild from the event log what it can say of items. Exit code 1 when it has other views than were counted."""
    report = hits.recount()
    if as_json:
        _print_json(report.as_dict())
    elif report.since is None:
        click.echo("The event log is empty: there is nothing to recount from.")
    else:
        click.echo(
            f"{report.items:,} items recounted from the log, which begins on {report.since}: {report.corrected:,} "
            f"corrected, {report.views_differ:,} with other views than in the log, {report.seconds:.2f} s"
        )
    return 1 if report.views_differ else 0


@group.command("prune")
@_json_option
@_with_hits
def prune_command(hits: PathHits, as_json: bool) -> None:
    """Delete the events that are older than RETENTION_EVENTS, and what the ledger no longer needs; counts stay."""
    report = hits.prune()
    if as_json:
        _print_json(report.as_dict())
    else:
        click.echo(
            f"{report.events:,} events, {report.deliveries:,} deliveries and {report.ledger:,} rows of the ledger "
            f"deleted, {report.seconds:.2f} s"
        )


@group.command("listeners")
@click.option("--forget", metavar="NAME", help="Delete a listener that is no more, with what waits for it.")
@_json_option
@_with_hits
def listeners_command(hits: PathHits, forget: str | None, as_json: bool) -> None:
    """Print the listeners that events are kept for, with what waits for them."""
    deliveries = hits.deliveries
    if forget is not None:
        click.echo(f"{forget} is forgotten, and {deliveries.forget(forget):,} deliveries with it.")
        return
    known = deliveries.listeners()
    if as_json:
        _print_json([asdict(one) for one in known])
        return
    rows = [(one.name, one.pattern, _moment(one.seen_at), one.due, one.dead) for one in known]
    headings = [("listener", "left"), ("events", "left"), ("last seen (UTC)", "left"), ("due", "right")]
    empty = "No listener is known yet: a worker with PATHHITS_APP makes them known."
    _print_table("Listeners", [*headings, ("dead", "right")], rows, empty)


@group.group()
def dead() -> None:
    """Deliveries to listeners that failed for good: look at them, make them anew."""


_listener_option = click.option("--listener", metavar="NAME", default="", help="Only those to this listener.")


@dead.command("list")
@_listener_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@_json_option
@_with_hits
def dead_list(hits: PathHits, listener: str, limit: int, as_json: bool) -> None:
    """Print deliveries that failed for good, with their last error, the last ones first."""
    found = hits.dead_deliveries(listener, limit)
    if as_json:
        _print_json([asdict(one) for one in found])
        return
    rows = [(_moment(one.moment), one.listener, one.event, one.item, one.attempts, one.error) for one in found]
    names = ("at (UTC)", "listener", "event", "item", "attempts", "error")
    _print_table("Dead deliveries", [(name, "left") for name in names], rows, "No delivery is dead.")


@dead.command("retry")
@_listener_option
@_with_hits
def dead_retry(hits: PathHits, listener: str) -> None:
    """Have the worker make dead deliveries anew, with all attempts ahead of them."""
    click.echo(f"{hits.retry_dead(listener):,} deliveries are due again.")


def _moment(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"


@group.command("worker")
@click.option("--burst", is_flag=True, help="End when the queue is empty.")
@click.option("--with-clock", is_flag=True, help="Run the clock beside the worker, for a single machine.")
@_with_hits
def worker_command(hits: PathHits, burst: bool, with_clock: bool) -> int:
    """Perform the jobs: an RQ worker that runs pathhits' own tasks and nothing else."""
    from pathhits.jobs.worker import run_both, run_worker
    from pathhits.tasks import ALLOWED

    log_to_stderr()
    run = run_both if with_clock else run_worker
    return run(hits.settings, ALLOWED, burst=burst)


@group.command("clock")
@click.option("--list", "show_list", is_flag=True, help="Print the schedule and end.")
@_with_hits
def clock_command(hits: PathHits, show_list: bool) -> int | None:
    """Ask for the jobs when they are due."""
    from pathhits.jobs.schedule import SCHEDULE
    from pathhits.jobs.worker import run_clock

    if show_list:
        rows = [(job.id, f"{job.period(hits.settings):g} s", job.description) for job in SCHEDULE]
        _print_table("Schedule", [("job", "left"), ("every", "right"), ("", "left")], rows, "")
        return None
    log_to_stderr()
    return run_clock(hits.settings)
