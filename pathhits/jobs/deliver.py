"""Calls listeners with their events, each apart from the others. Can run twice at once and die anywhere.

Listeners take turns, so that one that is slow holds up no other for long, and a call that takes too long is ended.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from pathhits.core.listeners import Listeners, switched_on, wait_after
from pathhits.errors import PathHitsError
from pathhits.jobs.timelimit import call_within
from pathhits.settings import Settings
from pathhits.storage.sql.deliveries import Deliveries, Delivery, Outcome
from pathhits.storage.sql.tables import DEAD, DONE, DUE

logger = logging.getLogger("pathhits")

#: Deliveries taken at once.
LOT = 20
#: Milliseconds after which a delivery of a worker that died is another's; one that lives renews it in time.
LEASE = 30_000
#: Seconds after which outcomes are written down at the latest, when the next listener has returned.
WRITE_EVERY = 0.5
#: Seconds after which a run begins nothing more: the worker has syncs to do too, and the next run goes on.
LONGEST_RUN = 20.0
#: Seconds after which another listener has its turn; a call that has begun is waited for.
TURN = 1.0
#: Who waits is asked no more often than takes one part in so many of the time.
ASK_SHARE = 10
#: One run in so many begins with the listeners that have waited longest, which else come last.
OLDEST_FIRST = 4
#: What a delivery dies of whose worker died in it each time.
KILLED = "its worker died each time"
#: What a delivery dies of whose event was pruned.
PRUNED = "its event is no longer in the log"


@dataclass(frozen=True, slots=True)
class DeliverReport:
    """What one run did: calls that went well, calls that failed, deliveries that are dead now, seconds spent.

    ``more`` says that it ended for its time, and something may be left for the next one.
    """

    done: int = 0
    failed: int = 0
    dead: int = 0
    seconds: float = 0.0
    more: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def deliver(
    deliveries: Deliveries, listeners: Listeners, settings: Settings, now: Callable[[], int] = lambda: _now()
) -> DeliverReport:
    """Call the listeners that are not switched off with what is due, until nothing is; ``now`` gives milliseconds.

    Raises `StoreUnavailable` or `NotMigrated`; what was not written down by then is delivered again.
    """
    started = time.monotonic()
    run = _Run(deliveries, listeners, settings, now)
    names = switched_on(listeners.patterns(), settings.listeners_off)
    while not run.late and (run.turns(names) or run.one_lost(names)):
        pass
    report = DeliverReport(run.done, run.failed, run.dead, time.monotonic() - started, run.late)
    if report.done or report.failed or report.dead:
        logger.info("deliver: %d done, %d failed, %d dead, %.3f s", run.done, run.failed, run.dead, report.seconds)
    return report


class _Run:
    """The turns of one run, one after the other."""

    def __init__(
        self, deliveries: Deliveries, listeners: Listeners, settings: Settings, now: Callable[[], int]
    ) -> None:
        self._deliveries = deliveries
        self._listeners = listeners
        self._settings = settings
        self._now = now
        self._until = time.monotonic() + LONGEST_RUN
        self._waiting: list[str] = []
        self._ask_at = 0.0
        self._oldest_first = random.randrange(OLDEST_FIRST) == 0
        self.done = self.failed = self.dead = 0

    @property
    def late(self) -> bool:
        return time.monotonic() > self._until

    def turns(self, names: Collection[str]) -> bool:
        """Give each listener that something waits for a turn; whether anything was taken."""
        began = time.monotonic()
        if not self._waiting or began > self._ask_at:
            self._waiting = self._ordered(self._deliveries.waiting(names, self._now()))
            self._ask_at = time.monotonic() + (time.monotonic() - began) * ASK_SHARE
        self._waiting = [name for name in self._waiting if self._turn(name)]
        return bool(self._waiting)

    def one_lost(self, names: Collection[str]) -> bool:
        """When nothing else waits: a delivery whose worker died, alone; whether there was one."""
        lot = self._deliveries.take(names, self._now(), LEASE, 1)
        self._work(lot, self._until)
        return bool(lot)

    def _ordered(self, waiting: Mapping[str, int]) -> list[str]:
        """The last ones to wait come first: what hangs has a queue that gets old, and is not waited for by the rest.

        Where there is more to do than time, those at the end would never have a turn; in some runs they begin.
        """
        return sorted(waiting, key=lambda name: (waiting[name], name), reverse=not self._oldest_first)

    def _turn(self, name: str) -> bool:
        lot = [] if self.late else self._take(name)
        if not lot:
            return False
        until = min(time.monotonic() + TURN, self._until)
        while lot:
            self._work(lot, until)
            lot = self._take(name) if time.monotonic() < until else []
        return True

    def _take(self, name: str) -> list[Delivery]:
        return self._deliveries.take([name], self._now(), LEASE, LOT, lost=False)

    def _work(self, lot: Sequence[Delivery], until: float) -> None:
        """Call the listeners of these, as long as there is time; the others may be taken anew, by anybody."""
        if not lot:
            return
        outcomes: list[Outcome] = []
        written = time.monotonic()
        with _lease(self._deliveries, [one.id for one in lot], self._now):
            for place, delivery in enumerate(lot):
                if time.monotonic() > until:
                    self._deliveries.let_go([one.id for one in lot[place:]])
                    break
                outcomes.append(self._outcome(delivery))
                if time.monotonic() - written > WRITE_EVERY:
                    self._deliveries.settle(outcomes)
                    outcomes, written = [], time.monotonic()
            self._deliveries.settle(outcomes)

    def _outcome(self, delivery: Delivery) -> Outcome:
        """Call the listener, and say what becomes of the delivery."""
        if delivery.event is None:
            return self._dead(delivery, delivery.attempts, PRUNED)
        if delivery.lost > self._settings.listener_attempts:
            return self._dead(delivery, delivery.attempts, KILLED)
        listener = self._listeners.get(delivery.listener)
        assert listener is not None, "only deliveries of known listeners are taken"
        try:
            call_within(self._settings.listener_timeout, listener.function, delivery.event)
        except Exception as error:  # the app's code: whatever it is, the other listeners are called
            return self._failed(delivery, error)
        self.done += 1
        return Outcome(delivery.id, DONE, delivery.attempts + 1, self._now())

    def _failed(self, delivery: Delivery, error: Exception) -> Outcome:
        attempts, told = delivery.attempts + 1, _told(error)
        logger.warning("listener %s failed, attempt %d: %s", delivery.listener, attempts, told, exc_info=error)
        self.failed += 1
        if attempts >= self._settings.listener_attempts:
            return self._dead(delivery, attempts, told)
        wait = wait_after(attempts, self._settings.listener_waits)
        return Outcome(delivery.id, DUE, attempts, self._now() + round(wait * 1000), told)

    def _dead(self, delivery: Delivery, attempts: int, why: str) -> Outcome:
        self.dead += 1
        logger.error("a delivery to %s is dead (see 'pathhits dead list'): %s", delivery.listener, why)
        return Outcome(delivery.id, DEAD, attempts, self._now(), why)


@contextmanager
def _lease(deliveries: Deliveries, ids: Sequence[int], now: Callable[[], int]) -> Iterator[None]:
    """Renew the lease of a lot while it is worked on, so that a slow listener is not called by two."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(LEASE / 3_000):
            try:
                deliveries.renew(ids, now() + LEASE)
            except PathHitsError as error:
                logger.warning("the lease of a delivery could not be renewed: %s", error)

    thread = threading.Thread(target=renew, name="pathhits-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _told(error: Exception) -> str:
    """An error as every database keeps it, on one line."""
    text = f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else " " for c in text)[:2_000]


def _now() -> int:
    return time.time_ns() // 1_000_000
