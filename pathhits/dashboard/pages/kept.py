"""The overview while a store does not answer: the last snapshot, found in the other one, and how old it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pathhits.core.dashboard import DAYS, Snapshot
from pathhits.core.periods import zone
from pathhits.dashboard.pages.item import Fact
from pathhits.dashboard.pages.listed import GROUPS, TITLES
from pathhits.dashboard.pages.lists import Bar, BarList, Tabs, shares
from pathhits.dashboard.pages.plot import make_plot
from pathhits.dashboard.pages.view import View
from pathhits.dashboard.queries import read_query
from pathhits.dashboard.shown import ago, duration, exact, percent, short

EMPTY = "Nothing in these days."


def kept(snapshot: Snapshot, view: View, *, with_searches: bool) -> dict[str, Any]:
    """What the page of a snapshot shows."""
    parts = snapshot.parts
    return {
        "view": view,
        "days": DAYS,
        "age": ago(snapshot.age()),
        "moment": snapshot.moment.astimezone(zone(view.tz)),
        "facts": _facts(parts.get("totals", {})),
        "plot": _plot(snapshot),
        "cards": _cards(parts, with_searches=with_searches),
    }


def _facts(totals: Mapping[str, Any]) -> list[Fact]:
    counts = [(key, int(totals.get(key) or 0)) for key in ("hits", "visitors", "visits")]
    visits, took = counts[2][1], totals.get("average_duration")
    bounces = percent(min(int(totals.get("bounces") or 0) / visits, 1.0) if visits else None)
    stayed = totals.get("average_duration_without_bounces")
    return [
        *(Fact(key, key.capitalize(), short(n), exact(n)) for key, n in counts),
        Fact("bounce_rate", "Bounce rate", bounces, bounces),
        Fact(
            "average_duration",
            "Average time",
            duration(took),
            duration(took),
            "" if stayed is None else f"{duration(stayed)} without bounces",
        ),
    ]


def _plot(snapshot: Snapshot) -> Any:
    """The hits of the last 30 UTC days."""
    query = replace(read_query({"range": "30d"}, now=snapshot.moment), compare=False)
    days = [(datetime.fromisoformat(one["day"]), float(one["hits"])) for one in snapshot.parts.get("daily", ())]
    return make_plot("Hits", query, "count", [(day.replace(tzinfo=UTC), n) for day, n in days], None)


def _cards(parts: Mapping[str, Any], *, with_searches: bool) -> list[BarList | Tabs]:
    kinds = parts.get("items", {})
    several = len(kinds) > 1
    top, hot = (
        _bars(
            name, title, "Item", amount,
            ((row["item_id"], row[field], kind if several else "") for kind, of in kinds.items() for row in of[name]),
            mono=True,
        )
        for name, title, amount, field in (
            ("top", "Items", "Views", "views"), ("hot", "Hot", "Views of seven days", "recent_views"),
        )
    )  # fmt: skip
    paths = [(row["path"], row["hits"], "") for row in parts.get("top_paths", ())]
    cards: list[BarList | Tabs] = [_bars("paths", "Paths", "Path", "Hits", paths, mono=True), top]
    values = parts.get("sources", {})
    for name, title, group in GROUPS:
        if found := [_values(one, values[one]) for one in group if values.get(one)]:
            cards.append(Tabs(name, title, found))
    if with_searches:
        cards.append(Tabs("searches", "Searches", [_searches(parts, *one) for one in _SEARCHES]))
    return [*cards, hot]


_SEARCHES = (("popular", "Searches"), ("failed", "Found nothing"))


def _searches(parts: Mapping[str, Any], name: str, title: str) -> BarList:
    found = parts.get("searches", {}).get(name, ())
    return _bars(name, title, "Query", "Searches", ((row["query"], row["searches"], "") for row in found))


def _values(dimension: str, rows: Iterable[Mapping[str, Any]]) -> BarList:
    found = ((row["value"], row["hits"], "") for row in rows)
    return _bars(dimension, TITLES[dimension], "Value", "Hits", found)


def _bars(
    name: str, title: str, of: str, amount: str, found: Iterable[tuple[str, int, str]], *, mono: bool = False
) -> BarList:
    best = sorted(found, key=lambda one: -one[1])[:10]
    rows = [
        Bar(label, n, share, note=note)
        for (label, n, note), share in zip(best, shares([n for _, n, _ in best]), strict=True)
    ]
    return BarList(name, title, of, amount, rows, len(rows), EMPTY, mono=mono)
