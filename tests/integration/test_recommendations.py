"""Items that the same visitors viewed: as a plain model says, with bounded work, whatever happens to the job."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import event, text

from pathhits import PathHits
from pathhits.cli import group
from pathhits.core import recommending
from pathhits.core.recommending import CANDIDATES, ITEMS_A_VISITOR, KEPT, VISITORS_AN_ITEM
from pathhits.hits import OTHER
from pathhits.jobs import recommend as job
from pathhits.jobs.schedule import SCHEDULE
from pathhits.settings import Settings
from pathhits.storage.redis.keys import ClockKeys
from pathhits.storage.sql import recommendations, tables
from pathhits.storage.sql.recommendations import Recommendations
from tests.faults.recommender import POINTS
from tests.faults.writer import BROWSER
from tests.integration.conftest import made
from tests.integration.logbook import DAY_MS, put_views, rows_of
from tests.integration.test_plans import plans
from tests.servers.processes import Process

#: 2026-03-28 12:00 UTC, in milliseconds.
NOON = 1_774_699_200_000
MINUTE = 60_000
#: Moment (ms), item and visitor of views.
Views = list[tuple[int, str, int]]


def at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


def put(hits: PathHits, views: Views) -> None:
    for item in sorted({item for _, item, _ in views}):
        put_views(hits, item, [(moment, visitor) for moment, one, visitor in views if one == item])


def lists(hits: PathHits) -> dict[str, list[Any]]:
    """The list of each item that has one."""
    names = {row["id"]: row["item"] for row in rows_of(hits, tables.items)}
    rows = rows_of(hits, tables.also_viewed)
    return {names[row["item_id"]]: json.loads(row["others"]) for row in rows if row["others"]}


def model(views: Views, now: int, days: int = 30, least: int = 2) -> dict[str, list[Any]]:
    """The lists of all items, the plain way."""
    since = (now // DAY_MS - days + 1) * DAY_MS
    recent = [(moment, item, visitor) for moment, item, visitor in views if moment >= since and visitor]
    last: dict[tuple[str, int], int] = {}
    for moment, item, visitor in recent:
        last[item, visitor] = max(last.get((item, visitor), 0), moment)
    of_item: dict[str, list[int]] = {}
    of_visitor: dict[int, list[str]] = {}
    for item, visitor in sorted(last, key=lambda pair: (-last[pair], pair)):
        of_item.setdefault(item, []).append(visitor)
        of_visitor.setdefault(visitor, []).append(item)
    size = Counter(item for item, _, _ in {(item, visitor, m // DAY_MS) for m, item, visitor in recent})
    found = {}
    for item, everyone in of_item.items():
        visitors = everyone[:VISITORS_AN_ITEM]
        common = Counter(
            other
            for visitor in visitors
            for other in of_visitor[visitor][:ITEMS_A_VISITOR]
            if other != item and other.partition(":")[0] == item.partition(":")[0]
        )
        enough = sorted((one for one in common if common[one] >= least), key=lambda one: (-common[one], one))
        ranked = [
            (round(min(common[one] / len(visitors) * sqrt(size[item] / size[one]), 1), 4), common[one], one)
            for one in enough[:CANDIDATES]
        ]
        best = sorted(ranked, key=lambda one: (-one[0], -one[1], one[2]))[:KEPT]
        if best:
            found[item] = [[name.partition(":")[2], score, n] for score, n, name in best]
    return found


def some_views(chance: random.Random, number: int, first: int, last: int, items: int = 12, people: int = 15) -> Views:
    """Views at moments that all differ, by visitors some of whom are none."""
    moments = chance.sample(range(first, last), number)
    kinds = [("product", "film")[n % 5 == 0] for n in range(items)]
    return [
        (moment, f"{kinds[n]}:{n}", chance.randrange(people) * 7_777_777)
        for moment in sorted(moments)
        for n in [min(int(chance.expovariate(0.3)), items - 1)]
    ]


def test_a_shop_says_what_visitors_of_a_product_viewed_too(hits: PathHits) -> None:
    seen = {1: "jug cup", 2: "jug cup", 3: "jug cup bowl", 4: "bowl jug", 5: "bowl lamp", 6: "lamp"}
    for last, slugs in seen.items():
        for slug in slugs.split():
            assert hits.track_view("product", slug, ip=f"203.0.113.{last}", user_agent=BROWSER)
    assert hits.also_viewed("product", "jug") == []
    hits.flush()
    hits.sync()
    report = hits.recommend()
    assert (report.events, report.items, report.more) == (12, 4, False)
    cup, bowl = hits.also_viewed("product", "jug")
    # 3 in common of 4 and 3 visitors; 2 of 4 and 3.
    assert (cup.item_type, cup.item_id, cup.visitors, cup.reason) == ("product", "cup", 3, "also_viewed")
    assert (cup.score, bowl.item_id, bowl.score) == (round(3 / sqrt(12), 4), "bowl", round(2 / sqrt(12), 4))
    assert hits.also_viewed("product", "jug", limit=1) == [cup]
    assert hits.also_viewed("product", "jug", limit=0) == []
    assert [row.item_id for row in hits.also_viewed("product", "cup")] == ["jug"]
    assert hits.also_viewed("product", "lamp") == [], "one visitor in common would tell of a person"
    assert hits.also_viewed("product", "unknown") == []


@pytest.mark.parametrize("seed", range(3))
def test_the_lists_are_those_of_a_plain_model(hits: PathHits, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "EVENTS_A_STEP", 7)
    monkeypatch.setattr(job, "ITEMS_A_STEP", 3)
    monkeypatch.setattr(recommendations, "VISITORS_A_STATEMENT", 4)
    monkeypatch.setattr(recommendations, "ITEMS_A_STATEMENT", 2)
    monkeypatch.setattr(recommendations, "LOOKED_UP", 3)
    views = some_views(random.Random(seed), 150, NOON - 3 * DAY_MS, NOON)
    put(hits, views)
    put_views(hits, f"product:{OTHER}", [(NOON - n, 7_777_777 * n) for n in range(1, 9)])
    hits.recommend(at(NOON))
    assert lists(hits) == model(views, NOON)


def test_caps_hold_and_are_those_of_the_model(small: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (recommendations, sys.modules[__name__]):
        monkeypatch.setattr(module, "VISITORS_AN_ITEM", 6)
        monkeypatch.setattr(module, "ITEMS_A_VISITOR", 3)
    for module in (recommending, sys.modules[__name__]):
        monkeypatch.setattr(module, "CANDIDATES", 4)
    for module in (job, sys.modules[__name__]):
        monkeypatch.setattr(module, "KEPT", 2)
    views = some_views(random.Random(9), 250, NOON - 2 * DAY_MS, NOON)
    put(small, views)
    small.recommend(at(NOON))
    # What no visitor viewed among his last three is nobody's to make.
    latest: dict[int, dict[str, None]] = {}
    for _, item, visitor in reversed(views):
        if visitor and len(latest.setdefault(visitor, {})) < 3:
            latest[visitor][item] = None
    touched = {item for items in latest.values() for item in items}
    assert lists(small) == {item: found for item, found in model(views, NOON).items() if item in touched}
    assert max(map(len, lists(small).values())) == 2


def test_a_run_makes_anew_what_new_views_may_have_changed_and_nothing_else(hits: PathHits) -> None:
    chance, views, expected = random.Random(4), Views(), dict[str, list[Any]]()
    for step in range(5):
        now = NOON + step * DAY_MS
        new = some_views(chance, 20, now - DAY_MS + MINUTE, now - 60 * MINUTE)
        put(hits, new)
        views += new
        people = {visitor for _, _, visitor in new} - {0}
        touched = {item for moment, item, visitor in views if visitor in people}
        report = hits.recommend(at(now))
        assert report.items == len(touched)
        fresh = model(views, now)
        expected = {
            item: found
            for item in expected.keys() | fresh.keys()
            if (found := (fresh if item in touched else expected).get(item))
        }
        assert lists(hits) == expected
    assert hits.recommend(at(now)).items == 0


def test_what_comes_late_is_looked_at_by_the_next_run(small: PathHits) -> None:
    put(small, [(NOON - MINUTE, "product:1", 5), (NOON - MINUTE, "product:1", 6)])
    small.recommend(at(NOON))
    late: Views = [(NOON - 14 * MINUTE, "product:2", visitor) for visitor in (5, 6)]
    put(small, late)
    assert small.recommend(at(NOON + MINUTE)).items == 2
    assert lists(small) == {"product:1": [["2", 1.0, 2]], "product:2": [["1", 1.0, 2]]}
    # Later than that: once one of its visitors comes again.
    small.recommend(at(NOON + 20 * MINUTE))
    put(small, [(NOON - 80 * MINUTE, "product:3", visitor) for visitor in (5, 6)])
    small.recommend(at(NOON + 20 * MINUTE))
    assert "product:3" not in lists(small)
    put(small, [(NOON + 30 * MINUTE, "product:4", 5)])
    small.recommend(at(NOON + 40 * MINUTE))
    assert {one[0] for one in lists(small)["product:3"]} == {"1", "2"}


def test_views_of_long_ago_count_no_more(small: PathHits) -> None:
    put(small, [(NOON - 31 * DAY_MS, "product:1", 5), (NOON - 31 * DAY_MS, "product:2", 5)])
    put(small, [(NOON - 31 * DAY_MS, f"product:{n}", 6) for n in (1, 2)])
    small.recommend(at(NOON - 20 * DAY_MS))
    assert len(lists(small)) == 2
    assert small.recommend(at(NOON)).events == 0
    put(small, [(NOON - MINUTE, "product:1", 7)])
    small.recommend(at(NOON))
    # Of the one that was viewed again the list is made anew, and empty; the other's stays.
    assert set(lists(small)) == {"product:2"}


def test_a_list_made_of_an_older_log_replaces_none_of_a_newer_one(hits: PathHits) -> None:
    item = put_views(hits, "product:1", [(NOON, 1)])
    store = Recommendations(hits.engine)
    store.store({item: '[["2",0.5,2]]'}, NOON)
    store.store({item: '[["3",0.5,2]]'}, NOON - 1)
    assert lists(hits) == {"product:1": [["2", 0.5, 2]]}
    store.store({item: ""}, NOON)
    assert lists(hits) == {}


def test_many_runs_at_once_make_the_same_lists(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "EVENTS_A_STEP", 10)
    views = some_views(random.Random(5), 120, NOON - DAY_MS, NOON)
    put(hits, views)
    barrier = threading.Barrier(3)

    def run() -> None:
        one = PathHits(hits.settings)
        barrier.wait(30)
        one.recommend(at(NOON))
        one.close(0.1)

    with ThreadPoolExecutor(3) as pool:
        for one in [pool.submit(run) for _ in range(3)]:
            one.result(120)
    assert lists(hits) == model(views, NOON)


def test_a_run_may_die_before_and_after_every_step(
    redis_url: str, database_url: str, hits: PathHits, start_process: Callable[..., Process]
) -> None:
    # All within what a run looks at again, so that each of them has something to do.
    views = some_views(random.Random(6), 30, NOON - 10 * MINUTE, NOON, items=6, people=6)
    put(hits, views)
    environment = {"REDIS_URL": redis_url, "DATABASE_URL": database_url}
    command = [sys.executable, "-m", "tests.faults.recommender", at(NOON).isoformat()]
    process = start_process(command, env=environment)
    assert process.wait(240) == 0, process.output()
    died = [line.removeprefix("died ") for line in process.output().splitlines() if line.startswith("died ")]
    assert died == list(POINTS), process.output()
    hits.recommend(at(NOON))
    assert lists(hits) == model(views, NOON)


def test_a_bot_and_a_hub_cost_no_more_than_their_share(small: PathHits) -> None:
    crawl: Views = [(NOON - 5_000 + n, f"product:{n}", 99) for n in range(400)]
    crowd: Views = [(NOON - 50_000 + n, "product:hub", 1_000 + n) for n in range(1_500)]
    put(small, crowd + crawl + [(NOON - 1, "product:hub", 99)])
    read: list[int] = []

    def count(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        read.append(1)

    event.listen(small.engine, "before_cursor_execute", count)
    report = small.recommend(at(NOON))
    event.remove(small.engine, "before_cursor_execute", count)
    # The hub, and the last fifty items of the one who crawled all.
    assert report.items == ITEMS_A_VISITOR
    assert len(read) < 200
    assert lists(small) == {}


def test_what_a_run_leaves_over_is_asked_for_and_done_by_the_next_one(
    small: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "EVENTS_A_STEP", 10)
    monkeypatch.setattr(job, "LONGEST_RUN", -1.0)
    views = some_views(random.Random(7), 35, NOON - DAY_MS, NOON - 20 * MINUTE)
    put(small, views)
    schedule, name = ClockKeys("pathhits").schedule(), "pathhits-recommend"
    small.redis.zadd(schedule, {name: 2e12})
    runs = [small.recommend(at(NOON)) for _ in range(5)]
    assert [run.more for run in runs] == [True, True, True, True, False]
    assert [run.events for run in runs] == [10, 10, 10, 5, 0]
    assert (small.redis.zscore(schedule, name) or 2e12) < 2e12
    assert lists(small) == model(views, NOON)


def test_a_process_remembers_a_list_until_one_is_made_anew(small: PathHits) -> None:
    put(small, [(NOON - 2, f"product:{n}", visitor) for n in (1, 2) for visitor in (5, 6)])
    small.recommend(at(NOON))
    other = made(small.settings.redis_url, small.settings.database_url)
    assert [row.item_id for row in other.also_viewed("product", 1)] == ["2"]
    with small.engine.begin() as connection:
        connection.execute(text("UPDATE pathhits_also_viewed SET others = ''"))
    assert [row.item_id for row in other.also_viewed("product", 1)] == ["2"], "remembered"
    put(small, [(NOON - 1, "product:3", visitor) for visitor in (5, 6)])
    small.recommend(at(NOON))
    assert [row.item_id for row in other.also_viewed("product", 1)] == ["2", "3"]
    other.close(0.1)


def test_a_page_gets_the_last_known_list_while_sql_is_away(small: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    put(small, [(NOON - 2, f"product:{n}", visitor) for n in (1, 2) for visitor in (5, 6)])
    small.recommend(at(NOON))
    known = small.also_viewed("product", 1)
    assert known
    away = PathHits(redis_url="redis://127.0.0.1:1/0", database_url="postgresql://x@127.0.0.1:1/x")
    assert away.also_viewed("product", 1) == []
    monkeypatch.setitem(small.__dict__, "item_reads", away.item_reads)
    assert small.also_viewed("product", 1, limit=1) == known[:1]
    away.close(0.1)


def test_the_number_of_visitors_in_common_is_a_setting(redis_url: str, sqlite_url: str) -> None:
    hits = made(redis_url, sqlite_url, recommend_min_visitors=1, recommend_days=1)
    hits.migrate()
    put(hits, [(NOON, "product:1", 5), (NOON, "product:2", 5), (NOON - DAY_MS, "product:3", 5)])
    hits.recommend(at(NOON))
    assert lists(hits) == {"product:1": [["2", 1.0, 1]], "product:2": [["1", 1.0, 1]]}
    hits.close(0.1)


def test_the_commands_make_and_print_recommendations(small: PathHits) -> None:
    run = CliRunner()
    assert "Nothing goes with it yet" in run.invoke(group, ["also-viewed", "product", "1"], obj=small).output
    now = round(datetime.now(UTC).timestamp() * 1000)
    put(small, [(now - 2, f"product:{n}", visitor) for n in (1, 2) for visitor in (5, 6)])
    assert "4 events looked at, 2 lists made" in run.invoke(group, ["recommend"], obj=small).output
    report = json.loads(run.invoke(group, ["recommend", "--json"], obj=small).output)
    assert set(report) == {"events", "items", "seconds", "more"}
    assert "1.0000" in run.invoke(group, ["also-viewed", "product", "1"], obj=small).output
    [row] = json.loads(run.invoke(group, ["also-viewed", "product", "1", "--json"], obj=small).output)
    assert row == {"item_type": "product", "item_id": "2", "score": 1.0, "visitors": 2, "reason": "also_viewed"}
    assert run.invoke(group, ["also-viewed", "No!", "1"], obj=small).exit_code == 2


def test_the_job_comes_as_often_as_the_setting_says() -> None:
    [line] = [line for line in SCHEDULE if line.id == "recommend"]
    assert (line.period(Settings()), line.period(Settings(recommend_every=60.0))) == (3600.0, 60.0)


def test_the_job_reads_the_log_through_indexes(redis_url: str, postgresql_url: str) -> None:
    hits = made(redis_url, postgresql_url)
    hits.migrate()
    fill = (
        "INSERT INTO pathhits_events (id, name, item_id, visitor, properties, moment)"
        " SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'product.viewed', 1 + n % 300, n % 997, '', n"
        " FROM generate_series(1, 60000) n"
    )
    with hits.engine.begin() as connection:
        connection.execute(text(fill))
    with hits.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    store = Recommendations(hits.engine)
    for ask, index in (
        (lambda: store.log_after(bytes(12) + b"\0\0\x70\0", 100), "pathhits_events_pkey"),
        (lambda: store.baskets([1, 2, 3], 5), "ix_pathhits_events_visitor"),
        (lambda: store.visitors_of([1, 2, 3], 5), "ix_pathhits_events_item_"),
    ):
        [plan] = plans(hits, ask)
        assert index in plan, plan
        assert "Seq Scan" not in plan, plan
    hits.close(0.1)
