"""Deletes old events, values of labels, deliveries and rows of the ledger, in small steps; can run twice and die."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pathhits.core.retention import DAY_MS, LEDGER_DAYS, SEARCH_VISITOR_DAYS, first_kept_day
from pathhits.storage.sql.deliveries import Deliveries
from pathhits.storage.sql.retention import Retention

logger = logging.getLogger("pathhits")

#: Rows deleted by one transaction.
ROWS_A_STEP = 1_000


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What one run deleted: events, rows of the ledger (their sums stay), deliveries made, and seconds spent.

    ``search_visitors`` are rows that told who searched for what on a day; how many it were is known without them.
    ``values`` are those of single labels, on days; those of the site stay.
    """

    events: int = 0
    ledger: int = 0
    seconds: float = 0.0
    deliveries: int = 0
    search_visitors: int = 0
    values: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def prune(
    retention: Retention,
    deliveries: Deliveries,
    live: Callable[[], list[str]],
    days: int,
    now: int | None = None,
    value_days: int = 0,
) -> PruneReport:
    """Delete the events of whole UTC days before the last ``days``, and what the ledger no longer needs.

    Values of labels likewise, before the last ``value_days``; of either, 0 keeps all.

    Deliveries go a day after they were made.
    ``live`` names the generations in Redis. Raises `StoreUnavailable`, `NotMigrated` or `redis.RedisError`.
    """
    started = time.monotonic()
    now = time.time_ns() // 1_000_000 if now is None else now
    before = first_kept_day(now, days) * DAY_MS
    events = _all(lambda: retention.prune_events(before, ROWS_A_STEP))
    old = datetime.fromtimestamp(now / 1000, UTC) - timedelta(days=LEDGER_DAYS)
    ledger = _all(lambda: retention.fold_ledger(old, live(), ROWS_A_STEP))
    made = _all(lambda: deliveries.prune(now - DAY_MS, ROWS_A_STEP))
    visitors = _all(lambda: retention.prune_search_visitors(now // DAY_MS - SEARCH_VISITOR_DAYS, ROWS_A_STEP))
    values = _all(lambda: retention.prune_values(first_kept_day(now, value_days), ROWS_A_STEP))
    report = PruneReport(events, ledger, time.monotonic() - started, made, visitors, values)
    logger.info("prune: %d events, %d rows of the ledger, %.3f s", report.events, report.ledger, report.seconds)
    return report


def _all(step: Callable[[], int]) -> int:
    total = 0
    while n := step():
        total += n
    return total
