"""The lists of cards and of the pages behind them: labels, items, what is hot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pathhits.app import PathHits
from pathhits.browsing import View as Look
from pathhits.core.periods import bucket_starts
from pathhits.dashboard.api import resources
from pathhits.dashboard.api.shapes import Items
from pathhits.dashboard.chart import sparkline
from pathhits.dashboard.pages.lists import Bar, BarList, Tabs, shares
from pathhits.dashboard.pages.view import FILTER_NAMES, View
from pathhits.dashboard.queries import Query
from pathhits.dashboard.rendering import to

#: Steps of a small chart, at most: more of them cannot be seen in 60 pixels.
SPARK_STEPS = 366
#: How lists of values are headed.
TITLES = {
    "referrer": "Sources",
    "utm_source": "Campaign sources",
    "utm_medium": "Campaign media",
    "utm_campaign": "Campaigns",
    "browser": "Browsers",
    "system": "Systems",
    "device": "Devices",
    "language": "Languages",
    "country": "Countries",
}
#: Cards of values: id, name, and the dimensions behind one switch.
GROUPS = (
    ("sources", "Sources", ("referrer", "utm_source", "utm_campaign")),
    ("technology", "Browsers, systems, devices and languages", ("browser", "system", "device", "language")),
    ("places", "Countries", ("country",)),
)
#: What is said where there is none.
NO_VALUES = {
    "utm_source": "No link with utm_source in this period.",
    "utm_campaign": "No link with utm_campaign in this period.",
    "country": "Give a database of countries with PATHHITS_GEOIP_PATH to see them.",
}


def path_list(look: Look, view: View, query: Query, *, with_course: bool = False) -> BarList:
    """The labels of a period; a click filters, the arrow opens the label's own page."""
    found = resources.paths(look, query)
    with_course = with_course and query.where is None
    courses = _courses(look, query, [row.path for row in found.rows]) if with_course else {}
    rows = [
        Bar(
            row.path,
            row.hits,
            share,
            url=view.url(path=row.path),
            opens=to("path", **{**view.shared, "path": row.path}),
            spark=courses.get(row.path, ""),
        )
        for row, share in zip(found.rows, shares([row.hits for row in found.rows]), strict=True)
    ]
    return BarList(
        "paths", "Paths", "Path", "Hits", rows, found.total, "No hits in this period. Choose a longer one above.",
        all_url=to("paths", **view.shared), mono=True, sparks=with_course, opens=True,
    )  # fmt: skip


def item_list(view: View, found: Items, item_type: str | None = None) -> BarList:
    """The items of a period that were found, of one type or all; each leads to its page."""
    several = item_type is None and len({row.item_type for row in found.rows}) > 1
    rows = [
        Bar(
            row.item_id,
            row.views,
            share,
            url=to("item", **{**view.shared, "path": None, "type": row.item_type, "id": row.item_id}),
            note=row.item_type if several else "",
        )
        for row, share in zip(found.rows, shares([row.views for row in found.rows]), strict=True)
    ]
    return BarList(
        "items", "Items", "Item", "Views", rows, found.total,
        "No views in this period. Declare what is an item with hits.register_item.",
        all_url=to("items", **{**view.shared, "path": None}, type=item_type), mono=True,
    )  # fmt: skip


def value_list(look: Look, view: View, query: Query, dimension: str) -> BarList:
    """The values of a dimension; a click filters by one."""
    found = resources.values(look, query, dimension)
    rows = [
        Bar(row.value, row.hits, share, url=view.url(**{dimension: row.value}))
        for row, share in zip(found.rows, shares([row.hits for row in found.rows]), strict=True)
    ]
    return BarList(
        dimension, TITLES[dimension], FILTER_NAMES[dimension], "Hits", rows, found.total,
        NO_VALUES.get(dimension, "Nothing in this period. Values are counted by whole UTC days."),
        all_url=to("values", **view.shared, of=dimension),
    )  # fmt: skip


def value_cards(hits: PathHits, look: Look, view: View, query: Query) -> list[Tabs]:
    """A card for each group of dimensions of which some are kept; of the label that ``query`` is narrowed to."""
    kept = hits.settings.dimensions
    found = []
    for name, title, group in GROUPS:
        lists = [value_list(look, view, query, one) for one in group if one in kept and _is_known(hits, one)]
        if lists:
            found.append(Tabs(name, title, lists))
    return found


def _is_known(hits: PathHits, dimension: str) -> bool:
    """Whether there can be values: countries need a database."""
    return dimension != "country" or bool(hits.settings.geoip_path)


def search_list(hits: PathHits, view: View, query: Query, *, failed: bool) -> BarList:
    """What was searched for, or searched for in vain."""
    found = resources.searches(hits, query, failed=failed)
    rows = [
        Bar(row.query, row.searches, share, note=row.item_type)
        for row, share in zip(found.rows, shares([row.searches for row in found.rows]), strict=True)
    ]
    return BarList(
        "failed" if failed else "popular", "Found nothing" if failed else "Searches", "Query", "Searches", rows,
        found.total,
        "No search was in vain." if failed else "No search in this period. hits.track_search(query) logs each.",
        all_url=to("searches", **{**view.shared, "path": None}, failed="1" if failed else None),
    )  # fmt: skip


def hot_list(hits: PathHits, view: View, query: Query) -> BarList:
    """The items that are hot now, whatever the period."""
    # One more than is shown says whether there are more.
    found = resources.hot(hits, replace(query, limit=query.limit + 1)).rows
    top = found[: query.limit]
    rows = [
        Bar(
            row.item_id,
            row.recent_views,
            share,
            url=to("item", **{**view.shared, "path": None, "type": row.item_type, "id": row.item_id}),
            is_hot=True,
            note=row.item_type if len({one.item_type for one in top}) > 1 else "",
        )
        for row, share in zip(top, shares([row.recent_views for row in top]), strict=True)
    ]
    return BarList(
        "hot", "Hot now", "Item", "Views of seven days", rows,
        len(found) if len(found) <= query.limit else None,
        f"Nothing is hot: an item becomes hot with {hits.settings.hot_at} views in seven days.",
        all_url=to("hot"), mono=True,
    )  # fmt: skip


def _courses(look: Look, query: Query, labels: Sequence[str]) -> dict[str, str]:
    """A small line for each label, all on one scale."""
    starts = bucket_starts(*query.period, query.by, query.tz)
    # The step that runs is left out: it would let every line fall.
    begun = sum(start <= query.now for start in starts) - query.is_running
    if not 1 < len(starts) <= SPARK_STEPS or begun < 2:
        return {}
    values = {label: course[:begun] for label, course in look.courses(labels, starts, query.until).items()}
    top = max((n for course in values.values() for n in course), default=0)
    return {label: sparkline(course, top, len(starts)) for label, course in values.items()}
