"""Recommendations shown and clicked are counted by reason, each once, without a row for each that was shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from pathhits import EventError, PathHits, SettingsError
from pathhits.cli import group
from pathhits.core.clicks import MAX_REASONS, NO_REASON, ClickRate
from pathhits.events import Logged, new_id
from pathhits.hits import OTHER
from pathhits.jobs.sync import sort_out
from pathhits.storage.sql import tables
from pathhits.storage.sql.ledger import Ledger
from pathhits.testing import counting
from tests.faults.writer import BOT, BROWSER
from tests.integration.test_event_log import logged

GUEST: dict[str, Any] = {"ip": "203.0.113.7", "user_agent": BROWSER}
NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)


def moved(hits: PathHits) -> None:
    assert hits.flush()
    hits.sync()


def test_what_is_shown_and_clicked_is_counted_by_reason(hits: PathHits) -> None:
    for _ in range(5):
        assert hits.track_recommendations_shown("product", "also_viewed", 4, **GUEST)
    assert hits.track_recommendations_shown("product", "same brand")
    assert hits.track_recommendation_clicked("product", 42, "also_viewed", 2, **GUEST, user_id="anna")
    assert hits.track_recommendation_clicked("product", 43, position=1)
    # The contract's way ends in the same place.
    assert hits.track("product.recommendation_clicked", 42, properties={"reason": "also_viewed", "position": "3"})
    assert hits.track("film.recommendation_clicked", 7)
    moved(hits)
    assert hits.click_rates() == [
        ClickRate("product", "also_viewed", 20, 3),
        ClickRate("film", NO_REASON, 0, 1),
        ClickRate("product", "same brand", 1, 0),
    ]
    assert hits.click_rates()[0].rate == 0.15
    assert hits.click_rates(item_type="film") == [ClickRate("film", NO_REASON, 0, 1)]
    assert hits.counter("product", 42, "recommendation_clicks") == 2
    assert sorted(row["properties"] for row in logged(hits.engine)) == [
        "",
        '{"reason":"also_viewed","position":1}',
        '{"reason":"also_viewed","position":2}',
        '{"reason":"also_viewed","position":3}',
    ]
    with hits.engine.connect() as connection:
        rows = select(func.count()).where(tables.site_hours.c.counter.like("shown:%"))
        assert (connection.scalar(rows) or 0) <= 4, "no row for each that was shown"
    assert hits.verify().ok
    assert hits.drops() == {}


def test_a_period_has_what_was_shown_and_clicked_in_its_hours(hits: PathHits) -> None:
    hour = round(NOON.timestamp()) // 3_600
    for n in range(4):
        moment = (hour + n) * 3_600_000 + 5
        click = Logged(
            new_id(moment), "product.recommendation_clicked", "product:1", 0, "", "", "", '{"reason":"r"}', moment
        )
        fields = {f"{hour + n}:shown:product:r".encode(): b"10"}
        contents = sort_out(f"g{n}", fields, [f"[{click.text()},{click.text()}]".encode()])
        for _ in range(2):
            Ledger(hits.engine).apply(contents, {})
    assert hits.click_rates() == [ClickRate("product", "r", 40, 4)]
    later = hits.click_rates(NOON + timedelta(hours=1), NOON + timedelta(hours=3))
    assert later == [ClickRate("product", "r", 20, 2)]
    assert hits.click_rates(NOON + timedelta(hours=9)) == []


def test_a_field_that_is_no_reason_is_a_dead_letter(small: PathHits) -> None:
    for subject in ("product:", ":r", "product: r", "product:" + "x" * 32):
        contents = sort_out("g", {f"5:shown:{subject}".encode(): b"1"})
        assert [letter.field for letter in contents.letters] == [f"5:shown:{subject}"]
        assert not contents.site


def test_a_crawler_is_shown_nothing_and_clicks_nothing(small: PathHits) -> None:
    crawler: dict[str, Any] = {"ip": "203.0.113.9", "user_agent": BOT}
    assert small.track_recommendations_shown("product", "r", 4, **crawler).reason == "bot"
    assert small.track_recommendation_clicked("product", 1, "r", **crawler).reason == "bot"
    moved(small)
    assert small.click_rates() == []


def test_a_key_makes_a_click_one_for_a_day(small: PathHits) -> None:
    for _ in range(3):
        small.track_recommendation_clicked("product", 1, "r", key="page 5")
    moved(small)
    assert small.click_rates() == [ClickRate("product", "r", 0, 1)]


def test_a_process_counts_so_many_reasons_a_day(small: PathHits) -> None:
    for n in range(MAX_REASONS + 20):
        small.track_recommendation_clicked("product", 1, f"reason {n}")
        small.track_recommendations_shown("product", f"reason {n}", 2)
    moved(small)
    rates = small.click_rates()
    assert len(rates) == MAX_REASONS + 1
    assert rates[0] == ClickRate("product", OTHER, 40, 20)


@pytest.mark.parametrize("count", [-1, True, "4", 2**40])
def test_a_count_that_is_none_is_an_error(small: PathHits, count: Any) -> None:
    with pytest.raises(EventError, match="from 0 on"):
        small.track_recommendations_shown("product", "r", count)


def test_a_type_that_is_none_is_an_error_and_nothing_shown_is_nothing(small: PathHits) -> None:
    with pytest.raises(SettingsError, match="a word"):
        small.track_recommendations_shown("No!", "r")
    assert small.track_recommendations_shown("product", "r", 0)
    moved(small)
    assert small.click_rates() == []


def test_the_command_prints_rates(small: PathHits) -> None:
    run = CliRunner()
    assert "None was shown" in run.invoke(group, ["clicks"], obj=small).output
    small.track_recommendations_shown("product", "also_viewed", 8)
    small.track_recommendation_clicked("product", 1)
    moved(small)
    printed = run.invoke(group, ["clicks", "--since", "1d"], obj=small).output
    assert "also_viewed" in printed
    assert "12.5%" in printed
    [row] = json.loads(run.invoke(group, ["clicks", "--items", "product", "--json"], obj=small).output)
    assert row == {"item_type": "product", "reason": "also_viewed", "shown": 8, "clicks": 1, "rate": 0.125}
    assert json.loads(run.invoke(group, ["clicks", "--items", "film", "--json"], obj=small).output) == []
    assert "None of these was shown" in run.invoke(group, ["clicks", "--items", "film"], obj=small).output


def test_shown_and_clicked_are_counted_in_memory_too() -> None:
    hits = PathHits(redis_url="redis://127.0.0.1:1/0")
    with counting(hits, at=NOON):
        hits.track_recommendations_shown("product", "r", 4)
        hits.track_recommendation_clicked("product", 1, "r")
        assert hits.click_rates(NOON) == [ClickRate("product", "r", 4, 1)]
        assert hits.click_rates(NOON + timedelta(hours=1)) == []
