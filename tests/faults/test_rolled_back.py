"""A Redis that comes back with older data: what it lost is lost and nothing else, what SQL has is not counted again."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pathhits import PathHits, Rules
from pathhits.capture.folding import Seen
from pathhits.capture.recorder import Entry
from pathhits.hits import Batch
from pathhits.storage.redis.pending import Added
from pathhits.storage.sql import tables
from tests.faults.scene import observer, said
from tests.servers.processes import wait_until
from tests.servers.proxy import Fault, FaultProxy
from tests.servers.redis import RedisServer

Start = Callable[[Callable[[], RedisServer]], RedisServer]


class App:
    """An app whose every hit has a label of its own, so that each one lost or doubled can be named; with each, a view.

    Without ``with_views`` it makes hits alone.
    """

    with_views = True

    def __init__(self, redis_url: str, database_url: str, **settings: Any) -> None:
        self.hits = PathHits(
            redis_url=redis_url,
            database_url=database_url,
            flush_interval=3600,
            request_deadline=60.0,
            redis_timeout=20.0,
            **settings,
        )
        self.hits.migrate()
        self.made = 0

    def hit(self, number: int = 1) -> set[str]:
        """So many new hits that Redis has acknowledged; their labels."""
        labels = self.make(number)
        assert self.hits.flush(20.0)
        return labels

    def make(self, number: int) -> set[str]:
        """So many new hits that wait in the process; their labels."""
        labels = {f"hit {self.made + n}" for n in range(number)}
        self.made += number
        for label in sorted(labels):
            self.hits.track_hit(label)
            if self.with_views:
                nobody = Entry(time.time(), "", None, None, None, "", "", "", None, True)
                self.hits.buffer.see(Seen(nobody, f"thing:{label}", Rules.none().limits, "", None, None))
        return labels

    def counts(self) -> dict[str, int]:
        """The count of every hit ever made, pending and stored."""
        return {label: int(n) for label, n in self.hits.stats.hit_counts(self.all).items()}

    @property
    def all(self) -> set[str]:
        return {f"hit {n}" for n in range(self.made)}

    def settle(self) -> None:
        """Move everything into SQL."""
        self.hits.sync(force=True)
        assert self.hits.pending.live() == []

    def check(self, counted: set[str]) -> None:
        """Each of these hits is counted once and no other; before and after they are all in SQL."""
        expected = {label: int(label in counted) for label in self.all}
        assert self.counts() == expected
        self.settle()
        assert self.counts() == expected
        report = self.hits.verify()
        assert report.ok, report
        assert self.logged() == Counter(counted if self.with_views else ())

    def logged(self) -> Counter[str]:
        """How often each hit's view is in the event log."""
        events, items = tables.events.c, tables.items.c
        query = select(items.item).join_from(tables.events, tables.items, events.item_id == items.id)
        with self.hits.engine.connect() as connection:
            return Counter(item.partition(":")[2] for item in connection.scalars(query))


@pytest.fixture
def start_app(database_url: str) -> Iterator[Callable[..., App]]:
    """Starts an app that counts in the Redis of that URL."""
    with ExitStack() as stack:

        def start(redis_url: str, **settings: Any) -> App:
            app = App(redis_url, database_url, **settings)
            stack.callback(app.hits.close, 0.1)
            return app

        yield start


def test_a_generation_that_sql_has_is_not_taken_again_after_a_rollback(
    own_server: Start, start_app: Callable[..., App]
) -> None:
    server = own_server(RedisServer)
    app = start_app(server.url)
    kept = app.hit(5)
    snapshot = server.copy_rdb()
    kept |= app.hit(3)
    app.settle()
    server.restart_from(snapshot)
    app.check(kept)


def test_hits_after_a_rollback_count_although_their_generation_was_open_in_the_snapshot(
    own_server: Start, start_app: Callable[..., App]
) -> None:
    server = own_server(RedisServer)
    app = start_app(server.url)
    kept = app.hit(5)
    snapshot = server.copy_rdb()
    app.settle()
    server.restart_from(snapshot)
    kept |= app.hit(4)
    app.check(kept)


def test_hits_that_only_redis_had_are_lost_with_it_and_no_others(
    own_server: Start, start_app: Callable[..., App]
) -> None:
    server = own_server(RedisServer)
    app = start_app(server.url)
    kept = app.hit(5)
    app.settle()
    kept |= app.hit(4)
    snapshot = server.copy_rdb()
    lost = app.hit(3)
    server.restart_from(snapshot)
    kept |= app.hit(2)
    app.check(kept)
    assert lost.isdisjoint(kept)


def test_a_redis_that_comes_back_empty_takes_its_pending_hits_along_and_counts_on(
    own_server: Start, start_app: Callable[..., App]
) -> None:
    server = own_server(RedisServer)
    app = start_app(server.url)
    kept = app.hit(5)
    app.settle()
    app.hit(2)
    server.kill()
    server.start()
    kept |= app.hit(4)
    app.check(kept)


def roll_back_at_random(app: App, server: RedisServer, seed: int, rounds: int) -> Counter[str]:
    """Random hits, syncs, snapshots and rollbacks beside a model of sets; what really happened."""
    rng = random.Random(seed)
    done: Counter[str] = Counter()
    in_redis: set[str] = set()
    in_sql: set[str] = set()
    snapshot, held = server.copy_rdb(), set(in_redis)
    while done["rollbacks"] < rounds:
        step = rng.choice(("hit", "hit", "hit", "sync", "snapshot", "rollback"))
        if step == "hit":
            in_redis |= app.hit(rng.randint(1, 3))
            done["hits"] = app.made
        elif step == "sync":
            app.hits.sync(force=True)
            in_sql, in_redis = in_sql | in_redis, set()
            done["syncs"] += 1
        elif step == "snapshot":
            snapshot, held = server.copy_rdb(), set(in_redis)
            done["snapshots"] += 1
        else:
            done["lost"] += len(in_redis - held - in_sql)
            done["taken before"] += len(held & in_sql)
            server.restart_from(snapshot)
            in_redis = set(held)
            done["rollbacks"] += 1
    with said("rolled back", done):
        app.check(in_redis | in_sql)
        assert done["taken before"] > 0, "no rollback brought back what SQL had"
        assert done["lost"] > 0
    return done


@pytest.mark.slow
def test_random_snapshots_and_rollbacks_agree_with_a_model_of_sets(
    own_server: Start, start_app: Callable[..., App]
) -> None:
    """Slow: a server is restarted fifty times."""
    server = own_server(RedisServer)
    roll_back_at_random(start_app(server.url), server, seed=1, rounds=50)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_many_random_snapshots_and_rollbacks_agree_with_a_model_of_sets(
    own_server: Start, start_app: Callable[..., App], seed: int
) -> None:
    server = own_server(RedisServer)
    roll_back_at_random(start_app(server.url), server, seed, rounds=150)


def test_a_stale_replica_that_is_promoted_counts_on_without_what_sql_has(
    own_server: Start, start_app: Callable[..., App]
) -> None:
    master = own_server(RedisServer)
    replica = own_server(lambda: RedisServer(replica_of=master))
    with FaultProxy.to(master.url) as proxy:
        app = start_app(proxy.url_for(master.url))
        kept = app.hit(5)
        replica.wait_for_replica()
        wait_until(lambda: _offset(replica) >= _offset(master), 30.0, "the replica has all of it")
        replica.stop_replicating()
        kept |= app.hit(3)
        app.settle()
        lost = app.hit(2)
        proxy.target = ("127.0.0.1", replica.port)
        proxy.cut_all()
        kept |= app.hit(4)
        app.check(kept)
        print(f"\npromoted: {len(kept)} hits kept, {len(lost)} lost with the old master")
        assert lost.isdisjoint(kept)


def _offset(server: RedisServer) -> int:
    with server.client() as client:
        info = client.info("replication")
    return int(info["master_repl_offset" if info["role"] == "master" else "slave_repl_offset"])


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
def test_a_batch_of_unknown_outcome_is_the_drop_uncertain_when_another_server_answers(
    own_server: Start, start_app: Callable[..., App], applied: bool
) -> None:
    server = own_server(RedisServer)
    with FaultProxy.to(server.url) as proxy, said("cut", proxy.counts):
        app = start_app(proxy.url_for(server.url))
        kept = app.hit(5)
        snapshot = server.copy_rdb()
        unknown = app.make(3)
        proxy.arm(Fault.LOSE_REPLY if applied else Fault.LOSE_REQUEST, when=lambda request: b"EVALSHA" in request)
        app.hits.flush(0.01)
        assert proxy.counts.total() == 1
        server.restart_from(snapshot)
        kept |= app.hit(2)
        app.check(kept)
        assert app.hits.drops() == {"uncertain": len(unknown)}
        assert app.hits.total("requests") == app.hits.total("hits") + len(unknown)


def test_a_batch_that_sql_took_before_the_rollback_is_not_counted_again_by_its_resend(
    own_server: Start, start_app: Callable[..., App]
) -> None:
    server = own_server(RedisServer)
    with FaultProxy.to(server.url) as proxy, said("cut", proxy.counts):
        app = start_app(proxy.url_for(server.url))
        kept = app.hit(1)  # from here on the server knows the script
        snapshot = server.copy_rdb()
        kept |= app.make(3)
        proxy.arm(Fault.LOSE_REPLY, when=lambda request: b"EVALSHA" in request)
        app.hits.flush(0.01)
        assert proxy.counts[Fault.LOSE_REPLY] == 1
        app.settle()
        server.restart_from(snapshot)
        kept |= app.hit(2)
        app.check(kept)
        assert app.hits.drops() == {"uncertain": 3}


def test_a_batch_whose_reply_was_lost_counts_once_while_the_server_stays(
    redis_url: str, start_app: Callable[..., App]
) -> None:
    with FaultProxy.to(redis_url) as proxy, said("cut", proxy.counts):
        app = start_app(proxy.url_for(redis_url))
        app.hit(1)
        proxy.arm(Fault.LOSE_REPLY, 3, when=lambda request: b"EVALSHA" in request)
        app.hit(3)
        assert proxy.counts[Fault.LOSE_REPLY] == 3
        assert app.hits.buffer.resent == 3
        app.check(app.all)


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_rollback_between_two_batches_of_one_flush_keeps_requests_equal_to_hits_and_drops(
    own_server: Start, start_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """One flush of 900 labels is four script calls; the snapshot is from after some of them."""
    server = own_server(RedisServer)
    app = start_app(server.url, dimensions=())
    app.with_views = False
    snapshots: list[Path] = []
    add = app.hits.pending.add

    def add_and_save(batch: Batch, first_run_id: str) -> Added:
        added = add(batch, first_run_id)
        snapshots.append(server.copy_rdb())
        return added

    monkeypatch.setattr(app.hits.pending, "add", add_and_save)
    app.hit(900)
    assert len(snapshots) == 4
    server.restart_from(snapshots[calls - 1])
    app.hit(1)
    app.settle()
    report = app.hits.verify()
    assert report.ok, report
    assert app.hits.total("requests") == app.hits.total("hits") == 250 * calls + 1


def test_a_reader_of_a_stale_snapshot_sees_what_sql_has_once(
    own_server: Start, database_url: str, tmp_path: Path
) -> None:
    server = own_server(RedisServer)
    app = App(server.url, database_url)
    kept = app.hit(5)
    snapshot = server.copy_rdb()
    app.settle()
    server.restart_from(snapshot)
    reader = observer(server.url, database_url)
    assert set(reader.hit_counts(kept).values()) == {1}
    assert {row.hits for row in reader.top_paths()} == {1}
    assert reader.total("hits") == 5
    reader.close()
    app.hits.close()
