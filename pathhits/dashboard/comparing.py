"""Which part of a period can be compared to which part of the one before it: parts that are over, and equally long.

Figures are kept by UTC hour, visitors and hits by value by UTC day. What has only begun is compared to nothing: ten
minutes of an hour, or half a day, would else show a slump each morning.
"""

from __future__ import annotations

from datetime import UTC
from typing import NamedTuple

from pathhits.core.periods import days_of, hour_start, to_hour
from pathhits.dashboard.queries import Period, Query


class Equals(NamedTuple):
    """UTC hours, or UTC days, of a period, and as many of the period before; both from their beginning on."""

    now: range
    before: range


def hours(query: Query) -> Equals | None:
    """The whole hours that can be compared; None where there is none yet."""
    over = to_hour(query.now)
    return _equals(_hours_of(query.period, over), _hours_of(query.before, over))


def days(query: Query) -> Equals | None:
    """The whole UTC days, by their noon as everywhere; None where there is none yet."""
    over = to_hour(query.now) // 24
    now, before = (days_of(*period) for period in (query.period, query.before))
    return _equals(range(now.start, min(now.stop, over)), range(before.start, min(before.stop, over)))


def period_of(hours: range) -> Period:
    """The period of some UTC hours, in UTC."""
    return Period(hour_start(hours.start), hour_start(hours.stop))


def hours_of(days: range) -> range:
    """The UTC hours of some UTC days."""
    return range(days.start * 24, days.stop * 24)


def _hours_of(period: Period, over: int) -> range:
    since, until = (to_hour(moment.astimezone(UTC), round_up=True) for moment in period)
    return range(since, min(until, over))


def _equals(now: range, before: range) -> Equals | None:
    length = min(len(now), len(before))
    return Equals(now[:length], before[:length]) if length else None
