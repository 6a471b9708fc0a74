"""Which listener has yet to be called with which event: one row each, written with the event, taken on a lease."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Engine,
    String,
    bindparam,
    delete,
    func,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from pathhits.core.listeners import matches
from pathhits.events import Event, Logged
from pathhits.storage.sql import tables
from pathhits.storage.sql.dialects.upserts import Upsert, upsert
from pathhits.storage.sql.tables import DEAD, DONE, DUE
from pathhits.storage.sql.transactions import explained, write

#: Milliseconds after which what a listener is known by is written again, so that it can be seen who is gone.
SEEN_EVERY = 60_000
#: Listeners whose queues one statement looks at; SQLite unites 500 at most.
LISTENERS_ASKED = 100

_REGISTER = Upsert(tables.listeners, ("name",), set=("pattern", "active", "seen_at"))
_ANNOUNCE = Upsert(
    tables.deliveries, ("event_id", "listener"), fixed=("due_at", "attempts", "state", "error", "taken_until", "lost")
)

#: The listeners that are known. Rows are found by their listener: the index begins with it.
_KNOWN = select(tables.listeners.c.name)
#: What is due or dead.
_OPEN = (tables.deliveries.c.state.in_([DUE, DEAD]), tables.deliveries.c.listener.in_(_KNOWN))


def announce(connection: Connection, events: Iterable[tuple[bytes, str]]) -> int:
    """Write a delivery for each of these new events (id and name) and each listener that wants it; how many.

    It belongs to the transaction that stores the events, so that no listener misses one, whoever stores it.
    """
    c = tables.listeners.c
    known = connection.execute(select(c.name, c.pattern).where(c.active == 1)).all()
    if not known:
        return 0
    now, wanted, rows = _now(), dict[str, list[str]](), list[tuple[Any, ...]]()
    for identity, name in events:
        if name not in wanted:
            wanted[name] = [listener for listener, pattern in known if matches(pattern, name)]
        rows += ((identity, listener, now, 0, DUE, "", 0, 0) for listener in wanted[name])
    upsert(connection, _ANNOUNCE, sorted(rows))
    return len(rows)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row that was taken: the listener to call with the event, which is None where the log has it no more.

    ``lost`` is how often it was taken alone because the worker that had it died.
    """

    id: int
    listener: str
    attempts: int
    lost: int
    event: Event | None


class Outcome(NamedTuple):
    """What becomes of a row: ``due_at`` (ms) is the moment of its next attempt, or of its end."""

    id: int
    state: int
    attempts: int
    due_at: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class DeadDelivery:
    """A delivery that failed for good: the last error, and when (ms since 1970)."""

    id: int
    listener: str
    event_id: str
    event: str
    item: str
    attempts: int
    moment: int
    error: str


@dataclass(frozen=True, slots=True)
class ListenerState:
    """A listener that some process made known, when one did last (ms), and how many rows are due and dead."""

    name: str
    pattern: str
    seen_at: int
    due: int
    dead: int


class Deliveries:
    """The one who changes deliveries. Raises `StoreUnavailable` or `NotMigrated`, and then has changed nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register(self, patterns: Mapping[str, str]) -> None:
        """Make listeners known, by name with their pattern: events stored from now on are theirs."""
        if not patterns:
            return
        c, now = tables.listeners.c, _now()
        query = select(c.name, c.pattern).where(c.active == 1, c.seen_at > now - SEEN_EVERY)
        known = {(name, pattern) for name, pattern in self._rows(query)}
        rows = [(name, pattern, 1, now) for name, pattern in sorted(patterns.items()) if (name, pattern) not in known]
        if rows:
            write(self._engine, lambda connection: upsert(connection, _REGISTER, rows))

    def forget(self, name: str) -> int:
        """Give up on a listener: it gets no more events, and its rows go; how many it were."""

        def work(connection: Connection) -> int:
            connection.execute(delete(tables.listeners).where(tables.listeners.c.name == name))
            return connection.execute(delete(tables.deliveries).where(tables.deliveries.c.listener == name)).rowcount

        return write(self._engine, work)

    def waiting(self, names: Collection[str], now: int) -> dict[str, int]:
        """Since when (ms) rows wait that nobody has taken yet, by listener, of those who have any due at ``now``."""
        c, asked, found = tables.deliveries.c, sorted(names), dict[str, int]()
        due = (c.state == DUE, c.due_at <= now, c.taken_until == 0)
        for first in range(0, len(asked), LISTENERS_ASKED):
            # Each by the first of its queue, which an index finds: a minimum by group is found by reading all of it.
            firsts = (
                select(literal(name, String()), oldest.scalar_subquery())
                for name in asked[first : first + LISTENERS_ASKED]
                for oldest in [select(c.due_at).where(c.listener == name, *due).order_by(c.due_at).limit(1)]
            )
            found |= {name: moment for name, moment in self._rows(union_all(*firsts)) if moment is not None}
        return found

    def take(self, names: Collection[str], now: int, lease: int, limit: int, *, lost: bool = True) -> list[Delivery]:
        """Take at most ``limit`` rows that are due at ``now`` (ms) for ``lease`` milliseconds, the oldest first.

        A row whose lease ran out, as its worker died, comes after the others, alone, and that is counted: an
        event that kills its worker holds up no other, and ends as dead. It is left where ``lost`` ones are not wanted.
        """

        def work(connection: Connection) -> list[Delivery]:
            c = tables.deliveries.c
            wanted = select(c.id).where(c.state == DUE, c.due_at <= now, c.listener.in_(names))
            wanted = wanted.with_for_update(skip_locked=True)
            fresh = wanted.where(c.taken_until == 0).order_by(c.due_at)
            values: dict[str, Any] = {"taken_until": now + lease}
            ids = connection.scalars(fresh.limit(limit)).all()
            if not ids and lost:
                over = wanted.where(c.taken_until > 0, c.taken_until <= now).order_by(c.taken_until)
                ids = connection.scalars(over.limit(1)).all()
                values["lost"] = c.lost + 1
            if not ids:
                return []
            connection.execute(update(tables.deliveries).where(c.id.in_(ids)).values(values))
            return _taken(connection, ids)

        return write(self._engine, work) if names else []

    def renew(self, ids: Collection[int], until: int) -> None:
        """Make the lease of these rows last until that moment (ms)."""
        c = tables.deliveries.c
        changed = update(tables.deliveries).where(c.id.in_(ids), c.state == DUE, c.taken_until > 0)
        write(self._engine, lambda connection: connection.execute(changed.values(taken_until=until)))

    def let_go(self, ids: Collection[int]) -> None:
        """Let others take these rows, which are as they were."""
        c = tables.deliveries.c
        changed = update(tables.deliveries).where(c.id.in_(ids), c.state == DUE)
        write(self._engine, lambda connection: connection.execute(changed.values(taken_until=0)))

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Write down what became of rows that were taken, and let go of them."""
        if not outcomes:
            return
        table = tables.deliveries
        values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in ("state", "attempts", "due_at", "error")}
        changed = update(table).where(table.c.id == bindparam("b_id"), table.c.state == DUE)
        changed = changed.values(values | {"taken_until": 0})
        rows = [{f"b_{name}": value for name, value in one._asdict().items()} for one in sorted(outcomes)]
        write(self._engine, lambda connection: connection.execute(changed, rows))

    def next_due(self, names: Collection[str]) -> int | None:
        """The moment (ms) at which the next row of these listeners can be taken; None where none waits."""
        c = tables.deliveries.c
        soonest = func.min(c.due_at)
        free = select(soonest).where(c.state == DUE, c.listener.in_(names), c.taken_until == 0)
        lost = select(func.min(c.taken_until)).where(c.state == DUE, c.listener.in_(names), c.taken_until > 0)
        found = [row[0] for query in (free, lost) for row in self._rows(query) if row[0] is not None]
        return min(found, default=None)

    def dead(self, listener: str = "", limit: int = 100) -> list[DeadDelivery]:
        """The deliveries that failed for good, the last ones first; of one listener, where it is given."""
        d, e, i = tables.deliveries.c, tables.events.c, tables.items.c
        joined = tables.deliveries.outerjoin(tables.events, e.id == d.event_id).outerjoin(
            tables.items, i.id == e.item_id
        )
        query = select(d.id, d.listener, d.event_id, e.name, i.item, d.attempts, d.due_at, d.error)
        query = query.select_from(joined).where(d.state == DEAD, d.listener.in_([listener] if listener else _KNOWN))
        return [
            DeadDelivery(row[0], row[1], bytes(row[2]).hex(), row[3] or "", row[4] or "", *row[5:])
            for row in self._rows(query.order_by(d.due_at.desc(), d.id.desc()).limit(limit))
        ]

    def retry(self, listener: str = "") -> int:
        """Make dead rows due again, all attempts ahead of them; how many it were."""
        c = tables.deliveries.c
        values: dict[str, Any] = {"state": DUE, "attempts": 0, "due_at": _now(), "taken_until": 0, "lost": 0}

        def work(connection: Connection) -> int:
            names = [listener] if listener else connection.scalars(_KNOWN).all()
            changed = update(tables.deliveries).where(c.state == DEAD, c.listener.in_(names))
            return connection.execute(changed.values(**values)).rowcount

        return write(self._engine, work)

    def listeners(self) -> list[ListenerState]:
        """All listeners that are known, by name."""
        c, d = tables.listeners.c, tables.deliveries.c
        counted = select(d.listener, d.state, func.count()).where(*_OPEN).group_by(d.listener, d.state)
        counts = {(row[0], row[1]): row[2] for row in self._rows(counted)}
        return [
            ListenerState(
                row.name, row.pattern, row.seen_at, counts.get((row[0], DUE), 0), counts.get((row[0], DEAD), 0)
            )
            for row in self._rows(select(c.name, c.pattern, c.seen_at).order_by(c.name))
        ]

    def counts(self) -> dict[str, int]:
        """How many rows are ``due`` and how many ``dead``, of the listeners that are known."""
        c = tables.deliveries.c
        found = dict(self._rows(select(c.state, func.count()).where(*_OPEN).group_by(c.state)))
        return {"due": found.get(DUE, 0), "dead": found.get(DEAD, 0)}

    def prune(self, before: int, limit: int) -> int:
        """Delete at most ``limit`` rows that were done before that moment (ms); how many it were."""

        def work(connection: Connection) -> int:
            c, ids = tables.deliveries.c, list[int]()
            for name in connection.scalars(_KNOWN).all():
                old = select(c.id).where(c.listener == name, c.state == DONE, c.due_at < before)
                ids += connection.scalars(old.order_by(c.due_at).limit(limit - len(ids)))
                if len(ids) == limit:
                    break
            if ids:
                connection.execute(delete(tables.deliveries).where(c.id.in_(ids)))
            return len(ids)

        return write(self._engine, work)

    def _rows(self, query: Any) -> Sequence[Any]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            raise explained(self._engine, error) from error


def _taken(connection: Connection, ids: Sequence[int]) -> list[Delivery]:
    d, e, i = tables.deliveries.c, tables.events.c, tables.items.c
    joined = tables.deliveries.outerjoin(tables.events, e.id == d.event_id).outerjoin(tables.items, i.id == e.item_id)
    columns = (e.name, i.item, e.visitor, e.user_id, e.user_agent, e.referrer, e.properties, e.moment)
    query = select(d.id, d.listener, d.attempts, d.lost, d.event_id, *columns).select_from(joined)
    rows = connection.execute(query.where(d.id.in_(ids)).order_by(d.due_at, d.id)).all()
    return [Delivery(row[0], row[1], row[2], row[3], _event(row[4:])) for row in rows]


def _event(row: Sequence[Any]) -> Event | None:
    identity, name, item, *rest = row
    return None if name is None else Logged(bytes(identity), name, item or "", *rest).event()


def _now() -> int:
    return time.time_ns() // 1_000_000
