"""Many threads ask in the same moment: all are answered while the stores are well, and none hangs when one does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from pathhits import PathHits, Rules
from pathhits.capture.deadline import AT_ONCE
from tests.servers.redis import RedisServer

T = TypeVar("T")
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
THREADS = 4 * AT_ONCE
TIMES = 3


@pytest.fixture
def hits(redis_url: str, sqlite_url: str) -> Iterator[PathHits]:
    made = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=60.0)
    made.migrate()
    made.register_item("product", rules=Rules.antispam())
    yield made
    made.close(0.1)


def at_once(ask: Callable[[int], T]) -> list[T]:
    """What `THREADS` threads that begin together are answered, `TIMES` times each."""
    together = threading.Barrier(THREADS)

    def work(number: int) -> list[T]:
        together.wait(30.0)
        return [ask(number * TIMES + one) for one in range(TIMES)]

    with ThreadPoolExecutor(THREADS) as pool:
        return [answer for answers in pool.map(work, range(THREADS)) for answer in answers]


def view(hits: PathHits, number: int) -> str:
    return hits.track_view("product", number, ip="192.0.2.1", user_agent=AGENT).reason


def test_no_view_is_unavailable_while_redis_is_well(hits: PathHits) -> None:
    assert set(at_once(lambda number: view(hits, number))) == {""}
    assert hits.flush(30.0)
    assert sum(int(count) for count in hits.view_counts("product", range(THREADS * TIMES)).values()) == THREADS * TIMES


def test_no_count_is_partial_while_the_stores_are_well(hits: PathHits) -> None:
    hits.track_hit("/")
    assert hits.flush(30.0)
    found = at_once(lambda _: hits.hit_count("/"))
    assert [(int(one), one.partial) for one in found] == [(1, False)] * THREADS * TIMES
    assert not any(one.partial for one in at_once(lambda number: hits.item_stats("product", number)))


def test_async_code_gets_all_its_verdicts(hits: PathHits) -> None:
    async def ask_all() -> list[str]:
        asked = (hits.atrack_view("product", number, ip="192.0.2.1", user_agent=AGENT) for number in range(THREADS))
        return [verdict.reason for verdict in await asyncio.gather(*asked)]

    assert set(asyncio.run(ask_all())) == {""}


def test_threads_are_not_piled_up_while_redis_hangs(
    own_server: Callable[[Callable[[], RedisServer]], RedisServer], sqlite_url: str
) -> None:
    server = own_server(RedisServer)
    hits = PathHits(redis_url=server.url, database_url=sqlite_url, redis_timeout=60.0, flush_interval=3600)
    hits.register_item("product", rules=Rules.antispam())
    assert view(hits, 0) in ("", "unavailable"), "it imports what it needs"
    server.pause()
    before, reading = set(threading.enumerate()), list[int]()

    def ask(number: int) -> str:
        reason = view(hits, number)
        reading.append(sum(one.name == "pathhits-read" for one in threading.enumerate() if one not in before))
        return reason

    try:
        assert set(at_once(ask)) == {"unavailable"}
        assert max(reading) == AT_ONCE
    finally:
        server.resume()
    hits.close()
