"""Hours, days, and the buckets of a time zone: every hour is in exactly one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.core import periods
from pathhits.core.periods import By, bucket_index, bucket_starts

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # its clock went from 00:00 to 01:00, and from 24:00 back to 23:00
    "America/St_Johns",  # at 00:01 back to 23:01
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # changes by half an hour
    "Pacific/Apia",  # had no 30 December 2011
]
MOMENTS = st.integers(1_104_537_600, 1_893_456_000).map(lambda moment: datetime.fromtimestamp(moment, UTC))
SPANS = st.timedeltas(timedelta(minutes=1), timedelta(days=10)) | st.just(timedelta(days=45))
CALENDAR: list[By] = ["day", "week", "month"]
ALL: list[By] = ["hour", "day", "week", "month"]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def lengths(starts: list[datetime]) -> list[float]:
    """The hours from each start to the next."""
    return [(b.astimezone(UTC) - a.astimezone(UTC)) / timedelta(hours=1) for a, b in pairwise(starts)]


@given(st.integers(-(10**6), 10**6))
def test_hours_go_there_and_back(hour: int) -> None:
    start = periods.hour_start(hour)
    assert periods.to_hour(start) == periods.to_hour(start, round_up=True) == hour
    assert periods.hour_of(start.timestamp()) == periods.hour_of(start.timestamp() + 3599.9) == hour
    assert start.utcoffset() == timedelta(0)


def test_a_datetime_belongs_to_the_utc_hour_that_holds_it() -> None:
    moment = datetime(1970, 1, 2, 5, 29, 59, 999_999, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert periods.to_hour(moment) == 23
    assert periods.to_hour(moment, round_up=True) == 24
    assert periods.to_hour(moment + timedelta(microseconds=1), round_up=True) == 24


def test_both_hours_of_a_clock_set_back_are_told_apart() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert periods.to_hour(first.replace(fold=1)) == periods.to_hour(first) + 1


@pytest.mark.parametrize("call", [periods.to_hour, lambda dt: bucket_starts(dt, utc(2026, 1, 1), "day", "UTC")])
def test_a_datetime_without_a_zone_is_refused_with_the_remedy(
    call: Callable[[datetime], object],
) -> None:
    with pytest.raises(ValueError, match="no time zone: give an aware datetime"):
        call(utc(2026, 1, 1).replace(tzinfo=None))


@pytest.mark.parametrize(
    "name", ["", "Mars/Base", "America", "../etc/passwd", "/etc/localtime", "a\0b", "x" * 5000, "é"]
)
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        periods.zone(name)


def test_an_unknown_bucket_is_refused() -> None:
    with pytest.raises(ValueError, match="give hour, day, week or month"):
        bucket_starts(utc(2026, 1, 1), utc(2026, 1, 2), "year", "UTC")  # type: ignore[arg-type]


@pytest.mark.parametrize("by", ALL)
def test_more_buckets_than_anyone_reads_are_refused(by: By) -> None:
    with pytest.raises(ValueError, match=r"buckets|calendar"):
        bucket_starts(utc(1, 1, 1), utc(9999, 12, 31), by, "UTC")


@pytest.mark.parametrize("by", ALL)
@pytest.mark.parametrize(("year", "name"), [(1, "Asia/Tokyo"), (9999, "America/New_York")])
def test_the_ends_of_the_calendar_are_refused(year: int, name: str, by: By) -> None:
    month, day, hour = (1, 1, 0) if year == 1 else (12, 31, 23)
    moment = datetime(year, month, day, hour, tzinfo=ZoneInfo(name))
    with pytest.raises(ValueError, match="no calendar"):
        bucket_starts(moment, moment, by, name)


@pytest.mark.parametrize("by", CALENDAR)
def test_a_bucket_that_ends_after_the_calendar_is_refused(by: By) -> None:
    with pytest.raises(ValueError, match="no calendar"):
        bucket_starts(utc(9999, 12, 31, 1), utc(9999, 12, 31, 2), by, "UTC")


def test_an_empty_span_has_no_buckets() -> None:
    assert bucket_starts(utc(2026, 1, 1), utc(2026, 1, 1), "hour", "UTC") == []
    assert bucket_starts(utc(2026, 1, 2), utc(2026, 1, 1), "day", "UTC") == []


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("hour", [utc(2026, 11, 20, 12), utc(2026, 11, 20, 13)]),
        ("day", [utc(2026, 11, 20)]),
        ("week", [utc(2026, 11, 16)]),
        ("month", [utc(2026, 11, 1)]),
    ],
)
def test_the_first_bucket_holds_since_and_the_last_begins_before_until(by: By, expected: list[datetime]) -> None:
    assert bucket_starts(utc(2026, 11, 20, 12, 30), utc(2026, 11, 20, 14), by, "UTC") == expected


def test_months_begin_on_the_first_over_the_end_of_a_year() -> None:
    starts = bucket_starts(utc(2026, 11, 20), utc(2027, 3, 1, 1), "month", "UTC")
    assert starts == [utc(2026, 11, 1), utc(2026, 12, 1), utc(2027, 1, 1), utc(2027, 2, 1), utc(2027, 3, 1)]


@pytest.mark.parametrize(
    ("since", "until", "name", "hours"),
    [
        (utc(2026, 3, 28, 12), utc(2026, 3, 31), "Europe/Berlin", [24, 23, 24]),
        (utc(2026, 10, 24, 12), utc(2026, 10, 27), "Europe/Berlin", [24, 25, 24]),
        (utc(2018, 11, 3, 12), utc(2018, 11, 5, 12), "America/Sao_Paulo", [24, 23]),
        (utc(2018, 2, 16, 12), utc(2018, 2, 18, 12), "America/Sao_Paulo", [24, 25]),
        (utc(2026, 4, 4, 0), utc(2026, 4, 6, 0), "Australia/Lord_Howe", [24, 24.5]),
        (utc(2011, 12, 29, 12), utc(2012, 1, 1), "Pacific/Apia", [24, 24]),
    ],
)
def test_a_day_of_a_clock_change_is_one_bucket_of_its_real_length(
    since: datetime, until: datetime, name: str, hours: list[float]
) -> None:
    assert lengths(bucket_starts(since, until, "day", name)) == hours


def test_a_day_that_a_zone_skipped_is_no_bucket() -> None:
    starts = bucket_starts(utc(2011, 12, 29, 12), utc(2012, 1, 1), "day", "Pacific/Apia")
    assert [start.day for start in starts] == [29, 31, 1]


def test_a_clock_set_back_over_midnight_leaves_what_follows_in_the_new_day() -> None:
    at_2310_again = utc(2008, 11, 2, 2, 40)
    starts = bucket_starts(at_2310_again, utc(2008, 11, 2, 12), "day", "America/St_Johns")
    assert [start.isoformat() for start in starts] == ["2008-11-02T00:00:00-02:30"]


def test_hours_of_a_clock_set_back_are_two_buckets() -> None:
    starts = bucket_starts(utc(2026, 10, 25, 0), utc(2026, 10, 25, 2), "hour", "Europe/Berlin")
    assert [(start.hour, start.fold) for start in starts] == [(2, 0), (2, 1)]


def test_in_a_zone_off_by_half_an_hour_a_utc_hour_belongs_to_the_day_in_which_it_starts() -> None:
    starts = bucket_starts(utc(2026, 11, 19, 19), utc(2026, 11, 21), "day", "Asia/Kolkata")
    assert [start.isoformat() for start in starts][:2] == ["2026-11-20T00:00:00+05:30", "2026-11-21T00:00:00+05:30"]

    index = bucket_index(starts)
    assert index(periods.to_hour(utc(2026, 11, 20, 18))) == 0
    assert index(periods.to_hour(utc(2026, 11, 20, 19))) == 1


@given(MOMENTS, SPANS, st.sampled_from(ALL), st.sampled_from(ZONES))
def test_buckets_are_in_order_cover_the_span_and_no_more(since: datetime, span: timedelta, by: By, name: str) -> None:
    until = since + span
    starts = bucket_starts(since, until, by, name)
    instants = [start.astimezone(UTC) for start in starts]

    assert instants[0] <= since
    assert all(a < b for a, b in pairwise(instants))
    assert all(since < instant < until for instant in instants[1:])
    assert all(start.tzinfo is periods.zone(name) for start in starts)


@given(MOMENTS, SPANS, st.sampled_from(CALENDAR), st.sampled_from(ZONES))
def test_a_bucket_begins_with_its_local_day(since: datetime, span: timedelta, by: By, name: str) -> None:
    for start in bucket_starts(since, since + span, by, name):
        just_before = (start.astimezone(UTC) - timedelta(microseconds=1)).astimezone(start.tzinfo)
        assert just_before.date() < start.date() or start.hour == 23  # a clock set back at midnight: 24:00 is 23:00
        if start.hour == 0:
            assert by != "week" or start.weekday() == 0
            assert by != "month" or start.day == 1


@given(MOMENTS, SPANS, st.sampled_from(ALL), st.sampled_from(ZONES))
def test_each_hour_of_the_span_is_in_the_bucket_in_which_it_starts(
    since: datetime, span: timedelta, by: By, name: str
) -> None:
    starts = bucket_starts(since, since + span, by, name)
    instants = [start.astimezone(UTC) for start in starts]
    index = bucket_index(starts)
    for hour in range(periods.to_hour(since, round_up=True), periods.to_hour(since + span, round_up=True)):
        at = periods.hour_start(hour)
        found = index(hour)
        assert instants[found] <= at
        assert found + 1 == len(instants) or at < instants[found + 1]


def test_an_hour_before_the_first_bucket_has_none() -> None:
    index = bucket_index(bucket_starts(utc(2026, 11, 20), utc(2026, 11, 21), "day", "UTC"))
    assert index(periods.to_hour(utc(2026, 11, 19, 23))) == -1
