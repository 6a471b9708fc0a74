"""What a transaction takes in: the contents of one generation, sorted out, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pathhits.events import Logged

#: A dimension and one of its values.
Value = tuple[str, str]


class Letter(NamedTuple):
    """A field that could not be taken in: as it was, and why."""

    field: str
    amount: str
    error: str


@dataclass(slots=True)
class Contents:
    """What one generation holds, sorted out: hits by label, views by item, sums, events, and what makes no sense.

    ``times`` are the `ITEM_TIMES` of items by counter and hour, ``counters`` what events added to them, likewise;
    ``values`` are the hits with each value of a dimension by label and day. ``announced`` is whether listeners are to
    be called with the events: what lies in the past is no news.
    """

    generation: str
    paths: dict[str, dict[int, int]] = field(default_factory=dict)
    items: dict[str, dict[int, int]] = field(default_factory=dict)
    site: dict[tuple[str, int], int] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)
    events: list[Logged] = field(default_factory=list)
    times: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    counters: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    values: dict[Value, dict[tuple[str, int], int]] = field(default_factory=dict)
    announced: bool = True

    def __bool__(self) -> bool:
        held = (self.paths, self.items, self.site, self.letters, self.events, self.times, self.counters, self.values)
        return any(held)


@dataclass(frozen=True, slots=True)
class Applied:
    """What a transaction took in; ``new`` is False when another sync had done it before."""

    new: bool
    paths: int = 0
    hits: int = 0
    errors: int = 0
    events: int = 0
    deliveries: int = 0
