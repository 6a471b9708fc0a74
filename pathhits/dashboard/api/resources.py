"""What the dashboard knows: a `Query` and one look at the stores in, dataclasses of `shapes` out.

Pages and the API call the same functions, so that they show the same numbers. Each may raise `StoreUnavailable`, and
`NotMigrated` before the first migration.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from pathhits.app import PathHits
from pathhits.browsing import Step, View
from pathhits.core.periods import bucket_starts, zone
from pathhits.core.rules import subject
from pathhits.dashboard import comparing
from pathhits.dashboard.api.shapes import (
    Active,
    Changes,
    CounterRow,
    DropRow,
    Drops,
    EventRow,
    Events,
    Figures,
    HotChange,
    HotItem,
    HotItems,
    Item,
    ItemRow,
    Items,
    PathRow,
    Paths,
    Point,
    Searches,
    SearchRow,
    Series,
    Span,
    Summary,
    ValueRow,
    Values,
    ViewPoint,
)
from pathhits.dashboard.queries import Filter, Period, Query
from pathhits.hits import BOUNCES, HITS, REQUESTS, SECONDS, VIEWS, VISITS
from pathhits.stats import Visits
from pathhits.storage.sql.browse import StoredEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Changes of an item between hot and cool that are shown.
HOT_CHANGES = 20
#: Rows of a list of values, or of the labels with one, that are counted and can be paged through.
MOST_VALUES = 10_000


def summary(view: View, query: Query) -> Summary:
    """The figures of the period, and how they changed against the period before."""
    now = _figures(_one(view, query, query.period), query)
    comparison = _comparison(view, query) if query.compare else None
    return Summary(
        query.range,
        query.tz,
        Span(*query.period),
        query.is_running,
        query.path,
        _value(query),
        now,
        None if comparison is None else comparison.now,
        None if comparison is None else comparison.before,
        None if comparison is None else comparison.period,
        None if comparison is None else comparison.span,
        None if comparison is None else _changes(comparison.now, comparison.before),
    )


class _Comparison(NamedTuple):
    """Figures of equally long parts of both periods, and which parts: by hours, or by days where they are by value."""

    now: Figures
    before: Figures
    period: Span
    span: Span


def _comparison(view: View, query: Query) -> _Comparison | None:
    """What can be compared; None where no part of the period is over, or the site was not yet counted all before."""
    whole_days = comparing.days(query)
    parts = comparing.hours(query)
    if query.where is not None:
        parts = whole_days and comparing.Equals(*map(comparing.hours_of, whole_days))
    if parts is None:
        return None
    periods = [comparing.period_of(part) for part in parts]
    if query.where is not None:
        amounts = [{HITS: _hits_with(view, query.where, period)} for period in periods]
        visitors: list[int | None] = [None, None]
    else:
        amounts = [dict(view.amounts(query.path, *period)) for period in periods]
        visitors = _visitors(view, query, whole_days)
    if amounts[1].get(HITS) and (view.first_hour() or 0) > parts.before.start:
        return None
    now, before = (
        _figures(Step(period.since, counted, seen), query)
        for period, counted, seen in zip(periods, amounts, visitors, strict=True)
    )
    spans = (Span(*(moment.astimezone(zone(query.tz)) for moment in period)) for period in periods)
    return _Comparison(now, before, *spans)


def _visitors(view: View, query: Query, whole_days: comparing.Equals | None) -> list[int | None]:
    """Visitors of the days that can be compared, in both periods; asked at once."""
    if whole_days is None:
        return [None, None]
    found = view.visitors(query.path, range(whole_days.before.start, whole_days.now.stop))
    return [sum(found.get(day, 0) for day in days) for days in whole_days]


def series(view: View, query: Query) -> Series:
    """The figures by step, and those of the period before, where they are to be compared."""
    steps = _steps(view, query, query.period)
    before = _points(_steps(view, query, query.before), query.since, query) if query.compare else ()
    shown = [step for step in steps if step.start.astimezone(UTC) <= query.now.astimezone(UTC)]
    points = _points(steps, query.until, query)[: len(shown)]
    return Series(query.by, query.tz, query.path, _value(query), query.is_running, points, before)


def paths(view: View, query: Query) -> Paths:
    """A page of the labels with hits in the period; of the one label a view is narrowed to, where it is."""
    everything = view.site([query.since], query.until)[0].amounts.get(HITS, 0)
    if query.path is not None:
        found = _one(view, query, query.period)
        hits = found.amounts.get(HITS, 0)
        only = [PathRow(query.path, hits, found.visitors, _share(hits, everything))] if hits else []
        return Paths(tuple(only if query.page == 1 else ()), len(only), query.page, query.limit)
    if query.where is not None:
        return _paths_with(view, query, query.where)
    page = view.paths(*query.period, page=query.page, limit=query.limit, order=query.sort, search=query.search)
    rows = tuple(PathRow(row.name, row.amount, row.visitors, _share(row.amount, everything)) for row in page.rows)
    return Paths(rows, page.total, query.page, query.limit)


def _paths_with(view: View, query: Query, where: Filter) -> Paths:
    """The labels by their hits that have a value; a share is one of all such hits."""
    everything = _hits_with(view, where, query.period)
    found = view.values.top_paths(where, *query.period, MOST_VALUES, query.search)
    rows = _paged([(row.path, row.hits) for row in found], query)
    shown = tuple(PathRow(path, hits, None, _share(hits, everything)) for path, hits in rows)
    return Paths(shown, len(found), query.page, query.limit)


def values(view: View, query: Query, dimension: str) -> Values:
    """A page of the values of a dimension, of the site or of the label it is narrowed to."""
    everything = _one(view, query, query.period).amounts.get(HITS, 0)
    found = view.values.top_values(dimension, *query.period, MOST_VALUES, query.path, query.search)
    rows = _paged([(row.value, row.hits) for row in found], query)
    shown = tuple(ValueRow(value, hits, _share(hits, everything)) for value, hits in rows)
    return Values(shown, len(found), query.page, query.limit, dimension)


def _paged(rows: Sequence[tuple[str, int]], query: Query) -> Sequence[tuple[str, int]]:
    ordered = sorted(rows) if query.sort == "name" else rows
    return ordered[(query.page - 1) * query.limit : query.page * query.limit]


def _value(query: Query) -> str | None:
    return None if query.where is None else ":".join(query.where)


def items(view: View, query: Query, item_type: str | None = None) -> Items:
    """A page of the items with views in the period, of one type where it is given."""
    page = view.items(
        item_type, *query.period, page=query.page, limit=query.limit, order=query.sort, search=query.search
    )
    rows = []
    for row in page.rows:
        kind, _, one = row.name.partition(":")
        rows.append(ItemRow(kind, one, row.amount, row.visitors))
    return Items(tuple(rows), page.total, query.page, query.limit)


def hot(hits: PathHits, query: Query, item_type: str | None = None) -> HotItems:
    """The items that are hot now, of one type or all; those with the most recent views first."""
    kinds = item_types(hits) if item_type is None else [item_type]
    found = [row for kind in kinds for row in hits.item_reads.hot_items(kind, query.limit)]
    found.sort(key=lambda row: (-row.recent_views, row.item_type, row.item_id))
    return HotItems(
        tuple(
            HotItem(row.item_type, row.item_id, row.recent_views, row.views, row.visitors, _here(row.hot_since, query))
            for row in found[: query.limit]
        )
    )


def item_types(hits: PathHits) -> list[str]:
    """The types the app declares, and those that SQL has items of."""
    return sorted({*(declared.name for declared in hits.items), *hits.reads.item_types()})


def item(hits: PathHits, view: View, query: Query, item_type: str, item_id: str) -> Item:
    """One item, and its views in the period by step."""
    stats = hits.item_reads.item_stats(item_type, item_id)
    more = hits.browsing.item(subject(item_type, item_id), HOT_CHANGES)
    return Item(
        stats.item_type,
        stats.item_id,
        int(stats.views),
        stats.views.pending,
        stats.visitors,
        stats.visits,
        stats.recent_views,
        stats.average_duration,
        stats.is_hot,
        _here(stats.hot_changed_at, query) if stats.is_hot else None,
        _here(stats.first_seen, query),
        _here(stats.last_seen, query),
        more.rank,
        stats.partial,
        tuple(CounterRow(name, int(n)) for name, n in sorted(stats.counters.items()) if n or name in more.counters),
        tuple(HotChange(_moment(moment, query), is_hot, recent_views) for moment, is_hot, recent_views in more.changes),
        _views(view, query, subject(item_type, item_id)),
    )


def drops(view: View, query: Query) -> Drops:
    """What became of the requests of the period."""
    amounts = view.site([query.since], query.until)[0].amounts
    rows = tuple(DropRow(reason, n) for reason, n in view.reasons(*query.period).items())
    return Drops(amounts.get(REQUESTS, 0), amounts.get(HITS, 0), rows)


def active(hits: PathHits, query: Query) -> Active:
    """Who is here now."""
    return Active(hits.active_visitors(), query.now)


def searches(hits: PathHits, query: Query, *, failed: bool = False, item_type: str | None = None) -> Searches:
    """A page of what was searched for in the period; ``failed`` is what found nothing."""
    last = query.page * query.limit
    by_name = query.sort == "name"
    found = hits.stats.searches(*query.period, last + 1, item_type, failed=failed, search=query.search, by_name=by_name)
    rows = tuple(
        SearchRow(
            one.query,
            one.searches,
            one.visitors,
            one.average_results,
            one.last_at.astimezone(zone(query.tz)),
            one.entity_type,
        )
        for one in found[last - query.limit : last]
    )
    return Searches(rows, len(found) if len(found) <= last else None, query.page, query.limit)


def events(hits: PathHits, query: Query, *, item: str = "", name: str = "") -> Events:
    """A page of the stored events of the period, the last first: of one item (``type:id``), or of one name."""
    rows, total = hits.browsing.events(*query.period, item=item, name=name, page=query.page, limit=query.limit)
    return Events(tuple(_event(row, query) for row in rows), total, query.page, query.limit)


def _event(row: StoredEvent, query: Query) -> EventRow:
    item_type, _, item_id = row.item.partition(":")
    return EventRow(
        row.id.hex(),
        _moment(row.moment, query),
        row.name,
        item_type,
        item_id,
        f"{row.visitor % 2**64:016x}" if row.visitor else "",
        row.user_id,
        row.user_agent,
        row.referrer,
        _properties(row.properties),
    )


def _properties(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _views(view: View, query: Query, item: str) -> tuple[ViewPoint, ...]:
    starts = bucket_starts(*query.period, query.by, query.tz)
    steps = view.item(item, starts, query.until)
    now = query.now.astimezone(UTC)
    return tuple(
        ViewPoint(step.start, end, step.amounts.get(VIEWS, 0), step.visitors)
        for step, end in zip(steps, [*starts[1:], query.until], strict=True)
        if step.start.astimezone(UTC) <= now
    )


def _steps(view: View, query: Query, period: Period) -> list[Step]:
    starts = bucket_starts(*period, query.by, query.tz)
    # What the period cuts off the first step is not counted.
    starts = [max(start, period.since, key=lambda one: one.astimezone(UTC)) for start in starts]
    return _of(view, query, starts, period.until)


def _one(view: View, query: Query, period: Period) -> Step:
    if query.where is not None:
        return Step(period.since, {HITS: _hits_with(view, query.where, period)}, None)
    return _of(view, query, [period.since], period.until)[0]


def _hits_with(view: View, where: Filter, period: Period) -> int:
    """Hits that have a value."""
    return sum(point.value for point in view.values.series(where, *period, "month"))


def _of(view: View, query: Query, starts: Sequence[datetime], until: datetime) -> list[Step]:
    if query.where is not None:
        points = view.values.series(query.where, starts[0], until, query.by, query.tz) if starts else []
        return [Step(start, {HITS: point.value}, None) for start, point in zip(starts, points, strict=True)]
    return view.site(starts, until) if query.path is None else view.label(query.path, starts, until)


def _points(steps: Sequence[Step], until: datetime, query: Query) -> tuple[Point, ...]:
    ends = [after.start for _, after in pairwise(steps)] + [until]
    found = []
    for step, end in zip(steps, ends, strict=False):
        numbers = _figures(step, query)
        found.append(
            Point(
                step.start, end, numbers.hits, numbers.visitors, numbers.visits, numbers.bounce_rate,
                numbers.average_duration,
            )
        )  # fmt: skip
    return tuple(found)


def _figures(step: Step, query: Query) -> Figures:
    amounts = step.amounts
    if query.filter is not None:
        return Figures(amounts.get(HITS, 0), step.visitors, None, None, None, None)
    visits = Visits(*(amounts.get(counter, 0) for counter in (VISITS, BOUNCES, SECONDS)))
    return Figures(
        amounts.get(HITS, 0),
        step.visitors,
        visits.visits,
        min(visits.bounces / visits.visits, 1.0) if visits.visits else None,
        visits.average_duration,
        visits.average_duration_without_bounces,
    )


def _changes(now: Figures, before: Figures) -> Changes:
    names = [one.name for one in fields(Figures)]
    return Changes(**{name: _change(getattr(now, name), getattr(before, name)) for name in names})


def _change(now: float | None, before: float | None) -> float | None:
    return (now - before) / before if now is not None and before else None


def _share(part: int, whole: int) -> float | None:
    return min(part / whole, 1.0) if whole else None


def _moment(milliseconds: int, query: Query) -> datetime:
    return (_EPOCH + timedelta(milliseconds=milliseconds)).astimezone(zone(query.tz))


def _here(moment: datetime | None, query: Query) -> datetime | None:
    return None if moment is None else moment.astimezone(zone(query.tz))
