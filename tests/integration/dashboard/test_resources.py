"""What pages and the API show, compared to what was put into the stores."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pathhits import PathHits
from pathhits.core.periods import to_hour
from pathhits.dashboard.api import resources
from pathhits.dashboard.api.health import health
from pathhits.dashboard.api.shapes import Changes, Figures
from pathhits.dashboard.queries import Query, read_query
from pathhits.hits import BOUNCES, DROPS, HITS, REQUESTS, SECONDS, SITE, TRAIT_MARK, VIEWS, VISITS, Batch, Delta, Sketch

NOW = datetime(2026, 10, 21, 14, 30, tzinfo=UTC)
HOUR = to_hour(NOW)
DAY = HOUR // 24
_numbers = itertools.count(1)


@pytest.fixture
def hits(redis_url: str, sqlite_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=60.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


def put(hits: PathHits, deltas: dict[Delta, int], visitors: dict[Sketch, tuple[int, ...]] | None = None) -> None:
    number = next(_numbers)
    hits.pending.add(Batch("test", number, f"g{number}", deltas, visitors or {}), "")


def query(**given: str) -> Query:
    return read_query(given, now=NOW)


def visit(hour: int, visits: int, bounces: int, seconds: int, hits_: int) -> dict[Delta, int]:
    return {
        Delta(hour, VISITS, ""): visits,
        Delta(hour, BOUNCES, ""): bounces,
        Delta(hour, SECONDS, ""): seconds,
        Delta(hour, HITS, "/"): hits_,
        Delta(hour, REQUESTS, ""): hits_ + 1,
        Delta(hour, DROPS, "bot"): 1,
    }


def test_a_summary_has_the_figures_and_how_they_changed(hits: PathHits) -> None:
    week, day = 24 * 7, HOUR - 24
    put(
        hits,
        visit(day, 4, 1, 100, 12) | visit(day - week, 2, 2, 0, 8) | visit(HOUR - 5 * week, 1, 1, 0, 1),
        {Sketch(DAY - 1, SITE): (1, 2), Sketch(DAY - 8, SITE): (1,)},
    )
    hits.sync(force=True)
    put(hits, visit(HOUR, 1, 1, 0, 1) | visit(HOUR - week, 5, 5, 50, 100))
    found = resources.summary(hits.browsing.view(), query(range="7d"))
    assert found.figures == Figures(13, 2, 5, 0.4, 20.0, 100 / 3)
    # What is over, in whole hours and for visitors in whole days, and as much of the week before.
    assert found.compared == Figures(12, 2, 4, 0.25, 25.0, 100 / 3)
    assert found.before == Figures(8, 1, 2, 1.0, 0.0, None)
    assert found.changes == Changes(0.5, 1.0, 1.0, -0.75, None, None)
    assert found.compared_period is not None
    assert found.before_period is not None
    assert found.compared_period.until == NOW.replace(minute=0)
    assert found.before_period.until == NOW.replace(minute=0) - timedelta(days=7)
    assert resources.summary(hits.browsing.view(), query(range="7d", compare="0")).before is None


def test_nothing_is_none_where_a_rate_of_it_would_be_false(hits: PathHits) -> None:
    found = resources.summary(hits.browsing.view(), query())
    assert found.figures == Figures(0, 0, 0, None, None, None)
    assert found.changes == Changes(None, None, None, None, None, None)
    assert resources.summary(hits.browsing.view(), query(path="/")).figures == Figures(0, 0, None, None, None, None)


def test_a_series_ends_with_the_step_that_runs_and_sums_up_to_the_summary(hits: PathHits) -> None:
    put(hits, visit(HOUR, 4, 1, 100, 12) | visit(HOUR - 3, 1, 1, 0, 5) | visit(HOUR - 24, 1, 1, 0, 7))
    found = resources.series(hits.browsing.view(), query(range="today"))
    assert (len(found.points), len(found.before), found.is_running) == (15, 24, True)
    assert [point.hits for point in found.points if point.hits] == [5, 12]
    assert [point.hits for point in found.before if point.hits] == [7]
    assert found.points[-1].start == NOW.replace(minute=0)
    figures = resources.summary(hits.browsing.view(), query(range="today")).figures
    assert sum(point.hits for point in found.points) == figures.hits == 17


def test_a_hit_half_an_hour_before_midnight_is_on_the_next_day_in_berlin(hits: PathHits) -> None:
    put(hits, visit(to_hour(datetime(2026, 10, 20, 23, 30, tzinfo=UTC)), 1, 1, 0, 1))
    view = hits.browsing.view()

    def by_day(tz: str) -> list[int]:
        return [point.hits for point in resources.series(view, query(range="7d", tz=tz)).points[-2:]]

    assert by_day("UTC") == [1, 0]
    assert by_day("Europe/Berlin") == [0, 1]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-18", 24), ("2025-10-26", 25)])
def test_a_day_of_a_clock_change_has_as_many_steps_as_hours(hits: PathHits, day: str, hours: int) -> None:
    found = resources.series(hits.browsing.view(), query(since=day, until=day, tz="Europe/Berlin"))
    assert (found.by, len(found.points)) == ("hour", hours)


def test_one_label_has_its_own_row_and_figures(hits: PathHits) -> None:
    put(hits, {Delta(HOUR, HITS, "/a"): 3, Delta(HOUR, HITS, "/b"): 1})
    view = hits.browsing.view()
    assert resources.summary(view, query(path="/a")).figures.hits == 3
    [row] = resources.paths(view, query(path="/a")).rows
    assert (row.path, row.hits, row.share) == ("/a", 3, 0.75)
    assert [row.path for row in resources.paths(view, query()).rows] == ["/a", "/b"]
    assert resources.paths(view, query(path="/never")).total == 0


def test_requests_are_hits_and_reasons(hits: PathHits) -> None:
    put(hits, visit(HOUR, 1, 1, 0, 7))
    found = resources.drops(hits.browsing.view(), query())
    assert found.requests == found.hits + sum(row.requests for row in found.rows) == 8


def test_an_item_has_its_figures_counters_and_views_by_step(hits: PathHits) -> None:
    put(
        hits,
        {Delta(HOUR, VIEWS, "product:7"): 3, Delta(HOUR, VIEWS, "product:8"): 1, Delta(HOUR, "likes", "product:7"): 2},
    )
    hits.sync()
    put(hits, {Delta(HOUR, VIEWS, "product:7"): 1, Delta(HOUR, "downloads", "product:7"): 1})
    found = resources.item(hits, hits.browsing.view(), query(range="today"), "product", "7")
    assert (found.views, found.pending_views, found.rank) == (4, 1, 1)
    assert {one.name: one.total for one in found.counters} == {"likes": 2, "downloads": 1}
    assert [point.views for point in found.points][-1] == 4
    assert resources.item(hits, hits.browsing.view(), query(), "product", "nobody").rank is None
    assert [row.item_id for row in resources.items(hits.browsing.view(), query()).rows] == ["7", "8"]


def test_events_are_told_the_last_first(hits: PathHits) -> None:
    for n in range(3):
        hits.track("product.liked", n, properties={"n": n}, ip="192.0.2.1", user_agent="Firefox")
    hits.track("search.performed", properties={"query": "<b>"})
    hits.flush()
    hits.sync()
    now = read_query({"range": "today"})
    found = resources.events(hits, now)
    assert found.total == 4
    assert found.rows[0].properties == {"query": "<b>"} or {row.name for row in found.rows} > {"product.liked"}
    [liked] = resources.events(hits, now, item="product:1").rows
    assert (liked.name, liked.item_type, liked.item_id, liked.properties) == ("product.liked", "product", "1", {"n": 1})
    assert resources.events(hits, now, name="search.performed").total == 1
    assert resources.events(hits, now, item="product:9").total == 0


def test_health_can_be_asked_while_no_store_answers(hits: PathHits, tmp_path: object) -> None:
    fine = health(hits, query())
    assert (fine.pending_hits, fine.waiting_generations, fine.dead_deliveries, fine.dead_letters) == (0, 0, 0, 0)
    assert fine.queued_jobs == 0
    gone = PathHits(redis_url="redis://127.0.0.1:1/0", database_url=f"sqlite:///{tmp_path}/none/db", redis_timeout=0.2)
    found = health(gone, query())
    assert found.state == "error"
    assert (found.pending_hits, found.dead_letters, found.queued_jobs, found.syncs) == (None, None, None, ())
    gone.close(0.1)


def test_values_are_listed_by_hits_and_narrow_a_view_to_their_own(hits: PathHits) -> None:
    agent = f"{TRAIT_MARK}Firefox{TRAIT_MARK}Linux{TRAIT_MARK}desktop"
    other = f"{TRAIT_MARK}Chrome{TRAIT_MARK}Android{TRAIT_MARK}mobile"
    for _ in range(2):
        put(
            hits,
            {
                Delta(HOUR, HITS, "/a"): 4,
                Delta(HOUR, HITS, "/b"): 1,
                Delta(HOUR, "agent", f"/a{agent}"): 3,
                Delta(HOUR, "agent", f"/a{other}"): 1,
                Delta(HOUR, "agent", f"/b{other}"): 1,
            },
        )
        if hits.pending.sealed() == []:
            hits.sync()
    view = hits.browsing.view()
    found = resources.values(view, query(limit="1"), "browser")
    assert ([(row.value, row.hits, row.share) for row in found.rows], found.total) == ([("Firefox", 6, 0.6)], 2)
    last = resources.values(view, query(limit="1", page="2"), "browser")
    assert ([(row.value, row.hits) for row in last.rows], last.total) == ([("Chrome", 4)], 2)
    assert [row.hits for row in resources.values(view, query(path="/a"), "system").rows] == [6, 2]
    only = query(browser="Chrome")
    assert resources.summary(view, only).figures == Figures(4, None, None, None, None, None)
    assert resources.summary(view, only).value == "browser:Chrome"
    assert [(row.path, row.hits, row.share) for row in resources.paths(view, only).rows] == [
        ("/a", 2, 0.5),
        ("/b", 2, 0.5),
    ]
    points = resources.series(view, query(browser="Chrome", range="7d")).points
    assert [point.hits for point in points] == [0, 0, 0, 0, 0, 0, 4]
