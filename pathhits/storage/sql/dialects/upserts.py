"""The one bulk upsert: in as few statements as a database allows, by COPY where PostgreSQL has many rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Select, Table, func
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from pathhits.storage.sql.dialects.rows import ROWS_A_STATEMENT, Row, array, isoformat, returned
from pathhits.storage.sql.tables import COUNTER_MAX, UtcDateTime

#: Rows from which PostgreSQL gets them by COPY into a temporary table: a quarter faster than arrays, but each such
#: table leaves traces in the catalogue, so that the small syncs of every few seconds do without.
COPY_FROM = 1_000
#: For such a transaction alone: 4 MB would send 50,000 rows to the disk for each sort; the table has no statistics, and
#: the sizes guessed for its joins have them sorted, which costs more than to hash them.
_FOR_MANY_ROWS = "SET LOCAL work_mem = '32MB'; SET LOCAL enable_mergejoin = off"

#: How COPY spells what is not there.
_NULL = "\\N"
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True)
class Upsert:
    """Insert rows of ``table``; where ``keys`` exist, add, grow or set the other columns instead.

    ``add`` columns are added to and clamped at `COUNTER_MAX`, ``grow`` columns take the larger value (``shrink`` the
    smaller) and what is given where there is none, ``set`` columns the new one, and ``fixed`` columns are only written
    when a row is new. Without any of these a row that exists is left alone. ``returning`` columns are given back for
    each row.
    """

    table: Table
    keys: tuple[str, ...]
    add: tuple[str, ...] = ()
    grow: tuple[str, ...] = ()
    shrink: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    returning: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns a row gives, in this order: keys, fixed, add, grow, shrink, set."""
        return self.keys + self.fixed + self.add + self.grow + self.shrink + self.set


def upsert(connection: Connection, spec: Upsert, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Write all ``rows`` in as few statements as the database allows; the ``returning`` columns of each.

    Give rows sorted by key: two transactions that lock the same rows in the same order do not deadlock.
    """
    if not rows:
        return []
    if connection.dialect.name == "postgresql":
        return (_upsert_copied if len(rows) >= COPY_FROM else _upsert_arrays)(connection, spec, rows)
    return _upsert_values(connection, spec, rows)


def upsert_selected(connection: Connection, table: Table, keys: Sequence[str], column: str, query: Select[Any]) -> None:
    """Insert what a query selects, the keys and one column; where the keys exist, the column is set.

    The query needs a WHERE: SQLite else takes what follows for part of it.
    """
    names = [*keys, column]
    if connection.dialect.name in ("mysql", "mariadb"):
        given = mysql.insert(table).from_select(names, query)
        connection.execute(given.on_duplicate_key_update({column: func.values(table.c[column])}))
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    selected = insert(table).from_select(names, query)
    connection.execute(
        selected.on_conflict_do_update(index_elements=list(keys), set_={column: selected.excluded[column]})
    )


def _chunks(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _upsert_arrays(connection: Connection, spec: Upsert, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    columns = tuple(map(array, zip(*rows, strict=True)))
    return returned(connection.exec_driver_sql(_array_statement(spec), columns))


def _upsert_copied(connection: Connection, spec: Upsert, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    names = ", ".join(spec.columns)
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE pathhits_incoming ON COMMIT DROP AS SELECT {names} FROM {spec.table.name} WITH NO DATA"
    )
    _copy(connection, f"COPY pathhits_incoming ({names}) FROM STDIN", _lines(rows))
    found = returned(connection.exec_driver_sql(_insert(spec, f"SELECT {names} FROM pathhits_incoming")))
    connection.exec_driver_sql("DROP TABLE pathhits_incoming")
    return found


def upsert_at_once(
    connection: Connection, totals: Upsert, hours: Upsert, days: Upsert, rows: Sequence[Row], now: datetime, near: int
) -> list[int]:
    """Write three tables of one family by one COPY and one statement of PostgreSQL; see `takes_at_once`.

    Rows are (key, name, total, hour, amount, day, amount of the day, visitors); the total is None but in the first row
    of a key, the amount of a day but in the first of its day. Returns the ids of totals that reached ``near``.
    """
    connection.exec_driver_sql(_FOR_MANY_ROWS)
    connection.exec_driver_sql(
        "CREATE TEMP TABLE pathhits_incoming (key bytea, name text, total bigint, hour int, amount bigint, day int, "
        "daily bigint, visitors bigint) ON COMMIT DROP"
    )
    lines = [
        f"\\\\x{key.hex()}\t{name.translate(_COPY_ESCAPES)}\t{_NULL if total is None else total}\t{hour}\t{amount}\t"
        f"{day}\t{_NULL if daily is None else daily}\t{visitors}\n"
        for key, name, total, hour, amount, day, daily, visitors in rows
    ]
    _copy(connection, "COPY pathhits_incoming FROM STDIN", "".join(lines))
    found = connection.exec_driver_sql(_statement_at_once(totals, hours, days), (now, now, near))
    ids = [row[0] for row in returned(found)]
    connection.exec_driver_sql("DROP TABLE pathhits_incoming")
    return ids


def takes_at_once(connection: Connection, rows: int) -> bool:
    """Whether `upsert_at_once` is there, and the faster way to write so many rows."""
    return connection.dialect.name == "postgresql" and rows >= COPY_FROM


@lru_cache(maxsize=4)
def _statement_at_once(totals: Upsert, hours: Upsert, days: Upsert) -> str:
    # Totals come first, sorted: their locks let no two transactions wait for each other.
    (key,), (total,) = totals.keys, totals.add
    written = _insert(
        replace(totals, returning=("id", key, total)),
        "SELECT key, name, %s::timestamptz, total, %s::timestamptz FROM pathhits_incoming WHERE total IS NOT NULL "
        "ORDER BY key",
    )
    joined = f"FROM written w JOIN pathhits_incoming i ON i.key = w.{key}"
    by_hour = _insert(hours, f"SELECT w.id, i.hour, i.amount {joined} ORDER BY 1, 2")
    by_day = _insert(days, f"SELECT w.id, i.day, i.daily, i.visitors {joined} WHERE i.daily IS NOT NULL ORDER BY 1, 2")
    return (
        f"WITH written AS ({written}), by_hour AS ({by_hour}), by_day AS ({by_day}) "
        f"SELECT id FROM written WHERE {total} >= %s"
    )


def _copy(connection: Connection, statement: str, lines: str) -> None:
    driver: Any = connection.connection.driver_connection
    base = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(lines)
    except base as error:  # past SQLAlchemy: what it refuses must look like what an INSERT refuses
        raise DBAPIError.instance(statement, None, error, base, dialect=connection.dialect) from error


def _lines(rows: Sequence[Row]) -> str:
    """Rows as COPY reads them."""
    if all(isinstance(value, int) for value in rows[0]):
        line = "\t".join(["%s"] * len(rows[0])) + "\n"
        return "".join([line % row for row in rows])
    lines = zip(*map(_copied, zip(*rows, strict=True)), strict=True)
    return "\n".join(map("\t".join, lines)) + "\n"


def _copied(values: Sequence[Any]) -> Iterator[str]:
    """A column as COPY reads it."""
    first = values[0]
    if isinstance(first, int):
        return map(str, values)
    if isinstance(first, bytes):
        return (f"\\\\x{value.hex()}" for value in values)
    if isinstance(first, datetime):
        return iter(isoformat(values))
    return (value.translate(_COPY_ESCAPES) for value in values)


@lru_cache(maxsize=32)
def _array_statement(spec: Upsert) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    types = [spec.table.c[name].type.compile(dialect) for name in spec.columns]
    arrays = ", ".join(f"%s::{kind.partition('(')[0]}[]" if "VARCHAR" in kind else f"%s::{kind}[]" for kind in types)
    return _insert(spec, f"SELECT * FROM unnest({arrays})")


def _insert(spec: Upsert, source: str) -> str:
    """PostgreSQL's statement that upserts what ``source`` selects."""
    adds = [f"{c} = CASE WHEN t.{c} > {COUNTER_MAX} - GREATEST(excluded.{c}, 0) THEN {COUNTER_MAX} "
            f"ELSE t.{c} + excluded.{c} END" for c in spec.add]  # fmt: skip
    grows = [f"{c} = GREATEST(t.{c}, excluded.{c})" for c in spec.grow]
    shrinks = [f"{c} = LEAST(t.{c}, excluded.{c})" for c in spec.shrink]
    sets = [f"{c} = excluded.{c}" for c in spec.set]
    changes = ", ".join(adds + grows + shrinks + sets)
    action = f"DO UPDATE SET {changes}" if changes else "DO NOTHING"
    returning = f" RETURNING {', '.join('t.' + c for c in spec.returning)}" if spec.returning else ""
    return (
        f"INSERT INTO {spec.table.name} AS t ({', '.join(spec.columns)}) {source} "
        f"ON CONFLICT ({', '.join(spec.keys)}) {action}{returning}"
    )


def _upsert_values(connection: Connection, spec: Upsert, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    converted = [name for name in spec.columns if isinstance(spec.table.c[name].type, UtcDateTime)]
    found: list[tuple[Any, ...]] = []
    for some in _chunks(rows, ROWS_A_STATEMENT):
        parameters = tuple(chain.from_iterable(some))
        if converted:
            parameters = tuple(_plain(value) for value in parameters)
        statement = _values_statement(spec, connection.dialect.name, len(some))
        found += returned(connection.exec_driver_sql(statement, parameters))
    return found


def _plain(value: Any) -> Any:
    """The value as a database without time zones keeps it: moments as text in UTC, to the microsecond."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return value


@lru_cache(maxsize=32)
def _values_statement(spec: Upsert, dialect_name: str, count: int) -> str:
    sqlite = dialect_name == "sqlite"
    mark, greatest, least = ("?", "max", "min") if sqlite else ("%s", "GREATEST", "LEAST")
    row = f"({', '.join([mark] * len(spec.columns))})"

    def old(column: str) -> str:
        return f"{spec.table.name}.{column}"

    def new(column: str) -> str:
        return f"excluded.{column}" if sqlite else f"VALUES({column})"

    adds = [f"{c} = CASE WHEN {old(c)} > {COUNTER_MAX} - {greatest}({new(c)}, 0) THEN {COUNTER_MAX} "
            f"ELSE {old(c)} + {new(c)} END" for c in spec.add]  # fmt: skip
    # Here, other than on PostgreSQL, the greatest of a number and NULL is NULL.
    grows = [f"{c} = {greatest}(COALESCE({old(c)}, {new(c)}), {new(c)})" for c in spec.grow]
    shrinks = [f"{c} = {least}(COALESCE({old(c)}, {new(c)}), {new(c)})" for c in spec.shrink]
    sets = [f"{c} = {new(c)}" for c in spec.set]
    changes = ", ".join(adds + grows + shrinks + sets)
    key = spec.keys[0]
    if sqlite:
        conflict = f"ON CONFLICT ({', '.join(spec.keys)}) " + (f"DO UPDATE SET {changes}" if changes else "DO NOTHING")
    else:
        # Not INSERT IGNORE, which would store what it cannot store as something else.
        conflict = f"ON DUPLICATE KEY UPDATE {changes or f'{key} = {old(key)}'}"
    returning = f" RETURNING {', '.join(spec.returning)}" if spec.returning else ""
    return (
        f"INSERT INTO {spec.table.name} ({', '.join(spec.columns)}) VALUES {', '.join([row] * count)} "
        f"{conflict}{returning}"
    )
