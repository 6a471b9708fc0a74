"""Fixtures of the dashboard in a browser: one full and one empty site for all its tests, and the way to open a page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from pathhits import Event
from tests.acceptance.dashboard.shown import HOSTILE, ITEMS, PATHS, Open, Site, a_site, is_complaint, settled
from tests.integration.dashboard.filling import fill
from tests.integration.dashboard.reader import PASSWORD
from tests.servers.chromium import USER_AGENT


@pytest.fixture(scope="session")
def dashboard_redis(redis_server: Any) -> str:
    url: str = redis_server.url_of(0)
    return url


@pytest.fixture(scope="session")
def full(dashboard_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with forty days of counts, stored and pending."""
    site = a_site(dashboard_redis, tmp_path_factory.mktemp("full"), "full")
    site.hits.on("product.liked", name="mail")(_fails)
    fill(site.hits, time.time(), days=40, paths=PATHS, items=ITEMS, daily=900)
    site.hits.sync(force=True)
    for number in range(7):
        headers = {"User-Agent": USER_AGENT, "Referer": f"https://{'news' if number % 2 else 'wiki'}.example/x"}
        site.client.get("/", headers=headers)
    for query, found in (("jug", 3), ("jug", 3), ("mug", 1), (HOSTILE[0], 0)):
        site.hits.track_search(query, result_count=found, user_agent=USER_AGENT)
    for number in range(3):
        site.hits.track("product.liked", "jug", properties={"said": HOSTILE[number]}, user_agent=USER_AGENT)
    site.hits.flush()
    site.hits.sync(force=True)
    with site:
        yield site


@pytest.fixture(scope="session")
def empty(dashboard_redis: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that nobody has seen."""
    with a_site(dashboard_redis, tmp_path_factory.mktemp("empty"), "empty") as site:
        yield site


def _fails(event: Event) -> None:
    raise ValueError(f"no mail for {event.item_id}")


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a page of a site as somebody who has logged in; what the browser complains about fails the test."""
    contexts: list[BrowserContext] = []
    sites: list[Site] = []
    complaints: list[str] = []

    def open_page(site: Site, path: str = "/", *, login: bool = True, knows_zone: bool = True, **options: Any) -> Page:
        options = {"viewport": {"width": 1280, "height": 900}, "timezone_id": "Europe/Berlin", **options}
        context = browser.new_context(**options)
        contexts.append(context)
        if knows_zone:
            # Else a first page is shown twice.
            context.add_cookies([{"name": "pathhits_tz", "value": options["timezone_id"], "url": f"{site.url}/"}])
        page = context.new_page()
        sites.append(site)
        site.pages.append(page)
        if login:
            site.cookies = site.cookies or _logged_in(page, site)
            context.add_cookies(site.cookies)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.extend([said.text] if is_complaint(said) else []))
        page.on("request", lambda asks: complaints.extend([] if asks.url.startswith(site.url) else [asks.url]))
        page.goto(site.url + path)
        if options.get("java_script_enabled", True) and knows_zone:
            settled(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    for site in sites:
        site.pages.clear()
    assert complaints == []


def _logged_in(page: Page, site: Site) -> list[Any]:
    """Log in; the cookies of the session."""
    page.goto(f"{site.url}/meaning")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="What the numbers mean").wait_for()
    return [one for one in page.context.cookies() if one["name"] == "pathhits_session"]
