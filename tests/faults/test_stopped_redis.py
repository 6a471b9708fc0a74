"""Redis frozen while requests go on: nobody waits, nothing is raised, and every hit is there once when it goes on."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest
from redis.connection import AbstractConnection

from pathhits import PathHits
from pathhits.errors import StoreUnavailable
from tests.faults.scene import check
from tests.faults.truth import Truth
from tests.faults.writer import page, serve
from tests.servers.processes import wait_until
from tests.servers.redis import RedisServer

Start = Callable[[Callable[[], RedisServer]], RedisServer]
REDIS_TIMEOUT = 0.7
REQUESTS = 3_000


def latencies(call: Callable[[], object], seconds: float) -> list[float]:
    """Seconds each of at least `REQUESTS` calls took, spread over at least ``seconds``."""
    found: list[float] = []
    end = time.monotonic() + seconds
    while len(found) < REQUESTS or time.monotonic() < end:
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
        if len(found) % 20 == 0:
            time.sleep(0.005)  # a pause between requests, as a server has
    return found


def shown(found: list[float]) -> str:
    cuts = quantiles(found, n=100)
    return (
        f"p50 {cuts[49] * 1e6:.0f} us, p99 {cuts[98] * 1e6:.0f} us, longest {max(found) * 1e3:.1f} ms of {len(found)}"
    )


def threads_that_ask(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The idents of the threads that send anything to a Redis from now on."""
    found: set[int] = set()
    send = AbstractConnection.send_packed_command

    def noted(self: AbstractConnection, *given: Any, **named: Any) -> None:
        found.add(threading.get_ident())
        send(self, *given, **named)  # type: ignore[no-untyped-call]  # redis annotates only a part

    monkeypatch.setattr(AbstractConnection, "send_packed_command", noted)
    return found


@pytest.mark.slow
def test_requests_go_on_while_redis_is_stopped_and_every_hit_is_there_once_when_it_goes_on(
    own_server: Start, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: the flusher has to run into its time-out a few times."""
    server = own_server(RedisServer)
    hits = PathHits(redis_url=server.url, database_url=sqlite_url, flush_interval=0.05, redis_timeout=REDIS_TIMEOUT)
    hits.migrate()
    truth = Truth.create(tmp_path / "truth")
    rng = random.Random(4)
    app = hits.wsgi(page)

    def one() -> None:
        serve(app, truth, rng)

    before = latencies(one, 1.0)
    assert hits.flush(30.0)
    failed = hits.guard.failures.copy()
    asking = threads_that_ask(monkeypatch)
    server.pause()
    stopped = latencies(one, 4 * REDIS_TIMEOUT)
    wait_until(lambda: hits.guard.failures != failed, message="the flusher noticed")
    counts = [hits.hit_count("/page/aa") for _ in range(3)]
    # Not how long they took, as the machine may have stood still: nothing was asked where they were made.
    here, elsewhere = threading.get_ident() in asking, len(asking)
    server.resume()
    print(f"\nbefore: {shown(before)}\nstopped: {shown(stopped)}\nfailures: {hits.guard.failures}")
    assert not here, "a request, or a read in a page, waited for Redis"
    assert elsewhere, "nobody asked: nothing was proven"
    assert all(count.partial for count in counts)
    assert "internal" not in hits.guard.failures
    assert hits.flush(30.0)
    hits.sync(force=True)
    check(hits, [truth])
    hits.close()


def test_a_stopped_redis_sheds_what_the_buffer_cannot_hold_and_says_so(
    own_server: Start, sqlite_url: str, tmp_path: Path
) -> None:
    server = own_server(RedisServer)
    hits = PathHits(
        redis_url=server.url, database_url=sqlite_url, buffer_size=100, flush_interval=3600, redis_timeout=REDIS_TIMEOUT
    )
    hits.migrate()
    app = hits.wsgi(page)
    server.pause()
    truth = Truth.create(tmp_path / "truth")
    rng = random.Random(5)
    for _ in range(1000):
        serve(app, truth, rng)
    server.resume()
    assert hits.flush(30.0)
    hits.sync(force=True)
    drops = hits.drops()
    print(f"\nshed: {drops}")
    assert drops["overflow"] == 900
    assert hits.total("requests") == 1000 == hits.total("hits") + sum(drops.values())
    assert hits.verify().ok
    hits.close()


def test_a_sync_says_that_redis_is_away_and_loses_nothing(own_server: Start, sqlite_url: str) -> None:
    server = own_server(RedisServer)
    hits, impatient = (
        PathHits(redis_url=server.url, database_url=sqlite_url, redis_timeout=timeout, request_deadline=60)
        for timeout in (60.0, 0.2)
    )
    hits.migrate()
    hits.track_hit("/")
    assert hits.flush(30.0)
    server.pause()
    with pytest.raises(StoreUnavailable, match="Redis at "):
        impatient.sync()
    server.resume()
    wait_until(lambda: hits.sync(force=True).batches, message="the hit is in SQL")
    assert hits.stored_hit_count("/") == 1
    for one in (hits, impatient):
        one.close()
