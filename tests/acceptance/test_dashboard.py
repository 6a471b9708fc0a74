"""The dashboard in a real browser: what a person does on it, with the mouse, with the keyboard, and without script."""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from sqlalchemy import text
from werkzeug.serving import make_server

from pathhits import Event, PathHits, Rules
from pathhits.dashboard.rendering import has_static
from tests.conftest import present
from tests.integration.dashboard.filling import fill
from tests.integration.dashboard.reader import PASSWORD
from tests.servers.chromium import USER_AGENT
from tests.servers.processes import ServerMissing, in_ci

# A browser, and pages that are looked at.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dashboard")]

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "/\u202egnp.exe",
    "=cmd|' /C calc'!A0",
    "/" + "a very long path " * 600,
)
PATHS = ("home", "product", "about", *HOSTILE, *(f"/page/{number}" for number in range(60)))
ITEMS = ("product:jug", "product:mug", *(f"product:item-{number}" for number in range(20)))
#: Pages with their parameters; each is looked at by axe.
EVERY = (
    "/", "/?path=home", "/?metric=bounce_rate&range=7d", "/paths", "/path?path=home", "/items",
    "/item?type=product&id=jug", "/hot", "/events", "/drops", "/values?of=browser", "/searches",
    "/health", "/meaning", "/nothing", "/?tz=Nowhere",
)  # fmt: skip


class Site:
    """A site with a dashboard on a port of its own."""

    def __init__(self, hits: PathHits) -> None:
        self.hits = hits
        app = Flask("shop")
        app.add_url_rule("/", "home", lambda: "<!doctype html><link rel=icon href='data:,'><p>Shop")
        hits.register_item("product", rules=Rules.none())
        hits.init_app(app, dashboard="/_pathhits")
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.port}/_pathhits"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        #: Of somebody who has logged in.
        self.cookies: list[Any] = []

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
        self.hits.close(1.0)


def a_site(redis_url: str, folder: Path, name: str) -> Site:
    """A site of a namespace of its own."""
    hits = PathHits(
        redis_url=redis_url,
        database_url=f"sqlite:///{folder / name}.db",
        namespace=name,
        dashboard_password=PASSWORD,
        flush_interval=3600,
        request_deadline=60.0,
    )
    hits.migrate()
    return Site(hits)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with present(), sync_playwright() as playwright:
        program = Path("/usr/bin/chromium")
        if not program.exists():
            raise ServerMissing("chromium")
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def module_redis(redis_server: Any) -> str:
    url: str = redis_server.url_of(15)
    return url


@pytest.fixture(scope="module")
def full(module_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with forty days of counts, stored and pending."""
    site = a_site(module_redis, tmp_path_factory.mktemp("full"), "full")
    site.hits.on("product.liked", name="mail")(_fails)
    fill(site.hits, time.time(), days=40, paths=PATHS, items=ITEMS, daily=900)
    site.hits.sync(force=True)
    for number in range(3):
        site.hits.track("product.liked", "jug", properties={"said": HOSTILE[number]}, user_agent=USER_AGENT)
    site.hits.flush()
    site.hits.sync(force=True)
    with site:
        yield site


@pytest.fixture(scope="module")
def empty(module_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that nobody has seen."""
    with a_site(module_redis, tmp_path_factory.mktemp("empty"), "empty") as site:
        yield site


def _fails(event: Event) -> None:
    raise ValueError(f"no mail for {event.item_id}")


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a page of a site as somebody who has logged in; what the browser complains about fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(site: Site, path: str = "/", *, login: bool = True, **options: Any) -> Page:
        options = {"viewport": {"width": 1280, "height": 900}, "timezone_id": "Europe/Berlin", **options}
        context = browser.new_context(user_agent=USER_AGENT, **options)
        contexts.append(context)
        page = context.new_page()
        if login and site.cookies:
            context.add_cookies(site.cookies)
        elif login:
            page.goto(site.url + path)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_load_state("networkidle")
            site.cookies = [one for one in context.cookies() if one["name"] == "pathhits_session"]
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.extend([said.text] if is_complaint(said) else []))
        page.on("request", lambda asks: complaints.extend([] if asks.url.startswith(site.url) else [asks.url]))
        page.goto(site.url + path)
        page.wait_for_load_state("networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def is_complaint(said: ConsoleMessage) -> bool:
    """Whether the browser finds fault with a page; a status that is meant is none."""
    return said.type == "error" and "the server responded with a status of" not in said.text


def value(page: Page, key: str) -> str:
    """A figure as it is read to somebody who does not see."""
    name = page.locator(".figure", has=page.locator(f"a.name[href$='#{key}']"))
    return str(name.locator(".value .sr").inner_text()).split(" ")[0]


def asked(page: Page, site: Site, path: str) -> Any:
    """What the API says."""
    answer = page.request.get(f"{site.url}/api/v1/{path}")
    assert answer.ok, answer.text()
    return answer.json()


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
    assert "range=7d" in page.url
    expect(page.locator(".menu summary").first).to_contain_text("Last 7 days")
    assert value(page, "hits") != month
    page.locator(".menu summary").first.click()
    page.get_by_label("From").fill("2026-11-01")
    page.get_by_label("To").fill("2026-11-03")
    page.get_by_role("button", name="Show").first.click()
    assert "since=2026-11-01" in page.url
    assert "until=2026-11-03" in page.url


def test_a_click_filters_and_the_chip_takes_it_away(open_page: Open, full: Site) -> None:
    page = open_page(full, "/?range=90d")
    page.get_by_role("link", name="about", exact=True).click()
    assert "path=about" in page.url
    assert int(value(page, "hits").replace(",", "")) == full.hits.hit_count("about")
    expect(page.locator(".figure")).to_have_count(2)
    page.get_by_role("link", name="remove this filter").click()
    assert "path=" not in page.url
    expect(page.locator(".figure")).to_have_count(5)


def test_an_item_opens_and_tells_what_is_known(open_page: Open, full: Site) -> None:
    page = open_page(full)
    page.get_by_role("link", name="jug", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("jug")
    assert value(page, "views") == f"{full.hits.view_count('product', 'jug'):,}"
    expect(page.get_by_role("row", name="likes")).to_contain_text("3")


def test_the_chart_reads_out_and_zooms(open_page: Open, full: Site) -> None:
    if not has_static("vendor/uPlot.js"):
        pytest.fail("make assets brings uPlot") if in_ci() else pytest.skip("npm brought no uPlot")
    page = open_page(full, "/?compare=0")
    box = page.locator("#plot[data-drawn]")
    expect(box.locator("canvas")).to_be_visible()
    assert box.bounding_box()["height"] == 280  # type: ignore[index]
    box.hover(position={"x": 200, "y": 100})
    expect(box.locator(".tip")).to_contain_text(re.compile(r"\d{4}"))
    place = box.bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + 200, place["y"] + 100)
    page.mouse.down()
    page.mouse.move(place["x"] + 500, place["y"] + 100, steps=5)
    page.mouse.up()
    expect(page.get_by_role("button", name="Whole period")).to_be_visible()
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


def test_the_theme_changes_at_once_and_is_remembered(open_page: Open, full: Site) -> None:
    page = open_page(full, color_scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark colours").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light, dark) == ("rgb(251, 251, 250)", "rgb(20, 21, 19)")
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    assert 'data-theme="dark"' in page.request.get(full.url + "/").text()


def test_everything_is_done_by_keyboard_alone(open_page: Open, full: Site) -> None:
    page = open_page(full, "/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("w")
    page.wait_for_url(re.compile("range=7d"))
    page.keyboard.press("2")
    page.wait_for_url(re.compile("metric=visitors"))
    page.keyboard.press("c")
    page.wait_for_url(re.compile("compare=0"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("r")
    expect(page.locator(".sheet").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".sheet").first).to_be_hidden()
    focused = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        focused.add(page.evaluate("document.activeElement.textContent.trim().slice(0, 20)"))
    assert {"Overview", "Events", "Drops", "Health", "home", "jug"} <= focused
    page.goto(full.url + "/paths")
    page.keyboard.press("/")
    page.keyboard.type("page/5")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("search=page"))
    expect(page.locator("table.bars tbody tr")).to_have_count(11)


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
    expect(page.locator(".figure")).to_have_count(5, timeout=20_000)
    assert value(page, "hits") == "1"


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_overflows_and_axe_finds_nothing_serious(open_page: Open, full: Site, width: int, scheme: str) -> None:
    if not AXE.exists():
        pytest.fail("make assets brings axe-core") if in_ci() else pytest.skip("npm brought no axe-core")
    # Axe adds styles to read colours by, which our policy would refuse.
    page = open_page(full, viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    found = {}
    for path in EVERY:
        page.goto(full.url + path)
        page.wait_for_load_state("networkidle")
        page.add_script_tag(path=AXE)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [
            (one["id"], one["nodes"][0]["html"][:200])
            for one in result["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if serious or wide > 0:
            found[path] = (serious, wide)
    assert found == {}


def test_without_script_the_pages_show_and_do_the_same(open_page: Open, full: Site) -> None:
    page = open_page(full, "/?compare=0", java_script_enabled=False)
    expect(page.locator("svg.drawing")).to_be_visible()
    page.locator(".menu summary").first.click()
    page.get_by_role("link", name="This year").click()
    assert "range=year" in page.url
    page.get_by_role("button", name="Dark colours").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert "range=year" in page.url


def test_the_first_page_is_small(open_page: Open, full: Site) -> None:
    page = open_page(full)
    sent = [page.request.get(full.url + "/").body()]
    static = ROOT / "pathhits" / "dashboard" / "static"
    sent += [file.read_bytes() for file in static.rglob("*") if file.is_file()]
    assert sum(len(gzip.compress(one)) for one in sent) < 120_000
