"""What runs before a new version takes over: both sets of migrations, and the catalogue; twice is as good as once."""

from __future__ import annotations

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import select

from demo_app import MIGRATIONS
from demo_app.catalogue import PRODUCTS
from demo_app.models import Product, db
from pathhits import PathHits


def release(app: Flask) -> int:
    """Migrate pathhits' tables and the shop's, fill the catalogue; returns how many products were new."""
    hits: PathHits = app.extensions["pathhits"]
    hits.migrate()
    with app.app_context():
        upgrade(directory=str(MIGRATIONS))
        return seed()


def seed() -> int:
    """Add the products that are not there yet; those that are stay as they were edited. Returns how many were added."""
    known = set(db.session.scalars(select(Product.slug)))
    new = [Product(**row) for row in PRODUCTS if row["slug"] not in known]
    db.session.add_all(new)
    db.session.commit()
    return len(new)
