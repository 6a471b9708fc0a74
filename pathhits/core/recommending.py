"""Which items the same visitors viewed, and how like two items are by that: numbers in, a ranking out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

#: Why an item of `also_viewed` is recommended.
ALSO_VIEWED = "also_viewed"
#: The latest visitors of an item that are asked for, and the latest items of each: nobody makes a run endless.
VISITORS_AN_ITEM = 200
ITEMS_A_VISITOR = 50
#: Other items of which the likeness is worked out, those with the most visitors in common.
CANDIDATES = 200
#: Recommendations that are kept of an item.
KEPT = 20


@dataclass(frozen=True, slots=True)
class Recommended:
    """One recommendation: the item, its likeness (0 to 1), visitors in common, and why it is one."""

    item_type: str
    item_id: str
    score: float
    visitors: int
    reason: str = ALSO_VIEWED


class Viewed(NamedTuple):
    """An item as a view of it names it: its id in SQL and its type."""

    id: int
    item_type: str


def in_common(item: Viewed, visitors: Iterable[int], baskets: Mapping[int, Sequence[Viewed]]) -> Counter[int]:
    """How many of these visitors of an item viewed each other item of its type; ``baskets`` are their items."""
    return Counter(
        other.id
        for visitor in visitors
        for other in baskets.get(visitor, ())
        if other.item_type == item.item_type and other.id != item.id
    )


def candidates(common: Mapping[int, int], least: int) -> list[int]:
    """The items whose likeness is worked out: with at least so many visitors in common, those with the most."""
    enough = [one for one, n in common.items() if n >= least]
    return sorted(enough, key=lambda one: (-common[one], one))[:CANDIDATES]


def likeness(common: int, asked: int, visitors: int, others: int) -> float:
    """The cosine of the two sets of visitors: those in common / sqrt(visitors of one x visitors of the other).

    ``asked`` of the ``visitors`` were looked at, so that those in common are estimated where that is not all. Four
    digits, 0 to 1.
    """
    cosine = common / asked * sqrt(max(visitors, asked) / max(others, common))
    return round(min(cosine, 1.0), 4)
