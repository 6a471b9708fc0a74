"""The numbers on the pages, in a real browser: those of the API and of SQL, of no label and of a hundred thousand."""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import text

from pathhits.hits import DROPS, HITS, REQUESTS, Batch, Delta
from tests.acceptance.dashboard.shown import Open, Site, a_site, asked, course, listed, value
from tests.integration.dashboard.filling import fill

# A browser, and a hundred thousand labels to be stored.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dashboard")]

LABELS = [f"/section-{number % 97}/page-{number:06}" for number in range(100_000)]
YEAR = datetime.now(UTC).year - 1
#: The period of the pages: all that is filled.
ALL = "range=90d&tz=UTC"


@pytest.fixture(scope="module")
def huge(dashboard_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with a hundred thousand labels: some have many hits, each has one of an hour ago."""
    site = a_site(dashboard_redis, tmp_path_factory.mktemp("huge"), "huge")
    items = [f"product:item-{number}" for number in range(3_000)]
    fill(site.hits, time.time(), days=4, paths=LABELS[:2_000], items=items, daily=20_000)
    hour = int(time.time()) // 3600 - 1
    deltas = Counter({Delta(hour, HITS, label): 1 for label in LABELS}) + Counter({Delta(hour, REQUESTS, ""): 100_000})
    site.hits.pending.add(Batch("labels", 1, secrets.token_hex(8), deltas, {}), "")
    site.hits.sync(force=True)
    with site:
        yield site


@pytest.fixture
def nothing(dashboard_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that nobody has seen, nor will see."""
    with a_site(dashboard_redis, tmp_path_factory.mktemp("nothing"), "nothing") as site:
        yield site


def sql(site: Site, statement: str, **given: Any) -> Sequence[Any]:
    """The rows of a statement."""
    with site.hits.engine.connect() as connection:
        return connection.execute(text(statement), given).all()


def number(found: Sequence[Any]) -> str:
    """The one number of a statement as pages have it in full."""
    return f"{found[0][0] or 0:,}"


def rows(found: Sequence[Any]) -> list[tuple[str, str]]:
    """Names and numbers of a statement as pages have them."""
    return [(name, f"{n:,}") for name, n in found]


def test_the_overview_of_a_hundred_thousand_labels_is_the_api_and_sql(open_page: Open, huge: Site) -> None:
    page = open_page(huge, f"/?{ALL}")
    said = asked(page, huge, f"summary?{ALL}")["figures"]
    total = "SELECT sum(total) FROM pathhits_site_hours WHERE counter = :name"
    assert value(page, "hits") == f"{said['hits']:,}" == number(sql(huge, "SELECT sum(hit_count) FROM path_counters"))
    assert value(page, "visits") == f"{said['visits']:,}" == number(sql(huge, total, name="visits"))
    assert (
        value(page, "visitors")
        == f"{said['visitors']:,}"
        == number(sql(huge, "SELECT sum(visitors) FROM pathhits_site_days"))
    )
    assert value(page, "bounce_rate") == f"{said['bounce_rate']:.0%}"
    paths = rows(sql(huge, "SELECT path, hit_count FROM path_counters ORDER BY 2 DESC, 1 LIMIT 10"))
    assert listed(page, "Paths") == paths == rows([tuple(one.values())[:2] for one in _rows(page, huge, "paths")])
    items = rows(sql(huge, "SELECT substr(item, 9), view_count FROM pathhits_items ORDER BY 2 DESC, item LIMIT 10"))
    assert listed(page, "Items") == items
    days = "SELECT hour / 24, sum(hits) FROM pathhits_path_hours GROUP BY 1 ORDER BY 1"
    by_day = [f"{n:,}" for _, n in sql(huge, days)]
    points = asked(page, huge, f"series?{ALL}")["points"]
    assert [n for _, n in course(page)] == [f"{one['hits']:,}" for one in points]
    assert [n for _, n in course(page)][-len(by_day) :] == by_day
    expect(page.get_by_role("link", name="all 100,000")).to_be_visible()
    requests = int(number(sql(huge, total, name="requests")).replace(",", ""))
    assert page.locator("#foot a .sr").inner_text() == f"{requests - said['hits']:,}"


def _rows(page: Any, site: Site, what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked(page, site, f"{what}?{ALL}")["rows"]
    return found


def test_a_hundred_thousand_labels_are_paged_and_searched(open_page: Open, huge: Site) -> None:
    page = open_page(huge, f"/paths?{ALL}&sort=name&page=2000")
    last = "SELECT path, hit_count FROM path_counters ORDER BY 1 LIMIT 50 OFFSET 99950"
    assert listed(page, "Paths") == rows(sql(huge, last))
    expect(page.locator(".pager")).to_contain_text("99,951–100,000 of 100,000")
    page.get_by_role("searchbox").fill("page-0999")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator(".pager")).to_contain_text("1–50 of 100")
    found = "SELECT path, hit_count FROM path_counters WHERE path LIKE '%page-0999%' ORDER BY 1 LIMIT 50"
    assert listed(page, "Paths") == rows(sql(huge, found))
    page.get_by_role("link", name="Next").click()
    page.wait_for_url(re.compile("page=2"))
    assert listed(page, "Paths") == rows(sql(huge, f"{found} OFFSET 50"))


def test_one_of_a_hundred_thousand_labels_has_its_page(open_page: Open, huge: Site) -> None:
    page = open_page(huge, f"/paths?{ALL}")
    page.get_by_role("link", name=f"Open {LABELS[0]}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(LABELS[0])
    hits = number(sql(huge, "SELECT hit_count FROM path_counters WHERE path = :path", path=LABELS[0]))
    assert value(page, "hits") == hits == f"{huge.hits.hit_count(LABELS[0]):,}"
    assert sum(int(n.replace(",", "")) for _, n in course(page)) == int(hits.replace(",", ""))


def test_requests_are_hits_and_reasons_on_the_page_in_the_api_and_in_sql(open_page: Open, huge: Site) -> None:
    page = open_page(huge, f"/drops?{ALL}")
    read = """rows => rows.map(row => [row.querySelector('strong').textContent,
      (row.cells[1].querySelector('.sr') ?? row.cells[1]).textContent.trim()])"""
    shown = dict(page.locator(".reasons tbody tr").evaluate_all(read))
    reasons = "SELECT substr(counter, 7), sum(total) FROM pathhits_site_hours WHERE counter LIKE :like GROUP BY 1"
    stored = dict(rows(sql(huge, reasons, like=f"{DROPS}:%")))
    said = asked(page, huge, f"drops?{ALL}")
    assert shown == stored | {"counted": f"{said['hits']:,}"}
    assert stored == {row["reason"]: f"{row['requests']:,}" for row in said["rows"]}
    widths = page.locator("svg.whole rect").evaluate_all("all => all.map(one => parseFloat(one.getAttribute('width')))")
    assert sum(widths) == pytest.approx(100, abs=0.01)
    assert sum(int(n.replace(",", "")) for n in shown.values()) == said["requests"]


def test_where_there_is_nothing_pages_and_api_say_nothing(open_page: Open, nothing: Site) -> None:
    page = open_page(nothing, f"/?{ALL}")
    expect(page.get_by_role("heading", name="No hit has arrived yet")).to_be_visible()
    expect(page.locator("#now")).to_contain_text("0 visitors here now")
    said = asked(page, nothing, f"summary?{ALL}")["figures"]
    rates = ("bounce_rate", "average_duration", "average_duration_without_bounces")
    assert said == {"hits": 0, "visitors": 0, "visits": 0} | dict.fromkeys(rates)
    assert {one["hits"] for one in asked(page, nothing, f"series?{ALL}")["points"]} == {0}
    for what, path in (("paths", "/paths"), ("items", "/items"), ("searches", "/searches"), ("events", "/events")):
        page.goto(f"{nothing.url}{path}?{ALL}")
        assert asked(page, nothing, f"{what}?{ALL}")["total"] == 0
        expect(page.locator(".top p")).to_contain_text("0 in this period")
        expect(page.locator(".empty")).to_be_visible()
    page.goto(f"{nothing.url}/drops?{ALL}")
    assert asked(page, nothing, f"drops?{ALL}") == {"requests": 0, "hits": 0, "rows": []}
    expect(page.locator(".empty")).to_contain_text("No request was seen")
    page.goto(f"{nothing.url}/item?type=product&id=jug&{ALL}")
    assert value(page, "views") == "0"
    expect(page.get_by_text("Nobody has viewed this item yet")).to_be_visible()
    page.goto(f"{nothing.url}/path?path=/nowhere&{ALL}")
    assert value(page, "hits") == "0"
    expect(page.get_by_text("No hit of this path in this period")).to_be_visible()
    assert sql(nothing, "SELECT count(*) FROM path_counters")[0][0] == 0


def sunday(month: int) -> date:
    """The last Sunday of a month of last year, on which clocks are changed in Berlin in March and October."""
    last = date(YEAR, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)


@pytest.fixture
def night(dashboard_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with seven hits at half past eleven of a summer night in UTC, and one in each hour of two Sundays."""
    site = a_site(dashboard_redis, tmp_path_factory.mktemp("night"), f"night{secrets.token_hex(4)}")
    late = datetime(YEAR, 6, 10, 23, 30, tzinfo=UTC)
    deltas: Counter[Delta] = Counter({Delta(int(late.timestamp()) // 3600, HITS, "home"): 7})
    for day in (sunday(3), sunday(10)):
        first = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) // 3600 - 3
        deltas.update({Delta(hour, HITS, "home"): 1 for hour in range(first, first + 30)})
    deltas.update({Delta(one.hour, REQUESTS, ""): n for one, n in deltas.items()})
    site.hits.pending.add(Batch("night", 1, secrets.token_hex(8), deltas, {}), "")
    with site:
        yield site


@pytest.mark.parametrize("stored", [False, True], ids=["pending", "stored"])
def test_days_are_those_of_the_reader(open_page: Open, night: Site, stored: bool) -> None:
    if stored:
        night.hits.sync(force=True)
    tenth, eleventh = (f"{YEAR}-06-{day}" for day in (10, 11))
    page = open_page(night, f"/?since={eleventh}&until={eleventh}", knows_zone=False)
    expect(page.locator("html")).to_have_attribute("data-tz", "Europe/Berlin")
    assert value(page, "hits") == "7"
    assert [name[-11:] for name, n in course(page) if n == "7"] == ["01:00–02:00"]
    page.goto(f"{night.url}/?since={tenth}&until={tenth}")
    assert value(page, "hits") == "0"
    page.goto(f"{night.url}/?since={tenth}&until={tenth}&tz=UTC")
    assert value(page, "hits") == "7"
    for month, hours in ((3, 23), (10, 25)):
        page.goto(f"{night.url}/?since={sunday(month)}&until={sunday(month)}")
        assert len(course(page)) == hours
        assert value(page, "hits") == str(hours)
        assert len({name for name, _ in course(page)}) == hours


def test_the_zone_one_chose_stays_and_goes_along_with_the_url(open_page: Open, night: Site) -> None:
    page = open_page(night, f"/?since={YEAR}-06-10&until={YEAR}-06-10")
    assert value(page, "hits") == "0"
    page.keyboard.press("z")
    page.get_by_label("Time zone", exact=True).fill("UTC")
    page.keyboard.press("Enter")
    page.wait_for_url("**tz=UTC**")
    assert value(page, "hits") == "7"
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**compare=0**")
    assert value(page, "hits") == "7"
    other = open_page(night, page.url.removeprefix(night.url), timezone_id="Asia/Tokyo")
    assert value(other, "hits") == "7"
    assert other.locator("html").get_attribute("data-tz") == "UTC"
