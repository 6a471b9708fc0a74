"""How long what is kept: events for a setting, the ledger's rows for as long as they may be needed."""

from __future__ import annotations

#: Milliseconds of a UTC day.
DAY_MS = 86_400_000
#: Days that a row of the ledger is kept after its generation was taken in.
LEDGER_DAYS = 30
#: Days for which the visitors of a query are told apart: longer than any search waits for SQL.
SEARCH_VISITOR_DAYS = 7


def first_kept_day(now: int, days: int) -> int:
    """The first UTC day (since 1970) whose events are kept at ``now`` (ms); whole days go, 0 days keeps all."""
    return now // DAY_MS - days if days else 0
