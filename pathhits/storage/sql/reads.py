"""What is stored: one statement in a fresh transaction for each question."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    FromClause,
    LargeBinary,
    Select,
    String,
    and_,
    func,
    literal,
    or_,
    select,
    union_all,
)

from pathhits.core import labels
from pathhits.hits import DROPS, HITS, LAST_HOUR, VIEWS
from pathhits.storage.sql import tables, valuereads
from pathhits.storage.sql.itemreads import HotItem, StoredItem, Wanted, hot_query, item_of, item_query
from pathhits.storage.sql.logsums import log_sums
from pathhits.storage.sql.months import Cover, Gap, by_month, cover, covers, held, is_held
from pathhits.storage.sql.recommendations import also_viewed_query
from pathhits.storage.sql.searchreads import SUMS, StoredSearch, search_query
from pathhits.storage.sql.tables import ITEMS, PATHS, SEARCHES, Family
from pathhits.storage.sql.transactions import read

#: Labels asked for in one statement.
LABELS_A_STATEMENT = 1_000
#: Counters are summed in two halves: SQLite refuses a sum beyond 64 bits, and a clamped counter alone has 63.
_HALF = 2**32


@dataclass(frozen=True, slots=True)
class Window:
    """UTC hours from ``since`` up to, not including, ``until``; None is without end."""

    since: int | None = None
    until: int | None = None

    def holds(self, hour: int) -> bool:
        return (self.since is None or hour >= self.since) and (self.until is None or hour < self.until)

    def hours(self, column: ColumnElement[int]) -> ColumnElement[bool]:
        """The condition that a column of hours lies in the window."""
        conditions = [column >= self.since] if self.since is not None else []
        conditions += [column < self.until] if self.until is not None else []
        return and_(literal(True), *conditions)

    def days(self, column: ColumnElement[int]) -> ColumnElement[bool]:
        """The condition that a column of days touches the window."""
        conditions = [column >= self.since // 24] if self.since is not None else []
        conditions += [column <= (self.until - 1) // 24] if self.until is not None else []
        return and_(literal(True), *conditions)

    def whole_days(self) -> tuple[int | None, int | None]:
        """The days that lie wholly in the window: first, and first after."""
        first = None if self.since is None else -(-self.since // 24)
        after = None if self.until is None else self.until // 24
        return first, after


@dataclass(frozen=True, slots=True)
class Stored:
    """Amounts by key (a label, an hour, a reason), and which of some generations they include."""

    amounts: dict[Any, int]
    applied: frozenset[str]


class Reads:
    """Questions to SQL; each may raise `StoreUnavailable` or `NotMigrated`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def counts(self, family: Family, wanted: Sequence[str], generations: Sequence[str] = ()) -> Stored:
        """All that was counted of each subject, 0 for one unknown; ask for at most `LABELS_A_STATEMENT` at once.

        More would take several statements, which see several moments: a generation may be in the second and not in
        the first.
        """
        keys = {labels.key(subject): subject for subject in wanted}
        query = select(family.key, family.total).where(family.key.in_(list(keys)))
        stored = self._stored(query, generations, LargeBinary())
        found = {keys[bytes(key)]: n for key, n in stored.amounts.items()}
        return Stored(dict.fromkeys(wanted, 0) | found, stored.applied)

    def item_counters(self, wanted: Sequence[tuple[str, str]], generations: Sequence[str] = ()) -> Stored:
        """What events added to counters of items, by counter and item; what nothing was added to is not there."""
        keys = {labels.key(item): item for _, item in wanted}
        c, key = tables.item_counters.c, ITEMS.key
        query = select(literal("", String()), key, c.counter, c.total)
        query = query.join_from(tables.item_counters, tables.items, tables.items.c.id == c.item_id)
        query = query.where(key.in_(list(keys)), c.counter.in_(sorted({counter for counter, _ in wanted})))
        none = literal(b"", LargeBinary()), literal("", String()), literal(0, c.total.type)
        g = tables.ledger.c.generation
        parts = [query, *([select(g, *none).where(g.in_(generations))] if generations else [])]
        rows = self._rows(union_all(*parts))
        amounts = {(row[2], keys[bytes(row[1])]): int(row[3]) for row in rows if not row[0]}
        return Stored(amounts, frozenset(row[0] for row in rows if row[0]))

    def by_reason(self, counter: str, window: Window, generations: Sequence[str] = ()) -> Stored:
        """Drops by reason, or refusals by type and reason, of the whole site."""
        c = tables.site_hours.c
        query = select(c.counter, func.sum(c.total)).where(c.counter.like(f"{counter}:%"), window.hours(c.hour))
        stored = self._stored(query.group_by(c.counter), generations, String())
        return Stored({key.partition(":")[2]: n for key, n in stored.amounts.items()}, stored.applied)

    def recommended(self, window: Window) -> dict[str, int]:
        """Recommendations that were shown and clicked, by counter of the site."""
        c = tables.site_hours.c
        query = select(c.counter, func.sum(c.total)).where(
            or_(c.counter.like("shown:%"), c.counter.like("clicked:%")), window.hours(c.hour)
        )
        return {row[0]: int(row[1]) for row in self._rows(query.group_by(c.counter))}

    def site_hours(self, counter: str, window: Window, generations: Sequence[str] = ()) -> Stored:
        """One counter of the whole site by hour."""
        c = tables.site_hours.c
        query = select(c.hour, c.total)
        return self._stored(query.where(c.counter == counter, window.hours(c.hour)), generations, c.hour.type)

    def site_sums(self, counters: Sequence[str], window: Window, generations: Sequence[str] = ()) -> Stored:
        """Some counters of the whole site, each over all hours of the window."""
        c = tables.site_hours.c
        query = select(c.counter, func.sum(c.total)).where(c.counter.in_(counters), window.hours(c.hour))
        return self._stored(query.group_by(c.counter), generations, String())

    def hours(self, family: Family, subject: str, window: Window, generations: Sequence[str] = ()) -> Stored:
        """What was counted of one subject, by hour."""
        hours, owned = family.hours.c, family.totals.c.id == family.hours.c[family.owner]
        query = select(hours.hour, family.hourly).join_from(family.hours, family.totals, owned)
        query = query.where(family.key == labels.key(subject), window.hours(hours.hour))
        return self._stored(query, generations, hours.hour.type)

    def item_counter_hours(self, counter: str, subject: str, window: Window, generations: Sequence[str] = ()) -> Stored:
        """What events added to a counter of one item, by hour."""
        c, i = tables.item_counter_hours.c, tables.items.c
        query = select(c.hour, c.amount).join_from(tables.item_counter_hours, tables.items, i.id == c.item_id)
        query = query.where(i.item_key == labels.key(subject), c.counter == counter, window.hours(c.hour))
        return self._stored(query, generations, c.hour.type)

    def site_visitors(self, window: Window) -> dict[int, int]:
        """Visitors of the whole site by UTC day."""
        c = tables.site_days.c
        return {row.day: row.visitors for row in self._rows(select(c.day, c.visitors).where(window.days(c.day)))}

    def visitors(self, family: Family, wanted: Iterable[str], window: Window) -> dict[str, dict[int, int]]:
        """Visitors of each subject by UTC day; a day counts whole when the window touches it."""
        keys = {labels.key(subject): subject for subject in wanted}
        days, owned = family.days.c, family.totals.c.id == family.days.c[family.owner]
        query = select(family.key, days.day, days.visitors).join_from(family.days, family.totals, owned)
        found: dict[str, dict[int, int]] = {subject: {} for subject in keys.values()}
        for key, day, n in self._rows(query.where(family.key.in_(list(keys)), window.days(days.day))):
            found[keys[bytes(key)]][day] = n
        return found

    def top(
        self,
        family: Family,
        window: Window,
        limit: int,
        also: Sequence[str] = (),
        generations: Sequence[str] = (),
        item_type: str | None = None,
    ) -> Stored:
        """The ``limit`` subjects with the most in the window (of one type of items), and those ``also`` asked for."""
        for given in covers(self._rows, family, *window.whole_days()):
            query = self._top(family, window, given, limit, also, item_type)
            found = self._stored(query, generations, String(), given)
            if is_held(given, found.applied):
                return found
        raise AssertionError("the last one relies on nothing")

    def _top(
        self, family: Family, window: Window, given: Cover, limit: int, also: Sequence[str], item_type: str | None
    ) -> Select[Any]:
        counted = counted_in(family, window, given)
        name = family.name
        owned = family.totals.c.id == counted.c.owner
        each = select(name.label("name"), counted.c.amount).join_from(counted, family.totals, owned)
        if item_type is not None:
            each = each.where(family.totals.c.item_type == item_type)
        best = each.order_by(counted.c.amount.desc(), name).limit(limit).subquery()
        queries = [select(best.c.name, best.c.amount)]
        for first in range(0, len(also), LABELS_A_STATEMENT):
            keys = [labels.key(subject) for subject in also[first : first + LABELS_A_STATEMENT]]
            queries.append(each.where(family.key.in_(keys)))
        found = (union_all(*queries) if len(queries) > 1 else queries[0]).subquery()
        return select(found.c.name, found.c.amount)

    def top_values(
        self, of: valuereads.Of, search: str, limit: int, also: Sequence[str] = (), generations: Sequence[str] = ()
    ) -> Stored:
        """The ``limit`` values of a dimension with the most hits, and those ``also`` asked for."""
        return self._stored(valuereads.top_values(of, search, limit, also), generations, String())

    def top_paths_with(
        self,
        value: tuple[str, str],
        days: valuereads.Days,
        search: str,
        limit: int,
        also: Sequence[str] = (),
        generations: Sequence[str] = (),
    ) -> Stored:
        """The ``limit`` paths with the most hits that have a value, and those ``also`` asked for."""
        return self._stored(valuereads.top_paths(value, days, search, limit, also), generations, String())

    def days_with(
        self, value: tuple[str, str], days: valuereads.Days, path: str | None, generations: Sequence[str] = ()
    ) -> Stored:
        """Hits that have a value by UTC day, of the site or of one path."""
        return self._stored(valuereads.by_day(value, days, path), generations, tables.value_days.c.day.type)

    def item(self, wanted: Wanted, generations: Sequence[str] = ()) -> StoredItem:
        """All that is stored of one item, and which of the generations that includes."""
        return item_of(self._rows(item_query(wanted, generations)), wanted)

    def hot_items(self, item_type: str, limit: int) -> list[HotItem]:
        """The hot items of a type, those with the most recent views first."""
        return [HotItem(*row) for row in self._rows(hot_query(item_type, limit))]

    def searches(
        self,
        window: Window,
        limit: int,
        entity_type: str | None = None,
        *,
        failed: bool = False,
        holding: str = "",
        by_name: bool = False,
    ) -> list[StoredSearch]:
        """The queries with the most searches in the window, or the first by name; with ``failed`` those in vain."""
        counted = None if window == Window() else counted_in(SEARCHES, window, more=SUMS)
        query = search_query(counted, window, limit, entity_type, failed=failed, holding=holding, by_name=by_name)
        return [StoredSearch(row[0], row[1], *map(int, row[2:])) for row in self._rows(query)]

    def also_viewed(self, item: str) -> list[tuple[str, float, int]]:
        """Id, likeness and visitors in common of the items that go with one, the likest first."""
        rows = self._rows(also_viewed_query(item))
        return [(one[0], one[1], one[2]) for one in json.loads(rows[0][0] or "[]")] if rows else []

    def values_since(self, first_kept: int) -> int:
        """The first UTC day (since 1970) of which paths have all their values, when they are kept since a day.

        Where there are older ones of the site, the oldest of the paths may be what is left of a day. Without any, it is
        a day that never comes.
        """
        of_site, of_paths = (func.min(table.c.day) for table in (tables.value_days, tables.path_value_days))
        parts = (select(oldest).scalar_subquery() for oldest in (of_site, of_paths))
        site, paths = self._rows(select(*parts))[0]
        return LAST_HOUR if paths is None else max(first_kept, paths + (site < paths))

    def totals(self, first_day: int | None = None, values_since: int = 0, compared_since: int = 0) -> dict[str, int]:
        """The sums that must agree: of the counters, the hours, the days, the site and the ledger.

        With a ``first_day`` (UTC, since 1970), from which on the log has every event, also what the log says. Values of
        paths are summed since ``values_since``, and compared to their hits one by one since ``compared_since``.
        """
        site = tables.site_hours.c
        sums: dict[str, tuple[ColumnElement[int], ColumnElement[bool]]] = {
            "path_counters": (PATHS.total, literal(True)),
            "path_hours": (PATHS.hourly, literal(True)),
            "path_days": (PATHS.daily, literal(True)),
            "items": (ITEMS.total, literal(True)),
            "item_hours": (ITEMS.hourly, literal(True)),
            "item_days": (ITEMS.daily, literal(True)),
            "site_views": (site.total, site.counter.like(f"{VIEWS}:%")),
            "site_hits": (site.total, site.counter == HITS),
            "requests": (site.total, site.counter == "requests"),
            "drops": (site.total, site.counter.like(f"{DROPS}:%")),
            "ledger": (tables.ledger.c.hits, literal(True)),
            "values": (tables.values.c.hit_count, literal(True)),
            "value_days": (tables.value_days.c.hits, literal(True)),
            "site_values": (tables.value_days.c.hits, tables.value_days.c.day >= values_since),
            "path_values": (tables.path_value_days.c.hits, tables.path_value_days.c.day >= values_since),
        }
        counter = tables.path_counters.c
        parts = {
            "paths": select(func.count()).select_from(tables.path_counters),
            "dead_letters": select(func.count()).select_from(tables.dead_letters),
            "near_max": select(func.count()).where(counter.hit_count >= tables.COUNTER_NEAR_MAX),
        }
        for name, (column, where) in sums.items():
            parts[f"high {name}"] = select(func.sum(column // _HALF)).where(where)
            parts[f"low {name}"] = select(func.sum(column % _HALF)).where(where)
        parts["days_with_more_values"] = valuereads.days_with_more(compared_since)
        # Not halved: they may be below 0 for a moment, which databases divide differently.
        for name in ("visits", "seconds", "timed_views"):
            parts[f"item_{name}"] = select(func.sum(tables.items.c[name]))
            parts[f"item_day_{name}"] = select(func.sum(tables.item_days.c[name]))
        parts["counters"] = select(func.sum(tables.item_counters.c.total))
        parts["counter_hours"] = select(func.sum(tables.item_counter_hours.c.amount))
        parts["counter_days"] = select(func.sum(tables.item_counter_days.c.amount))
        parts["searches"] = select(func.sum(SEARCHES.total))
        parts["search_hours"] = select(func.sum(SEARCHES.hourly))
        parts["search_days"] = select(func.sum(SEARCHES.daily))
        if first_day is not None:
            parts |= log_sums(first_day)
        row = self._rows(select(*(part.scalar_subquery().label(name) for name, part in parts.items())))[0]
        found = {name: int(value or 0) for name, value in row._mapping.items()}
        whole = {name: found.pop(f"high {name}") * _HALF + found.pop(f"low {name}") for name in sums}
        return found | whole

    def warnings(self) -> tuple[int, int]:
        """How many fields stand aside as dead letters, and how many counters are near their maximum."""
        near = select(func.count()).where(tables.path_counters.c.hit_count >= tables.COUNTER_NEAR_MAX)
        dead = select(func.count()).select_from(tables.dead_letters)
        row = self._rows(select(dead.scalar_subquery(), near.scalar_subquery()))[0]
        return int(row[0]), int(row[1])

    def item_types(self) -> list[str]:
        """The types that there are items of, each found by one step through the index rather than by reading it all."""
        c = tables.items.c.item_type
        found = select(func.min(c).label("type")).cte("types", recursive=True)
        following = select(func.min(c)).where(c > found.c.type).scalar_subquery()
        every = found.union_all(select(following).where(found.c.type.is_not(None)))
        return [row[0] for row in self._rows(select(every.c.type).where(every.c.type.is_not(None)))]

    def last_syncs(self, limit: int) -> list[Mapping[str, Any]]:
        """The generations taken in last: moment, paths, hits, errors, seconds."""
        c = tables.ledger.c
        query = select(c.applied_at, c.paths, c.hits, c.errors, c.seconds).where(c.generation != tables.PRUNED)
        query = query.order_by(c.applied_at.desc()).limit(limit)
        return [row._mapping for row in self._rows(query)]

    def _stored(
        self, query: Select[Any], generations: Sequence[str], key_type: Any, given: Cover | None = None
    ) -> Stored:
        """Run ``query`` (key, amount), and in the same statement ask which generations the ledger has.

        One statement sees one moment, so a generation is either in the amounts or not in the answer.
        """
        none: Any = {"LargeBinary": b"", "String": ""}.get(type(key_type).__name__, 0)
        counted = query.subquery()
        key, amount = counted.c
        parts = [select(literal("", String()).label("g"), key.label("k"), amount.label("n"))]
        nothing = literal(none, key_type), literal(0, tables.path_counters.c.hit_count.type)
        if given is not None:
            parts += held(given, nothing)
        if generations:
            c = tables.ledger.c
            parts.append(select(c.generation, *nothing).where(c.generation.in_(generations)))
        rows = self._rows(union_all(*parts))
        amounts = {row[1]: int(row[2]) for row in rows if not row[0]}
        return Stored(amounts, frozenset(row[0] for row in rows if row[0]))

    def _rows(self, query: Any) -> Sequence[Any]:
        return read(self._engine, query)


def counted_in(family: Family, window: Window, given: Cover | None = None, more: Sequence[str] = ()) -> FromClause:
    """Owners and amounts in the window: whole days from the table of days, the edges from the hours.

    Where months are ``given``, they are read instead of their days. ``more`` are further columns of totals, hours and
    days, to be summed as well; of these there are no months.
    """
    totals, days, hours = family.totals.c, family.days.c, family.hours.c
    if window.since is None and window.until is None:
        return select(
            totals.id.label("owner"), family.total.label("amount"), *(totals[name] for name in more)
        ).subquery()
    day, hour = days.day, hours.hour
    by_day = select(days[family.owner].label("owner"), family.daily.label("amount"), *(days[name] for name in more))
    by_hour = select(hours[family.owner].label("owner"), family.hourly.label("amount"), *(hours[name] for name in more))
    first, after = window.whole_days()
    if first is not None and after is not None and first >= after:
        parts = [by_hour.where(window.hours(hour))]
    else:
        # Each edge apart: joined by OR, a database reads the hours of the whole window to find them.
        edges = [] if first is None else [Window(window.since, first * 24)]
        edges += [] if after is None else [Window(after * 24, window.until)]
        days_of = given or cover(first, after, {})
        parts = [by_day.where(*_between(day, gap)) for gap in days_of.gaps]
        parts += [
            *by_month(family, days_of),
            *(by_hour.where(one.hours(hour)) for one in edges if one.since != one.until),
        ]
    both = (union_all(*parts) if len(parts) > 1 else parts[0]).subquery()
    sums = [func.sum(both.c[name]).label(name) for name in ("amount", *more)]
    return select(both.c.owner, *sums).group_by(both.c.owner).subquery()


def _between(day: ColumnElement[int], gap: Gap) -> list[ColumnElement[bool]]:
    conditions = [day >= gap.first] if gap.first is not None else []
    return conditions + ([day < gap.after] if gap.after is not None else [])
