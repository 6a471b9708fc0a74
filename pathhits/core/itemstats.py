"""What is known of an item, as a reader gets it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any

from pathhits.core.counts import Count


@dataclass(frozen=True, slots=True)
class ItemDay:
    """One UTC day of an item; ``visitors`` are those that a sync has seen, ``seconds`` were spent on its page."""

    day: date
    views: int = 0
    visitors: int = 0
    visits: int = 0
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class ItemStats:
    """What is known of one item.

    ``views`` and ``visits`` are stored + pending; ``views`` knows its parts. ``visitors`` are exact up to the last
    sync, each counted once a salt period. ``recent_views`` are those of the last seven days, to the moment.
    ``average_duration`` is the mean time (s) of the views that were followed by another hit, None when none was.
    ``days`` are the last seven UTC days, the oldest first, today the last. ``first_seen`` and ``last_seen`` are of
    stored views. ``counters`` are what events added to (``likes``, ``downloads`` ...), each stored + pending: every one
    that the app knows, 0 among them, and every one that is stored. ``partial`` says that a store did not answer in
    time, and that this is what was known before.
    """

    item_type: str
    item_id: str
    views: Count = Count(0, 0)  # noqa: RUF009  # it cannot be changed
    visitors: int = 0
    visits: int = 0
    recent_views: int = 0
    average_duration: float | None = None
    is_hot: bool = False
    days: tuple[ItemDay, ...] = ()
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    hot_changed_at: datetime | None = None
    partial: bool = False
    counters: Mapping[str, Count] = field(default_factory=dict, hash=False)

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return asdict(self) | {"stored": self.views.stored, "pending": self.views.pending}


def last_known(
    known: ItemStats | None, found: ItemStats | None, item_type: str, item_id: str, counters: Iterable[str]
) -> ItemStats:
    """The better of what was known of an item and what was found without a store, marked as partial.

    ``counters`` are those that a reader may ask for.
    """
    best = max(
        (one for one in (known, found) if one is not None),
        key=lambda one: one.views,
        default=ItemStats(item_type, item_id),
    )
    told = {**dict.fromkeys(counters, Count(0, 0)), **best.counters}
    return replace(
        best,
        views=_partial(best.views),
        partial=True,
        counters={name: _partial(count) for name, count in told.items()},
    )


def _partial(count: Count) -> Count:
    return Count(count.stored, count.pending, partial=True)


@dataclass(frozen=True, slots=True)
class HotRow:
    """One hot item: its views and visitors in all, its recent views, and since when it is hot."""

    item_type: str
    item_id: str
    recent_views: int
    views: int
    visitors: int
    hot_since: datetime | None
