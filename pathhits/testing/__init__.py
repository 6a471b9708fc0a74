"""For an app's own tests: counts in memory, by the code that counts in production, without Redis and SQL.

``with counting(app) as counted:`` and then ``assert_counted(counted, "home", times=1)``; docs/testing.md has more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from math import inf
from typing import Any, cast
from weakref import WeakKeyDictionary

from pathhits.app import PathHits
from pathhits.capture.buffer import Buffer
from pathhits.capture.cache import Cache
from pathhits.capture.court import MemoryCourt
from pathhits.capture.deadline import Deadline
from pathhits.capture.tracking import Tracking
from pathhits.core import labels
from pathhits.core.remembered import Remembered
from pathhits.core.rules import subject
from pathhits.core.statuses import REASONS
from pathhits.errors import PathHitsError, SettingsError
from pathhits.events import Event
from pathhits.hits import (
    DROPS,
    HITS,
    ITEM_MARK,
    REFUSALS,
    REQUESTS,
    SITE,
    VIEWS,
)
from pathhits.itemstats import ItemReads
from pathhits.jobs.sync import sort_out
from pathhits.settings import Settings
from pathhits.stats import Stats
from pathhits.storage.redis.pending import PendingStore
from pathhits.storage.sql.ledger import Ledger
from pathhits.storage.sql.reads import Reads
from pathhits.testing.clock import PATIENCE, Clock, StampedBuffer, StampedViewing, stamped
from pathhits.testing.memory import (
    MEMORY,
    FixedSalts,
    MemoryCacheStore,
    MemorySink,
    NoLedger,
    NoSnapshots,
    NothingStored,
)
from pathhits.valuestats import ValueReads

__all__ = [
    "Clock",
    "Counted",
    "FixedSalts",
    "MemoryCourt",
    "MemorySink",
    "assert_counted",
    "assert_dropped",
    "counting",
]

#: Characters of the name under which something is stored.
LONGEST_NAME = 50
#: More values than a test has.
MANY = 100_000


class Counted:
    """What was counted since `counting` began; every question first folds what came in."""

    def __init__(self, pathhits: PathHits, sink: MemorySink, buffer: Buffer, clock: Clock) -> None:
        self.pathhits = pathhits
        self.clock = clock
        self._sink = sink
        self._buffer = buffer
        sink.settle = self.settle

    def hits(self, label: str | None = None) -> int:
        """Hits of ``label``, or of all labels."""
        return self.labels().get(labels.clean(label), 0) if label is not None else sum(self.labels().values())

    def labels(self) -> dict[str, int]:
        """Hits by label."""
        return dict(self._settled().sums(HITS))

    def drops(self) -> dict[str, int]:
        """Requests seen and not counted, by reason."""
        return dict(self._settled().sums(DROPS))

    def requests(self) -> int:
        """Requests seen: hits + drops."""
        return self._settled().sums(REQUESTS)[""]

    def visitors(self, label: str = SITE) -> int:
        """Visitors of ``label``, by default of the whole site, summed over UTC days."""
        subject = labels.clean(label) if label else SITE
        return sum(len(seen) for sketch, seen in self._settled().seen.items() if sketch.label == subject)

    def views(self, item_type: str, item_id: object) -> int:
        """Views of an item: hits on its route, and `PathHits.track_view`, that its rules let pass."""
        return self._settled().sums(VIEWS)[subject(item_type, item_id)]

    def counter(self, item_type: str, item_id: object, name: str) -> int:
        """What events (`PathHits.track`) added to a counter of an item: ``counted.counter("movie", 7, "likes")``."""
        return self._settled().sums(name)[subject(item_type, item_id)]

    def values(self, dimension: str, label: str | None = None) -> dict[str, int]:
        """Hits by value of a dimension, of ``label`` or of all: ``counted.values("browser")`` is ``{"Firefox": 2}``."""
        rows = self.pathhits.value_reads.top_values(dimension, limit=MANY, label=label)
        return {row.value: row.hits for row in rows}

    def events(self, name: str | None = None) -> list[Event]:
        """The events of this name, or all, views among them, in the order in which they were counted."""
        return [event for event in self._settled().events if name in (None, event.name)]

    def refusals(self) -> dict[str, int]:
        """Views that the rules refused, by ``type:reason``."""
        return dict(self._settled().sums(REFUSALS))

    def store(self, name: str) -> int:
        """Move what was counted into SQL, as of the moments of the clock, and forget it here; the number of its hits.

        It is how the past is brought along. What was stored under a ``name`` (1 to 50 characters) is stored once: a
        second time changes nothing and gives 0. Listeners are not called. Raises `StoreUnavailable` or `NotMigrated`,
        and ValueError for another name; then nothing was moved or forgotten.
        """
        if not 1 <= len(name) <= LONGEST_NAME:
            raise ValueError(f"{name!r}: give a name of 1 to {LONGEST_NAME} characters, such as the day it is of")
        sink, hits = self._settled(), self.pathhits
        contents = sort_out(f"stored:{name}", sink.read(MEMORY) | sink.traits(MEMORY), [sink.packed()])
        contents.announced = False
        visitors = {sketch: len(seen) for sketch, seen in sink.seen.items() if not sketch.label.startswith(ITEM_MARK)}
        applied = Ledger(hits.engine, max_searches=hits.settings.max_searches).apply(contents, visitors)
        sink.clear()
        return applied.hits

    def clear(self) -> None:
        """Forget what was counted so far, and who has viewed what."""
        self._settled().clear()

    def settle(self) -> None:
        """Fold what came in; `PathHitsError` when that fails."""
        if not self._buffer.flush(PATIENCE):
            raise PathHitsError(f"what was recorded could not be counted: {self.pathhits.guard.failures}; see the log")

    def _settled(self) -> MemorySink:
        self.settle()
        return self._sink


@contextmanager
def counting(app: Any = None, *, at: datetime | None = None) -> Iterator[Counted]:
    """Count in memory what ``app`` would send to Redis, until the block ends.

    ``app`` is a PathHits, or an app that has one in ``extensions["pathhits"]`` (Flask), or None for a PathHits with
    default settings, found as ``counted.pathhits``. ``at``, an aware datetime, freezes the clock of the hits. Reading
    (``hits.hit_count`` and ``view_count`` in a template, ``top_paths``, ``series``, ``drops``, ``snapshot``) answers
    from memory as well, and so does ``hits.cache``. Raises `SettingsError` when there is no PathHits, or one that is
    not enabled.
    """
    hits = _pathhits_of(app)
    sink, clock = MemorySink(visit_timeout=hits.settings.visit_timeout), Clock(at)
    sink.now = lambda: clock.now.timestamp()
    recorder = hits.recorder
    buffer = StampedBuffer(hits, sink, clock)
    viewing = StampedViewing(hits, buffer, sink.court, clock)
    pending = cast(PendingStore, sink)
    stored = NothingStored(sink)
    stats = Stats(pending, stored, hits.settings.redis_url)
    counted = Counted(hits, sink, buffer, clock)
    cached, deadline = MemoryCacheStore(sink.now), Deadline(PATIENCE)
    parts = {
        "buffer": buffer,
        "pending": pending,
        "ledger": NoLedger(),
        "stats": stats,
        "value_reads": ValueReads(pending, stored, hits.settings.redis_url, lambda: clock.now.timestamp()),
        "item_reads": _item_reads(hits, sink, stored, clock),
        "court": sink.court,
        "viewing": viewing,
        "tracking": Tracking(hits.event_types, buffer, viewing, hits.guard, hits.settings),
        "_last_counts": OrderedDict(),
        "_last_items": Remembered(inf, 100),
        "_last_hot": Remembered(inf, 100),
        "_deadline": deadline,
        "_cache_store": cached,
        "cache": Cache(cached, deadline, hits.guard),
        "_snapshot_copy": NoSnapshots(),
        "_snapshots": NoSnapshots(),
    }
    with _replaced(hits, parts), recorder.redirected(stamped(buffer.append, clock)), _active(counted):
        try:
            yield counted
        finally:
            buffer.close(PATIENCE)


def assert_counted(counted: Counted | PathHits, label: str, times: int = 1) -> None:
    """Fail unless ``label`` has exactly so many hits; ``counted`` may be the PathHits given to `counting`."""
    found = _counted_of(counted)
    hits = found.hits(label)
    if hits != times:
        raise AssertionError(f"{label!r} was counted {hits} times, not {times}: {_account(found)}")


def assert_dropped(counted: Counted | PathHits, reason: str, times: int = 1) -> None:
    """Fail unless exactly so many requests were dropped for ``reason``; raises ValueError for a reason that is none."""
    if reason not in REASONS:
        raise ValueError(f"{reason!r} is no reason; they are {', '.join(REASONS)}")
    found = _counted_of(counted)
    drops = found.drops().get(reason, 0)
    if drops != times:
        raise AssertionError(f"{drops} requests were dropped for {reason!r}, not {times}: {_account(found)}")


def _pathhits_of(app: Any) -> PathHits:
    if app is None:
        return PathHits(Settings())
    hits = app if isinstance(app, PathHits) else getattr(app, "extensions", {}).get("pathhits")
    if not isinstance(hits, PathHits):
        raise SettingsError(f"{type(app).__name__} has no PathHits: give counting() the PathHits object itself")
    if not hits.settings.enabled:
        raise SettingsError("ENABLED=0: nothing is counted; enable pathhits in the tests that count")
    return hits


def _item_reads(hits: PathHits, sink: MemorySink, stored: Reads, clock: Clock) -> ItemReads:
    """Questions about items, answered from memory."""
    counters = lambda: hits.event_types.counters  # noqa: E731  # declared later too
    return ItemReads(sink, stored, lambda: "", hits.settings, lambda: clock.now.timestamp(), counters=counters)


@contextmanager
def _replaced(hits: PathHits, parts: Mapping[str, Any]) -> Iterator[None]:
    """Put ``parts`` in the place of what ``hits`` has built, or will build, for itself."""
    own = vars(hits)
    before = {name: own[name] for name in parts if name in own}
    own.update(parts)
    try:
        yield
    finally:
        for name in parts:
            own.pop(name, None)
        own.update(before)


_countings: WeakKeyDictionary[PathHits, Counted] = WeakKeyDictionary()


@contextmanager
def _active(counted: Counted) -> Iterator[None]:
    before = _countings.get(counted.pathhits)
    _countings[counted.pathhits] = counted
    try:
        yield
    finally:
        if before is None:
            del _countings[counted.pathhits]
        else:
            _countings[counted.pathhits] = before


def _counted_of(counted: Counted | PathHits) -> Counted:
    if isinstance(counted, Counted):
        return counted
    found = _countings.get(counted)
    if found is None:
        raise SettingsError("this PathHits does not count in memory: assert inside 'with counting(hits):'")
    return found


def _account(counted: Counted) -> str:
    return f"hits: {_listed(counted.labels())}; drops: {_explained(counted.drops())}"


def _listed(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{name!r} {amount}" for name, amount in sorted(amounts.items())) or "none"


def _explained(drops: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {amount} ({REASONS.get(name, '')})" for name, amount in sorted(drops.items())) or "none"
