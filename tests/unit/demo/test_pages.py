"""The shop's pages: what they show, what they count, and what they do when a count cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from demo_app.catalogue import CATEGORIES, PRODUCTS
from demo_app.release import release
from pathhits import PathHits
from tests.servers.redis import RedisServer
from tests.unit.demo.conftest import BROWSER, text, words

PAGES = {
    "/": "home",
    "/products": "products",
    "/products?category=garden": "products",
    "/products/stoneware-jug": "product_detail",
    "/search?q=jug": "search",
    "/workshops": "brands",
    "/workshops/thornwick": "brand",
    "/tags/wood": "tag",
    "/sign-in": "sign_in",
    "/about": "about",
    "/privacy": "privacy",
}


@pytest.mark.parametrize(("path", "label"), PAGES.items())
def test_a_page_is_counted_under_the_name_of_its_route_and_shows_the_count(
    visitor: FlaskClient, hits: PathHits, path: str, label: str
) -> None:
    for _ in range(3):
        visitor.get(path)
    assert hits.flush(10)
    assert "viewed 3 times." in text(visitor, path)
    shown = text(visitor, path)
    assert f"Label {label} The name of the route" in shown
    assert "Counted Stored in SQL 0 Pending in Redis 3" in shown


def test_after_a_sync_the_same_number_is_stored(visitor: FlaskClient, hits: PathHits) -> None:
    visitor.get("/about")
    assert hits.flush(10)
    hits.sync()
    shown = text(visitor, "/about")
    assert "This page has been viewed 1 time." in shown
    assert "Counted Stored in SQL 1 Pending in Redis 0" in shown


def test_a_product_shows_its_own_views_and_a_reload_within_two_minutes_is_a_hit_and_no_view(
    visitor: FlaskClient, hits: PathHits
) -> None:
    for path in ("/products/stoneware-jug", "/products/stoneware-jug", "/products/iron-pan"):
        visitor.get(path)
    visitor.get("/products/stoneware-jug", headers={"User-Agent": f"{BROWSER} another"})
    assert hits.flush(10)
    assert hits.rule_stats()["refusals"] == {"product:cooldown": 1}
    shown = text(visitor, "/products/stoneware-jug")
    assert "This product has been viewed 2 times." in shown
    assert "The product pages together have been viewed 4 times." in shown
    assert "Item product:stoneware-jug Stored in SQL 0 Pending in Redis 2" in shown
    assert "once in 2 minutes, so a reload is not another" in shown
    assert "This product has been viewed 1 time." in text(visitor, "/products/iron-pan")
    hits.sync()
    assert hits.flush(10)
    assert "Item product:stoneware-jug Stored in SQL 2 Pending in Redis 0" in text(visitor, "/products/stoneware-jug")


def test_a_product_shows_its_visitors_its_week_and_how_long_people_stay(visitor: FlaskClient, hits: PathHits) -> None:
    for agent in (BROWSER, f"{BROWSER} another"):
        visitor.get("/products/stoneware-jug", headers={"User-Agent": agent})
    assert hits.flush(10)
    hits.sync()
    shown = text(visitor, "/products/stoneware-jug")
    assert "Visitors 2, each once a day" in shown
    assert "Last 7 days 2 views" in shown
    assert "Average stay –" in shown, "nobody went on to another page"
    assert "Hot" not in shown


def test_a_product_that_many_look_at_is_hot_and_on_the_first_page(visitor: FlaskClient, hits: PathHits) -> None:
    hits.prepare_worker()
    assert "Hot this week" not in text(visitor, "/")
    for n in range(hits.settings.hot_at):
        visitor.get("/products/stoneware-jug", headers={"User-Agent": f"{BROWSER} {n}"})
    assert hits.flush(10)
    hits.sync()
    hits.refresh_items()
    hits.deliver()
    assert "Hot: many are looking at this" in text(visitor, "/products/stoneware-jug")
    home = text(visitor, "/")
    assert "Hot this week Hot Kitchen Stoneware jug" in home, "the card has the badge, of the shop's own column"
    assert home.index("Hot this week") < home.index("New this season")


def test_cards_show_the_views_of_their_products_which_are_read_in_one_call(
    visitor: FlaskClient, hits: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor.get("/products/iron-pan")
    assert hits.flush(10)
    asked: list[int] = []
    read = hits.stats.view_counts

    def listen(item_type: str, ids: list[str]) -> object:
        asked.append(len(ids))
        return read(item_type, ids)

    monkeypatch.setattr(hits.stats, "view_counts", listen)
    everything = text(visitor, "/products")
    assert "€79.00 1 view " in everything
    assert everything.count("0 views") == len(PRODUCTS) - 1
    assert "€79.00 1 view " in text(visitor, "/"), "the pan is new"
    text(visitor, "/products/stoneware-jug")
    # The newest and those in the window; a product with what is related and recommended.
    assert asked == [len(PRODUCTS), 8, 1 + 4 + 3, 1], "the last one is the panel's own"


def test_the_panel_says_what_becomes_of_the_request_and_is_away_without_debug(
    visitor: FlaskClient, make_shop: Callable[..., Flask], hits: PathHits, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "A hit A page, fetched with GET" in text(visitor, "/about")
    for headers, reason in (({"User-Agent": "Googlebot/2.1"}, "bot"), ({"Sec-Purpose": "prefetch"}, "prefetch")):
        assert f"Dropped Reason {reason} ." in words(visitor.get("/about", headers=headers))
    shown = text(visitor, "/workshops/thornwick")
    assert "A view Item brand:thornwick" in shown
    assert "The page has asked, and it counts." in shown
    assert "No view" in text(visitor, "/workshops/thornwick")
    assert "Reason cooldown . The viewer saw the item a moment ago." in text(visitor, "/workshops/thornwick")
    monkeypatch.setenv("DEMO_DEBUG", "0")
    plain = make_shop(hits.settings.redis_url, hits.settings.database_url).test_client()
    assert "What just happened" in text(visitor, "/about")
    assert "What just happened" not in text(plain, "/about")


def test_the_list_shows_every_product_and_a_category_only_its_own(visitor: FlaskClient) -> None:
    everything, garden = text(visitor, "/products"), text(visitor, "/products?category=garden")
    for product in PRODUCTS:
        assert product["name"] in everything
        assert (product["name"] in garden) == (product["category"] == "garden")


def test_every_product_has_a_page_with_its_price_and_facts(visitor: FlaskClient) -> None:
    for product in PRODUCTS:
        shown = text(visitor, f"/products/{product['slug']}").replace("&#39;", "'")
        assert product["description"] in shown
        assert f"€{product['price_cents'] // 100}.{product['price_cents'] % 100:02d}" in shown
        assert f"Material {product['material']} Size {product['size']}" in shown


@pytest.mark.parametrize("path", ["/nowhere", "/products/no-such-thing", "/products?category=none"])
def test_an_unknown_address_is_a_page_that_says_so_and_is_not_counted(
    visitor: FlaskClient, hits: PathHits, path: str
) -> None:
    shown = text(visitor, path, status=404)
    assert "There is nothing here" in shown
    assert "This page is not counted" in shown
    assert hits.flush(10)
    assert hits.total() == 0
    assert hits.drops() == {"status": 1}


def test_pictures_and_styles_are_served_and_not_counted(visitor: FlaskClient, hits: PathHits) -> None:
    picture = visitor.get("/static/pictures/jug/stoneware-jug.svg")
    assert (picture.status_code, picture.mimetype) == (200, "image/svg+xml")
    assert picture.cache_control.max_age
    styles = visitor.get("/static/shop.css")
    styles.close()
    assert (styles.status_code, styles.mimetype) == (200, "text/css")
    assert visitor.get("/static/pictures/no-such-shape/stoneware-jug.svg").status_code == 404
    assert hits.flush(10)
    assert hits.total() == 0


def test_without_redis_a_page_shows_a_dash_and_the_reason(
    make_shop: Callable[[str, str], Flask], own_server: Callable[[type[RedisServer]], RedisServer], sqlite_url: str
) -> None:
    server = own_server(RedisServer)
    shop = make_shop(server.url, sqlite_url)
    release(shop)
    server.stop()
    shown = text(shop.test_client(), "/about")
    assert "viewed – times. The count could not be read in time." in shown
    assert "Counted Stored in SQL – Pending in Redis –" in shown
    assert "Slow" in text(shop.test_client(), "/"), "the shelves are read without the cache"
    product = text(shop.test_client(), "/products/stoneware-jug")
    assert "This product has been viewed – times." in product
    assert "– views" in product
    assert "0 views" not in product


@pytest.mark.parametrize("path", [*PAGES, "/nowhere"])
def test_a_page_asks_no_other_host_and_runs_no_script(visitor: FlaskClient, path: str) -> None:
    response = visitor.get(path)
    links = re.findall(r'(?:src|href|action)="([^"]*)"', response.text)
    assert links
    assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in links)
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|@import", response.text)
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_the_beacon_is_the_one_script_where_it_is_on(
    make_shop: Callable[..., Flask], redis_url: str, sqlite_url: str
) -> None:
    shop = make_shop(redis_url, sqlite_url, beacon=True)
    release(shop)
    client = shop.test_client()
    for path in (*PAGES, "/nowhere"):
        response = client.get(path)
        assert re.findall(r"<script[^>]*>", response.text) == ['<script src="/_pathhits/beacon.js" defer>']
        assert "script-src 'self'; connect-src 'self'" in response.headers["Content-Security-Policy"]
    assert "sendBeacon" in client.get("/_pathhits/beacon.js").text


def test_every_picture_and_link_of_a_page_leads_somewhere(visitor: FlaskClient) -> None:
    found = {link for path in PAGES for link in re.findall(r'(?:src|href)="(/[^"]*)"', visitor.get(path).text)}
    found = {unescape(link) for link in found}
    assert len(found) > len(CATEGORIES) + len(PRODUCTS)
    for link in found:
        with visitor.get(link) as response:
            # The dashboard is closed as long as there is no password for it.
            expected = 403 if link == "/_pathhits/" else 303 if link.startswith("/go/") else 200
            assert response.status_code == expected, link
