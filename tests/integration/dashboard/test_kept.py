"""While a store is away the overview shows the last snapshot, and says how old it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from pathhits import PathHits
from pathhits.storage.redis.dashboard import DashboardStore
from pathhits.testing import counting
from tests.integration.dashboard.filling import fill
from tests.integration.dashboard.reader import PASSWORD, Reader
from tests.integration.dashboard.test_pages import BROWSER, csvs, figures, rows

AWAY = "redis://127.0.0.1:1/0"
Make = Callable[..., Reader]


@pytest.fixture
def make(redis_url: str, sqlite_url: str, tmp_path: Path) -> Iterator[Make]:
    made: list[PathHits] = []

    def make(**settings: Any) -> Reader:
        found = {"redis_url": redis_url, "database_url": sqlite_url, "flush_interval": 3600, **settings}
        hits = PathHits(**found, redis_timeout=1.0)
        made.append(hits)
        return Reader(hits.dashboard(), home="", hits=hits)

    reader = make(dashboard_password=PASSWORD)
    reader.hits.migrate()
    fill(reader.hits, time.time(), days=3, paths=["home", "about"], items=["product:jug"], daily=2_000)
    with counting(reader.hits, at=datetime.now(UTC) - timedelta(hours=2)) as counted:
        reader.hits.track_search("blue jug", result_count=1, user_agent=BROWSER)
        counted.store("a search before the snapshot")
    reader.hits.sync(force=True)
    reader.hits.refresh_snapshot(datetime.now(UTC) - timedelta(minutes=12, seconds=5))
    yield make
    for hits in made:
        hits.close(0.1)


def test_without_sql_it_is_the_one_in_redis(make: Make, tmp_path: Path) -> None:
    totals = make().hits.snapshot().parts["totals"]
    reader = make(database_url=f"sqlite:///{tmp_path}/none/db", dashboard_password=PASSWORD)
    reader.log_in()
    page = reader.get("/?range=7d&tz=Europe/Berlin")
    # An error, so that no page that is open takes the figures over.
    assert page.status_code == 503
    assert "computed 12 minutes ago" in page.text
    for key in ("hits", "visits"):
        assert f'<span class="sr">{totals[key]:,}</span>' in page.text
    assert f"{totals['average_duration_without_bounces'] // 60:.0f}m" in page.text
    assert rows(page.text, "Items")[0][0] == "jug"
    assert [name for name, _ in rows(page.text, "Paths")] == ["about", "home"]
    assert "blue jug" in page.text
    assert 'aria-current="page">Overview' in page.text
    assert reader.get("/?path=home").text.count("computed") == 0


@pytest.mark.parametrize("more", [{}, {"secret": "a secret of some length"}])
def test_without_redis_it_is_the_one_in_sql_for_whom_counts_are_shown(make: Make, more: dict[str, str]) -> None:
    page = make(redis_url=AWAY, dashboard_public=True, **more).get("/")
    assert page.status_code == 503
    assert "computed 12 minutes ago" in page.text
    assert [name for name, _ in rows(page.text, "Paths")] == ["about", "home"]
    assert "blue jug" not in page.text
    assert "127.0.0.1:1" not in page.text
    page = make(redis_url=AWAY, dashboard_password=PASSWORD, **more).get("/")
    assert page.status_code in (401, 503)
    assert "computed" not in page.text


def test_without_redis_no_session_sees_counts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = make(dashboard_password=PASSWORD)
    reader.log_in()
    assert figures(reader.get("/").text)
    assert csvs(reader, "/paths")

    def gone(*_: object) -> bool:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(DashboardStore, "has_ended", gone)
    page = reader.get("/")
    assert page.status_code == 503
    assert "figure card" not in page.text


def test_without_any_snapshot_the_page_says_what_is_wrong(make: Make, tmp_path: Path) -> None:
    reader = make(database_url=f"sqlite:///{tmp_path}/none/db", namespace="other", dashboard_public=True)
    page = reader.get("/")
    assert page.status_code == 503
    assert "A store does not answer" in page.text
    assert "computed" not in page.text


def test_which_server_it_is_reads_only_who_logged_in_and_the_log(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = f"sqlite:///{tmp_path}/none/db"
    public, private = (make(database_url=gone, dashboard_password=PASSWORD, dashboard_public=one) for one in (1, 0))
    private.log_in()
    for path in ("/", "/?path=home", "/paths", "/count/TOTAL.svg"):
        assert str(tmp_path) not in public.get(path).text, path
    assert str(tmp_path) in caplog.text
    for path in ("/", "/?path=home", "/paths"):
        assert str(tmp_path) in private.get(path).text, path
    stranger = make(redis_url=AWAY, dashboard_password=PASSWORD)
    assert "127.0.0.1:1" not in stranger.get("/login").text
