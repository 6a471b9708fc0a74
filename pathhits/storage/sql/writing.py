"""Writes all the counts of one generation within a transaction that somebody else begins and ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, insert, update
from sqlalchemy.exc import DBAPIError

from pathhits.core import dimensions, labels
from pathhits.core.clicks import clicked_counter
from pathhits.core.rules import type_of
from pathhits.core.statuses import Reason
from pathhits.events import Logged
from pathhits.hits import DROPS, HITS, ITEM_TIMES, REQUESTS, SITE, TRAIT_MARK, VIEWS, Sketch
from pathhits.storage.sql import tables
from pathhits.storage.sql.contents import Applied, Contents, Letter, Value
from pathhits.storage.sql.dialects.errors import refuses_rows
from pathhits.storage.sql.dialects.lookups import ids_of
from pathhits.storage.sql.dialects.upserts import Upsert, takes_at_once, upsert, upsert_at_once
from pathhits.storage.sql.log import Found, log
from pathhits.storage.sql.months import unroll
from pathhits.storage.sql.searchlog import HOUR_MS, count_searches, parsed
from pathhits.storage.sql.tables import ITEMS, PATHS, Family

logger = logging.getLogger("pathhits")

#: Distinct queries that a UTC day counts, unless a setting says otherwise.
MAX_SEARCHES = 10_000

T = TypeVar("T")


class _Upserts(NamedTuple):
    """How the three tables of a family are written; ``fixed`` makes the columns that only a new row gets.

    ``reset`` columns become 0 when something is added.
    """

    totals: Upsert
    hours: Upsert
    days: Upsert
    fixed: Callable[[str], tuple[str, ...]]
    reset: tuple[str, ...]


def _upserts(
    family: Family,
    names: tuple[str, ...],
    fixed: Callable[[str], tuple[str, ...]],
    reset: tuple[str, ...] = (),
    added: tuple[str, ...] = (),
) -> _Upserts:
    key, total, each = family.key.name, family.total.name, family.hourly.name
    returning = ("id", key, total)
    totals = Upsert(
        family.totals,
        (key,),
        fixed=(*names, "created_at"),
        add=(total,),
        set=("updated_at", *reset),
        returning=returning,
    )
    hours = Upsert(family.hours, (family.owner, "hour"), add=(each,))
    days = Upsert(family.days, (family.owner, "day"), add=(each, *added), grow=tuple({"visitors"} - set(added)))
    return _Upserts(totals, hours, days, fixed, reset)


# The visitors of a path are absolute, out of a sketch that only grows; those of an item are counted one by one.
_PATHS = _upserts(PATHS, ("path",), lambda path: (path,))
# Recent views that count for nothing make an item due in the next run of the items job.
_ITEMS = _upserts(
    ITEMS, ("item", "item_type"), lambda item: (item, type_of(item)), reset=("recent_at",), added=("visitors",)
)
_SEEN = Upsert(
    tables.items,
    ("item_key",),
    fixed=("item", "item_type", "created_at", "updated_at"),
    add=("visitors",),
    grow=("last_seen",),
    shrink=("first_seen",),
)
# In the order of `ITEM_TIMES`.
_TIMES = ("visits", "seconds", "timed_views")
_ITEM_TIMES = Upsert(tables.items, ("item_key",), fixed=("item", "item_type", "created_at", "updated_at"), add=_TIMES)
_ITEM_DAY_TIMES = Upsert(tables.item_days, ("item_id", "day"), add=_TIMES)
_COUNTERS = Upsert(tables.item_counters, ("item_id", "counter"), add=("total",))
_COUNTER_HOURS = Upsert(tables.item_counter_hours, ("item_id", "counter", "hour"), add=("amount",))
_COUNTER_DAYS = Upsert(tables.item_counter_days, ("item_id", "counter", "day"), add=("amount",))
_VALUES = Upsert(
    tables.values, ("value_key",), fixed=("dimension", "value"), add=("hit_count",), returning=("id", "value_key")
)
_VALUE_DAYS = Upsert(tables.value_days, ("dimension_id", "day", "value_id"), add=("hits",))
_PATH_VALUE_DAYS = Upsert(tables.path_value_days, ("path_id", "dimension_id", "day", "value_id"), add=("hits",))
_SITE_HOURS = Upsert(tables.site_hours, keys=("counter", "hour"), add=("total",))
_SITE_DAYS = Upsert(tables.site_days, keys=("day",), grow=("visitors",))


class Writer:
    """Writes the counts of one generation within one transaction."""

    def __init__(self, contents: Contents, visitors: Mapping[Sketch, int], careful: bool, max_searches: int) -> None:
        self._contents = contents
        self._max_searches = max_searches
        self._visitors = visitors
        self._careful = careful
        self._now = datetime.now(UTC)
        self._started = time.monotonic()
        self._letters = list(contents.letters)
        self._hits = self._paths = self._events = self._deliveries = 0
        self._by_item: dict[str, list[Logged]] = {}
        for event in contents.events:
            self._by_item.setdefault(event.item, []).append(event)
        self._clicks: dict[tuple[str, int], int] = {}
        self._refused: dict[int, int] = {}
        self._refused_paths: set[str] = set()
        self._path_ids: dict[str, int] = {}
        self._refused_views: dict[tuple[str, int], int] = {}
        #: Whether all was written, so that a failure after it can only be the COMMIT's.
        self.complete = False

    def write(self, connection: Connection) -> None:
        """Write all of it; what SQL refuses is set aside, if the writer is ``careful``, else the error is raised."""
        paths = _keyed(self._contents.paths)
        self._guarded(connection, paths, self._write_paths, self._path_letters)
        self._path_ids = self._ids_of_paths(connection, paths)
        values = sorted((dimensions.key(*value), value) for value in self._contents.values)
        self._guarded(connection, values, self._write_values, self._value_letters)
        of_items = (self._contents.items, self._contents.times, self._contents.counters, self._by_item)
        items = set[str]().union(*of_items) - {""}
        self._guarded(connection, _keyed(items), self._write_items, self._item_letters)
        self._guarded(connection, self._by_item.get("", ()), self._write_others, _event_letters)
        site = sorted(self._site().items())
        self._guarded(connection, site, self._write_site, self._site_letters)
        upsert(connection, _SITE_DAYS, sorted((day, n) for (day, label), n in self._visitors.items() if label == SITE))
        self._write_letters(connection)
        self._write_ledger(connection)
        unroll(connection, self._days(), round(self._now.timestamp()) // 86_400)
        self.complete = True

    def _days(self) -> set[int]:
        """The UTC days in which labels have hits, or items views: the site has hours of each."""
        hours = {hour for counter, hour in self._contents.site if counter == HITS or counter.startswith(f"{VIEWS}:")}
        return {hour // 24 for hour in hours}

    def outcome(self) -> Applied:
        """What was written."""
        return Applied(True, self._paths, self._hits, len(self._letters), self._events, self._deliveries)

    def _guarded(
        self,
        connection: Connection,
        rows: Sequence[T],
        write: Callable[[Connection, Sequence[T]], None],
        letters: Callable[[T, str], Iterator[Letter]],
    ) -> None:
        """Write rows at once; when careful, halve what is refused until the culprit stands alone."""
        if not rows:
            return
        if not self._careful:
            write(connection, rows)
            return
        try:
            with connection.begin_nested():
                write(connection, rows)
        except DBAPIError as error:
            if not refuses_rows(error):
                raise
            if len(rows) > 1:
                middle = len(rows) // 2
                self._guarded(connection, rows[:middle], write, letters)
                self._guarded(connection, rows[middle:], write, letters)
            else:
                self._letters += letters(rows[0], str(error.orig).strip())

    def _write_paths(self, connection: Connection, keyed: Sequence[tuple[bytes, str]]) -> None:
        hours = self._contents.paths
        # Plain tuples equal sketches, and are made in a quarter of the time.
        seen: Any = self._visitors
        if takes_at_once(connection, len(keyed)):
            rows = [row for key, path in keyed for row in _at_once(key, path, hours[path], seen)]
            near = upsert_at_once(
                connection, _PATHS.totals, _PATHS.hours, _PATHS.days, rows, self._now, tables.COUNTER_NEAR_MAX
            )
            _warn_near_max(_PATHS, near)
        else:
            ids = self._write_totals(connection, _PATHS, keyed, hours)
            days = [
                (ids[key], day, n, seen.get((day, path), 0))
                for key, path in keyed
                for day, n in _days(hours[path]).items()
            ]
            upsert(connection, _PATHS.days, sorted(days))
        self._hits += sum(n for _, path in keyed for n in hours[path].values())
        self._paths += len(keyed)

    def _ids_of_paths(self, connection: Connection, keyed: Sequence[tuple[bytes, str]]) -> dict[str, int]:
        """The ids of the paths whose hits were written; those that SQL refused have no values either."""
        if not self._contents.values:
            return {}
        found = ids_of(connection, PATHS.key, [key for key, _ in keyed])
        return {path: found[key] for key, path in keyed if path not in self._refused_paths}

    def _write_values(self, connection: Connection, keyed: Sequence[tuple[bytes, Value]]) -> None:
        """What hits are told apart by: each value in all, by day, and by path and day."""
        held = {value: self._of_known_paths(value) for _, value in keyed}
        rows = [(key, *value, _total(held[value])) for key, value in keyed if held[value]]
        ids = {bytes(key): identity for identity, key in upsert(connection, _VALUES, rows)}
        days, by_path = dict[tuple[int, int, int], int](), list[tuple[int, ...]]()
        for key, value in keyed:
            number = dimensions.number_of(value[0])
            for (path_id, day), n in held[value].items():
                by_path.append((path_id, number, day, ids[key], n))
                which = number, day, ids[key]
                days[which] = min(days.get(which, 0) + n, tables.COUNTER_MAX)
        upsert(connection, _VALUE_DAYS, sorted((*which, n) for which, n in days.items()))
        upsert(connection, _PATH_VALUE_DAYS, sorted(by_path))

    def _of_known_paths(self, value: Value) -> dict[tuple[int, int], int]:
        """Hits with this value by id of path and day."""
        known, hits = self._path_ids, self._contents.values[value]
        return {(known[label], day): n for (label, day), n in hits.items() if label in known}

    def _value_letters(self, row: tuple[bytes, Value], error: str) -> Iterator[Letter]:
        dimension, value = row[1]
        for (label, day), n in self._contents.values[row[1]].items():
            yield Letter(f"{day * 24}:{dimension}:{label}{TRAIT_MARK}{value}", str(n), error)

    def _write_items(self, connection: Connection, keyed: Sequence[tuple[bytes, str]]) -> None:
        """Totals first: the locks on these rows keep a second sync from looking for the same visitors just now."""
        ids = self._write_totals(connection, _ITEMS, keyed, self._contents.items)
        owned = [(ids[key], event) for key, item in keyed for event in self._by_item.get(item, ())]
        found = log(connection, owned, announced=self._contents.announced)
        days = [row for key, item in keyed for row in self._item_days(ids[key], item, found)]
        upsert(connection, _ITEMS.days, sorted(days))
        upsert(connection, _SEEN, [row for key, item in keyed for row in self._seen(key, item, ids[key], found)])
        self._write_times(connection, ids, [row for row in keyed if row[1] in self._contents.times])
        self._write_counters(connection, ids, [row for row in keyed if row[1] in self._contents.counters])
        self._note(found)

    def _write_counters(
        self, connection: Connection, ids: Mapping[bytes, int], keyed: Sequence[tuple[bytes, str]]
    ) -> None:
        """What events added to the counters of items; a sum of 0 is written too: it says that there were some."""
        totals, days = dict[tuple[int, str], int](), dict[tuple[int, str, int], int]()
        hours: list[tuple[int, str, int, int]] = []
        for key, item in keyed:
            for (counter, hour), n in self._contents.counters[item].items():
                of_item, of_day = (ids[key], counter), (ids[key], counter, hour // 24)
                totals[of_item] = totals.get(of_item, 0) + n
                days[of_day] = days.get(of_day, 0) + n
                hours.append((ids[key], counter, hour, n))
        upsert(connection, _COUNTERS, sorted((*which, n) for which, n in totals.items()))
        upsert(connection, _COUNTER_HOURS, sorted(hours))
        upsert(connection, _COUNTER_DAYS, sorted((*which, n) for which, n in days.items()))

    def _write_times(
        self, connection: Connection, ids: Mapping[bytes, int], keyed: Sequence[tuple[bytes, str]]
    ) -> None:
        """Visits of items, and the time they had."""
        now, totals, days = self._now, [], list[tuple[int, ...]]()
        for key, item in keyed:
            by_day = _times_by_day(self._contents.times[item])
            totals.append((key, *_ITEMS.fixed(item), now, now, *map(sum, zip(*by_day.values(), strict=True))))
            days += ((ids[key], day, *amounts) for day, amounts in by_day.items())
        upsert(connection, _ITEM_TIMES, totals)
        upsert(connection, _ITEM_DAY_TIMES, sorted(days))

    def _write_others(self, connection: Connection, events: Sequence[Logged]) -> None:
        """The events that happened to no item; searches are counted."""
        found = log(connection, [(0, event) for event in events], announced=self._contents.announced)
        count_searches(connection, found.unowned, self._max_searches)
        self._note(found)

    def _note(self, found: Found) -> None:
        self._events += found.new
        for event in found.clicks:
            which = clicked_counter(type_of(event.item), parsed(event.properties)), event.moment // HOUR_MS
            self._clicks[which] = self._clicks.get(which, 0) + 1
        self._deliveries += found.deliveries

    def _write_totals(
        self,
        connection: Connection,
        into: _Upserts,
        keyed: Sequence[tuple[bytes, str]],
        amounts: Mapping[str, Mapping[int, int]],
    ) -> dict[bytes, int]:
        """Write totals and hours of these subjects; the id of each, by its key."""
        now, fixed, zeros, none = self._now, into.fixed, (0,) * len(into.reset), dict[int, int]()
        rows = [(key, *fixed(one), now, _total(amounts.get(one, none)), now, *zeros) for key, one in keyed]
        found = upsert(connection, into.totals, rows)
        ids = {bytes(key): identity for identity, key, _ in found}
        hours = [(ids[key], hour, n) for key, subject in keyed for hour, n in amounts.get(subject, none).items()]
        upsert(connection, into.hours, sorted(hours))
        _warn_near_max(into, [identity for identity, _, count in found if count >= tables.COUNTER_NEAR_MAX])
        return ids

    def _item_days(self, identity: int, item: str, found: Found) -> Iterator[tuple[int, int, int, int]]:
        views, visitors = _days(self._contents.items.get(item, {})), found.days.get(identity, {})
        for day in views.keys() | visitors.keys():
            yield identity, day, views.get(day, 0), visitors.get(day, 0)

    def _seen(self, key: bytes, item: str, identity: int, found: Found) -> Iterator[tuple[Any, ...]]:
        span = found.spans.get(identity)
        if span:
            first, last = span
            fixed = _ITEMS.fixed(item)
            yield key, *fixed, self._now, self._now, found.visitors.get(identity, 0), last, first

    def _write_site(self, connection: Connection, rows: Sequence[tuple[tuple[str, int], int]]) -> None:
        upsert(connection, _SITE_HOURS, [(counter, hour, n) for (counter, hour), n in rows])

    def _path_letters(self, row: tuple[bytes, str], error: str) -> Iterator[Letter]:
        label = row[1]
        self._refused_paths.add(label)
        for hour, n in self._contents.paths[label].items():
            self._refused[hour] = self._refused.get(hour, 0) + n
            yield Letter(f"{hour}:{HITS}:{label}", str(n), error)

    def _item_letters(self, row: tuple[bytes, str], error: str) -> Iterator[Letter]:
        item = row[1]
        for hour, n in self._contents.items.get(item, {}).items():
            site = (f"{VIEWS}:{type_of(item)}", hour)
            self._refused_views[site] = self._refused_views.get(site, 0) + n
            yield Letter(f"{hour}:{VIEWS}:{item}", str(n), error)
        sums = (self._contents.times.get(item, {}), self._contents.counters.get(item, {}))
        for (counter, hour), n in chain.from_iterable(one.items() for one in sums):
            yield Letter(f"{hour}:{counter}:{item}", str(n), error)
        for event in self._by_item.get(item, ()):
            yield from _event_letters(event, error)

    def _site(self) -> dict[tuple[str, int], int]:
        """The sums of the site, with clicks; hits that SQL refused are drops there, so that the sums agree."""
        site = dict(self._contents.site)
        for key, n in self._clicks.items():
            site[key] = site.get(key, 0) + n
        for key, n in self._refused_views.items():
            site[key] = max(site[key] - n, 0)
        dropped = f"{DROPS}:{Reason.REJECTED}"
        for hour, n in self._refused.items():
            site[HITS, hour] = max(site[HITS, hour] - n, 0)
            site[dropped, hour] = min(site.get((dropped, hour), 0) + n, tables.COUNTER_MAX)
        return {key: n for key, n in site.items() if n}

    def _site_letters(self, row: tuple[tuple[str, int], int], error: str) -> Iterator[Letter]:
        (counter, hour), n = row
        yield Letter(f"{hour}:{counter}", str(n), error)

    def _write_letters(self, connection: Connection) -> None:
        if self._letters:
            rows = [
                {
                    "generation": self._contents.generation,
                    "field": _printable(letter.field),
                    "amount": _printable(letter.amount),
                    "error": _printable(letter.error),
                    "created_at": self._now,
                }
                for letter in self._letters
            ]
            connection.execute(insert(tables.dead_letters), rows)
            logger.error("%d fields of generation %s are dead letters", len(rows), self._contents.generation)

    def _write_ledger(self, connection: Connection) -> None:
        requests = sum(n for (counter, _), n in self._contents.site.items() if counter == REQUESTS)
        connection.execute(
            update(tables.ledger)
            .where(tables.ledger.c.generation == self._contents.generation)
            .values(
                hits=min(self._hits, tables.COUNTER_MAX),
                requests=min(requests, tables.COUNTER_MAX),
                paths=self._paths,
                events=self._events,
                errors=len(self._letters),
                seconds=time.monotonic() - self._started,
            )
        )


def _warn_near_max(into: _Upserts, near: Sequence[int]) -> None:
    if near:
        name = into.totals.table.name
        logger.warning("a counter of %s is near its maximum for id %s; it is clamped there", name, near[:10])


def _at_once(key: bytes, path: str, hours: Mapping[int, int], seen: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of one path as `upsert_at_once` takes them."""
    total: int | None = _total(hours)
    days: dict[int, int | None] = {**_days(hours)}
    for hour, amount in hours.items():
        day = hour // 24
        yield key, path, total, hour, amount, day, days[day], seen.get((day, path), 0)
        total = days[day] = None


def _keyed(subjects: Iterable[str]) -> list[tuple[bytes, str]]:
    """Subjects with the hash they are found by, in its order."""
    return sorted((labels.key_of_clean(subject), subject) for subject in subjects)


def _event_letters(event: Logged, error: str) -> Iterator[Letter]:
    yield Letter(event.name, event.text(), error)


def _days(hours: Mapping[int, int]) -> dict[int, int]:
    """The sums by day of amounts by hour."""
    days: dict[int, int] = {}
    for hour, n in hours.items():
        days[hour // 24] = min(days.get(hour // 24, 0) + n, tables.COUNTER_MAX)
    return days


def _times_by_day(times: Mapping[tuple[str, int], int]) -> dict[int, list[int]]:
    """The amounts of each day in the order of `ITEM_TIMES`."""
    days: dict[int, list[int]] = {}
    for (counter, hour), n in times.items():
        days.setdefault(hour // 24, [0] * len(ITEM_TIMES))[ITEM_TIMES.index(counter)] += n
    return days


def _total(hours: Mapping[Any, int]) -> int:
    return min(sum(hours.values()), tables.COUNTER_MAX)


def _printable(text: str) -> str:
    """Text that every database stores: what is not printable is shown escaped."""
    shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in shown)
