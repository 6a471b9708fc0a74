"""What the shop keeps in the cache of pathhits, and that nobody sees it when it is outdated, nor an old number."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from demo_app.catalogue import PRODUCTS
from demo_app.models import Product, db
from pathhits import PathHits
from tests.unit.demo.conftest import BROWSER, OWN, text, token

JUG = "/products/stoneware-jug"
EDIT = "/admin/products/stoneware-jug"
FORM = {"name": "Jug", "summary": "Pours.", "material": "Clay", "size": "2 l", "description": "Tall.", "price": "9"}


@pytest.fixture
def asked(shop: Flask) -> list[str]:
    """The statements that read a product by its address, from now on."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "FROM shop_products" in statement and "shop_products.slug = " in statement:
            seen.append(statement)

    with shop.app_context():
        event.listen(db.engine, "before_cursor_execute", note)
    return seen


def tell(hits: PathHits) -> None:
    """Do what the worker does."""
    assert hits.flush(10)
    hits.sync()
    hits.refresh_items()
    hits.deliver()


def test_a_product_is_read_once_in_ten_minutes_and_says_the_same(visitor: FlaskClient, asked: list[str]) -> None:
    first = visitor.get(JUG)
    assert len(asked) == 1
    again = visitor.get(JUG)
    assert len(asked) == 1
    of_page = [page.text.partition("<article")[2].partition("</article>")[0] for page in (first, again)]
    assert of_page[0] == of_page[1] != ""
    for product in PRODUCTS:
        visitor.get(f"/products/{product['slug']}")
        assert product["name"] in text(visitor, f"/products/{product['slug']}")


def test_what_is_not_there_is_not_kept(visitor: FlaskClient, hits: PathHits) -> None:
    for n in range(3):
        assert visitor.get(f"/products/none-{n}").status_code == 404
    assert hits.flush(10)
    assert [key for key in hits.redis.scan_iter() if b"none-" in key] == []


def test_an_edit_is_seen_at_once_by_everybody(
    visitor: FlaskClient, signed_in: Callable[[str], FlaskClient], asked: list[str]
) -> None:
    admin = signed_in("admin")
    assert "Stoneware jug" in text(visitor, JUG)
    assert admin.post(EDIT, data={**FORM, "token": token(admin)}, headers=OWN).status_code == 303
    shown = text(visitor, JUG)
    assert "Jug Pours. €9.00" in shown
    assert "Stoneware jug" not in shown


def test_an_edit_by_a_command_is_seen_once_the_worker_has_told(
    shop: Flask, visitor: FlaskClient, hits: PathHits
) -> None:
    hits.prepare_worker()
    assert "Stoneware jug" in text(visitor, JUG)
    with shop.app_context():
        db.session.query(Product).filter_by(slug="stoneware-jug").one().name = "Pitcher"
        db.session.commit()
    hits.track("product.updated", "stoneware-jug")
    assert "Stoneware jug" in text(visitor, JUG), "it is kept"
    tell(hits)
    assert "Pitcher" in text(visitor, JUG)


def test_numbers_are_live_beside_what_is_kept(shop: Flask, visitor: FlaskClient, hits: PathHits) -> None:
    for n in (1, 2, 3):
        client = shop.test_client()
        client.get(JUG, headers={"User-Agent": f"{BROWSER} {n}"})
        client.post(f"{JUG}/like", headers=OWN)
        assert hits.flush(10)
        shown = text(visitor, JUG)
        assert f"This product has been viewed {n + (n > 1)} time" in shown
        assert f"Likes {n} " in shown


def test_the_hot_list_is_kept_until_something_becomes_hot_or_cools(
    shop: Flask, visitor: FlaskClient, hits: PathHits
) -> None:
    hits.prepare_worker()
    assert "Hot this week" not in text(visitor, "/")
    for n in range(hits.settings.hot_at):
        shop.test_client().get("/products/tea-lights", headers={"User-Agent": f"{BROWSER} {n}"})
    tell(hits)
    home = text(visitor, "/")
    assert home.index("Hot this week") < home.index("Tea lights, twenty") < home.index("New this season")
    assert hits.refresh_items(datetime.now(UTC) + timedelta(days=8)).cooled == 1
    assert "Hot this week" in text(visitor, "/"), "it is kept"
    hits.deliver()
    assert "Hot this week" not in text(visitor, "/")
