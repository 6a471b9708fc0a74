"""The read side: stored (SQL) + pending (Redis), so that a reader sees neither a dip nor a double.

Redis is read first, then one SQL statement gives the stored sum and says which of the generations just read it
already includes. A generation is therefore counted once, wherever a sync has got to in between.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import redis

from pathhits.core import labels
from pathhits.core.clicks import ClickRate, click_rates
from pathhits.core.counts import Count
from pathhits.core.periods import By, bucket_index, bucket_starts, to_hour
from pathhits.core.rules import subject, type_of
from pathhits.core.searches import SearchRow, normalised
from pathhits.errors import SettingsError, StoreUnavailable
from pathhits.hits import (
    BOUNCES,
    CORRECTED,
    DROPS,
    HITS,
    OWN_COUNTERS,
    REFUSALS,
    SECONDS,
    SITE,
    VIEWS,
    VISITS,
    Delta,
    Sketch,
)
from pathhits.storage.redis.client import explain
from pathhits.storage.redis.pending import NotAGeneration, PendingStore
from pathhits.storage.sql.reads import LABELS_A_STATEMENT, Reads, Stored, Window
from pathhits.storage.sql.searchreads import StoredSearch
from pathhits.storage.sql.tables import ITEMS, PATHS, Family

T = TypeVar("T")
Metric = Literal["hits", "requests", "visitors", "views", "visits", "bounces", "seconds"]
METRICS = frozenset(get_args(Metric))
#: Labels with pending hits that `Stats.top_paths` looks up in SQL, those with the most of them; beyond so many, one
#: with few pending and not quite enough stored hits may be missed until the next sync. SQLite takes 32,766 parameters.
PENDING_LABELS = 20_000
#: UTC days whose sketches may still be in Redis.
LIVE_DAYS = 4


@dataclass(frozen=True, slots=True)
class PathRow:
    """One line of `Stats.top_paths`: hits in the period, and visitors summed over the UTC days that it touches.

    They are at most the hits, as days that the period only touches are counted whole; None where the paths are asked
    for by a value, by which visitors are not counted.
    """

    path: str
    hits: int
    visitors: int | None


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a series: where it starts (aware, in the zone asked for) and the number in it."""

    start: datetime
    value: int


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One line of `Stats.top_items`: views in the period, and visitors as in `PathRow`."""

    item_type: str
    item_id: str
    views: int
    visitors: int


@dataclass(frozen=True, slots=True)
class Visits:
    """Visits of a period, those of one hit, and the seconds from the first to the last hit of each, summed."""

    visits: int
    bounces: int
    seconds: int

    @property
    def average_duration(self) -> float | None:
        """Seconds a visit took; a bounce took none. None where there was no visit."""
        return self.seconds / self.visits if self.visits else None

    @property
    def average_duration_without_bounces(self) -> float | None:
        """Seconds a visit of more than one hit took; None where there was none."""
        stayed = self.visits - self.bounces
        return self.seconds / stayed if stayed > 0 else None

    def as_dict(self) -> dict[str, int | float | None]:
        """All of it as plain values, for JSON."""
        means = ("average_duration", "average_duration_without_bounces")
        return asdict(self) | {name: getattr(self, name) for name in means}


class _Kind(NamedTuple):
    """What is counted: the counter of its deltas, the tables it ends in, and whether sketches count its visitors."""

    counter: str
    family: Family
    sketched: bool


_PATH = _Kind(HITS, PATHS, sketched=True)
_ITEM = _Kind(VIEWS, ITEMS, sketched=False)


class Stats:
    """Questions about counts; each may raise `StoreUnavailable`, and `NotMigrated` before the first migration."""

    def __init__(self, pending: PendingStore, reads: Reads, redis_url: str) -> None:
        self._pending = pending
        self._reads = reads
        self._redis_url = redis_url

    def hit_counts(self, wanted: Iterable[str]) -> dict[str, Count]:
        """All hits of each label, stored + pending; one Redis call and one SQL statement for up to 1,000 labels.

        While Redis is away a count is what SQL has, and ``partial``.
        """
        return self._counts(_PATH, {label: labels.clean(label) for label in wanted})

    def view_counts(self, item_type: str, ids: Iterable[object]) -> dict[str, Count]:
        """All views of each item, by its id as text; else as `hit_counts`."""
        return self._counts(_ITEM, {str(one): subject(item_type, one) for one in ids})

    def _counts(self, kind: _Kind, asked: Mapping[str, str]) -> dict[str, Count]:
        subjects = sorted(set(asked.values()))
        counts: dict[str, Count] = {}
        for first in range(0, len(subjects), LABELS_A_STATEMENT):
            counts |= self._some_counts(kind, subjects[first : first + LABELS_A_STATEMENT])
        return {name: counts[subject] for name, subject in asked.items()}

    def _some_counts(self, kind: _Kind, subjects: Sequence[str]) -> dict[str, Count]:
        try:
            live = self._pending.snapshot([(kind.counter, subject) for subject in subjects])
        except redis.RedisError:
            stored = self._reads.counts(kind.family, subjects)
            return {subject: Count(stored.amounts[subject], 0, partial=True) for subject in subjects}
        stored = self._reads.counts(kind.family, subjects, [one.generation for one in live])
        waiting: Counter[str] = Counter()
        for one in live:
            if one.generation not in stored.applied:
                waiting.update(dict(zip(subjects, one.counts, strict=True)))
        return {subject: Count(stored.amounts[subject], waiting[subject]) for subject in subjects}

    def counters(self, item_type: str, wanted: Sequence[tuple[object, str]]) -> list[Count]:
        """Counters of items that events add to, each asked for by id and name, in that order; else as `hit_counts`.

        Raises `SettingsError` for what pathhits counts by itself.
        """
        for name in {name for _, name in wanted} & OWN_COUNTERS:
            raise SettingsError(f"{name!r} is no counter that events add to: view_count and item_stats tell of views")
        asked = [(name, subject(item_type, one)) for one, name in wanted]
        counts: dict[tuple[str, str], Count] = {}
        for first in range(0, len(asked), LABELS_A_STATEMENT):
            counts |= self._some_counters(list(dict.fromkeys(asked[first : first + LABELS_A_STATEMENT])))
        return [counts[one] for one in asked]

    def _some_counters(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Count]:
        try:
            live = self._pending.snapshot(asked)
        except redis.RedisError:
            stored = self._reads.item_counters(asked)
            return {one: Count(stored.amounts.get(one, 0), 0, partial=True) for one in asked}
        stored = self._reads.item_counters(asked, [one.generation for one in live])
        waiting = dict.fromkeys(asked, 0)
        for one in live:
            if one.generation not in stored.applied:
                for which, n in zip(asked, one.counts, strict=True):
                    waiting[which] += n
        return {which: Count(stored.amounts.get(which, 0), n) for which, n in waiting.items()}

    def stored_hit_count(self, label: str) -> int:
        """Hits of a label that are in SQL."""
        clean = labels.clean(label)
        return self._reads.counts(PATHS, [clean]).amounts[clean]

    def pending_hit_count(self, label: str) -> int:
        """Hits of a label that are in Redis and not yet in SQL."""
        return self.hit_counts([label])[label].pending

    def top_paths(self, since: datetime | None = None, until: datetime | None = None, limit: int = 10) -> list[PathRow]:
        """The labels with the most hits between two aware datetimes, in whole UTC hours; None is without end."""
        return [PathRow(*row) for row in self._top(_PATH, _window(since, until), limit)]

    def top_items(
        self, item_type: str, since: datetime | None = None, until: datetime | None = None, limit: int = 10
    ) -> list[ItemRow]:
        """The items of one type with the most views; periods as in `top_paths`."""
        rows = self._top(_ITEM, _window(since, until), limit, item_type)
        return [ItemRow(item_type, item.partition(":")[2], views, visitors) for item, views, visitors in rows]

    def _top(self, kind: _Kind, window: Window, limit: int, item_type: str | None = None) -> list[tuple[str, int, int]]:
        """Subject, amount and visitors of those with the most in the window."""
        if limit < 1:
            return []
        live = self._scan()
        waiting = {identity: _sum(deltas, kind.counter, window, by_label=True) for identity, deltas in live.items()}
        if item_type is not None:
            waiting = {identity: _of_type(sums, item_type) for identity, sums in waiting.items()}
        also = _most(waiting.values(), PENDING_LABELS)
        stored = self._reads.top(kind.family, window, limit, also, list(live), item_type)
        hits = Counter(stored.amounts)
        known = stored.amounts.keys() | set(also)
        for identity, sums in waiting.items():
            if identity not in stored.applied:
                hits.update({label: n for label, n in sums.items() if label in known})
        best = sorted(((n, label) for label, n in hits.items() if n), key=lambda pair: (-pair[0], pair[1]))[:limit]
        visitors = self._visitors(kind, [label for _, label in best], window)
        # Of the first and the last day the window may hold a part only: it had no more visitors than it had hits.
        return [(label, n, min(n, sum(visitors[label].values()))) for n, label in best]

    def series(
        self,
        metric: Metric | str,
        since: datetime,
        until: datetime,
        by: By = "hour",
        tz: str = "UTC",
        label: str | None = None,
        item: tuple[str, object] | None = None,
    ) -> list[Point]:
        """One number a step between two aware datetimes, steps of ``by`` in the zone ``tz``; empty steps are 0.

        ``label`` asks for the hits or visitors of one label, ``item`` = (type, id) for the views or visitors of one
        item, or for a counter that events add to (``likes``: below 0 in a step that took back more than it gave);
        without them it is the whole site. Hits and views fall into the step in which their UTC hour starts,
        visits, bounces and seconds into that of the visit's first hit.
        Visitors are counted by UTC day, so they have no steps shorter than a day, and a UTC day belongs to the step
        that holds its noon.
        """
        starts = bucket_starts(since, until, by, tz)
        where = bucket_index(starts)
        values = [0] * len(starts)
        for hour, n in self._by_hour(metric, _window(since, until), label, by, item).items():
            index = where(hour)
            if 0 <= index < len(values):
                values[index] += n
        # A correction may be in SQL before what it corrects, for a moment.
        least = 0 if metric in METRICS else min(values, default=0)
        return [Point(start, max(n, least)) for start, n in zip(starts, values, strict=True)]

    def visits(self, since: datetime | None = None, until: datetime | None = None) -> Visits:
        """The visits that began between two aware datetimes, in whole UTC hours; None is without end."""
        window, counters = _window(since, until), (VISITS, BOUNCES, SECONDS)
        live = self._scan()
        stored = self._reads.site_sums(counters, window, list(live))
        sums = self._with_pending(stored, live, lambda deltas: _site_sums(deltas, counters, window))
        return Visits(*(max(sums[name], 0) for name in counters))

    def active_visitors(self) -> int:
        """Visitors who made a hit in the last five minutes."""
        return self._redis(self._pending.active_visitors)

    def searches(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 10,
        entity_type: str | None = None,
        *,
        failed: bool = False,
        search: str = "",
        by_name: bool = False,
    ) -> list[SearchRow]:
        """The queries with the most searches between two aware datetimes, in whole UTC hours; None is without end.

        A search that is known to have found nothing is among the ``failed`` ones and not among the others. It is what
        SQL has: searches are there seconds after they were made. ``entity_type`` is "" for those that named none. With
        ``search`` only queries that hold this text, however it is spelled; ``by_name`` has the first ones by name.
        """
        if limit < 1:
            return []
        window, holding = _window(since, until), normalised(search)
        stored = self._reads.searches(window, limit, entity_type, failed=failed, holding=holding, by_name=by_name)
        return [_search_row(row) for row in stored]

    def click_rates(self, since: datetime | None = None, until: datetime | None = None) -> list[ClickRate]:
        """Recommendations shown and clicked between two aware datetimes, in whole UTC hours, by type and reason.

        It is what SQL has, so that both are of one moment.
        """
        return click_rates(self._reads.recommended(_window(since, until)))

    def drops(self, since: datetime | None = None, until: datetime | None = None) -> dict[str, int]:
        """Requests that were seen and are no hits, by reason, the most frequent first."""
        return self._by_reason(DROPS, _window(since, until))

    def refusals(self, since: datetime | None = None, until: datetime | None = None) -> dict[str, int]:
        """Views that the rules refused, by ``type:reason``, the most frequent first."""
        return self._by_reason(REFUSALS, _window(since, until))

    def views_by_type(self, since: datetime | None = None, until: datetime | None = None) -> dict[str, int]:
        """Views of all items of each type, the type with the most first."""
        window = _window(since, until)
        live = self._scan()
        stored = self._reads.by_reason(VIEWS, window, list(live))
        views = self._with_pending(stored, live, lambda deltas: _by_type(_sum(deltas, VIEWS, window, by_label=True)))
        return dict(sorted(views.items(), key=lambda pair: (-pair[1], pair[0])))

    def _by_reason(self, counter: str, window: Window) -> dict[str, int]:
        live = self._scan()
        stored = self._reads.by_reason(counter, window, list(live))
        reasons = self._with_pending(stored, live, lambda deltas: _sum(deltas, counter, window, by_label=True))
        return dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))

    def total(self, metric: Literal["hits", "requests"]) -> int:
        """Hits, or requests seen, of the whole site since the beginning."""
        return sum(self._by_hour(metric, Window(), None, "hour").values())

    def visitors(self, since: datetime, until: datetime) -> int:
        """Visitors of the site, summed over the UTC days the period touches."""
        return sum(self._visitors(_PATH, [SITE], _window(since, until))[SITE].values())

    def pending_total(self) -> int:
        """Hits that are in Redis and not yet in SQL."""
        live = self._scan()
        applied = self._reads.counts(PATHS, [], list(live)).applied
        return sum(
            n for identity, deltas in live.items() if identity not in applied
            for delta, n in deltas.items() if delta.counter == HITS
        )  # fmt: skip

    def waiting(self) -> tuple[int, float | None]:
        """How many generations wait for SQL, and for how many seconds the oldest of them has."""
        return self._redis(self._pending.waiting)

    def _by_hour(
        self, metric: Metric | str, window: Window, label: str | None, by: By, item: tuple[str, object] | None = None
    ) -> Mapping[int, int]:
        kind = _PATH if item is None else _ITEM
        only = subject(*item) if item is not None else None if label is None else labels.clean(label)
        if metric == "visitors":
            if by == "hour":
                raise ValueError("visitors are counted by day: use by='day', 'week' or 'month'")
            days = self._visitors(kind, [SITE if only is None else only], window)[SITE if only is None else only]
            return {day * 24 + 12: n for day, n in days.items()}
        if only is None and metric == VIEWS:
            raise ValueError("views are counted by item: give item=(type, id)")
        if metric not in METRICS:
            return self._counter_by_hour(metric, window, item)
        if only is not None and metric != kind.counter:
            raise ValueError(f"{metric} are not counted for a {'label' if item is None else 'single item'}")
        live = self._scan()
        if only is None:
            stored = self._reads.site_hours(metric, window, list(live))
        else:
            stored = self._reads.hours(kind.family, only, window, list(live))
        # Of visits there are also those of items: the site's have no subject.
        of = "" if only is None and metric in CORRECTED else only
        return self._with_pending(stored, live, lambda deltas: _sum(deltas, metric, window, subject=of))

    def _counter_by_hour(self, name: str, window: Window, item: tuple[str, object] | None) -> Mapping[int, int]:
        """What events added to a counter of an item."""
        if item is None:
            known = ", ".join(sorted(METRICS - {VIEWS}))
            raise ValueError(
                f"{name!r} is not counted of the whole site: {known} are; views, and what events add to (likes), are"
                " counted by item: give item=(type, id)"
            )
        live, only = self._scan(), subject(*item)
        stored = self._reads.item_counter_hours(name, only, window, list(live))
        return self._with_pending(stored, live, lambda deltas: _sum(deltas, name, window, subject=only))

    def _with_pending(
        self,
        stored: Stored,
        live: Mapping[str, Mapping[Delta, int]],
        pick: Callable[[Mapping[Delta, int]], Counter[Any]],
    ) -> Counter[Any]:
        sums: Counter[Any] = Counter(stored.amounts)
        for identity, deltas in live.items():
            if identity not in stored.applied:
                sums.update(pick(deltas))
        return sums

    def _visitors(self, kind: _Kind, subjects: Sequence[str], window: Window) -> dict[str, dict[int, int]]:
        """Visitors by UTC day: what SQL has, or the sketch in Redis where there is one and it has seen more."""
        named = [subject for subject in subjects if subject != SITE]
        found = self._reads.visitors(kind.family, named, window) if named else {}
        if SITE in subjects:
            found[SITE] = self._reads.site_visitors(window)
        if not kind.sketched:
            return found
        today = int(time.time() // 86_400)
        days = [day for day in range(today - LIVE_DAYS + 1, today + 2) if _touches(window, day)]
        sketches = [Sketch(day, subject) for day in days for subject in subjects]
        for sketch, n in self._redis(lambda: self._pending.visitors(sketches)).items():
            if n:
                known = found[sketch.label]
                known[sketch.day] = max(known.get(sketch.day, 0), n)
        return found

    def _scan(self) -> dict[str, dict[Delta, int]]:
        """All deltas of every live generation; what makes no sense is left to the sync."""
        return self._redis(lambda: {identity: self._deltas(identity) for identity in self._pending.live()})

    def _deltas(self, generation: str) -> dict[Delta, int]:
        try:
            return parse_deltas(self._pending.read(generation))
        except NotAGeneration:
            return {}

    def _redis(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except redis.RedisError as error:
            raise StoreUnavailable(explain(error, self._redis_url)) from error


def _window(since: datetime | None, until: datetime | None) -> Window:
    return Window(
        None if since is None else to_hour(since),
        None if until is None else to_hour(until, round_up=True),
    )


def _touches(window: Window, day: int) -> bool:
    return (window.since is None or day >= window.since // 24) and (
        window.until is None or day <= (window.until - 1) // 24
    )


def parse_deltas(fields: Mapping[bytes, bytes]) -> dict[Delta, int]:
    """The deltas of a generation as Redis has it; what makes no sense is left out."""
    found = {}
    for field, amount in fields.items():
        try:
            found[Delta.parse(field)] = int(amount)
        except ValueError:
            continue
    return found


def _search_row(row: StoredSearch) -> SearchRow:
    average = row.results / row.counted if row.counted else None
    last_at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=row.last_at)
    visitors = min(row.visitors, row.searches)  # days that the window only touches are counted whole
    return SearchRow(row.query, row.searches, visitors, average, last_at, row.entity_type)


def _of_type(sums: Counter[str], item_type: str) -> Counter[str]:
    """Those of the sums whose item is of the type."""
    return Counter({item: n for item, n in sums.items() if type_of(item) == item_type})


def _by_type(sums: Counter[str]) -> Counter[str]:
    """The sums of items, added up by their type."""
    types: Counter[str] = Counter()
    for item, n in sums.items():
        types[type_of(item)] += n
    return types


def _most(sums: Iterable[Counter[str]], limit: int) -> list[str]:
    """The labels with the largest sums, at most ``limit``, sorted."""
    total: Counter[str] = Counter()
    for one in sums:
        total.update(one)
    return sorted(label for label, _ in total.most_common(limit))


def _site_sums(deltas: Mapping[Delta, int], counters: Sequence[str], window: Window) -> Counter[str]:
    """Each counter of the whole site over all hours of the window."""
    return Counter({name: sum(_sum(deltas, name, window, subject="").values()) for name in counters})


def _sum(
    deltas: Mapping[Delta, int], counter: str, window: Window, *, subject: str | None = None, by_label: bool = False
) -> Counter[Any]:
    """Amounts of one counter in the window: by subject, or by hour (of one subject, when it is given)."""
    sums: Counter[Any] = Counter()
    for delta, n in deltas.items():
        if delta.counter == counter and window.holds(delta.hour) and subject in (None, delta.subject):
            sums[delta.subject if by_label else delta.hour] += n
    return sums
