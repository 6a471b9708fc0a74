"""A sync moves what is in Redis into SQL: twice, at once, or with a store away, the numbers are the same."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from pathhits import PathHits
from pathhits.errors import NotMigrated, StoreUnavailable
from pathhits.jobs.sync import SyncReport
from tests.faults.writer import BROWSER, page, request
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0, flush_interval=3600)
    hits.migrate()
    yield hits
    hits.close(0.1)


def count(hits: PathHits, **numbers: int) -> None:
    """So many hits of each label, acknowledged by Redis."""
    for label, number in numbers.items():
        for _ in range(number):
            hits.track_hit(label)
    assert hits.flush(20.0)


def test_a_sync_reports_what_it_moved_and_the_next_one_nothing(
    hits: PathHits, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    count(hits, a=2, b=3)
    report = hits.sync()
    assert (report.batches, report.paths, report.hits, report.errors, report.skipped) == (1, 2, 5, 0, False)
    assert report.seconds > 0
    assert hits.sync().batches == 0
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("sync:")]
    assert len(lines) == 2
    assert "1 batches, 2 paths, 5 hits, 0 errors" in lines[0]
    assert set(report.as_dict()) == {"batches", "paths", "hits", "events", "errors", "seconds", "skipped", "deliveries"}


def test_generations_that_piled_up_are_all_moved(hits: PathHits) -> None:
    for n in range(5):
        count(hits, a=n + 1)
        hits.pending.seal()
    assert hits.sync().batches == 5
    assert hits.stored_hit_count("a") == 15
    assert hits.pending.live() == []


def test_syncs_at_once_move_everything_once(hits: PathHits) -> None:
    count(hits, **{f"label{n}": 2 for n in range(100)})
    barrier = threading.Barrier(4)
    reports: list[SyncReport] = []

    def work() -> None:
        barrier.wait()
        reports.append(hits.sync(force=True))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report.hits for report in reports) == 200
    assert sum(report.batches for report in reports) == 1
    assert hits.verify().ok
    assert hits.total() == 200


def test_a_sync_leaves_the_work_to_another_that_holds_the_lock_unless_forced(hits: PathHits) -> None:
    count(hits, a=1)
    with hits.pending.sync_lock() as mine:
        assert mine
        report = hits.sync()
        assert (report.skipped, report.batches) == (True, 0)
        assert hits.stored_hit_count("a") == 0
        assert hits.sync(force=True).hits == 1


def test_without_tables_a_sync_says_what_to_do_and_deletes_nothing(redis_url: str, database_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0)
    count(hits, a=3)
    with pytest.raises(NotMigrated, match="pathhits db upgrade"):
        hits.sync()
    hits.migrate()
    assert hits.sync().hits == 3
    hits.close(0.1)


def test_with_sql_away_a_sync_deletes_nothing_and_the_next_moves_it_all(
    redis_url: str, own_server: Callable[[Callable[[], PostgresServer]], PostgresServer]
) -> None:
    server = own_server(lambda: PostgresServer(fsync=False))
    hits = PathHits(redis_url=redis_url, database_url=server.fresh_database(), request_deadline=60.0)
    hits.migrate()
    count(hits, a=3)
    server.kill()
    with pytest.raises(StoreUnavailable, match="they stay in Redis"):
        hits.sync()
    count(hits, a=4)
    with pytest.raises(StoreUnavailable, match="they stay in Redis"):
        hits.sync()
    count(hits, a=5)
    assert len(hits.pending.live()) == 2, "syncs that fail pile up no generations"
    server.start()
    assert hits.sync().hits == 12
    assert hits.stored_hit_count("a") == 12
    hits.close(0.1)


def test_with_redis_away_a_sync_says_so_and_hides_the_password(
    sqlite_url: str, own_server: Callable[[Callable[[], RedisServer]], RedisServer]
) -> None:
    server = own_server(RedisServer)
    url = server.url.replace("redis://", "redis://:hidden@")
    hits = PathHits(redis_url=url, database_url=sqlite_url)
    hits.migrate()
    server.kill()
    with pytest.raises(StoreUnavailable, match=r"Redis at redis://127\.0\.0\.1") as raised:
        hits.sync()
    assert "hidden" not in str(raised.value)
    hits.close(0.1)


def test_a_poison_field_in_redis_is_set_aside_and_the_rest_of_all_generations_lands(hits: PathHits) -> None:
    count(hits, a=1)
    (generation,) = hits.pending.live()
    hits.redis.hset(hits.keys.generation(generation), "what is this", "1")
    hits.pending.seal()
    count(hits, a=1)
    report = hits.sync()
    assert (report.batches, report.hits, report.errors) == (2, 2, 1)
    assert hits.verify().dead_letters == 1
    assert hits.verify().ok
    assert hits.pending.live() == []


def test_a_generation_of_the_wrong_type_is_set_aside_unharmed_and_the_others_land(hits: PathHits) -> None:
    count(hits, a=1)
    (broken,) = hits.pending.seal()
    key = hits.keys.generation(broken)
    hits.redis.delete(key)
    hits.redis.set(key, "something else")
    count(hits, a=2)
    assert (hits.hit_count("a"), hits.hit_count("a").partial) == (2, False)
    assert [row.hits for row in hits.top_paths()] == [2]
    report = hits.sync()
    assert (report.batches, report.hits, report.errors) == (2, 2, 1)
    assert hits.sync().batches == 0
    assert hits.redis.get(key) == b"something else"
    assert hits.verify().dead_letters == 1
    assert hits.verify().ok
    assert hits.pending.live() == []


def test_visitors_of_a_synced_day_are_in_sql(hits: PathHits) -> None:
    app = hits.wsgi(page)
    for n in range(20):
        request(app, "/page", BROWSER, f"203.0.113.{n % 10}")
    assert hits.flush(20.0)
    hits.sync()
    hits.redis.flushdb()
    (row,) = hits.top_paths()
    assert (row.path, row.hits, row.visitors) == ("/page", 20, 10)
