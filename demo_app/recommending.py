"""Related products and recommendations; a click on one of these is an event that says why it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flask import Flask, abort, redirect, request, session, url_for
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from demo_app.choosing import product_or_404, products_of
from demo_app.counts import the_hits
from demo_app.models import Product, Tagged, db
from pathhits import PathHits

SHOWN = 4
#: Seconds that related products are kept when nothing changes them.
KEPT_S = 3600
#: Why something is recommended, as it is said to a visitor.
REASONS = {"also_viewed": "Others who looked at this also looked at", "same_workshop": "From the same workshop"}


class Recommended(NamedTuple):
    """What is recommended beside a product, and why."""

    reason: str
    products: Sequence[Product]

    @property
    def heading(self) -> str:
        """The reason in words."""
        return REASONS[self.reason]


def related(product: Product) -> list[Product]:
    """Products of the same category, those with the most tags in common first; kept for an hour."""
    slugs = the_hits().cache.get_or_make(
        f"related:{product.slug}", lambda: _related(product), ttl=KEPT_S, groups=["related"]
    )
    return products_of(slugs)


def recommended(product: Product, besides: Sequence[Product]) -> Recommended:
    """What else to look at, and not on the page anyway: what the same visitors viewed, where enough is known."""
    there = {one.slug for one in besides}
    liked = the_hits().also_viewed("product", product.slug, SHOWN + len(there))
    found = products_of([one.item_id for one in liked if one.item_id not in there][:SHOWN])
    if found:
        return Recommended("also_viewed", found)
    shown = [product.id, *(one.id for one in besides)]
    same = select(Product).where(Product.brand == product.brand, Product.id.not_in(shown))
    most_viewed = the_hits().order_by_views(same, Product.slug).limit(SHOWN)
    return Recommended("same_workshop", db.session.scalars(most_viewed).all())


def go(slug: str) -> Response:
    """The way a recommendation leads to its product: the click is noted, with reason and place, answered at once."""
    product, reason = product_or_404(slug), request.args.get("because", "")
    if reason not in REASONS:
        abort(404)
    the_hits().track_recommendation_clicked(
        "product",
        product.slug,
        reason,
        request.args.get("place", None, type=int),
        properties={"beside": request.args.get("beside", "")[:80]},
        user_id=session.get("user"),
    )
    return redirect(url_for("product_detail", slug=product.slug), 303)


def register(app: Flask, hits: PathHits) -> None:
    """Give the way its address, and have a product that is edited change what is related to what."""
    app.add_url_rule("/go/<slug>", "go", go)
    hits.forget_on("product.updated", groups=["related"])


def _related(product: Product) -> list[str]:
    common = (
        select(func.count())
        .where(Tagged.product_id == Product.id, Tagged.tag.in_(product.tags))
        .correlate(Product)
        .scalar_subquery()
    )
    same = select(Product.slug).where(Product.category == product.category, Product.id != product.id)
    return list(db.session.scalars(same.order_by(common.desc(), Product.name).limit(SHOWN)))
