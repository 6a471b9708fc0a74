"""What is stored of one item, in one statement, and which items are hot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Select,
    String,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    null,
    select,
    union_all,
)

from pathhits.core import labels
from pathhits.core.hotness import RECENT_MS
from pathhits.core.rules import type_of
from pathhits.events import viewed
from pathhits.storage.sql import tables

#: Stands for "as it was", where the reader knows the number.
UNCHANGED = -1


class ItemVersion(NamedTuple):
    """The sums of an item; as long as they are the same, so is what the log and the days say of it."""

    views: int
    visitors: int
    visits: int
    seconds: int
    timed_views: int


class Day(NamedTuple):
    """One UTC day (whole days since 1970) of an item, as it is stored."""

    day: int
    views: int
    visitors: int
    visits: int
    seconds: int
    timed_views: int


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One item as SQL has it. ``recent_views`` and ``days`` are None when they are as the reader knows them."""

    version: ItemVersion
    recent_views: int | None = 0
    days: tuple[Day, ...] | None = ()
    is_hot: bool = False
    first_seen: int | None = None
    last_seen: int | None = None
    hot_changed_at: int | None = None
    applied: frozenset[str] = frozenset()
    counters: Mapping[str, int] = field(default_factory=dict)


class HotItem(NamedTuple):
    """A hot item as it is stored."""

    item: str
    views: int
    visitors: int
    recent_views: int
    hot_changed_at: int | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of an item as of ``now`` (ms): its days from ``first_day`` on, and its recent views.

    These may be the ones the items job counted after ``fresh`` (ms). ``recent`` and ``days`` are the versions for which
    the reader knows them already, None when it does not.
    """

    item: str
    now: int
    first_day: int
    fresh: int
    recent: ItemVersion | None = None
    days: ItemVersion | None = None


NOTHING = ItemVersion(0, 0, 0, 0, 0)
_ROW, _DAY, _GENERATION, _COUNTER = 0, 1, 2, 3
#: Numbers in a row of the statement; what has fewer is filled up.
_WIDTH = 10


def item_query(wanted: Wanted, generations: Sequence[str]) -> CompoundSelect[Any]:
    """One statement for all that is stored of an item, and which of the generations that includes."""
    parts = [_totals(wanted), _days(wanted), _counters(wanted)]
    if generations:
        c = tables.ledger.c
        parts.append(_part(_GENERATION, c.generation, []).where(c.generation.in_(generations)))
    return union_all(*parts)


def item_of(rows: Sequence[Any], wanted: Wanted) -> StoredItem:
    """The answer to `item_query`."""
    applied = frozenset(row[1] for row in rows if row[0] == _GENERATION)
    found = next((row for row in rows if row[0] == _ROW), None)
    if found is None:
        return StoredItem(NOTHING, applied=applied)
    version = ItemVersion(*found[2:7])
    first_seen, last_seen, is_hot, hot_changed_at, recent = found[7:12]
    return StoredItem(
        version,
        None if recent == UNCHANGED else recent,
        None if version == wanted.days else tuple(sorted(Day(*row[2:8]) for row in rows if row[0] == _DAY)),
        bool(is_hot),
        first_seen,
        last_seen,
        hot_changed_at,
        applied,
        {row[1]: row[2] for row in rows if row[0] == _COUNTER},
    )


def hot_query(item_type: str, limit: int) -> Select[Any]:
    """The hot items of a type, those with the most recent views first."""
    c = tables.items.c
    query = select(c.item, c.view_count, c.visitors, c.recent_views, c.hot_changed_at)
    return query.where(c.is_hot == 1, c.item_type == item_type).order_by(c.recent_views.desc(), c.item).limit(limit)


def _totals(wanted: Wanted) -> Select[Any]:
    c = tables.items.c
    numbers = [*_sums(), c.first_seen, c.last_seen, c.is_hot, c.hot_changed_at, _recent(wanted)]
    return _part(_ROW, literal("", String()), numbers).where(c.item_key == labels.key(wanted.item))


def _days(wanted: Wanted) -> Select[Any]:
    c, d = tables.items.c, tables.item_days.c
    part = _part(_DAY, literal("", String()), [d.day, d.views, d.visitors, d.visits, d.seconds, d.timed_views])
    part = part.join_from(tables.items, tables.item_days, d.item_id == c.id)
    known = _is(wanted.days)
    return part.where(c.item_key == labels.key(wanted.item), d.day >= wanted.first_day, ~known)


def _counters(wanted: Wanted) -> Select[Any]:
    c, n = tables.items.c, tables.item_counters.c
    part = _part(_COUNTER, n.counter, [n.total]).join_from(tables.items, tables.item_counters, n.item_id == c.id)
    return part.where(c.item_key == labels.key(wanted.item))


def _part(kind: int, text: ColumnElement[str], numbers: Sequence[ColumnElement[Any]]) -> Select[Any]:
    filled = [*numbers, *[null()] * (_WIDTH - len(numbers))]
    columns: list[ColumnElement[Any]] = [cast(number, BigInteger()) for number in filled]
    return select(literal(kind, BigInteger()), text, *columns)


def _recent(wanted: Wanted) -> ColumnElement[Any]:
    """Recent views: as known, as the items job counted them a moment ago, else from the log."""
    c, e = tables.items.c, tables.events.c
    name = viewed(type_of(wanted.item))
    counted = select(func.count()).where(e.item_id == c.id, e.moment > wanted.now - RECENT_MS, e.name == name)
    return case(
        (_is(wanted.recent), UNCHANGED),
        (c.recent_at > wanted.fresh, c.recent_views),
        else_=counted.correlate(tables.items).scalar_subquery(),
    )


def _is(version: ItemVersion | None) -> ColumnElement[bool]:
    """Whether the item's sums are still these."""
    if version is None:
        return false()
    return and_(*(column == number for column, number in zip(_sums(), version, strict=True)))


def _sums() -> list[ColumnElement[int]]:
    c = tables.items.c
    return [c.view_count, c.visitors, c.visits, c.seconds, c.timed_views]
