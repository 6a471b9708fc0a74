"""Cached values are made once and deleted at once; no reader that began before a change leaves the old value behind."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis

from pathhits import EventError, PathHits, SettingsError
from pathhits.capture.cache import VALUE_SIZE
from pathhits.storage.redis import cached
from pathhits.storage.redis.keys import CACHE_LEASE, CACHE_NAME_BYTES, Keys
from pathhits.storage.sql import tables
from tests.integration.logbook import put_views, rows_of
from tests.integration.test_hot import at, day, views
from tests.servers.redis import RedisServer

KEYS = Keys("pathhits")


def made(redis_url: str, database_url: str = "sqlite://", **settings: Any) -> PathHits:
    given: dict[str, Any] = {"redis_url": redis_url, "database_url": database_url, "request_deadline": 60.0}
    return PathHits(**given | settings)


@pytest.fixture
def hits(redis_url: str) -> Iterator[PathHits]:
    hits = made(redis_url)
    yield hits
    hits.close(0.1)


@pytest.fixture
def other(redis_url: str) -> Iterator[PathHits]:
    """Another process, so to say."""
    hits = made(redis_url)
    yield hits
    hits.close(0.1)


class Shop:
    """Something that changes, and counts how often it was read."""

    def __init__(self) -> None:
        self.value: Any = 1
        self.reads = 0

    def read(self) -> Any:
        self.reads += 1
        return {"value": self.value}


def test_a_value_is_made_once_and_kept_for_its_time(hits: PathHits, other: PathHits) -> None:
    shop = Shop()
    for one in (hits, other, hits):
        assert one.cache.get_or_make("shop", shop.read, 600) == {"value": 1}
    assert shop.reads == 1
    left = int(hits.redis.pttl(KEYS.cached("shop")))
    assert 590_000 < left <= 600_000


def test_every_caller_gets_what_json_gives_back(hits: PathHits) -> None:
    found = [hits.cache.get_or_make("x", lambda: {1: (2, None)}) for _ in range(2)]
    assert found == [{"1": [2, None]}] * 2
    assert [hits.cache.get_or_make("none", lambda: None) for _ in range(2)] == [None, None]


def test_a_deleted_value_is_made_anew(hits: PathHits, other: PathHits) -> None:
    shop = Shop()
    hits.cache.get_or_make("shop", shop.read)
    shop.value = 2
    assert other.cache.delete("shop")
    assert hits.cache.get_or_make("shop", shop.read) == {"value": 2}
    assert shop.reads == 2
    assert hits.cache.delete("shop", "never-there")
    assert hits.cache.delete()


def test_a_group_goes_as_one_and_leaves_the_others(hits: PathHits, other: PathHits) -> None:
    asked: list[str] = []

    def read(name: str, *groups: str) -> None:
        hits.cache.get_or_make(name, lambda: asked.append(name), groups=groups)

    def read_all() -> list[str]:
        asked.clear()
        read("all", "featured")
        read("summer", "featured", "summer")
        read("lamp", "products")
        read("plain")
        return list(asked)

    assert read_all() == ["all", "summer", "lamp", "plain"]
    assert read_all() == []
    other.cache.delete(groups=["featured"])
    assert read_all() == ["all", "summer"]
    other.cache.delete("lamp", groups=["summer"])
    assert read_all() == ["summer", "lamp"]
    assert read_all() == []


@pytest.mark.parametrize("how", ["name", "group"])
def test_what_was_read_before_a_change_is_never_stored_after_it(hits: PathHits, other: PathHits, how: str) -> None:
    shop = Shop()

    def slow() -> Any:
        """The reader has read; before it stores that, somebody changes the shop."""
        found = shop.read()
        if shop.value == 1:
            shop.value = 2
            other.cache.delete(*(["shop"] if how == "name" else []), groups=[] if how == "name" else ["g"])
        return found

    assert hits.cache.get_or_make("shop", slow, groups=["g"]) == {"value": 1}, "it began before the change"
    assert hits.cache.get_or_make("shop", shop.read, groups=["g"]) == {"value": 2}
    assert hits.cache.get_or_make("shop", shop.read, groups=["g"]) == {"value": 2}
    assert shop.reads == 2


def test_a_reader_that_began_after_the_change_is_not_kept_waiting_by_one_from_before(
    hits: PathHits, other: PathHits
) -> None:
    shop = Shop()

    def slow() -> Any:
        found = shop.read()
        shop.value = 2
        other.cache.delete(groups=["g"])
        assert other.cache.get_or_make("shop", shop.read, groups=["g"]) == {"value": 2}
        return found

    hits.cache.get_or_make("shop", slow, groups=["g"])
    assert hits.cache.get_or_make("shop", shop.read, groups=["g"]) == {"value": 2}, "the later one's is stored"
    assert shop.reads == 2


def test_writers_and_readers_at_once_leave_the_last_value(redis_url: str) -> None:
    shop, lock, many = Shop(), threading.Lock(), [made(redis_url) for _ in range(6)]
    stop = threading.Event()

    def write(hits: PathHits) -> None:
        for _ in range(60):
            with lock:
                shop.value += 1
            assert hits.cache.delete("a", groups=["g"])

    def slow() -> Any:
        found = shop.read()
        time.sleep(0.002)  # the classical gap, made wide
        return found

    def read(hits: PathHits) -> None:
        while not stop.is_set():
            hits.cache.get_or_make("a", slow)
            hits.cache.get_or_make("b", slow, groups=["g"])

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read, one) for one in many[:4]]
        for writer in [pool.submit(write, one) for one in many[4:]]:
            writer.result(60)
        stop.set()
        for reader in readers:
            reader.result(60)
    found = [many[0].cache.get_or_make(name, shop.read, groups=groups) for name, groups in (("a", []), ("b", ["g"]))]
    assert found == [{"value": shop.value}] * 2
    for one in many:
        one.close(0.1)


def test_one_caller_makes_it_while_the_others_wait(redis_url: str) -> None:
    shop, barrier = Shop(), threading.Barrier(8)
    many = [made(redis_url) for _ in range(8)]

    def slow() -> Any:
        time.sleep(0.1)
        return shop.read()

    def get(hits: PathHits) -> Any:
        barrier.wait(30)
        return hits.cache.get_or_make("shop", slow)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(get, many))
    assert found == [{"value": 1}] * 8
    assert shop.reads == 1
    for one in many:
        one.close(0.1)


def test_who_has_waited_long_enough_makes_its_own(hits: PathHits, redis_url: str) -> None:
    impatient, shop = made(redis_url, request_deadline=0.2), Shop()

    def slow() -> Any:
        assert impatient.cache.get_or_make("shop", shop.read) == {"value": 1}
        return shop.read()

    hits.cache.get_or_make("shop", slow)
    assert shop.reads == 2
    impatient.close(0.1)


def test_one_reader_makes_it_anew_before_its_end_while_the_others_get_it(hits: PathHits, other: PathHits) -> None:
    shop = Shop()
    hits.cache.get_or_make("shop", shop.read, 600)
    hits.redis.pexpire(KEYS.cached("shop"), 59_000)
    shop.value = 2

    def ahead() -> Any:
        assert other.cache.get_or_make("shop", shop.read, 600) == {"value": 1}
        return shop.read()

    assert hits.cache.get_or_make("shop", ahead, 600) == {"value": 2}
    assert other.cache.get_or_make("shop", shop.read, 600) == {"value": 2}
    assert shop.reads == 2


def test_what_the_maker_raises_is_the_callers_and_the_next_one_makes_it(hits: PathHits) -> None:
    with pytest.raises(ZeroDivisionError):
        hits.cache.get_or_make("x", lambda: 1 // 0)
    began = time.monotonic()
    assert hits.cache.get_or_make("x", lambda: 1) == 1
    assert time.monotonic() - began < 20, "nobody waits for the one who failed"
    assert hits.redis.exists(KEYS.cached("x"))


def test_the_lease_of_a_maker_that_died_opens_by_itself(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "CACHE_LEASE", 0.05)
    assert hits._cache_store.take("x", [], 600).token
    assert hits.cache.get_or_make("x", lambda: 1) == 1
    assert hits.redis.exists(KEYS.cached("x"))


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), "x" * VALUE_SIZE], ids=["set", "nan", "large"])
def test_what_cannot_be_kept_is_returned_and_said(hits: PathHits, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert hits.cache.get_or_make("x", lambda: value) is value or isinstance(value, str)
    assert not hits.redis.exists(KEYS.cached("x"), KEYS.cache_lease("x"))
    [record] = caplog.records
    assert (record.levelno, "'x'" in record.getMessage()) == (logging.WARNING, True)


def test_every_key_has_an_end_and_none_is_left_of_what_was_deleted(hits: PathHits) -> None:
    name = "a long name " * 50
    hits.cache.get_or_make(name, lambda: 1, 50, groups=["g", name])
    hits._cache_store.take("other", ["g"], 700)
    keys: list[Any] = hits.redis.keys("*")
    assert len(keys) == 4
    ends = {key.decode().split(":")[2]: int(hits.redis.pttl(key)) / 1000 for key in keys}
    assert 0 < ends["value"] <= 50
    assert 0 < ends["lease"] <= CACHE_LEASE
    assert all(int(hits.redis.pttl(key)) > 0 for key in keys)
    assert all(len(key) < CACHE_NAME_BYTES + 100 for key in keys)
    assert int(hits.redis.pttl(KEYS.cache_group("g"))) / 1000 > 700 + CACHE_LEASE, "as long as its last value"
    hits.cache.delete(name, "other", groups=["g", name])
    assert hits.redis.keys("*") == []


def test_without_its_group_a_value_is_not_believed(hits: PathHits) -> None:
    shop = Shop()
    hits.cache.get_or_make("x", shop.read, groups=["g"])
    hits.redis.delete(KEYS.cache_group("g"))  # evicted
    hits.cache.get_or_make("x", shop.read, groups=["g"])
    assert shop.reads == 2


def test_what_somebody_else_wrote_there_is_not_a_failure(hits: PathHits) -> None:
    hits.redis.lpush(KEYS.cached("x"), "no string")
    assert hits.cache.get_or_make("x", lambda: 1) == 1
    hits.redis.set(KEYS.cached("y"), "\nno JSON", ex=60)
    assert hits.cache.get_or_make("y", lambda: 2) == 2


def test_without_redis_everything_is_made_each_time(caplog: pytest.LogCaptureFixture) -> None:
    hits, shop = made("redis://127.0.0.1:1/0", request_deadline=0.05), Shop()
    assert [hits.cache.get_or_make("x", shop.read) for _ in range(3)] == [{"value": 1}] * 3
    assert shop.reads == 3
    assert not hits.cache.delete("x")
    assert len([one for one in caplog.records if "cache" in one.getMessage()]) == 1, "said once a minute"
    hits.close(0.1)


def test_a_redis_that_hangs_costs_one_deadline(own_server: Callable[[Callable[[], RedisServer]], RedisServer]) -> None:
    server = own_server(RedisServer)
    hits, shop = made(server.url, request_deadline=0.05, redis_timeout=120.0), Shop()
    hits.cache.get_or_make("warm", shop.read)
    server.pause()
    try:
        took = []
        for call in (lambda: hits.cache.get_or_make("x", shop.read), lambda: hits.cache.delete("x")):
            began = time.monotonic()
            assert call() in ({"value": 1}, False)
            took.append(time.monotonic() - began)
    finally:
        server.resume()
    assert max(took) < 60, "it waited for Redis"
    hits.close(0.1)


def test_a_decorated_function_is_called_for_what_is_not_cached(hits: PathHits) -> None:
    calls: list[tuple[Any, ...]] = []

    @hits.cache.cached("related:{slug}:{limit}", ttl=3600, groups=["related", "of:{slug}"])
    def related(slug: str, limit: int = 3) -> list[str]:
        """Related products."""
        calls.append((slug, limit))
        return [slug] * limit

    assert related("pan") == related(slug="pan", limit=3) == ["pan"] * 3
    assert related("pan", 1) == ["pan"]
    assert calls == [("pan", 3), ("pan", 1)]
    assert (related.__name__, related.__doc__) == ("related", "Related products.")
    assert related.forget("pan")
    related("pan")
    related("pan", 1)
    assert calls == [("pan", 3), ("pan", 1), ("pan", 3)]
    hits.cache.delete(groups=["of:pan"])
    related("pan")
    related("pan", 1)
    assert len(calls) == 5


def test_async_code_has_the_same(hits: PathHits) -> None:
    calls: list[str] = []

    @hits.cache.cached("product:{slug}")
    async def product(slug: str) -> str:
        calls.append(slug)
        if slug == "bad":
            raise ZeroDivisionError
        return slug

    async def ask() -> list[str]:
        found = [await product("pan"), await product("pan")]
        with pytest.raises(ZeroDivisionError):
            await product("bad")
        product.forget("pan")
        return [*found, await product("pan")]

    assert asyncio.run(ask()) == ["pan"] * 3
    assert calls == ["pan", "bad", "pan"]


@pytest.mark.parametrize("how", ["raises", "is cancelled"])
def test_a_loop_goes_on_while_redis_is_told_that_nothing_was_made(
    redis_url: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = made(redis_url, request_deadline=60.0)
    gone_on, told = threading.Event(), threading.Event()
    put = hits._cache_store.put

    def slow(*given: Any) -> Any:
        if gone_on.wait(10.0):
            put(*given)
            told.set()

    monkeypatch.setattr(hits._cache_store, "put", slow)

    async def make() -> None:
        if how == "raises":
            raise ZeroDivisionError
        await asyncio.sleep(60.0)

    async def ask() -> None:
        asked = asyncio.create_task(hits.cache.aget_or_make("x", make))
        while how != "raises" and not hits.redis.exists(KEYS.cache_lease("x")):
            await asyncio.sleep(0.01)
        if how != "raises":
            asked.cancel()
        with pytest.raises((ZeroDivisionError, asyncio.CancelledError)):
            await asked
        assert not hits.guard.failures, "the loop waited for the deadline"
        gone_on.set()

    asyncio.run(ask())
    assert told.wait(10.0)
    assert hits.cache.get_or_make("x", lambda: 1) == 1
    assert hits.redis.exists(KEYS.cached("x"))
    hits.close()


@pytest.mark.parametrize("template", ["x:{sluk}", "x:{", ""])
def test_a_template_that_names_no_argument_is_refused(hits: PathHits, template: str) -> None:
    with pytest.raises(SettingsError):
        hits.cache.cached(template)(lambda slug: slug)


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), 10**9])
def test_a_time_that_cannot_be_is_refused(hits: PathHits, ttl: float) -> None:
    with pytest.raises(SettingsError):
        hits.cache.get_or_make("x", dict, ttl)


@pytest.fixture
def shop(redis_url: str, database_url: str) -> Iterator[PathHits]:
    """A shop that says which events make what outdated."""
    hits = made(redis_url, database_url)
    hits.migrate()
    for verb in ("featured", "updated", "unfeatured"):
        hits.forget_on(f"product.{verb}", "product:{item_id}", "featured:all", "featured:group:{group}")
    for verb in ("became_hot", "cooled"):
        hits.forget_on(f"*.{verb}", "hot", groups=["lists:{item_type}"])
    yield hits
    hits.close(0.1)


def fill_cache(hits: PathHits) -> None:
    for name in ("product:lamp", "product:pan", "featured:all", "featured:group:summer", "hot"):
        hits.cache.get_or_make(name, lambda: 1)
    hits.cache.get_or_make("list", lambda: 1, groups=["lists:product"])


def missing(hits: PathHits) -> set[str]:
    """Which of them have to be made anew."""
    made_anew: set[str] = set()

    def look(name: str, *groups: str) -> None:
        hits.cache.get_or_make(name, lambda: made_anew.add(name), groups=groups)

    for name in ("product:lamp", "product:pan", "featured:all", "featured:group:summer", "hot"):
        look(name)
    look("list", "lists:product")
    return made_anew


def test_the_request_that_changes_deletes_at_once(shop: PathHits) -> None:
    fill_cache(shop)
    assert shop.track_change("product.updated", "lamp")
    assert missing(shop) == {"product:lamp", "featured:all"}
    assert shop.track_change("product.featured", "lamp", properties={"group": "summer"})
    assert missing(shop) == {"product:lamp", "featured:all", "featured:group:summer"}
    assert shop.track_change("product.liked", "lamp"), "nothing is outdated by it"
    assert missing(shop) == set()
    with pytest.raises(EventError):
        shop.track_change("product.nonsense", "lamp")
    assert shop.flush()
    shop.sync()
    names = {row["name"] for row in rows_of(shop, tables.events)}
    assert names == {"product.updated", "product.featured", "product.liked"}


def test_the_listener_deletes_what_another_process_changed(shop: PathHits) -> None:
    shop.deliver()  # the worker makes its listeners known
    fill_cache(shop)
    shop.track("product.unfeatured", "lamp", properties={"group": "summer"})
    assert shop.flush()
    shop.sync()
    assert missing(shop) == set()
    shop.deliver()
    assert missing(shop) == {"product:lamp", "featured:all", "featured:group:summer"}


def test_an_item_that_becomes_hot_or_cools_deletes_the_hot_list(shop: PathHits) -> None:
    shop.deliver()
    put_views(shop, "product:1", views(100, day(0)))
    for moment in (0.0, 7.5):
        fill_cache(shop)
        shop.refresh_items(at(moment))
        shop.deliver()
        assert missing(shop) == {"hot", "list"}


def test_a_listener_that_redis_does_not_answer_is_called_again(shop: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.deliver()
    fill_cache(shop)
    shop.track("product.updated", "lamp")
    assert shop.flush()
    shop.sync()
    away: Redis = PathHits(redis_url="redis://127.0.0.1:1/0").redis
    with monkeypatch.context() as patch:
        patch.setattr(shop._cache_store, "_client", away)
        assert (shop.deliver().failed, missing(shop)) == (1, set())
    shop.deliver(datetime.now(UTC) + timedelta(hours=1))  # when its wait is over
    assert missing(shop) == {"product:lamp", "featured:all"}


def test_a_rule_that_deletes_nothing_or_cannot_match_is_refused() -> None:
    hits = PathHits()
    for pattern, names in (("product.updated", ()), ("product", ("x",)), ("product.updated", ("{x.y}",))):
        with pytest.raises(SettingsError):
            hits.forget_on(pattern, *names)


def test_a_rule_keeps_its_name_from_one_release_to_the_next() -> None:
    hits = PathHits()
    hits.forget_on("product.*", "product:{item_id}", groups=["lists"])
    assert list(hits.listeners.patterns()) == ["pathhits.forget_on.product.*.ec275ce7"]
