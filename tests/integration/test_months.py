"""Lists of long periods are read from months, and say what the days say: whoever writes, rolls or dies meanwhile."""

from __future__ import annotations

import itertools
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, event, select, update

from pathhits import PathHits
from pathhits.core.periods import first_day_of, month_of
from pathhits.hits import HITS, REQUESTS, VIEWS, Batch, Delta
from pathhits.jobs.months import roll
from pathhits.storage.sql import months, tables
from pathhits.storage.sql.months import LARGEST, Months, cover
from tests.faults.roller import POINTS
from tests.integration.conftest import made
from tests.servers.processes import Process

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
TODAY = int(NOW.timestamp()) // 86_400
#: Days that are filled: more than a year, so that there are two of them at least.
DAYS = 430
_numbers = itertools.count(1)
Truth = Counter[tuple[str, str, int]]


@pytest.fixture(autouse=True)
def _today() -> None:
    """The day on which a test runs, which need not be the one on which it was collected."""
    global NOW, TODAY
    NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    TODAY = int(NOW.timestamp()) // 86_400


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0, redis_timeout=10.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


def put(hits: PathHits, counted: Truth, *, stored: bool = True) -> None:
    """Count hits of labels and views of items, by (counter, subject, hour)."""
    deltas: Counter[Delta] = Counter()
    for (counter, subject, hour), n in counted.items():
        deltas[Delta(hour, counter, subject)] += n
        if counter == HITS:
            deltas[Delta(hour, REQUESTS, "")] += n
    number = next(_numbers)
    assert hits.pending.add(Batch("test", number, f"g{number}", dict(deltas), {}), "").rejected == ()
    if stored:
        hits.sync()


def fill(hits: PathHits, seed: int = 1) -> Truth:
    """Hits of 12 labels and views of 12 items on many days up to today."""
    chance, truth = random.Random(seed), Counter[tuple[str, str, int]]()
    for n in range(12):
        for day in chance.sample(range(TODAY - DAYS, TODAY + 1), 60):
            for counter, subject in ((HITS, f"/page {n}"), (VIEWS, f"product:{n}")):
                truth[counter, subject, min(day * 24 + chance.randrange(24), TODAY * 24)] += chance.randrange(1, 9)
    put(hits, truth)
    return truth


def windows() -> list[tuple[datetime, datetime]]:
    """Periods of all lengths, on and off the bounds of days and months, and some that end now."""
    chance = random.Random(2)
    found = []
    for length in (8, 45, 200, 365):
        until = NOW - timedelta(days=chance.randrange(0, DAYS - length), hours=chance.choice((0, 5)))
        found += [(until - timedelta(days=length), until), (NOW - timedelta(days=length), NOW)]
    first = datetime(NOW.year, 1, 1, tzinfo=UTC)
    return [*found, (first - timedelta(days=300), first), (datetime(1971, 1, 1, tzinfo=UTC), NOW)]


def expected(truth: Truth, counter: str, since: datetime, until: datetime) -> list[tuple[str, int]]:
    sums: Counter[str] = Counter()
    first, after = (int(moment.timestamp()) // 3600 for moment in (since, until))
    for (what, subject, hour), n in truth.items():
        if what == counter and first <= hour < after:
            sums[subject] += n
    return sorted(sums.items(), key=lambda one: (-one[1], one[0]))


def check(hits: PathHits, truth: Truth) -> None:
    """That each list of each window is what was counted."""
    view = hits.browsing.view()
    for since, until in windows():
        paths, items = (expected(truth, counter, since, until) for counter in (HITS, VIEWS))
        page = view.paths(since, until, limit=5)
        assert ([(row.name, row.amount) for row in page.rows], page.total) == (paths[:5], len(paths))
        page = view.items(None, since, until, limit=20)
        assert [(row.name, row.amount) for row in page.rows] == items
        page = view.items("product", since, until, limit=20, search="1", order="name")
        assert [(row.name, row.amount) for row in page.rows] == sorted(one for one in items if "1" in one[0][8:])
        assert [(row.path, row.hits) for row in hits.top_paths(since, until, 5)] == paths[:5]
        assert [(f"product:{row.item_id}", row.views) for row in hits.top_items("product", since, until, 5)] == items[
            :5
        ]
        page = view.paths(since, until, limit=3, page=2)
        assert [(row.name, row.amount) for row in page.rows] == paths[3:6]


def asked(hits: PathHits, ask: Callable[[], Any]) -> str:
    """The statements that ``ask`` executes."""
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        found.append(statement)

    event.listen(hits.engine, "before_cursor_execute", note)
    ask()
    event.remove(hits.engine, "before_cursor_execute", note)
    return "\n".join(found)


def marks(hits: PathHits) -> dict[int, int]:
    with hits.engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(select(tables.rolled_months))}


def reads_months(hits: PathHits) -> bool:
    since = NOW - timedelta(days=200)
    text = asked(hits, lambda: hits.browsing.view().paths(since, NOW))
    assert ("pathhits_path_years" in text) == (
        "pathhits_item_years" in asked(hits, lambda: hits.top_items("product", since, NOW))
    )
    return "pathhits_path_years" in text


# Equality.


def test_lists_are_the_same_with_and_without_months(hits: PathHits) -> None:
    truth = fill(hits)
    check(hits, truth)
    assert not reads_months(hits)
    report = hits.roll_months()
    assert report.months == len({month_of(day) for day in range(TODAY - DAYS, TODAY - 2)})
    assert hits.roll_months().months == 0
    assert reads_months(hits)
    check(hits, truth)
    late = Counter({(HITS, "/page 3", TODAY * 24): 5, (VIEWS, "product:3", TODAY * 24 - 30): 5})
    put(hits, late, stored=False)
    check(hits, truth + late)
    assert all(marks(hits).values())
    assert hits.verify().ok


def test_a_late_hit_takes_the_mark_of_its_month_alone_and_is_in_all_lists(hits: PathHits) -> None:
    truth = fill(hits)
    hits.roll_months()
    rolled = marks(hits)
    for late, day in ((HITS, TODAY - 100), (VIEWS, TODAY - 200), (HITS, TODAY - 3)):
        one = Counter({(late, "/page 3" if late == HITS else "product:99", day * 24 + 7): 1_000})
        put(hits, one, stored=False)
        check(hits, truth + one)
        hits.sync()
        truth += one
        assert marks(hits) == rolled | {month_of(day): 0}
        check(hits, truth)
        assert hits.verify().ok
        assert hits.roll_months().months == 1
        assert marks(hits) == rolled
        check(hits, truth)
    assert hits.verify().ok


def test_the_usual_sync_asks_nothing_of_months(hits: PathHits) -> None:
    truth = fill(hits)
    hits.roll_months()
    rolled = marks(hits)
    usual = Counter({(counter, name, hour): 1 for counter, name in ((HITS, "/new"), (VIEWS, "product:new"))
                     for hour in (TODAY * 24, TODAY * 24 - 24)})  # fmt: skip
    assert "rolled_months" not in asked(hits, lambda: put(hits, usual))
    assert marks(hits) == rolled
    check(hits, truth + usual)


def test_an_import_takes_the_marks_of_what_it_adds(hits: PathHits, tmp_path: Path) -> None:
    truth = fill(hits)
    hits.roll_months()
    with closing(made(hits.settings.redis_url, f"sqlite:///{tmp_path / 'b.db'}", namespace="other")) as other:
        other.migrate()
        fill(other)
        hits.import_lines(list(other.export_lines()))
    assert not any(until for month, until in marks(hits).items() if first_day_of(month + 1) < TODAY - 3)
    check(hits, truth + truth)
    hits.roll_months()
    check(hits, truth + truth)
    assert hits.verify().ok


def test_days_too_large_for_sums_stay_days(hits: PathHits) -> None:
    truth = fill(hits)
    put(hits, more := Counter({(HITS, "/page 1", (TODAY - 100) * 24): LARGEST + 1}))
    hits.roll_months()
    assert [month for month, until in marks(hits).items() if not until] == [month_of(TODAY - 100)]
    check(hits, truth + more)


# Meanwhile.


def test_a_mark_that_goes_while_a_list_is_read_has_the_days_read(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = fill(hits)
    hits.roll_months()
    late = Counter({(HITS, "/page 3", (TODAY - 100) * 24): 1_000, (VIEWS, "product:3", (TODAY - 40) * 24): 1_000})
    before, inner = marks(hits), months._marks
    put(hits, late)
    assert before != marks(hits)
    stale = itertools.cycle((True, False))
    monkeypatch.setattr(months, "_marks", lambda ask: before if next(stale) else inner(ask))
    check(hits, truth + late)
    monkeypatch.setattr(months, "_marks", lambda ask: before)
    check(hits, truth + late)


@pytest.mark.parametrize("known", [True, False])
def test_a_late_sync_waits_for_a_roller_and_takes_its_mark(
    hits: PathHits, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    truth = fill(hits)
    day = TODAY - 100
    late = Counter({(HITS, "/page 3", day * 24): 1_000, (VIEWS, "product:3", day * 24): 1_000})
    put(hits, late, stored=False)
    if not known:  # as after the migration
        with hits.engine.begin() as connection:
            connection.execute(delete(tables.rolled_months))
    inner, threads = months._sum_up, list[threading.Thread]()

    def while_it_sums(*given: Any) -> bool:
        found = inner(*given)
        if given[2] == month_of(day) and not threads:
            threads.append(threading.Thread(target=hits.sync))
            threads[0].start()
            threads[0].join(0.3)  # as far as it gets: its last step waits for us
            assert threads[0].is_alive()
        return found

    monkeypatch.setattr(months, "_sum_up", while_it_sums)
    hits.roll_months()
    threads[0].join(120)
    assert marks(hits)[month_of(day)] == 0
    check(hits, truth + late)
    assert hits.verify().ok


def test_two_rollers_at_once_roll_each_month_once(hits: PathHits) -> None:
    truth = fill(hits)
    reports: list[int] = []
    start = threading.Barrier(2)

    def run() -> None:
        start.wait(60)
        reports.append(roll(Months(hits.engine)).months)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sum(reports) == len(marks(hits)) == len({month_of(day) for day in range(TODAY - DAYS, TODAY - 2)})
    check(hits, truth)
    assert hits.verify().ok


def test_a_roller_that_dies_anywhere_leaves_lists_that_are_right(
    hits: PathHits, redis_url: str, database_url: str, start_process: Callable[..., Process]
) -> None:
    truth = fill(hits)
    environment = {"REDIS_URL": redis_url, "DATABASE_URL": database_url}
    process = start_process([sys.executable, "-m", "tests.faults.roller", NOW.isoformat()], env=environment)
    assert process.wait(120) == 0, process.output()
    died = [line.removeprefix("died ") for line in process.output().splitlines() if line.startswith("died ")]
    assert died == list(POINTS), process.output()
    check(hits, truth)
    assert hits.verify().ok
    hits.roll_months()
    assert all(marks(hits).values())
    check(hits, truth)
    assert hits.verify().ok


def test_verify_finds_a_month_that_differs(hits: PathHits) -> None:
    fill(hits)
    hits.roll_months()
    for table, name in ((tables.path_years, "path_counters"), (tables.item_years, "pathhits_items")):
        with hits.engine.begin() as connection:
            connection.execute(update(table).values(m3=table.c.m3 + 1))
        differing = [check.name for check in hits.verify().checks if not check.holds]
        assert f"months of {name} = their days" in differing


# Which days are read how.

_days = st.integers(min_value=10_000, max_value=10_000 + 1_500)


@given(first=_days | st.none(), after=_days | st.none(), chance=st.randoms(use_true_random=False))
def test_months_and_gaps_are_the_days_of_a_window_each_once(first: Any, after: Any, chance: random.Random) -> None:
    rolled = {}
    for month in range(month_of(9_990), month_of(11_600)):
        if chance.random() < 0.7:
            rolled[month] = first_day_of(month + 1) - (chance.randrange(28) if chance.random() < 0.3 else 0)
    least = chance.choice((1, 10, 40))
    found = cover(first, after, rolled, least)
    low, high = 9_000, 12_500
    days: Counter[int] = Counter()
    for gap in found.gaps:
        days.update(range(low if gap.first is None else gap.first, high if gap.after is None else gap.after))
    for year, numbers in found.months.items():
        for number in numbers:
            month = (year - 1970) * 12 + number - 1
            days.update(range(first_day_of(month), rolled[month]))
        held = [first_day_of((year - 1970) * 12 + n - 1) for n in numbers]
        assert sum(rolled[month_of(day)] - day for day in held) >= least
    assert days == Counter(range(low if first is None else first, high if after is None else after))
    assert len(found.marks) == sum(map(len, found.months.values()))
