"""Writes events into the log, each once, and finds which of them brought a visitor that their item had not seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from pathhits.core.clicks import CLICKED_VERB
from pathhits.events import VIEWED, Logged
from pathhits.storage.sql import tables
from pathhits.storage.sql.deliveries import announce
from pathhits.storage.sql.dialects.lookups import look_up, present
from pathhits.storage.sql.dialects.upserts import Upsert, upsert

#: Milliseconds of a UTC day.
DAY = 86_400_000
#: Visitors looked up by one statement.
LOOKED_UP = 10_000

EVENTS = Upsert(
    tables.events,
    ("id",),
    fixed=("name", "item_id", "visitor", "user_id", "user_agent", "referrer", "properties", "moment"),
)
_SAME = (
    "SELECT 1 FROM {events} WHERE e.item_id = a.n0 AND e.visitor = a.n1"
    # No LIKE: drivers read a percent sign as a parameter, each in a way of its own.
    f" AND REPLACE(e.name, '{VIEWED}', '') <> e.name"
)
#: Whether a visitor (``a.n1``) viewed an item (``a.n0``) before, and on the day that begins at ``a.n2``. A visitor's
#: hash holds for one salt period, so the first is whether the item saw the visitor in this salt period. The 0 keeps
#: databases from the index over items and moments, which would read all views of the item on that day.
QUESTIONS = (_SAME, f"{_SAME} AND e.moment + 0 >= a.n2 AND e.moment + 0 < a.n2 + {DAY}")


@dataclass(slots=True)
class Found:
    """What new events were: their number, and of the views among them, by item, the visitors that are new to it.

    ``days`` has visitors new on a UTC day, ``visitors`` those new in a salt period, ``spans`` the first and the last
    moment (ms). ``deliveries`` are those written for listeners, ``unowned`` the new events that have no item,
    ``clicks`` those that are clicks on recommendations.
    """

    new: int = 0
    deliveries: int = 0
    days: dict[int, dict[int, int]] = field(default_factory=dict)
    visitors: dict[int, int] = field(default_factory=dict)
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    unowned: list[Logged] = field(default_factory=list)
    clicks: list[Logged] = field(default_factory=list)


def log(connection: Connection, events: Sequence[tuple[int, Logged]], *, announced: bool = True) -> Found:
    """Write events, each with the id of its item (0 for none), unless they are there; what was found of the new ones.

    Listeners will be called with those that are new, unless they are not ``announced``.
    The caller holds locks on the items, so that no other transaction logs events of theirs.
    """
    known = present(connection, tables.events.c.id, [event.id for _, event in events])
    new = {event.id: (item, event) for item, event in events if event.id not in known}
    found = Found(len(new), unowned=[event for item, event in new.values() if not item])
    found.clicks = [event for _, event in new.values() if event.name.endswith(CLICKED_VERB)]
    views = [(item, event) for item, event in new.values() if item and event.name.endswith(VIEWED)]
    for item, event in views:
        first, last = found.spans.get(item, (event.moment, event.moment))
        found.spans[item] = min(first, event.moment), max(last, event.moment)
    _count_visitors(connection, views, found)
    upsert(connection, EVENTS, [_row(*new[identity]) for identity in sorted(new)])
    if announced:
        found.deliveries = announce(connection, ((identity, event.name) for identity, (_, event) in new.items()))
    return found


def _count_visitors(connection: Connection, views: Sequence[tuple[int, Logged]], found: Found) -> None:
    asked = sorted({(item, e.visitor, e.moment - e.moment % DAY) for item, e in views if e.visitor})
    before: set[tuple[int, int]] = set()
    for (item, visitor, start), (ever, today) in zip(asked, _answers(connection, asked), strict=True):
        if not today:
            days = found.days.setdefault(item, {})
            days[start // DAY] = days.get(start // DAY, 0) + 1
        if not ever and (item, visitor) not in before:
            found.visitors[item] = found.visitors.get(item, 0) + 1
        before.add((item, visitor))


def _answers(connection: Connection, asked: Sequence[tuple[int, int, int]]) -> Iterator[tuple[Any, ...]]:
    for first in range(0, len(asked), LOOKED_UP):
        yield from look_up(connection, asked[first : first + LOOKED_UP], QUESTIONS)


def _row(item: int, event: Logged) -> tuple[object, ...]:
    identity, name, _, *rest = event
    return identity, name, item, *rest
