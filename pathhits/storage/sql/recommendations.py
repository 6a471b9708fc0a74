"""What recommendations are made of, read from the log in bounded pieces, and the lists that come of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, literal_column, select, union_all

from pathhits.core import labels
from pathhits.core.recommending import ITEMS_A_VISITOR, VISITORS_AN_ITEM, Viewed
from pathhits.core.retention import DAY_MS
from pathhits.events import VIEWED
from pathhits.storage.sql import tables
from pathhits.storage.sql.dialects.upserts import Upsert, upsert
from pathhits.storage.sql.transactions import read, write

#: The latest events of an item, and of a visitor, that are read to find visitors and items.
EVENTS_AN_ITEM = 1_000
EVENTS_A_VISITOR = 200
#: Visitors, and items, asked for in one statement.
VISITORS_A_STATEMENT = 50
ITEMS_A_STATEMENT = 20
#: Rows looked up by their ids in one statement.
LOOKED_UP = 1_000
#: The name of how far the job has read the log.
POSITION = "recommend"

_LISTS = Upsert(tables.also_viewed, ("item_id",), set=("others", "made_at"))
_POSITIONS = Upsert(tables.positions, ("name",), set=("position",))


class LogRow(NamedTuple):
    """A row of the log as the job reads it: the event's id, its visitor, and the item viewed (None for no view)."""

    id: bytes
    visitor: int
    viewed: Viewed | None


class Recommendations:
    """Raises `StoreUnavailable` or `NotMigrated`. What is read in one call is bounded, whoever viewed however much."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def position(self) -> bytes:
        """The id of the last event that was looked at; empty before the first."""
        c = tables.positions.c
        rows = read(self._engine, select(c.position).where(c.name == POSITION))
        return bytes(rows[0][0]) if rows else b""

    def move_to(self, position: bytes) -> None:
        """Note how far the log was read."""
        write(self._engine, lambda connection: upsert(connection, _POSITIONS, [(POSITION, position)]))

    def log_after(self, position: bytes, limit: int) -> list[LogRow]:
        """The next events of the log in the order of their ids, which is that of their moments."""
        c = tables.events.c
        query = select(c.id, c.visitor, c.item_id, c.name).where(c.id > position).order_by(c.id).limit(limit)
        return [LogRow(bytes(row[0]), row[1], _viewed(row[2], row[3])) for row in read(self._engine, query)]

    def visitors_of(self, items: Sequence[int], since: int) -> dict[int, list[int]]:
        """The latest visitors of each item since then (ms), the last one first."""
        c = tables.events.c
        found: dict[int, dict[int, None]] = {item: {} for item in items}
        for _, item, visitor, name in self._latest(c.item_id, items, since, EVENTS_AN_ITEM, ITEMS_A_STATEMENT):
            if visitor and name.endswith(VIEWED) and len(found[item]) < VISITORS_AN_ITEM:
                found[item][visitor] = None
        return {item: list(visitors) for item, visitors in found.items()}

    def baskets(self, visitors: Sequence[int], since: int) -> dict[int, tuple[Viewed, ...]]:
        """The latest items that each visitor viewed since then (ms), the last one first."""
        c = tables.events.c
        found: dict[int, dict[Viewed, None]] = {visitor: {} for visitor in visitors}
        for _, item, visitor, name in self._latest(c.visitor, visitors, since, EVENTS_A_VISITOR, VISITORS_A_STATEMENT):
            viewed = _viewed(item, name)
            if viewed is not None and len(found[visitor]) < ITEMS_A_VISITOR:
                found[visitor][viewed] = None
        return {visitor: tuple(items) for visitor, items in found.items()}

    def visitor_days(self, items: Collection[int], first_day: int) -> dict[int, int]:
        """The visitors of each item from that UTC day on, each once a day."""
        c = tables.item_days.c
        found: dict[int, int] = {}
        for some in _chunks(sorted(items), LOOKED_UP):
            query = select(c.item_id, func.sum(c.visitors)).where(c.item_id.in_(some), c.day >= first_day)
            found.update((row[0], int(row[1])) for row in read(self._engine, query.group_by(c.item_id)))
        return found

    def names(self, items: Collection[int]) -> dict[int, str]:
        """Each item as ``type:id``."""
        c = tables.items.c
        found: dict[int, str] = {}
        for some in _chunks(sorted(items), LOOKED_UP):
            rows = read(self._engine, select(c.id, c.item).where(c.id.in_(some)))
            found.update((row.id, row.item) for row in rows)
        return found

    def store(self, lists: Mapping[int, str], made_at: int) -> None:
        """Replace the lists (JSON) of these items, unless another run has read the log later (ms)."""
        c = tables.also_viewed.c

        def work(connection: Connection) -> None:
            # As a sync locks them, and in its order; what has no row yet cannot be locked itself.
            locked = select(tables.items.c.id).where(tables.items.c.id.in_(lists)).order_by(tables.items.c.item_key)
            connection.execute(locked.with_for_update())
            made = connection.execute(select(c.item_id, c.made_at).where(c.item_id.in_(lists)))
            held = {row.item_id: row.made_at for row in made}
            rows = [
                (item, others, made_at)
                for item, others in sorted(lists.items())
                if (others or item in held) and held.get(item, 0) <= made_at
            ]
            upsert(connection, _LISTS, rows)

        write(self._engine, work)

    def _latest(
        self, column: ColumnElement[int], wanted: Sequence[int], since: int, limit: int, at_once: int
    ) -> Iterable[tuple[int, int, int, str]]:
        """Moment, item, visitor and name of the last events of each that is wanted, the last ones first."""
        for some in _chunks(wanted, at_once):
            rows = read(self._engine, union_all(*(_last(column == one, since, limit) for one in some)))
            # By moment only after the fact: what equals in it is told apart by the number of the other.
            yield from sorted((tuple(row) for row in rows), key=lambda row: (-row[0], row[1], row[2]))


def also_viewed_query(item: str) -> Select[Any]:
    """The statement for the list of an item, ``type:id``."""
    c = tables.items.c
    query = select(tables.also_viewed.c.others).join_from(
        tables.also_viewed, tables.items, tables.also_viewed.c.item_id == c.id
    )
    return query.where(c.item_key == labels.key(item))


def position_of(moment: int) -> bytes:
    """A position before all events from that moment (ms) on."""
    return max(moment, 0).to_bytes(6, "big") + bytes(10)


def first_day(now: int, days: int) -> int:
    """The first of the last so many UTC days (since 1970), today among them."""
    return now // DAY_MS - days + 1


def _last(condition: ColumnElement[bool], since: int, limit: int) -> Select[Any]:
    c = tables.events.c
    # Said in so many words, so that the index of those who are visitors is one for it.
    query = select(c.moment, c.item_id, c.visitor, c.name).where(
        condition, c.moment >= since, c.visitor != literal_column("0")
    )
    some = query.order_by(c.moment.desc(), c.id.desc()).limit(limit).subquery()
    return select(some)


def _viewed(item: int, name: str) -> Viewed | None:
    return Viewed(item, name.removesuffix(VIEWED)) if item and name.endswith(VIEWED) else None


def _chunks(values: Sequence[int], size: int) -> Iterable[Sequence[int]]:
    return (values[first : first + size] for first in range(0, len(values), size))
