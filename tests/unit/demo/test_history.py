"""The demo's made-up past: its shape, and that all sums agree once it is in SQL."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from rich.console import Console
from sqlalchemy import func, select

from demo_app import history
from demo_app.catalogue import PRODUCTS
from demo_app.history.replay import Replay
from demo_app.history.shape import STRETCH, day_of
from demo_app.history.visits import DAY_S, midnight, requests_of
from demo_app.models import Past, Product, db
from demo_app.release import release
from demo_app.traffic.tally import CAMPAIGN, DIMENSIONS, Tally
from pathhits import Event, PathHits
from pathhits.storage.sql import tables
from tests.faults.past import POINTS
from tests.servers.processes import Process

KINDS = ("product", "brand", "tag")
MONDAY = date(2026, 10, 5)
MANY = [MONDAY + timedelta(days=n) for n in range(90)]


def test_weekends_are_quieter_most_come_in_the_evening_and_some_days_are_like_no_other() -> None:
    days = [day_of(when) for when in MANY]
    plain = [(when.weekday(), day.visits) for when, day in zip(MANY, days, strict=True) if not day.come_for_it]
    by_weekday = {n: [visits for weekday, visits in plain if weekday == n] for n in (1, 5)}
    assert min(by_weekday[1]) > max(by_weekday[5]) * 0.9
    assert sum(by_weekday[1]) / len(by_weekday[1]) > 1.15 * sum(by_weekday[5]) / len(by_weekday[5])
    spikes = [day for day in days if day.come_for_it > 0.5 * day.visits]
    assert 2 <= len(spikes) <= 2 * (len(MANY) // STRETCH + 1)
    hours = Counter(int(one.moment // 3_600) for one in requests_of(MONDAY) if one.person.kind == "visitor")
    assert hours[19] + hours[20] > 3 * (hours[2] + hours[3] + 1)


def test_what_is_sought_comes_and_goes() -> None:
    first, later = ({slug: weight for weight, slug in day_of(when).taste} for when in (MANY[0], MANY[40]))
    best = sorted(first, key=first.__getitem__)[-3:]
    assert best != sorted(later, key=later.__getitem__)[-3:]
    assert any(later[slug] < first[slug] / 3 for slug in best), "one that was sought is forgotten"


def test_a_day_is_the_same_whenever_it_is_made_in_order_and_within_itself() -> None:
    first, second = requests_of(MONDAY), requests_of(MONDAY)
    assert [(one.moment, one.step) for one in first] == [(one.moment, one.step) for one in second]
    moments = [one.moment for one in first]
    assert moments == sorted(moments)
    assert 0 <= moments[0] < moments[-1] < DAY_S
    people = Counter(one.person.address for one in first)
    assert len(people) < day_of(MONDAY).visits * 1.1, "some come again"


@pytest.fixture
def migrated(make_shop: Callable[..., Flask], redis_url: str, database_url: str) -> Flask:
    shop = make_shop(redis_url, database_url)
    release(shop)
    return shop


def test_two_days_are_counted_as_they_were_and_once(migrated: Flask) -> None:
    hits: PathHits = migrated.extensions["pathhits"]
    days, tally = (MONDAY, MONDAY + timedelta(days=1)), Tally()
    for when in days:
        for one in requests_of(when):
            tally.answered(one.person, one.step, one.step.status, midnight(when).timestamp() + one.moment)
    replay = Replay(migrated)
    assert sum(map(replay.add, days)) == tally.figures["hits", ""] == hits.total()
    assert not tally.surprises
    assert [replay.add(when) for when in days] == [0, 0]
    counted = tally.figures
    assert hits.total("requests") == counted["requests", ""]
    assert {row.path: row.hits for row in hits.top_paths()} == of(counted, "hits of a page")
    assert hits.drops() == of(counted, "dropped")
    assert hits.rule_stats()["refusals"] == of(counted, "refused")
    views = {f"{kind}:{row.item_id}": row.views for kind in KINDS for row in hits.top_items(kind, limit=100)}
    assert views == of(counted, "views")
    searches = (*hits.popular_searches(limit=100), *hits.failed_searches(limit=100))
    assert {row.query: row.searches for row in searches} == of(counted, "searches")
    for dimension in (*DIMENSIONS, *CAMPAIGN):
        assert {row.value: row.hits for row in hits.top_values(dimension, limit=100)} == of(counted, dimension)
    for name in ("likes", "downloads", "recommendation_clicks"):
        told = {item.partition(":")[2]: n for item, n in of(counted, name).items()}
        assert {slug: int(found[name]) for slug, found in hits.counters("product", told, [name]).items()} == told
    assert hits.visits().visits > sum(visitors_by_day(hits)), "some came twice a day"
    assert min(visitors_by_day(hits)) > 50
    report = hits.verify()
    assert report.ok, report
    assert hits.pending.live() == [], "nothing of it went through Redis"
    assert not hits.guard.failures


def of(counted: Counter[tuple[str, str]], what: str) -> dict[str, int]:
    """The numbers of one kind by what they are of."""
    return {subject: n for (kind, subject), n in counted.items() if kind == what}


def visitors_by_day(hits: PathHits) -> list[int]:
    """The visitors of each of the two days."""
    points = hits.series("visitors", midnight(MONDAY), midnight(MONDAY) + timedelta(days=2), by="day")
    return [point.value for point in points]


def test_the_command_fills_the_days_that_are_free_makes_items_hot_and_cool_and_adds_nothing_twice(
    shop: Flask, hits: PathHits, visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "create_app", lambda: shop)
    assert run("--days", "3").startswith("3 days of the past were added")
    assert any(hits.also_viewed("product", product["slug"]) for product in PRODUCTS)
    before = hits.total()
    assert run("--days", "3").startswith("0 days of the past were added")
    heard = list[Event]()
    hits.on("*", name="heard")(heard.append)
    hits.prepare_worker()
    assert run("--days", "4").startswith("1 days of the past were added")
    assert hits.total() > before
    assert hits.deliver().done == 0
    assert not heard, "what is made up is no news, for a worker that runs neither"
    visitor.get("/")
    assert hits.flush(10)
    hits.sync()
    assert run("--first").startswith("0 days of the past were added")
    today = midnight(datetime.now(UTC).date())
    (seen,) = hits.series("hits", today, today + timedelta(days=1), by="day")
    assert seen.value == 1, "today is real"
    assert hits.verify().ok


def run(*words: str) -> str:
    """What the command prints."""
    parser, printed = ArgumentParser(), StringIO()
    history.add_arguments(parser)
    assert history.run(parser.parse_args(words), Console(file=printed, width=120)) == 0
    return printed.getvalue().strip().splitlines()[-1]


def test_items_become_hot_and_cool_on_the_days_on_which_they_do(
    make_shop: Callable[..., Flask], redis_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_shop(redis_url, sqlite_url, hot_at=60, cold_below=30)
    release(shop)
    hits: PathHits = shop.extensions["pathhits"]
    monkeypatch.setattr(history, "create_app", lambda: shop)
    run("--days", "30")
    with hits.engine.connect() as connection:
        changes = connection.execute(select(tables.hot_changes.c.moment, tables.hot_changes.c.is_hot)).all()
    assert {change.is_hot for change in changes} == {0, 1}
    assert len({change.moment for change in changes}) > 5, "on days of their own"
    # Some, and most are not: how many depends on the day on which the past ends.
    assert 0 < len(hits.hot_items("product", 100)) < len(PRODUCTS) / 2
    assert hits.verify().ok


def test_a_first_past_that_was_killed_anywhere_is_completed_and_nothing_of_it_counts_twice(
    make_shop: Callable[..., Flask],
    redis_url: str,
    database_url: str,
    start_process: Callable[..., Process],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = make_shop(redis_url, database_url)
    release(shop)
    env = {**os.environ, "REDIS_URL": redis_url, "DATABASE_URL": database_url}
    process = start_process([sys.executable, "-m", "tests.faults.past", "8"], env=env)
    assert process.wait(120) == 0, process.output()
    died = [line.removeprefix("died ") for line in process.output().splitlines() if line.startswith("died ")]
    assert died == list(POINTS), process.output()
    monkeypatch.setattr(history, "create_app", lambda: shop)
    left = run("--first", "--days", "8")
    assert not left.startswith("0 days")
    today = midnight(datetime.now(UTC).date())
    hits: PathHits = shop.extensions["pathhits"]
    made = hits.series("requests", today - timedelta(days=8), today, by="day")
    assert [point.value for point in made] == [len(requests_of(point.start.date())) for point in made]
    assert hits.verify().ok
    assert run("--first", "--days", "8").startswith("0 days")
    with shop.app_context():
        assert not db.session.scalars(select(Past)).all()
        assert db.session.scalar(select(func.max(Product.popularity)))
