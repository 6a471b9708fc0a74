"""What hits are told apart by besides their label, stored + pending: values, and paths and days of one value.

The order of `pathhits.stats` holds here too: Redis first, then one SQL statement that says what it includes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import redis

from pathhits.core import dimensions, labels
from pathhits.core.periods import By, bucket_index, bucket_starts, to_hour
from pathhits.errors import StoreUnavailable
from pathhits.hits import Delta
from pathhits.stats import PENDING_LABELS, PathRow, Point
from pathhits.storage.redis.client import explain
from pathhits.storage.redis.pending import NotAGeneration, PendingStore
from pathhits.storage.sql.reads import Reads, Stored
from pathhits.storage.sql.valuereads import Days, Of

K = TypeVar("K", str, int)
#: A dimension and one of its values, as hits are filtered by.
Where = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One line of `ValueReads.top_values`."""

    value: str
    hits: int


@dataclass(frozen=True, slots=True)
class _Found:
    """Hits of one label on one UTC day that have one value."""

    label: str
    day: int
    value: str
    hits: int


class ValueReads:
    """Questions about values; each may raise `StoreUnavailable`, and `NotMigrated` before the first migration.

    Values are counted by UTC day. A period takes the days whose noon it holds, the present day as well when it reaches
    the present, and of a period that holds no noon the day it ends on.
    """

    def __init__(
        self, pending: PendingStore, reads: Reads, redis_url: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._pending = pending
        self._reads = reads
        self._redis_url = redis_url
        self._clock = clock
        self._seen: dict[str, Mapping[bytes, bytes]] | None = None
        self._looks_once = False

    def look(self) -> ValueReads:
        """The same questions about one moment of Redis, which is read at the first of them."""
        other = ValueReads(self._pending, self._reads, self._redis_url, self._clock)
        other._looks_once = True
        return other

    def top_values(
        self,
        dimension: str,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 10,
        label: str | None = None,
        search: str = "",
        offset: int = 0,
    ) -> list[ValueRow]:
        """The values of a dimension with the most hits, of one label or of the site; see `ValueReads` for the period.

        ``search`` is a part of the values wanted, in whatever case; ``offset`` are rows to leave out at the beginning.
        Raises ValueError for a dimension that there is not.
        """
        path = None if label is None else labels.clean(label)
        of = Of(dimension, self._days(since, until), path)
        live = self._live(dimension, of.days)
        waiting = {
            generation: _sums(
                (one.value, one.hits) for one in found if path in (None, one.label) and _matches(one.value, search)
            )
            for generation, found in live.items()
        }
        also, wanted = _most(waiting), max(limit, 0) + offset
        stored = self._reads.top_values(of, search, wanted, also, list(live))
        return [ValueRow(value, n) for value, n in _best(stored, waiting, also, wanted)[offset:]]

    def top_paths(
        self,
        where: Where,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 10,
        search: str = "",
        offset: int = 0,
    ) -> list[PathRow]:
        """The labels with the most hits that have a value, ``("browser", "Firefox")``; else as `top_values`.

        Visitors are not counted by value: they are None.
        """
        dimension, value = wanted_value = _clean(where)
        days = self._days(since, until)
        live = self._live(dimension, days)
        waiting = {
            generation: _sums(
                (one.label, one.hits) for one in found if one.value == value and _matches(one.label, search)
            )
            for generation, found in live.items()
        }
        also, wanted = _most(waiting), max(limit, 0) + offset
        stored = self._reads.top_paths_with(wanted_value, days, search, wanted, also, list(live))
        return [PathRow(path, n, None) for path, n in _best(stored, waiting, also, wanted)[offset:]]

    def series(
        self, where: Where, since: datetime, until: datetime, by: By = "day", tz: str = "UTC", label: str | None = None
    ) -> list[Point]:
        """Hits that have a value, of one label or of the site, one number a step; empty steps are 0.

        A UTC day belongs to the step that holds its noon, so there are no steps shorter than a day.
        """
        if by == "hour":
            raise ValueError("values are counted by day: use by='day', 'week' or 'month'")
        path, (dimension, value) = None if label is None else labels.clean(label), _clean(where)
        starts, days = bucket_starts(since, until, by, tz), self._days(since, until)
        at, values = bucket_index(starts), [0] * len(starts)
        live = self._live(dimension, days)
        waiting = {
            generation: _sums((one.day, one.hits) for one in found if one.value == value and path in (None, one.label))
            for generation, found in live.items()
        }
        stored = self._reads.days_with((dimension, value), days, path, list(live))
        for day, n in _added(stored, waiting).items():
            if values:
                values[min(max(at(day * 24 + 12), 0), len(values) - 1)] += n
        return [Point(start, n) for start, n in zip(starts, values, strict=True)]

    def _days(self, since: datetime | None, until: datetime | None) -> Days:
        now = int(self._clock() // 3_600)
        start, end = (None if since is None else to_hour(since)), (None if until is None else to_hour(until, True))
        first, after = (None if one is None else (one + 11) // 24 for one in (start, end))
        if first is not None and start is not None and end is None and start <= now:
            first = min(first, now // 24)
        if end is not None and after is not None:
            if end > now:
                after = max(after, now // 24 + 1)
            if first is not None and start is not None and start < end and after <= first:
                first, after = (end - 1) // 24, (end - 1) // 24 + 1
        return Days(first, after)

    def _live(self, dimension: str, days: Days) -> dict[str, list[_Found]]:
        """What every live generation holds of a dimension on these days; what makes no sense is left to the sync."""
        dimensions.number_of(dimension)
        return {
            generation: [one for one in _of_dimension(fields, dimension) if days.holds(one.day)]
            for generation, fields in self._generations().items()
        }

    def _generations(self) -> dict[str, Mapping[bytes, bytes]]:
        """The values that every live generation holds, by generation."""
        if self._seen is not None:
            return self._seen
        try:
            found = {generation: self._fields(generation) for generation in self._pending.live()}
        except redis.RedisError as error:
            raise StoreUnavailable(explain(error, self._redis_url)) from error
        if self._looks_once:
            self._seen = found
        return found

    def _fields(self, generation: str) -> Mapping[bytes, bytes]:
        try:
            return self._pending.traits(generation)
        except NotAGeneration:
            return {}


def _of_dimension(fields: Mapping[bytes, bytes], dimension: str) -> Iterator[_Found]:
    kind = next(kind for kind, names in dimensions.KINDS.items() if dimension in names)
    mark = f":{kind}:".encode()
    for field, amount in fields.items():
        if mark not in field:  # most are of another kind, and parsing each would take ten times as long
            continue
        try:
            delta, hits = Delta.parse(field), int(amount)
            if delta.counter != kind:
                continue
            label, values = dimensions.split(delta)
        except ValueError:
            continue
        for name, value in values:
            if name == dimension:
                yield _Found(label, delta.hour // 24, value, hits)


def _clean(where: Where) -> Where:
    dimension, value = where
    dimensions.number_of(dimension)
    return dimension, dimensions.clean(value)


def _matches(text: str, search: str) -> bool:
    return search.lower() in text.lower()


def _sums(pairs: Iterable[tuple[K, int]]) -> Counter[K]:
    sums: Counter[K] = Counter()
    for key, n in pairs:
        sums[key] += n
    return sums


def _added(stored: Stored, waiting: Mapping[str, Counter[K]]) -> Counter[K]:
    """What is stored, and what waits in generations that it does not include."""
    sums: Counter[K] = Counter(stored.amounts)
    for generation, counted in waiting.items():
        if generation not in stored.applied:
            sums.update(counted)
    return sums


def _most(waiting: Mapping[str, Counter[str]]) -> list[str]:
    """What has the most that waits, to be looked up in SQL."""
    total: Counter[str] = Counter()
    for counted in waiting.values():
        total.update(counted)
    return sorted(name for name, _ in total.most_common(PENDING_LABELS))


def _best(stored: Stored, waiting: Mapping[str, Counter[str]], also: list[str], limit: int) -> list[tuple[str, int]]:
    known = stored.amounts.keys() | set(also)
    sums = {name: n for name, n in _added(stored, waiting).items() if n and name in known}
    return sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
