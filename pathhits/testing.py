"""For an app's own tests: counts in memory, by the code that counts in production, without Redis and SQL.

``with counting(app) as counted:`` and then ``assert_counted(counted, "home", times=1)``; docs/testing.md has more.
"""

from __future__ import annotations

import json
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from math import inf
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from pathhits.app import PathHits
from pathhits.capture.buffer import Buffer
from pathhits.capture.cache import Cache
from pathhits.capture.court import MemoryCourt
from pathhits.capture.deadline import Deadline
from pathhits.capture.folding import Seen, Told
from pathhits.capture.recorder import Entry, Noted
from pathhits.capture.tracking import Tracking
from pathhits.capture.viewing import Viewing
from pathhits.capture.visits import MemoryVisits
from pathhits.core import labels
from pathhits.core.clicks import CLICKED_VERB, clicked_counter
from pathhits.core.eventtypes import SEARCH
from pathhits.core.periods import to_hour
from pathhits.core.remembered import Remembered
from pathhits.core.rules import subject, type_of
from pathhits.core.searches import Search, search_of
from pathhits.core.statuses import REASONS
from pathhits.core.visitors import SALT_BYTES
from pathhits.errors import PathHitsError, SettingsError
from pathhits.events import Event, Logged, milliseconds
from pathhits.hits import (
    ASKED,
    DROPS,
    HITS,
    ITEM_MARK,
    PASSED,
    REFUSALS,
    REFUSED,
    REQUESTS,
    SHOWN,
    SITE,
    VIEWS,
    Batch,
    Delta,
    Sketch,
    View,
)
from pathhits.itemstats import ItemReads
from pathhits.settings import Settings
from pathhits.stats import Stats
from pathhits.storage.redis.cached import CacheStore, Taken
from pathhits.storage.redis.pending import VISIT_TIMEOUT, Added, Pending, PendingHours, PendingStore
from pathhits.storage.sql.ledger import Ledger
from pathhits.storage.sql.reads import Reads, Window
from pathhits.storage.sql.searchreads import StoredSearch
from pathhits.storage.sql.tables import ITEMS, Family
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

K = TypeVar("K")
V = TypeVar("V")
#: The id of the one generation there is in memory, and the run_id of the server that is none.
MEMORY = "memory"
#: Seconds the last fold may take before something is taken to be broken.
PATIENCE = 10.0
#: More values than a test has.
MANY = 100_000


class Clock:
    """The time at which hits happen: the real one until it is frozen."""

    def __init__(self, at: datetime | None = None) -> None:
        self._frozen: datetime | None = None
        if at is not None:
            self.freeze(at)

    @property
    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        return self._frozen or datetime.now(UTC)

    def freeze(self, at: datetime) -> None:
        """Stop at an aware datetime; raises ValueError for one without a time zone."""
        if at.tzinfo is None:
            raise ValueError("give an aware datetime, such as datetime(2026, 11, 20, 12, tzinfo=UTC)")
        self._frozen = at.astimezone(UTC)

    def advance(self, step: timedelta) -> None:
        """Freeze at a moment that is ``step`` later."""
        self._frozen = self.now + step


class MemorySink:
    """Takes batches as Redis does, and answers what `Stats` asks Redis; nothing in it is ever moved to SQL.

    ``settle`` is called before an answer: it sends what a buffer still holds, so that a test need not wait for it.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None, visit_timeout: float = VISIT_TIMEOUT) -> None:
        self.deltas: Counter[Delta] = Counter()
        self.seen: dict[Sketch, set[int]] = {}
        self.court = MemoryCourt()
        self.events: list[Event] = []
        self.visits = MemoryVisits(visit_timeout)
        self.settle = settle
        #: Gives the present moment (unix seconds).
        self.now: Callable[[], float] = time.time

    def run_id(self) -> str:
        """A server that is always the same."""
        return MEMORY

    def add(self, batch: Batch, first_run_id: str) -> Added:
        """Add the batch and judge its views; nothing is ever uncertain or rejected here."""
        self.deltas.update(batch.deltas)
        for sketch, members in batch.visitors.items():
            self.seen.setdefault(sketch, set()).update(members)
        reasons = tuple(map(self._judge, batch.views))
        for track in batch.tracks:
            if self.court.admits(track):
                for delta, amount in track.deltas:
                    self.deltas[delta] += amount
                self.events.append(Logged.parse(json.loads(track.event)).event())
        for stay in batch.stays:
            self.deltas.update(self.visits.attend(stay, lambda mark: self._counts(mark, reasons)))
        return Added("added", MEMORY, (), reasons)

    def _counts(self, mark: str, reasons: Sequence[str]) -> bool:
        """Whether the view that a step's mark speaks of counts."""
        if mark in (PASSED, REFUSED):
            return mark == PASSED
        if mark.startswith(ASKED):
            return self.court.has_granted(mark.removeprefix(ASKED))
        return not reasons[int(mark) - 1]

    def _judge(self, view: View) -> str:
        reason, hour = self.court.judge(view), int(view.moment // 3_600)
        if reason:
            self.deltas[Delta(hour, REFUSALS, f"{type_of(view.item)}:{reason}")] += 1
            return reason
        self.deltas[Delta(hour, VIEWS, view.subject)] += 1
        if view.event:
            self.events.append(Logged.parse(json.loads(view.event)).event())
        if view.visitor is not None:
            self.seen.setdefault(Sketch(hour // 24, ITEM_MARK + view.subject), set()).add(view.visitor)
        return reason

    def clear(self) -> None:
        """Forget everything."""
        self.deltas.clear()
        self.seen.clear()
        self.court.clear()
        self.events.clear()
        self.visits.clear()

    def sums(self, counter: str) -> Counter[str]:
        """One counter by subject, over all hours."""
        found: Counter[str] = Counter()
        for delta, amount in self.deltas.copy().items():
            if delta.counter == counter:
                found[delta.subject] += amount
        return found

    # What `Stats` and a sync ask of a `PendingStore`.

    def traits(self, generation: str) -> dict[bytes, bytes]:
        """What tells its hits apart."""
        held = self.deltas.copy().items()
        return {delta.field().encode(): str(amount).encode() for delta, amount in held if delta.is_trait}

    def live(self) -> list[str]:
        """The one generation."""
        self.settle()
        return [MEMORY]

    def read(self, generation: str) -> dict[bytes, bytes]:
        """Its fields, as Redis would have them."""
        held = self.deltas.copy().items()
        return {delta.field().encode(): str(amount).encode() for delta, amount in held if not delta.is_trait}

    def snapshot(self, counters: Sequence[tuple[str, str]]) -> list[Pending]:
        """What it holds of each ``(counter, subject)``."""
        self.settle()
        return [Pending(MEMORY, tuple(self.sums(counter)[subject] for counter, subject in counters))]

    def by_hour(self, counters: Sequence[tuple[str, str]]) -> list[PendingHours]:
        """What it holds of each ``(counter, subject)`` by hour."""
        self.settle()
        held = self.deltas.copy()
        hours = sorted({delta.hour for delta in held})
        return [
            PendingHours(
                MEMORY, {hour: tuple(held[Delta(hour, name, subject)] for name, subject in counters) for hour in hours}
            )
        ]

    def visitors(self, sketches: Sequence[Sketch]) -> dict[Sketch, int]:
        """How many visitors each sketch has seen."""
        self.settle()
        return {sketch: len(self.seen.get(sketch, ())) for sketch in sketches}

    def active_visitors(self) -> int:
        """Visitors who made a hit in the last five minutes."""
        self.settle()
        return self.visits.active(self.now())

    def waiting(self) -> tuple[int, float | None]:
        """Nothing waits for SQL."""
        return 0, None

    def sync_lock(self) -> AbstractContextManager[bool]:
        """A sync may run ..."""
        return nullcontext(True)

    def sealed(self) -> list[str]:
        """... and finds nothing to move: what was counted in memory stays there."""
        return []

    seal = sealed


class FixedSalts:
    """The same salt in every run for the same period, so that a visitor's number can be compared between runs."""

    def get(self, period: str) -> bytes:
        """The salt of a period: no secret."""
        return blake2b(period.encode(), digest_size=SALT_BYTES).digest()


class _NoLedger(Ledger):
    """SQL that takes everything, as nothing is ever moved there."""

    def __init__(self) -> None:
        # On purpose not Ledger.__init__: there is no engine.
        pass

    def check(self) -> None:
        pass


class _NothingStored(Reads):
    """SQL without a row; visitors of days gone by, which SQL would know, are the sink's."""

    def __init__(self, sink: MemorySink) -> None:
        # On purpose not Reads.__init__: there is no engine.
        self._sink = sink

    def site_visitors(self, window: Window) -> dict[int, int]:
        return self._days(SITE, window)

    def visitors(self, family: Family, wanted: Iterable[str], window: Window) -> dict[str, dict[int, int]]:
        mark = ITEM_MARK if family is ITEMS else ""
        return {name: self._days(mark + name, window) for name in wanted}

    def searches(
        self, window: Window, limit: int, entity_type: str | None = None, *, failed: bool = False
    ) -> list[StoredSearch]:
        self._sink.settle()
        found: dict[Search, list[tuple[Event, int | None]]] = {}
        for event in self._sink.events:
            said = search_of(event.properties) if event.name == SEARCH else None
            if said and said[0].failed == failed and window.holds(to_hour(event.moment)):
                found.setdefault(said[0], []).append((event, said[1]))
        rows = [_stored_search(search, events) for search, events in found.items()]
        rows = [row for row in rows if entity_type in (None, row.entity_type)]
        return sorted(rows, key=lambda row: (-row.searches, row.query, row.entity_type))[:limit]

    def recommended(self, window: Window) -> dict[str, int]:
        self._sink.settle()
        sums: Counter[str] = Counter()
        for delta, n in self._sink.deltas.items():
            if delta.counter == SHOWN and window.holds(delta.hour):
                sums[f"{SHOWN}:{delta.subject}"] += n
        clicks = [event for event in self._sink.events if event.name.endswith(CLICKED_VERB)]
        sums.update(
            clicked_counter(one.item_type, one.properties) for one in clicks if window.holds(to_hour(one.moment))
        )
        return dict(sums)

    def _days(self, label: str, window: Window) -> dict[int, int]:
        held = {sketch.day: len(seen) for sketch, seen in self._sink.seen.items() if sketch.label == label}
        return {day: n for day, n in held.items() if any(window.holds(day * 24 + hour) for hour in range(24))}

    def _rows(self, query: Any) -> Sequence[Any]:
        return []


def _stored_search(search: Search, events: Sequence[tuple[Event, int | None]]) -> StoredSearch:
    counts = [n for _, n in events if n is not None]
    seen = {(event.moment.date(), event.visitor) for event, _ in events if event.visitor}
    last = max(event.moment for event, _ in events)
    return StoredSearch(
        search.query,
        search.entity_type,
        len(events),
        len(counts),
        sum(counts),
        len(seen),
        milliseconds(last.timestamp()),
    )


class _MemoryCacheStore(CacheStore):
    """What is cached, without Redis; nobody else is there who could make it meanwhile."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._held: dict[str, tuple[float, frozenset[str], str]] = {}

    def take(self, name: str, groups: Sequence[str], ttl: float) -> Taken:
        until, _, text = self._held.get(name, (0.0, frozenset(), ""))
        return Taken(text) if until > self._now() else Taken(token="mine")

    def put(self, name: str, groups: Sequence[str], ttl: float, token: str, text: str) -> bool:
        if text:
            self._held[name] = self._now() + ttl, frozenset(groups), text
        return bool(text)

    def delete(self, names: Sequence[str], groups: Sequence[str]) -> int:
        gone = [name for name, (_, of, _) in self._held.items() if name in names or of.intersection(groups)]
        return len([self._held.pop(name) for name in gone])


class _NoSnapshots:
    """Nothing is kept of what a dashboard shows: it is computed each time."""

    def get(self) -> None:
        return None

    newest = get

    def put(self, text: str) -> None:
        pass

    def add(self, moment: int, text: str) -> None:
        pass

    def prune(self, before: int, limit: int) -> int:
        return 0


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
    buffer = _StampedBuffer(hits, sink, clock)
    viewing = _StampedViewing(hits, buffer, sink.court, clock)
    pending = cast(PendingStore, sink)
    stored = _NothingStored(sink)
    stats = Stats(pending, stored, hits.settings.redis_url)
    counted = Counted(hits, sink, buffer, clock)
    cached, deadline = _MemoryCacheStore(sink.now), Deadline(PATIENCE)
    parts = {
        "buffer": buffer,
        "pending": pending,
        "ledger": _NoLedger(),
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
        "_snapshot_copy": _NoSnapshots(),
        "_snapshots": _NoSnapshots(),
    }
    with _replaced(hits, parts), recorder.redirected(_stamped(buffer.append, clock)), _active(counted):
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


def _stamped(append: Callable[[Noted], None], clock: Clock) -> Callable[[Noted], None]:
    """``append``, with the moment of each entry taken from ``clock``."""

    def stamped(noted: Noted) -> None:
        moment = clock.now.timestamp()
        if isinstance(noted, Entry):
            noted = noted._replace(moment=moment)
        else:
            noted.moment = moment
        append(noted)

    return stamped


def _at(seen: Seen, clock: Clock) -> Seen:
    """``seen``, with its moment taken from ``clock``."""
    return seen._replace(entry=seen.entry._replace(moment=clock.now.timestamp()))


class _StampedBuffer(Buffer):
    """A buffer in memory; the views that an app asked about happen at the moments of a clock."""

    def __init__(self, hits: PathHits, sink: MemorySink, clock: Clock) -> None:
        super().__init__(hits.settings, sink, FixedSalts(), hits.guard, hits.items)
        self._clock = clock

    def see(self, seen: Seen) -> None:
        super().see(_at(seen, self._clock))

    def tell(self, told: Told) -> None:
        super().tell(told._replace(entry=told.entry._replace(moment=self._clock.now.timestamp())))


class _StampedViewing(Viewing):
    """`track_view` in memory; views are judged at the moments of a clock."""

    def __init__(self, hits: PathHits, buffer: Buffer, court: MemoryCourt, clock: Clock) -> None:
        drop_bots = hits.settings.bots == "drop"
        super().__init__(hits.items, buffer, court, Deadline(PATIENCE), hits.guard, hits.reader, hits.asking, drop_bots)
        self._clock = clock

    def _asked(self, seen: Seen) -> str | None:
        return super()._asked(_at(seen, self._clock))


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
