"""What pages ask, on each database: compared to plain sums, stored, pending and in between."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pathhits import PathHits
from pathhits.browsing import Row
from pathhits.core.periods import By, bucket_starts, hour_start, runs, to_hour
from pathhits.hits import BOUNCES, DROPS, HITS, REQUESTS, SECONDS, SITE, VIEWS, VISITS, Batch, Delta, Sketch

BERLIN = ZoneInfo("Europe/Berlin")
#: 2026-10-24 00:00 in Berlin: the next day has 25 hours.
SINCE = datetime(2026, 10, 24, tzinfo=BERLIN)
UNTIL = datetime(2026, 10, 27, tzinfo=BERLIN)
FIRST = to_hour(SINCE)
_numbers = itertools.count(1)


@pytest.fixture
def hits(redis_url: str, database_url: str) -> Iterator[PathHits]:
    hits = PathHits(redis_url=redis_url, database_url=database_url, request_deadline=60.0, redis_timeout=10.0)
    hits.migrate()
    yield hits
    hits.close(0.1)


def put(hits: PathHits, deltas: dict[Delta, int], visitors: dict[Sketch, tuple[int, ...]] | None = None) -> None:
    number = next(_numbers)
    added = hits.pending.add(Batch("test", number, f"g{number}", deltas, visitors or {}), "")
    assert (added.status, added.rejected) == ("added", ())


def fill(hits: PathHits) -> Counter[tuple[str, int]]:
    """Hits of 30 labels over 72 hours, two thirds of them stored; what there is by label and hour."""
    truth: Counter[tuple[str, int]] = Counter()
    for part in range(3):
        deltas: Counter[Delta] = Counter()
        for label, hour in itertools.product(range(30), range(FIRST - 2, FIRST + 74)):
            n = (label * 7 + hour * 3 + part) % 4
            if n and hour % (label + 1) == 0:
                deltas[Delta(hour, HITS, f"/page {label:02}")] += n
                deltas[Delta(hour, REQUESTS, "")] += n + 1
                deltas[Delta(hour, DROPS, "bot" if label % 2 else "status")] += 1
                truth[f"/page {label:02}", hour] += n
        put(hits, dict(deltas))
        if part < 2:
            hits.sync()
    return truth


def within(truth: Counter[tuple[str, int]], since: datetime, until: datetime) -> Counter[str]:
    found: Counter[str] = Counter()
    for (label, hour), n in truth.items():
        if to_hour(since, round_up=True) <= hour < to_hour(until, round_up=True):
            found[label] += n
    return found


def test_steps_sum_up_to_what_was_counted_whatever_their_length(hits: PathHits) -> None:
    truth = fill(hits)
    view = hits.browsing.view()
    steps: tuple[By, ...] = ("hour", "day", "week", "month")
    for by in steps:
        starts = bucket_starts(SINCE, UNTIL, by, "Europe/Berlin")
        starts[0] = SINCE
        ends = [*starts[1:], UNTIL]
        expected = [sum(within(truth, start, end).values()) for start, end in zip(starts, ends, strict=True)]
        assert [step.amounts.get(HITS, 0) for step in view.site(starts, UNTIL)] == expected
        one = [within(truth, start, end)["/page 03"] for start, end in zip(starts, ends, strict=True)]
        assert [step.amounts.get(HITS, 0) for step in view.label("/page 03", starts, UNTIL)] == one
        courses = view.courses(["/page 03", "/nobody"], starts, UNTIL)
        assert courses == {"/page 03": one, "/nobody": [0] * len(starts)}


def test_a_label_by_utc_days_is_the_same_from_the_table_of_days(hits: PathHits) -> None:
    truth = fill(hits)
    since, until = datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 26, tzinfo=UTC)
    starts = bucket_starts(since, until, "day", "UTC")
    expected = [within(truth, start, start + timedelta(days=1))["/page 01"] for start in starts]
    assert [step.amounts.get(HITS, 0) for step in hits.browsing.view().label("/page 01", starts, until)] == expected


def test_days_of_a_clock_change_have_23_and_25_hours() -> None:
    for day, length in ((datetime(2026, 3, 29, tzinfo=BERLIN), 23), (datetime(2026, 10, 25, tzinfo=BERLIN), 25)):
        after = day + timedelta(days=1)
        assert len(bucket_starts(day, after, "hour", "Europe/Berlin")) == length
        assert [run[1:] for run in runs([day], after)] == [(length, 1)]
    year = bucket_starts(
        datetime(2026, 1, 1, tzinfo=BERLIN), datetime(2027, 1, 1, tzinfo=BERLIN), "day", "Europe/Berlin"
    )
    found = runs(year, datetime(2027, 1, 1, tzinfo=BERLIN))
    assert [run.width for run in found] == [24, 23, 24, 25, 24]
    assert sum(run.steps for run in found) == 365


@pytest.mark.parametrize("order", ["most", "name"])
def test_pages_of_paths_are_one_list_cut_in_pieces(hits: PathHits, order: str) -> None:
    truth = within(fill(hits), SINCE, UNTIL)
    view = hits.browsing.view()
    by_name = sorted(truth.items())
    expected = sorted(by_name, key=lambda one: -one[1]) if order == "most" else by_name
    found: list[Row] = []
    for page in range(1, 6):
        got = view.paths(SINCE, UNTIL, page=page, limit=7, order="most" if order == "most" else "name")
        assert got.total == len(truth)
        found += got.rows
    assert [(row.name, row.amount) for row in found] == expected


def test_a_search_finds_parts_of_labels_whatever_is_special_to_sql(hits: PathHits) -> None:
    names = ["/100%_off", "/100 off", "/Äpfel", "/a!b", "/other", "/A\\b"]
    put(hits, {Delta(FIRST, HITS, name): 1 for name in names[::2]})
    hits.sync()
    put(hits, {Delta(FIRST, HITS, name): 1 for name in names[1::2]} | {Delta(FIRST, HITS, names[0]): 1})
    view = hits.browsing.view()

    def found(search: str) -> list[str]:
        page = view.paths(SINCE, UNTIL, search=search)
        assert page.total == len(page.rows)
        return [row.name for row in page.rows]

    assert found("%_") == ["/100%_off"]
    assert found("100") == ["/100%_off", "/100 off"]
    assert found("OTHER") == ["/other"]
    assert found("Äpfel") == ["/Äpfel"]
    assert found("a!") == ["/a!b"]
    assert found("\\") == ["/A\\b"]
    assert found("nothing") == []


def test_items_are_listed_by_type_or_all_together(hits: PathHits) -> None:
    seen = {"product:7": 3, "product:a:b": 5, "story:7": 4}
    put(hits, {Delta(FIRST, VIEWS, item): n for item, n in seen.items()})
    hits.sync()
    put(hits, {Delta(FIRST, VIEWS, "story:8"): 1})
    view = hits.browsing.view()
    assert [(row.name, row.amount) for row in view.items("product", SINCE, UNTIL).rows] == [
        ("product:a:b", 5),
        ("product:7", 3),
    ]
    assert [row.name for row in view.items(None, SINCE, UNTIL).rows] == [
        "product:a:b",
        "story:7",
        "product:7",
        "story:8",
    ]
    assert [row.name for row in view.items("product", SINCE, UNTIL, search="prod").rows] == []
    assert [row.name for row in view.items("story", SINCE, UNTIL, search="8").rows] == ["story:8"]


def test_reasons_are_those_of_the_period(hits: PathHits) -> None:
    put(hits, {Delta(FIRST, DROPS, "bot"): 2, Delta(FIRST - 1, DROPS, "bot"): 9, Delta(FIRST, DROPS, "status"): 5})
    hits.sync()
    put(hits, {Delta(FIRST + 1, DROPS, "bot"): 4, Delta(FIRST, DROPS, "cap"): 1})
    assert hits.browsing.view().reasons(SINCE, UNTIL) == {"bot": 6, "status": 5, "cap": 1}
    assert hits.browsing.view().reasons(UNTIL, UNTIL + timedelta(days=1)) == {}


def test_visits_of_items_are_none_of_the_site(hits: PathHits) -> None:
    put(
        hits, {Delta(FIRST, VISITS, ""): 2, Delta(FIRST, VISITS, "product:7"): 5, Delta(FIRST, SECONDS, "product:7"): 9}
    )
    put(hits, {Delta(FIRST, BOUNCES, ""): 1, Delta(FIRST, SECONDS, ""): 30})
    for _ in range(2):
        [step] = hits.browsing.view().site([SINCE], UNTIL)
        assert step.amounts == {VISITS: 2, BOUNCES: 1, SECONDS: 30}
        hits.sync()


def test_a_utc_day_of_visitors_belongs_to_the_period_with_its_noon(hits: PathHits) -> None:
    today = int(datetime.now(UTC).timestamp() // 86_400)
    noon = hour_start(today * 24 + 12)
    put(
        hits,
        {Delta(today * 24, HITS, "/"): 3},
        {Sketch(today, SITE): (1, 2, 3), Sketch(today, "/"): (1, 2), Sketch(today - 1, "/"): (5,)},
    )
    for _ in range(2):
        view = hits.browsing.view()
        hour = timedelta(hours=1)
        assert [step.visitors for step in view.site([noon - hour, noon, noon + hour], noon + 2 * hour)] == [
            None,
            3,
            None,
        ]
        [row] = view.paths(noon - timedelta(days=2), noon + hour).rows
        assert row == Row("/", 3, 3)
        hits.sync()


def test_a_view_made_before_a_sync_counts_nothing_twice(hits: PathHits) -> None:
    put(hits, {Delta(FIRST, HITS, "/"): 3})
    view = hits.browsing.view()
    hits.sync()
    assert view.site([SINCE], UNTIL)[0].amounts[HITS] == 3
    assert [row.amount for row in view.paths(SINCE, UNTIL).rows] == [3]
    assert view.label("/", [SINCE], UNTIL)[0].amounts[HITS] == 3
    assert view.pending_hits() == 0
