"""Compares what was sent with what pathhits counted, read as any app reads it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain

from demo_app.catalogue import PRODUCTS
from demo_app.traffic.tally import CAMPAIGN, DIMENSIONS, Figures
from pathhits import PathHits
from pathhits.errors import StoreUnavailable

#: Labels and items that are read, more than the shop has.
ALL = 10_000
ARRIVAL_S = 60.0
POLL_S = 0.2
COUNTERS = ("likes", "downloads", "recommendation_clicks")
HOT = "hot now"


class Check:
    """What pathhits had counted when it was made, to be compared with what it has later.

    It raises `StoreUnavailable` or `NotMigrated` when that cannot be read.
    """

    def __init__(self, hits: PathHits) -> None:
        self._hits = hits
        # What a web process has counted reaches Redis within a flush interval; another one for a busy machine.
        time.sleep(2 * hits.settings.flush_interval)
        hits.sync(force=True)
        self._before, self._hot = read(hits), hot(hits)

    def counted(self, sent: Figures) -> Figures:
        """What was counted since, once all that was sent has arrived and is in SQL; no number in it is 0."""
        wanted = self._before["requests", ""] + sent["requests", ""]
        _until(lambda: self._hits.total("requests") >= wanted, ARRIVAL_S)
        self._hits.sync(force=True)
        after = read(self._hits)
        after.subtract(self._before)
        return Figures({key: n for key, n in after.items() if n})

    def hot_items(self) -> tuple[set[str], set[str]]:
        """The products that should be hot by their views, and those that are, once the worker has looked at all."""
        should = self._should_be_hot()
        _until(lambda: hot(self._hits) == should, 2 * self._hits.settings.items_every + 10)
        return should, hot(self._hits)

    def _should_be_hot(self) -> set[str]:
        """Those with enough views in the last seven days; where only the hour decides in which they began, as it is."""
        begins = datetime.now(UTC) - timedelta(days=7)
        return self._hot_since(begins + timedelta(hours=1)) | (self._hot_since(begins) & hot(self._hits))

    def _hot_since(self, begins: datetime) -> set[str]:
        settings = self._hits.settings
        recent = {row.item_id: row.views for row in self._hits.top_items("product", since=begins, limit=ALL)}
        kept = {slug for slug in self._hot if recent.get(slug, 0) >= settings.cold_below}
        return kept | {slug for slug, views in recent.items() if views >= settings.hot_at}


def read(hits: PathHits) -> Figures:
    """All numbers that a `Tally` has, as pathhits has them since the beginning."""
    return Figures(dict(chain.from_iterable(part(hits) for part in (_site, _pages, _values, _items, _searches))))


def hot(hits: PathHits) -> set[str]:
    """The products that are hot."""
    return {row.item_id for row in hits.hot_items("product", ALL)}


def _site(hits: PathHits) -> Iterator[tuple[tuple[str, str], int]]:
    visits, now = hits.visits(), datetime.now(UTC)
    yield ("requests", ""), hits.total("requests")
    yield ("hits", ""), hits.total("hits")
    yield ("visits", ""), visits.visits
    yield ("bounces", ""), visits.bounces
    days = hits.series("visitors", now - timedelta(days=2), now, by="day")
    yield ("visitors", ""), sum(day.value for day in days)
    for reason, n in hits.drops().items():
        yield ("dropped", reason), n
    for reason, n in hits.rule_stats()["refusals"].items():
        yield ("refused", reason), n


def _pages(hits: PathHits) -> Iterator[tuple[tuple[str, str], int]]:
    for row in hits.top_paths(limit=ALL):
        yield ("hits of a page", row.path), row.hits
        yield ("visitors of a page", row.path), row.visitors or 0


def _values(hits: PathHits) -> Iterator[tuple[tuple[str, str], int]]:
    for dimension in (*DIMENSIONS, *CAMPAIGN):
        for row in hits.top_values(dimension, limit=ALL):
            yield (dimension, row.value), row.hits


def _items(hits: PathHits) -> Iterator[tuple[tuple[str, str], int]]:
    for kind in ("product", "brand", "tag"):
        for row in hits.top_items(kind, limit=ALL):
            yield ("views", f"{kind}:{row.item_id}"), row.views
            yield ("visitors of an item", f"{kind}:{row.item_id}"), row.visitors
    found = hits.counters("product", [product["slug"] for product in PRODUCTS], COUNTERS)
    for slug, counts in found.items():
        for name, count in counts.items():
            if count.partial:
                raise StoreUnavailable("the counters of the products could not be read in time")
            yield (name, f"product:{slug}"), int(count)


def _searches(hits: PathHits) -> Iterator[tuple[tuple[str, str], int]]:
    # What was in vain once may be found now: then a query is in both.
    sums: Counter[str] = Counter()
    for row in (*hits.popular_searches(limit=ALL), *hits.failed_searches(limit=ALL)):
        sums[row.query] += row.searches
    for query, n in sums.items():
        yield ("searches", query), n


def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Return when the condition holds, or it is too late: then the comparison will say so."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_S)
