"""The pages behind "all 342": every row of a list, with search, order and paging; and what was dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flask import Blueprint, Response, request

from pathhits.app import PathHits
from pathhits.core.statuses import REASONS
from pathhits.dashboard.api import resources
from pathhits.dashboard.pages.csvs import csv_url
from pathhits.dashboard.pages.figures import chart_query, make_chart, make_figures
from pathhits.dashboard.pages.listed import (
    TITLES,
    item_list,
    path_list,
    search_list,
    value_cards,
    value_list,
)
from pathhits.dashboard.pages.lists import BarList
from pathhits.dashboard.pages.view import Link, View, read_view
from pathhits.dashboard.queries import LARGEST_LIMIT, BadParameter
from pathhits.dashboard.rendering import Renderer, to
from pathhits.settings import DIMENSIONS

#: Rows of one page of a list.
ROWS = 50
#: Queries that a list of searches shows at most: they are summed anew for each page.
LAST_SEARCH = 10_000


@dataclass(frozen=True, slots=True)
class Paging:
    """Where one is in a list of many pages."""

    first: int
    last: int
    total: int | None
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the bar of all requests."""

    name: str
    says: str
    requests: int
    share: float
    start: float
    counted: bool


@dataclass(frozen=True, slots=True)
class HotRow:
    """One hot item."""

    item_type: str
    item_id: str
    url: str
    recent_views: int
    views: int
    visitors: int
    since: datetime | None
    share: float


class Lists:
    """Paths, items, hot items, and the page of one path."""

    def __init__(self, hits: PathHits, renderer: Renderer) -> None:
        self._hits = hits
        self._renderer = renderer

    def add_rules(self, blueprint: Blueprint) -> None:
        """Their URLs."""
        blueprint.add_url_rule("/paths", "paths", self.paths)
        blueprint.add_url_rule("/path", "path", self.path)
        blueprint.add_url_rule("/items", "items", self.items)
        blueprint.add_url_rule("/values", "values", self.values)
        blueprint.add_url_rule("/searches", "searches", self.searches)
        blueprint.add_url_rule("/hot", "hot", self.hot)
        blueprint.add_url_rule("/drops", "drops", self.drops)

    def paths(self) -> Response:
        """Every label of the period."""
        view = read_view(request, "paths")
        query = replace(view.query, limit=ROWS, filter=None)
        found = path_list(self._hits.browsing.view(), View(replace(query, page=1, search=""), "overview"), query)
        return self._list(view, found, csv_url(query, "paths"))

    def items(self) -> Response:
        """Every item of the period, of one type or all."""
        view = read_view(request, "items", "type")
        look, chosen = self._hits.browsing.view(), view.own["type"]
        query = replace(view.query, limit=ROWS, filter=None)
        types = [Link("All types", view.url(type=""), not chosen)]
        types += [Link(name, view.url(type=name), name == chosen) for name in resources.item_types(self._hits)]
        return self._list(
            view,
            item_list(view, resources.items(look, query, chosen or None), chosen or None),
            csv_url(query, "items", type=chosen),
            types if len(types) > 2 else [],
        )

    def values(self) -> Response:
        """Every value of a dimension, such as all browsers."""
        view = read_view(request, "values", "of")
        if view.own["of"] not in DIMENSIONS:
            raise BadParameter("of", f"give one of {', '.join(DIMENSIONS)}")
        query = replace(view.query, limit=ROWS, filter=view.query.filter if view.query.where is None else None)
        narrow = View(replace(query, page=1, search="", filter=None), "overview")
        kept = self._hits.settings.dimensions
        others = [Link(TITLES[one], view.url(of=one), one == view.own["of"]) for one in DIMENSIONS if one in kept]
        found = value_list(self._hits.browsing.view(), narrow, query, view.own["of"])
        return self._list(view, found, csv_url(query, "values", of=view.own["of"]), others)

    def searches(self) -> Response:
        """Every query that was searched for, or searched for in vain."""
        view = read_view(request, "searches", "failed")
        failed = view.own["failed"] == "1"
        if view.query.page * ROWS > LAST_SEARCH:
            raise BadParameter("page", f"only the first {LAST_SEARCH:,} queries are shown: give a shorter period")
        query = replace(view.query, limit=ROWS, filter=None)
        found = search_list(self._hits, view, query, failed=failed)
        kinds = [Link("Popular", view.url(failed=""), not failed)]
        kinds += [Link("Found nothing", view.url(failed="1"), failed)]
        csv = csv_url(query, "searches", failed="1" if failed else "")
        return self._list(view, found, csv, kinds)

    def _list(self, view: View, found: BarList, csv: str, types: Sequence[Link] = ()) -> Response:
        return self._renderer.page(
            "list.html", view=view, list=found, types=types, csv_url=csv,
            paging=paging(view, found.total, len(found.rows)),
            sorts=[
                Link("Most first", view.url(sort="most"), view.query.sort == "most"),
                Link("By name", view.url(sort="name"), view.query.sort == "name"),
            ],
        )  # fmt: skip

    def path(self) -> Response:
        """One label: its course, the items that are shown under it, and where its hits come from."""
        view = read_view(request, "path", "metric")
        if view.query.path is None:
            raise BadParameter("path", "name the path whose page this is")
        look = self._hits.browsing.view()
        found = resources.summary(look, view.query)
        query = replace(view.query, page=1, limit=10, search="", sort="most")
        kinds = [one.name for one in self._hits.items if view.query.path in (one.route, f"/{one.route}")]
        return self._renderer.page(
            "path.html",
            view=view,
            path=view.query.path,
            figures=make_figures(view, found),
            plot=make_chart(look, view),
            csv_url=csv_url(chart_query(view), "series"),
            cards=[
                *(item_list(view, resources.items(look, replace(query, filter=None), kind), kind) for kind in kinds),
                # A click leads to the overview of all that came from there: two filters at once have no answer.
                *value_cards(self._hits, look, View(query, "overview"), query),
            ],
            has_items=bool(kinds),
            has_hits=found.figures.hits > 0,
        )

    def hot(self) -> Response:
        """Every item that is hot now."""
        view = read_view(request, "hot")
        query = replace(view.query, page=1, limit=LARGEST_LIMIT)
        found = resources.hot(self._hits, query).rows
        top = max((row.recent_views for row in found), default=1)
        rows = [
            HotRow(
                row.item_type, row.item_id, to("item", **view.shared, type=row.item_type, id=row.item_id),
                row.recent_views, row.views, row.visitors, row.hot_since, row.recent_views / max(top, 1),
            )
            for row in found
        ]  # fmt: skip
        return self._renderer.page(
            "hot.html",
            view=view,
            rows=rows,
            csv_url=csv_url(query, "hot"),
            hot_at=self._hits.settings.hot_at,
            cold_below=self._hits.settings.cold_below,
        )

    def drops(self) -> Response:
        """Requests = counted + reasons."""
        view = read_view(request, "drops")
        found = resources.drops(self._hits.browsing.view(), view.query)
        whole = max(found.requests, found.hits + sum(row.requests for row in found.rows), 1)
        parts, start = [], 0.0
        every = [("counted", "Hits: successful requests of pages.", found.hits, True)]
        every += [(row.reason, REASONS.get(row.reason, ""), row.requests, False) for row in found.rows]
        for name, says, requests, counted in every:
            parts.append(Part(name, says, requests, requests / whole, start, counted))
            start += requests / whole
        return self._renderer.page(
            "drops.html", view=view, csv_url=csv_url(view.query, "drops"), requests=found.requests, parts=parts
        )


def paging(view: View, total: int | None, shown: int, rows: int = ROWS) -> Paging:
    """Where the page of a list is."""
    page = view.query.page
    first = (page - 1) * rows + 1
    return Paging(
        first if shown else 0,
        first + shown - 1 if shown else 0,
        total,
        view.url(page=page - 1) if page > 1 else "",
        view.url(page=page + 1) if total is None or page * rows < total else "",
    )
