"""With constant traffic nothing changes: whatever the range, the zone and the time of day, or it cannot be said."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest

from pathhits import PathHits
from pathhits.core.dimensions import Trait
from pathhits.core.periods import to_hour
from pathhits.dashboard.api import resources
from pathhits.dashboard.queries import read_query
from pathhits.hits import BOUNCES, HITS, REQUESTS, SECONDS, SITE, VISITS, Batch, Delta, Sketch

BERLIN = ZoneInfo("Europe/Berlin")
#: When it is looked at: early, by day and late, in both zones, one after the other; on the last day of a month that is
#: longer than the one before, in the week in which Berlin's clock goes forward.
LOOKS = sorted(
    datetime(2026, 3, 31, hour, minute, tzinfo=here).astimezone(UTC)
    for hour, minute in ((0, 30), (9, 0), (23, 30))
    for here in (UTC, BERLIN)
)
RANGES: dict[str, dict[str, str]] = {
    **{name: {"range": name} for name in ("today", "yesterday", "7d", "30d", "90d", "month", "year")},
    "days": {"since": "2026-03-10", "until": "2026-03-16"},
    "a day of 23 hours": {"since": "2026-03-29", "until": "2026-03-29"},
    "moments": {"since": "2026-03-20T18:00", "until": "2026-03-22T00:00"},
    "odd moments": {"since": "2026-03-20T18:20", "until": "2026-03-21T00:10"},
    "half to come": {"since": "2026-03-25", "until": "2026-04-05"},
    "moments half to come": {"since": "2026-03-30T12:00", "until": "2026-04-01T12:00"},
    "all to come": {"since": "2026-04-10", "until": "2026-04-20"},
}
FILTERS: tuple[dict[str, str], ...] = ({}, {"path": "home"}, {"language": "en"})
#: In every hour, and the visitors of every day.
AN_HOUR = {HITS: 10, REQUESTS: 10, VISITS: 4, BOUNCES: 2, SECONDS: 400}
VISITORS = 48
#: Figures that can be told of any hour that is over.
HOURLY = {"hits", "visits", "bounce_rate", "average_duration", "average_duration_without_bounces"}
HALF = timedelta(minutes=30)
ENGLISH = Trait.of("language", ["en"])
_numbers = itertools.count(1)


@pytest.fixture
def hits(redis_url: str, sqlite_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=60.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


def put(hits: PathHits, since: datetime, until: datetime) -> None:
    """Constant traffic, to the half hour."""
    deltas: Counter[Delta] = Counter()
    seen: dict[Sketch, tuple[int, ...]] = {}
    for half in range((until - since) // HALF):
        moment = since + half * HALF
        hour = to_hour(moment)
        for counter, amount in AN_HOUR.items():
            deltas[Delta(hour, counter, "home" if counter == HITS else "")] += amount // 2
        deltas[ENGLISH.delta(hour, "home")] += AN_HOUR[HITS] // 2
        come = (moment.hour * 60 + moment.minute + 30) * VISITORS // 1_440
        seen |= {Sketch(hour // 24, label): tuple(range(come)) for label in (SITE, "home")}
    number = next(_numbers)
    hits.pending.add(Batch("test", number, f"g{number}", dict(deltas), seen), "")


def put_days(hits: PathHits, since: datetime, until: datetime) -> None:
    while since < until:
        put(hits, since, min(since + timedelta(days=8), until))
        since += timedelta(days=8)
    hits.sync(force=True)


def changes(hits: PathHits, now: datetime, tz: str, given: dict[str, str]) -> dict[str, float | None]:
    found = resources.summary(hits.browsing.view(), read_query({**given, "tz": tz}, now=now))
    return {} if found.changes is None else asdict(found.changes)


def test_constant_traffic_is_never_a_change(hits: PathHits) -> None:
    put_days(hits, datetime(2024, 12, 31, tzinfo=UTC), datetime(2025, 4, 3, tzinfo=UTC))
    begun = datetime(2025, 9, 30, tzinfo=UTC)
    said: Counter[str] = Counter()
    wrong = []
    for now in LOOKS:
        put_days(hits, begun, now)
        begun = now
        for (name, chosen), narrowed, tz in itertools.product(RANGES.items(), FILTERS, ("UTC", "Europe/Berlin")):
            for figure, change in changes(hits, now, tz, chosen | narrowed).items():
                said[figure] += change is not None
                if change:
                    wrong.append(f"{now:%d %H:%M} {tz} {name} {narrowed}: {figure} {change:+.0%}")
    assert wrong == []
    # What cannot be compared is not told; most can.
    assert said.keys() == HOURLY | {"visitors"}
    assert min(said.values()) > 40


@pytest.mark.parametrize(
    ("chosen", "at", "told"),
    [
        ("today", "2026-03-31T00:30", set()),
        ("today", "2026-03-31T09:00", HOURLY),
        ("today&language=en", "2026-03-31T09:00", set()),
        ("7d&language=en", "2026-03-31T09:00", {"hits"}),
        ("7d&path=home", "2026-03-31T09:00", {"hits", "visitors"}),
        ("yesterday", "2026-03-31T00:30", HOURLY | {"visitors"}),
    ],
)
def test_what_can_be_compared_is(hits: PathHits, chosen: str, at: str, told: set[str]) -> None:
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    put_days(hits, now - timedelta(days=15), now)
    found = changes(hits, now, "UTC", dict(parse_qsl(f"range={chosen}")))
    assert {figure for figure, change in found.items() if change == 0} == told
    assert not any(found.values())


@pytest.mark.parametrize("synced", [True, False])
@pytest.mark.parametrize("narrowed", FILTERS)
def test_a_site_that_is_too_young_has_nothing_to_compare(
    hits: PathHits, synced: bool, narrowed: dict[str, str]
) -> None:
    now = datetime(2026, 3, 31, 9, tzinfo=UTC)
    put(hits, now - timedelta(days=40), now)
    if synced:
        hits.sync(force=True)
    # Ten of the thirty days before: that is not three times as much traffic.
    found = resources.summary(hits.browsing.view(), read_query({"range": "30d", **narrowed}, now=now))
    assert (found.compared, found.before, found.changes) == (None, None, None)
    assert changes(hits, now, "UTC", {"range": "7d", **narrowed})["hits"] == 0
    # Without a hit there is no doubt: none.
    older = resources.summary(hits.browsing.view(), read_query({"range": "year", **narrowed}, now=now))
    assert older.before is not None
    assert older.before.hits == 0


def test_half_the_visitors_of_each_whole_day_are_half_of_them(hits: PathHits) -> None:
    now = datetime(2026, 3, 31, 9, tzinfo=UTC)
    put_days(hits, now - timedelta(days=15), now)
    days = [to_hour(now) // 24 - back for back in range(8, 14)]
    more: dict[Sketch, tuple[int, ...]] = {Sketch(day, SITE): tuple(range(2 * VISITORS)) for day in days}
    deltas = {Delta(day * 24, HITS, "home"): 1 for day in days}
    hits.pending.add(Batch("test", next(_numbers), "more", deltas, more), "")
    hits.sync(force=True)
    found = resources.summary(hits.browsing.view(), read_query({"range": "7d"}, now=now))
    assert found.compared is not None
    assert found.before is not None
    assert found.changes is not None
    # Of six days: the seventh is not over.
    assert (found.compared.visitors, found.before.visitors, found.changes.visitors) == (288, 576, -0.5)
    assert found.compared.hits == found.before.hits - 6 == (6 * 24 + 9) * AN_HOUR[HITS]
