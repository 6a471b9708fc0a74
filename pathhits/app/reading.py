"""The reading side of `PathHits`: stored + pending.

The counts of a page are for templates: they answer within `Settings.request_deadline` and never raise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from redis import RedisError

from pathhits.app.parts import COUNTS_REMEMBERED, Parts
from pathhits.core.counts import Count
from pathhits.core.itemstats import HotRow, ItemStats, last_known
from pathhits.core.rules import check_type, subject
from pathhits.errors import StoreUnavailable
from pathhits.hits import ITEM_MARK
from pathhits.storage.redis.client import explain

if TYPE_CHECKING:
    from pathhits.core.periods import By
    from pathhits.stats import ItemRow, Metric, PathRow, Point, Visits
    from pathhits.valuestats import ValueRow, Where


class Reading(Parts):
    """Questions to both stores."""

    def warm_up(self) -> None:
        """Import and build what reads need; called where an app is made, it gives the first visitor a count in time."""
        _ = self.stats, self.item_reads, self.value_reads

    def hit_count(self, label: object) -> Count:
        """All hits of ``label``, stored + pending; ``.partial`` when a store did not answer in time.

        Any value is taken as its text: the endpoint of a page that was not found is None, and has no hits.
        """
        return self.hit_counts([label])[str(label)]

    def hit_counts(self, labels: Iterable[object]) -> dict[str, Count]:
        """All hits of each label, in one Redis call and one SQL statement; a partial one is the last that was known."""
        wanted = list(dict.fromkeys(map(str, labels)))
        return self._in_time("", wanted, lambda: self.stats.hit_counts(wanted))

    def stored_hit_count(self, label: object) -> int:
        """The part of `hit_count` that is in SQL."""
        return self.hit_count(label).stored

    def pending_hit_count(self, label: object) -> int:
        """The part of `hit_count` that is in Redis and not yet in SQL."""
        return self.hit_count(label).pending

    def view_count(self, item_type: str, item_id: object) -> Count:
        """All views of an item, stored + pending; else as `hit_count`."""
        return self.view_counts(item_type, [item_id])[str(item_id)]

    def view_counts(self, item_type: str, ids: Iterable[object]) -> dict[str, Count]:
        """All views of each item, by its id as text; one Redis call and one SQL statement."""
        wanted = list(dict.fromkeys(str(one) for one in ids))
        return self._in_time(
            f"{ITEM_MARK}{item_type}:", wanted, lambda: self.stats.view_counts(check_type(item_type), wanted)
        )

    def stored_view_count(self, item_type: str, item_id: object) -> int:
        """The part of `view_count` that is in SQL."""
        return self.view_count(item_type, item_id).stored

    def pending_view_count(self, item_type: str, item_id: object) -> int:
        """The part of `view_count` that is in Redis and not yet in SQL."""
        return self.view_count(item_type, item_id).pending

    def counter(self, item_type: str, item_id: object, name: str) -> Count:
        """A counter of an item that events add to (``likes``), stored + pending; else as `hit_count`."""
        return self.counters(item_type, [item_id], [name])[str(item_id)][name]

    def counters(self, item_type: str, ids: Iterable[object], names: Iterable[str]) -> dict[str, dict[str, Count]]:
        """Some counters of each item, by its id as text and by name; one Redis call and one SQL statement."""
        wanted = [(one, name) for one in dict.fromkeys(map(str, ids)) for name in dict.fromkeys(names)]
        asked = {ITEM_MARK.join((name, item_type, one)): (one, name) for one, name in wanted}
        found = self._in_time(
            ITEM_MARK,
            asked,
            lambda: dict(zip(asked, self.stats.counters(check_type(item_type), wanted), strict=True)),
        )
        counts: dict[str, dict[str, Count]] = {}
        for label, (one, name) in asked.items():
            counts.setdefault(one, {})[name] = found[label]
        return counts

    def item_stats(self, item_type: str, item_id: object) -> ItemStats:
        """All that is known of an item, stored + pending; a partial one is the last that was known."""
        name = subject(item_type, item_id)
        found = self._answer(lambda: self.item_reads.item_stats(check_type(item_type), item_id))
        if found is None or found.partial:
            known = self._last_items.get(name)
            return last_known(known, found, item_type, str(item_id), self.event_types.counters)
        self._last_items.put(name, found)
        return found

    async def aitem_stats(self, item_type: str, item_id: object) -> ItemStats:
        """`item_stats` for async code: it does not hold up the event loop."""
        return await asyncio.to_thread(self.item_stats, item_type, item_id)

    def hot_items(self, item_type: str, limit: int = 10) -> list[HotRow]:
        """The hot items of a type, those with the most recent views first; the last known ones when SQL is too slow."""
        found = self._answer(lambda: self.item_reads.hot_items(check_type(item_type), limit))
        if found is None:
            return self._last_hot.get((item_type, limit)) or []
        self._last_hot.put((item_type, limit), found)
        return found

    def top_items(
        self, item_type: str, since: datetime | None = None, until: datetime | None = None, limit: int = 10
    ) -> list[ItemRow]:
        """The items of a type with the most views between two aware datetimes; see `Stats.top_items`."""
        return self.stats.top_items(item_type, since, until, limit)

    def rule_stats(self) -> dict[str, Any]:
        """The limits in force by item type, the live keys of the rules, and refusals by ``type:reason``.

        Counting live keys scans all of Redis: for a person who looks, not for a page. Raises `StoreUnavailable`.
        """
        try:
            live_keys = self.court.live_keys()
        except RedisError as error:
            raise StoreUnavailable(explain(error, self.settings.redis_url)) from error
        limits = {declared.name: declared.rules.limits._asdict() for declared in self.items}
        return {"limits": limits, "live_keys": live_keys, "refusals": self.stats.refusals()}

    def top_paths(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 10,
        where: Where | None = None,
    ) -> list[PathRow]:
        """The labels with the most hits between two aware datetimes; see `Stats.top_paths`.

        With ``where``, such as ``("browser", "Firefox")``, of hits that have this value; see `ValueReads.top_paths`.
        """
        if where is not None:
            return self.value_reads.top_paths(where, since, until, limit)
        return self.stats.top_paths(since, until, limit)

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
        """The values of a dimension ("referrer", "browser" ...) with the most hits; see `ValueReads.top_values`."""
        return self.value_reads.top_values(dimension, since, until, limit, label, search, offset)

    def series(
        self,
        metric: Metric | str,
        since: datetime,
        until: datetime,
        by: By = "hour",
        tz: str = "UTC",
        label: str | None = None,
        item: tuple[str, object] | None = None,
        where: Where | None = None,
    ) -> list[Point]:
        """One number a step in a time zone; see `Stats.series`.

        With ``where``, such as ``("browser", "Firefox")``, hits that have this value, by day, week or month: see
        `ValueReads.series`. Raises ValueError for another metric, for items, and for a counter that nothing adds to.
        """
        if where is not None:
            if metric != "hits" or item is not None:
                raise ValueError("of values only hits are counted, of the site or of one label")
            return self.value_reads.series(where, since, until, by, tz, label)
        points = self.stats.series(metric, since, until, by, tz, label, item)
        if item is not None and not any(point.value for point in points):
            self._check_counter(metric, *item)
        return points

    def _check_counter(self, name: str, item_type: str, item_id: object) -> None:
        """Raises ValueError for a counter that no event of this app adds to, and that has nothing from before."""
        known = ("views", "visitors", *self.event_types.counters)
        if name not in known and not any(self.stats.counters(item_type, [(str(item_id), name)])):
            raise ValueError(f"{name!r} is not counted of an item: {', '.join(sorted(known))} are; see event_type()")

    def visits(self, since: datetime | None = None, until: datetime | None = None) -> Visits:
        """Visits, bounces and seconds of the visits that began between two aware datetimes; see `Stats.visits`."""
        return self.stats.visits(since, until)

    def active_visitors(self) -> int:
        """Visitors who made a hit in the last five minutes; 0 where `Settings.visit_timeout` is."""
        return self.stats.active_visitors()

    def drops(self, since: datetime | None = None, until: datetime | None = None) -> dict[str, int]:
        """Requests seen and not counted, by reason, stored + pending."""
        return self.stats.drops(since, until)

    def total(self, metric: Literal["hits", "requests"] = "hits") -> int:
        """Hits, or requests seen, of the whole site since the beginning, stored + pending."""
        return self.stats.total(metric)

    def _in_time(self, prefix: str, wanted: Iterable[str], ask: Callable[[], dict[str, Count]]) -> dict[str, Count]:
        """The counts that ``ask`` reads, or the last known ones, which are remembered under ``prefix`` and name."""
        counts = self._answer(ask)
        if counts is None:
            return {name: self._last_known(prefix + name) for name in wanted}
        return {name: self._best(prefix + name, count) for name, count in counts.items()}

    def _best(self, name: str, count: Count) -> Count:
        """The count just read and remembered for worse times, or the last one where that knows of more."""
        if count.partial:
            return max(count, self._last_known(name))
        # Each step is one of the dict's own, so that no lock is needed that a fork could leave held.
        self._last_counts[name] = count
        if len(self._last_counts) > COUNTS_REMEMBERED:
            self._last_counts.popitem(last=False)
        return count

    def _last_known(self, name: str) -> Count:
        known = self._last_counts.get(name)
        return Count(known.stored, known.pending, partial=True) if known else Count(0, 0, partial=True)
