"""What is known of one item, stored + pending, and which items are hot; what may be asked often is remembered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

import redis

from pathhits.core.counts import Count
from pathhits.core.itemstats import HotRow, ItemDay, ItemStats
from pathhits.core.recommending import Recommended
from pathhits.core.remembered import Remembered
from pathhits.core.rules import subject
from pathhits.hits import SECONDS, TIMED, VIEWS, VISITS
from pathhits.settings import Settings
from pathhits.storage.redis.pending import PendingHours
from pathhits.storage.redis.versions import CHANGING
from pathhits.storage.sql.itemreads import Day, HotItem, ItemVersion, StoredItem, Wanted

#: UTC days of an item that are shown, today among them.
DAYS_SHOWN = 7
#: Items, and lists of hot items, that a process remembers.
ITEMS_REMEMBERED = 1_000
LISTS_REMEMBERED = 100
#: Counters of an item that have a pending part, in the order of `_Pending`.
COUNTERS = (VIEWS, VISITS, SECONDS, TIMED)
#: Names of counters that a process remembers to have read, beside those that it declared.
NAMES_REMEMBERED = 100

K = TypeVar("K")
V = TypeVar("V")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PendingItems(Protocol):
    """What is in Redis; may raise `redis.RedisError`."""

    def by_hour(self, counters: Sequence[tuple[str, str]]) -> list[PendingHours]: ...


class StoredItems(Protocol):
    """What is in SQL; may raise `StoreUnavailable` or `NotMigrated`."""

    def item(self, wanted: Wanted, generations: Sequence[str]) -> StoredItem: ...

    def hot_items(self, item_type: str, limit: int) -> list[HotItem]: ...

    def also_viewed(self, item: str) -> list[tuple[str, float, int]]: ...


class ItemReads:
    """Questions about items; each may raise `StoreUnavailable`, and `NotMigrated` before the first migration.

    What costs more than a look-up is remembered in the process, recent views and days for as long as the settings say.
    It is dropped at once when the item changes, whoever changes it: what is remembered belongs to the item's sums, and
    the one statement that reads them leaves out only what has the same. The hot items belong to a version in Redis,
    which the items job changes.
    """

    def __init__(
        self,
        pending: PendingItems,
        stored: StoredItems,
        hot_version: Callable[[], str],
        settings: Settings,
        clock: Callable[[], float] = time.time,
        recommended_version: Callable[[], str] = lambda: CHANGING,
        counters: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._pending = pending
        self._stored = stored
        self._hot_version = hot_version
        self._recommended_version = recommended_version
        self._clock = clock
        #: The names of what events add to, as far as this process declared them; and those that it found in SQL.
        self._counters = counters
        self._found: dict[str, None] = {}
        self._fresh_ms = round(settings.cache_recent_views * 1000)
        self._recent: Remembered[str, tuple[ItemVersion, int]] = Remembered(
            settings.cache_recent_views, ITEMS_REMEMBERED, clock
        )
        self._days: Remembered[str, tuple[ItemVersion, tuple[Day, ...]]] = Remembered(
            settings.cache_visitors, ITEMS_REMEMBERED, clock
        )
        self._hot: Remembered[tuple[str, int], tuple[str, list[HotRow]]] = Remembered(
            settings.cache_hot_items, LISTS_REMEMBERED, clock
        )
        self._recommended: Remembered[str, tuple[str, list[Recommended]]] = Remembered(
            settings.cache_also_viewed, ITEMS_REMEMBERED, clock
        )

    def item_stats(self, item_type: str, item_id: object) -> ItemStats:
        """All that is known of an item, in one Redis call and one SQL statement.

        Where SQL has a counter that this process never heard of, it asks both once more, as that may have a pending
        part. While Redis is away it is what SQL has, and ``partial``.
        """
        item, now = subject(item_type, item_id), self._clock()
        names = self._names()
        live, stored, recent, days = self._asked(item, now, names)
        if live and self._learn(stored.counters, names):
            names = self._names()
            live, stored, recent, days = self._asked(item, now, names)
        partial = live is None
        waiting = _Pending.of([one for one in live or () if one.generation not in stored.applied], len(names))
        views, _, visits, seconds, timed = stored.version
        added = dict.fromkeys(stored.counters, 0) | dict(zip(names, waiting.counters, strict=True))
        return ItemStats(
            item_type,
            str(item_id),
            Count(views, waiting.views, partial=partial),
            stored.version.visitors,
            max(visits + waiting.visits, 0),
            recent + waiting.views,
            _average(seconds + waiting.seconds, timed + waiting.timed),
            stored.is_hot,
            _days_shown(days, waiting, now),
            _moment(stored.first_seen),
            _moment(stored.last_seen),
            _moment(stored.hot_changed_at),
            partial,
            {name: Count(stored.counters.get(name, 0), n, partial=partial) for name, n in added.items()},
        )

    def _asked(
        self, item: str, now: float, names: Sequence[str]
    ) -> tuple[list[PendingHours] | None, StoredItem, int, tuple[Day, ...]]:
        """What waits in Redis, None while it is away, and then what SQL has."""
        try:
            live = self._pending.by_hour([(counter, item) for counter in (*COUNTERS, *names)])
        except redis.RedisError:
            return None, *self._stored_item(item, now, ())
        return live, *self._stored_item(item, now, [one.generation for one in live])

    def _names(self) -> list[str]:
        """The names of all counters that this process knows of, each once."""
        return list(dict.fromkeys([*self._counters(), *self._found]))

    def _learn(self, stored: Iterable[str], known: Sequence[str]) -> bool:
        """Remember counters that were stored by apps with other event types; whether there are any new ones."""
        new = [name for name in stored if name not in known][: NAMES_REMEMBERED - len(self._found)]
        self._found.update(dict.fromkeys(new))
        return bool(new)

    def _stored_item(
        self, item: str, now: float, generations: Sequence[str]
    ) -> tuple[StoredItem, int, tuple[Day, ...]]:
        """What SQL has of the item, its recent views and its days, read or remembered."""
        recent, days = self._recent.get(item), self._days.get(item)
        now_ms = round(now * 1000)
        wanted = Wanted(
            item,
            now_ms,
            int(now // 86_400) - DAYS_SHOWN + 1,
            # Nothing is fresh enough for one who wants nothing remembered.
            now_ms - self._fresh_ms if self._fresh_ms else now_ms + 86_400_000,
            recent[0] if recent else None,
            days[0] if days else None,
        )
        found = self._stored.item(wanted, generations)
        if found.recent_views is not None:
            recent = found.version, found.recent_views
            self._recent.put(item, recent)
        if found.days is not None:
            days = found.version, found.days
            self._days.put(item, days)
        return found, recent[1] if recent else 0, days[1] if days else ()

    def hot_items(self, item_type: str, limit: int = 10) -> list[HotRow]:
        """The hot items of a type, those with the most recent views first."""
        if limit < 1:
            return []

        def ask() -> list[HotRow]:
            return [_hot_row(item_type, row) for row in self._stored.hot_items(item_type, limit)]

        return _of_version(self._hot_version, self._hot, (item_type, limit), ask)

    def also_viewed(self, item_type: str, item_id: object) -> list[Recommended]:
        """The items that visitors of this one viewed too, the likest first; all that are kept."""
        item = subject(item_type, item_id)

        def ask() -> list[Recommended]:
            return [Recommended(item_type, *row) for row in self._stored.also_viewed(item)]

        return _of_version(self._recommended_version, self._recommended, item, ask)


def _of_version(
    version_of: Callable[[], str], remembered: Remembered[K, tuple[str, list[V]]], key: K, ask: Callable[[], list[V]]
) -> list[V]:
    """What is remembered of the present version, else what ``ask`` reads, which is then."""
    try:
        version = version_of()
    except redis.RedisError:
        version = CHANGING
    known = remembered.get(key)
    if known is not None and known[0] == version != CHANGING:
        return list(known[1])
    rows = ask()
    if version != CHANGING:
        remembered.put(key, (version, rows))
    return list(rows)


@dataclass(frozen=True, slots=True)
class _Pending:
    """What waits in Redis for one item, in all and by UTC day."""

    views: int
    visits: int
    seconds: int
    timed: int
    counters: list[int]
    days: dict[int, list[int]]

    @classmethod
    def of(cls, live: Sequence[PendingHours], names: int) -> _Pending:
        width = len(COUNTERS) + names
        days: dict[int, list[int]] = {}
        for one in live:
            for hour, counts in one.hours.items():
                sums = days.setdefault(hour // 24, [0] * width)
                for place, n in enumerate(counts):
                    sums[place] += n
        totals = [sum(sums[place] for sums in days.values()) for place in range(width)]
        views, visits, seconds, timed = totals[: len(COUNTERS)]
        return cls(views, visits, seconds, timed, totals[len(COUNTERS) :], days)


def _days_shown(days: Sequence[Day], waiting: _Pending, now: float) -> tuple[ItemDay, ...]:
    today = int(now // 86_400)
    stored = {one.day: one for one in days}
    shown = []
    for day in range(today - DAYS_SHOWN + 1, today + 1):
        had = stored.get(day, Day(day, 0, 0, 0, 0, 0))
        views, visits, seconds, *_ = waiting.days.get(day, (0, 0, 0))
        shown.append(
            ItemDay(
                (_EPOCH + timedelta(days=day)).date(),
                had.views + views,
                had.visitors,
                # A correction may be stored before what it corrects.
                max(had.visits + visits, 0),
                max(had.seconds + seconds, 0),
            )
        )
    return tuple(shown)


def _average(seconds: int, timed: int) -> float | None:
    return max(seconds, 0) / timed if timed > 0 else None


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _EPOCH + timedelta(milliseconds=milliseconds)


def _hot_row(item_type: str, row: HotItem) -> HotRow:
    item_id = row.item.partition(":")[2]
    return HotRow(item_type, item_id, row.recent_views, row.views, row.visitors, _moment(row.hot_changed_at))
