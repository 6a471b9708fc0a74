"""Which items have changed, what their figures are, and how far each popularity sink has got."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, and_, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from pathhits.hits import VIEWS
from pathhits.storage.sql import tables
from pathhits.storage.sql.transactions import explained, write

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Position(NamedTuple):
    """A place in the order in which items changed: microseconds since 1970, then the item's id."""

    changed_at: int = 0
    item_id: int = 0


class Changed(NamedTuple):
    """An item that changed, and its place in that order."""

    id: int
    item: str
    item_type: str
    views: int
    position: Position


@dataclass(frozen=True, slots=True)
class SinkState:
    """How far a sink has got; ``failures`` are those in a row, with the last ``error`` ("" when all is well)."""

    name: str
    position: Position
    sent: int
    failures: int
    error: str


class Changes:
    """Questions about items; each may raise `StoreUnavailable` or `NotMigrated`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def after(self, position: Position, limit: int) -> list[Changed]:
        """At most ``limit`` items that changed after that place, in this order."""
        c = tables.items.c
        moment = _EPOCH + timedelta(microseconds=position.changed_at)
        # The first condition alone lets a database walk the index.
        later = and_(c.updated_at >= moment, or_(c.updated_at > moment, c.id > position.item_id))
        query = select(c.id, c.item, c.item_type, c.view_count, c.updated_at).where(later)
        rows = self._rows(query.order_by(c.updated_at, c.id).limit(limit))
        return [Changed(row[0], row[1], row[2], row[3], Position(_microseconds(row[4]), row[0])) for row in rows]

    def counters(self, ids: Sequence[int]) -> dict[int, dict[str, int]]:
        """The counters that events add to of each of these items."""
        c = tables.item_counters.c
        found: dict[int, dict[str, int]] = {}
        for identity, name, total in self._rows(select(c.item_id, c.counter, c.total).where(c.item_id.in_(ids))):
            found.setdefault(identity, {})[name] = total
        return found

    def days(self, ids: Sequence[int], first_day: int) -> Iterator[tuple[int, tuple[int, str, int]]]:
        """Views and counters of each of these items by UTC day: item, and (day, name, number)."""
        d, c = tables.item_days.c, tables.item_counter_days.c
        for identity, day, n in self._rows(
            select(d.item_id, d.day, d.views).where(d.item_id.in_(ids), d.day >= first_day)
        ):
            yield identity, (day, VIEWS, n)
        for identity, day, name, n in self._rows(
            select(c.item_id, c.day, c.counter, c.amount).where(c.item_id.in_(ids), c.day >= first_day)
        ):
            yield identity, (day, name, n)

    def _rows(self, query: Any) -> Sequence[Any]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            raise explained(self._engine, error) from error


class SinkStates:
    """How far each sink has got. Raises `StoreUnavailable` or `NotMigrated`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, name: str) -> SinkState:
        """The state of a sink; that of one that nobody has seen yet is written down."""

        def work(connection: Connection) -> SinkState:
            row = connection.execute(select(tables.sinks).where(tables.sinks.c.name == name)).mappings().first()
            if row is None:
                connection.execute(insert(tables.sinks).values(name=name, error=""))
                return SinkState(name, Position(), 0, 0, "")
            position = Position(row["changed_at"], row["item_id"])
            return SinkState(name, position, row["sent"], row["failures"], row["error"])

        return write(self._engine, work)

    def advance(self, name: str, seen: Position, to: Position, sent: int) -> bool:
        """Note that all up to there was sent; False, and nothing is noted, when somebody else has moved it."""
        c = tables.sinks.c
        values: Mapping[Any, Any] = {
            "changed_at": to.changed_at, "item_id": to.item_id, "sent": c.sent + sent, "failures": 0, "error": ""
        }  # fmt: skip
        here = and_(c.name == name, c.changed_at == seen.changed_at, c.item_id == seen.item_id)
        # MariaDB tells rows that it changed: one that is as it was has been found all the same.
        if to == seen and not sent:
            return self._changed(update(tables.sinks).where(here).values(failures=0, error="")) or True
        return self._changed(update(tables.sinks).where(here).values(values))

    def failed(self, name: str, error: str) -> None:
        """Note that sending failed."""
        c = tables.sinks.c
        self._changed(update(tables.sinks).where(c.name == name).values(failures=c.failures + 1, error=error))

    def start_over(self, name: str) -> None:
        """Have every item sent again."""
        self._changed(update(tables.sinks).where(tables.sinks.c.name == name).values(changed_at=0, item_id=0))

    def _changed(self, statement: Any) -> bool:
        return write(self._engine, lambda connection: connection.execute(statement).rowcount > 0)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
