"""Redis gone for long: counts go into SQL by themselves, each once, and when it is back all go on as before."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pathhits import PathHits, Rules
from pathhits.hits import Batch
from pathhits.storage.redis.pending import Added
from tests.faults.scene import check, observer
from tests.faults.truth import LABELS, Truth
from tests.faults.writer import BROWSER, page, request, serve
from tests.servers.processes import Process, free_port, wait_until
from tests.servers.proxy import Fault, FaultProxy, is_commit
from tests.servers.redis import RedisServer

Start = Callable[[Callable[[], RedisServer]], RedisServer]
FALLBACK_AFTER = 0.5
#: "Within FALLBACK_AFTER and a few seconds", on a machine that has other things to do.
SOON = 60.0


def build(redis_url: str, database_url: str, **settings: Any) -> PathHits:
    defaults = {"flush_interval": 0.05, "redis_timeout": 0.5, "fallback_after": FALLBACK_AFTER}
    return PathHits(redis_url=redis_url, database_url=database_url, **{**defaults, **settings})


def _requests(hits: PathHits) -> int:
    with hits.engine.connect() as connection:
        query = "SELECT COALESCE(SUM(total), 0) FROM pathhits_site_hours WHERE counter = 'requests'"
        return int(connection.exec_driver_sql(query).scalar_one())


@contextmanager
def serving(hits: PathHits, truth: Truth) -> Iterator[None]:
    """Requests without a pause between them that would be worth a name, until the block ends."""
    ended = threading.Event()
    app = hits.wsgi(page)

    def run() -> None:
        rng = random.Random(7)
        while not ended.wait(0.002):
            serve(app, truth, rng)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_hits_reach_sql_while_redis_is_away_and_each_counts_once(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    with FaultProxy.to(redis_url) as redis, ExitStack() as stack:
        url = database_url
        if not url.startswith("sqlite"):
            sql = stack.enter_context(FaultProxy.to(url))
            url = sql.url_for(url)
            # Answers to commits are lost now and then: a batch bound to SQL is sent again as it was.
            sql.at_random(0.3, [Fault.LOSE_REPLY, Fault.LOSE_REQUEST], when=is_commit)
        observing, hits = observer(redis_url, database_url), build(redis.url_for(redis_url), url)
        stack.callback(observing.close)
        stack.callback(hits.close, 0.1)
        observing.migrate()
        truth = Truth.create(tmp_path / "truth")
        with serving(hits, truth):
            wait_until(lambda: hits.buffer.sent > 100, SOON, "Redis takes hits")
            redis.refuse()
            made = truth["requests"]
            wait_until(lambda: _requests(observing) > 0, SOON, "the first hits are in SQL")
            now = _requests(observing)
            wait_until(lambda: _requests(observing) > now, SOON, "later ones are, too")
            redis.calm()
            wait_until(lambda: not hits.buffer._detour.is_open, SOON, "Redis takes batches again")
            observing.sync(force=True)
            there = observing.total("requests")
            wait_until(lambda: observing.total("requests") > there, SOON, "hits are pending again")
        assert truth["requests"] > made
        assert hits.flush(30.0)
        observing.sync(force=True)
        print(f"\n{truth['requests']} requests, {made} of them before Redis was away; failures: {hits.guard.failures}")
        assert "internal" not in hits.guard.failures
        check(observing, [truth])


def test_a_process_that_ends_without_redis_leaves_its_counts_in_sql(sqlite_url: str) -> None:
    hits = build(f"redis://127.0.0.1:{free_port()}/0", sqlite_url, fallback_after=3600)
    hits.migrate()
    hits.track_hit("/a")
    assert not hits.flush(0.01), "not before FALLBACK_AFTER"
    assert _requests(hits) == 0
    hits.track_hit("/b")
    assert hits.buffer.close(10.0), "as nothing of it can wait"
    assert _requests(hits) == 2
    assert hits.verify().ok
    hits.close(0.1)


ENDING = """
import os, signal, sys, time
from pathhits import PathHits
hits = PathHits()
hits.track_hit("/a")
{end}
"""
ENDS = {"at its end": "", "by SIGTERM": "hits.recorder; os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)"}


@pytest.mark.parametrize("end", ENDS)
def test_a_process_that_is_ended_without_redis_leaves_its_counts_in_sql(
    end: str, sqlite_url: str, tmp_path: Path, start_process: Callable[..., Process]
) -> None:
    observing = observer(f"redis://127.0.0.1:{free_port()}/0", sqlite_url)
    observing.migrate()
    env = {"REDIS_URL": observing.settings.redis_url, "DATABASE_URL": sqlite_url}
    start_process([sys.executable, "-c", ENDING.format(end=ENDS[end])], env=env).wait(60)
    assert _requests(observing) == 1
    observing.close()


def test_a_database_that_is_not_there_is_not_made_by_a_look_at_it(tmp_path: Path) -> None:
    file = tmp_path / "never.db"
    hits = build(f"redis://127.0.0.1:{free_port()}/0", f"sqlite:///{file}")
    hits.track_hit("/a")
    assert not hits.close(0.5)
    assert not file.exists()


def test_zero_means_never(sqlite_url: str) -> None:
    hits = build(f"redis://127.0.0.1:{free_port()}/0", sqlite_url, fallback_after=0)
    hits.migrate()
    hits.track_hit("/a")
    wait_until(lambda: hits.buffer._failures > 2, message="Redis was tried")
    assert not hits.flush(0.01)
    assert not hits.buffer._detour.is_open
    assert _requests(hits) == 0
    hits.buffer._begin()


def test_a_batch_made_for_redis_waits_for_redis_and_one_made_for_sql_for_sql(
    redis_url: str, postgresql_url: str
) -> None:
    with FaultProxy.to(redis_url) as redis, FaultProxy.to(postgresql_url) as sql:
        observing = observer(redis_url, postgresql_url)
        observing.migrate()
        hits = build(redis.url_for(redis_url), sql.url_for(postgresql_url), flush_interval=3600)
        hits.track_hit("/for redis")
        redis.arm(Fault.LOSE_REPLY, when=lambda sent: b"EVALSHA" in sent)
        assert not hits.flush(0.01)
        redis.refuse()
        assert not hits.flush(0.01)
        time.sleep(FALLBACK_AFTER)
        sql.arm(Fault.LOSE_REQUEST, 1_000, is_commit)  # however often it is tried, until `calm`
        hits.track_hit("/for sql")
        assert not hits.flush(0.01)
        assert hits.buffer._detour.is_busy
        sql.refuse()
        redis.calm()
        hits.track_hit("/for redis again")
        assert not hits.flush(2.0), "one waits for SQL"
        assert observing.pending.live()
        sql.calm()
        assert hits.flush(30.0)
        observing.sync(force=True)
        counts = observing.stats.hit_counts(["/for redis", "/for sql", "/for redis again"])
        assert {label: int(count) for label, count in counts.items()} == dict.fromkeys(counts, 1)
        assert observing.verify().ok
        assert hits.close(5.0)
        observing.close()


def test_without_tables_in_sql_everything_waits_for_redis(redis_url: str, sqlite_url: str) -> None:
    with FaultProxy.to(redis_url) as redis:
        hits = build(redis.url_for(redis_url), sqlite_url)
        redis.refuse()
        hits.track_hit("/a")
        kind = "Redis is away, and SQL takes no counts either"
        wait_until(lambda: hits.guard.failures.get(kind), SOON, "SQL was asked")
        assert not hits.buffer._detour.is_busy
        redis.calm()
        assert hits.flush(20.0)
        hits.migrate()
        hits.sync()
        assert hits.stats.hit_counts(["/a"])["/a"].stored == 1
        hits.close()


def test_views_are_judged_by_the_process_and_visitors_are_not_counted(database_url: str) -> None:
    hits = build(f"redis://127.0.0.1:{free_port()}/0", database_url, flush_interval=3600)
    hits.migrate()
    hits.register_item("product", rules=Rules.antispam())
    hits.track_hit("/a")
    assert not hits.flush(0.01)
    time.sleep(FALLBACK_AFTER)
    shown: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        shown.append(hits.track_view("product", 1).reason)
        return page(environ, start_response)

    for peer in ("203.0.113.1", "203.0.113.1", "203.0.113.2"):
        request(hits.wsgi(app), "/a", BROWSER, peer)
    assert shown == ["unavailable"] * 3
    assert hits.track_view("product", 2, user_id="ann").reason == "unavailable"
    assert hits.flush(20.0)
    stored = hits.reads.last_syncs(10)
    assert sum(row["hits"] for row in stored) == 4
    with hits.engine.connect() as connection:
        views = "SELECT counter, total FROM pathhits_site_hours WHERE counter LIKE '%product%' ORDER BY counter"
        totals = {str(counter): int(n) for counter, n in connection.exec_driver_sql(views.replace("%", "%%"))}
        assert totals == {"refusals:product:cooldown": 1, "views:product": 3}
        assert connection.exec_driver_sql("SELECT COALESCE(SUM(visitors), 0) FROM pathhits_path_days").scalar_one() == 0
        names = connection.exec_driver_sql("SELECT name FROM pathhits_events").scalars().all()
        assert names == ["product.viewed"] * 3
        users = connection.exec_driver_sql("SELECT DISTINCT user_id FROM pathhits_events").scalars().all()
        assert users == [""], "an id that only this process could tell again says nothing"
        assert connection.exec_driver_sql("SELECT SUM(visitor) FROM pathhits_events").scalar_one() == 0
    assert hits.verify().ok
    hits.close(5.0)


def test_a_visitor_whose_salt_is_known_is_in_the_event_log(redis_url: str, database_url: str) -> None:
    with FaultProxy.to(redis_url) as redis:
        hits = build(redis.url_for(redis_url), database_url, flush_interval=3600)
        hits.migrate()
        hits.track_view("product", 1, ip="203.0.113.1", user_agent=BROWSER)
        assert hits.flush(20.0)
        redis.refuse()
        hits.track_hit("/a")
        assert not hits.flush(0.01)
        time.sleep(FALLBACK_AFTER)
        for peer in ("203.0.113.1", "203.0.113.2"):
            hits.track_view("product", 1, ip=peer, user_agent=BROWSER)
        assert hits.flush(20.0)
        redis.calm()
        hits.sync()
        with hits.engine.connect() as connection:
            seen = connection.exec_driver_sql("SELECT visitor FROM pathhits_events").scalars().all()
            assert (len(seen), len(set(seen)), 0 in seen) == (3, 2, False)
            assert connection.exec_driver_sql("SELECT view_count, visitors FROM pathhits_items").all() == [(3, 2)]
        hits.close()


@pytest.mark.slow
def test_a_redis_that_is_killed_and_comes_back_doubles_and_loses_nothing(
    own_server: Start, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: Redis is killed three times. What may have been under way in that moment is the drop ``uncertain``."""
    server = own_server(lambda: RedisServer(appendonly=True, options={"appendfsync": "always"}))
    observing = observer(server.url, database_url)
    observing.migrate()
    hits = build(server.url, database_url)
    truth, sizes, add = Truth.create(tmp_path / "truth"), [0, 0, 0], hits.pending.add

    def add_and_note(batch: Batch, first_run_id: str) -> Added:
        sizes.append(batch.requests)
        return add(batch, first_run_id)

    monkeypatch.setattr(hits.pending, "add", add_and_note)
    with serving(hits, truth):
        for _ in range(3):
            sent = hits.buffer.sent
            wait_until(lambda n=sent: hits.buffer.sent > n + 100, SOON, "Redis takes hits")  # type: ignore[misc]  # mypy reads no defaults
            server.kill()
            now = _requests(observing)
            wait_until(lambda n=now: _requests(observing) > n, SOON, "hits are in SQL")  # type: ignore[misc]  # mypy reads no defaults
            server.start()
            wait_until(lambda: not hits.buffer._detour.is_open, SOON, "Redis takes batches again")
    assert hits.flush(30.0)
    observing.sync(force=True)
    drops = observing.drops()
    found = sum(int(count) for count in observing.stats.hit_counts(LABELS).values())
    print(f"\n{truth['requests']} requests, {found} hits, drops {drops}; failures {hits.guard.failures}")
    assert observing.total("requests") == truth["requests"] == found + sum(drops.values())
    assert drops.get("uncertain", 0) <= sum(sorted(sizes)[-3:]), "of each kill one batch at most"
    assert observing.verify().ok
    hits.close()
    observing.close()
