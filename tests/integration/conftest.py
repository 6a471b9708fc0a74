"""Fixtures of the integration tests: a migrated `PathHits` of a test alone, whose buffer is sent when it says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pathhits import PathHits


def made(redis_url: str, database_url: str, **settings: Any) -> PathHits:
    """One whose buffer waits for `flush`, and whose requests wait for a busy machine; not migrated, to be closed."""
    usual: dict[str, Any] = {"flush_interval": 3600, "request_deadline": 20.0, "redis_timeout": 20.0}
    return PathHits(redis_url=redis_url, database_url=database_url, **usual | settings)


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    """One on each kind of database."""
    hits = made(redis_url, database_url)
    hits.migrate()
    yield hits
    hits.close(0.1)


@pytest.fixture
def small(redis_url: str, sqlite_url: str) -> Iterator[PathHits]:
    """One with SQLite, where the database does not matter."""
    hits = made(redis_url, sqlite_url)
    hits.migrate()
    yield hits
    hits.close(0.1)
