"""The dashboard is computed by a job, found in Redis, else in SQL, else computed for the reader; it tells its age."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import insert
from werkzeug.test import Client

from pathhits import NotMigrated, PathHits, StoreUnavailable
from pathhits.cli import group
from pathhits.core.dashboard import Snapshot, to_ms
from pathhits.jobs import snapshot as job
from pathhits.jobs.schedule import SCHEDULE
from pathhits.settings import Settings
from pathhits.storage.redis.keys import SNAPSHOT_TTL, Keys
from pathhits.storage.sql import tables
from tests.faults.writer import BROWSER, page
from tests.integration.logbook import rows_of

KEY = Keys("pathhits").snapshot()
AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


@pytest.fixture
def small(redis_url: str, sqlite_url: str) -> Iterator[PathHits]:
    """One with SQLite, where the database does not matter."""
    hits = PathHits(redis_url=redis_url, database_url=sqlite_url, request_deadline=60.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


def visit(hits: PathHits) -> None:
    """Three products and a film are seen, two of these views are stored and the others wait."""
    for number, (kind, one) in enumerate([("product", "pan"), ("product", "jug"), ("film", 1), ("product", "pan")]):
        assert hits.track_view(kind, one, ip=f"203.0.113.{number}", user_agent=BROWSER)
        if number == 1:
            assert hits.flush()
            hits.sync()
    hits.track_search("Jug", result_count=2, ip="203.0.113.1", user_agent=BROWSER)
    hits.track_search("teapot", result_count=0, ip="203.0.113.1", user_agent=BROWSER)
    for label in ("home", "home", "about"):
        hits.track_hit(label)
    assert hits.flush()


def ago(**since: float) -> datetime:
    return datetime.now(UTC) - timedelta(**since)


def test_the_job_stores_what_a_dashboard_shows(hits: PathHits) -> None:
    visit(hits)
    report = hits.refresh_snapshot()
    found = hits.snapshot()
    assert (found.source, report.moment) == ("redis", found.moment.isoformat())
    assert 0 <= found.age() < 60
    parts = found.parts
    assert parts["top_paths"] == [
        {"path": "home", "hits": 2, "visitors": 0},
        {"path": "about", "hits": 1, "visitors": 0},
    ]
    assert {kind: of["views"] for kind, of in parts["items"].items()} == {"product": 3, "film": 1}
    assert [(row["item_id"], row["views"]) for row in parts["items"]["product"]["top"]] == [("pan", 2), ("jug", 1)]
    assert parts["items"]["film"]["hot"] == []
    assert (parts["totals"]["hits"], parts["totals"]["hits_ever"]) == (3, 3)
    assert len(parts["daily"]) == 30
    assert (parts["daily"][-1]["hits"], parts["daily"][0]["hits"]) == (3, 0)
    assert parts["daily"][-1]["day"] == found.moment.date().isoformat()
    assert parts["drops"] == {}
    assert parts["sources"].keys() == set(hits.settings.dimensions)
    assert parts["searches"] == {"popular": [], "failed": []}, "as far as they are in SQL"
    hits.sync()
    hits.refresh_snapshot()
    searches = hits.snapshot().parts["searches"]
    assert {kind: [(row["query"], row["searches"]) for row in rows] for kind, rows in searches.items()} == {
        "popular": [("jug", 1)],
        "failed": [("teapot", 1)],
    }
    assert 0 < int(hits.redis.ttl(KEY)) <= SNAPSHOT_TTL
    row, _ = rows_of(hits, tables.snapshots)
    assert row["moment"] == to_ms(found.moment)
    assert json.loads(row["content"])["parts"] == parts


def test_sources_are_in_it(small: PathHits) -> None:
    client = Client(small.wsgi(page))
    client.get("/", headers={"User-Agent": BROWSER, "Referer": "https://search.example/?q=pan"})
    assert small.flush()
    small.refresh_snapshot()
    sources = small.snapshot().parts["sources"]
    assert sources["referrer"] == [{"value": "search.example", "hits": 1}]
    assert sources["browser"][0]["hits"] == 1


def test_hot_items_are_in_it(small: PathHits) -> None:
    small.register_item("product", hot_at=2, cold_below=1)
    visit(small)
    small.sync()
    small.refresh_items()
    small.refresh_snapshot()
    [hot] = small.snapshot().parts["items"]["product"]["hot"]
    assert (hot["item_id"], hot["recent_views"]) == ("pan", 2)
    assert datetime.fromisoformat(hot["hot_since"]) <= datetime.now(UTC)


def test_without_redis_it_is_found_in_sql(hits: PathHits) -> None:
    hits.refresh_snapshot(ago(minutes=31))
    hits.refresh_snapshot(ago(minutes=1))
    other = PathHits(redis_url=AWAY, database_url=hits.settings.database_url)
    found = other.snapshot()
    assert found.source == "sql"
    assert 60 <= found.age() < 120
    hits.redis.delete(KEY)
    assert hits.snapshot().source == "sql"
    other.close(0.1)


def test_without_any_it_is_computed(small: PathHits) -> None:
    visit(small)
    found = small.snapshot()
    assert (found.source, found.parts["totals"]["hits"]) == ("live", 3)
    assert found.age() < 60
    assert rows_of(small, tables.snapshots) == [], "a reader writes nothing"


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"at": 1e400}', '{"at": "x", "seconds": 1, "parts": {}}'])
def test_what_is_no_snapshot_is_not_taken_for_one(small: PathHits, text: str) -> None:
    with pytest.raises(ValueError):
        Snapshot.parse(text, "redis")
    small.redis.set(KEY, text)
    assert small.snapshot().source == "live"


def test_one_that_is_very_old_is_computed_anew_where_that_can_be(small: PathHits) -> None:
    small.refresh_snapshot(ago(hours=1.9))
    assert small.snapshot().source == "redis"
    small.refresh_snapshot(ago(hours=2.1))
    assert small.snapshot().source == "sql", "the newer one"
    small.engine.dispose()
    with small.engine.begin() as connection:
        connection.execute(tables.snapshots.delete())
    assert small.snapshot().source == "live"
    without = PathHits(redis_url=small.settings.redis_url, database_url="sqlite:////nowhere/at.db")
    found = without.snapshot()
    assert (found.source, round(found.age() / 360)) == ("redis", 21), "better than nothing"
    without.close(0.1)


def test_with_nothing_at_all_it_says_why(redis_url: str, sqlite_url: str) -> None:
    for settings, error in (({"redis_url": AWAY}, NotMigrated), ({"redis_url": redis_url}, NotMigrated)):
        hits = PathHits(database_url=sqlite_url, **settings)  # type: ignore[arg-type]  # settings by name
        with pytest.raises((error, StoreUnavailable)):
            hits.snapshot()
        with pytest.raises((error, StoreUnavailable)):
            hits.refresh_snapshot()
        hits.close(0.1)


def test_old_ones_go_and_the_newest_stays(hits: PathHits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "ROWS_A_STEP", 2)
    now = datetime.now(UTC)
    moments = [to_ms(now - timedelta(days=days)) for days in (30, 9, 8, 7.01, 6.9)]
    with hits.engine.begin() as connection:
        connection.execute(insert(tables.snapshots), [{"moment": one, "content": "{}"} for one in moments])
    assert hits.refresh_snapshot(now).pruned == 4
    assert [row["moment"] for row in rows_of(hits, tables.snapshots)] == [moments[-1], to_ms(now)]
    assert hits._snapshots.prune(to_ms(now) + 1, 10) == 1
    assert [row["moment"] for row in rows_of(hits, tables.snapshots)] == [to_ms(now)]


def test_a_setting_says_how_long(redis_url: str, sqlite_url: str) -> None:
    for days, old in ((0, 1), (1, 0)):
        hits = PathHits(redis_url=redis_url, database_url=sqlite_url, retention_snapshots=days)
        hits.migrate()
        hits.refresh_snapshot(ago(days=2))
        hits.refresh_snapshot()
        assert sum(row["moment"] < to_ms(ago(days=1)) for row in rows_of(hits, tables.snapshots)) == old
        hits.close(0.1)


def test_runs_at_once_and_again_leave_one_readable_snapshot(hits: PathHits) -> None:
    visit(hits)
    moment, barrier = datetime.now(UTC), threading.Barrier(3)

    def run() -> None:
        one = PathHits(hits.settings)
        barrier.wait(30)
        one.refresh_snapshot(moment)
        one.close(0.1)

    with ThreadPoolExecutor(3) as pool:
        for started in [pool.submit(run) for _ in range(3)]:
            started.result(60)
    assert hits.snapshot().moment == moment - timedelta(microseconds=moment.microsecond % 1000)
    assert {row["moment"] for row in rows_of(hits, tables.snapshots)} == {to_ms(moment)}


def test_a_run_that_dies_before_redis_has_it_is_made_good_by_the_next(
    small: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(small._snapshot_copy, "put", lambda text: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            small.refresh_snapshot()
    assert small.snapshot().source == "sql"
    small.refresh_snapshot()
    assert small.snapshot().source == "redis"


def test_the_command_prints_it(small: PathHits) -> None:
    visit(small)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(group, ["snapshot", *arguments], obj=small, env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        return result.output

    assert "from live" in run()
    text = run("--refresh")
    assert "from redis" in text
    assert all(word in text for word in ("home", "pan", "film", "hits ever"))
    found: dict[str, Any] = json.loads(run("--json"))
    assert (found["source"], found["items"]["film"]["views"]) == ("redis", 1)


def test_the_job_comes_every_half_hour() -> None:
    [line] = [line for line in SCHEDULE if line.id == "snapshot"]
    assert (line.period(Settings()), line.period(Settings(snapshot_every=60.0))) == (1800.0, 60.0)
