"""Visits in memory, for a test that has no Redis: as visits.lua makes them of hits that come in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pathhits.core.periods import hour_of
from pathhits.hits import BOUNCES, SECONDS, SITE, TIMED, VISITS, Delta, Stay, Step

#: Seconds for which a visitor is active after a hit.
ACTIVE = 300


@dataclass(slots=True)
class _Visit:
    """A visitor's present visit; ``shown`` is the item of the view that goes on, ``last`` the last sign of life."""

    hour: int
    last: float
    hit: float
    hits: int = 1
    items: set[str] = field(default_factory=set)
    shown: str = ""
    shown_hour: int = 0
    timed: bool = False


class MemoryVisits:
    """Sorts hits into visits. A hit that comes late is a part of the present visit and adds no time."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._visits: dict[str, _Visit] = {}

    def clear(self) -> None:
        """Forget all visitors."""
        self._visits.clear()

    def active(self, now: float) -> int:
        """Visitors who made a hit in the last minutes."""
        return sum(now - visit.hit <= ACTIVE for visit in self._visits.values())

    def attend(self, stay: Stay, counts: Callable[[str], bool]) -> Counter[Delta]:
        """What these hits add; ``counts`` says of a mark of `Step.shown` whether that view counts."""
        sums: Counter[Delta] = Counter()
        found = next((one for one in stay.ids if one in self._visits), None)
        visit = None if found is None else self._visits.pop(found)
        for step in stay.steps:
            if step.age is None:
                visit = self._hit(visit, step, counts, sums)
            elif visit is not None and 2 * (step.moment - visit.hit) >= step.age:
                self._pass(visit, min(step.moment, visit.last + self._timeout), sums)
        if visit is not None:
            self._visits[stay.ids[stay.home]] = visit
        return sums

    def _hit(self, visit: _Visit | None, step: Step, counts: Callable[[str], bool], sums: Counter[Delta]) -> _Visit:
        hour = hour_of(step.moment)
        if visit is None or step.moment - visit.last > self._timeout:
            visit = _Visit(hour, step.moment, step.moment)
            sums[Delta(hour, VISITS, SITE)] += 1
            sums[Delta(hour, BOUNCES, SITE)] += 1
        else:
            if visit.hits == 1:
                sums[Delta(visit.hour, BOUNCES, SITE)] -= 1
            visit.hits += 1
            visit.hit = max(visit.hit, step.moment)
            self._pass(visit, step.moment, sums)
        self._show(visit, step, counts, sums)
        return visit

    def _pass(self, visit: _Visit, moment: float, sums: Counter[Delta]) -> None:
        if moment < visit.last:
            return
        gap = int(moment) - int(visit.last)
        visit.last = moment
        sums[Delta(visit.hour, SECONDS, SITE)] += gap
        if visit.shown:
            sums[Delta(visit.shown_hour, SECONDS, visit.shown)] += gap
            sums[Delta(visit.shown_hour, TIMED, visit.shown)] += not visit.timed
            visit.timed = True

    def _show(self, visit: _Visit, step: Step, counts: Callable[[str], bool], sums: Counter[Delta]) -> None:
        hour = hour_of(step.moment)
        passed = [item for mark, item in step.shown if counts(mark)]
        for item in passed:
            sums[Delta(hour, VISITS, item)] += item not in visit.items
            visit.items.add(item)
        if passed:
            visit.shown, visit.shown_hour, visit.timed = passed[0], hour, False
        elif visit.shown not in [item for _, item in step.shown]:
            visit.shown = ""
