"""Lists whose rows are filled in proportion to the largest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """One row; ``url`` is where its label leads, ``opens`` a page about it."""

    label: str
    amount: int
    share: float = 0.0
    url: str = ""
    opens: str = ""
    note: str = ""
    spark: str = ""
    is_hot: bool = False


@dataclass(frozen=True, slots=True)
class BarList:
    """A list; ``of`` and ``amount`` head its columns, ``empty`` is said where it has no rows."""

    id: str
    title: str
    of: str
    amount: str
    rows: Sequence[Bar]
    #: None where there are more, and nobody counted how many.
    total: int | None
    empty: str
    all_url: str = ""
    mono: bool = False
    sparks: bool = False
    opens: bool = False

    @property
    def all_words(self) -> str:
        """What leads to the page of all rows, which has them as CSV too; "" where there is none, or nothing to see."""
        if not self.all_url or not self.rows:
            return ""
        if self.total is None:
            return "all"
        return f"all {self.total:,}" if self.total > len(self.rows) else "as a list"


@dataclass(frozen=True, slots=True)
class Tabs:
    """Some lists in one card, of which one is seen at a time."""

    id: str
    title: str
    tabs: Sequence[BarList]


def shares(amounts: Sequence[int], largest: int = 0) -> list[float]:
    """The part of the largest that each is; of ``largest``, where that is on another page."""
    top = max([*amounts, largest, 1])
    return [max(amount, 0) / top for amount in amounts]
