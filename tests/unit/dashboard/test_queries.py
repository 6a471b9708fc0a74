"""What URL parameters mean, and that a bad one is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathhits.dashboard import comparing
from pathhits.dashboard.queries import MOST_POINTS, PARAMETERS, RANGES, BadParameter, Query, read_query

#: A Wednesday, the day before Berlin's clock goes back by less than a week.
NOW = datetime(2026, 10, 21, 14, 30, tzinfo=UTC)


def query(**given: str) -> Query:
    return read_query(given, now=NOW)


def test_without_parameters_it_is_the_last_thirty_days_by_day() -> None:
    found = query()
    assert (found.range, found.tz, found.by, found.page, found.limit) == ("30d", "UTC", "day", 1, 10)
    assert (found.since, found.until) == (datetime(2026, 9, 22, tzinfo=UTC), datetime(2026, 10, 22, tzinfo=UTC))
    assert found.parameters() == {"tz": "UTC"}


@pytest.mark.parametrize(
    ("name", "since", "until", "before", "by"),
    [
        ("today", "2026-10-21T00:00+02:00", "2026-10-22T00:00+02:00", "2026-10-20T00:00+02:00", "hour"),
        ("yesterday", "2026-10-20T00:00+02:00", "2026-10-21T00:00+02:00", "2026-10-19T00:00+02:00", "hour"),
        ("7d", "2026-10-15T00:00+02:00", "2026-10-22T00:00+02:00", "2026-10-08T00:00+02:00", "day"),
        ("90d", "2026-07-24T00:00+02:00", "2026-10-22T00:00+02:00", "2026-04-25T00:00+02:00", "day"),
        ("month", "2026-10-01T00:00+02:00", "2026-11-01T00:00+01:00", "2026-09-01T00:00+02:00", "day"),
        ("year", "2026-01-01T00:00+01:00", "2027-01-01T00:00+01:00", "2025-01-01T00:00+01:00", "month"),
    ],
)
def test_a_named_range_is_whole_days_of_the_zone(name: str, since: str, until: str, before: str, by: str) -> None:
    found = query(range=name, tz="Europe/Berlin")
    assert [moment.isoformat(timespec="minutes") for moment in (*found.period, *found.before)] == [
        since,
        until,
        before,
        since,
    ]
    assert found.by == by
    assert found.is_running == (name != "yesterday")


@pytest.mark.parametrize(
    ("given", "hours", "days"),
    [
        ({"range": "today"}, 14, 0),
        ({"range": "yesterday"}, 24, 1),
        ({"range": "7d"}, 6 * 24 + 14, 6),
        ({"range": "7d", "tz": "Asia/Kolkata"}, 6 * 24 + 19, 6),
        ({"since": "2026-10-20T14:10", "until": "2026-10-21T09:10"}, 19, 0),
        ({"since": "2026-10-22", "until": "2026-10-30"}, 0, 0),
    ],
)
def test_as_many_whole_hours_and_days_are_compared(given: dict[str, str], hours: int, days: int) -> None:
    found = query(**given)
    for compared, length in ((comparing.hours(found), hours), (comparing.days(found), days)):
        assert [len(part) for part in compared or ((), ())] == [length, length]


def test_two_dates_are_a_period_that_holds_both() -> None:
    found = query(since="2026-10-25", until="2026-10-25", tz="Europe/Berlin")
    assert found.range == "custom"
    assert found.until.astimezone(UTC) - found.since.astimezone(UTC) == timedelta(hours=25)
    moments = query(since="2026-10-25T06:00", until="2026-10-25T09:00:00Z", tz="Europe/Berlin")
    assert moments.since.isoformat() == "2026-10-25T06:00:00+01:00"
    assert moments.until.isoformat() == "2026-10-25T10:00:00+01:00"
    assert moments.before.since.isoformat() == "2026-10-25T02:00:00+01:00"


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("range", {"range": "decade"}),
        ("since", {"range": "custom"}),
        ("since", {"since": "yesterday"}),
        ("since", {"since": "2026-02-30"}),
        ("since", {"since": "1969-01-01"}),
        ("since", {"since": "２０２６-01-01"}),
        ("since", {"since": "2026-01-01", "range": "7d"}),
        ("until", {"since": "2026-01-02", "until": "2026-01-01"}),
        ("until", {"since": "2026-01-02", "until": "9999-12-31"}),
        ("tz", {"tz": "Mars/Olympus"}),
        ("tz", {"tz": "../../etc/passwd"}),
        ("tz", {"tz": "Europe"}),
        ("tz", {"tz": "a\0b"}),
        ("by", {"by": "minute"}),
        ("by", {"by": "hour", "since": "2020-01-01", "until": "2026-01-01"}),
        ("compare", {"compare": "perhaps"}),
        ("sort", {"sort": "least"}),
        ("page", {"page": "0"}),
        ("page", {"page": "1e3"}),
        ("page", {"page": "²"}),
        ("limit", {"limit": "501"}),
        ("limit", {"limit": "-1"}),
        ("search", {"search": "x" * 201}),
        ("search", {"search": "\0"}),
        ("path", {"path": "x" * 10_241}),
    ],
)
def test_a_bad_parameter_is_named(field: str, given: dict[str, str]) -> None:
    with pytest.raises(BadParameter) as caught:
        read_query(given, now=NOW)
    assert caught.value.field == field


def test_what_is_not_allowed_is_refused_where_that_is_said() -> None:
    with pytest.raises(BadParameter, match="no such parameter"):
        read_query({"rnage": "7d"}, allowed=PARAMETERS)
    assert read_query({"rnage": "7d"}, now=NOW) == query()


def test_a_label_is_asked_for_as_it_is_counted() -> None:
    assert query(path="/a\0b").path == "/a%00b"
    assert query(path="/a").parameters(path="/b") == {"tz": "UTC", "path": "/b"}
    assert query(path="/a").parameters(path=None) == {"tz": "UTC"}


def test_another_view_begins_at_its_first_page() -> None:
    found = query(page="3", search="shop")
    assert found.parameters(sort="name") == {"tz": "UTC", "search": "shop", "sort": "name"}
    assert found.parameters(page=4) == {"tz": "UTC", "search": "shop", "page": "4"}
    assert query(since="2026-01-01", by="hour", until="2026-01-02").parameters(range="7d") == {
        "range": "7d",
        "tz": "UTC",
    }


texts = st.one_of(st.text(max_size=40), st.sampled_from([*RANGES, "UTC", "Asia/Kathmandu", "2026-02-03", "1", "hour"]))


@given(st.dictionaries(st.sampled_from([*PARAMETERS, "other"]), texts, max_size=6))
def test_whatever_is_asked_is_a_query_whose_url_asks_the_same_or_names_a_field(given: dict[str, str]) -> None:
    field, found = "", None
    try:
        found = read_query(given, now=NOW)
    except BadParameter as error:
        field = error.field
    if found is None:
        assert field in PARAMETERS
        return
    assert found.since.astimezone(UTC) < found.until.astimezone(UTC)
    assert found.before.until == found.since
    assert found.limit <= 500 < MOST_POINTS
    assert read_query(found.parameters(), now=NOW) == found
