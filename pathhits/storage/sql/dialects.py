"""The only file that knows a dialect: engines, the one bulk upsert, and which errors are worth another try."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from itertools import chain
from math import ceil
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Dialect,
    Engine,
    Select,
    String,
    Table,
    create_engine,
    event,
    func,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import StaticPool

from pathhits.errors import SettingsError
from pathhits.settings import redact
from pathhits.storage.sql.tables import COUNTER_MAX, UtcDateTime

#: Values in the order of `Upsert.columns`.
Row = tuple[Any, ...]

#: Seconds to wait for a connection to be made, and for another writer of SQLite.
CONNECT_TIMEOUT = 5
BUSY_TIMEOUT = 15
#: Pages of 4 kB that SQLite gathers in its log before it moves them into the file: a sync of 1,000 events changes some
#: 4,000, many of them the same as the one before, and with SQLite's own 1,000 each would be written in each sync.
CHECKPOINT_PAGES = 10_000
#: Rows of one multi-row INSERT (SQLite allows 32,766 parameters, MariaDB a packet of 16 MB).
ROWS_A_STATEMENT = 2_000
#: Rows from which PostgreSQL gets them by COPY into a temporary table: a quarter faster than arrays, but each such
#: table leaves traces in the catalogue, so that the small syncs of every few seconds do without.
COPY_FROM = 1_000
#: For such a transaction alone: 4 MB would send 50,000 rows to the disk for each sort; the table has no statistics, and
#: the sizes guessed for its joins have them sorted, which costs more than to hash them.
_FOR_MANY_ROWS = "SET LOCAL work_mem = '32MB'; SET LOCAL enable_mergejoin = off"

#: For each connection to PostgreSQL. Our statements take milliseconds: compiling one takes hundreds, as what a sum
#: costs is guessed far too high, and helpers that send each other the sums of 50,000 items take longer than one
#: alone. A plan for whatever days are asked for suits neither a week nor a year. With less memory such sums go to the
#: disk.
_SET_UP = (
    "SET jit = off; SET max_parallel_workers_per_gather = 0; SET plan_cache_mode = force_custom_plan; "
    "SELECT set_config('work_mem', '16MB', false) WHERE pg_size_bytes(current_setting('work_mem')) < 16777216"
)

#: PostgreSQL: serialization failure, deadlock, lock not available.
_RETRY_SQLSTATES = {"40001", "40P01", "55P03"}
#: MariaDB: lock wait timeout, deadlock, record changed.
_RETRY_ERRNOS = {1205, 1213, 1020}
#: MariaDB: too many connections, shutting down, killed, disk or table full, read-only; 2000 to 2999: no connection.
_LOST_ERRNOS = {1040, 1053, 1927, 1021, 1114, 1290, 1836}
#: SQLite calls these operational too; they are answers.
_SQLITE_ANSWERS = ("no such ", "near ", "integer overflow", "too many ")
#: PostgreSQL: the transaction cannot write; no table, column or right, wrong statement. No row is to blame for these.
_UNABLE_SQLSTATES = ("25", "42")
#: MariaDB: access denied (to the database, a table, a column), no column, syntax, no table, not supported.
_UNABLE_ERRNOS = {1044, 1045, 1142, 1143, 1054, 1064, 1146, 1235}
_UNABLE_ANSWERS = ("no such ", "near ")


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


def upsert(connection: Connection, spec: Upsert, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Write all ``rows`` in as few statements as the database allows; the ``returning`` columns of each.

    Give rows sorted by key: two transactions that lock the same rows in the same order do not deadlock.
    """
    if not rows:
        return []
    if connection.dialect.name == "postgresql":
        return (_upsert_copied if len(rows) >= COPY_FROM else _upsert_arrays)(connection, spec, rows)
    return _upsert_values(connection, spec, rows)


def begin_writing(connection: Connection) -> None:
    """Where rows cannot be locked, lock the database, before a transaction reads what it will write."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def begin_reading(connection: Connection) -> Connection:
    """Begin a transaction whose statements all see one moment, as MariaDB's do by themselves."""
    if connection.dialect.name == "postgresql":
        return connection.execution_options(isolation_level="REPEATABLE READ")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")
    return connection


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


def present(connection: Connection, column: Column[bytes], keys: Sequence[bytes]) -> set[bytes]:
    """Which of ``keys`` a column of bytes holds."""
    return {bytes(row[0]) for row in _found(connection, column.name, column, keys)}


def ids_of(connection: Connection, column: Column[bytes], keys: Sequence[bytes]) -> dict[bytes, int]:
    """The ids of those rows whose column of bytes holds one of ``keys``, by key."""
    return {bytes(row[0]): row[1] for row in _found(connection, f"{column.name}, id", column, keys)}


def _found(
    connection: Connection, wanted: str, column: Column[bytes], keys: Sequence[bytes]
) -> Iterator[tuple[Any, ...]]:
    query = f"SELECT {wanted} FROM {column.table} WHERE {column.name}"
    if connection.dialect.name == "postgresql":
        if keys:
            yield from _returned(connection.exec_driver_sql(f"{query} = ANY(%s::bytea[])", (_array(keys),)))
        return
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    for first in range(0, len(keys), ROWS_A_STATEMENT):
        some = tuple(keys[first : first + ROWS_A_STATEMENT])
        statement = f"{query} IN ({', '.join([mark] * len(some))})"
        yield from _returned(connection.exec_driver_sql(statement, some))


def look_up(connection: Connection, asked: Sequence[Sequence[int]], questions: Sequence[str]) -> list[tuple[Any, ...]]:
    """For each row of numbers the answer to each question, in bulk: a sub-select that gives 1, or NULL.

    A question names the numbers of its row ``a.n0``, ``a.n1`` and so on, and its table ``{events}``. Each is answered
    row by row through an index, as no database can turn a sub-select with a LIMIT into a scan of its table.
    """
    if not asked:
        return []
    statement = look_up_statement(connection.dialect.name, len(asked[0]), tuple(questions))
    if connection.dialect.name == "postgresql":
        given: tuple[str, ...] = tuple(map(_array, zip(*asked, strict=True)))
    else:
        given = (json.dumps(asked, separators=(",", ":")),)
    return [row[1:] for row in _returned(connection.exec_driver_sql(statement, given))]


@lru_cache(maxsize=32)
def look_up_statement(dialect_name: str, width: int, questions: tuple[str, ...]) -> str:
    """The statement of `look_up` for rows of so many numbers."""
    # MariaDB takes the first index that begins with the item, and reads all events of the item.
    hint = " FORCE INDEX (ix_pathhits_events_item_visitor)" if dialect_name in ("mysql", "mariadb") else ""
    columns = ", ".join(
        f"({question} LIMIT 1)".replace("{events}", f"pathhits_events e{hint}") for question in questions
    )
    return f"SELECT a.n, {columns} FROM {_asked(dialect_name, width)} ORDER BY 1"


def _asked(dialect_name: str, width: int) -> str:
    """Rows of numbers ``a.n0``, ``a.n1``, ... with their place ``a.n``, out of one parameter (or one a column)."""
    names = [f"n{i}" for i in range(width)]
    if dialect_name == "postgresql":
        return f"unnest({', '.join(['%s::bigint[]'] * width)}) WITH ORDINALITY AS a({', '.join(names)}, n)"
    if dialect_name == "sqlite":
        parts = ", ".join(f"json_extract(value, '$[{i}]') AS {name}" for i, name in enumerate(names))
        return f"(SELECT key AS n, {parts} FROM json_each(?)) AS a"
    parts = ", ".join(f"{name} BIGINT PATH '$[{i}]'" for i, name in enumerate(names))
    return f"JSON_TABLE(%s, '$[*]' COLUMNS (n FOR ORDINALITY, {parts})) AS a"


def sums_once(dialect: Dialect) -> bool:
    """Whether what a WITH names is computed once, however often it is read; MariaDB does so for each reader."""
    return dialect.name not in ("mysql", "mariadb")


class EachTime(ColumnElement[bool]):
    """True, and in a sub-select a reason to run it for each row.

    MariaDB else remembers its answer by the outer column, and takes ``a`` and ``A`` of that for the same.
    """

    inherit_cache = True
    type = Boolean()


@compiles(EachTime)
def _true(element: EachTime, compiler: Any, **options: Any) -> str:
    return "1 = 1"


@compiles(EachTime, "mysql", "mariadb")
def _uncacheable(element: EachTime, compiler: Any, **options: Any) -> str:
    return "RAND() >= 0"


class by_code_point(ColumnElement[str]):  # used as a function
    """A text that sorts by its code points, as Python sorts, whatever the locale of the database."""

    inherit_cache = True
    type = String()

    def __init__(self, text: ColumnElement[str]) -> None:
        self.text = text


@compiles(by_code_point)
def _as_it_is(element: by_code_point, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.text, **options))


@compiles(by_code_point, "postgresql")
def _with_collation(element: by_code_point, compiler: Any, **options: Any) -> str:
    return f'{compiler.process(element.text, **options)} COLLATE "C"'


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


def refuses_rows(error: BaseException) -> bool:
    """Whether the database refused what some row holds, so that the others may land without it."""
    if not isinstance(error, DBAPIError) or is_retryable(error) or is_lost(error):
        return False
    original: Any = error.orig
    if str(getattr(original, "sqlstate", None) or "").startswith(_UNABLE_SQLSTATES):
        return False
    reason = (getattr(original, "args", None) or ("",))[0]
    return reason not in _UNABLE_ERRNOS and not str(reason).startswith(_UNABLE_ANSWERS)


def _prepare_sqlite(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    cursor.close()


def _chunks(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _upsert_arrays(connection: Connection, spec: Upsert, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    columns = tuple(map(_array, zip(*rows, strict=True)))
    return _returned(connection.exec_driver_sql(_array_statement(spec), columns))


def _upsert_copied(connection: Connection, spec: Upsert, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    names = ", ".join(spec.columns)
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE pathhits_incoming ON COMMIT DROP AS SELECT {names} FROM {spec.table.name} WITH NO DATA"
    )
    _copy(connection, f"COPY pathhits_incoming ({names}) FROM STDIN", _lines(rows))
    found = _returned(connection.exec_driver_sql(_insert(spec, f"SELECT {names} FROM pathhits_incoming")))
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
    ids = [row[0] for row in _returned(found)]
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
        return iter(_isoformat(values))
    return (value.translate(_COPY_ESCAPES) for value in values)


def _isoformat(values: Sequence[datetime]) -> list[str]:
    first = values[0]
    return [first.isoformat()] * len(values) if values.count(first) == len(values) else [v.isoformat() for v in values]


def _returned(result: CursorResult[Any]) -> list[tuple[Any, ...]]:
    """The rows of RETURNING as the driver has them, without the cost of a Row object for each."""
    if not result.returns_rows:
        return []
    rows = [tuple(row) for row in result.cursor.fetchall()]
    result.close()
    return rows


def _array(values: Sequence[Any]) -> str:
    """An array as PostgreSQL writes it, ``{1,2}``: the driver's own way is five times as slow."""
    first = values[0]
    if isinstance(first, int):
        return "{" + ",".join(map(str, values)) + "}"
    if isinstance(first, bytes):
        return '{"\\\\x' + '","\\\\x'.join([value.hex() for value in values]) + '"}'
    if isinstance(first, datetime):
        return "{" + ",".join(_isoformat(values)) + "}"
    return '{"' + '","'.join([value.replace("\\", "\\\\").replace('"', '\\"') for value in values]) + '"}'


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
        found += _returned(connection.exec_driver_sql(statement, parameters))
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
