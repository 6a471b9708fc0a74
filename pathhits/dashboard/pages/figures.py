"""The row of figures, and the chart of the one that is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pathhits.browsing import View as Look
from pathhits.dashboard.api import resources
from pathhits.dashboard.api.shapes import Figures, Point, Summary
from pathhits.dashboard.chart import Unit, Value, formatted
from pathhits.dashboard.pages.plot import Plot, make_plot
from pathhits.dashboard.pages.view import View, span_of
from pathhits.dashboard.queries import Query
from pathhits.dashboard.shown import Change, change, duration, short

#: The figures, in their order: name, and the unit they are in.
METRICS: dict[str, tuple[str, Unit]] = {
    "hits": ("Hits", "count"),
    "visitors": ("Visitors", "count"),
    "visits": ("Visits", "count"),
    "bounce_rate": ("Bounce rate", "share"),
    "average_duration": ("Average time", "seconds"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure as it is shown; where there is none, ``reason`` says why. ``note`` is said below it."""

    key: str
    name: str
    text: str
    exact: str
    url: str
    chosen: bool
    change: Change | None
    reason: str
    note: str


def metric_of(view: View) -> str:
    """The metric of the chart; of one label there are only hits and visitors."""
    chosen = view.own.get("metric", "")
    return chosen if chosen in metrics(view) else "hits"


def metrics(view: View) -> list[str]:
    """The metrics there are: of one label hits and visitors, of one value hits."""
    return list(METRICS)[: 1 if view.query.where is not None else 2 if view.query.path is not None else None]


def make_figures(view: View, found: Summary) -> list[Figure]:
    """All figures of a period; of one label those that there are."""
    chosen = metric_of(view)
    return [_figure(view, key, found, key == chosen) for key in metrics(view)]


def _figure(view: View, key: str, found: Summary, chosen: bool) -> Figure:
    name, unit = METRICS[key]
    value: Value = getattr(found.figures, key)
    if key == "visitors" and not value and found.figures.hits:
        # The UTC day of these hits is not one of this period's, or their senders did not want to be told apart.
        value = None
    full = formatted(unit)(value)
    return Figure(
        key,
        name,
        short(value) if unit == "count" and value is not None else full,
        full,
        view.url(metric="" if key == "hits" else key),
        chosen,
        _change(key, found) if value is not None and view.query.compare else None,
        "" if value is not None else _reason(key, found.figures),
        _note(key, found.figures),
    )


def _change(key: str, found: Summary) -> Change:
    if found.before is None or found.changes is None:
        return change(None, None)
    return change(getattr(found.changes, key), getattr(found.before, key))


def _reason(key: str, figures: Figures) -> str:
    if key == "visitors":
        return "none counted by UTC day" if figures.visitors == 0 else "counted by whole UTC day"
    return "no visit in this period" if not figures.visits else "not known"


def _note(key: str, figures: Figures) -> str:
    """Beside the time of all visits, that of those which had more than one hit."""
    seconds = figures.average_duration_without_bounces
    return f"{duration(seconds)} without bounces" if key == "average_duration" and seconds is not None else ""


def make_chart(look: Look, view: View) -> Plot:
    """The chart of the chosen metric."""
    key = metric_of(view)
    name, unit = METRICS[key]
    query = chart_query(view)
    found = resources.series(look, query)
    value = value_of(key)
    return make_plot(
        name,
        query,
        unit,
        [(point.start, value(point)) for point in found.points],
        [(point.start, value(point)) for point in found.before] if query.compare else None,
        (span_of(query.period), span_of(query.before)),
    )


def chart_query(view: View) -> Query:
    """What the chart shows: visitors, which are counted by day, in steps of days."""
    return by_day(view.query) if metric_of(view) == "visitors" else view.query


def value_of(key: str) -> Callable[[Point], Value]:
    """Reads one metric of a step."""
    return lambda point: getattr(point, key)


def by_day(query: Query) -> Query:
    """The same in steps of days, where they were hours: visitors are counted by day."""
    return replace(query, by="day") if query.by == "hour" else query
