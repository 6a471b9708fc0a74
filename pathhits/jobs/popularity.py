"""Sends the popularity of the items that changed to each sink; can run twice at once and die anywhere.

Each sink has a place of its own in the order in which items changed, so one that fails holds up no other and goes on
where it was. What a sync may still be writing when a run reads is sent again by the next one (`MARGIN`); so is what a
second run at the same time may have sent late. Figures are absolute: sending one twice does no harm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from pathhits.core.popularity import ItemPopularity, Popularity, PopularitySink
from pathhits.errors import PathHitsError
from pathhits.hits import VIEWS
from pathhits.settings import redact
from pathhits.storage.sql.changes import Changed, Changes, Position, SinkStates

logger = logging.getLogger("pathhits")

#: Items sent at once.
ITEMS_A_STEP = 500
#: Seconds after which a run leaves the rest to the next one, before the worker would end it.
SECONDS_A_RUN = 600.0
#: Microseconds before a run from which the next one sends again: longer than a sync's transaction, and more than clocks
#: differ.
MARGIN = 900 * 1_000_000
#: Characters of an error that are kept.
ERROR_LENGTH = 500
_DAY = 86_400 * 1_000_000


class Outlet(NamedTuple):
    """A sink, and the types of items it wants (none: all)."""

    sink: PopularitySink
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SinkReport:
    """What one sink was sent: items, and the ``error`` that ended it ("" for none)."""

    name: str
    items: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class PopularityReport:
    """What one run did, by sink, and seconds spent."""

    sinks: tuple[SinkReport, ...] = ()
    seconds: float = 0.0

    @property
    def failed(self) -> tuple[SinkReport, ...]:
        """The sinks that did not take everything."""
        return tuple(one for one in self.sinks if one.error)

    def checked(self) -> PopularityReport:
        """The report itself; raises `PathHitsError` when a sink failed, so that the run counts as failed."""
        if self.failed:
            raise PathHitsError("; ".join(f"popularity sink {one.name}: {one.error}" for one in self.failed))
        return self

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def publish(
    outlets: Iterable[Outlet],
    changes: Changes,
    states: SinkStates,
    rule_of: Callable[[str], Popularity],
    *,
    all_items: bool = False,
    now: int | None = None,
) -> PopularityReport:
    """Send each sink what changed since it was sent the last time, or everything.

    ``now`` is microseconds since 1970. Raises `StoreUnavailable` or `NotMigrated`; what was sent by then is noted.
    """
    started = time.monotonic()
    now = time.time_ns() // 1_000 if now is None else now
    run = _Run(changes, states, rule_of, now, started + SECONDS_A_RUN)
    reports = []
    for outlet in outlets:
        if all_items:
            states.get(outlet.sink.name)
            states.start_over(outlet.sink.name)
        reports.append(run.serve(outlet))
    return PopularityReport(tuple(reports), time.monotonic() - started)


@dataclass(frozen=True)
class _Run:
    """One run of the job, as of ``now``."""

    changes: Changes
    states: SinkStates
    rule_of: Callable[[str], Popularity]
    now: int
    until: float

    def serve(self, outlet: Outlet) -> SinkReport:
        """Send one sink what it has not had, some at a time."""
        name = outlet.sink.name
        noted = place = self.states.get(name).position
        sent = 0
        while time.monotonic() < self.until:
            changed = self.changes.after(place, ITEMS_A_STEP)
            wanted = [one for one in changed if not outlet.types or one.item_type in outlet.types]
            error = self._send(outlet.sink, wanted)
            if error:
                return SinkReport(name, sent, error)
            sent += len(wanted)
            if changed:
                place = changed[-1].position
            safe = Position(self.now - MARGIN)
            # All there is was sent: what changes from now on is later than this.
            to = safe if not changed and place < safe else min(place, safe)
            if not self.states.advance(name, noted, to, len(wanted)):
                logger.info("popularity sink %s: another run is at it", name)
                break
            noted = to
            if not changed:
                break
        return SinkReport(name, sent)

    def _send(self, sink: PopularitySink, changed: Sequence[Changed]) -> str:
        """What went wrong, "" for nothing."""
        if not changed:
            return ""
        items = self._figures(changed)
        try:
            sink.send(items)
        except Exception as error:
            reason = redact(f"{type(error).__name__}: {error}")[:ERROR_LENGTH]
            logger.error("popularity sink %s failed: %s", sink.name, reason)
            self.states.failed(sink.name, reason)
            return reason
        return ""

    def _figures(self, changed: Sequence[Changed]) -> list[ItemPopularity]:
        rules = {kind: self.rule_of(kind) for kind in {one.item_type for one in changed}}
        ids, today = [one.id for one in changed], self.now // _DAY
        first = min(rule.first_day(today) for rule in rules.values())
        first_days = {one.id: rules[one.item_type].first_day(today) for one in changed}
        amounts: dict[int, list[tuple[int, str, int]]] = {}
        for identity, amount in self.changes.days(ids, first):
            if amount[0] >= first_days[identity]:
                amounts.setdefault(identity, []).append(amount)
        counters = self.changes.counters(ids)
        return [
            ItemPopularity(
                one.item_type,
                one.item.partition(":")[2],
                rules[one.item_type].of(amounts.get(one.id, ())),
                {VIEWS: one.views, **counters.get(one.id, {})},
                one.id,
            )
            for one in changed
        ]
