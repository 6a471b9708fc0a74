"""A visitor's and an admin's whole way through the demo in a real browser; page, dashboard and command line agree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.acceptance.dashboard.shown import listed, value
from tests.acceptance.demos import Demo
from tests.servers.chromium import USER_AGENT
from tests.servers.processes import wait_until

# The whole demo and a browser; the worker is waited for several times.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # some twenty commands, each a process

JUG = "/products/stoneware-jug"
SYNC_S = 60.0
#: What the addresses that are walked count under.
LABELS = {
    r"/": "home",
    r"/search": "search",
    r"/products/[^/]+": "product_detail",
    r"/products/[^/]+/sheet": "sheet",
    r"/admin/products/[^/]+": "admin_edit",
    r"/(sign-in|watchlist|history|admin)": "",
}


class Person:
    """Someone with a browser of their own in front of the shop."""

    def __init__(self, browser: Browser, demo: Demo, walked: Counter[str], password: str = "", name: str = "") -> None:
        self.page: Page = browser.new_context(
            base_url=f"http://127.0.0.1:{demo.port}", user_agent=f"{USER_AGENT} {name}", accept_downloads=True
        ).new_page()
        self.page.on("response", lambda response: walked.update(_label(response)))
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
    walked = Counter[str]()
    anna = Person(browser, demo, walked, passwords["anna"], "anna")
    _look_around(anna.page)
    _like_rate_and_watch(anna.page)
    _fetch_the_data_sheet(anna.page)

    guest = Person(browser, demo, walked)
    guest.page.goto(JUG)
    guest.page.get_by_role("button", name="Like").click()
    expect(guest.page.get_by_role("button", name="Liked: take it back")).to_be_visible()
    guest.page.get_by_role("link", name="Long planter").click()
    expect(guest.page.get_by_role("heading", level=1)).to_have_text("Long planter")

    wait_until(lambda: demo.cli("item", "product", "stoneware-jug")["stored"] == 2, SYNC_S, "both views are in SQL")
    # What came after the guest's view may come later than that.
    wanted = {"likes": 1, "downloads": 1, "ratings": 1, "rating_sum": 2, "watchlist": 1}
    wait_until(lambda: wanted.items() <= _counters(demo, "stoneware-jug").items(), SYNC_S, f"the jug has {wanted}")
    clicked = {"recommendation_clicks": 1}
    wait_until(lambda: clicked.items() <= _counters(demo, "long-planter").items(), SYNC_S, "the click is counted")
    # Anna's reload, and each page that a form of hers led back to; and the guest's one.
    assert demo.cli("sync", "--stats")["stats"]["rules"]["refusals"]["product:cooldown"] >= 2
    wait_until(lambda: anna.sees("/history", "fetched"), SYNC_S, "the worker has written the history")
    assert guest.sees(JUG, "This product has been viewed 2 times.")
    assert guest.sees(JUG, "2.0 of 5, 1 rating")

    admin = Person(browser, demo, walked, passwords["admin"], "admin")
    _edit(admin.page)
    assert guest.sees("/search?q=pitcher", "1 thing for “pitcher”")
    _feature(admin.page)
    assert guest.sees("/", "To give away")
    mails = demo.folder / "mails.txt"
    wait_until(lambda: mails.exists() and "stoneware-jug" in mails.read_text(), SYNC_S, "the mail was sent")
    wait_until(lambda: admin.sees("/admin", "unicorn 1 search"), SYNC_S, "the searches are known")
    admin.page.get_by_role("link", name="Open the dashboard").click()
    expect(admin.page).to_have_url(re.compile(r"/_pathhits/"))
    _pages_agree(admin.page, demo, walked)
    _products_agree(admin.page, demo)
    _searches_agree(admin.page, demo)


def _counters(demo: Demo, slug: str) -> dict[str, int]:
    return dict(demo.cli("item", "product", slug)["counters"])


def _label(response: Response) -> list[str]:
    """What a response that the browser got makes a hit of, as far as it knows: none, or one."""
    path = urlsplit(response.url).path
    if response.request.method != "GET" or response.status != 200 or response.request.resource_type != "document":
        return []
    return [label or path[1:].replace("-", "_") for known, label in LABELS.items() if re.fullmatch(known, path)]


def _pages_agree(page: Page, demo: Demo, walked: Counter[str]) -> None:
    """The pages that the browsers were shown are the hits of the command line, and of the dashboard."""

    def hits() -> dict[str, int]:
        return {row["path"]: row["hits"] for row in demo.cli("top", "--limit", "100")}

    wait_until(lambda: hits().get("admin") == walked["admin"], SYNC_S, "the last page is counted")
    assert hits() == walked
    page.goto("/_pathhits/paths")
    assert _numbers(page, "Paths") == walked
    page.goto("/_pathhits/")
    assert int(value(page, "hits")) == walked.total() == demo.cli("stats")["hits"]
    assert int(value(page, "visitors")) == 3


def _products_agree(page: Page, demo: Demo) -> None:
    """Three have viewed the jug, one of them the planter; what they did with it is on its page of the dashboard."""
    page.goto("/_pathhits/items?type=product")
    views = {row["item_id"]: row["views"] for row in demo.cli("top", "--items", "product")}
    assert _numbers(page, "Items") == views == {"stoneware-jug": 3, "long-planter": 1}
    page.goto("/_pathhits/item?type=product&id=stoneware-jug")
    assert int(value(page, "views")) == demo.cli("item", "product", "stoneware-jug")["views"]
    rows = page.locator("section[aria-labelledby=counters] tbody tr").all_inner_texts()
    shown = {name.replace(" ", "_"): int(number) for name, number in (row.split("\t") for row in rows)}
    told = demo.cli("item", "product", "stoneware-jug")["counters"]
    assert {name: n for name, n in shown.items() if n} == {name: n for name, n in told.items() if n}
    assert shown["likes"] == shown["downloads"] == 1


def _searches_agree(page: Page, demo: Demo) -> None:
    """Each search was made once, one of them in vain."""
    page.goto("/_pathhits/searches")
    told = {row["query"]: row["searches"] for row in demo.cli("searches")}
    assert _numbers(page, "Searches") == told == {"stoneware jug": 1, "pitcher": 1}
    assert [row["query"] for row in demo.cli("searches", "--failed")] == ["unicorn"]
    page.goto("/_pathhits/")
    assert "unicorn" in page.content()


def _numbers(page: Page, heading: str) -> dict[str, int]:
    """The rows of a list of the dashboard."""
    return {label: int(number.replace(",", "")) for label, number in listed(page, heading)}


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
