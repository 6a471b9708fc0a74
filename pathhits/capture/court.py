"""The abuse rules in memory, for one process that cannot ask Redis: a test, or one that counts while Redis is away."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TypeVar

from pathhits.core.rules import Limits, Refusal
from pathhits.hits import Track, View

K = TypeVar("K")
V = TypeVar("V")


class MemoryCourt:
    """Judges views by their rules as ``rules.lua`` does in Redis, and goes by the moments of the views alone."""

    def __init__(self, most: int = 0) -> None:
        """``most`` viewings are remembered, then all are forgotten; 0 for no such bound."""
        self._lock = threading.Lock()
        self._most = most
        self.clear()

    def clear(self) -> None:
        """Forget all viewers."""
        self._cooldowns: dict[tuple[str, str], float] = {}
        self._sessions: dict[tuple[str, str], tuple[float, int]] = {}
        self._days: dict[tuple[str, int], int] = {}
        self._viewed: dict[tuple[str, str, int], bool] = {}
        self._granted: set[str] = set()
        self._once: set[str] = set()

    def judge(self, view: View) -> str:
        """Decide on a view and record it: "" when it counts, else the reason."""
        with self._lock:
            if view.grant in self._granted:
                return ""
            if self._most and sum(self.live_keys().values()) + len(self._granted) >= self._most:
                self.clear()
            reason = self._decided(view, Limits(*view.limits)) if view.viewers else ""
            if not reason and view.grant:
                self._granted.add(view.grant)
            return reason

    def has_granted(self, grant: str) -> bool:
        """Whether the view of this grant was let pass."""
        with self._lock:
            return grant in self._granted

    def admits(self, track: Track) -> bool:
        """Whether an event happens: it has no key, or one that is new here; it is remembered."""
        with self._lock:
            if not self._once.isdisjoint(track.once):
                return False
            if self._most and len(self._once) >= self._most:
                self._once.clear()
            self._once.update(track.once[:1])
            return True

    def live_keys(self) -> dict[str, int]:
        """What is remembered, by kind; here nothing expires by itself."""
        views = len(self._cooldowns) + len(self._viewed)
        return {"views": views, "sessions": len(self._sessions), "daily_limits": len(self._days)}

    def _decided(self, view: View, limits: Limits) -> str:
        """The refusal, "" for none; a view is looked up under all its viewers and recorded under the first."""
        moment, item, day, first = view.moment, view.item, int(view.moment // 86_400), view.viewers[0]
        last = _first(self._cooldowns, [(viewer, item) for viewer in view.viewers])
        if limits.cooldown and last is not None and abs(moment - last) < limits.cooldown:
            return Refusal.COOLDOWN
        if limits.once_per_day and _first(self._viewed, [(viewer, item, day) for viewer in view.viewers]):
            return Refusal.ALREADY_TODAY
        start, seen = _first(self._sessions, [(viewer, item) for viewer in view.viewers]) or (moment, 0)
        if moment - start >= limits.session:
            start, seen = moment, 0
        if limits.per_session and seen >= limits.per_session:
            return Refusal.SESSION_LIMIT
        today = _first(self._days, [(viewer, day) for viewer in view.viewers]) or 0
        if limits.per_day and today >= limits.per_day:
            return Refusal.DAILY_LIMIT
        if limits.cooldown:
            # A view that comes late does not shorten the wait after a later one.
            self._cooldowns[first, item] = moment if last is None else max(moment, last)
        if limits.once_per_day:
            self._viewed[first, item, day] = True
        if limits.per_session:
            self._sessions[first, item] = (start, seen + 1)
        if limits.per_day:
            self._days[first, day] = today + 1
        return ""


def _first(held: Mapping[K, V], keys: Iterable[K]) -> V | None:
    """What is held under the first of the keys that is there."""
    return next((held[key] for key in keys if key in held), None)
