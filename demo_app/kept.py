"""What the pages read of the shop's own rows again and again, out of the cache of pathhits: a product, the hot list.

Related products and the shelves are kept likewise, beside what makes them. Numbers are never kept: views, likes and the
rest are asked of pathhits for each page. What is kept is deleted by the events that change it, at once by the request
that does.
"""

from __future__ import annotations

import datetime
from typing import Any

from flask import Flask
from sqlalchemy import select

from demo_app.choosing import product_or_404, products_of
from demo_app.counts import the_hits
from demo_app.models import Product, Tagged, db
from pathhits import PathHits

#: Seconds that they are kept when nothing changes them.
PRODUCT_S, HOT_S = 600, 3600
#: What a product's page says of it; its views and whether it is hot are pathhits' to say.
COLUMNS = (
    "id",
    "slug",
    "name",
    "category",
    "shape",
    "price_cents",
    "summary",
    "description",
    "material",
    "size",
    "brand",
)
HOT_KEPT = 20


def product_to_show(slug: str) -> Product:
    """The product of this address, to be shown and not to be changed; the page "not found" where there is none."""
    row = the_hits().cache.get_or_make(f"product:{slug}", lambda: _row(product_or_404(slug)), ttl=PRODUCT_S)
    tagged = [Tagged(tag=tag) for tag in row.pop("tags")]
    return Product(**row | {"added_on": datetime.date.fromisoformat(row["added_on"])}, tagged=tagged)


def hot_products(limit: int) -> list[Product]:
    """The products that are hot now, the most popular first."""
    return products_of(the_hits().cache.get_or_make("hot", _hot, ttl=HOT_S)[:limit])


def register(_app: Flask, hits: PathHits) -> None:
    """Say which events make them outdated."""
    hits.forget_on("product.updated", "product:{item_id}")
    for verb in ("became_hot", "cooled"):
        hits.forget_on(f"product.{verb}", "hot")


def _row(product: Product) -> dict[str, Any]:
    row = {name: getattr(product, name) for name in COLUMNS}
    return row | {"added_on": product.added_on.isoformat(), "tags": product.tags}


def _hot() -> list[str]:
    """Slugs by the columns that `hits.mirror` keeps, which change together with the events that delete them here."""
    hot = select(Product.slug).where(Product.is_hot.is_(True))
    order = Product.popularity.desc(), Product.view_count.desc(), Product.name
    return list(db.session.scalars(hot.order_by(*order).limit(HOT_KEPT)))
