"""The page of one item: what is known of it, its course, and when it was hot."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, request

from pathhits.app import PathHits
from pathhits.core.rules import check_type
from pathhits.dashboard.api import resources
from pathhits.dashboard.api.endpoints import BY_NAME
from pathhits.dashboard.api.shapes import Item
from pathhits.dashboard.pages.csvs import csv_url
from pathhits.dashboard.pages.plot import make_plot
from pathhits.dashboard.pages.view import View, read_view, span_of
from pathhits.dashboard.queries import BadParameter
from pathhits.dashboard.rendering import Renderer
from pathhits.dashboard.shown import NONE, duration, exact, short
from pathhits.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure of an item, which is of all time."""

    key: str
    name: str
    text: str
    exact: str
    note: str = ""


class Items:
    """Pages of items."""

    def __init__(self, hits: PathHits, renderer: Renderer) -> None:
        self._hits = hits
        self._renderer = renderer

    def add_rules(self, blueprint: Blueprint) -> None:
        """Their URL."""
        blueprint.add_url_rule("/item", "item", self.page)

    def page(self) -> Response:
        """One item, named by ``type`` and ``id``."""
        view = read_view(request, "item", "type", "id")
        kind, identity = _named(view)
        look = self._hits.browsing.view()
        found = resources.item(self._hits, look, view.query, kind, identity)
        points = [(point.start, float(point.views)) for point in found.points]
        return self._renderer.page(
            "item.html",
            view=view,
            item=found,
            facts=_facts(found),
            counters=found.counters,
            csv_urls={
                table: csv_url(view.query, "item", type=kind, id=identity, of=table) for table in BY_NAME["item"].tables
            },
            plot=make_plot("Views", view.query, "count", points, None),
            in_period=sum(point.views for point in found.points),
            span=span_of(view.query.period),
        )


def _named(view: View) -> tuple[str, str]:
    kind, identity = view.own["type"], view.own["id"]
    try:
        check_type(kind)
    except SettingsError as error:
        raise BadParameter("type", str(error)) from None
    if not identity:
        raise BadParameter("id", "name the item whose page this is")
    return kind, identity


def _facts(item: Item) -> list[Fact]:
    pending = f"{exact(item.pending_views)} not yet in SQL" if item.pending_views else ""
    return [
        Fact("views", "Views", short(item.views), exact(item.views), pending),
        Fact("visitors", "Visitors", short(item.visitors), exact(item.visitors)),
        Fact("recent", "Views of seven days", short(item.recent_views), exact(item.recent_views)),
        Fact(
            "average_duration",
            "Average time",
            duration(item.average_duration),
            duration(item.average_duration),
            "" if item.average_duration is not None else "nobody went on from it yet",
        ),
        Fact(
            "rank",
            "Rank",
            NONE if item.rank is None else f"#{item.rank:,}",
            NONE if item.rank is None else f"{item.rank:,}",
            f"among all of type {item.item_type}" if item.rank is not None else "no views in SQL yet",
        ),
    ]
