"""Everything that was counted as lines of JSON, and back: rows without ids, so that another database can take them.

A line is ``{"table": ..., "of": key, "rows": [...]}``: rows of one table, and, where they belong to a label, an item, a
query or a value, its key in hexadecimal. Lines are taken in by chunks of `LINES_A_CHUNK`, each with a row of the ledger
in the same transaction, as generations are: a chunk is added once, however often its file is imported. Two files with
counts of one database would add them twice: the head names the databases, see `origins`.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any, NamedTuple, cast

from sqlalchemy import Column, Connection, Engine, LargeBinary, Select, Table, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from pathhits.errors import PathHitsError
from pathhits.storage.sql import hothistory, origins, tables
from pathhits.storage.sql.dialects.engines import begin_reading
from pathhits.storage.sql.dialects.lookups import ids_of
from pathhits.storage.sql.dialects.rows import Row
from pathhits.storage.sql.dialects.upserts import Upsert, upsert
from pathhits.storage.sql.migrate import require_head
from pathhits.storage.sql.months import unroll
from pathhits.storage.sql.tables import IMPORTED, UtcDateTime
from pathhits.storage.sql.transactions import explained, write

FORMAT = "pathhits-export"
#: From 2 on the head tells whose counts a file holds, which a pathhits that only knows 1 would not look at.
VERSION = 2
#: Rows of one line, and lines of one transaction.
ROWS_A_LINE = 500
LINES_A_CHUNK = 20


class BadFile(PathHitsError):
    """What is no export, or one of a newer version; the message says which."""


@dataclass(frozen=True, slots=True)
class Part:
    """How one table travels: what makes a row what it is (``keys``), and what becomes of its numbers.

    Columns are as in `Upsert`. ``stamps`` of them say when a row was changed, which an import does: they are not taken
    from the file; nor are ``derived`` ones, which other rows say. ``owner`` is the table that ``owned_by`` holds an id
    of, and is told by its key; ``second`` likewise, for a table that belongs to two.
    """

    table: Table
    keys: tuple[str, ...]
    add: tuple[str, ...] = ()
    grow: tuple[str, ...] = ()
    shrink: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    stamps: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    owner: Table | None = None
    owned_by: str = ""
    second: Table | None = None
    second_by: str = ""

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row in a line; the owner's is not among them."""
        upserted = (*self.keys, *self.fixed, *self.add, *self.grow, *self.shrink)
        return tuple(name for name in upserted if name != self.owned_by)

    @property
    def upsert(self) -> Upsert:
        fixed = tuple(name for name in self.fixed if name not in (*self.stamps, *self.derived))
        return Upsert(
            self.table, self.keys, add=self.add, grow=self.grow, shrink=self.shrink, fixed=fixed, set=self.stamps
        )


_STAMPS = ("created_at", "updated_at")
_T = tables
PARTS: tuple[Part, ...] = (
    Part(_T.path_counters, ("path_key",), add=("hit_count",), fixed=("path", *_STAMPS), stamps=("updated_at",)),
    Part(
        _T.items,
        ("item_key",),
        add=("view_count", "visitors", "visits", "seconds", "timed_views"),
        grow=("last_seen",),
        shrink=("first_seen",),
        fixed=("item", "item_type", "recent_views", "is_hot", "hot_changed_at", *_STAMPS),
        stamps=("updated_at", "recent_at"),
        derived=("is_hot", "hot_changed_at"),
    ),
    Part(
        _T.searches,
        ("search_key",),
        add=("search_count", "counted", "results"),
        grow=("last_at",),
        fixed=("search", "entity_type", "failed"),
    ),
    Part(_T.values, ("value_key",), add=("hit_count",), fixed=("dimension", "value")),
    Part(_T.path_hours, ("path_id", "hour"), add=("hits",), owner=_T.path_counters, owned_by="path_id"),
    Part(
        _T.path_days, ("path_id", "day"), add=("hits",), grow=("visitors",), owner=_T.path_counters, owned_by="path_id"
    ),
    Part(_T.item_hours, ("item_id", "hour"), add=("views",), owner=_T.items, owned_by="item_id"),
    Part(
        _T.item_days,
        ("item_id", "day"),
        add=("views", "visitors", "visits", "seconds", "timed_views"),
        owner=_T.items,
        owned_by="item_id",
    ),
    Part(_T.item_counters, ("item_id", "counter"), add=("total",), owner=_T.items, owned_by="item_id"),
    Part(_T.item_counter_hours, ("item_id", "counter", "hour"), add=("amount",), owner=_T.items, owned_by="item_id"),
    Part(_T.item_counter_days, ("item_id", "counter", "day"), add=("amount",), owner=_T.items, owned_by="item_id"),
    Part(_T.hot_changes, (), fixed=("item_id", "moment", "is_hot", "recent_views"), owner=_T.items, owned_by="item_id"),
    Part(
        _T.search_hours,
        ("search_id", "hour"),
        add=("searches", "counted", "results"),
        owner=_T.searches,
        owned_by="search_id",
    ),
    Part(
        _T.search_days,
        ("search_id", "day"),
        add=("searches", "counted", "results", "visitors"),
        owner=_T.searches,
        owned_by="search_id",
    ),
    Part(_T.search_visitors, ("search_id", "day", "visitor"), owner=_T.searches, owned_by="search_id"),
    Part(_T.value_days, ("dimension_id", "day", "value_id"), add=("hits",), owner=_T.values, owned_by="value_id"),
    Part(
        _T.path_value_days,
        ("path_id", "dimension_id", "day", "value_id"),
        add=("hits",),
        owner=_T.path_counters,
        owned_by="path_id",
        second=_T.values,
        second_by="value_id",
    ),
    Part(_T.site_hours, ("counter", "hour"), add=("total",)),
    Part(_T.site_days, ("day",), grow=("visitors",)),
    Part(
        _T.events,
        ("id",),
        fixed=("item_id", "name", "visitor", "user_id", "user_agent", "referrer", "properties", "moment"),
        owner=_T.items,
        owned_by="item_id",
    ),
    Part(_T.dead_letters, (), fixed=("generation", "field", "amount", "error", "created_at")),
)
BY_NAME = {part.name: part for part in PARTS}


class Head(NamedTuple):
    """The first line of an export: the id of the file, and the databases whose counts it holds, its own first."""

    file: str
    databases: tuple[str, ...]


class Transfer:
    """Reads and writes lines. Raises `StoreUnavailable`, `NotMigrated`, `BadFile` or `Twice`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def lines(self) -> Iterator[str]:
        """Every line of an export, of one moment; no more than a line is held."""
        head = {"format": FORMAT, "version": VERSION, "id": uuid.uuid4().hex, "at": datetime.now(UTC).isoformat()}
        own = self._own()
        try:
            with self._engine.connect() as plain:
                connection = begin_reading(plain)
                others = origins.taken_in(connection) - {own}
                yield json.dumps(head | {"databases": [own, *sorted(others)]})
                for part in PARTS:
                    yield from _lines(connection, part)
        except SQLAlchemyError as error:
            raise explained(self._engine, error) from error
        yield json.dumps({"end": True})

    def take(self, lines: Iterable[str]) -> tuple[int, int]:
        """Add what an export holds, but for chunks that were added before: rows that were new, and that were not."""
        require_head(self._engine)
        source = iter(lines)
        head = _head(next(source, ""))
        self._own()
        added = known = number = 0
        is_whole = False
        while chunk := list(islice(source, LINES_A_CHUNK)):
            found = [_line(text) for text in chunk]
            is_whole = found[-1].get("end") is True
            parts = [one for one in found if "table" in one]
            rows = sum(len(one["rows"]) for one in parts)
            if self._take_chunk(head, number, parts):
                added += rows
            else:
                known += rows
            number += 1
        if not is_whole:
            raise BadFile("the file ends before its end: it was cut off; what it has was taken, import the whole one")
        return added, known

    def _own(self) -> str:
        """The identity of this database, made where there is none: then alone something is written."""
        try:
            with self._engine.connect() as connection:
                found = origins.own(connection)
        except SQLAlchemyError as error:
            raise explained(self._engine, error) from error
        return found or write(self._engine, origins.ensure_own)

    def _take_chunk(self, head: Head, number: int, parts: Sequence[Mapping[str, Any]]) -> bool:
        mark = f"{IMPORTED}{head.file}:{number}"

        def work(connection: Connection) -> bool:
            own = origins.held(connection)
            if _is_taken(connection, mark):
                return False
            if number == 0:
                origins.claim(connection, own, head.file, head.databases, [part.table for part in PARTS])
            hits = sum(_total(one, "path_counters", "hit_count") for one in parts)
            row = {"generation": mark, "applied_at": datetime.now(UTC), "hits": hits, "seconds": 0.0}
            connection.execute(insert(tables.ledger).values(row))
            for name, lines in groupby(parts, lambda one: one["table"]):
                _write(connection, BY_NAME[name], list(lines))
            unroll(connection, _days(parts), int(time.time() // 86_400))
            return True

        try:
            return write(self._engine, work)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise BadFile(f"the file has a row that makes no sense ({type(error).__name__}: {error})") from error


def _is_taken(connection: Connection, mark: str) -> bool:
    ledger = tables.ledger.c
    return connection.execute(select(ledger.generation).where(ledger.generation == mark)).first() is not None


def _head(text: str) -> Head:
    head = _line(text)
    if head.get("format") != FORMAT or not isinstance(head.get("version"), int):
        raise BadFile("this is no export of pathhits: its first line does not say so")
    if head["version"] > VERSION:
        raise BadFile(
            f"this export is of version {head['version']}, newer than this pathhits knows ({VERSION}): upgrade"
        )
    file, databases = head.get("id"), head.get("databases") if head["version"] > 1 else [origins.UNKNOWN]
    if not _is_id(file):
        raise BadFile("this export has no id")
    if not isinstance(databases, list) or not databases or not all(map(_is_id, databases)):
        raise BadFile("this export does not say of which database it is")
    return Head(cast(str, file), tuple(databases))


def _is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None


def _line(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or ("table" in found and not (found["table"] in BY_NAME and "rows" in found)):
        raise BadFile("there is a line in it that is none of an export")
    return found


def _lines(connection: Connection, part: Part) -> Iterator[str]:
    query = _query(part)
    rows = connection.execution_options(yield_per=ROWS_A_LINE).execute(query)
    for owner, of_owner in groupby(rows, lambda row: row[0]):
        values = ([_told(value) for value in row[1:]] for row in of_owner)
        while some := list(islice(values, ROWS_A_LINE)):
            yield json.dumps({"table": part.name, "of": _told(owner), "rows": some}, separators=(",", ":"))


def _query(part: Part) -> Select[Any]:
    """The key of the owner, "" without one, and the columns of the line; rows of one owner stand together."""
    columns: list[Any] = [_key(part.second) if name == part.second_by else part.table.c[name] for name in part.columns]
    if part.owner is None:
        return select(part.table.c[(*part.keys, *part.fixed)[0]].is_(None), *columns)
    owned, joined = (
        part.table.c[part.owned_by],
        part.table.outerjoin(part.owner, part.owner.c.id == part.table.c[part.owned_by]),
    )
    if part.second is not None:
        joined = joined.join(part.second, part.second.c.id == part.table.c[part.second_by])
    # By the id, so that the rows of one owner stand together, of which more than one line may be made.
    order = [part.table.c.moment, part.table.c.id] if part.table is tables.events else [owned, *part.table.primary_key]
    return select(_key(part.owner), *columns).select_from(joined).order_by(*order)


def _key(table: Table | None) -> Column[Any]:
    if table is None:
        raise ValueError("there is no such table")
    return next(column for column in table.c if column.unique and isinstance(column.type, LargeBinary | _KEY_TYPE))


_KEY_TYPE = type(tables.path_counters.c.path_key.type)


def _told(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return None if isinstance(value, bool) else value


def _write(connection: Connection, part: Part, lines: Sequence[Mapping[str, Any]]) -> None:
    # As a sync does it: so popularity sinks and mirrors see which items have other figures.
    stamps: dict[str, Any] = {"updated_at": datetime.now(UTC), "recent_at": 0}
    owners = _ids(connection, part.owner, {line["of"] for line in lines})
    if part.owner is tables.items:
        _touch(connection, owners.values(), stamps)
    place = {name: index for index, name in enumerate(part.columns)}
    seconds = _ids(connection, part.second, {row[place[part.second_by]] for line in lines for row in line["rows"]} if
                   part.second is not None else set())  # fmt: skip
    spec, rows = part.upsert, list[Row]()
    for line in lines:
        for row in line["rows"]:
            if len(row) != len(part.columns):
                raise ValueError(f"a row of {part.name} with {len(row)} columns")
            rows.append(
                tuple(
                    owners[line["of"]] if name == part.owned_by
                    else seconds[row[place[name]]] if name == part.second_by
                    else stamps[name] if name in part.stamps
                    else _value(part.table.c[name], row[place[name]])
                    for name in spec.columns
                )
            )  # fmt: skip
    if part.table is tables.hot_changes:
        for _, of_item in groupby(rows, lambda row: row[0]):
            hothistory.go_on(connection, list(of_item))
        return
    if part.table is tables.events:
        rows = hothistory.without_lost(connection, rows, spec.columns)
    for absent, some in groupby(sorted(rows, key=_absent), _absent):
        _put(connection, part, spec, absent, list(some))


def _put(connection: Connection, part: Part, spec: Upsert, absent: tuple[int, ...], rows: list[Row]) -> None:
    """Write rows that have nothing in some columns: these are left out, and so NULL where a row is new."""
    gone = {spec.columns[index] for index in absent}
    kept = [index for index in range(len(spec.columns)) if index not in absent]
    some = [tuple(row[index] for index in kept) for row in rows]

    def without(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name not in gone)

    if part.keys:
        less = Upsert(
            spec.table, spec.keys, add=spec.add, grow=without(spec.grow), shrink=without(spec.shrink),
            fixed=without(spec.fixed), set=spec.set,
        )  # fmt: skip
        upsert(connection, less, sorted(some, key=lambda row: row[: len(part.keys)]))
    else:
        names = [spec.columns[index] for index in kept]
        connection.execute(insert(part.table), [dict(zip(names, row, strict=True)) for row in some])


def _touch(connection: Connection, ids: Iterable[int], stamps: Mapping[str, Any]) -> None:
    c, some = tables.items.c, sorted(ids)
    # By key, as a sync locks them: two that lock the same rows in one order do not deadlock.
    connection.execute(select(c.id).where(c.id.in_(some)).order_by(c.item_key).with_for_update())
    connection.execute(update(tables.items).where(c.id.in_(some)).values(stamps))


def _absent(row: Row) -> tuple[int, ...]:
    return tuple(index for index, value in enumerate(row) if value is None)


def _ids(connection: Connection, table: Table | None, keys: set[Any]) -> dict[Any, int]:
    """The id of each owner by its key in hexadecimal; 0 for none, as events without an item have it."""
    if table is None:
        return {None: 0}
    wanted = sorted(bytes.fromhex(key) for key in keys if key is not None)
    found = {key.hex(): identity for key, identity in ids_of(connection, _key(table), wanted).items()}
    return {None: 0} | found


def _value(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat(value)
    if isinstance(column.type, LargeBinary | _KEY_TYPE):
        return bytes.fromhex(value)
    return value


def _days(lines: Sequence[Mapping[str, Any]]) -> set[int]:
    """The UTC days that rows of labels and items are of."""
    found = set[int]()
    for line in lines:
        part = BY_NAME[line["table"]]
        if part.table in (tables.path_days, tables.item_days):
            place = part.columns.index("day")
            found |= {row[place] for row in line["rows"]}
    return found


def _total(line: Mapping[str, Any], table: str, column: str) -> int:
    part = BY_NAME[line["table"]]
    if part.name != table:
        return 0
    place = part.columns.index(column)
    return sum(row[place] for row in line["rows"])
