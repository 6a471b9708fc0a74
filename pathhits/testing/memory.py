"""What stands for Redis and SQL in memory: it takes what they take, and answers what they are asked."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from typing import Any

from pathhits.capture.court import MemoryCourt
from pathhits.capture.visits import MemoryVisits
from pathhits.core.clicks import CLICKED_VERB, clicked_counter
from pathhits.core.eventtypes import SEARCH
from pathhits.core.periods import to_hour
from pathhits.core.rules import type_of
from pathhits.core.searches import Search, search_of
from pathhits.core.visitors import SALT_BYTES
from pathhits.events import Event, Logged, milliseconds
from pathhits.hits import (
    ASKED,
    ITEM_MARK,
    PASSED,
    REFUSALS,
    REFUSED,
    SHOWN,
    SITE,
    VIEWS,
    Batch,
    Delta,
    Sketch,
    View,
)
from pathhits.storage.redis.cached import CacheStore, Taken
from pathhits.storage.redis.pending import VISIT_TIMEOUT, Added, Pending, PendingHours
from pathhits.storage.sql.ledger import Ledger
from pathhits.storage.sql.reads import Reads, Window
from pathhits.storage.sql.searchreads import StoredSearch
from pathhits.storage.sql.tables import ITEMS, Family

#: The id of the one generation there is in memory, and the run_id of the server that is none.
MEMORY = "memory"


class MemorySink:
    """Takes batches as Redis does, and answers what `Stats` asks Redis; nothing in it is ever moved to SQL.

    ``settle`` is called before an answer: it sends what a buffer still holds, so that a test need not wait for it.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None, visit_timeout: float = VISIT_TIMEOUT) -> None:
        self.deltas: Counter[Delta] = Counter()
        self.seen: dict[Sketch, set[int]] = {}
        self.court = MemoryCourt()
        #: The events, as Redis would have them.
        self.entries: list[str] = []
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
                self.entries.append(track.event)
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
            self.entries.append(view.event)
        if view.visitor is not None:
            self.seen.setdefault(Sketch(hour // 24, ITEM_MARK + view.subject), set()).add(view.visitor)
        return reason

    def clear(self) -> None:
        """Forget everything."""
        self.deltas.clear()
        self.seen.clear()
        self.court.clear()
        self.entries.clear()
        self.visits.clear()

    @property
    def events(self) -> list[Event]:
        """The events, in the order in which they were counted."""
        return [Logged.parse(json.loads(entry)).event() for entry in self.entries]

    def packed(self) -> bytes:
        """The events as Redis would hand them to a sync."""
        return f"[{','.join(self.entries)}]".encode()

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


class NoLedger(Ledger):
    """SQL that takes everything, as nothing is ever moved there."""

    def __init__(self) -> None:
        # On purpose not Ledger.__init__: there is no engine.
        pass

    def check(self) -> None:
        pass


class NothingStored(Reads):
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
        self,
        window: Window,
        limit: int,
        entity_type: str | None = None,
        *,
        failed: bool = False,
        holding: str = "",
        by_name: bool = False,
    ) -> list[StoredSearch]:
        self._sink.settle()
        found: dict[Search, list[tuple[Event, int | None]]] = {}
        for event in self._sink.events:
            said = search_of(event.properties) if event.name == SEARCH else None
            if said and said[0].failed == failed and window.holds(to_hour(event.moment)):
                found.setdefault(said[0], []).append((event, said[1]))
        rows = [_stored_search(search, events) for search, events in found.items()]
        rows = [row for row in rows if entity_type in (None, row.entity_type) and holding in row.query]
        return sorted(rows, key=lambda row: (0 if by_name else -row.searches, row.query, row.entity_type))[:limit]

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


class MemoryCacheStore(CacheStore):
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


class NoSnapshots:
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
