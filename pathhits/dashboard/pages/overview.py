"""The first page: how the site, or one label of it, is doing, within two seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from pathhits.app import PathHits
from pathhits.browsing import View as Look
from pathhits.dashboard.access import Access
from pathhits.dashboard.api import resources
from pathhits.dashboard.api.shapes import Items
from pathhits.dashboard.pages.csvs import csv_url
from pathhits.dashboard.pages.figures import chart_query, make_chart, make_figures
from pathhits.dashboard.pages.kept import kept
from pathhits.dashboard.pages.listed import hot_list, item_list, path_list, search_list, value_cards
from pathhits.dashboard.pages.lists import BarList, Tabs
from pathhits.dashboard.pages.view import View, read_view
from pathhits.dashboard.queries import Query
from pathhits.dashboard.rendering import Renderer, to
from pathhits.dashboard.shown import ago
from pathhits.errors import NotMigrated, StoreUnavailable
from pathhits.storage.sql.dialects.expressions import reads_side_by_side

#: Rows of a card.
ROWS = 10


class Overview:
    """The overview, and the line that says who is here."""

    def __init__(self, hits: PathHits, access: Access, renderer: Renderer) -> None:
        self._hits = hits
        self._access = access
        self._renderer = renderer

    def add_rules(self, blueprint: Blueprint) -> None:
        """Its URLs."""
        blueprint.add_url_rule("/", "overview", self.page)
        blueprint.add_url_rule("/now", "now", self.now)

    def page(self) -> Response:
        """All of it; while a store is away, what was computed last."""
        view = read_view(request, "overview", "metric")
        try:
            return self._live(view)
        except StoreUnavailable as error:
            if view.query.filter is not None:
                raise
            return self._kept(view, error)

    def _kept(self, view: View, error: StoreUnavailable) -> Response:
        """The last snapshot. It is an error all the same, so that no page that is open takes it for new figures."""
        try:
            snapshot = self._hits.snapshot()
        except (StoreUnavailable, NotMigrated):
            raise error from None
        try:
            may_act = self._access.may_act(request)
        except StoreUnavailable:
            may_act = False
        shown = kept(snapshot, view, with_searches=may_act)
        told = self._access.told(request, error)
        return self._renderer.notice("kept.html", 503, site=request.host, error=told, **shown)

    def _live(self, view: View) -> Response:
        look = self._hits.browsing.view()
        narrow = replace(view.query, page=1, limit=ROWS, search="", sort="most")
        # The longest of its questions, half of what the page takes.
        aside = view.query.filter is None and reads_side_by_side(self._hits.engine.dialect)
        ask = partial(resources.items, look, narrow)
        with ThreadPoolExecutor(1, thread_name_prefix="pathhits-ahead") as thread:
            return self._page(look, view, narrow, thread.submit(ask).result if aside else ask)

    def _page(self, look: Look, view: View, narrow: Query, items: Callable[[], Items]) -> Response:
        found = resources.summary(look, view.query)
        drops = resources.drops(look, view.query)
        return self._renderer.page(
            "overview.html",
            view=view,
            site=request.host,
            figures=make_figures(view, found),
            plot=make_chart(look, view),
            csv_url=csv_url(chart_query(view), "series"),
            cards=self._cards(look, view, narrow, items),
            is_empty=not found.figures.hits and not drops.requests and not self._was_ever_hit(),
            dropped=drops.requests - drops.hits,
            pending=look.pending_hits(),
            last_sync=self._last_sync(),
            **self._here(),
        )

    def now(self) -> Response:
        """Who is here now, to be asked for again and again."""
        return self._renderer.page("_now.html", **self._here())

    def _here(self) -> dict[str, Any]:
        return {"active": self._hits.active_visitors(), "now_url": to("now")}

    def _cards(self, look: Look, view: View, narrow: Query, items: Callable[[], Items]) -> Sequence[BarList | Tabs]:
        cards: list[BarList | Tabs] = [path_list(look, view, narrow, with_course=True)]
        if view.query.where is None:
            cards += value_cards(self._hits, look, view, narrow)
        if view.query.filter is None:
            if self._access.may_act(request):  # words of somebody, and no counts
                both = [search_list(self._hits, view, narrow, failed=failed) for failed in (False, True)]
                cards.insert(2, Tabs("searches", "Searches", both))
            cards.append(hot_list(self._hits, view, narrow))
            cards.insert(1, item_list(view, items()))
        return cards

    def _was_ever_hit(self) -> bool:
        return self._hits.total("requests") > 0

    def _last_sync(self) -> str:
        syncs = self._hits.reads.last_syncs(1)
        return ago(max(0.0, time.time() - syncs[0]["applied_at"].timestamp())) if syncs else ""
