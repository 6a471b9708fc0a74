"""How popular an item is: a weighted sum of what happened to it, in which a day counts half after each half-life.

It is kept as a logarithm on a scale that does not move with the clock: log2 of the sum as it will have been on the day
0 of that scale. While nothing happens to items, their sums all shrink by the same factor, so their order, and on this
scale each number, stays the same: only items to which something happened have to be computed anew (the forward decay
of Cormode et al., 2009).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, isfinite, log2
from typing import Any, Protocol

from pathhits.errors import SettingsError

#: What things weigh where the app does not say; what is not here weighs nothing.
WEIGHTS: Mapping[str, float] = {"views": 1.0, "downloads": 3.0, "watchlist": 3.0, "likes": 5.0}
#: Half-lives after which a day counts for nothing: it would be a 65,536th.
LOOK_BACK = 16
#: Digits of a popularity after the point.
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Popularity:
    """The rule of one type of items: weights of views and counters, and the half-life in days."""

    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    half_life: float = 7.0

    def __post_init__(self) -> None:
        if not 0.01 <= self.half_life <= 36_500:
            raise SettingsError(f"half_life={self.half_life!r}: give days, 0.01 to 36500")
        if not self.weights or not all(isfinite(w) for w in self.weights.values()):
            raise SettingsError(f"weights={dict(self.weights)!r}: give a number for views and for counters")

    def first_day(self, today: int) -> int:
        """The first UTC day (since 1970) that counts."""
        return today - ceil(LOOK_BACK * self.half_life)

    def of(self, amounts: Iterable[tuple[int, str, int]]) -> float:
        """The popularity of an item that had these amounts, each (UTC day, counter, number); 0 for none.

        1 more is twice as popular; the same a half-life later is 1 more.
        """
        counted = [(day, self.weights[name] * n) for day, name, n in amounts if n and self.weights.get(name)]
        if not counted:
            return 0.0
        last = max(day for day, _ in counted)
        total = sum(n * 2.0 ** ((day - last) / self.half_life) for day, n in counted)
        return round(max(0.0, log2(total) + last / self.half_life), DIGITS) if total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class ItemPopularity:
    """One item as a sink gets it: its popularity, and its views and counters in all, as SQL has them."""

    item_type: str
    item_id: str
    popularity: float
    counters: Mapping[str, int] = field(hash=False)
    #: The item's row in ``pathhits_items``.
    id: int = 0

    @property
    def item(self) -> str:
        """The item as it is stored, ``type:id``."""
        return f"{self.item_type}:{self.item_id}"

    def as_dict(self) -> dict[str, Any]:
        """Popularity and counters by name, as a document has them."""
        return {**self.counters, "popularity": self.popularity}


class PopularitySink(Protocol):
    """Where popularity goes: a table, a search engine. ``name`` tells it apart, and must stay what it is."""

    @property
    def name(self) -> str:
        """At most 64 printable characters."""

    def send(self, items: Sequence[ItemPopularity]) -> None:
        """Take the items, each with all its figures, so that taking one twice does no harm.

        Whatever it raises is logged, and these items and all after them are sent again later.
        """
