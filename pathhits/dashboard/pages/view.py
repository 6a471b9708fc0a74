"""What a page shows, as its controls have it: range, time zone, compare and filters, each a link that changes one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Request

from pathhits.core.periods import zone
from pathhits.dashboard.queries import FILTERS, LONGEST_VALUE, Period, Query, Range, read_query
from pathhits.dashboard.rendering import to

#: The zone that the reader's browser is in, as its script says.
ZONE_COOKIE = "pathhits_tz"
NAMES: dict[Range, tuple[str, str]] = {
    "today": ("Today", "d"),
    "yesterday": ("Yesterday", "y"),
    "7d": ("Last 7 days", "w"),
    "30d": ("Last 30 days", "t"),
    "90d": ("Last 90 days", "q"),
    "month": ("This month", "m"),
    "year": ("This year", "a"),
}
FILTER_NAMES = {name: name.replace("_", " ").capitalize().replace("Utm", "UTM") for name in FILTERS}


@dataclass(frozen=True, slots=True)
class Link:
    """One way to change the view."""

    name: str
    url: str
    chosen: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on, and the URL without it."""

    what: str
    value: str
    url: str


class View:
    """The query of one page, and URLs of the same page with another one."""

    def __init__(self, query: Query, endpoint: str, **own: str) -> None:
        self.query = query
        self._endpoint = endpoint
        #: Parameters of the page itself, such as the metric of its chart.
        self.own = own
        self.path = to(endpoint)

    @property
    def shared(self) -> dict[str, str]:
        """What other pages about the same period take along."""
        return self.query.parameters(page=None, search=None, sort=None, limit=None)

    def url(self, **changes: Any) -> str:
        """This page with some of its parameters changed; None takes one away."""
        own = {name: changes.pop(name, value) for name, value in self.own.items()}
        return to(self._endpoint, **self.query.parameters(**changes), **{k: v for k, v in own.items() if v})

    def kept(self, *changed: str) -> Iterator[tuple[str, str]]:
        """What a form that changes these parameters has to send along."""
        given = {**self.query.parameters(page=None), **{name: value for name, value in self.own.items() if value}}
        return ((name, value) for name, value in given.items() if name not in changed)

    @property
    def ranges(self) -> list[Link]:
        return [Link(name, self.url(range=one), self.query.range == one, key) for one, (name, key) in NAMES.items()]

    @property
    def range_name(self) -> str:
        return NAMES[self.query.range][0] if self.query.range in NAMES else "Custom"

    @property
    def first_day(self) -> str:
        return f"{self.query.since:%Y-%m-%d}"

    @property
    def last_day(self) -> str:
        return f"{self._last:%Y-%m-%d}"

    @property
    def span(self) -> str:
        """The days of the period in words."""
        return span_of(self.query.period)

    @property
    def tz(self) -> str:
        return self.query.tz

    @property
    def compares(self) -> bool:
        """Whether the page has anything of the period before."""
        return self._endpoint in ("overview", "path")

    @property
    def compare(self) -> bool:
        return self.query.compare

    @property
    def compare_url(self) -> str:
        return self.url(compare=int(not self.query.compare))

    @property
    def chips(self) -> list[Chip]:
        one = self.query.filter
        is_narrowed = self._endpoint == "overview" or (self._endpoint == "values" and self.query.path is not None)
        if one is None or not is_narrowed:
            return []
        return [Chip(FILTER_NAMES[one.name], one.value, self.url(**{one.name: None}))]

    @property
    def _last(self) -> Any:
        return self.query.until - timedelta(microseconds=1)


def span_of(period: Period) -> str:
    """The days of a period in words."""
    first, last = period.since, period.until - timedelta(microseconds=1)
    if first.date() == last.date():
        return f"{first:%a %-d %b %Y}"
    if first.year == last.year:
        return f"{first:%-d %b} – {last:%-d %b %Y}"
    return f"{first:%-d %b %Y} – {last:%-d %b %Y}"


def read_view(request: Request, endpoint: str, *own: str) -> View:
    """The view that a request asks for, with the page's ``own`` parameters; raises `BadParameter`."""
    given = {name: value for name, value in request.args.items() if name not in own}
    query = read_query(given, tz=reader_zone(request))
    return View(query, endpoint, **{name: request.args.get(name, "")[:LONGEST_VALUE] for name in own})


def reader_zone(request: Request) -> str:
    """The zone of the reader's browser, UTC where it does not say."""
    name = request.cookies.get(ZONE_COOKIE, "")
    try:
        zone(name)
    except ValueError:
        return "UTC"
    return name or "UTC"
