"""What a PathHits holds on to: nothing is left of one that is let go, and a forked child has connections of its own."""

from __future__ import annotations

import gc
from weakref import ref

from sqlalchemy import Engine

from pathhits import PathHits
from tests.faults.writer import BROWSER, page, request
from tests.servers.forks import in_child, play


def test_nothing_is_left_of_one_that_was_used_and_let_go(
    redis_url: str, sqlite_url: str, engines: list[Engine]
) -> None:
    """A worker that makes one for each job it performs would else grow with every job."""
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, route_label="path")
    hits.migrate()
    request(hits.wsgi(page), "/a", BROWSER, "203.0.113.1")
    assert hits.flush()
    hits.sync(force=True)
    assert [row.path for row in hits.top_paths()] == ["/a"]
    assert hits.close()
    left = {type(one).__name__: ref(one) for one in (hits, hits.engine, hits.buffer, hits.redis, hits.reads)}
    del hits
    engines.clear()
    gc.collect()
    assert [name for name, one in left.items() if one() is not None] == []


def fork_and_ask(redis_url: str, postgresql_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=postgresql_url)

    def session() -> int:
        with hits.engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    before = session()

    def ask() -> None:
        assert session() != before

    in_child(ask)
    assert session() == before
    hits.close()


def test_a_forked_child_asks_sql_over_a_connection_of_its_own(redis_url: str, postgresql_url: str) -> None:
    play(fork_and_ask, redis_url, postgresql_url)
