"""What is known of one item, and which are hot: stored + pending, in few questions, remembered and dropped in time."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, insert, select, update

from pathhits import PathHits
from pathhits.core.counts import Count
from pathhits.core.itemstats import HotRow, ItemStats
from pathhits.errors import StoreUnavailable
from pathhits.hits import SECONDS, TIMED, VIEWS, VISITS, Batch, Delta
from pathhits.itemstats import DAYS_SHOWN
from pathhits.storage.sql import tables
from tests.integration.logbook import DAY_MS, put_views
from tests.servers.redis import RedisServer

Start = Callable[[Callable[[], RedisServer]], RedisServer]
_numbers = itertools.count(1)


@pytest.fixture
def make(redis_url: str, database_url: str) -> Iterator[Callable[..., PathHits]]:
    made: list[PathHits] = []

    def build(**settings: Any) -> PathHits:
        usual: dict[str, Any] = {"redis_url": redis_url, "database_url": database_url, "request_deadline": 60.0}
        hits = PathHits(**usual | settings)
        hits.migrate()
        made.append(hits)
        return hits

    yield build
    for hits in made:
        hits.close(0.1)


@pytest.fixture
def hits(make: Callable[..., PathHits]) -> PathHits:
    return make()


def now() -> int:
    return time.time_ns() // 1_000_000


def pend(hits: PathHits, deltas: dict[tuple[str, str], int], hours_ago: int = 0) -> None:
    hour, number = now() // 3_600_000 - hours_ago, next(_numbers)
    batch = Batch("test", number, f"g{number}", {Delta(hour, *name): n for name, n in deltas.items()}, {})
    assert hits.pending.add(batch, "").status == "added"


def stored(hits: PathHits, item: str, **values: int) -> None:
    """Set columns of an item, as a sync leaves them."""
    with hits.engine.begin() as connection:
        connection.execute(update(tables.items).where(tables.items.c.item == item).values(values))


def count(hits: PathHits, item: str, **counters: int) -> None:
    """Store counters of an item, as a sync leaves what an app with whatever event types added."""
    put_views(hits, item, [(now(), 1)])
    with hits.engine.begin() as connection:
        one = connection.scalar(select(tables.items.c.id).where(tables.items.c.item == item))
        rows = [{"item_id": one, "counter": name, "total": n} for name, n in counters.items()]
        connection.execute(insert(tables.item_counters), rows)


class Asked:
    """Counts what is asked of Redis and of SQL."""

    def __init__(self, hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
        self.redis = self.sql = 0
        event.listen(hits.engine, "before_cursor_execute", self._statement)
        send: Callable[..., Any] = hits.redis.execute_command

        def command(*args: Any, **options: Any) -> Any:
            self.redis += 1
            return send(*args, **options)

        monkeypatch.setattr(hits.redis, "execute_command", command)

    def _statement(self, *args: Any) -> None:
        self.sql += 1

    def since(self) -> tuple[int, int]:
        """Redis calls and SQL statements since the last time."""
        found = self.redis, self.sql
        self.redis = self.sql = 0
        return found


# Figures.


def test_an_item_that_nobody_saw_has_nothing(hits: PathHits) -> None:
    found = hits.item_stats("product", 42)
    assert (found.item_type, found.item_id, found.views, found.visitors, found.recent_views) == (
        "product",
        "42",
        0,
        0,
        0,
    )
    assert (found.average_duration, found.is_hot, found.first_seen, found.partial) == (None, False, None, False)
    assert [(day.views, day.visitors) for day in found.days] == [(0, 0)] * DAYS_SHOWN


def test_figures_are_stored_and_pending(hits: PathHits) -> None:
    moment = now()
    put_views(hits, "product:42", [(moment - 8 * DAY_MS, 1), (moment - DAY_MS, 2), (moment - DAY_MS, 3), (moment, 2)])
    put_views(hits, "product:43", [(moment, 9)])
    stored(hits, "product:42", visits=2, seconds=60, timed_views=2)
    pend(hits, {(VIEWS, "product:42"): 3, (VIEWS, "product:43"): 5})
    found = hits.item_stats("product", 42)
    assert (int(found.views), found.views.stored, found.views.pending) == (7, 4, 3)
    assert (found.visitors, found.recent_views, found.visits) == (3, 3 + 3, 2)
    assert (found.average_duration, found.is_hot, found.partial) == (30.0, False, False)
    assert found.first_seen == datetime.fromtimestamp((moment - 8 * DAY_MS) / 1000, UTC)
    assert found.last_seen is not None
    assert abs(found.last_seen.timestamp() * 1000 - moment) < 1
    today, yesterday = found.days[-1], found.days[-2]
    assert [one.day for one in found.days] == [
        datetime.fromtimestamp(moment / 1000, UTC).date() - timedelta(days=n) for n in reversed(range(DAYS_SHOWN))
    ]
    assert (today.views, today.visitors) == (1 + 3, 1)
    assert (yesterday.views, yesterday.visitors) == (2, 2)
    assert sum(day.views for day in found.days) == 6


def test_pending_visits_and_seconds_count_too_and_are_never_below_nothing(hits: PathHits) -> None:
    put_views(hits, "product:42", [(now(), 1)])
    stored(hits, "product:42", visits=1, seconds=10, timed_views=1)
    pend(hits, {(VISITS, "product:42"): 2, (SECONDS, "product:42"): 20, (TIMED, "product:42"): 2})
    for _ in range(2):
        found = hits.item_stats("product", 42)
        assert (found.visits, found.average_duration) == (3, 10.0)
        assert (found.days[-1].visits, found.days[-1].seconds) == (2, 20)
        hits.sync()
    pend(hits, {(VISITS, "product:42"): -9, (SECONDS, "product:42"): -90})
    found = hits.item_stats("product", 42)
    assert (found.visits, found.average_duration) == (0, 0.0)
    assert (found.days[-1].visits, found.days[-1].seconds) == (0, 0)


def test_counters_are_stored_and_pending_whoever_declared_them(hits: PathHits) -> None:
    hits.event_type("product.shared", counter="shares", value=2)
    assert set(hits.item_stats("product", 42).counters) == {*hits.event_types.counters}
    count(hits, "product:42", likes=5, votes=7)
    count(hits, "product:43", likes=9)
    pend(hits, {("likes", "product:42"): -2, ("shares", "product:42"): 4, ("votes", "product:42"): 1})
    pend(hits, {("likes", "product:42"): 1}, 30)
    found = hits.item_stats("product", 42).counters
    assert {name: (n.stored, n.pending) for name, n in found.items() if n} == {
        "likes": (5, -1),
        "shares": (0, 4),
        "votes": (7, 1),
    }
    assert found["downloads"] == 0
    hits.sync()
    after = hits.item_stats("product", 42)
    assert after.counters == found
    assert after.counters["likes"].pending == 0
    assert after.as_dict()["counters"] == found


def test_a_generation_that_is_in_sql_and_still_in_redis_counts_once(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    pend(hits, {(VIEWS, "product:42"): 3})
    monkeypatch.setattr(hits.pending, "settle", lambda generation: None)
    hits.sync()
    assert len(hits.pending.live()) == 1
    found = hits.item_stats("product", 42)
    assert (int(found.views), found.views.stored, found.views.pending) == (3, 3, 0)
    assert found.days[-1].views == 3


def test_a_sync_between_the_two_reads_makes_neither_a_dip_nor_a_double(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    pend(hits, {(VIEWS, "product:42"): 2})
    hits.sync()
    pend(hits, {(VIEWS, "product:42"): 1})
    item = hits.reads.item

    def sync_first(*args: Any) -> Any:
        monkeypatch.undo()
        hits.sync()
        return item(*args)

    monkeypatch.setattr(hits.reads, "item", sync_first)
    seen = [hits.item_stats("product", 42) for _ in range(2)]
    assert [(one.views, one.days[-1].views, one.partial) for one in seen] == [(3, 3, False)] * 2


def test_async_code_asks_the_same(hits: PathHits) -> None:
    put_views(hits, "product:42", [(now(), 1)])
    assert asyncio.run(hits.aitem_stats("product", 42)) == hits.item_stats("product", 42)


# Few questions.


def test_a_warm_item_takes_one_redis_call_and_one_statement(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    put_views(hits, "product:42", [(now(), 1), (now(), 2)])
    pend(hits, {(VIEWS, "product:42"): 1})
    hits.item_stats("product", 42)
    asked = Asked(hits, monkeypatch)
    assert hits.item_stats("product", 42).views == 3
    assert asked.since() == (1, 1)
    hits.item_stats("product", "never seen")
    assert asked.since() == (1, 1), "nor does a cold one take more"


def test_a_warm_item_with_counters_takes_no_more(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    count(hits, "product:42", shares=2, likes=1)
    pend(hits, {("shares", "product:42"): 3})
    asked = Asked(hits, monkeypatch)
    found = [hits.item_stats("product", 42).counters["shares"]]
    assert asked.since() == (2, 2), "a name that was never heard of is asked for once more"
    found.append(hits.item_stats("product", 42).counters["shares"])
    assert asked.since() == (1, 1)
    assert [(one, one.stored, one.pending) for one in found] == [(5, 2, 3)] * 2


# What is remembered.


def log_is_lost(hits: PathHits) -> None:
    """Remove what costs much to ask for, so that an answer that has it was remembered."""
    with hits.engine.begin() as connection:
        connection.execute(delete(tables.events))
        connection.execute(delete(tables.item_days))


def test_recent_views_and_days_are_remembered_until_the_item_changes(hits: PathHits) -> None:
    put_views(hits, "product:42", [(now(), 1), (now(), 2)])
    before = hits.item_stats("product", 42)
    log_is_lost(hits)
    assert hits.item_stats("product", 42) == before
    other = PathHits(hits.settings)
    put_views(other, "product:42", [(now(), 3)])
    other.close(0.1)
    found = hits.item_stats("product", 42)
    assert (found.views, found.recent_views, found.days[-1].views) == (3, 1, 1), "it changed elsewhere"


def test_what_is_remembered_has_an_end(hits: PathHits) -> None:
    put_views(hits, "product:42", [(now(), 1)])
    hits.item_stats("product", 42)
    log_is_lost(hits)
    reads, passed, started = hits.item_reads, [0.0], time.time()

    def clock() -> float:
        return started + passed[0]

    reads._clock = reads._recent._clock = reads._days._clock = clock
    seen = []
    for passed[0] in (0, 299, 301, 599, 601):
        found = reads.item_stats("product", 42)
        seen.append((found.recent_views, sum(day.views for day in found.days)))
    assert seen == [(1, 1), (1, 1), (0, 1), (0, 1), (0, 0)]


def test_nothing_is_remembered_where_the_settings_say_so(make: Callable[..., PathHits]) -> None:
    hits = make(cache_recent_views=0, cache_visitors=0, cache_hot_items=0)
    put_views(hits, "product:42", [(now(), n) for n in range(1, 101)])
    hits.refresh_items()
    assert hits.item_stats("product", 42).recent_views == 100
    assert len(hits.hot_items("product")) == 1
    log_is_lost(hits)
    found = hits.item_stats("product", 42)
    assert (found.views, found.recent_views, found.days[-1].views) == (100, 0, 0)
    stored(hits, "product:42", is_hot=0)
    assert hits.hot_items("product") == []


def test_what_the_job_counted_a_moment_ago_is_not_counted_again(hits: PathHits) -> None:
    put_views(hits, "product:42", [(now(), 1)])
    hits.refresh_items()
    log_is_lost(hits)
    assert hits.item_stats("product", 42).recent_views == 1
    stored(hits, "product:42", recent_at=now() - 301_000, view_count=2)
    assert hits.item_stats("product", 42).recent_views == 0


# Hot items.


def test_hot_items_are_those_with_the_most_recent_views(hits: PathHits) -> None:
    assert hits.hot_items("product") == []
    for item, n in (("product:a", 100), ("product:b", 99), ("product:c:d", 120), ("story:a", 300)):
        put_views(hits, item, [(now(), visitor) for visitor in range(1, n + 1)])
    hits.refresh_items()
    rows = hits.hot_items("product")
    assert [(row.item_id, row.recent_views, row.views, row.visitors) for row in rows] == [
        ("c:d", 120, 120, 120),
        ("a", 100, 100, 100),
    ]
    assert rows[0].hot_since is not None
    assert hits.hot_items("product", 1) == rows[:1]
    assert hits.hot_items("product", 0) == []
    assert [row.item_id for row in hits.hot_items("story")] == ["a"]
    assert hits.item_stats("product", "a").is_hot
    assert hits.item_stats("product", "a").hot_changed_at == rows[1].hot_since


def test_the_hot_items_are_remembered_until_one_changes_in_whatever_process(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_views(hits, "product:a", [(now(), n) for n in range(1, 101)])
    hits.refresh_items()
    asked = Asked(hits, monkeypatch)
    first = hits.hot_items("product")
    assert asked.since() == (1, 1)
    assert hits.hot_items("product") == first
    assert asked.since() == (1, 0)
    put_views(hits, "product:b", [(now(), n) for n in range(1, 111)])
    other = PathHits(hits.settings)
    other.refresh_items()
    other.close(0.1)
    assert [row.item_id for row in hits.hot_items("product")] == ["b", "a"]


def test_what_is_read_while_hot_items_change_is_not_remembered(hits: PathHits) -> None:
    put_views(hits, "product:a", [(now(), n) for n in range(1, 101)])
    changing = hits.hot_version.changing
    seen: list[list[HotRow]] = []
    other = PathHits(hits.settings)

    def read_meanwhile() -> None:
        seen.append(other.hot_items("product"))
        changing()
        seen.append(other.hot_items("product"))

    hits.hot_version.changing = read_meanwhile  # type: ignore[method-assign]  # asked just before the commit
    hits.refresh_items()
    assert seen == [[], []]
    assert [row.item_id for row in other.hot_items("product")] == ["a"]
    other.close(0.1)


def test_after_a_run_that_died_before_it_said_so_nothing_old_is_remembered(hits: PathHits) -> None:
    put_views(hits, "product:a", [(now(), n) for n in range(1, 101)])
    assert hits.hot_items("product") == []
    hits.hot_version.changed = lambda: (_ for _ in ()).throw(RuntimeError("died"))  # type: ignore[method-assign]  # here
    with pytest.raises(RuntimeError, match="died"):
        hits.refresh_items()
    assert [row.item_id for row in hits.hot_items("product")] == ["a"]
    assert hits.redis.ttl(hits.keys.hot_version()) <= 60
    hits.redis.delete(hits.keys.hot_version())  # as it does by itself
    assert [row.item_id for row in hits.hot_items("product")] == ["a"]


# Stores that are away.


def test_without_redis_it_is_what_was_known_and_partial(own_server: Start, sqlite_url: str) -> None:
    server = own_server(RedisServer)
    hits = PathHits(redis_url=server.url, database_url=sqlite_url, request_deadline=30.0)
    hits.migrate()
    put_views(hits, "product:42", [(now(), 1)])
    pend(hits, {(VIEWS, "product:42"): 3, ("likes", "product:42"): 2})
    count(hits, "product:43", likes=3, votes=4)
    assert not hits.item_stats("product", 42).partial
    put_views(hits, "product:a", [(now(), n) for n in range(1, 101)])
    hits.refresh_items()
    server.kill()
    found = hits.item_stats("product", 42)
    assert (int(found.views), found.views.partial, found.partial) == (4, True, True)
    assert (found.counters["likes"], found.counters["likes"].partial) == (2, True)
    newcomer = PathHits(hits.settings)
    found = newcomer.item_stats("product", 42)
    assert (int(found.views), found.recent_views, found.partial) == (1, 1, True), "SQL is still there"
    found = newcomer.item_stats("product", 43)
    assert (found.counters["likes"], found.counters["votes"], found.counters["votes"].partial) == (3, 4, True)
    assert [row.item_id for row in newcomer.hot_items("product")] == ["a"]
    with pytest.raises(StoreUnavailable, match="Redis at"):
        newcomer.refresh_items()
    newcomer.close()
    hits.close(0.1)


def test_without_tables_nothing_is_known_and_nothing_raises(
    redis_url: str, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=30.0)
    found = hits.item_stats("product", 42)
    assert (found.views, found.partial) == (0, True)
    assert hits.hot_items("product") == []
    assert "pathhits db upgrade" in caplog.text
    hits.close(0.1)


def test_a_read_that_takes_too_long_is_the_last_that_was_known(make: Callable[..., PathHits]) -> None:
    hits = make(request_deadline=1.0)
    put_views(hits, "product:42", [(now(), 1)])
    known = hits.item_stats("product", 42)
    assert not known.partial
    hits.item_reads.item_stats = lambda *_: time.sleep(30)  # type: ignore[assignment, method-assign]
    began = time.monotonic()
    found = hits.item_stats("product", 42)
    assert time.monotonic() - began < 20
    assert (found.views, found.partial, found.days) == (1, True, known.days)
    unknown, nothing = hits.item_stats("product", 43), dict.fromkeys(hits.event_types.counters, Count(0, 0))
    assert unknown == ItemStats("product", "43", partial=True, counters=nothing)
    assert all(count.partial for count in unknown.counters.values())
