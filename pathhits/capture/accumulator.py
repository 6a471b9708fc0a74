"""Coalesces hits into deltas and visitors until they are cut into batches; bounded in labels and visitors."""

from __future__ import annotations

from itertools import islice

from pathhits.hits import DROPS, HITS, OTHER, REQUESTS, SITE, Delta, Sketch

#: UTC days for which the distinct labels are remembered: today, and yesterday for what comes late.
DAYS_REMEMBERED = 2


class Accumulator:
    """Deltas and visitors that no batch holds yet. Not thread-safe: its owner holds a lock."""

    def __init__(self, max_labels: int, max_visitors: int) -> None:
        self._max_labels = max_labels
        self._max_visitors = max_visitors
        self._deltas: dict[Delta, int] = {}
        self._visitors: dict[Sketch, set[int]] = {}
        self._members = 0
        self._labels: dict[int, set[str]] = {}
        #: Visitors that were not noted because too many waited.
        self.visitors_shed = 0

    def __bool__(self) -> bool:
        return bool(self._deltas or self._visitors)

    def request(self, hour: int, amount: int = 1) -> None:
        """Count requests seen, whatever becomes of them."""
        self.add(Delta(hour, REQUESTS, ""), amount)

    def drop(self, hour: int, reason: str, amount: int = 1) -> None:
        """Count requests that were seen and are no hits."""
        self.add(Delta(hour, DROPS, reason), amount)

    def hit(self, hour: int, label: str, visitor: int | None) -> None:
        """Count one hit, under `OTHER` once the day has had its share of labels."""
        day = hour // 24
        label = self._admit(day, label)
        self.add(Delta(hour, HITS, label), 1)
        if visitor is not None:
            self._see(Sketch(day, label), visitor)
            self._see(Sketch(day, SITE), visitor)

    def add(self, delta: Delta, amount: int) -> None:
        """Add to one counter."""
        self._deltas[delta] = self._deltas.get(delta, 0) + amount

    def take(self, size: int) -> tuple[dict[Delta, int], dict[Sketch, tuple[int, ...]]]:
        """Remove and return at most ``size`` deltas and visitors together, the longest waiting first."""
        deltas = {delta: self._deltas.pop(delta) for delta in list(islice(self._deltas, size))}
        visitors: dict[Sketch, tuple[int, ...]] = {}
        room = size - len(deltas)
        while room > 0 and self._visitors:
            sketch, members = next(iter(self._visitors.items()))
            taken = tuple(members.pop() for _ in range(min(room, len(members))))
            visitors[sketch] = taken
            room -= len(taken)
            self._members -= len(taken)
            if not members:
                del self._visitors[sketch]
        return deltas, visitors

    def _admit(self, day: int, label: str) -> str:
        known = self._labels.get(day)
        if known is None:
            known = self._labels[day] = set()
            for old in sorted(self._labels)[:-DAYS_REMEMBERED]:
                del self._labels[old]
        if label not in known:
            if len(known) >= self._max_labels:
                return OTHER
            known.add(label)
        return label

    def _see(self, sketch: Sketch, visitor: int) -> None:
        members = self._visitors.setdefault(sketch, set())
        if visitor in members:
            return
        if self._members >= self._max_visitors:
            self.visitors_shed += 1
            if not members:
                del self._visitors[sketch]
            return
        members.add(visitor)
        self._members += 1
