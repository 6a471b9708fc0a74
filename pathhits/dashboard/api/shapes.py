"""What the API answers, as dataclasses: pages are rendered from them, JSON, CSV and the OpenAPI document made of them.

Moments are aware and in the zone asked for; durations are seconds; rates are from 0 to 1; None says that a number is
not known, or not kept for what was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar, get_args, get_type_hints

from pathhits.core.periods import By
from pathhits.dashboard.queries import Range

Row = TypeVar("Row")


def types_of(kind: Any) -> dict[str, Any]:
    """The types of the fields of one of these; of a list those that its rows have."""
    rows = tuple(one for base in getattr(kind, "__orig_bases__", ()) for one in get_args(base))
    hints = get_type_hints(kind)
    return {name: hint[rows] if getattr(hint, "__parameters__", ()) else hint for name, hint in hints.items()}


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list, ``limit`` a page; ``total`` is None where nobody counted them all."""

    rows: tuple[Row, ...]
    total: int | None
    page: int
    limit: int


@dataclass(frozen=True, slots=True)
class CountedPage(Page[Row]):
    """Some rows of a list of which it is known how long it is."""

    total: int


@dataclass(frozen=True, slots=True)
class Span:
    """A period, its end not included."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a period. Of one label there are hits and visitors, of one value hits.

    In ``average_duration`` a visit of one hit, a bounce, took no time; the other is of the visits that had more.
    """

    hits: int
    visitors: int | None
    visits: int | None
    bounce_rate: float | None
    average_duration: float | None
    average_duration_without_bounces: float | None


@dataclass(frozen=True, slots=True)
class Changes:
    """How each figure changed against the period before: 0.12 is 12 % more. None where there is nothing to compare."""

    hits: float | None
    visitors: float | None
    visits: float | None
    bounce_rate: float | None
    average_duration: float | None
    average_duration_without_bounces: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """How the site, or one label, is doing in a period, and how that changed. ``value`` is ``dimension:value``.

    Equals are compared: ``compared`` is the part of the period that is over, in whole hours, and ``before`` an equally
    long part of the period before. Visitors, and hits with a value, are those of as many whole UTC days in both. All of
    these are None where nothing can be compared yet.
    """

    range: Range
    tz: str
    period: Span
    is_running: bool
    path: str | None
    value: str | None
    figures: Figures
    compared: Figures | None
    before: Figures | None
    compared_period: Span | None
    before_period: Span | None
    changes: Changes | None


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a series: the figures between two moments."""

    start: datetime
    end: datetime
    hits: int
    visitors: int | None
    visits: int | None
    bounce_rate: float | None
    average_duration: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """Figures by step, up to the one that runs; ``before`` are those of the whole period before.

    Visitors are counted by UTC day: steps that hold no UTC noon, as most hours, have none (None).
    """

    by: By
    tz: str
    path: str | None
    value: str | None
    is_running: bool
    points: tuple[Point, ...]
    before: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class PathRow:
    """Hits of one label, its visitors summed over days, and its share of all hits of the period."""

    path: str
    hits: int
    visitors: int | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Paths(CountedPage[PathRow]):
    """A page of the labels that had hits in the period; narrowed to a value, of the first 10,000 of them."""


@dataclass(frozen=True, slots=True)
class ValueRow:
    """Hits with one value of a dimension, and their share of all hits of the period, or of the label."""

    value: str
    hits: int
    share: float | None


@dataclass(frozen=True, slots=True)
class Values(CountedPage[ValueRow]):
    """A page of the values of a dimension, of the first 10,000 of them."""

    dimension: str


@dataclass(frozen=True, slots=True)
class ItemRow:
    """Views of one item, and its visitors summed over days."""

    item_type: str
    item_id: str
    views: int
    visitors: int | None


@dataclass(frozen=True, slots=True)
class Items(CountedPage[ItemRow]):
    """A page of the items that had views in the period."""


@dataclass(frozen=True, slots=True)
class HotItem:
    """An item that is hot: its views of the last seven days, and since when it is."""

    item_type: str
    item_id: str
    recent_views: int
    views: int
    visitors: int
    hot_since: datetime | None


@dataclass(frozen=True, slots=True)
class HotItems:
    """The hot items, those with the most recent views first."""

    rows: tuple[HotItem, ...]


@dataclass(frozen=True, slots=True)
class CounterRow:
    """A counter of an item that events add to, such as ``likes``."""

    name: str
    total: int


@dataclass(frozen=True, slots=True)
class HotChange:
    """That an item became hot, or cooled, and its recent views then."""

    moment: datetime
    is_hot: bool
    recent_views: int


@dataclass(frozen=True, slots=True)
class ViewPoint:
    """One step of an item's series."""

    start: datetime
    end: datetime
    views: int
    visitors: int | None


@dataclass(frozen=True, slots=True)
class Item:
    """All that is known of one item; ``points`` are its views in the period.

    ``rank`` is its place among the items of its type by stored views, None for one that has none.
    """

    item_type: str
    item_id: str
    views: int
    pending_views: int
    visitors: int
    visits: int
    recent_views: int
    average_duration: float | None
    is_hot: bool
    hot_since: datetime | None
    first_seen: datetime | None
    last_seen: datetime | None
    rank: int | None
    is_partial: bool
    counters: tuple[CounterRow, ...]
    hot_changes: tuple[HotChange, ...]
    points: tuple[ViewPoint, ...]


@dataclass(frozen=True, slots=True)
class SearchRow:
    """A query: how often it was searched for, by how many visitors (summed over days), and what it found on average."""

    query: str
    searches: int
    visitors: int
    average_results: float | None
    last_at: datetime
    item_type: str


@dataclass(frozen=True, slots=True)
class Searches(Page[SearchRow]):
    """A page of the queries of the period; ``total`` is None where there are more than this page shows."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event as it is logged; ``visitor`` and ``user`` are keyed hashes, "" for none."""

    id: str
    moment: datetime
    name: str
    item_type: str
    item_id: str
    visitor: str
    user: str
    user_agent: str
    referrer: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Events(Page[EventRow]):
    """A page of the stored events of a period, the last first; ``total`` is None where there are more than 10,000."""


@dataclass(frozen=True, slots=True)
class DropRow:
    """How many requests were not counted for a reason."""

    reason: str
    requests: int


@dataclass(frozen=True, slots=True)
class Drops:
    """Requests = hits + the requests of each reason."""

    requests: int
    hits: int
    rows: tuple[DropRow, ...]


@dataclass(frozen=True, slots=True)
class Active:
    """Visitors who made a hit in the last five minutes."""

    visitors: int
    moment: datetime


State = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the doctor looked at, and what to do about it."""

    what: str
    state: State
    says: str


@dataclass(frozen=True, slots=True)
class SyncRow:
    """One batch that SQL took in."""

    moment: datetime
    seconds: float
    paths: int
    hits: int
    errors: int


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job of the clock: its period, how its last run went, and when the next one is.

    ``failures`` is how many runs in a row failed until now, ``error`` the last error.
    """

    id: str
    description: str
    every: float
    state: str
    last_run: datetime | None
    seconds: float | None
    next_run: datetime | None
    failures: int
    error: str
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that stands in RQ's failed registry."""

    id: str
    task: str
    ended: datetime | None
    error: str


@dataclass(frozen=True, slots=True)
class DeadDelivery:
    """A call of a listener that failed for good."""

    id: int
    listener: str
    event: str
    event_id: str
    item: str
    attempts: int
    moment: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Health:
    """How pathhits itself is doing. None is what could not be asked, as its store does not answer."""

    state: State
    moment: datetime
    buffered: int
    pending_hits: int | None
    waiting_generations: int | None
    oldest_waiting: float | None
    queued_jobs: int | None
    due_deliveries: int | None
    dead_deliveries: int | None
    dead_letters: int | None
    syncs: tuple[SyncRow, ...]
    jobs: tuple[JobRow, ...]
    failed: tuple[FailedJob, ...]
    dead: tuple[DeadDelivery, ...]
    checks: tuple[Check, ...]
