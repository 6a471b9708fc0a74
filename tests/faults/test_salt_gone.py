"""Two days after its day a salt is gone everywhere, and with it the way from a known address to a stored hash."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import redis
from sqlalchemy import select

from pathhits import PathHits, Rules
from pathhits.core.visitors import SALT_KEPT_AFTER, period_end, salt_period, visitor_id
from pathhits.storage.redis.client import connect
from pathhits.storage.sql import tables
from tests.faults.test_no_address import everything_in_redis, everything_in_sql
from tests.faults.writer import ITEM_TYPE, ROUTE, request, shop

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
KNOWN = [f"198.51.100.{number}" for number in range(20)]
#: Seconds that the salt has still to live when the visitors come: longer than the test takes.
LEFT = 600.0


def hashes(salts: set[bytes]) -> set[str]:
    """What the known visitors are under these salts, as numbers and as the ids in keys."""
    made = {visitor_id(address, AGENT, salt) for address in KNOWN for salt in salts}
    return {str(number) for number in made} | {f"{number & 0xFFFF_FFFF_FFFF_FFFF:016x}" for number in made}


def pass_time(client: redis.Redis, seconds: float) -> None:
    """Remove what would be gone by then."""
    for key in list(client.scan_iter()):
        if 0 <= client.pttl(key) <= seconds * 1000:
            client.delete(key)


def test_without_its_salt_no_stored_hash_is_a_known_address(
    redis_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    period = salt_period(time.time(), "day")
    end = period_end(period) + SALT_KEPT_AFTER
    monkeypatch.setattr("pathhits.storage.redis.salts.time", SimpleNamespace(time=lambda: end - LEFT))
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, flush_interval=3600, route_label="path")
    hits.migrate()
    hits.register_item(ITEM_TYPE, route=ROUTE, id="path", rules=Rules.strict())
    app = hits.wsgi(shop)
    for address in KNOWN:
        request(app, "/page", AGENT, address)
    assert hits.flush(30.0)
    with connect(redis_url, timeout=10.0) as client:
        salt = client.get(hits.keys.salt(period))
        assert isinstance(salt, bytes)
        assert hits.sync().events == len(KNOWN)
        stored = {value.decode("latin-1") for _, value in everything_in_sql(hits)}
        in_redis = " ".join(value.decode("latin-1") for _, value in everything_in_redis(client))
        with_salt = hashes({salt})
        assert len(stored & with_salt) == len(KNOWN), "the visitors are not stored: nothing was proven"
        assert any(known in in_redis for known in with_salt)

        assert 0 < client.pttl(hits.keys.salt(period)) <= LEFT * 1000
        pass_time(client, LEFT)

        assert [name for name, _ in everything_in_redis(client) if ":salt:" in name and period in name] == []
        values = [value for _, value in (*everything_in_redis(client), *everything_in_sql(hits))]
        without = hashes({value[:64] for value in values if value} | {b"pathhits", period.encode()})
        assert not stored & without
        with hits.engine.connect() as connection:
            visitors = connection.execute(select(tables.events.c.visitor).distinct()).scalars().all()
        assert len(visitors) == len(KNOWN)
    hits.close()


def test_a_process_keeps_no_salt_for_longer_than_redis_does(redis_url: str) -> None:
    hits = PathHits(redis_url=redis_url, flush_interval=3600)
    request(hits.wsgi(shop), "/page", AGENT, KNOWN[0])
    assert hits.flush(30.0)
    today = salt_period(time.time(), "day")
    assert today in hits.buffer._folder.salts.known
    hits.buffer._folder.salts.known[f"d{int(today[1:]) - 3}"] = b"long over"
    assert hits.flush(30.0)
    assert hits.buffer._folder.salts.known.keys() <= {today, f"d{int(today[1:]) - 1}", f"d{int(today[1:]) - 2}"}
    hits.close()
