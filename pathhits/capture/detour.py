"""The way into SQL that counts take while Redis is away: a batch is made for SQL, and SQL alone takes it.

Views are judged by this process alone; visitors and visits are not counted: what tells them apart is in Redis.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable
from itertools import chain, starmap
from typing import Protocol

from pathhits.capture.accumulator import Accumulator
from pathhits.capture.court import MemoryCourt
from pathhits.capture.guard import Guard
from pathhits.core.rules import type_of
from pathhits.core.visitors import SALT_BYTES
from pathhits.errors import PathHitsError
from pathhits.hits import REFUSALS, VIEWS, Batch, Delta, View

#: Deltas, or views, of one batch: SQL likes them few and large.
BATCH_SIZE = 5_000
#: Least time in seconds between two looks at SQL, which many processes may be having at once.
PACE = 2.0
#: Viewings that are remembered to judge others by; as many then are too many, and all are forgotten.
REMEMBERED = 200_000


class Aside(Protocol):
    """What takes batches in place of Redis; may raise `PathHitsError`."""

    def check(self) -> None: ...

    def add(self, batch: Batch) -> None: ...


class Detour:
    """Open once Redis has refused for ``after`` seconds (0: never), until it takes a batch again."""

    def __init__(self, after: float, pace: float, find_sink: Callable[[], Aside] | None, guard: Guard) -> None:
        self._after = after if find_sink is not None else 0.0
        self._pace = max(pace, PACE)
        self._find_sink = find_sink
        self._guard = guard
        self.begin()

    def begin(self) -> None:
        """State of a process that knows nothing of Redis yet."""
        self._refused_since: float | None = None
        self._in_flight: Batch | None = None
        self._next_try = 0.0
        self._court = MemoryCourt(REMEMBERED)
        self._salt = secrets.token_bytes(SALT_BYTES)

    def refused(self) -> None:
        """Redis did not take, or answer."""
        if self._refused_since is None:
            self._refused_since = time.monotonic()

    def hurry(self) -> None:
        """Open at once if Redis refuses just now: the process ends, and nothing of it can wait."""
        if self._refused_since is not None:
            self._refused_since = min(self._refused_since, time.monotonic() - self._after)

    def ended(self) -> None:
        """Redis took a batch."""
        self._refused_since = None

    @property
    def is_open(self) -> bool:
        """Whether new batches are made for SQL."""
        since = self._refused_since
        return since is not None and 0 < self._after <= time.monotonic() - since

    @property
    def is_busy(self) -> bool:
        """Whether a batch waits for SQL."""
        return self._in_flight is not None

    @property
    def salts(self) -> tuple[bytes, ...]:
        """What tells viewers apart in this process alone, where Redis holds the salts and is away."""
        return (self._salt,) if self.is_open else ()

    def send(self, accumulator: Accumulator, *, force: bool = False) -> int:
        """Send what is due, and return the requests that SQL took; never raises. A batch is resent until it is in."""
        sent, now = 0, time.monotonic()
        if not (self.is_busy or (self.is_open and accumulator)) or (now < self._next_try and not force):
            return 0
        self._next_try = now + self._pace
        try:
            assert self._find_sink is not None
            sink = self._find_sink()
            if not self.is_busy:
                # A batch that SQL refuses from the start could go nowhere else: it would wait in vain.
                sink.check()
                self._guard.failed("Redis is away, counts go into SQL", "without visitors and visits")
            while self.is_busy or (self.is_open and accumulator):
                batch = self._in_flight = self._in_flight or self._cut(accumulator)
                sink.add(batch)
                self._in_flight = None
                sent += batch.requests
        except PathHitsError as error:
            self._guard.failed("Redis is away, and SQL takes no counts either", error)
        except Exception as error:
            self._guard.failed("internal", error)
        return sent

    def _cut(self, accumulator: Accumulator) -> Batch:
        accumulator.forgo_stays()
        views = [(view, self._court.judge(view)) for view in accumulator.take_views(BATCH_SIZE)]
        events = tuple(view.event for view, refusal in views if view.event and not refusal)
        tracks = [track for track in accumulator.take_tracks(BATCH_SIZE) if self._court.admits(track)]
        events += tuple(track.event for track in tracks)
        deltas, _ = accumulator.take(BATCH_SIZE)
        counted = Counter(deltas)
        counted.update(starmap(_counted, views))
        for delta, amount in chain.from_iterable(track.deltas for track in tracks):
            counted[delta] += amount
        return Batch("", 0, secrets.token_hex(8), counted, {}, events=events)


def _counted(view: View, refusal: str) -> Delta:
    """What the view counts under."""
    hour = int(view.moment // 3_600)
    return Delta(hour, REFUSALS, f"{type_of(view.item)}:{refusal}") if refusal else Delta(hour, VIEWS, view.subject)
