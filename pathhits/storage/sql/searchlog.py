"""Counts searches as they are logged: by query, hour and day, with the visitors of a day; part of a sync's transaction.

What is new is all that is read, but for what the table of days says of the same days. A day has at most so many
queries; those that come after count together.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, func, select

from pathhits.core.eventtypes import SEARCH
from pathhits.core.retention import DAY_MS
from pathhits.core.searches import Search, search_of
from pathhits.events import Logged
from pathhits.storage.sql import tables
from pathhits.storage.sql.dialects.lookups import look_up
from pathhits.storage.sql.dialects.upserts import Upsert, upsert

K = TypeVar("K", bound=Hashable)

#: Milliseconds of an hour.
HOUR_MS = 3_600_000
#: Queries looked up by one statement.
LOOKED_UP = 1_000

_SUMS = ("counted", "results")
_TOTALS = Upsert(
    tables.searches,
    ("search_key",),
    fixed=("search", "entity_type", "failed"),
    add=("search_count", *_SUMS),
    grow=("last_at",),
    returning=("id", "search_key"),
)
_HOURS = Upsert(tables.search_hours, ("search_id", "hour"), add=("searches", *_SUMS))
_DAYS = Upsert(tables.search_days, ("search_id", "day"), add=("searches", *_SUMS, "visitors"))
_VISITORS = Upsert(tables.search_visitors, ("search_id", "day", "visitor"))
_KNOWN = ("SELECT 1 FROM pathhits_search_visitors v WHERE v.search_id = a.n0 AND v.day = a.n1 AND v.visitor = a.n2",)


class _Said(NamedTuple):
    """One search as it counts: under what, with the hash of that, what it found, and who searched when."""

    search: Search
    key: bytes
    results: int | None
    visitor: int
    moment: int

    @property
    def day(self) -> int:
        return self.moment // DAY_MS

    @property
    def other(self) -> _Said:
        """The same under the one name for all further queries."""
        other = self.search.other
        return self._replace(search=other, key=other.key)


def count_searches(connection: Connection, events: Iterable[Logged], most: int) -> None:
    """Add the searches among events that were not logged before; a day counts at most ``most`` queries apart."""
    said = _capped(connection, list(_said(events)), most)
    if not said:
        return
    last: dict[bytes, tuple[int, Search]] = {}
    for one in said:
        last[one.key] = max(last.get(one.key, (0, one.search)), (one.moment, one.search))
    totals = _sums((one.key, one) for one in said)
    rows = [(key, *_fixed(last[key][1]), *totals[key], last[key][0]) for key in sorted(totals)]
    # The locks on these rows keep a second sync from looking for the same visitors just now.
    ids = {bytes(key): identity for identity, key in upsert(connection, _TOTALS, rows)}
    hours = _sums(((ids[one.key], one.moment // HOUR_MS), one) for one in said)
    upsert(connection, _HOURS, sorted((*which, *amounts) for which, amounts in hours.items()))
    days, new = _sums(((ids[one.key], one.day), one) for one in said), _new_visitors(connection, ids, said)
    upsert(connection, _DAYS, sorted((*which, *days[which], new.get(which, 0)) for which in days))


def _said(events: Iterable[Logged]) -> Iterator[_Said]:
    for event in events:
        found = search_of(parsed(event.properties)) if event.name == SEARCH else None
        if found is not None:
            search, results = found
            yield _Said(search, search.key, results, event.visitor, event.moment)


def parsed(properties: str) -> object:
    """The properties of an event as they were logged; None for what is no JSON."""
    try:
        return json.loads(properties) if properties else None
    except (ValueError, RecursionError):
        return None


def _capped(connection: Connection, said: Sequence[_Said], most: int) -> list[_Said]:
    """The searches, those of queries that are too many for their day under one name."""
    by_day: dict[int, dict[bytes, None]] = {}
    for one in sorted(said, key=lambda one: one.moment):
        by_day.setdefault(one.day, {})[one.key] = None
    admitted = {day: _admitted(connection, day, list(keys), most) for day, keys in by_day.items()}
    return [one if one.key in admitted[one.day] else one.other for one in said]


def _admitted(connection: Connection, day: int, keys: Sequence[bytes], most: int) -> set[bytes]:
    """Which queries the day counts apart: those it has, and the first new ones while there is room."""
    c, s = tables.search_days.c, tables.searches.c
    held = connection.scalar(
        select(func.count()).select_from(select(c.search_id).where(c.day == day).limit(most).subquery())
    )
    room = most - (held or 0)
    if len(keys) <= room:
        return set(keys)
    known: set[bytes] = set()
    for first in range(0, len(keys), LOOKED_UP):
        some = select(s.search_key).join_from(tables.searches, tables.search_days, c.search_id == s.id)
        some = some.where(c.day == day, s.search_key.in_(keys[first : first + LOOKED_UP]))
        known.update(bytes(key) for key in connection.scalars(some))
    return known.union([key for key in keys if key not in known][: max(room, 0)])


def _fixed(search: Search) -> tuple[str, str, int]:
    return search.query, search.entity_type, int(search.failed)


def _sums(keyed: Iterable[tuple[K, _Said]]) -> dict[K, tuple[int, int, int]]:
    """For each key the searches, those whose results are known, and results."""
    sums: dict[K, tuple[int, int, int]] = {}
    for key, one in keyed:
        n, counted, results = sums.get(key, (0, 0, 0))
        sums[key] = n + 1, counted + (one.results is not None), results + (one.results or 0)
    return sums


def _new_visitors(connection: Connection, ids: dict[bytes, int], said: Sequence[_Said]) -> dict[tuple[int, int], int]:
    """Visitors that a query had not seen on that day, by query and day; they are noted."""
    asked = sorted({(ids[one.key], one.day, one.visitor) for one in said if one.visitor})
    answers = look_up(connection, asked, _KNOWN)
    fresh = [row for row, (known,) in zip(asked, answers, strict=True) if not known]
    upsert(connection, _VISITORS, fresh)
    new: dict[tuple[int, int], int] = {}
    for search_id, day, _ in fresh:
        new[search_id, day] = new.get((search_id, day), 0) + 1
    return new
