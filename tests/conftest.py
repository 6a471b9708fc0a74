"""Fixtures of all tests: real servers of their own, one of each kind per pytest process, and fresh databases in them.

A server that is not installed skips the test on a laptop and fails it where CI is set.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
from sqlalchemy import Engine

from pathhits import PathHits
from pathhits.storage.sql.dialects import engines as engine_making
from tests.replayed import migrated
from tests.servers.base import Server
from tests.servers.mariadb import MariaDBServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import Process, ServerMissing, in_ci
from tests.servers.redis import DATABASES, RedisServer

S = TypeVar("S", bound=Server)

# A loaded machine is no defect, and two cores are often loaded.
hypothesis.settings.register_profile("pathhits", deadline=None, print_blob=True)
hypothesis.settings.load_profile("pathhits")


#: Where files live in memory, and the free bytes of it that the tests may need.
RAM, ROOM = Path("/dev/shm"), 3 << 30


def pytest_configure() -> None:
    """What tests write goes into memory where there is room for it: a third of their time was spent on the disk."""
    if "TMPDIR" not in os.environ and _may_be_used(RAM):
        os.environ["TMPDIR"] = tempfile.tempdir = str(RAM)


def _may_be_used(folder: Path) -> bool:
    try:
        # The programs of an environment are run there, too.
        may_run = not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0)
        return may_run and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ROOM
    except OSError:
        return False


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings of whoever runs it, such as the URL of a database in use."""
    for name in [name for name in os.environ if name.startswith("PATHHITS_")] + ["REDIS_URL", "DATABASE_URL"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Engine]]:
    """The SQL engines that the PathHits of a test made; their connections are closed after it, as many a test lets go
    of a PathHits that it did not close, or used again afterwards. An app that does so is told by its driver.
    """
    made: list[Engine] = []
    make = engine_making.make_engine

    def noted(*arguments: Any, **named: Any) -> Engine:
        made.append(make(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(engine_making, "make_engine", noted)
    yield made
    for engine in made:
        engine.dispose()


@pytest.fixture(autouse=True)
def _migrated_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """`PathHits.migrate` costs a test what its statements cost; the migrations themselves have tests of their own."""
    monkeypatch.setattr(PathHits, "migrate", migrated)


@contextlib.contextmanager
def present() -> Iterator[None]:
    """Turn a missing server into a skip, or into a failure in CI."""
    try:
        yield
    except ServerMissing as error:
        if in_ci():
            pytest.fail(f"not installed: {error}", pytrace=False)
        pytest.skip(f"not installed: {error}")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The Redis that tests of one pytest process share; take `redis_url`, unless the server itself is meant."""
    with present():
        server = RedisServer()
    with server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The shared PostgreSQL; take `postgresql_url` or `database_url`."""
    with present():
        server = PostgresServer(fsync=False)
    with server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDBServer]:
    """The shared MariaDB; take `mariadb_url` or `database_url`."""
    with present():
        server = MariaDBServer(fsync=False)
    with server:
        yield server


_redis_databases = itertools.cycle(range(1, DATABASES))


@pytest.fixture
def redis_url(redis_server: RedisServer) -> Iterator[str]:
    """URL of an empty Redis database that only this test uses."""
    database = next(_redis_databases)
    with redis_server.client(database) as client:
        client.flushdb()
        yield redis_server.url_of(database)
        client.flushdb()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
def postgresql_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of an empty PostgreSQL database."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def mariadb_url(mariadb_server: MariaDBServer) -> Iterator[str]:
    """URL of an empty MariaDB database."""
    with mariadb_server.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty database; the test runs once on each of SQLite, PostgreSQL and MariaDB."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def own_server() -> Iterator[Callable[[Callable[[], S]], S]]:
    """Starts a server for this test alone, to be killed, paused or rolled back: ``own_server(RedisServer)``,
    ``own_server(lambda: PostgresServer(fsync=False))``; ended and removed afterwards.
    """
    with contextlib.ExitStack() as stack:

        def start(make: Callable[[], S]) -> S:
            with present():
                server = make()
            stack.enter_context(server)
            return server

        yield start


@pytest.fixture
def start_process() -> Iterator[Callable[..., Process]]:
    """Starts a child process as `Process` does (command, env=, cwd=); ended after the test."""
    with contextlib.ExitStack() as stack:

        def start(
            command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: str | Path | None = None
        ) -> Process:
            return stack.enter_context(Process(command, env=env, cwd=cwd))

        yield start
