"""Works out which items the same visitors viewed. Can run twice at once and die anywhere: the lists are the same.

A run reads what the log has new, a piece at a time, and makes anew the lists of all items that the visitors in it
viewed. What one run leaves over is the next one's.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pathhits.core.recommending import KEPT, Viewed, candidates, in_common, likeness
from pathhits.core.rules import type_of
from pathhits.hits import OTHER
from pathhits.storage.sql.recommendations import Recommendations, first_day, position_of

logger = logging.getLogger("pathhits")

#: Events of the log looked at before it is noted how far the run is, and items whose lists are made in one go.
EVENTS_A_STEP = 200
ITEMS_A_STEP = 20
#: Visitors whose items a run remembers.
BASKETS = 20_000
#: Seconds after which a run begins nothing more: the worker has syncs to do too, and the next run goes on.
LONGEST_RUN = 20.0
#: Milliseconds of the log that are looked at again by the next run: what a sync brings in later than that counts once
#: its item or its visitor has another view.
LATE = 900_000


@dataclass(frozen=True, slots=True)
class RecommendReport:
    """What one run did: events of the log it looked at, items whose lists it made, seconds spent.

    ``more`` says that it left something over.
    """

    events: int = 0
    items: int = 0
    seconds: float = 0.0
    more: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def recommend(
    store: Recommendations, days: int, least: int, changed: Callable[[], None], now: int | None = None
) -> RecommendReport:
    """Make the lists anew that new views may have changed, out of the views of the last ``days`` UTC days.

    ``least`` are the visitors that two items need in common. ``changed`` is called when lists were stored. Raises
    `StoreUnavailable`, `NotMigrated` or `redis.RedisError`; what was done until then stays.
    """
    started = time.monotonic()
    run = _Run(store, days, least, now)
    more = run.work(started + LONGEST_RUN)
    if run.done:
        changed()
    report = RecommendReport(run.events, len(run.done), time.monotonic() - started, more)
    logger.info("recommend: %d events, %d items, %.3f s", report.events, report.items, report.seconds)
    return report


class _Run:
    """One run: its period, what it has done, and the visitors it knows."""

    def __init__(self, store: Recommendations, days: int, least: int, now: int | None) -> None:
        self._store = store
        self._least = least
        self._given = now
        self._first_day = first_day(self._now(), days)
        self._since = self._first_day * 86_400_000
        self._baskets: dict[int, tuple[Viewed, ...]] = {}
        self.events = 0
        self.done: set[int] = set()

    def _now(self) -> int:
        return time.time_ns() // 1_000_000 if self._given is None else self._given

    def work(self, until: float) -> bool:
        """Go through the log; whether something is left over."""
        late = position_of(self._now() - LATE)
        position = max(self._store.position(), position_of(self._since))
        while rows := self._store.log_after(position, EVENTS_A_STEP):
            self.events += len(rows)
            self._make(self._touched({row.visitor for row in rows if row.viewed and row.visitor}))
            position = rows[-1].id
            self._store.move_to(position)
            if time.monotonic() > until:
                return True
        self._store.move_to(min(position, late))
        return False

    def _touched(self, visitors: Iterable[int]) -> list[Viewed]:
        """The items whose lists these visitors may have changed, without those that this run has made."""
        wanted = sorted(visitors)
        self._know(wanted)
        items = {one for visitor in wanted for one in self._baskets[visitor]}
        return sorted(one for one in items if one.id not in self.done)

    def _know(self, visitors: Sequence[int]) -> None:
        """Read the items of those visitors that are not known."""
        if len(self._baskets) > BASKETS:
            self._baskets.clear()
        unknown = [visitor for visitor in visitors if visitor not in self._baskets]
        self._baskets |= self._store.baskets(unknown, self._since)

    def _make(self, items: Sequence[Viewed]) -> None:
        for first in range(0, len(items), ITEMS_A_STEP):
            some = items[first : first + ITEMS_A_STEP]
            made_at = self._now()
            self._store.store(self._lists(some), made_at)
            self.done.update(one.id for one in some)

    def _lists(self, items: Sequence[Viewed]) -> dict[int, str]:
        """The list of each item, as JSON, "" for one without."""
        visitors = self._store.visitors_of([one.id for one in items], self._since)
        self._know(sorted({one for some in visitors.values() for one in some}))
        common = {one.id: in_common(one, visitors[one.id], self._baskets) for one in items}
        others = {one.id: candidates(common[one.id], self._least) for one in items}
        ids = {one.id for one in items}.union(*others.values())
        sizes, names = self._store.visitor_days(ids, self._first_day), self._store.names(ids)
        lists: dict[int, str] = {}
        for item in (one.id for one in items):
            asked = len(visitors[item])
            ranked = [
                (likeness(common[item][one], asked, sizes.get(item, 0), sizes.get(one, 0)), common[item][one], name)
                for one in others[item]
                if (name := names.get(one, "")) and not _is_rest(name)
            ]
            lists[item] = "" if _is_rest(names.get(item, "")) else _text(ranked)
        return lists


def _is_rest(item: str) -> bool:
    """Whether an item is all those beyond the day's share of its type."""
    return item == f"{type_of(item)}:{OTHER}"


def _text(ranked: Sequence[tuple[float, int, str]]) -> str:
    best = sorted(ranked, key=lambda one: (-one[0], -one[1], one[2]))[:KEPT]
    rows = [[name.partition(":")[2], score, common] for score, common, name in best]
    return json.dumps(rows, separators=(",", ":")) if rows else ""
