"""The only file that knows a dialect: engines, the one bulk upsert, and which errors are worth another try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import StaticPool

from pathhits.storage.sql.tables import COUNTER_MAX

Row = Mapping[str, Any]

#: Seconds to wait for a connection to be made, and for another writer of SQLite.
CONNECT_TIMEOUT = 5
BUSY_TIMEOUT = 15
#: Rows of one multi-row INSERT (SQLite allows 32,766 parameters, MariaDB a packet of 16 MB).
ROWS_A_STATEMENT = 2_000
#: Rows of one array INSERT on PostgreSQL.
ROWS_AN_ARRAY = 25_000

#: PostgreSQL: serialization failure, deadlock, lock not available.
_RETRY_SQLSTATES = {"40001", "40P01", "55P03"}
#: MariaDB: lock wait timeout, deadlock, record changed.
_RETRY_ERRNOS = {1205, 1213, 1020}
#: MariaDB: too many connections, shutting down, killed, disk or table full, read-only; 2000 to 2999: no connection.
_LOST_ERRNOS = {1040, 1053, 1927, 1021, 1114, 1290, 1836}
#: SQLite calls these operational too; they are answers.
_SQLITE_ANSWERS = ("no such ", "near ", "integer overflow", "too many ")


@dataclass(frozen=True)
class Upsert:
    """Insert rows of ``table``; where ``keys`` exist, add, grow or set the other columns instead.

    ``add`` columns are added to and clamped at `COUNTER_MAX`, ``grow`` columns take the larger value, ``set``
    columns the new one. ``returning`` columns are given back for each row. Rows need all of keys + add + grow +
    set + fixed, where ``fixed`` columns are only written when a row is new.
    """

    table: Table
    keys: tuple[str, ...]
    add: tuple[str, ...] = ()
    grow: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    returning: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return self.keys + self.fixed + self.add + self.grow + self.set


def make_engine(url: str) -> Engine:
    """An engine with short waits; SQLite is set to WAL, so that readers and a sync get along."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_TIMEOUT}}
        if parsed.database in (None, "", ":memory:"):
            options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        engine = create_engine(url, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT}
    if backend in ("mysql", "mariadb"):
        arguments["charset"] = "utf8mb4"
    return create_engine(url, pool_pre_ping=True, pool_size=3, connect_args=arguments)


def upsert(connection: Connection, spec: Upsert, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Write all ``rows`` in as few statements as the database allows; the ``returning`` columns of each.

    Give rows sorted by key: two transactions that lock the same rows in the same order do not deadlock.
    """
    if not rows:
        return []
    if connection.dialect.name == "postgresql":
        return _upsert_arrays(connection, spec, rows)
    return _upsert_values(connection, spec, rows)


def is_retryable(error: BaseException) -> bool:
    """Whether the same transaction may succeed when tried again: a deadlock, a lock, a lost connection."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    original: Any = error.orig
    if getattr(original, "sqlstate", None) in _RETRY_SQLSTATES:
        return True
    arguments = getattr(original, "args", None) or ("",)
    return arguments[0] in _RETRY_ERRNOS or "database is locked" in str(arguments[0])


def is_lost(error: BaseException) -> bool:
    """Whether the database could not work at all, rather than refuse a statement."""
    if not isinstance(error, DBAPIError):
        return False
    original: Any = error.orig
    if error.connection_invalidated or not isinstance(error, OperationalError | InterfaceError):
        return error.connection_invalidated
    arguments = getattr(original, "args", None) or ("",)
    if isinstance(arguments[0], int):
        return 2000 <= arguments[0] < 3000 or arguments[0] in _LOST_ERRNOS
    return not str(arguments[0]).startswith(_SQLITE_ANSWERS)


def _prepare_sqlite(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _chunks(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _bound(spec: Upsert, connection: Connection) -> list[tuple[str, Any]]:
    """Each column with the function that turns a value into what the driver wants (None: as it is)."""
    found = []
    for name in spec.columns:
        kind = spec.table.c[name].type
        found.append((name, kind.dialect_impl(connection.dialect).bind_processor(connection.dialect)))
    return found


def _values(rows: Sequence[Row], name: str, process: Any) -> list[Any]:
    return [row[name] for row in rows] if process is None else [process(row[name]) for row in rows]


def _upsert_arrays(connection: Connection, spec: Upsert, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    statement = _array_statement(spec, connection.dialect.name)
    found: list[tuple[Any, ...]] = []
    for some in _chunks(rows, ROWS_AN_ARRAY):
        arrays = tuple(_values(some, name, None) for name in spec.columns)
        result = connection.exec_driver_sql(statement, arrays)
        found += [tuple(row) for row in result] if spec.returning else []
    return found


@lru_cache(maxsize=32)
def _array_statement(spec: Upsert, dialect_name: str) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    types = [spec.table.c[name].type.compile(dialect) for name in spec.columns]
    arrays = ", ".join(f"%s::{kind.partition('(')[0]}[]" if "VARCHAR" in kind else f"%s::{kind}[]" for kind in types)
    adds = [f"{c} = CASE WHEN t.{c} > {COUNTER_MAX} - GREATEST(excluded.{c}, 0) THEN {COUNTER_MAX} "
            f"ELSE t.{c} + excluded.{c} END" for c in spec.add]  # fmt: skip
    grows = [f"{c} = GREATEST(t.{c}, excluded.{c})" for c in spec.grow]
    sets = [f"{c} = excluded.{c}" for c in spec.set]
    returning = f" RETURNING {', '.join('t.' + c for c in spec.returning)}" if spec.returning else ""
    return (
        f"INSERT INTO {spec.table.name} AS t ({', '.join(spec.columns)}) SELECT * FROM unnest({arrays}) "
        f"ON CONFLICT ({', '.join(spec.keys)}) DO UPDATE SET {', '.join(adds + grows + sets)}{returning}"
    )


def _upsert_values(connection: Connection, spec: Upsert, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    bound = _bound(spec, connection)
    found: list[tuple[Any, ...]] = []
    for some in _chunks(rows, ROWS_A_STATEMENT):
        columns = [_values(some, name, process) for name, process in bound]
        parameters = tuple(value for values in zip(*columns, strict=True) for value in values)
        statement = _values_statement(spec, connection.dialect.name, len(some))
        result = connection.exec_driver_sql(statement, parameters)
        found += [tuple(row) for row in result] if spec.returning else []
    return found


@lru_cache(maxsize=32)
def _values_statement(spec: Upsert, dialect_name: str, count: int) -> str:
    sqlite = dialect_name == "sqlite"
    mark, greatest = ("?", "max") if sqlite else ("%s", "GREATEST")
    row = f"({', '.join([mark] * len(spec.columns))})"

    def old(column: str) -> str:
        return f"{spec.table.name}.{column}"

    def new(column: str) -> str:
        return f"excluded.{column}" if sqlite else f"VALUES({column})"

    adds = [f"{c} = CASE WHEN {old(c)} > {COUNTER_MAX} - {greatest}({new(c)}, 0) THEN {COUNTER_MAX} "
            f"ELSE {old(c)} + {new(c)} END" for c in spec.add]  # fmt: skip
    grows = [f"{c} = {greatest}({old(c)}, {new(c)})" for c in spec.grow]
    sets = [f"{c} = {new(c)}" for c in spec.set]
    conflict = f"ON CONFLICT ({', '.join(spec.keys)}) DO UPDATE SET" if sqlite else "ON DUPLICATE KEY UPDATE"
    returning = f" RETURNING {', '.join(spec.returning)}" if spec.returning else ""
    return (
        f"INSERT INTO {spec.table.name} ({', '.join(spec.columns)}) VALUES {', '.join([row] * count)} "
        f"{conflict} {', '.join(adds + grows + sets)}{returning}"
    )
