"""What the log can say agrees with what was added up; old events go in small steps, and every figure stays."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select, update

from pathhits import PathHits
from pathhits.errors import NotMigrated
from pathhits.hits import HITS, REQUESTS, Batch, Delta
from pathhits.jobs import prune as prune_job
from pathhits.jobs import recount as recount_job
from pathhits.storage.sql import tables
from pathhits.storage.sql.tables import PRUNED
from tests.faults.pruner import POINTS
from tests.integration.logbook import DAY_MS, put_views, rows_of
from tests.servers.processes import Process

NOW = datetime.now(UTC)
NOW_MS = round(NOW.timestamp() * 1000)
HOUR = NOW_MS // 3_600_000


@pytest.fixture(autouse=True)
def _now() -> None:
    """The moment at which a test runs, as of jobs that are given none; at collection it may have been another day."""
    global NOW, NOW_MS, HOUR
    NOW = datetime.now(UTC)
    NOW_MS = round(NOW.timestamp() * 1000)
    HOUR = NOW_MS // 3_600_000


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


def some_items(hits: PathHits, number: int = 7, days: int = 20) -> None:
    """Items with views of the last days, by visitors some of whom come again."""
    chance = random.Random(1)
    for n in range(number):
        moments = [NOW_MS - chance.randrange(days * DAY_MS) for _ in range(40)]
        put_views(hits, f"product:{n}", [(moment, chance.randrange(0, 12)) for moment in moments])


def figures(hits: PathHits) -> list[tuple[object, ...]]:
    """All that a recount may change, and the views."""
    items = [(r["view_count"], r["visitors"], r["first_seen"], r["last_seen"]) for r in rows_of(hits, tables.items)]
    return [*items, *((r["item_id"], r["day"], r["views"], r["visitors"]) for r in rows_of(hits, tables.item_days))]


def spoil(hits: PathHits) -> None:
    with hits.engine.begin() as connection:
        connection.execute(update(tables.items).values(visitors=99, first_seen=5, last_seen=None))
        connection.execute(update(tables.item_days).values(visitors=77))


def wrong(hits: PathHits) -> set[str]:
    """The equations that do not hold."""
    return {check.name for check in hits.verify().checks if not check.holds}


def count(hits: PathHits, table: str = "pathhits_events") -> int:
    with hits.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(tables.metadata.tables[table])) or 0


# Recount.


def test_what_was_added_up_agrees_with_the_log(hits: PathHits) -> None:
    some_items(hits)
    before = figures(hits)
    report = hits.recount()
    assert (report.items, report.corrected, report.views_differ) == (7, 0, 0)
    assert report.since is not None
    assert figures(hits) == before
    assert hits.verify().ok


def test_what_a_sync_adds_up_agrees_with_the_log(hits: PathHits) -> None:
    for visitor in (1, 2, 1):
        for item in ("a", "b"):
            hits.track_view("product", item, ip=f"192.0.2.{visitor}", user_agent="Mozilla/5.0 Firefox/1")
    assert hits.flush()
    hits.sync()
    report = hits.recount()
    assert (report.items, report.corrected, report.views_differ) == (2, 0, 0)
    assert [row["visitors"] for row in rows_of(hits, tables.items)] == [2, 2]
    assert hits.verify().ok


@pytest.mark.parametrize("step", [2, 100])
def test_spoiled_figures_are_found_by_verify_and_put_right(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(recount_job, "ITEMS_A_STEP", step)
    some_items(hits)
    before = figures(hits)
    spoil(hits)
    wrong = {check.name for check in hits.verify().checks if not check.holds}
    assert wrong == {
        "visitors by day logged = days of items since then",
        "visitors logged = items with all views logged",
    }
    report = hits.recount()
    assert (report.items, report.corrected, report.views_differ) == (7, 7, 0)
    assert figures(hits) == before
    assert hits.recount().corrected == 0
    assert hits.verify().ok


def test_views_that_are_not_in_the_log_are_said_and_stay(hits: PathHits) -> None:
    some_items(hits, 3)
    lost = select(tables.events.c.id).where(tables.events.c.item_id == 2).limit(1)
    with hits.engine.begin() as connection:
        identity = connection.scalar(lost)
        connection.execute(tables.events.delete().where(tables.events.c.id == identity))
    before = [row[0] for row in figures(hits)[:3]]
    assert "views logged = days of items since then" in wrong(hits)
    assert hits.recount().views_differ == 1
    assert [row[0] for row in figures(hits)[:3]] == before


def test_hot_changes_that_repeat_or_do_not_fit_are_found(hits: PathHits) -> None:
    put_views(hits, "product:1", [(NOW_MS, n) for n in range(1, 101)])
    hits.refresh_items()
    assert hits.verify().ok
    with hits.engine.begin() as connection:
        change = {"item_id": 1, "moment": NOW_MS + 1, "is_hot": 1, "recent_views": 3}
        connection.execute(insert(tables.hot_changes).values(change))
        connection.execute(update(tables.items).values(is_hot=0))
    assert wrong(hits) == {
        "events of hot items logged = changes since then",
        "hot changes like the one before = none",
        "hot items = items last made hot",
    }


def test_without_a_log_there_is_nothing_to_recount(hits: PathHits) -> None:
    report = hits.recount()
    assert (report.since, report.items) == (None, 0)
    assert hits.verify().ok


def test_before_the_migration_a_recount_says_what_to_do(redis_url: str, database_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=database_url)
    for ask in (hits.recount, hits.prune):
        with pytest.raises(NotMigrated, match="pathhits db upgrade"):
            ask()
    hits.close(0.1)


# Retention of events.


def test_old_events_go_and_every_figure_stays(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_job, "ROWS_A_STEP", 7)
    some_items(hits, days=150)
    before, all_of_them = figures(hits), count(hits)
    first = (NOW_MS // DAY_MS - 90) * DAY_MS
    old = sum(row["moment"] < first for row in rows_of(hits, tables.events))
    assert 0 < old < all_of_them
    assert hits.prune(NOW).events == old
    assert min(row["moment"] for row in rows_of(hits, tables.events)) >= first
    assert figures(hits) == before
    assert hits.prune(NOW).events == 0
    report = hits.recount()
    assert (report.corrected, report.views_differ) == (0, 0)
    assert hits.verify().ok
    assert figures(hits) == before


def test_after_the_log_was_pruned_the_days_it_has_are_put_right(hits: PathHits) -> None:
    some_items(hits, days=150)
    hits.prune(NOW)
    before = figures(hits)
    with hits.engine.begin() as connection:
        days = tables.item_days
        kept = days.c.day >= NOW_MS // DAY_MS - 90
        for row in connection.execute(select(days).where(kept)).all():
            more = update(days).where(days.c.item_id == row.item_id, days.c.day == row.day)
            connection.execute(more.values(visitors=days.c.visitors + 1))
            item = update(tables.items).where(tables.items.c.id == row.item_id)
            connection.execute(item.values(visitors=tables.items.c.visitors + 1))
    assert not hits.verify().ok
    assert hits.recount().corrected == 7
    assert figures(hits) == before


def test_a_retention_of_nothing_keeps_all(redis_url: str, sqlite_url: str) -> None:
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, retention_events=0)
    hits.migrate()
    some_items(hits, 2, days=500)
    assert hits.prune().events == 0
    assert count(hits) == 80
    hits.close(0.1)


def test_runs_at_once_delete_each_row_once(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_job, "ROWS_A_STEP", 10)
    some_items(hits, days=150)
    add_generations(hits, 30, days=31)
    before = figures(hits)
    ledger_sum = sum(row["hits"] for row in rows_of(hits, tables.ledger))
    threads = [threading.Thread(target=other_run, args=(hits,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert figures(hits) == before
    [row] = rows_of(hits, tables.ledger)
    assert (row["generation"], row["hits"]) == (PRUNED, ledger_sum)
    assert hits.verify().ok


def other_run(hits: PathHits) -> None:
    one = PathHits(hits.settings)
    one.prune(NOW)
    one.recount()
    one.close(0.1)


def test_a_run_may_die_before_and_after_every_step(
    redis_url: str, database_url: str, hits: PathHits, start_process: Callable[..., Process]
) -> None:
    some_items(hits, days=150)
    add_generations(hits, 30, days=31)
    before, first = figures(hits), (NOW_MS // DAY_MS - 90) * DAY_MS
    sums = [sum(row[name] for row in rows_of(hits, tables.ledger)) for name in ("hits", "requests", "paths")]
    kept = sum(row["moment"] >= first for row in rows_of(hits, tables.events))
    environment = {"REDIS_URL": redis_url, "DATABASE_URL": database_url}
    process = start_process([sys.executable, "-m", "tests.faults.pruner", NOW.isoformat()], env=environment)
    assert process.wait(120) == 0, process.output()
    died = [line.removeprefix("died ") for line in process.output().splitlines() if line.startswith("died ")]
    assert died == list(POINTS), process.output()
    assert hits.verify().ok, "in the middle"
    hits.prune(NOW)
    hits.recount()
    assert count(hits) == kept
    assert figures(hits) == before
    assert [sum(row[name] for row in rows_of(hits, tables.ledger)) for name in ("hits", "requests", "paths")] == sums
    assert hits.verify().ok


# The ledger.


def add_generations(hits: PathHits, number: int, days: float) -> None:
    """Take so many generations of one hit into SQL, as if that had been days ago."""
    for n in range(number):
        deltas = {Delta(HOUR, HITS, f"/{n % 3}"): 1, Delta(HOUR, REQUESTS, ""): 1}
        assert hits.pending.add(Batch(f"test{days}", n + 1, f"g{days}-{n}", deltas, {}), "").status == "added"
        hits.sync()
    ago = NOW - timedelta(days=days)
    with hits.engine.begin() as connection:
        young = tables.ledger.c.applied_at > NOW - timedelta(hours=1)
        connection.execute(update(tables.ledger).where(young).values(applied_at=ago))


def test_old_rows_of_the_ledger_become_one_and_the_sums_agree(hits: PathHits) -> None:
    add_generations(hits, 4, days=40)
    add_generations(hits, 3, days=30.1)
    add_generations(hits, 2, days=29.9)
    assert hits.prune(NOW).ledger == 7
    assert hits.verify().ok
    rows = {row["generation"]: row["hits"] for row in rows_of(hits, tables.ledger)}
    assert rows == {PRUNED: 7, "g29.9-0": 1, "g29.9-1": 1}
    assert len(hits.reads.last_syncs(10)) == 2
    add_generations(hits, 1, days=35)
    assert hits.prune(NOW).ledger == 1
    assert {row["generation"]: row["hits"] for row in rows_of(hits, tables.ledger)}[PRUNED] == 8
    assert hits.prune(NOW).ledger == 0
    assert hits.verify().ok


def test_the_row_of_a_generation_that_redis_still_holds_stays(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(hits.pending, "settle", lambda generation: None)
        add_generations(hits, 3, days=40)
    held = hits.pending.live()
    assert len(held) == 3
    assert hits.prune(NOW).ledger == 0
    hits.sync()
    assert hits.total() == 3, "counted once"
    assert hits.prune(NOW).ledger == 3
    assert hits.verify().ok
