"""Takes a person out of the event log: the events stay, and so every figure does, but nobody's they are any more."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, or_, select, update

from pathhits.storage.sql import tables
from pathhits.storage.sql.transactions import write

#: Rows read, or written, by one statement.
STEP = 1_000
_NOBODY = {"user_id": "", "user_agent": "", "referrer": "", "properties": ""}


class Forgetting:
    """Raises `StoreUnavailable` or `NotMigrated`; what was forgotten before stays so, and another run does the rest."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def forget(self, users: Collection[str], visitors: Collection[int]) -> int:
        """Anonymise the events of these users and visitors, and what those visitors did without being users.

        Each visitor becomes a random number that nothing leads back to, the same in all its events: visitors stay
        as many as they were. Returns the number of events.
        """
        c = tables.events.c
        theirs = or_(c.user_id.in_(users), c.visitor.in_(visitors))
        known = {visitor for _, visitor in self._found(theirs)} | set(visitors)
        found: dict[int, list[bytes]] = {}
        for identity, visitor in self._found(or_(theirs, c.visitor.in_(known - {0}))):
            found.setdefault(visitor, []).append(identity)
        # One transaction a visitor: ended in the middle, none is two. Those of no visitor come last.
        for visitor in sorted(found, key=lambda one: one == 0):
            stranger = secrets.randbits(63) or 1 if visitor else 0
            write(self._engine, partial(_rename, found[visitor], visitor, stranger))
        return sum(map(len, found.values()))

    def _found(self, wanted: ColumnElement[bool]) -> Iterator[tuple[bytes, int]]:
        """Id and visitor of the events that are wanted; the log is read in steps, by its key."""
        c, last = tables.events.c, b""
        while True:
            query = select(c.id, c.visitor).where(wanted, c.id > last).order_by(c.id).limit(STEP)
            rows = write(self._engine, partial(_all, query))
            yield from ((bytes(identity), visitor) for identity, visitor in rows)
            if len(rows) < STEP:
                return
            last = rows[-1][0]


def _all(query: Select[Any], connection: Connection) -> Sequence[Any]:
    return connection.execute(query).all()


def _rename(ids: list[bytes], visitor: int, stranger: int, connection: Connection) -> None:
    for first in range(0, len(ids), STEP):
        some = tables.events.c.id.in_(ids[first : first + STEP])
        connection.execute(update(tables.events).where(some).values(**_NOBODY, visitor=stranger))
    if visitor:
        searched = tables.search_visitors
        connection.execute(update(searched).where(searched.c.visitor == visitor).values(visitor=stranger))
