"""Engines that give up in time, and transactions that begin as a dialect needs."""

from __future__ import annotations

import time
from collections.abc import Generator
from functools import cache, partial
from math import ceil
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import StaticPool

from pathhits.errors import SettingsError
from pathhits.settings import redact

#: Seconds to wait for a connection to be made, and for another writer of SQLite.
CONNECT_TIMEOUT = 5
BUSY_TIMEOUT = 15
#: Pages of 4 kB that SQLite gathers in its log before it moves them into the file: a sync of 1,000 events changes some
#: 4,000, many of them the same as the one before, and with SQLite's own 1,000 each would be written in each sync.
CHECKPOINT_PAGES = 10_000
#: kB of these pages that a connection that writes may keep in memory: with SQLite's own 2 MB a sync writes most of them
#: into the log before it has done with them, and reads them again. Readers keep the 2 MB, as there are more of them.
WRITER_CACHE = 64_000
#: For each connection to PostgreSQL. Our statements take milliseconds: compiling one takes hundreds, as what a sum
#: costs is guessed far too high, and helpers that send each other the sums of 50,000 items take longer than one
#: alone. A plan for whatever days are asked for suits neither a week nor a year. With less memory such sums go to the
#: disk.
_SET_UP = (
    "SET jit = off; SET max_parallel_workers_per_gather = 0; SET plan_cache_mode = force_custom_plan; "
    "SELECT set_config('work_mem', '16MB', false) WHERE pg_size_bytes(current_setting('work_mem')) < 16777216"
)


def make_engine(url: str, timeout: float | None = None) -> Engine:
    """An engine that waits ``timeout`` seconds for an answer (None: without end), and not long for a connection.

    SQLite, which is no server that could hang, is set to WAL, so that readers and a sync get along.

    Raises `SettingsError` when the driver is not installed; a connection does when the URL has an option unknown to it.
    """
    try:
        engine = _make_engine(url, timeout)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{redact(url)} needs {error.name}: pip install 'pathhits[postgresql]' or 'pathhits[mariadb]'"
        ) from error
    event.listen(engine, "do_connect", partial(_connect, timeout))
    return engine


def _connect(timeout: float | None, dialect: Dialect, record: Any, arguments: Any, named: Any) -> Any:
    try:
        if dialect.name != "postgresql":
            return dialect.connect(*arguments, **named)
        connection = _impatient().connect(*arguments, **named)
    except TypeError as error:
        raise SettingsError(f"DATABASE_URL: {error}; look at what follows ? in the URL") from error
    connection.autocommit = True  # one question, and nothing to commit
    connection.execute(_SET_UP)
    connection.autocommit = False
    connection.patience = timeout
    return connection


@cache
def _impatient() -> Any:
    """A connection of psycopg that gives up on a server that is silent; the driver itself would wait without end."""
    import psycopg

    class Impatient(psycopg.Connection[Any]):
        patience: float | None = None

        def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
            return super().wait(gen if self.patience is None else self._timed(gen, self.patience), *args, **options)

        def _timed(self, gen: Any, patience: float) -> Generator[Any, Any, Any]:
            """``gen``, asked ten times a second, ended when nothing was heard for so long."""
            heard = time.monotonic()
            try:
                wanted = next(gen)
                while True:
                    ready = yield wanted
                    if ready:
                        heard = time.monotonic()
                    elif time.monotonic() - heard > patience:
                        self.close()
                        raise psycopg.OperationalError(f"no answer for {patience:g} s")
                    wanted = gen.send(ready)
            except StopIteration as end:
                return end.value

    return Impatient


def take_your_time(connection: Connection) -> None:
    """Let statements on this connection last as long as they need, as those of a migration may; it is not reused."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "postgresql":
        driver.patience = None
    elif connection.dialect.name in ("mysql", "mariadb"):
        # PyMySQL takes the two with the connection only, and looks at them at each statement.
        driver._read_timeout = driver._write_timeout = None
    else:
        return
    connection.detach()


def _make_engine(url: str, timeout: float | None) -> Engine:
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_TIMEOUT}}
        if parsed.database in (None, "", ":memory:"):
            options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        engine = create_engine(url, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    arguments: dict[str, Any] = {"connect_timeout": min(CONNECT_TIMEOUT, ceil(timeout or CONNECT_TIMEOUT))}
    if backend in ("mysql", "mariadb"):
        arguments |= {"charset": "utf8mb4", "read_timeout": timeout, "write_timeout": timeout}
    # PostgreSQL's default, MariaDB's not: a statement sees what another sync wrote before it let go of a row.
    isolation = "READ COMMITTED"
    return create_engine(url, pool_pre_ping=True, pool_size=3, isolation_level=isolation, connect_args=arguments)


def begin_writing(connection: Connection) -> None:
    """Where rows cannot be locked, lock the database, before a transaction reads what it will write."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size=-{WRITER_CACHE}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def begin_reading(connection: Connection) -> Connection:
    """Begin a transaction whose statements all see one moment."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")
        return connection
    return connection.execution_options(isolation_level="REPEATABLE READ")


def _prepare_sqlite(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # As a generation is deleted from Redis after the commit: one that a power cut took back would be lost.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    cursor.close()
