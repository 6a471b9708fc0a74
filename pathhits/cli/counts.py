"""What was counted: ``sync``, ``stats``, ``top`` and ``item``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from redis import RedisError

from pathhits.app import PathHits
from pathhits.cli.options import Value, json_option, period_options, with_hits
from pathhits.cli.output import print_json, print_table, told
from pathhits.core.hotness import RECENT_DAYS
from pathhits.core.rules import check_type
from pathhits.errors import StoreUnavailable
from pathhits.settings import DIMENSIONS, redact
from pathhits.storage.redis.client import explain

if TYPE_CHECKING:
    from pathhits.core.itemstats import HotRow, ItemStats
    from pathhits.stats import ItemRow, PathRow
    from pathhits.valuestats import ValueRow, Where


#: Syncs shown by ``pathhits stats``.
SYNCS_SHOWN = 5


@click.command("sync")
@click.option("--force", is_flag=True, help="Do not wait for another sync that seems to run.")
@click.option("--stats", "show_stats", is_flag=True, help="Print the totals afterwards.")
@json_option
@with_hits
def sync_command(hits: PathHits, force: bool, show_stats: bool, as_json: bool) -> int:
    """Move what is in Redis into SQL, exactly once."""
    report = hits.sync(force=force)
    summary = _summary(hits) if show_stats else None
    if as_json:
        print_json(report.as_dict() | ({"stats": summary} if summary else {}))
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


@click.command("stats")
@json_option
@with_hits
def stats_command(hits: PathHits, as_json: bool) -> None:
    """Print totals, drops by reason, the rules of items with their refusals, and the last syncs."""
    summary = _summary(hits)
    if as_json:
        print_json(summary)
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
    print_table("Totals", [("", "left"), ("", "right")], rows, "")
    click.echo()
    _print_rules(summary["rules"])
    click.echo()
    syncs = [
        (f"{row['applied_at']:%Y-%m-%d %H:%M:%S}", row["paths"], row["hits"], row["errors"], f"{row['seconds']:.3f}")
        for row in summary["syncs"]
    ]
    headings = [("at (UTC)", "left"), *((name, "right") for name in ("paths", "hits", "errors", "seconds"))]
    print_table("Last syncs", headings, syncs, "Nothing was synced yet: run 'pathhits sync'.")


def _print_rules(rules: dict[str, Any]) -> None:
    """The limits in force by item type, and what the rules remember and have refused."""
    limits = [
        (name, *(_limit(one[key]) for key in ("cooldown", "per_session", "session", "per_day")), _limit(once))
        for name, one in rules["limits"].items()
        for once in ["yes" if one["once_per_day"] else 0]
    ]
    names = ("cooldown (s)", "per session", "session (s)", "per day", "once a day")
    headings = [("item type", "left"), *((name, "right") for name in names)]
    print_table("Limits in force", headings, limits, "No item types are declared here: PATHHITS_APP names your app's.")
    click.echo()
    live = rules["live_keys"]
    rows = [
        ("live keys: views", live["views"]),
        ("live keys: sessions", live["sessions"]),
        ("live keys: daily limits", live["daily_limits"]),
        *((f"refused: {reason}", n) for reason, n in rules["refusals"].items()),
    ]
    print_table("Rules of items", [("", "left"), ("", "right")], rows, "")


def _limit(number: int | str) -> int | str:
    return number or "off"


@click.command("top")
@click.option("--items", "item_type", metavar="TYPE", help="Items of this type by views, instead of paths by hits.")
@click.option("--hot", is_flag=True, help="With --items: only those that are hot, by their recent views.")
@click.option("--by", type=click.Choice(DIMENSIONS), help="Values of this dimension by hits, instead of paths.")
@click.option("--label", metavar="LABEL", help="With --by: of the hits of this label only.")
@click.option("--where", type=Value(), help="Only hits that have this value (browser=Firefox), of all paths.")
@period_options
@click.option("--limit", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many.")
@json_option
@with_hits
def top_command(
    hits: PathHits,
    item_type: str | None,
    hot: bool,
    by: str | None,
    label: str | None,
    where: Where | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the paths with the most hits, the items of a type with the most views, or where hits came from.

    With --by and --where days are whole UTC days.
    """
    rows: Sequence[PathRow | ItemRow | HotRow | ValueRow]
    if sum(given is not None for given in (item_type, by, where)) > 1 or (label is not None and by is None):
        raise click.UsageError("give one of --items, --by and --where; --label goes with --by")
    empty = "Nothing was counted yet: open a page, then look again."
    if since or until:
        empty = "Nothing was counted in this time."
    if hot:
        if item_type is None or since or until:
            raise click.UsageError("--hot goes with --items and not with --since or --until")
        rows, title = hits.item_reads.hot_items(check_type(item_type), limit), f"Hot items: {item_type}"
        names: tuple[str, ...] = ("item_id", "recent_views", "views", "visitors", "hot_since")
        empty = f"No {item_type} is hot now."
    elif by is not None:
        rows, title, names = hits.top_values(by, since, until, limit, label), f"Top {by}", ("value", "hits")
        title += "" if label is None else f" of {label}"
    elif where is not None:
        rows, title = hits.top_paths(since, until, limit, where), f"Top paths where {where[0]} is {where[1]}"
        names = ("path", "hits")
    elif item_type is None:
        rows, title, names = hits.top_paths(since, until, limit), "Top paths", ("path", "hits", "visitors")
    else:
        rows, title = hits.top_items(check_type(item_type), since, until, limit), f"Top items: {item_type}"
        names = ("item_id", "views", "visitors")
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    cells = [tuple(told(getattr(row, name)) for name in names) for row in rows]
    headings = [(names[0].removesuffix("_id"), "left"), *((name.replace("_", " "), "right") for name in names[1:])]
    print_table(title, headings, cells, empty)


@click.command("item")
@click.argument("item_type", metavar="TYPE")
@click.argument("item_id", metavar="ID")
@json_option
@with_hits
def item_command(hits: PathHits, item_type: str, item_id: str, as_json: bool) -> None:
    """Print what is known of one item: views, visitors, visits, time, whether it is hot, and its last seven days."""
    found = _item(hits, item_type, item_id)
    counters = {name: int(n) for name, n in found.counters.items() if n}
    today, recent = found.days[-1].visitors, sum(day.visitors for day in found.days)
    if as_json:
        print_json(found.as_dict() | {"visitors_today": today, "recent_visitors": recent, "counters": counters})
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
        ("  since" if found.is_hot else "  cooled", told(found.hot_changed_at)),
        ("first seen (UTC)", told(found.first_seen)),
        ("last seen (UTC)", told(found.last_seen)),
        *((name.replace("_", " "), n) for name, n in counters.items()),
    ]
    print_table(f"{item_type} {item_id}", [("", "left"), ("", "right")], rows, "")
    click.echo()
    names = ("day", "views", "visitors", "visits", "seconds")
    days = [tuple(told(getattr(one, name)) for name in names) for one in found.days]
    print_table("By day (UTC)", [("day", "left"), *((name, "right") for name in names[1:])], days, "")


def _item(hits: PathHits, item_type: str, item_id: str) -> ItemStats:
    found = hits.item_reads.item_stats(check_type(item_type), item_id)
    if found.partial:
        raise StoreUnavailable(f"Redis at {redact(hits.settings.redis_url)} did not answer: its part is missing")
    return found
