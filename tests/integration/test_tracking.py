"""Events of the app: each is logged and adds to its counter once, pending and stored together right at any moment."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from pathhits import EventError, PathHits
from pathhits.capture.detour import BATCH_SIZE
from pathhits.cli import group
from pathhits.core.eventtypes import PROPERTIES_SIZE
from pathhits.hits import Batch, Track
from pathhits.storage.redis.keys import ONCE_TTL
from pathhits.storage.sql import tables
from tests.faults.writer import BOT, BROWSER
from tests.integration.conftest import made
from tests.integration.test_event_log import logged

GUEST: dict[str, Any] = {"ip": "203.0.113.7", "user_agent": BROWSER}


def parts(hits: PathHits, name: str, item: object = 7) -> tuple[int, int, int]:
    """A counter of a movie: in all, stored, pending."""
    found = hits.counter("movie", item, name)
    assert not found.partial
    return int(found), found.stored, found.pending


def test_like_unlike_like_by_100_users_at_once_is_right_at_any_moment(hits: PathHits) -> None:
    others = [made(hits.settings.redis_url, hits.settings.database_url) for _ in range(3)]
    seen: list[int] = []
    done = threading.Event()

    def one(user: int) -> None:
        process = others[user % 3]
        for name in ("liked", "unliked", "liked"):
            assert process.track(f"movie.{name}", 7, user_id=user)
            process.flush()

    def look() -> None:
        while not done.is_set():
            seen.append(hits.counter("movie", 7, "likes"))
            hits.sync()

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, range(100)))
    finally:
        done.set()
        watcher.join()
    assert sum(parts(hits, "likes")[1:]) == 100
    # A user has likes in flight one at a time: never fewer than none, nor more than all.
    assert all(0 <= n <= 100 for n in seen), (min(seen), max(seen))
    hits.sync()
    assert parts(hits, "likes") == (100, 100, 0)
    assert Counter(row["name"] for row in logged(hits.engine)) == {"movie.liked": 200, "movie.unliked": 100}
    report = hits.verify()
    assert report.ok, report
    for other in others:
        other.close(0.1)


def test_pending_and_stored_are_one_number(hits: PathHits) -> None:
    hits.track("movie.liked", 7)
    hits.flush()
    assert parts(hits, "likes") == (1, 0, 1)
    hits.sync()
    assert parts(hits, "likes") == (1, 1, 0)
    hits.track("movie.unliked", 7)
    hits.track("movie.rated", 7, value=4, properties={"from": "app"})
    hits.track("movie.downloaded", 8, value=3)
    hits.flush()
    assert parts(hits, "likes") == (0, 1, -1)
    found = hits.counters("movie", [7, 8, 9], ["likes", "ratings", "rating_sum", "downloads"])
    assert found == {
        "7": {"likes": 0, "ratings": 1, "rating_sum": 4, "downloads": 0},
        "8": {"likes": 0, "ratings": 0, "rating_sum": 0, "downloads": 3},
        "9": {"likes": 0, "ratings": 0, "rating_sum": 0, "downloads": 0},
    }
    hits.sync()
    assert hits.counters("movie", [7, 8, 9], ["likes", "ratings", "rating_sum", "downloads"]) == found
    rated = next(row for row in logged(hits.engine) if row["name"] == "movie.rated")
    assert json.loads(rated["properties"]) == {"from": "app", "value": 4}
    assert hits.verify().ok


def test_sums_by_hour_and_day_are_those_of_the_counter(hits: PathHits) -> None:
    for name in ("liked", "liked", "unliked", "unliked", "unliked"):
        hits.track(f"movie.{name}", 7)
        hits.flush()
        hits.sync()
    with hits.engine.connect() as connection:
        for table, amount in (
            (tables.item_counters, "total"),
            (tables.item_counter_hours, "amount"),
            (tables.item_counter_days, "amount"),
        ):
            assert connection.execute(select(func.sum(table.c[amount]))).scalar_one() == -1


def test_an_event_tells_of_the_guest_or_the_user_and_of_neither_by_name(hits: PathHits) -> None:
    hits.track("movie.liked", 7, **GUEST)
    hits.track("movie.liked", 7, **GUEST, user_id="anna")
    hits.track("movie.liked", 7)
    hits.flush()
    hits.sync()
    # Of one millisecond, they are in no order.
    nobody, guest, user = sorted(logged(hits.engine), key=lambda row: (row["visitor"] != 0, row["user_id"]))
    assert guest["visitor"] == user["visitor"] != 0
    assert (guest["user_id"], nobody["user_id"], nobody["visitor"]) == ("", "", 0)
    assert len(user["user_id"]) == 16
    assert guest["user_agent"] == BROWSER
    assert guest["item"] == "movie:7"
    # What is no view makes no visitor of the item, and no view.
    assert (hits.item_stats("movie", 7).visitors, hits.view_count("movie", 7)) == (0, 0)


def test_the_largest_properties_arrive_whole(hits: PathHits) -> None:
    given = {"a": "é\x00" * ((PROPERTIES_SIZE - len('{"a":""}')) // 12), "b": [1, None, {"c": True}]}
    given["a"] = given["a"][:-20]
    for _ in range(40):
        hits.track("search.performed", properties=given)
    hits.flush()
    hits.sync()
    rows = logged(hits.engine)
    assert len(rows) == 40
    assert all(json.loads(row["properties"]) == given and row["item"] is None for row in rows)


def test_a_key_makes_an_event_one_for_a_day(small: PathHits) -> None:
    other = made(small.settings.redis_url, small.settings.database_url)
    for process in (small, other):
        for _ in range(2):
            process.track("movie.downloaded", 7, key="order 1")
        process.track("movie.downloaded", 8, key="order 1")
        process.track("movie.liked", 7, key="order 1")
        process.flush()
    small.sync()
    assert [parts(small, "downloads", item)[0] for item in (7, 8)] == [1, 1]
    assert parts(small, "likes")[0] == 1
    assert len(logged(small.engine)) == 3
    kept = list(small.redis.scan_iter("*:rule:once:*"))
    assert len(kept) == 3
    assert all(ONCE_TTL - 60 < small.redis.ttl(key) <= ONCE_TTL for key in kept)
    assert all(b"order" not in key for key in kept)
    other.close(0.1)


def test_a_key_holds_across_processes(small: PathHits) -> None:
    code = (
        "from pathhits import PathHits; h = PathHits();"
        "h.track('movie.downloaded', 7, key='order 1'); assert h.flush(20); h.close()"
    )
    environment = {"REDIS_URL": small.settings.redis_url, "DATABASE_URL": small.settings.database_url}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert parts(small, "downloads")[0] == 1


def test_a_key_of_yesterdays_salt_is_known(small: PathHits) -> None:
    batch = Batch("a", 1, "g", {}, {}, tracks=(_track(("old",)),))
    small.pending.add(batch, "")
    later = Batch("b", 1, "g2", {}, {}, tracks=(_track(("new", "old")), _track(("new",)), _track(("newer", "new"))))
    small.pending.add(later, "")
    # Only what is in none of the hashes happens: the second, whose hash nobody remembered.
    assert parts(small, "likes")[0] == 2


def test_a_batch_that_is_sent_again_adds_its_events_once(small: PathHits) -> None:
    batch = Batch("a", 1, "g", {}, {}, tracks=(_track(()), _track(("k",)), _track(("k",))))
    assert small.pending.add(batch, "").status == "added"
    assert small.pending.add(batch, small.pending.run_id()).status == "duplicate"
    assert parts(small, "likes")[0] == 2
    assert small.sync().events == 2
    assert parts(small, "likes") == (2, 2, 0)


def _track(once: tuple[str, ...]) -> Track:
    from pathhits.events import Logged, new_id

    moment = 1_774_699_200
    event = Logged(new_id(moment * 1000), "movie.liked", "movie:7", 0, "", "", "", "", moment * 1000)
    return Track(float(moment), event.name, event.item, (("likes", 1),), event.text(), once)


def test_an_event_that_cannot_be_is_an_error_and_changes_nothing(small: PathHits) -> None:
    for name, item, more, says in (
        ("movie.exploded", 7, {}, "declare it"),
        ("movie.viewed", 7, {}, "track_view"),
        ("movie.liked", None, {}, "give the id"),
        ("movie.liked", "", {}, "give the id"),
        ("search.performed", 7, {}, "no item"),
        ("movie.rated", 7, {"value": 6}, "1 to 5"),
        ("movie.liked", 7, {"properties": {"a": object()}}, "JSON"),
        ("movie.liked", 7, {"properties": {"a": "x" * 9000}}, "8192"),
    ):
        with pytest.raises(EventError, match=says):
            small.track(name, item, **more)
    small.flush()
    assert small.sync().events == 0


def test_views_are_no_counter_that_is_there_while_they_wait_and_gone_in_sql(
    small: PathHits, caplog: pytest.LogCaptureFixture
) -> None:
    small.register_item("movie")
    assert small.track_view("movie", 7, ip="203.0.113.9", user_agent="Mozilla/5.0")
    assert small.flush()
    for _ in range(2):
        assert small.counter("movie", 7, "views") == 0
        small.sync()
    assert "view_count" in caplog.text


def test_an_app_counts_events_of_its_own(small: PathHits) -> None:
    small.event_type("movie.sold", counter="sales", value=2)
    small.event_type("shop.opened")
    small.track("movie.sold", 7, value=5)
    small.track("shop.opened")
    small.flush()
    small.sync()
    assert parts(small, "sales") == (10, 10, 0)
    assert {row["name"] for row in logged(small.engine)} == {"movie.sold", "shop.opened"}


def test_a_crawler_downloads_nothing_unless_the_app_knows_it_as_a_user(small: PathHits) -> None:
    assert small.track("movie.downloaded", 7, ip="203.0.113.9", user_agent=BOT).reason == "bot"
    assert small.track("movie.downloaded", 7, ip="203.0.113.9", user_agent=BOT, user_id="robot")
    small.flush()
    assert parts(small, "downloads")[0] == 1
    assert small.stats.refusals() == {"movie:bot": 1}


def test_a_web_process_waits_for_neither_redis_nor_sql(sqlite_url: str) -> None:
    away = PathHits(redis_url="redis://127.0.0.1:1/0", database_url=sqlite_url, flush_interval=3600, buffer_size=100)
    for _ in range(150):
        assert away.track("movie.liked", 7)
    assert away.buffer.waiting == 100
    assert not away.flush(0.1)
    assert away.buffer.waiting <= 101
    away.close(0.1)


def test_while_redis_is_away_events_go_into_sql(database_url: str) -> None:
    away = made("redis://127.0.0.1:1/0", database_url, fallback_after=0.01)
    away.migrate()
    for name in ("liked", "liked", "unliked"):
        away.track(f"movie.{name}", 7, key=name)
    assert away.flush(30.0)
    stored = away.reads.item_counters([("likes", "movie:7")]).amounts
    assert stored == {("likes", "movie:7"): 0}
    assert Counter(row["name"] for row in logged(away.engine)) == {"movie.liked": 1, "movie.unliked": 1}
    assert away.verify().ok
    away.close(0.1)


def test_more_events_than_one_batch_holds_all_arrive(small: PathHits) -> None:
    for number in range(BATCH_SIZE // 5):
        small.track("movie.downloaded", number % 3, properties={"n": "x" * (number % 2000)})
    assert small.flush(30.0)
    small.sync()
    assert sum(parts(small, "downloads", item)[0] for item in range(3)) == BATCH_SIZE // 5
    assert len(logged(small.engine)) == BATCH_SIZE // 5


def test_a_tracked_event_reaches_a_listener_and_the_command_line(hits: PathHits) -> None:
    heard: list[Any] = []
    hits.on("movie.*", name="ear")(heard.append)
    hits.sync()
    hits.track("movie.rated", 7, value=4, properties={"a": 1}, **GUEST)
    assert hits.flush(20.0)
    hits.sync()
    hits.deliver()
    assert [(e.name, e.item_id, dict(e.properties)) for e in heard] == [("movie.rated", "7", {"a": 1, "value": 4})]
    said = [CliRunner().invoke(group, ["item", "movie", "7", *form], obj=hits).output for form in (["--json"], [])]
    assert json.loads(said[0])["counters"] == {"ratings": 1, "rating_sum": 4}
    assert "rating sum" in said[1]


def test_a_counter_has_a_series_stored_and_pending(hits: PathHits) -> None:
    now = datetime.now(UTC)
    since = now - timedelta(days=1)

    def likes(**by: Any) -> list[int]:
        return [point.value for point in hits.series("likes", since, now, item=("movie", 7), **by)]

    for _ in range(3):
        hits.track("movie.liked", 7, **GUEST)
    hits.track("movie.liked", 8, **GUEST)
    assert hits.flush()
    hits.sync()
    hits.track("movie.liked", 7, **GUEST)
    assert hits.flush()
    assert (sum(likes()), sum(likes(by="day"))) == (4, 4)
    for _ in range(6):
        hits.track("movie.unliked", 7, **GUEST)
    assert hits.flush()
    assert (sum(likes()), min(likes())) == (-2, -2), "more was taken back than given"
    hits.sync()
    assert sum(likes()) == -2
    with pytest.raises(ValueError, match="give item="):
        hits.series("likes", since, now)
    with pytest.raises(ValueError, match="'hitz' is not counted of the whole site: bounces, hits, requests, seconds"):
        hits.series("hitz", since, now)
    with pytest.raises(ValueError, match=r"'hitz' is not counted of an item: downloads, likes, .*, views, visitors"):
        hits.series("hitz", since, now, item=("movie", 7))
    assert {point.value for point in hits.series("downloads", since, now, item=("movie", 7))} == {0}


def test_a_counter_that_is_no_longer_declared_keeps_its_series(hits: PathHits, redis_url: str) -> None:
    hits.event_type("movie.shared", counter="shares")
    hits.track("movie.shared", 7, **GUEST)
    assert hits.flush()
    hits.sync()
    later = PathHits(redis_url=redis_url, database_url=hits.settings.database_url)
    now, day = datetime.now(UTC), timedelta(days=1)
    assert sum(point.value for point in later.series("shares", now - day, now + day, item=("movie", 7))) == 1
    assert sum(point.value for point in later.series("shares", now - 3 * day, now - 2 * day, item=("movie", 7))) == 0
    later.close(0.1)
