"""How the dashboard looks in a real browser: nothing overflows or moves, axe finds nothing, paper is white."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.dashboard.shown import HOSTILE, Open, Site, needs_chart, settled, value
from tests.servers.processes import in_ci

# A browser, and pages that are looked at.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dashboard")]

ROOT = Path(__file__).resolve().parents[3]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
#: Pages with their parameters; each is looked at by axe.
EVERY = (
    "/", "/?path=home", "/?metric=bounce_rate&range=7d", "/paths", "/path?path=home", "/items",
    "/item?type=product&id=jug", "/hot", "/events", "/drops", "/values?of=browser", "/searches",
    "/health", "/meaning", "/values?of=referrer&path=home", "/paths?search=zebra", "/login", "/nothing", "/?tz=Nowhere",
)  # fmt: skip


@pytest.mark.parametrize(
    ("which", "width", "scheme"),
    [("full", 1280, "light"), ("full", 360, "dark"), ("empty", 360, "light")],
)
def test_no_page_overflows_and_axe_finds_nothing_serious(
    request: pytest.FixtureRequest, open_page: Open, which: str, width: int, scheme: str
) -> None:
    if not AXE.exists():
        pytest.fail("make assets brings axe-core") if in_ci() else pytest.skip("npm brought no axe-core")
    site: Site = request.getfixturevalue(which)
    # Axe adds styles to read colours by, which our policy would refuse.
    page = open_page(site, viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    found = {}
    for path in EVERY:
        page.goto(site.url + path)
        settled(page)
        page.add_script_tag(path=AXE)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [
            (one["id"], one["nodes"][0]["html"][:200])
            for one in result["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        if serious or _overflow(page) > 0:
            found[path] = (serious, _overflow(page))
    assert found == {}


@pytest.mark.parametrize(("width", "scheme"), [(800, "dark"), (320, "light")])
def test_no_page_is_wider_than_its_window(open_page: Open, full: Site, width: int, scheme: str) -> None:
    page = open_page(full, viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=False)
    for path in EVERY:
        page.goto(full.url + path)
        assert _overflow(page) <= 0, path


def _overflow(page: Page) -> int:
    """Pixels by which a page is wider than its window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return wide


def test_paper_is_white_and_has_the_drawing_of_the_chart(open_page: Open, full: Site) -> None:
    needs_chart()
    page = open_page(full, color_scheme="dark", viewport={"width": 720, "height": 1000})
    expect(page.locator(".drawing")).to_be_hidden()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.locator(".drawing")).to_be_visible()
    for gone in (".uplot", ".head nav", ".tools", ".controls .menu", "#cards .all"):
        expect(page.locator(gone).first).to_be_hidden()
    expect(page.locator(".figure")).to_have_count(5)
    assert value(page, "hits") != "0"
    assert _overflow(page) <= 0


def test_nothing_moves_when_the_script_draws_the_chart(open_page: Open, full: Site) -> None:
    needs_chart()
    places = "all => all.map(one => JSON.stringify(one.getBoundingClientRect()))"
    pages = [open_page(full, "/?tz=UTC", java_script_enabled=way) for way in (False, True)]
    expect(pages[1].locator("#plot[data-drawn]")).to_be_visible()
    without, drawn = (page.locator(".card, h1, .foot").evaluate_all(places) for page in pages)
    assert without == drawn
    assert len(drawn) > 10


@pytest.mark.parametrize("width", [1280, 360])
def test_a_long_path_shows_both_its_ends(open_page: Open, full: Site, width: int) -> None:
    page = open_page(full, "/paths?range=90d&search=onerror", viewport={"width": width, "height": 800})
    link = page.locator("table.bars a").first
    assert link.locator(".front").inner_text() + link.locator(".back").inner_text() == HOSTILE[1]
    inside, whole = (one.bounding_box() for one in (link.locator(".back"), link))
    assert inside is not None
    assert whole is not None
    assert inside["width"] > 60
    assert inside["x"] + inside["width"] <= whole["x"] + whole["width"] + 1


def test_a_phone_shows_all_of_health_without_being_pushed_aside(open_page: Open, full: Site) -> None:
    page = open_page(full, "/health", viewport={"width": 360, "height": 740})
    hidden = """all => all.filter(one => one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight)
      .map(one => one.innerText)"""
    assert page.locator(".scroll").count() > 0
    assert page.locator(".scroll").evaluate_all(hidden) == []


def test_the_first_page_is_small(open_page: Open, full: Site) -> None:
    page = open_page(full)
    sent = [page.request.get(full.url + "/").body()]
    static = ROOT / "pathhits" / "dashboard" / "static"
    sent += [file.read_bytes() for file in static.rglob("*") if file.is_file()]
    assert sum(len(gzip.compress(one)) for one in sent) < 120_000
