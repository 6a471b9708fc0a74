"""Ways to run the command line, on stores that are there and on stores that are not."""

from __future__ import annotations

import pytest

from tests.integration.cli.running import PASSWORD, Run, runner
from tests.servers.processes import free_port


@pytest.fixture
def run(redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``pathhits ...`` in this process, on a Redis and a database of this test, before any migration."""
    return runner(redis_url, database_url, monkeypatch)


@pytest.fixture
def run_sqlite(redis_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same on SQLite only, for what does not depend on the database."""
    return runner(redis_url, sqlite_url, monkeypatch)


@pytest.fixture
def no_redis(monkeypatch: pytest.MonkeyPatch, run_sqlite: Run) -> Run:
    monkeypatch.setenv("REDIS_URL", f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0")
    return run_sqlite


@pytest.fixture
def no_sql(monkeypatch: pytest.MonkeyPatch, run_sqlite: Run) -> Run:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://shop:{PASSWORD}@127.0.0.1:{free_port()}/shop")
    return run_sqlite
