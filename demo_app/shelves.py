"""The shelves of the home page: read from the cache of pathhits, which each change of a shelf deletes at once."""

from __future__ import annotations

import datetime

from flask import Flask
from sqlalchemy import delete, select

from demo_app.choosing import products_of
from demo_app.counts import the_hits
from demo_app.models import Featured, Product, db, now
from pathhits import PathHits

SHELVES = {"window": "In the window", "gifts": "To give away"}
#: Seconds that a shelf is kept when nothing changes it.
KEPT_S = 600


def shelves() -> dict[str, list[Product]]:
    """What stands on each shelf today, by its title; empty shelves are left out."""
    rows = the_hits().cache.get_or_make("shelves", _rows, ttl=KEPT_S)
    today = now().date().isoformat()
    found = {
        title: products_of([slug for slug, on, until in rows if on == shelf and (until is None or until >= today)])
        for shelf, title in SHELVES.items()
    }
    return {title: products for title, products in found.items() if products}


def feature(product: Product, shelf: str, place: int, until: datetime.date | None) -> None:
    """Put a product on a shelf, or move it; the home page of every process shows it from now on."""
    row = db.session.get(Featured, product.id)
    change = "created" if row is None else "updated"
    row = row or Featured(product_id=product.id)
    row.shelf, row.place, row.until = shelf, place, until
    db.session.add(row)
    db.session.commit()
    said = {"shelf": shelf, "place": place, "until": until.isoformat() if until else None, "change": change}
    the_hits().track_change("product.featured", product.slug, properties=said)


def unfeature(product: Product) -> None:
    """Take a product off its shelf, where it stands on one."""
    gone = db.session.execute(delete(Featured).where(Featured.product_id == product.id))
    db.session.commit()
    if gone.rowcount:  # type: ignore[attr-defined]  # of a delete
        the_hits().track_change("product.unfeatured", product.slug)


def register(_app: Flask, hits: PathHits) -> None:
    """Say which events make the shelves outdated."""
    for verb in ("featured", "unfeatured", "updated"):
        hits.forget_on(f"product.{verb}", "shelves")


def _rows() -> list[tuple[str, str, str | None]]:
    """Slug, shelf and last day of all there is, in order."""
    rows = db.session.execute(
        select(Product.slug, Featured.shelf, Featured.until)
        .join(Featured, Featured.product_id == Product.id)
        .order_by(Featured.place, Product.name)
    )
    return [(slug, shelf, until.isoformat() if until else None) for slug, shelf, until in rows]
