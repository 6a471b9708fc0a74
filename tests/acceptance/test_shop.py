"""A visitor's and an admin's whole way through the demo in a real browser; page and command line agree."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.demos import Demo
from tests.servers.chromium import USER_AGENT
from tests.servers.processes import wait_until

# The whole demo and a browser; the worker is waited for several times.
pytestmark = pytest.mark.slow

JUG = "/products/stoneware-jug"
SYNC_S = 60.0


class Person:
    """Someone with a browser of their own in front of the shop."""

    def __init__(self, browser: Browser, demo: Demo, password: str = "", name: str = "") -> None:
        self.page: Page = browser.new_context(
            base_url=f"http://127.0.0.1:{demo.port}", user_agent=f"{USER_AGENT} {name}", accept_downloads=True
        ).new_page()
        if name:
            self.page.goto("/sign-in")
            self.page.get_by_label("Name").fill(name)
            self.page.get_by_label("Password").fill(password)
            self.page.get_by_role("main").get_by_role("button", name="Sign in").click()
            expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def sees(self, path: str, words: str) -> bool:
        """Whether the words are on the page now."""
        self.page.goto(path)
        return words in " ".join(self.page.locator("body").inner_text().split())


def test_a_visitor_and_an_admin_go_their_whole_way_and_the_numbers_are_right(
    start_demo: Callable[[], Demo], browser: Browser
) -> None:
    demo = start_demo()
    passwords = dict(re.findall(r"^(anna|ben|admin) +(\S+)$", demo.process.output(), re.MULTILINE))
    anna = Person(browser, demo, passwords["anna"], "anna")
    _look_around(anna.page)
    _like_rate_and_watch(anna.page)
    _fetch_the_data_sheet(anna.page)

    guest = Person(browser, demo)
    guest.page.goto(JUG)
    guest.page.get_by_role("button", name="Like").click()
    expect(guest.page.get_by_role("button", name="Liked: take it back")).to_be_visible()
    guest.page.get_by_role("link", name="Long planter").click()
    expect(guest.page.get_by_role("heading", level=1)).to_have_text("Long planter")

    wait_until(lambda: demo.cli("item", "product", "stoneware-jug")["stored"] == 2, SYNC_S, "both views are in SQL")
    jug = demo.cli("item", "product", "stoneware-jug")
    wanted = {"likes": 1, "downloads": 1, "ratings": 1, "rating_sum": 2, "watchlist": 1}
    assert {name: jug["counters"].get(name) for name in wanted} == wanted
    assert demo.cli("item", "product", "long-planter")["counters"]["recommendation_clicks"] == 1
    # Anna's reload, and each page that a form of hers led back to; and the guest's one.
    assert demo.cli("sync", "--stats")["stats"]["rules"]["refusals"]["product:cooldown"] >= 2
    wait_until(lambda: anna.sees("/history", "fetched"), SYNC_S, "the worker has written the history")
    assert guest.sees(JUG, "This product has been viewed 2 times.")
    assert guest.sees(JUG, "2.0 of 5, 1 rating")

    admin = Person(browser, demo, passwords["admin"], "admin")
    _edit(admin.page)
    assert guest.sees("/search?q=pitcher", "1 thing for “pitcher”")
    _feature(admin.page)
    assert guest.sees("/", "To give away")
    mails = demo.folder / "mails.txt"
    wait_until(lambda: mails.exists() and "stoneware-jug" in mails.read_text(), SYNC_S, "the mail was sent")
    wait_until(lambda: admin.sees("/admin", "unicorn 1 search"), SYNC_S, "the searches are known")
    admin.page.get_by_role("link", name="Open the dashboard").click()
    expect(admin.page).to_have_url(re.compile(r"/_pathhits/"))
    expect(admin.page.get_by_role("heading", level=1)).to_be_visible()


def _look_around(page: Page) -> None:
    page.goto("/search?q=unicorn")
    expect(page.get_by_text("Nothing was found")).to_be_visible()
    page.get_by_label("Search the shop").fill("stoneware jug")
    page.get_by_label("Search the shop").press("Enter")
    page.get_by_role("link", name="Stoneware jug").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Stoneware jug")
    page.reload()


def _like_rate_and_watch(page: Page) -> None:
    page.get_by_role("button", name="Like").click()
    page.get_by_role("button", name="Liked: take it back").click()
    expect(page.get_by_role("button", name="Like", exact=True)).to_be_visible()
    for stars in ("4 stars", "2 stars"):
        page.get_by_role("button", name=stars).click()
        expect(page.get_by_role("button", name=stars)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Watch").click()
    page.get_by_role("link", name="Watchlist").click()
    page.get_by_role("link", name="Stoneware jug").click()
    expect(page.get_by_role("button", name="Watched: take it off")).to_be_visible()


def _fetch_the_data_sheet(page: Page) -> None:
    with page.expect_download() as download:
        page.get_by_role("link", name="Data sheet").click()
    assert download.value.suggested_filename == "stoneware-jug.txt"


def _edit(page: Page) -> None:
    page.goto(JUG)
    page.get_by_role("link", name="Edit this product").click()
    page.get_by_label("Summary").fill("A pitcher that pours without a drip.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("A pitcher that pours")).to_be_visible()


def _feature(page: Page) -> None:
    page.goto("/admin/products/stoneware-jug")
    page.get_by_label("Shelf").select_option("gifts")
    page.get_by_role("button", name="Set").click()
    expect(page.get_by_role("cell", name="To give away, 2")).to_be_visible()
