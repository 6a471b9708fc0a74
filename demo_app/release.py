"""What runs before a new version takes over: migrations, catalogue, users; twice is as good as once."""

from __future__ import annotations

from typing import NamedTuple

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import select

from demo_app import MIGRATIONS
from demo_app.accounts import make_users
from demo_app.catalogue import BRANDS, FEATURED, PRODUCTS
from demo_app.catalogue.rows import ProductRow
from demo_app.models import Featured, Product, Tagged, db
from demo_app.shelves import SHELVES
from pathhits import PathHits


class Released(NamedTuple):
    """How many products were new, and the passwords of the users that were, by name."""

    products: int
    passwords: dict[str, str]


def release(app: Flask) -> Released:
    """Migrate pathhits' tables and the shop's, fill the catalogue, make the users; says what was new."""
    hits: PathHits = app.extensions["pathhits"]
    hits.migrate()
    with app.app_context():
        upgrade(directory=str(MIGRATIONS))
        return Released(seed(), make_users())


def seed() -> int:
    """Add the products that are not there yet; those that are stay as they were edited. Returns how many were added."""
    there = {product.slug: product for product in db.session.scalars(select(Product))}
    new = [_product(row) for row in PRODUCTS if row["slug"] not in there]
    db.session.add_all(new)
    for row in PRODUCTS:
        if row["slug"] in there and not there[row["slug"]].brand:
            _complete(there[row["slug"]], row)
    db.session.flush()
    if not there:
        _fill_the_window(new)
    db.session.commit()
    return len(new)


def _product(row: ProductRow) -> Product:
    plain = {name: value for name, value in row.items() if name not in ("tags", "brand")}
    return _complete(Product(**plain), row)


def _complete(product: Product, row: ProductRow) -> Product:
    """Give a product its brand and tags; one from before there were any gets them too."""
    product.brand = row["brand"]
    product.words = " ".join((BRANDS[row["brand"]].name, *row["tags"], row["category"]))
    product.tagged = [Tagged(tag=tag) for tag in row["tags"]]
    return product


def _fill_the_window(products: list[Product]) -> None:
    shelf = next(iter(SHELVES))
    by_slug = {product.slug: product for product in products}
    for place, slug in enumerate(FEATURED, 1):
        db.session.add(Featured(product_id=by_slug[slug].id, shelf=shelf, place=place))
