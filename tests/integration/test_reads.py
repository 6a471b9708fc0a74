"""Answers are stored + pending, whatever a sync has got to: each compared to a plain list of hits."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from pathhits import PathHits
from pathhits.core.counts import Count
from pathhits.core.periods import hour_start
from pathhits.errors import StoreUnavailable
from pathhits.hits import DROPS, HITS, REQUESTS, SITE, Batch, Delta, Sketch
from pathhits.stats import PathRow
from pathhits.storage.sql import tables
from pathhits.storage.sql.reads import Window
from pathhits.storage.sql.tables import PATHS
from tests.servers.redis import RedisServer

Start = Callable[[Callable[[], RedisServer]], RedisServer]
BERLIN = ZoneInfo("Europe/Berlin")
#: 2026-03-28 00:00 UTC: the day before Berlin's clock goes forward.
FIRST = int(datetime(2026, 3, 28, tzinfo=UTC).timestamp()) // 3600
_numbers = itertools.count(1)


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0, redis_timeout=10.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


def put(hits: PathHits, deltas: dict[Delta, int], visitors: dict[Sketch, tuple[int, ...]] | None = None) -> None:
    """Add deltas to Redis, as a process does."""
    number = next(_numbers)
    added = hits.pending.add(Batch("test", number, f"g{number}", deltas, visitors or {}), "")
    assert (added.status, added.rejected) == ("added", ())


def put_hits(hits: PathHits, label: str, *hours: int) -> None:
    counted = Counter(hours)
    put(hits, {Delta(hour, HITS, label): n for hour, n in counted.items()} | _requests(counted))


def _requests(by_hour: Counter[int]) -> dict[Delta, int]:
    return {Delta(hour, REQUESTS, ""): n for hour, n in by_hour.items()}


# One counter.


def test_a_count_has_a_stored_and_a_pending_part(hits: PathHits) -> None:
    put_hits(hits, "/", FIRST, FIRST, FIRST + 30)
    hits.sync()
    put_hits(hits, "/", FIRST + 31)
    count = hits.hit_count("/")
    assert (int(count), count.stored, count.pending, count.partial) == (4, 3, 1, False)
    assert (hits.stored_hit_count("/"), hits.pending_hit_count("/")) == (3, 1)
    assert hits.hit_count("/nobody was here") == 0


def test_a_count_of_what_is_no_text_is_that_of_its_text(hits: PathHits) -> None:
    put_hits(hits, "7", FIRST)
    found = hits.hit_counts([7, None, "7"])
    assert found == {"7": 1, "None": 0}
    assert not any(count.partial for count in found.values())
    assert (hits.hit_count(7), hits.pending_hit_count(7), hits.stored_hit_count(None)) == (1, 1, 0)


def test_a_generation_that_is_in_sql_and_still_in_redis_counts_once(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_hits(hits, "/", FIRST)
    monkeypatch.setattr(hits.pending, "settle", lambda generation: None)
    hits.sync()
    assert len(hits.pending.live()) == 1
    count = hits.hit_count("/")
    assert (int(count), count.stored, count.pending) == (1, 1, 0)
    assert [row.hits for row in hits.top_paths()] == [1]
    assert hits.total() == hits.total("requests") == 1
    assert sum(point.value for point in hits.series("hits", hour_start(FIRST), hour_start(FIRST + 1))) == 1


@pytest.mark.parametrize("question", ["count", "counts", "top", "series", "total"])
def test_a_sync_between_the_two_reads_makes_neither_a_dip_nor_a_double(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    put_hits(hits, "/", FIRST, FIRST)
    hits.sync()
    put_hits(hits, "/", FIRST)
    stored = hits.reads._stored

    def sync_first(*args: object) -> object:
        monkeypatch.undo()
        hits.sync()
        return stored(*args)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(hits.reads, "_stored", sync_first)
    ask: dict[str, Callable[[], int]] = {
        "count": lambda: hits.hit_count("/"),
        "counts": lambda: hits.hit_counts(["/a", "/"])["/"],
        "top": lambda: hits.top_paths()[0].hits,
        "series": lambda: hits.series("hits", hour_start(FIRST), hour_start(FIRST + 1), label="/")[0].value,
        "total": lambda: hits.total(),
    }
    assert ask[question]() == 3
    assert ask[question]() == 3


def test_counts_of_many_labels_see_no_dip_when_a_sync_commits_between_their_statements(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [f"/{n:04}" for n in range(2_500)]
    put(hits, {Delta(FIRST, HITS, label): 2 for label in labels})
    stored = hits.reads._stored
    calls: list[int] = []

    def sync_later(*args: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            hits.sync()
        return stored(*args)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(hits.reads, "_stored", sync_later)
    assert hits.hit_counts(labels) == dict.fromkeys(labels, 2)
    assert len(calls) == 3


def test_labels_are_asked_for_as_they_are_counted(hits: PathHits) -> None:
    asked = ["/nul\x00", "/\udce4", "", "x" * 10_000]
    for label in asked:
        hits.track_hit(label)
    assert hits.flush()
    assert hits.hit_counts(asked) == dict.fromkeys(asked, 1)
    hits.sync()
    assert {label: count.stored for label, count in hits.hit_counts(asked).items()} == dict.fromkeys(asked, 1)


def test_a_count_is_partial_and_the_last_known_while_redis_is_away(own_server: Start, sqlite_url: str) -> None:
    server = own_server(RedisServer)
    hits = PathHits(redis_url=server.url, database_url=sqlite_url, request_deadline=30.0)
    hits.migrate()
    put_hits(hits, "/", FIRST)
    hits.sync()
    put_hits(hits, "/", FIRST)
    assert not hits.hit_count("/").partial
    server.kill()
    count = hits.hit_count("/")
    assert (int(count), count.stored, count.pending, count.partial) == (2, 1, 1, True)
    newcomer = PathHits(hits.settings)
    count = newcomer.hit_count("/")
    newcomer.close()
    assert (int(count), count.stored, count.pending, count.partial) == (1, 1, 0, True), "SQL is still there"
    with pytest.raises(StoreUnavailable, match="Redis at"):
        hits.top_paths()
    hits.close(0.1)


def test_a_count_without_tables_is_partial_and_says_so_in_the_log(
    redis_url: str, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=30.0)
    assert hits.hit_count("/").partial
    assert "pathhits db upgrade" in caplog.text
    hits.close(0.1)


def test_a_count_is_a_number_with_parts() -> None:
    count = Count(3, 4)
    assert count == 7
    assert f"{count}" == "7"
    assert (count.stored, count.pending, count.partial) == (3, 4, False)


# Many counters, against a plain list.


class Seen(NamedTuple):
    """One drawn hit (or drop, when the label is a reason) and whether it is synced before the next is made."""

    label: str
    hour: int
    number: int
    sync: bool


LABELS = ("/a", "/A", "/b", "/c", "/d:e")
drawn = st.builds(
    Seen, st.sampled_from(LABELS), st.integers(FIRST, FIRST + 75), st.integers(1, 5), st.booleans()
)  # fmt: skip
edges = st.none() | st.integers(FIRST - 5, FIRST + 80)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=st.lists(drawn, max_size=25), since=edges, until=edges, limit=st.integers(1, 6))
def test_top_paths_agree_with_a_plain_list(
    hits: PathHits, seen: list[Seen], since: int | None, until: int | None, limit: int
) -> None:
    forget(hits)
    for one in seen:
        put(hits, {Delta(one.hour, HITS, one.label): one.number, Delta(one.hour, REQUESTS, ""): one.number})
        if one.sync:
            hits.sync()
    inside = [
        one for one in seen if (since is None or one.hour >= since) and (until is None or one.hour < until)
    ]  # fmt: skip
    expected: Counter[str] = Counter()
    for one in inside:
        expected[one.label] += one.number
    best = sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
    window = (None if since is None else hour_start(since), None if until is None else hour_start(until))
    assert [(row.path, row.hits) for row in hits.top_paths(*window, limit=limit)] == best


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=st.lists(drawn, max_size=25), by=st.sampled_from(["hour", "day"]), label=st.sampled_from([None, *LABELS]))
def test_a_series_in_berlin_agrees_with_a_plain_list(
    hits: PathHits, seen: list[Seen], by: str, label: str | None
) -> None:
    forget(hits)
    for one in seen:
        put(hits, {Delta(one.hour, HITS, one.label): one.number, Delta(one.hour, REQUESTS, ""): one.number})
        if one.sync:
            hits.sync()
    since, until = datetime(2026, 3, 28, tzinfo=BERLIN), datetime(2026, 3, 31, tzinfo=BERLIN)
    expected: Counter[str] = Counter()
    for one in seen:
        start = hour_start(one.hour).astimezone(BERLIN)
        if label in (None, one.label) and since.timestamp() <= start.timestamp() < until.timestamp():
            expected[start.isoformat() if by == "hour" else start.date().isoformat()] += one.number
    points = hits.series("hits", since, until, by=by, tz="Europe/Berlin", label=label)  # type: ignore[arg-type]  # drawn
    found = {(p.start.isoformat() if by == "hour" else p.start.date().isoformat()): p.value for p in points}
    assert {key: n for key, n in found.items() if n} == expected
    assert len(points) == len(found) == (71 if by == "hour" else 3)


def forget(hits: PathHits) -> None:
    """Empty both stores, between two examples."""
    hits.redis.flushdb()
    with hits.engine.begin() as connection:
        for table in tables.metadata.sorted_tables:
            connection.execute(delete(table))


@pytest.mark.parametrize(
    ("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 6, 1), 24)]
)  # fmt: skip
def test_a_day_of_berlin_has_as_many_hours_as_its_clock_gives_it(
    hits: PathHits, day: tuple[int, int, int], hours: int
) -> None:
    start = datetime(*day, tzinfo=BERLIN)
    end = start + timedelta(days=1)  # the same wall clock, a day later
    first, after = int(start.timestamp()) // 3600, int(end.timestamp()) // 3600
    assert after - first == hours
    put_hits(hits, "/", *range(first - 1, after + 1))
    hits.sync()
    put_hits(hits, "/", first - 1, first, after - 1, after)
    (point,) = hits.series("hits", start, end, by="day", tz="Europe/Berlin")
    assert (point.start.timestamp(), point.value) == (start.timestamp(), hours + 2)
    by_hour = hits.series("hits", start, end, by="hour", tz="Europe/Berlin", label="/")
    assert [p.value for p in by_hour] == [2, *[1] * (hours - 2), 2]


def test_top_paths_find_the_best_of_more_pending_labels_than_sql_can_be_asked_for_at_once(hits: PathHits) -> None:
    put(hits, {Delta(FIRST, HITS, "/stored most"): 50, Delta(FIRST, HITS, "/both"): 45})
    hits.sync()
    pending: dict[Any, Any] = {f"{FIRST}:hits:/{n}": 1 for n in range(40_000)} | {
        f"{FIRST}:hits:/both": 10, f"{FIRST}:hits:/pending most": 52
    }  # fmt: skip
    put(hits, {Delta(FIRST, HITS, "/first"): 2})
    (generation,) = hits.pending.live()
    hits.redis.hset(hits.keys.generation(generation), mapping=pending)
    assert [(row.path, row.hits) for row in hits.top_paths(limit=4)] == [
        ("/both", 55), ("/pending most", 52), ("/stored most", 50), ("/first", 2)
    ]  # fmt: skip
    assert hits.total() == 50 + 45 + 40_000 + 10 + 52 + 2


def test_no_paths_are_asked_for_and_none_are_given(hits: PathHits) -> None:
    assert hits.top_paths() == []
    put_hits(hits, "/", FIRST)
    assert hits.top_paths(limit=0) == []
    assert hits.top_paths(since=hour_start(FIRST + 1)) == []


# Drops, requests, visitors.


def test_drops_are_told_by_reason_stored_and_pending_in_a_window(hits: PathHits) -> None:
    put(hits, {Delta(FIRST, DROPS, "bot"): 3, Delta(FIRST + 1, DROPS, "status"): 1, Delta(FIRST, REQUESTS, ""): 4})
    hits.sync()
    put(hits, {Delta(FIRST + 1, DROPS, "bot"): 2, Delta(FIRST + 1, REQUESTS, ""): 2})
    assert list(hits.drops().items()) == [("bot", 5), ("status", 1)]
    assert hits.drops(since=hour_start(FIRST + 1)) == {"bot": 2, "status": 1}
    assert hits.drops(until=hour_start(FIRST + 1)) == {"bot": 3}
    assert hits.total("requests") == 6
    assert hits.total("hits") == 0


def test_visitors_are_those_of_the_sketch_until_it_is_gone_and_of_sql_afterwards(hits: PathHits) -> None:
    today = int(time.time() // 86_400)
    put(
        hits,
        {Delta(today * 24, HITS, "/"): 3},
        {Sketch(today, "/"): (1, 2, 3), Sketch(today, SITE): (1, 2, 3)},
    )
    assert hits.top_paths()[0].visitors == 3
    hits.sync()
    since, until = hour_start(today * 24), hour_start(today * 24 + 24)
    for _ in range(2):
        assert hits.top_paths()[0].visitors == 3
        assert hits.stats.visitors(since, until) == 3
        assert [point.value for point in hits.series("visitors", since, until, by="day")] == [3]
        hits.redis.flushdb()


def test_a_period_that_holds_a_part_of_a_day_has_no_more_visitors_than_hits(hits: PathHits) -> None:
    """A day is counted whole, and of its hits the period may hold a few."""
    today = int(time.time() // 86_400)
    seen: dict[Sketch, tuple[int, ...]] = {Sketch(today, "/"): (1, 2, 3), Sketch(today, SITE): (1, 2, 3)}
    put(hits, {Delta(today * 24, HITS, "/"): 3, Delta(today * 24 + 1, HITS, "/"): 1}, seen)
    since, until = hour_start(today * 24 + 1), hour_start(today * 24 + 2)
    for _ in range(2):
        assert hits.top_paths(since, until) == [PathRow("/", 1, 1)]
        assert hits.top_paths() == [PathRow("/", 4, 3)]
        hits.sync()


def test_a_sync_between_the_batches_of_one_flush_misses_no_visitor(hits: PathHits) -> None:
    """Visitors go before the hits they made, so whichever batch a sync falls behind, SQL has them in the end."""
    accumulator = hits.buffer._accumulator
    now = int(time.time() // 3600)
    for visitor in range(300):
        accumulator.hit(now, "/popular", visitor)
    add = hits.pending.add

    def add_and_sync(batch: Batch, first_run_id: str) -> object:
        added = add(batch, first_run_id)
        hits.sync(force=True)
        return added

    hits.pending.add = add_and_sync  # type: ignore[method-assign,assignment]  # a sync after each batch
    assert hits.flush(30.0)
    hits.redis.flushdb()
    assert hits.stored_hit_count("/popular") == 300
    assert hits.reads.visitors(PATHS, ["/popular"], Window())["/popular"][now // 24] >= 290
