"""The dashboard in a real browser: what a person does on it, with the mouse, with the keyboard, and without script."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from playwright.sync_api import Page, expect
from sqlalchemy import text

from pathhits.dashboard.rendering import has_static
from tests.acceptance.dashboard.shown import (
    HOSTILE,
    Open,
    Site,
    a_site,
    asked,
    course,
    listed,
    needs_chart,
    settled,
    value,
)
from tests.integration.dashboard.reader import PASSWORD
from tests.servers.chromium import USER_AGENT

# A browser, and pages that are looked at.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dashboard")]


def test_one_logs_in_and_out(open_page: Open, full: Site) -> None:
    page = open_page(full, login=False)
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_label("Password").fill("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That is not the password.")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".figure")).to_have_count(5)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_the_figures_are_those_of_sql(open_page: Open, full: Site) -> None:
    page = open_page(full, "/?range=90d&tz=UTC&compare=0")
    with full.hits.engine.connect() as connection:
        hits = connection.execute(text("SELECT sum(hit_count) FROM path_counters")).scalar_one()
        by_path = connection.execute(text("SELECT path, hit_count FROM path_counters ORDER BY 2 DESC LIMIT 10")).all()
    assert value(page, "hits") == f"{hits:,}"
    rows = page.locator("#cards section", has=page.get_by_role("heading", name="Paths")).locator("tbody tr")
    shown = [row.locator("td.n").inner_text().splitlines()[-1] for row in rows.all()]
    assert shown == [f"{n:,}" for _, n in by_path]


def test_the_range_changes_the_page_and_its_url(open_page: Open, full: Site) -> None:
    page = open_page(full)
    month = value(page, "hits")
    page.locator(".menu summary").first.click()
    page.get_by_role("link", name="Last 7 days").click()
    page.wait_for_url(re.compile("range=7d"))
    expect(page.locator(".menu summary").first).to_contain_text("Last 7 days")
    assert value(page, "hits") != month
    page.locator(".menu summary").first.click()
    page.get_by_label("From").fill("2026-11-01")
    page.get_by_label("To").fill("2026-11-03")
    page.get_by_role("button", name="Show").first.click()
    page.wait_for_url(re.compile("since=2026-11-01"))
    page.wait_for_url(re.compile("until=2026-11-03"))


def test_a_click_filters_and_the_chip_takes_it_away(open_page: Open, full: Site) -> None:
    page = open_page(full, "/?range=90d")
    page.get_by_role("link", name="about", exact=True).click()
    page.wait_for_url(re.compile("path=about"))
    assert int(value(page, "hits").replace(",", "")) == full.hits.hit_count("about")
    expect(page.locator(".figure")).to_have_count(2)
    page.get_by_role("link", name="remove this filter").click()
    page.wait_for_url(lambda url: "path=" not in url)
    expect(page.locator(".figure")).to_have_count(5)


def test_countries_are_a_card_of_their_own_where_there_is_a_database_of_them(
    open_page: Open, full: Site, dashboard_redis: str, tmp_path: Path
) -> None:
    database = tmp_path / "countries.mmdb"
    writer = MMDBWriter(4, "Test-Country")
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"country": {"iso_code": "DE"}})
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"country": {"iso_code": "FR"}})
    writer.to_db_file(str(database))
    with a_site(dashboard_redis, tmp_path, "countries", geoip_path=str(database), trusted_proxies=1) as site:
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.2", "198.51.100.1", "203.0.113.1"):
            site.client.get("/", headers={"User-Agent": USER_AGENT, "X-Forwarded-For": address})
        site.hits.flush()
        site.hits.sync(force=True)
        page = open_page(site, "/?range=today&tz=UTC")
        assert listed(page, "Countries") == [("DE", "3"), ("(unknown)", "1"), ("FR", "1")]
        page.get_by_role("link", name="DE", exact=True).click()
        page.wait_for_url(re.compile("country=DE"))
        assert value(page, "hits") == "3"
    page = open_page(full)
    assert listed(page, "Browsers")
    expect(page.get_by_role("heading", name="Countries")).to_have_count(0)


def test_an_item_opens_and_tells_what_is_known(open_page: Open, full: Site) -> None:
    page = open_page(full)
    page.get_by_role("link", name="jug", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("jug")
    assert value(page, "views") == f"{full.hits.view_count('product', 'jug'):,}"
    expect(page.get_by_role("row", name="likes")).to_contain_text("3")


def zoom(page: Page) -> None:
    """Draw over a part of the chart."""
    box = page.locator("#plot")
    box.hover(position={"x": 200, "y": 100})
    page.mouse.down()
    box.hover(position={"x": 500, "y": 100})
    page.mouse.up()
    expect(page.get_by_role("button", name="Whole period")).to_be_visible()


def test_the_chart_reads_out_and_zooms(open_page: Open, full: Site) -> None:
    needs_chart()
    page = open_page(full, "/?compare=0")
    box = page.locator("#plot[data-drawn]")
    expect(box.locator("canvas")).to_be_visible()
    assert box.bounding_box()["height"] == 280  # type: ignore[index]
    box.hover(position={"x": 200, "y": 100})
    expect(box.locator(".tip")).to_contain_text(re.compile(r"\d{4}"))
    zoom(page)
    page.get_by_role("button", name="Whole period").click()
    expect(page.get_by_role("button", name="Whole period")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(box.locator("p.sr")).to_contain_text(":")
    page.get_by_text("Show as table").click()
    rows = page.locator(".as-table tbody tr")
    data = json.loads(box.get_attribute("data-points") or "")
    shown = [row.locator("td.n").inner_text() for row in rows.all()]
    assert shown == [f"{n:,}" for n in data["values"] if n is not None]
    assert sum(data["values"][:30]) == int(value(page, "hits").replace(",", ""))


def test_what_somebody_looks_at_stays_while_the_numbers_become_newer(open_page: Open, full: Site) -> None:
    page = open_page(full, "/?range=7d&tz=UTC&compare=0")
    page.clock.install()
    page.reload()
    settled(page)
    page.get_by_text("Show as table").click()
    page.locator("label", has_text="Systems").click()
    page.get_by_role("heading", level=1).click()
    drawn = has_static("vendor/uPlot.js")
    if drawn:
        zoom(page)
        page.locator("#plot").hover(position={"x": 400, "y": 100})
        tip = page.locator("#plot .tip").inner_text()
    before = int(value(page, "hits").replace(",", ""))
    full.hits.track_hit("/page/59")
    assert full.hits.flush()
    page.clock.run_for(31_000)
    expect(page.locator(".figure .value .sr").first).to_contain_text(f"{before + 1:,} ")
    assert sum(int(number.replace(",", "")) for _, number in course(page)) == before + 1
    expect(page.get_by_role("radio", name="Systems")).to_be_checked()
    if drawn:
        expect(page.get_by_role("button", name="Whole period")).to_be_visible()
        assert page.locator("#plot .tip").inner_text() == tip


def test_the_theme_changes_at_once_and_is_remembered(open_page: Open, full: Site) -> None:
    page = open_page(full, color_scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark colours").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light, dark) == ("rgb(251, 251, 250)", "rgb(20, 21, 19)")
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    assert 'data-theme="dark"' in page.request.get(full.url + "/").text()


def test_a_dead_delivery_is_retried(open_page: Open, full: Site) -> None:
    hits = full.hits
    moment = time.time()
    for number in range(hits.settings.listener_attempts):
        hits.deliver(datetime.fromtimestamp(moment + 1_000 * (number + 1), UTC))
    assert hits.deliveries.counts()["dead"] == 3
    page = open_page(full, "/health")
    section = page.locator("section", has=page.get_by_role("heading", name="Dead deliveries"))
    expect(section.locator("tbody tr")).to_have_count(3)
    expect(section).to_contain_text("no mail for jug")
    section.get_by_role("button").first.click()
    expect(page.get_by_role("status")).to_have_text("3 are tried again by the worker.")
    expect(section).to_contain_text("None.")
    assert hits.deliveries.counts() == {"due": 3, "dead": 0}


def test_sources_of_the_site_and_of_a_path_and_a_click_on_one_filters(open_page: Open, full: Site) -> None:
    page = open_page(full, "/path?path=home&range=7d&tz=UTC")
    said = {row["value"]: row["hits"] for row in asked(page, full, "values?of=referrer&path=home&range=7d")["rows"]}
    assert said == {"wiki.example": 4, "news.example": 3}
    assert dict(listed(page, "Sources")) == {name: str(n) for name, n in said.items()}
    page.locator("label", has_text="Browsers").click()
    assert listed(page, "Browsers")[0] == ("Chrome", "7")
    page.get_by_role("link", name="wiki.example").click()
    page.wait_for_url(re.compile("referrer=wiki"))
    expect(page.locator(".chip")).to_contain_text("wiki.example")
    assert value(page, "hits") == "4"
    assert listed(page, "Paths") == [("home", "4")]
    page.keyboard.press("x")
    expect(page.locator(".chip")).to_have_count(0)


def test_the_tail_of_events_is_live_and_is_filtered(open_page: Open, full: Site) -> None:
    page = open_page(full, "/events")
    before = page.locator("#tail tbody tr").count()
    page.evaluate("window.same = true")
    full.hits.track("product.downloaded", "mug", properties={"by": "letter"}, user_agent=USER_AGENT)
    assert full.hits.flush()
    full.hits.sync(force=True)
    expect(page.locator("#tail tbody tr")).to_have_count(before + 1, timeout=60_000)
    first = page.locator("#tail tbody tr").first
    expect(first).to_contain_text("product.downloaded")
    expect(first).to_contain_text("by letter")
    assert page.evaluate("window.same")
    first.get_by_role("link", name="product.downloaded").click()
    expect(page.locator("#tail tbody tr")).to_have_count(1)
    expect(page.locator(".chip")).to_contain_text("product.downloaded")
    page.get_by_role("link", name="product mug").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("mug")


def test_searches_and_those_that_found_nothing_have_a_page(open_page: Open, full: Site) -> None:
    page = open_page(full)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Searches").click()
    page.wait_for_url(re.compile("/searches"))
    assert listed(page, "Searches") == [("jug", "2"), ("mug", "1")]
    page.get_by_role("link", name="Found nothing").click()
    page.wait_for_url(re.compile("failed=1"))
    assert listed(page, "Found nothing") == [(HOSTILE[0], "1")]


def test_comparing_is_switched_off_and_the_url_says_so(open_page: Open, full: Site) -> None:
    page = open_page(full, "/?range=7d")
    button = page.get_by_role("button", name="Compare")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".legend .period")).to_have_count(2)
    expect(page.locator(".change").first).not_to_be_empty()
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    page.wait_for_url(re.compile("compare=0"))
    expect(page.locator(".legend")).to_have_count(0)
    expect(page.locator(".change").first).to_be_empty()
    hits = value(page, "hits")
    other = open_page(full, page.url.removeprefix(full.url), timezone_id="America/New_York")
    assert value(other, "hits") == hits
    expect(other.locator(".menu summary").first).to_contain_text("Last 7 days")


def test_hostile_texts_are_texts(open_page: Open, full: Site) -> None:
    for path in ("/?range=90d", "/paths?range=90d", "/events?range=90d", "/item?type=product&id=" + HOSTILE[0]):
        page = open_page(full, path)
        assert page.title().endswith("· pathhits")
        assert page.locator("img").count() == 0
        assert page.locator("main script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page = open_page(full, "/paths?range=90d&search=script")
    expect(page.locator("table.bars tbody")).to_contain_text(HOSTILE[0])


def test_an_empty_site_says_what_to_do_and_fills_by_itself(open_page: Open, empty: Site) -> None:
    page = open_page(empty)
    expect(page.get_by_role("heading", name="No hit has arrived yet")).to_be_visible()
    visitor = page.context.new_page()
    visitor.goto(empty.url.removesuffix("/_pathhits") + "/")
    visitor.close()
    empty.hits.flush()
    expect(page.locator(".figure")).to_have_count(5, timeout=60_000)
    assert value(page, "hits") == "1"


def test_without_script_the_pages_show_and_do_the_same(open_page: Open, full: Site) -> None:
    page = open_page(full, "/?compare=0", java_script_enabled=False)
    expect(page.locator("svg.drawing")).to_be_visible()
    page.locator(".menu summary").first.click()
    page.get_by_role("link", name="This year").click()
    page.wait_for_url(re.compile("range=year"))
    page.get_by_role("button", name="Dark colours").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.wait_for_url(re.compile("range=year"))
