"""UTC hours and days, and the hours, days, weeks and months of a time zone made of them.

Counts are kept by UTC hour. A bucket of a zone is made of whole UTC hours: an hour belongs to the bucket in which it
starts. In zones off by half an hour (Asia/Kolkata) a day so holds the hits from half an hour after local midnight.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

By = Literal["hour", "day", "week", "month"]

#: Buckets one question may ask for: the hours of two years, the days of fifty.
MAX_BUCKETS = 20_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_LENGTHS = {"hour": _HOUR, "day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=28)}


def hour_of(moment: float) -> int:
    """The UTC hour (whole hours since 1970) of a moment in unix seconds."""
    return int(moment // 3600)


def hour_start(hour: int) -> datetime:
    """When a UTC hour starts, in UTC."""
    return _EPOCH + timedelta(hours=hour)


def to_hour(dt: datetime, round_up: bool = False) -> int:
    """The UTC hour that holds ``dt``; rounded up, the first hour that does not start before ``dt``.

    Rounded up on both ends, ``since`` and ``until`` give the half-open range of the hours that start between them.
    Raises ValueError for a datetime without a time zone.
    """
    since_epoch = _aware(dt) - _EPOCH
    return -(-since_epoch // _HOUR) if round_up else since_epoch // _HOUR


def days_of(since: datetime, until: datetime) -> range:
    """The UTC days whose noon lies between two moments, as whole days since 1970: what is kept by day is theirs."""
    first, after = (-(-(to_hour(moment, round_up=True) - 12) // 24) for moment in (since, until))
    return range(first, max(after, first))


def zone(tz: str) -> tzinfo:
    """The time zone of an IANA name such as ``Europe/Berlin``; raises ValueError for an unknown one."""
    if tz == "UTC":
        return UTC
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"unknown time zone {tz!r}: give an IANA name such as Europe/Berlin") from None


def bucket_starts(since: datetime, until: datetime, by: By, tz: str) -> list[datetime]:
    """When each bucket that meets ``since <= t < until`` starts, in order, in the zone ``tz``.

    The first start may be before ``since``. Days begin at local midnight (or where the clock jumps over it), weeks on
    Monday, months on the first; a day of a clock change is one bucket of 23 or 25 hours. Hours are UTC hours,
    written in the zone. Compare starts as instants (`to_hour`): Python compares two of one zone by their wall clock.
    Raises ValueError for naive datetimes, an unknown ``by`` or ``tz``, and more than `MAX_BUCKETS` buckets.
    """
    if by not in _LENGTHS:
        raise ValueError(f"unknown bucket {by!r}: give hour, day, week or month")
    here = zone(tz)
    try:
        return _starts(_aware(since).astimezone(UTC), _aware(until).astimezone(UTC), by, here)
    except OverflowError:
        raise ValueError("no calendar reaches that far: give times from the year 2 to 9998") from None


def bucket_index(starts: Sequence[datetime]) -> Callable[[int], int]:
    """A function from a UTC hour to the index of its bucket in ``starts``; -1 for an hour before the first.

    The last bucket takes all hours from its start on: ask only for hours before the ``until`` of `bucket_starts`.
    """
    first_hours = [to_hour(start, round_up=True) for start in starts]
    return lambda hour: bisect_right(first_hours, hour) - 1


class Run(NamedTuple):
    """Buckets of one length in a row: the first UTC hour, how many hours each has, and how many there are."""

    first: int
    width: int
    steps: int


def runs(starts: Sequence[datetime], until: datetime) -> list[Run]:
    """The buckets that begin at ``starts``, the last up to ``until``, as few `Run`: a database can sum by them.

    The days of a year are five, as two of them are an hour shorter or longer. Raises ValueError for a naive datetime.
    """
    hours = [to_hour(moment, round_up=True) for moment in (*starts, until)]
    found: list[Run] = []
    for first, after in pairwise(hours):
        if found and found[-1].width == after - first:
            found[-1] = found[-1]._replace(steps=found[-1].steps + 1)
        else:
            found.append(Run(first, after - first, 1))
    return found


def month_of(day: int) -> int:
    """The UTC month (whole months since 1970) of a UTC day (whole days since 1970)."""
    found = date.fromordinal(_EPOCH.toordinal() + day)
    return (found.year - 1970) * 12 + found.month - 1


def first_day_of(month: int) -> int:
    """The first UTC day of a month, both since 1970."""
    year, place = divmod(month, 12)
    return date(1970 + year, place + 1, 1).toordinal() - _EPOCH.toordinal()


def _starts(since: datetime, until: datetime, by: By, here: tzinfo) -> list[datetime]:
    if since >= until:
        return []
    if (until - since) / _LENGTHS[by] > MAX_BUCKETS:
        raise ValueError(f"more than {MAX_BUCKETS} buckets: give a shorter time or longer buckets")
    if by == "hour":
        starts = [hour_start(hour) for hour in range(to_hour(since), to_hour(until, round_up=True))]
    else:
        starts = list(_calendar_starts(since, until, by, here))
    return [start.astimezone(here) for start in starts]


def _calendar_starts(since: datetime, until: datetime, by: By, here: tzinfo) -> Iterator[datetime]:
    """The starts, in UTC, of the days, weeks or months from the one that holds ``since``; strictly increasing."""
    for start, following in pairwise(_midnights(_first_date(since.astimezone(here).date(), by), by, here)):
        if start >= until:
            return
        # A day that the zone skipped starts when the next one does; a clock set back over midnight leaves the
        # moments after it in the new day.
        if following > start and following > since:
            yield start


def _midnights(first: date, by: By, here: tzinfo) -> Iterator[datetime]:
    day = first
    while True:
        yield datetime.combine(day, time(), here).astimezone(UTC)
        day = _next_date(day, by)


def _first_date(day: date, by: By) -> date:
    if by == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if by == "month" else day


def _next_date(day: date, by: By) -> date:
    if by == "month":
        return (day + timedelta(days=31)).replace(day=1)
    return day + _LENGTHS[by]


def _aware(dt: datetime) -> datetime:
    if dt.utcoffset() is None:
        raise ValueError(f"{dt.isoformat()} has no time zone: give an aware datetime, as datetime.now(timezone.utc) is")
    return dt
