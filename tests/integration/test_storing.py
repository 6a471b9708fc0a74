"""What was counted in memory goes into SQL as of the moments of its clock, once by name, or stays where it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from pathhits import NotMigrated, PathHits, Rules
from pathhits.storage.sql import tables
from pathhits.testing import Counted, counting
from tests.faults.writer import BROWSER

SPRING = datetime(2026, 3, 20, 12, 30, tzinfo=UTC)
READER: dict[str, Any] = {"ip": "203.0.113.1", "user_agent": BROWSER}


@pytest.fixture
def hits(redis_url: str, database_url: str) -> PathHits:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0)
    hits.register_item("story", rules=Rules.antispam())
    hits.on("*", name="mail")(lambda event: None)
    return hits


def count(hits: PathHits, counted: Counted) -> None:
    """Two days: three hits, a view that counts and one that does not, a like."""
    hits.track_hit("/news")
    hits.track_view("story", 7, **READER)
    hits.track_view("story", 7, **READER)
    counted.clock.advance(timedelta(days=1))
    hits.track_hit("/news")
    hits.track_hit("/old")
    hits.track("story.liked", 7, **READER)


def test_the_past_is_stored_where_it_belongs_and_once_by_name(hits: PathHits) -> None:
    hits.migrate()
    for expected in (3, 0):
        with counting(hits, at=SPRING) as counted:
            count(hits, counted)
            assert counted.hits() == 3
            assert counted.store("spring") == expected
            assert counted.hits() == 0
    series = hits.series("hits", SPRING, SPRING + timedelta(days=2), by="day")
    assert [(step.start.date().isoformat(), step.value) for step in series if step.value] == [
        ("2026-03-20", 1),
        ("2026-03-21", 2),
    ]
    assert (hits.hit_count("/news"), hits.hit_count("/old")) == (2, 1)
    stats = hits.item_stats("story", 7)
    assert (stats.views, stats.visitors, stats.counters["likes"]) == (1, 1, 1)
    assert hits.verify().ok
    with hits.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.events)) == 2
        assert connection.scalar(select(func.count()).select_from(tables.deliveries)) == 0


def test_what_could_not_be_stored_is_still_counted(hits: PathHits) -> None:
    with counting(hits, at=SPRING) as counted:
        count(hits, counted)
        with pytest.raises(NotMigrated, match="pathhits db upgrade"):
            counted.store("spring")
        assert counted.hits() == 3
        hits.migrate()
        assert counted.store("spring") == 3


@pytest.mark.parametrize("name", ["", "x" * 51])
def test_a_name_that_cannot_be_kept_is_refused(hits: PathHits, name: str) -> None:
    hits.migrate()
    with counting(hits, at=SPRING) as counted:
        count(hits, counted)
        with pytest.raises(ValueError, match="give a name of 1 to 50 characters"):
            counted.store(name)
        assert counted.hits() == 3


def test_many_days_by_a_name_each_are_the_sum_of_them(hits: PathHits) -> None:
    hits.migrate()
    with counting(hits, at=SPRING) as counted:

        def store(day: int) -> int:
            counted.clock.freeze(SPRING + timedelta(days=day))
            hits.track_hit("/news")
            return counted.store(f"day-{day}")

        assert [store(day) for day in (0, 1, 2, 1)] == [1, 1, 1, 0]
    assert hits.hit_count("/news") == 3
    assert hits.verify().ok
