"""Rolls up months, so that long lists read months instead of days; can run twice at once and die anywhere."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from typing import Any

from pathhits.core.retention import DAY_MS
from pathhits.storage.sql.months import Months

logger = logging.getLogger("pathhits")


@dataclass(frozen=True, slots=True)
class MonthsReport:
    """What one run did: months that were summed up, anew or for the first time, and seconds spent."""

    months: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def roll(months: Months, now: int | None = None) -> MonthsReport:
    """Roll up every month with days that are over at ``now`` (ms), the last one first, each in its own transaction.

    Raises `StoreUnavailable` or `NotMigrated`; the months before that are done.
    """
    started = time.monotonic()
    now = time.time_ns() // 1_000_000 if now is None else now
    done = sum(months.roll(month, until) for month, until in months.due(now // DAY_MS))
    report = MonthsReport(done, time.monotonic() - started)
    logger.info("months: %d rolled up, %.3f s", report.months, report.seconds)
    return report
