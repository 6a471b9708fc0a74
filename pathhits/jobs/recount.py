"""Rebuilds figures of items from the log, in small steps; can run twice at once and die anywhere."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pathhits.storage.sql.recount import Recount

#: Items recounted in one transaction, which holds their rows.
ITEMS_A_STEP = 100


@dataclass(frozen=True, slots=True)
class RecountReport:
    """What one run found: the first UTC day the log has whole, items looked at, those whose figures were corrected.

    ``views_differ`` are items with a day that has other views than the log: views come from the counts, not from the
    log, and stay as they are.
    """

    since: date | None = None
    items: int = 0
    corrected: int = 0
    views_differ: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def recount(log: Recount, retention_days: int, now: int | None = None) -> RecountReport:
    """Recount every item; raises `StoreUnavailable` or `NotMigrated`, and then the items before that are done."""
    started = time.monotonic()
    now = time.time_ns() // 1_000_000 if now is None else now
    first_day = log.first_day(now, retention_days)
    if first_day is None:
        return RecountReport(seconds=time.monotonic() - started)
    items = corrected = views_differ = 0
    last: int | None = 0
    while last is not None:
        step = log.step(last, first_day, ITEMS_A_STEP)
        last = step.last
        items, corrected, views_differ = (
            items + step.items,
            corrected + step.corrected,
            views_differ + step.views_differ,
        )
    since = (datetime.fromtimestamp(0, UTC) + timedelta(days=first_day)).date()
    return RecountReport(since, items, corrected, views_differ, time.monotonic() - started)
