"""Computes what a dashboard shows, and stores it in SQL and Redis; can run twice at once and die anywhere.

A part is a question that answers with plain values. A run that dies between SQL and Redis leaves the older one in
Redis, whose age is told; of two runs at once either may be the one that is kept there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pathhits.core.dashboard import DAYS, LINES, STALE_PERIODS, TREND_DAYS, TYPES, Snapshot, to_ms
from pathhits.errors import NotMigrated, StoreUnavailable
from pathhits.itemstats import ItemReads
from pathhits.stats import Metric, Stats
from pathhits.storage.redis.snapshots import SnapshotCopy
from pathhits.storage.sql.snapshots import Snapshots
from pathhits.valuestats import ValueReads

logger = logging.getLogger("pathhits")

#: Snapshots deleted by one transaction.
ROWS_A_STEP = 1_000
DAY_MS = 86_400_000

#: From the first and the last moment of the period to plain values.
Part = Callable[[datetime, datetime], Any]


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """What one run did: the moment (ISO) and size (bytes) of the snapshot, those deleted, and seconds spent."""

    moment: str = ""
    size: int = 0
    pruned: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def parts_of(stats: Stats, items: ItemReads, values: ValueReads, dimensions: Sequence[str]) -> dict[str, Part]:
    """What every snapshot has: sums, most viewed paths and items, hot items, daily trends, searches, sources, drops."""
    return {
        "totals": lambda since, until: _totals(stats, since, until),
        "top_paths": lambda since, until: [asdict(row) for row in stats.top_paths(since, until, LINES)],
        "items": lambda since, until: _items(stats, items, since, until),
        "daily": lambda since, until: _daily(stats, until),
        "searches": lambda since, until: {
            "popular": [_told(row) for row in stats.searches(since, until, LINES)],
            "failed": [_told(row) for row in stats.searches(since, until, LINES, failed=True)],
        },
        "sources": lambda since, until: {
            dimension: [asdict(row) for row in values.top_values(dimension, since, until, LINES)]
            for dimension in dimensions
        },
        "drops": lambda since, until: stats.drops(since, until),
    }


def compute(parts: Mapping[str, Part], now: datetime | None = None) -> Snapshot:
    """A snapshot as of ``now``; raises what a part raises: `StoreUnavailable` or `NotMigrated`."""
    started = time.monotonic()
    now = now or datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as it is stored
    since = now - timedelta(days=DAYS)
    found = {name: part(since, now) for name, part in parts.items()}
    return Snapshot(now, round(time.monotonic() - started, 3), {"days": DAYS, **found}, "live")


def store(
    parts: Mapping[str, Part], snapshots: Snapshots, copy: SnapshotCopy, days: int, now: datetime | None = None
) -> SnapshotReport:
    """Compute a snapshot, store it, and delete those that are older than ``days`` (0: none).

    Raises `StoreUnavailable`, `NotMigrated` or `redis.RedisError`; what was stored until then stays.
    """
    started = time.monotonic()
    snapshot = compute(parts, now)
    text, moment = snapshot.text(), to_ms(snapshot.moment)
    snapshots.add(moment, text)
    copy.put(text)
    pruned = 0
    while days and (n := snapshots.prune(moment - days * DAY_MS, ROWS_A_STEP)):
        pruned += n
    seconds = time.monotonic() - started
    logger.info("snapshot: %d bytes, %d old ones deleted, %.3f s", len(text), pruned, seconds)
    return SnapshotReport(snapshot.moment.isoformat(), len(text), pruned, seconds)


def read(
    copy: Callable[[], bytes | None], newest: Callable[[], str | None], live: Callable[[], Snapshot], period: float
) -> Snapshot:
    """The snapshot in Redis, else the newest in SQL, else, or where both are very old, one that is computed now.

    Where that cannot be done the old one has to do; without one it raises `StoreUnavailable` or `NotMigrated`.
    """
    found = _parsed(copy, "redis")
    if found is None or found.age() > STALE_PERIODS * period:
        found = max((one for one in (found, _parsed(newest, "sql")) if one), key=lambda one: one.moment, default=None)
    if found is not None and found.age() <= STALE_PERIODS * period:
        return found
    try:
        return live()
    except (StoreUnavailable, NotMigrated):
        if found is None:
            raise
        return found


def _parsed(ask: Callable[[], str | bytes | None], source: Any) -> Snapshot | None:
    try:
        text = ask()
        return Snapshot.parse(text, source) if text is not None else None
    except (StoreUnavailable, NotMigrated, ValueError):
        return None


def _items(stats: Stats, items: ItemReads, since: datetime, until: datetime) -> dict[str, Any]:
    """By type, the type with the most views first: its views, its most viewed and its hot items."""
    types = list(stats.views_by_type(since, until).items())[:TYPES]
    return {
        kind: {
            "views": views,
            "top": [asdict(row) for row in stats.top_items(kind, since, until, LINES)],
            "hot": [_told(row) for row in items.hot_items(kind, LINES)],
        }
        for kind, views in types
    }


def _totals(stats: Stats, since: datetime, until: datetime) -> dict[str, Any]:
    visits = stats.visits(since, until)
    hits = sum(point.value for point in stats.series("hits", since, until, "day"))
    return {
        "hits": hits,
        "hits_ever": stats.total("hits"),
        "visitors": min(hits, stats.visitors(since, until)),  # the first day is counted whole
        **visits.as_dict(),
    }


def _daily(stats: Stats, until: datetime) -> list[dict[str, Any]]:
    """One line a UTC day, the oldest first, today the last."""
    first = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=TREND_DAYS - 1)
    metrics: tuple[Metric, ...] = ("hits", "visitors", "visits", "bounces")
    columns = [stats.series(metric, first, until, "day") for metric in metrics]
    return [
        {"day": line[0].start.date().isoformat()}
        | {metric: point.value for metric, point in zip(metrics, line, strict=True)}
        for line in zip(*columns, strict=True)
    ]


def _told(row: Any) -> dict[str, Any]:
    """The fields of a row as plain values; a moment is ISO text."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(row).items()}
