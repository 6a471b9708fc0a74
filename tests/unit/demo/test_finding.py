"""Search, filters and orders, workshops and tags."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from demo_app.catalogue import BRANDS, PRODUCTS, TAGS
from demo_app.models import Product, db
from demo_app.release import release
from pathhits import Event, PathHits
from tests.unit.demo.conftest import BROWSER, text


def found(client: FlaskClient, path: str) -> list[str]:
    """The slugs of the products on a page, in their order."""
    page = client.get(path)
    assert page.status_code == 200
    return re.findall(r'class="card-name"><a href="/products/([a-z-]+)"', page.text)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("JUGS stoneware", "stoneware-jug"),
        ("wool blank", "wool-blanket"),
        ("thornwick kettle", "whistling-kettle"),
        ("undyed", "wool-blanket"),
    ],
)
def test_a_search_finds_words_and_their_beginnings_the_best_match_first(
    visitor: FlaskClient, query: str, first: str
) -> None:
    assert found(visitor, f"/search?q={query}")[0] == first


@pytest.mark.parametrize(
    "query", ["unicorn", "%", '"', "jug unicorn", "jug OR 1=1 --", "NEAR(unicorn", "*", "-", "x\\b"]
)
def test_a_search_for_what_is_not_there_or_for_signs_finds_nothing_and_breaks_nothing(
    visitor: FlaskClient, query: str
) -> None:
    assert found(visitor, f"/search?q={query}") == []


def test_the_search_is_the_same_on_every_database(
    make_shop: Callable[..., Flask], redis_url: str, database_url: str
) -> None:
    shop = make_shop(redis_url, database_url)
    release(shop)
    client = shop.test_client()
    assert set(found(client, "/search?q=kettle")) == {"whistling-kettle"}
    assert {"stoneware-jug", "rain-jug"} <= set(found(client, "/search?q=jug&sort=viewed"))
    assert found(client, "/search?q=unicorn") == []
    assert found(client, "/search?q=jug&brand=greenglass&sort=cheap") == ["rain-jug"]
    with shop.app_context():
        db.session.query(Product).filter_by(slug="rain-jug").one().name = "Zeppelin"
        db.session.commit()
    assert found(client, "/search?q=zeppelin") == ["rain-jug"], "the index follows an edit"


def test_the_most_popular_first_is_another_order_than_the_most_viewed(
    make_shop: Callable[..., Flask], redis_url: str, database_url: str
) -> None:
    shop = make_shop(redis_url, database_url)
    release(shop)
    hits: PathHits = shop.extensions["pathhits"]
    client = shop.test_client()
    for n in range(3):
        client.get("/products/rain-jug", headers={"User-Agent": f"{BROWSER} {n}"})
    hits.track("product.liked", "stoneware-jug")
    assert hits.flush(10)
    hits.sync()
    [report] = hits.refresh_popularity().sinks
    assert (report.items, report.error) == (2, "")
    for path in ("/search?q=jug&", "/products?"):
        assert found(client, f"{path}sort=popular")[:2] == ["stoneware-jug", "rain-jug"]
        assert found(client, f"{path}sort=viewed")[0] == "rain-jug"
    assert "into a column of the shop's table every hour" in text(client, "/search?q=jug&sort=popular")


def test_filters_narrow_and_orders_order(visitor: FlaskClient, hits: PathHits) -> None:
    cheap = found(visitor, "/products?up_to=20&sort=cheap")
    prices = {product["slug"]: product["price_cents"] for product in PRODUCTS}
    assert [prices[slug] for slug in cheap] == sorted(price for price in prices.values() if price <= 2000)
    dear = [prices[slug] for slug in found(visitor, "/products?sort=dear")]
    assert dear == sorted(dear, reverse=True)
    assert found(visitor, "/products?sort=newest")[0] == "reading-bench"
    assert set(found(visitor, "/products?category=garden&brand=thornwick")) == {"copper-watering-can", "garden-lantern"}
    assert found(visitor, "/products?hot=1") == []
    assert len(found(visitor, "/products?brand=none&up_to=7&sort=wrong&tag=none")) == len(PRODUCTS)
    for n in range(3):
        visitor.get("/products/tea-lights", headers={"User-Agent": f"{BROWSER} {n}"})
    visitor.get("/products/iron-pan")
    assert hits.flush(10)
    hits.sync()
    assert found(visitor, "/products?sort=viewed")[:2] == ["tea-lights", "iron-pan"]


def test_a_search_is_an_event_that_says_what_was_found(visitor: FlaskClient, hits: PathHits) -> None:
    heard: list[Event] = []
    hits.on("search.performed", name="heard")(heard.append)
    hits.prepare_worker()
    for path in ("/search?q=jug&category=garden", "/search?q=unicorn", "/search?q=", "/search"):
        visitor.get(path)
    assert hits.flush(10)
    hits.sync()
    hits.deliver()
    said = [(event.properties["query"], event.properties["result_count"]) for event in heard]
    assert sorted(said) == [("jug", 1), ("unicorn", 0)]
    assert {"category": "garden"} in [event.properties.get("filters") for event in heard]


def test_every_workshop_and_tag_has_a_page_with_its_products(visitor: FlaskClient) -> None:
    for slug, brand in BRANDS.items():
        assert brand.name in text(visitor, f"/workshops/{slug}")
        made = {product["slug"] for product in PRODUCTS if product["brand"] == slug}
        assert set(found(visitor, f"/workshops/{slug}")) == made
    for tag in TAGS:
        assert set(found(visitor, f"/tags/{tag}")) == {row["slug"] for row in PRODUCTS if tag in row["tags"]}
    assert visitor.get("/workshops/none").status_code == visitor.get("/tags/none").status_code == 404


def test_a_workshop_and_a_tag_are_items_whose_reloads_are_no_views(visitor: FlaskClient, hits: PathHits) -> None:
    for path in ("/workshops/thornwick", "/tags/wood") * 2:
        visitor.get(path)
    assert hits.flush(10)
    assert (hits.view_count("brand", "thornwick"), hits.view_count("tag", "wood")) == (1, 1)
    assert hits.hit_counts(["brand", "tag"]) == {"brand": 2, "tag": 2}
    assert hits.rule_stats()["refusals"] == {"brand:cooldown": 1, "tag:cooldown": 1}
    assert "1 view, 1 in the last 7 days" in text(visitor, "/workshops/thornwick")
