"""After a run with known addresses and agents, none of them is in Redis, in SQL, in a job or in the log, and no address
in the process that counted.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import MetaData, Table, inspect, select

from pathhits import PathHits, Rules
from pathhits.core.visitors import visit_periods
from pathhits.storage.redis.client import connect
from pathhits.storage.sql import tables
from tests.faults.writer import ITEM_TYPE, ROUTE, page, request, shop
from tests.servers.processes import Process

PEERS = (
    "203.0.113.7",
    "2001:db8::7",
    "::ffff:198.51.100.77",
    "2001:db8:1:2:3:4:5:6%eth0",
    "not an address 203.0.113.9",
)
FORWARDED = (
    "192.0.2.55",
    "[2001:db8:5::55]:4711, 192.0.2.56",
    "192.0.2.57:8080",
    '"192.0.2.58"',
    "192.0.2.59 192.0.2.60;;,",
)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0 SoughtAgent/7"
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; SoughtBot/1.0)"
#: Texts none of which may be found anywhere.
SOUGHT = (
    "203.0.113.7", "2001:db8", "198.51.100.77", "203.0.113.9", "203.0.113.", "192.0.2.", "SoughtAgent", "SoughtBot"
)  # fmt: skip


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


#: The same in binary, where an address may hide as well; 4 bytes would be found by chance.
SOUGHT_BYTES = tuple(map(packed, ("2001:db8::7", "::ffff:198.51.100.77", "2001:db8:5::55")))


def everything_in_redis(client: redis.Redis) -> Iterator[tuple[str, bytes]]:
    """Every key, and every value by the key that holds it."""
    for key in client.scan_iter(count=1000):
        name = key.decode("utf-8", "backslashreplace")
        yield name, key
        read: dict[str, Callable[[bytes], Any]] = {
            "string": lambda k: [client.get(k)],
            "hash": lambda k: [part for pair in client.hgetall(k).items() for part in pair],
            "set": client.smembers,
            "zset": lambda k: client.zrange(k, 0, -1),
            "list": lambda k: client.lrange(k, 0, -1),
            "stream": lambda k: [repr(entry).encode() for entry in client.xrange(k)],  # type: ignore[union-attr]  # no None
        }
        kind: Any = client.type(key)
        parts = read[kind.decode()](key)
        yield from ((name, part) for part in parts)


def everything_in_sql(hits: PathHits) -> Iterator[tuple[str, bytes]]:
    """Every value of every row of every table."""
    with hits.engine.connect() as connection:
        for name in inspect(hits.engine).get_table_names():
            for row in connection.execute(select(Table(name, MetaData(), autoload_with=hits.engine))):
                yield from ((name, value if isinstance(value, bytes) else str(value).encode()) for value in row)


def found(where: str, values: Iterator[tuple[str, bytes]], sought: Sequence[str] = SOUGHT) -> tuple[int, list[str]]:
    """How many values were looked through, and what of the sought is in them."""
    number, problems = 0, []
    for name, value in values:
        number += 1
        text = value.decode("latin-1").lower()
        problems += [f"{where} {name}: {word}" for word in sought if word.lower() in text]
        problems += [f"{where} {name}: {word.hex()}" for word in SOUGHT_BYTES if word in value or word.hex() in text]
    return number, problems


async def asgi_page(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def asgi_request(app: Any, peer: str, forwarded: str, agent: str) -> None:
    headers = [(b"user-agent", agent.encode()), (b"x-forwarded-for", forwarded.encode())]
    scope = {"type": "http", "method": "GET", "path": "/asgi", "raw_path": b"/asgi", "root_path": "",
             "query_string": b"from=203.0.113.7", "headers": headers, "client": (peer, 4711)}  # fmt: skip

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        pass

    await app(scope, receive, send)


def visit(hits: PathHits) -> int:
    """Requests from all of `PEERS` and through all of `FORWARDED`, over WSGI and ASGI; how many."""
    wsgi, asgi = hits.wsgi(page), hits.asgi(asgi_page)
    pairs = [(peer, forwarded) for peer in PEERS for forwarded in FORWARDED]
    for peer, forwarded in pairs:
        for agent in (AGENT, BOT):
            request(wsgi, "/wsgi", agent, peer, HTTP_X_FORWARDED_FOR=forwarded, QUERY_STRING="from=203.0.113.7")
            asyncio.run(asgi_request(asgi, peer, forwarded, agent))
    return 4 * len(pairs)


@pytest.mark.parametrize("trusted", [0, 1, "203.0.113.0/24,2001:db8::/32"])
def test_no_address_and_no_agent_is_anywhere_after_a_run(
    redis_url: str,
    sqlite_url: str,
    trusted: int | str,
    start_process: Callable[..., Process],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "asyncio")
    namespace = "private"
    hits = PathHits(
        redis_url=redis_url, database_url=sqlite_url, namespace=namespace, trusted_proxies=trusted, request_deadline=60
    )
    hits.migrate()
    problems: list[str] = []
    with connect(redis_url, timeout=10.0) as client:
        made = visit(hits)
        assert hits.flush(30.0)
        queue = Queue(namespace, connection=client, serializer=JSONSerializer)
        queue.enqueue("pathhits.tasks.sync", result_ttl=600)
        looked, some = found("Redis before the sync", everything_in_redis(client))
        problems += some
        environment = {"REDIS_URL": redis_url, "DATABASE_URL": sqlite_url, "PATHHITS_NAMESPACE": namespace}
        worker = start_process([sys.executable, "-m", "pathhits", "worker", "--burst"], env=environment)
        assert worker.wait(60) == 0, worker.output()
        for values, where in ((everything_in_redis(client), "Redis"), (everything_in_sql(hits), "SQL")):
            number, some = found(where, values)
            looked, problems = looked + number, problems + some
    said = [*caplog.text.splitlines(), *worker.output().splitlines()]
    problems += found("the log", (("line", line.encode()) for line in said))[1]
    print(f"\nlooked through {looked} values and {len(said)} lines of log")
    assert not problems
    assert looked > 100
    assert hits.total("requests") == made, "the run was not counted: nothing was proven"
    assert hits.hit_count("/wsgi").stored == hits.hit_count("/asgi").stored == made // 4
    assert (hits.top_paths()[0].visitors or 0) > 1, "no visitor was hashed: nothing was proven"
    hits.close()


def test_the_event_log_has_agents_and_hosts_of_referrers_and_no_address(
    redis_url: str, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hits = PathHits(
        redis_url=redis_url, database_url=sqlite_url, flush_interval=3600, route_label="path", request_deadline=60
    )
    hits.migrate()
    hits.register_item(ITEM_TYPE, route=ROUTE, id="path", rules=Rules.strict())
    app, made = hits.wsgi(shop), 0
    for peer in PEERS:
        for opted_out in ({}, {"HTTP_SEC_GPC": "1"}):
            for referrer in (f"http://{peer}/", f"https://{peer}:80/?from={peer}", f"https://host.example/{peer}"):
                made += 1
                request(app, f"/page/{made}", AGENT, peer, HTTP_REFERER=referrer, **opted_out)
        assert hits.track_view("thing", made, ip=peer, user_agent=AGENT, user_id="anna@example.org")
        made += 1
    assert hits.flush(30.0)
    addresses = (*SOUGHT[:6], "anna@")
    problems: list[str] = []
    with connect(redis_url, timeout=10.0) as client:
        problems += found("Redis", everything_in_redis(client), addresses)[1]
    assert hits.sync().events == made
    looked, some = found("SQL", everything_in_sql(hits), addresses)
    problems += some + found("the log", (("line", line.encode()) for line in caplog.text.splitlines()), addresses)[1]
    assert not problems
    assert looked > 100
    with hits.engine.connect() as connection:
        c = tables.events.c
        kept = [tuple(row) for row in connection.execute(select(c.user_agent, c.referrer).distinct())]
    assert sorted(kept) == [("", ""), (AGENT, ""), (AGENT, "host.example")]
    hits.close()


def test_the_search_for_addresses_would_find_one() -> None:
    """The mutation of the test above: one address in a key, a value, in binary and in hex."""
    planted = [
        ("k", b"visitors:203.0.113.7"),
        ("k", packed("2001:db8::7")),
        ("k", packed("2001:db8::7").hex().encode()),
        ("k", b"Mozilla soughtagent"),
    ]
    assert all(found("planted", iter([one]))[1] for one in planted)


#: Addresses that are in no text of a program: they are put together when they are needed.
_MADE_UP = re.compile(r"198[.]18[.][1-9]|2001:2:0:[1-9a-f]")


def made_up(number: int) -> tuple[str, str]:
    """A peer, and what the header of a proxy has."""
    four, six = f"198.18.{number}.7", f"2001:2:0:{number:x}::7"
    return (four, six) if number % 2 else (six, four)


def everything_in_memory() -> Iterator[object]:
    """Each object that the collector knows of, and each that these lead to: what caches hold of values, too."""
    gc.collect()
    found: list[object] = gc.get_objects()
    known = set(map(id, found)) | {id(found)}
    while found:
        yield from found
        found = [one for one in gc.get_referents(*found) if id(one) not in known and not known.add(id(one))]  # type: ignore[func-returns-value]  # as it is meant


def addresses_in_memory() -> set[str]:
    kinds = (str, bytes, ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network)
    texts = (one.decode("latin-1") if isinstance(one, bytes) else str(one)
             for one in everything_in_memory() if isinstance(one, kinds))  # fmt: skip
    return {text for text in texts if _MADE_UP.search(text)}


@pytest.mark.parametrize("trusted", [0, 1, "198.18.0.0/15,2001:2::/48"])
def test_no_address_is_in_the_process_after_a_flush(redis_url: str, sqlite_url: str, trusted: int | str) -> None:
    hits = PathHits(
        redis_url=redis_url,
        database_url=sqlite_url,
        trusted_proxies=trusted,
        request_deadline=60,
        route_label="path",
        flush_interval=3600,
    )
    hits.migrate()
    hits.register_item(ITEM_TYPE, route=ROUTE, id="path", rules=Rules.strict())
    shopping, pages = hits.wsgi(shop), hits.asgi(asgi_page)

    def count(number: int) -> None:
        peer, forwarded = made_up(number)
        referrer = f"https://host.example/?from={peer}"
        request(shopping, f"/page/{number}", AGENT, peer, HTTP_X_FORWARDED_FOR=forwarded, HTTP_REFERER=referrer)
        asyncio.run(asgi_request(pages, peer, forwarded, AGENT))
        assert hits.track_view("thing", number, ip=peer, user_agent=AGENT)
        assert hits.track("product.liked", number, ip=peer, user_agent=AGENT)

    for number in range(1, 9):
        count(number)
    assert addresses_in_memory(), "the search finds none: nothing is proven"
    assert hits.flush(30.0)
    assert addresses_in_memory() == set()
    hits.close()


def test_failures_of_redis_and_of_our_own_name_no_address_in_the_log(
    redis_url: str, sqlite_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "asyncio")
    hits = PathHits(redis_url="redis://:secret@127.0.0.1:1/0", database_url=sqlite_url, redis_timeout=0.2)

    def broken(address: str, *rest: object) -> int:
        raise ValueError(f"cannot hash {address}")

    monkeypatch.setattr("pathhits.capture.judge.visitor_id", broken)
    visit(hits)
    hits.flush(0.01)
    now = time.time()
    for period in visit_periods(now, now, "day")[0]:
        monkeypatch.setitem(hits.buffer._folder.salts.known, period, b"0123456789abcdef")
    hits.flush(0.01)
    assert hits.guard.failures["internal"] > 0
    assert hits.guard.failures["Redis is away, hits wait in the process"] > 0
    lines = (("line", line.encode()) for line in caplog.text.splitlines())
    assert found("the log", lines)[1] == []
    assert "secret" not in caplog.text
    hits.close(0.01)
