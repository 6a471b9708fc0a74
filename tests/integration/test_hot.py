"""Items become hot and cool by their recent views, counted from the log; each change is made once, whoever is at it."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from pathhits import PathHits
from pathhits.core.hotness import RECENT_MS
from pathhits.errors import NotMigrated, SettingsError
from pathhits.jobs import items as items_job
from pathhits.jobs.schedule import SCHEDULE
from pathhits.settings import Settings
from pathhits.storage.sql import tables
from pathhits.storage.sql.hotness import Hotness
from tests.faults.refresher import POINTS
from tests.integration.logbook import DAY_MS, by_name, ms, put_views, rows_of
from tests.servers.processes import Process

#: Day 0, at noon.
START = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


def day(n: float) -> int:
    """Milliseconds at that day of the timeline."""
    return ms(START) + round(n * DAY_MS)


def at(n: float) -> datetime:
    return START + timedelta(days=n)


def state(hits: PathHits, item: str = "product:1") -> tuple[int, bool]:
    [row] = [row for row in rows_of(hits, tables.items) if row["item"] == item]
    return row["recent_views"], row["is_hot"]


def views(n: int, moment: int) -> list[tuple[int, int]]:
    return [(moment, visitor) for visitor in range(1, n + 1)]


#: Views that come on a day of the timeline, by the moment (in days) they happened: the log knows both.
ARRIVALS: dict[int, list[tuple[int, float]]] = {
    0: [],
    1: [(25, -2.5), (20, -1.5)],
    2: [(12, -1.5), (8, 1.5)],
    3: [(35, 2.5)],
    4: [(5, 3.5)],
    5: [],
    6: [],
}


def test_the_timeline_of_the_seed(hits: PathHits) -> None:
    put_views(hits, "product:1", [])
    seen = []
    for n, arrivals in ARRIVALS.items():
        for number, moment in arrivals:
            put_views(hits, "product:1", views(number, day(moment)))
        hits.refresh_items(at(n))
        seen.append(state(hits))
    assert seen == [(0, False), (45, False), (65, False), (100, True), (105, True), (80, True), (48, False)]
    changes = rows_of(hits, tables.hot_changes)
    assert [(row["moment"], row["is_hot"], row["recent_views"]) for row in changes] == [
        (day(3), True, 100),
        (day(6), False, 48),
    ]
    [item] = rows_of(hits, tables.items)
    assert item["hot_changed_at"] == day(6)
    events = by_name(rows_of(hits, tables.events))
    assert {name: len(rows) for name, rows in events.items()} == {
        "product.viewed": 105,
        "product.became_hot": 1,
        "product.cooled": 1,
    }
    [hot], [cooled] = events["product.became_hot"], events["product.cooled"]
    assert (hot["item_id"], hot["moment"], json.loads(hot["properties"])) == (item["id"], day(3), {"recent_views": 100})
    assert (cooled["moment"], json.loads(cooled["properties"])) == (day(6), {"recent_views": 48})
    assert (hot["visitor"], hot["user_id"], hot["user_agent"], hot["referrer"]) == (0, "", "", "")


def test_recent_views_are_exact_to_the_moment(hits: PathHits) -> None:
    now = day(0)
    put_views(hits, "product:1", [(now - RECENT_MS, 1), (now - RECENT_MS + 1, 2), (now - RECENT_MS - 1, 3), (now, 4)])
    hits.refresh_items(at(0))
    assert state(hits) == (2, False)


def test_only_views_of_the_item_count(hits: PathHits) -> None:
    item = put_views(hits, "product:1", views(3, day(0)))
    put_views(hits, "product:2", views(4, day(0)))
    put_views(hits, "story:1", views(5, day(0)))
    with hits.engine.begin() as connection:
        connection.execute(
            update(tables.events)
            .where(tables.events.c.item_id == item, tables.events.c.visitor == 1)
            .values(name="product.downloaded")
        )
    hits.refresh_items(at(0))
    assert [state(hits, item) for item in ("product:1", "product:2", "story:1")] == [(2, 0), (4, 0), (5, 0)]


def test_thresholds_are_those_of_the_type_else_of_the_settings(redis_url: str, sqlite_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, hot_at=4, cold_below=2)
    hits.migrate()
    hits.register_item("story", hot_at=2, cold_below=1)
    hits.register_item("film", cold_below=3)
    for item in ("product:1", "story:1", "film:1"):
        put_views(hits, item, views(3, day(0)))
    hits.refresh_items(at(0))
    assert [state(hits, item)[1] for item in ("product:1", "story:1", "film:1")] == [False, True, False]
    put_views(hits, "film:1", views(1, day(1)))
    hits.refresh_items(at(1))
    assert state(hits, "film:1") == (4, True)
    hits.refresh_items(at(7.5))
    assert [state(hits, item) for item in ("story:1", "film:1")] == [(0, False), (1, False)]
    hits.close(0.1)


@pytest.mark.parametrize(
    "numbers", [{"hot_at": 40}, {"cold_below": 101}, {"hot_at": 0}, {"hot_at": 5, "cold_below": 6}]
)
def test_thresholds_that_cannot_be_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(SettingsError):
        PathHits().register_item("product", **numbers)  # type: ignore[arg-type]  # numbers by name


def test_an_item_that_nobody_looks_at_cools(hits: PathHits) -> None:
    put_views(hits, "product:1", views(100, day(0)))
    assert hits.refresh_items(at(0)).became_hot == 1
    report = hits.refresh_items(at(7.01))
    assert (report.items, report.became_hot, report.cooled) == (1, 0, 1)
    assert state(hits) == (0, False)
    assert hits.refresh_items(at(8)).items == 0, "nothing can change any more"


def test_recent_views_of_an_item_that_is_not_hot_go_down_too(hits: PathHits) -> None:
    put_views(hits, "product:1", views(30, day(0)))
    hits.refresh_items(at(0))
    assert hits.refresh_items(at(0) + timedelta(minutes=1)).items == 0, "counted a moment ago"
    assert hits.refresh_items(at(1)).items == 1
    hits.refresh_items(at(7.01))
    assert state(hits) == (0, False)


def test_a_sync_makes_an_item_due(hits: PathHits) -> None:
    assert hits.track_view("product", 1)
    assert hits.flush()
    hits.sync()
    hits.refresh_items()
    assert hits.refresh_items(datetime.now(UTC)).items == 0
    assert hits.track_view("product", 1)
    assert hits.flush()
    hits.sync()
    assert hits.refresh_items().items == 1


def test_views_that_a_sync_adds_between_counting_and_writing_are_counted(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_views(hits, "product:1", views(99, day(0)))
    put_views(hits, "product:2", views(5, day(0)))
    refreshed = Hotness._refreshed

    def sync_first(*args: Any) -> Any:
        monkeypatch.undo()
        put_views(other, "product:1", views(1, day(0)))
        return refreshed(*args)

    other = PathHits(hits.settings)
    if hits.engine.dialect.name == "sqlite":  # whose lock is taken by then
        monkeypatch.setattr("pathhits.storage.sql.transactions.begin_writing", lambda connection: None)
    monkeypatch.setattr(Hotness, "_refreshed", sync_first)
    hits.refresh_items(at(0))
    other.close(0.1)
    assert (state(hits, "product:1"), state(hits, "product:2")) == ((100, True), (5, False))


def test_more_than_one_step(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items_job, "ITEMS_A_STEP", 3)
    for n in range(10):
        put_views(hits, f"product:{n}", views(n, day(0)))
    assert hits.refresh_items(at(0)).items == 10
    assert [state(hits, f"product:{n}")[0] for n in range(10)] == list(range(10))


def test_what_one_run_leaves_over_is_the_next_ones(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items_job, "ITEMS_A_STEP", 3)
    monkeypatch.setattr(items_job, "ITEMS_A_RUN", 6)
    for n in range(1, 11):
        put_views(hits, f"product:{n}", views(n, day(0)))
    assert [hits.refresh_items(at(0)).items for _ in range(3)] == [6, 4, 0]


def test_a_change_is_said_in_the_log(hits: PathHits, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pathhits")
    put_views(hits, "product:lamp", views(103, day(0)))
    hits.refresh_items(at(0))
    hits.refresh_items(at(7.5))
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert [line for line in lines if "product:lamp" in line] == [
        "product:lamp became hot: 103 views in the last 7 days",
        "product:lamp cooled: 0 views in the last 7 days",
    ]


def test_many_runs_at_once_make_each_change_once(hits: PathHits) -> None:
    for n in range(8):
        put_views(hits, f"product:{n}", views(90 + 3 * n, day(0)))
    for moment, changes in ((0.0, 4), (0.01, 4), (7.5, 8)):
        refresh_at_once(hits, at(moment))
        assert len(rows_of(hits, tables.hot_changes)) == changes
    events = by_name(rows_of(hits, tables.events))
    assert (len(events["product.became_hot"]), len(events["product.cooled"])) == (4, 4)
    assert all(not row["is_hot"] and row["recent_views"] == 0 for row in rows_of(hits, tables.items))


def refresh_at_once(hits: PathHits, moment: datetime) -> None:
    """Four runs, each with connections of its own."""
    barrier = threading.Barrier(4)

    def run() -> None:
        one = PathHits(hits.settings)
        barrier.wait(30)
        one.refresh_items(moment)
        one.close(0.1)

    with ThreadPoolExecutor(4) as pool:
        for run_of_one in [pool.submit(run) for _ in range(4)]:
            run_of_one.result(60)


def test_a_run_may_die_before_and_after_every_step(
    redis_url: str, database_url: str, hits: PathHits, start_process: Callable[..., Process]
) -> None:
    for n in range(len(POINTS)):
        put_views(hits, f"product:{n}", views(100, day(0)))
    environment = {"REDIS_URL": redis_url, "DATABASE_URL": database_url}
    command = [sys.executable, "-m", "tests.faults.refresher", at(0).isoformat()]
    process = start_process(command, env=environment)
    assert process.wait(120) == 0, process.output()
    died = [line.removeprefix("died ") for line in process.output().splitlines() if line.startswith("died ")]
    assert died == list(POINTS), process.output()
    hits.refresh_items(at(0))
    changes = rows_of(hits, tables.hot_changes)
    assert len(changes) == len({row["item_id"] for row in changes}) == len(POINTS)
    events = by_name(rows_of(hits, tables.events))["product.became_hot"]
    assert len(events) == len({row["item_id"] for row in events}) == len(POINTS)
    assert all((row["recent_views"], row["is_hot"]) == (100, True) for row in rows_of(hits, tables.items))


def test_a_run_without_its_tables_says_what_to_do(redis_url: str, database_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=database_url)
    with pytest.raises(NotMigrated, match="pathhits db upgrade"):
        hits.refresh_items()
    hits.close(0.1)


def test_the_job_comes_as_often_as_the_setting_says() -> None:
    [job] = [job for job in SCHEDULE if job.id == "items"]
    assert (job.period(Settings()), job.period(Settings(items_every=5.0))) == (60.0, 5.0)
