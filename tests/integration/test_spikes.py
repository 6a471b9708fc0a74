"""Spikes and silences become events of the site: each hour once, twice a day at most; on a clock that stands still."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pathhits import Event, EventError, PathHits, SettingsError, tasks
from pathhits.core.periods import to_hour
from pathhits.errors import NotMigrated
from pathhits.notify.messages import News
from pathhits.storage.sql import tables
from tests.integration.logbook import rows_of
from tests.integration.test_reads import put_hits

NOW = datetime(2026, 11, 18, 14, 30, tzinfo=UTC)
HOUR = to_hour(NOW)


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, spike_minimum=20, silence_minimum=5)
    hits.migrate()
    yield hits
    hits.close(0.1)


def usual(hits: PathHits, n: int = 10, *, days: int = 8) -> None:
    """So many hits in every hour of the days before that of `NOW`."""
    put_hits(hits, "/", *(hour for hour in range(HOUR - 24 * days, HOUR - 1) for _ in range(n)))
    hits.sync()


def said(hits: PathHits) -> list[str]:
    return [row["name"] for row in sorted(rows_of(hits, tables.events), key=lambda row: row["moment"])]


def test_a_spike_is_an_event_that_listeners_get(hits: PathHits) -> None:
    heard: list[Event] = []
    hits.on("site.*", name="site")(heard.append)
    usual(hits)
    put_hits(hits, "/", *([HOUR - 1] * 10), *([HOUR] * 55))  # the running hour, half of it, and not yet in SQL
    report = hits.look_for_spikes(NOW)
    assert (report.found, report.hits, report.usual, report.said) == ("traffic_spiked", 55, 10.0, True)
    assert report.hour == NOW.replace(minute=0)
    assert hits.deliver().done == 1
    [event] = heard
    assert (event.name, event.item_type, event.item_id, event.moment) == ("site.traffic_spiked", "", "", NOW)
    assert event.properties == {"hits": 55, "usual": 10.0, "hour": "2026-11-18 14:00 UTC"}
    told = "Traffic spiked: 55 hits in the hour from 2026-11-18 14:00 UTC, usual are 10.0"
    assert News.of(event).subject() == told


def test_silence_is_an_event(hits: PathHits) -> None:
    usual(hits)
    report = hits.look_for_spikes(NOW)
    assert (report.found, report.hits, report.usual, report.said) == ("fell_silent", 0, 10.0, True)
    assert said(hits) == ["site.fell_silent"]
    [row] = rows_of(hits, tables.events)
    assert json.loads(row["properties"])["hour"] == "2026-11-18 13:00 UTC"


def test_a_new_site_and_one_that_was_never_visited_are_not_silent(hits: PathHits) -> None:
    assert hits.look_for_spikes(NOW).found == ""
    usual(hits, days=2)
    assert hits.look_for_spikes(NOW).found == ""
    put_hits(hits, "/", *([HOUR] * 500))
    assert hits.look_for_spikes(NOW).found == ""
    assert said(hits) == []


def test_an_hour_is_said_once_however_often_it_is_looked_at(hits: PathHits) -> None:
    usual(hits)
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: hits.look_for_spikes(NOW), range(8)))
    assert {report.found for report in reports} == {"fell_silent"}
    assert said(hits) == ["site.fell_silent"]
    assert sum(report.said for report in reports) >= 1


def test_two_a_day_of_each_kind_are_said_and_not_soon_one_after_the_other(hits: PathHits) -> None:
    usual(hits)
    at = [NOW.replace(hour=0) + timedelta(minutes=15 * step) for step in range(2 * 96)]
    for day in range(9):
        put_hits(hits, "/", *(HOUR - 24 * day + hour for hour in range(60) if day for _ in range(10)))
    spikes = [to_hour(NOW.replace(hour=hour)) for hour in (3, 16)]
    put_hits(hits, "/", *(hour for hour in spikes for _ in range(3_000)))
    hits.sync()
    reports = [hits.look_for_spikes(moment) for moment in at]
    events = rows_of(hits, tables.events)
    days: Counter[tuple[str, int]] = Counter()
    for event in events:
        days[event["name"], event["moment"] // 86_400_000] = (
            days.get((event["name"], event["moment"] // 86_400_000), 0) + 1
        )
    assert max(days.values()) <= 2
    assert days["site.traffic_spiked", to_hour(NOW) // 24] == 2
    assert sum(report.said for report in reports) == len(events)


def test_a_setting_says_none_at_all(redis_url: str, sqlite_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, spike_alarms=0, silence_minimum=5)
    with pytest.raises(NotMigrated):
        hits.look_for_spikes(NOW)
    hits.migrate()
    usual(hits)
    report = hits.look_for_spikes(NOW)
    assert (report.found, report.said) == ("fell_silent", False)
    assert said(hits) == []


def test_the_job_looks_by_the_clock_of_the_machine(
    redis_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    hits = PathHits(request_deadline=60.0)
    hits.migrate()
    assert tasks.spikes() == {"said": False}
    now = to_hour(datetime.now(UTC))
    put_hits(hits, "/", *(hour for hour in range(now - 24 * 8, now - 1) for _ in range(60)))
    assert tasks.spikes() == {"said": True}
    assert tasks.spikes() == {"said": False}
    assert said(hits) == ["site.fell_silent"]
    hits.close()


@pytest.mark.parametrize("name", ["site.traffic_spiked", "site.fell_silent", "site.job_failing"])
def test_an_app_cannot_say_what_the_site_says(name: str) -> None:
    hits: Any = PathHits()
    with pytest.raises(EventError, match="a job says so"):
        hits.track(name)
    with pytest.raises(SettingsError, match="it is built in: a job says so"):
        hits.event_type(name)
