"""What a hit is told apart by besides its label: the dimensions, their values, and how values travel.

A hit has traits, and a trait is one or more values that travel together: what a user agent says is one trait and three
dimensions. In SQL each dimension has sums of its own, so that nothing there says which values came together.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from pathhits.core import labels
from pathhits.hits import OTHER, TRAIT_MARK, Delta
from pathhits.settings import DIMENSIONS

#: Kinds of traits, and the dimensions each is made of.
KINDS = {
    "referrer": ("referrer",),
    "campaign": ("utm_source", "utm_medium", "utm_campaign"),
    "agent": ("browser", "system", "device"),
    "language": ("language",),
    "country": ("country",),
}
#: The dimensions of which every hit has a value; of the others those that said one.
ALWAYS = frozenset(DIMENSIONS) - frozenset(KINDS["campaign"])
#: What is not known, or of one who does not want it known.
UNKNOWN = "(unknown)"
#: A hit that no other page led to, and one that a page of the same site did.
DIRECT = "(direct)"
INTERNAL = "(internal)"
#: Characters of the longest value.
MAX_VALUE = 100
#: A trait of which there are too many: each of its values is `OTHER`.
OTHERS = {kind: TRAIT_MARK.join([OTHER] * len(dimensions)) for kind, dimensions in KINDS.items()}


def number_of(dimension: str) -> int:
    """What a dimension is called in SQL; raises ValueError for one that there is not."""
    try:
        return DIMENSIONS.index(dimension)
    except ValueError:
        raise ValueError(f"{dimension!r} is no dimension; they are {', '.join(DIMENSIONS)}") from None


def clean(value: str) -> str:
    """A value as it is kept: at most `MAX_VALUE` characters, none of them a control character; "" stays empty."""
    shown = value.strip()[:MAX_VALUE]
    return labels.clean(shown) if shown else ""


def key(dimension: str, value: str) -> bytes:
    """What a value is stored and compared by: a SHA-256 (32 bytes) of it and its dimension."""
    return sha256(f"{dimension}{TRAIT_MARK}{value}".encode()).digest()


class Trait(NamedTuple):
    """One trait of a hit: its kind, and its values as they travel."""

    kind: str
    values: str

    @classmethod
    def of(cls, kind: str, values: Iterable[str]) -> Trait:
        """The trait with a value for each dimension of its kind, "" where there is none."""
        return cls(kind, TRAIT_MARK.join(values))

    def delta(self, hour: int, label: str) -> Delta:
        """What counts the hits of a label in an hour that have it."""
        return Delta(hour, self.kind, f"{label}{TRAIT_MARK}{self.values}")

    def other(self) -> Trait:
        """What it counts as where there are too many."""
        return Trait(self.kind, OTHERS[self.kind])


def split(delta: Delta) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The label of a trait, and each dimension with its value; raises ValueError when it is none."""
    label, _, values = delta.subject.partition(TRAIT_MARK)
    pairs = _pairs(delta.counter, values)
    if labels.clean(label) != label:
        raise ValueError("not a clean value")
    return label, pairs


# A generation has tens of thousands of traits with some hundred values, and the next one the same.
@lru_cache(maxsize=4_096)
def _pairs(kind: str, text: str) -> tuple[tuple[str, str], ...]:
    dimensions, values = KINDS.get(kind), text.split(TRAIT_MARK)
    if dimensions is None or len(values) != len(dimensions):
        raise ValueError("not a trait this version knows")
    if any(labels.clean(value) != value for value in filter(None, values)):
        raise ValueError("not a clean value")
    return tuple(pair for pair in zip(dimensions, values, strict=True) if pair[1])
