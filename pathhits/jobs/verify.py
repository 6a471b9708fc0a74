"""Proves that the sums agree: totals = hours = days = site = ledger, requests = hits + drops, items = their log.

Values of hits add up too, and never to more than the hits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pathhits.storage.sql.reads import Reads

#: UTC days whose values are compared to the hits of each path.
VALUE_DAYS = 31


@dataclass(frozen=True, slots=True)
class Check:
    """One equation: what it says, both sides, and whether they agree."""

    name: str
    left: int
    right: int

    @property
    def holds(self) -> bool:
        return self.left == self.right


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """All equations, and how many fields stand aside as dead letters (these are in no sum)."""

    checks: tuple[Check, ...]
    dead_letters: int

    @property
    def ok(self) -> bool:
        return all(check.holds for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        checks = [asdict(check) | {"holds": check.holds} for check in self.checks]
        return {"ok": self.ok, "checks": checks, "dead_letters": self.dead_letters}


def verify(
    reads: Reads,
    first_day: int | None = None,
    values_since: int = 0,
    today: int | None = None,
    rolled: Mapping[str, tuple[int, int]] | None = None,
) -> VerifyReport:
    """Compare the sums in SQL, read in one statement; raises `StoreUnavailable` when it cannot.

    ``first_day`` is the first UTC day (since 1970) of which the log has every event, None where it has none;
    ``values_since`` the first one of which paths have all their values. Those of the `VALUE_DAYS` up to ``today`` are
    compared one by one. ``rolled`` are the sums of months, and those of their days, by table; they were read before.
    """
    today = int(time.time() // 86_400) if today is None else today
    totals: Mapping[str, int] = reads.totals(first_day, values_since, max(values_since, today - VALUE_DAYS))
    hits = totals["ledger"]
    checks = (
        Check("path_counters = ledger", totals["path_counters"], hits),
        Check("hours of paths = ledger", totals["path_hours"], hits),
        Check("days of paths = ledger", totals["path_days"], hits),
        Check("hours of the site = ledger", totals["site_hits"], hits),
        Check("hours of items = items", totals["item_hours"], totals["items"]),
        Check("days of items = items", totals["item_days"], totals["items"]),
        Check("views of the site = items", totals["site_views"], totals["items"]),
        Check("visits by day = items", totals["item_day_visits"], totals["item_visits"]),
        Check("seconds by day = items", totals["item_day_seconds"], totals["item_seconds"]),
        Check("timed views by day = items", totals["item_day_timed_views"], totals["item_timed_views"]),
        Check("hours of counters = counters", totals["counter_hours"], totals["counters"]),
        Check("days of counters = counters", totals["counter_days"], totals["counters"]),
        Check("hours of searches = searches", totals["search_hours"], totals["searches"]),
        Check("days of searches = searches", totals["search_days"], totals["searches"]),
        Check("values by day = values", totals["value_days"], totals["values"]),
        Check("values of paths = values of the site since then", totals["path_values"], totals["site_values"]),
        Check("paths and days with more values than hits = none", totals["days_with_more_values"], 0),
        Check("requests = hits + drops", totals["requests"], totals["site_hits"] + totals["drops"]),
    )
    of_months = tuple(Check(f"months of {table} = their days", *sums) for table, sums in (rolled or {}).items())
    return VerifyReport(
        checks + of_months + (_log_checks(totals) if first_day is not None else ()), totals["dead_letters"]
    )


def _log_checks(totals: Mapping[str, int]) -> tuple[Check, ...]:
    """The equations of the log: what `recount` would find. "Logged" is since its first whole day."""
    return (
        Check("views logged = days of items since then", totals["logged_views"], totals["item_day_views"]),
        Check(
            "visitors by day logged = days of items since then",
            totals["logged_day_visitors"],
            totals["item_day_visitors"],
        ),
        Check("visitors logged = items with all views logged", totals["logged_visitors"], totals["item_visitors"]),
        Check("events of hot items logged = changes since then", totals["logged_changes"], totals["hot_changes"]),
        Check("hot changes like the one before = none", totals["repeated_changes"], 0),
        Check("hot items = items last made hot", totals["hot_items"], totals["last_made_hot"]),
    )
